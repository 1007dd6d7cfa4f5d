//! What a request must be, and what one learns from a bad one.

use api::app::Settings;
use domain::clock::Clock;
use domain::time::MICROS_PER_SECOND;
use poem::Request;
use poem::http::{Method, StatusCode};
use serde_json::json;

use crate::databases::on_postgres;
use crate::support::{TestServer, code};

#[tokio::test]
async fn pages_for_people_and_probes_for_machines() {
    let server = TestServer::new().await;
    for (path, contains) in [("/", "Saldo"), ("/graphql", "graphiql"), ("/healthz", "ok"), ("/readyz", "ready")] {
        let response =
            server.send(Request::builder().uri_str(path).header("accept", "text/html, */*;q=0.8").finish()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(response.header("x-request-id").is_some_and(|id| id.len() == 32));
        assert!(response.into_body().into_string().await.unwrap().contains(contains), "{path}");
    }
    assert_eq!(server.send(Request::builder().uri_str("/other").finish()).await.status(), StatusCode::NOT_FOUND);
    server.domain.shut_down().await;
    assert_eq!(
        server.send(Request::builder().uri_str("/readyz").finish()).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_process_serves_what_its_roles_are() {
    for (roles, graphql, files) in [("api,worker", true, false), ("ingest", false, true), ("worker", false, false)] {
        let server = TestServer::with(&Settings { roles: roles.parse().unwrap(), ..Settings::default() }).await;
        let status = async |method: Method, path: &str| {
            server.send(Request::builder().method(method).uri_str(path).finish()).await.status()
        };
        for (path, served) in [("/", graphql), ("/graphql", graphql), ("/graphql/stream", graphql)] {
            assert_eq!(status(Method::GET, path).await != StatusCode::NOT_FOUND, served, "{roles}: {path}");
        }
        let begun = status(Method::POST, "/v1/sources/src_0/files").await;
        assert_eq!(begun, if files { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND }, "{roles}");
        assert_eq!(status(Method::GET, "/readyz").await, StatusCode::OK, "{roles}");
    }
}

#[tokio::test]
async fn who_is_not_ready_says_which_part_is_not() {
    let ready = async |server: &TestServer| {
        let response = server.send(Request::builder().uri_str("/readyz").finish()).await;
        (response.status(), response.into_body().into_string().await.expect("text"))
    };
    let hours_behind = Clock::System.now().plus(-7_200 * MICROS_PER_SECOND);
    let server = TestServer::with_clock(Clock::set_to(hours_behind)).await;
    let (status, said) = ready(&server).await;
    if on_postgres() {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(said.starts_with("not ready\ndatabase: answers\nschema: is this build's\nclock: is 72"), "{said}");
    } else {
        assert_eq!((status, said.as_str()), (StatusCode::OK, "ready\ndatabase: answers\nschema: is this build's\n"));
    }
    let server = TestServer::new().await;
    // Nobody is there: that is said, and is no reason not to serve.
    server.domain.clone().with_redis("redis://127.0.0.1:1/").expect("a URL");
    let (status, said) = ready(&server).await;
    assert_eq!(status, StatusCode::OK);
    assert!(said.ends_with("redis: does not answer; work goes on without it\n"), "{said}");
    server.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await;
    let (status, said) = ready(&server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said.contains("schema: is newer than this build; run the newer build that migrated it"), "{said}");
}

#[tokio::test]
async fn the_page_is_small_and_takes_nothing_from_elsewhere() {
    let server = TestServer::new().await;
    let get = async |path: &str| {
        let response = server.send(Request::builder().uri_str(path).finish()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let header = |name: &str| response.header(name).unwrap_or_default().to_owned();
        let headers = [header("content-type"), header("content-security-policy"), header("x-content-type-options")];
        (headers, response.into_body().into_string().await.expect("text"))
    };
    let ([media, policy, _], page) = get("/").await;
    assert_eq!(media, "text/html; charset=utf-8");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("//"), "{policy}");
    assert!(page.contains(r#"href="/graphql""#), "the way to GraphiQL");
    assert!(page.contains(r#"<body data-tenant="">"#), "whose tenants there are is nobody's to know");
    let mut bytes = page.len();
    for (path, wanted) in [
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/cards.js", "text/javascript; charset=utf-8"),
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/words.js", "text/javascript; charset=utf-8"),
    ] {
        let ([media, _, sniffing], text) = get(path).await;
        assert_eq!((&*media, &*sniffing), (wanted, "nosniff"), "{path}");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"]
        {
            assert!(!text.contains(markup), "{path} says {markup}");
        }
        bytes += text.len();
    }
    assert!(bytes < 60_000, "{bytes}");
}

#[tokio::test]
async fn the_form_has_the_tenant_that_the_operator_names() {
    let settings = Settings { form_tenant: Some("a\"b&c".to_owned()), ..Settings::default() };
    let server = TestServer::with(&settings).await;
    let response = server.send(Request::builder().uri_str("/").finish()).await;
    let page = response.into_body().into_string().await.expect("text");
    assert!(page.contains(r#"<body data-tenant="a&quot;b&amp;c">"#), "{page}");
}

#[tokio::test]
async fn only_json_of_a_decent_length() {
    let server = TestServer::new().await;
    let post = |content_type: &str, body: String| {
        let request = Request::builder().method(Method::POST).uri_str("/graphql");
        request.content_type(content_type).body(body)
    };
    let viewer = json!({ "query": "{ viewer { tenant { slug } } }" });
    for (content_type, body, status) in [
        ("application/json; charset=utf-8", viewer.to_string(), StatusCode::OK),
        ("text/plain", viewer.to_string(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/x-www-form-urlencoded", "query={viewer}".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/json", json!([viewer]).to_string(), StatusCode::OK),
        ("application/json", "{".to_owned(), StatusCode::BAD_REQUEST),
        ("application/json", json!({ "query": "[".repeat(2000) }).to_string(), StatusCode::OK),
        ("application/json", " ".repeat(1024 * 1024 + 1), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let response = server.send(post(content_type, body)).await;
        assert_eq!(response.status(), status, "{content_type}");
    }
}

#[tokio::test]
async fn without_signing_in_one_may_only_sign_in() {
    let server = TestServer::new().await;
    for query in [
        "{ viewer { tenant { slug } } }",
        "{ __schema { types { name } } }",
        "mutation { disableMember(input: { memberId: \"mem_1\" }) { userErrors { code } } }",
        "mutation { signOut(input: { refreshToken: \"x\" }) { userErrors { code } } disableMember(input: { memberId: \"x\" }) { userErrors { code } } }",
        "mutation { ...f } fragment f on Mutation { signOut(input: { refreshToken: \"x\" }) { userErrors { code } } }",
        "query a { __typename } query b { viewer { tenant { slug } } }",
    ] {
        let response = server.ask(None, query, json!({})).await;
        assert_eq!(code(&response), "UNAUTHENTICATED", "{query}");
        assert!(response.get("data").is_none(), "{query}");
    }
    for token in ["", "garbage", "saldo_key_AAAA"] {
        let (status, response) = server.ask_raw(Some(token), r#"{"query":"{ __typename }"}"#).await;
        assert_eq!((status, code(&response)), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    }
    assert_eq!(server.ask(None, "{ __typename }", json!({})).await, json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn wrong_queries_get_a_code_and_no_hints() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    let ask = async |query: &str| server.ask(Some(&token), query, json!({})).await;
    let deep = format!("{{ __schema {{ types {{ {} name {} }} }} }}", "fields { type {".repeat(10), "} }".repeat(10));
    let many = format!(
        "{{ {} }}",
        (0..3)
            .map(|n| format!(
                "a{n}: members(first: 100) {{ nodes {{ {} }} }} ",
                "id ".repeat(0) + &(0..90).map(|f| format!("f{f}: id ")).collect::<String>()
            ))
            .collect::<String>()
    );
    for query in
        ["{", "{ veiwer { tenant { slug } } }", "query($n: Int!) { members(first: $n) { nodes { id } } }", &deep, &many]
    {
        let response = ask(query).await;
        assert_eq!(code(&response), "BAD_USER_INPUT", "{response}");
        assert!(response.get("data").is_none(), "nothing ran: {response}");
        assert!(!response.to_string().contains("Did you mean"));
    }
    let sign_ins = (0..11).map(|n| {
        format!(
            "s{n}: signIn(input: {{ tenant: \"acme\", email: \"a@b\", password: \"x\" }}) {{ userErrors {{ code }} }} "
        )
    });
    let response = server.ask(None, &format!("mutation {{ {} }}", sign_ins.collect::<String>()), json!({})).await;
    assert_eq!(code(&response), "BAD_USER_INPUT", "eleven guesses at a password in one request");
    assert!(ask("{ __schema { queryType { name } } }").await["errors"].is_null(), "introspection, once signed in");
    for after in ["?", "AAAA"] {
        let query = format!("{{ members(after: \"{after}\") {{ nodes {{ id }} }} }}");
        assert_eq!(code(&ask(&query).await), "BAD_USER_INPUT");
    }
    for first in [-1, 0] {
        let query = format!("{{ members(first: {first}) {{ nodes {{ id }} }} }}");
        assert_eq!(code(&ask(&query).await), "BAD_USER_INPUT");
    }
}

#[tokio::test]
async fn a_fault_shows_a_number_and_nothing_else() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let session = r#"mutation { signIn(input: { tenant: "acme", email: "ada@acme.test", password: "x" }) { userErrors { code } } }"#;
    let token = server.token("acme", "ada@acme.test").await;
    server.execute("UPDATE members SET role = 'EMPEROR'").await;
    let damaged = server.ask(Some(&token), "{ viewer { member { id } } }", json!({})).await;
    server.domain.shut_down().await;
    let closed = server.ask(None, session, json!({})).await;
    for (response, expected) in [(damaged, "INTERNAL"), (closed, "UNAVAILABLE")] {
        assert_eq!(code(&response), expected);
        let error = &response["errors"][0];
        let id = error["extensions"]["requestId"].as_str().unwrap();
        assert_eq!(id.len(), 32);
        let message = match expected {
            "INTERNAL" => format!("internal error; the log has the details under {id}"),
            _ => "the database is not there or busy; nothing was done, so try again".to_owned(),
        };
        assert_eq!(error["message"], message);
        let all = response.to_string().to_lowercase();
        assert!(!all.contains("pool") && !all.contains("emperor"), "{response}");
    }
}
