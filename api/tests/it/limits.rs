//! Limits before execution, persisted queries and the list of allowed ones, as a client sees them.

use std::time::{Duration, Instant};

use api::app::Settings;
use serde_json::{Value, json};

use crate::support::{TestServer, code, new_folder};

fn message(answer: &Value) -> &str {
    answer["errors"][0]["message"].as_str().unwrap_or_default()
}

fn numbered(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(" ")
}

/// How its message begins, its number, and a document of so many.
type Limit<'l> = (&'static str, usize, &'l dyn Fn(usize) -> String);

#[tokio::test]
async fn each_limit_is_met_and_not_passed() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let deep = |depth: usize| {
        // `__schema`, `types`, then `fields` and `type` in turns, and a name.
        let between: Vec<&str> = ["fields", "type"].into_iter().cycle().take(depth - 3).collect();
        let open: String = between.iter().map(|field| format!("{field} {{ ")).collect();
        format!("{{ __schema {{ types {{ {open} name {} }} }} }}", "} ".repeat(between.len()))
    };
    let of: [Limit<'_>; 9] = [
        ("a name has at most 128 bytes", 128, &|n| format!("{{ {}: __typename }}", "x".repeat(n))),
        ("brackets nest at most 64 deep", 64, &|n| format!("{{ {}{} }}", "[".repeat(n - 1), "]".repeat(n - 1))),
        ("a document has at most 2000 tokens", 2_000, &|n| format!("{{ {} }}", "viewer ".repeat(n - 2))),
        ("fields nest at most 20 deep", 20, &deep),
        ("a document has at most 100 aliases", 100, &|n| {
            format!("{{ viewer {{ {} }} }}", numbered(n, |n| format!("a{n}: __typename")))
        }),
        ("an operation has at most 20 fields at its root", 20, &|n| {
            format!("{{ {} }}", numbered(n, |n| format!("a{n}: __typename")))
        }),
        ("at most 10 directives stand at one place", 10, &|n| {
            format!("{{ __typename {} }}", "@include(if: true) ".repeat(n))
        }),
        ("a document has at most 50 directives", 50, &|n| {
            format!("{{ viewer {{ {} }} }}", numbered(n, |n| format!("a{n}: __typename @include(if: true)")))
        }),
        ("a document has at most 2000 selections", 2_000, &|n| {
            let spreads = "...f ".repeat(n / 50 - 1);
            let rest = "__typename ".repeat(n - (n / 50 - 1) * 50 - 1);
            format!("{{ viewer {{ {spreads} {rest} }} }} fragment f on Viewer {{ {} }}", "__typename ".repeat(49))
        }),
    ];
    for (limit, most, document) in of {
        let under = server.ask(Some(&ada), &document(most), json!({})).await;
        assert!(!message(&under).starts_with(limit), "{limit}: {under}");
        let over = server.ask(Some(&ada), &document(most + 1), json!({})).await;
        assert!(message(&over).starts_with(limit), "{limit}: {over}");
        assert_eq!((code(&over), over.get("data")), ("BAD_USER_INPUT", None));
    }
}

#[tokio::test]
async fn a_document_costs_at_most_so_much() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let pages = |fields: usize| {
        format!("{{ members(first: 100) {{ nodes {{ {} }} }} }}", numbered(fields, |n| format!("f{n}: id")))
    };
    let cost = async |query: &str| {
        let (_, answer) = server.ask_raw(Some(&ada), &json!({ "query": query }).to_string()).await;
        (answer["extensions"]["cost"]["requested"].as_u64(), answer)
    };
    assert_eq!(cost("{ members { nodes { id } } }").await.0, Some(101), "as docs/transport.md says");
    let (Some(one), _) = cost(&pages(1)).await else { panic!("it runs") };
    let (Some(two), answer) = cost(&pages(2)).await else { panic!("it runs") };
    assert_eq!(two - one, 100, "a field more in a list of a hundred");
    let told = &answer["extensions"]["cost"];
    assert_eq!((&told["maximum"], &told["restoredPerSecond"]), (&json!(5_000_000), &json!(500_000)), "{told}");
    assert!(told["remaining"].as_u64().is_some_and(|left| left <= 5_000_000 - two), "{told}");
    let page = pages(90).replacen("members", "a: members", 1);
    let three = format!(
        "{{ {} }}",
        ["a", "b", "c"]
            .map(|name| page.trim_matches(['{', '}', ' ']).replacen("a:", &format!("{name}:"), 1) + " } }")
            .join(" ")
    );
    let (requested, answer) = cost(&three).await;
    assert_eq!((requested, code(&answer)), (None, "BAD_USER_INPUT"), "{answer}");
}

