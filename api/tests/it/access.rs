//! Signing in and the administration of members, as a client sees it.

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestServer, code};

const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken expiresAt userErrors { code field message } } }";
const REFRESH: &str = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken refreshToken userErrors { code field } } }";
const SIGN_OUT: &str = "mutation($input: SignOutInput!) { signOut(input: $input) { userErrors { code } } }";
const ACCEPT: &str = "mutation($input: AcceptTokenInput!) { acceptToken(input: $input) { member { email state } userErrors { code field } } }";
const INVITE: &str = "mutation($input: InviteMemberInput!) { inviteMember(input: $input) { member { id state role } oneTimeToken { token expiresAt } userErrors { code field message } } }";
const VIEWER: &str = "{ viewer { tenant { slug name } member { id email role partner { id } } } }";

#[tokio::test]
async fn a_session_from_sign_in_to_sign_out() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let wrong = json!({ "input": { "tenant": "acme", "email": "ada@acme.test", "password": "wrong" } });
    let refused = &server.ask(None, SIGN_IN, wrong).await["data"]["signIn"];
    assert_eq!(refused["accessToken"], Value::Null);
    assert_eq!(refused["userErrors"][0]["code"], "BAD_CREDENTIALS");
    assert_eq!(refused["userErrors"][0]["field"], json!([]));

    let right = json!({ "input": { "tenant": "acme", "email": "ada@acme.test", "password": PASSWORD } });
    let session = server.ask(None, SIGN_IN, right).await["data"]["signIn"].clone();
    assert_eq!(session["userErrors"], json!([]));
    let viewer = server.ask(session["accessToken"].as_str(), VIEWER, json!({})).await;
    assert_eq!(viewer["data"]["viewer"]["tenant"], json!({ "slug": "acme", "name": "acme Ltd" }));
    assert_eq!(viewer["data"]["viewer"]["member"]["role"], "ADMIN");

    let refresh = json!({ "input": { "refreshToken": session["refreshToken"] } });
    let refreshed = server.ask(None, REFRESH, refresh).await["data"]["refreshSession"].clone();
    let token = refreshed["accessToken"].as_str().unwrap();
    let out = server.ask(None, SIGN_OUT, json!({ "input": { "refreshToken": refreshed["refreshToken"] } })).await;
    assert_eq!(out["data"]["signOut"]["userErrors"], json!([]));
    assert_eq!(code(&server.ask(Some(token), VIEWER, json!({})).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn an_invitation_makes_a_member_with_its_role() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let input = json!({ "input": { "email": "bob@acme.test", "name": "Bob", "role": "READ_ONLY" } });
    let invited = server.ask(Some(&ada), INVITE, input.clone()).await["data"]["inviteMember"].clone();
    assert_eq!(invited["member"]["state"], "INVITED");
    let again = server.ask(Some(&ada), INVITE, input.clone()).await["data"]["inviteMember"].clone();
    assert_eq!((&again["member"], &again["userErrors"][0]["code"]), (&Value::Null, &json!("ALREADY_EXISTS")));
    assert_eq!(again["userErrors"][0]["field"], json!(["email"]));

    let once = &invited["oneTimeToken"]["token"];
    let accepted = server.ask(None, ACCEPT, json!({ "input": { "token": once, "password": "short" } })).await;
    assert_eq!(
        accepted["data"]["acceptToken"]["userErrors"],
        json!([{ "code": "WEAK_PASSWORD", "field": ["password"] }])
    );
    let accepted = server.ask(None, ACCEPT, json!({ "input": { "token": once, "password": PASSWORD } })).await;
    assert_eq!(accepted["data"]["acceptToken"]["member"]["state"], "ACTIVE");

    let bob = server.token("acme", "bob@acme.test").await;
    assert_eq!(code(&server.ask(Some(&bob), INVITE, input).await), "FORBIDDEN");
    assert_eq!(code(&server.ask(Some(&bob), "{ members { nodes { id } } }", json!({})).await), "FORBIDDEN");
    let list = "query($after: String) { members(first: 1, after: $after) { edges { cursor node { email } } pageInfo { hasNextPage endCursor } } }";
    let page = server.ask(Some(&ada), list, json!({})).await["data"]["members"].clone();
    assert_eq!(page["edges"][0]["node"]["email"], "bob@acme.test", "newest first");
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let page = server.ask(Some(&ada), list, json!({ "after": page["pageInfo"]["endCursor"] })).await["data"]["members"]
        .clone();
    assert_eq!(
        (&page["edges"][0]["node"]["email"], &page["pageInfo"]["hasNextPage"]),
        (&json!("ada@acme.test"), &json!(false))
    );

    let id = &invited["member"]["id"];
    let role = "mutation($input: SetMemberRoleInput!) { setMemberRole(input: $input) { member { role } userErrors { code } } }";
    let risk = server.ask(Some(&ada), role, json!({ "input": { "memberId": id, "role": "RISK" } })).await;
    assert_eq!(risk["data"]["setMemberRole"]["member"]["role"], "RISK");
    for (mutation, state) in [("disableMember", "DISABLED"), ("enableMember", "ACTIVE")] {
        let query = format!("mutation($id: ID!) {{ {mutation}(input: {{ memberId: $id }}) {{ member {{ state }} }} }}");
        let changed = server.ask(Some(&ada), &query, json!({ "id": id })).await;
        assert_eq!(changed["data"][mutation]["member"]["state"], state);
    }
}

/// Foreign, absent and malformed ids, byte for byte.
#[tokio::test]
async fn what_is_not_yours_is_not_there() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    server.tenant("bolt").await;
    let (ada, eve) = (server.token("acme", "ada@acme.test").await, server.token("bolt", "ada@bolt.test").await);
    let own = server.ask(Some(&ada), VIEWER, json!({})).await["data"]["viewer"]["member"]["id"].clone();
    let node = "query($id: ID!) { node(id: $id) { __typename id ... on Member { email } } }";
    let seen = server.ask(Some(&ada), node, json!({ "id": own })).await;
    assert_eq!(seen["data"]["node"]["email"], "ada@acme.test");

    let absent = json!("mem_01990000000070008000000000000001");
    for query in [
        node,
        "mutation($id: ID!) { disableMember(input: { memberId: $id }) { member { id } userErrors { code field message } } }",
        "mutation($id: ID!) { resetPassword(input: { memberId: $id }) { member { id } userErrors { code field message } } }",
        "mutation($id: ID!) { setMemberRole(input: { memberId: $id, role: RISK }) { member { id } userErrors { code field message } } }",
        "mutation($id: ID!) { createApiKey(input: { sourceId: $id, name: \"n\" }) { secret userErrors { code field message } } }",
        "mutation($id: ID!) { revokeApiKey(input: { apiKeyId: $id }) { apiKey { id } userErrors { code field message } } }",
        "mutation($id: ID!) { inviteMember(input: { email: \"x@y.z\", name: \"n\", role: READ_ONLY, partnerId: $id }) { member { id } userErrors { code field message } } }",
    ] {
        let answer = server.ask(Some(&eve), query, json!({ "id": absent })).await;
        assert!(answer["errors"].is_null(), "{answer}");
        for id in [&own, &json!("mem_1"), &json!(""), &json!("ffffffffffffffffffffffffffffffff")] {
            assert_eq!(
                server.ask(Some(&eve), query, json!({ "id": id })).await.to_string(),
                answer.to_string(),
                "{query}"
            );
        }
    }
}

/// A field that names a member, or a source of a scope, is null for whoever may not see it, and no error.
#[tokio::test]
async fn what_one_may_not_see_is_null_where_a_field_leads_to_it() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let other = server.mutate(&crash.ada, "createPartner", json!({ "name": "Other" }), "partner { id }").await;
    let mut terms = crate::support::terms();
    terms["role"] = json!("AFFILIATE");
    let contract = json!({ "partnerId": other["partner"]["id"], "name": "Share", "terms": terms });
    let contract = server.mutate(&crash.ada, "createContract", contract, "contract { id }").await;
    let first = json!({ "contractId": contract["contract"]["id"], "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    let contracts = "{ contracts(first: 1) { nodes { name versions { activatedBy { email } terms { scope { sources { name } } } } } } }";
    let seen_by = async |token: &str| {
        let seen = server.query(token, contracts, json!({})).await;
        assert_eq!(seen["contracts"]["nodes"][0]["name"], "Share");
        let version = &seen["contracts"]["nodes"][0]["versions"][0];
        (version["activatedBy"]["email"].clone(), version["terms"]["scope"]["sources"][0]["name"].clone())
    };
    assert_eq!(seen_by(&crash.ada).await, (json!("ada@acme.test"), json!("crash")));
    for (email, partner, source) in [
        ("reader@acme.test", Value::Null, json!("crash")),
        ("user@other.test", other["partner"]["id"].clone(), Value::Null),
    ] {
        let invite = json!({ "email": email, "name": "U", "role": "READ_ONLY", "partnerId": partner });
        let invited = server.mutate(&crash.ada, "inviteMember", invite, "oneTimeToken { token }").await;
        let once = invited["oneTimeToken"]["token"].as_str().unwrap();
        server.domain.accept_token(once, PASSWORD).await.expect("a password");
        let token = server.token("acme", email).await;
        assert_eq!(seen_by(&token).await, (Value::Null, source), "{email}");
        let own = server.query(&token, "{ viewer { member { email partner { id } } } }", json!({})).await;
        assert_eq!(
            own["viewer"]["member"],
            json!({ "email": email, "partner": partner.as_str().map(|id| json!({ "id": id })) })
        );
    }
}

#[tokio::test]
async fn everybody_chooses_the_own_language() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let own = "{ viewer { member { language } } }";
    assert_eq!(server.query(&ada, own, json!({})).await["viewer"]["member"]["language"], "EN");
    let set = server.mutate(&ada, "setLanguage", json!({ "language": "KO" }), "member { language }").await;
    assert_eq!(set["member"]["language"], "KO");
    assert_eq!(server.query(&ada, own, json!({})).await["viewer"]["member"]["language"], "KO");
    for (input, language) in [(json!({}), "EN"), (json!({ "language": "KO" }), "KO")] {
        let mut invite = json!({ "email": format!("{language}@acme.test"), "name": "Kim", "role": "RISK" });
        invite.as_object_mut().expect("an object").extend(input.as_object().expect("an object").clone());
        let invited = server.mutate(&ada, "inviteMember", invite, "member { language } oneTimeToken { token }").await;
        assert_eq!(invited["member"]["language"], language);
        assert!(invited["oneTimeToken"]["token"].is_string());
    }
}