/// 2^150 fields, in a document of four kilobytes.
#[tokio::test]
async fn a_bomb_of_fragments_takes_no_time() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    for last in ["__typename", "...absent", "...f0"] {
        let layers = numbered(150, |n| format!("fragment f{n} on Viewer {{ ...f{} ...f{} }}", n + 1, n + 1));
        let bomb = format!("{{ viewer {{ ...f0 }} }} {layers} fragment f150 on Viewer {{ {last} }}");
        let begun = Instant::now();
        let answer = server.ask(Some(&ada), &bomb, json!({})).await;
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", None), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

/// The hash as clients write it.
fn sha256(text: &str) -> String {
    domain::secrets::sha256(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn by_hash(query: Option<&str>, hash: &str) -> String {
    let mut request = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
    if let Some(query) = query {
        request["query"] = json!(query);
    }
    request.to_string()
}

#[tokio::test]
async fn a_document_is_sent_once_and_then_named_by_its_hash() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    server.tenant("bolt").await;
    let (ada, eve) = (server.token("acme", "ada@acme.test").await, server.token("bolt", "ada@bolt.test").await);
    let query = "{ viewer { tenant { slug } } }";
    let ask = async |token: &str, body: String| server.ask_raw(Some(token), &body).await.1;
    let unknown = ask(&ada, by_hash(None, &sha256(query))).await;
    assert_eq!((code(&unknown), message(&unknown)), ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"));
    let wrong = ask(&ada, by_hash(Some(query), &sha256("{ a }"))).await;
    assert_eq!(code(&wrong), "BAD_USER_INPUT", "{wrong}");
    let taught = ask(&ada, by_hash(Some(query), &sha256(query))).await;
    assert_eq!(taught["data"]["viewer"]["tenant"]["slug"], "acme");
    let named = ask(&ada, by_hash(None, &sha256(query))).await;
    assert_eq!(named["data"]["viewer"]["tenant"]["slug"], "acme");
    assert_eq!(code(&ask(&eve, by_hash(None, &sha256(query))).await), "PERSISTED_QUERY_NOT_FOUND", "each tenant's own");
    let never = format!("{{ {} }}", "a ".repeat(21));
    ask(&ada, by_hash(Some(&never), &sha256(&never))).await;
    assert_eq!(
        code(&ask(&ada, by_hash(None, &sha256(&never))).await),
        "PERSISTED_QUERY_NOT_FOUND",
        "refused, not kept"
    );
}

#[tokio::test]
async fn with_a_list_only_what_is_on_it_runs() {
    let folder = new_folder();
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("allowed.json");
    let allowed = "{ viewer { tenant { slug } } }";
    std::fs::write(&file, json!({ sha256(allowed): allowed }).to_string()).expect("a file");
    let server = TestServer::with(&Settings { allowed_queries: Some(file), ..Settings::default() }).await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let ask = async |body: String| server.ask_raw(Some(&ada), &body).await.1;
    for body in [
        json!({ "query": allowed }).to_string(),
        by_hash(None, &sha256(allowed)),
        by_hash(Some(allowed), &sha256(allowed)),
    ] {
        assert_eq!(ask(body).await["data"]["viewer"]["tenant"]["slug"], "acme");
    }
    for other in ["{ viewer { tenant { name } } }", "{ __schema { queryType { name } } }", "{ __typename }", "{"] {
        for body in
            [json!({ "query": other }).to_string(), by_hash(Some(other), &sha256(other)), by_hash(None, &sha256(other))]
        {
            let answer = ask(body).await;
            assert_eq!((code(&answer), answer.get("data")), ("QUERY_NOT_ALLOWED", None), "{other}");
        }
    }
    std::fs::remove_dir_all(&folder).ok();
}
