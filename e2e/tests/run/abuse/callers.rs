//! Credentials that are forged, used twice or guessed, and what another caller has sent.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::{Attacked, Most, code};
use crate::saldo::PASSWORD;

/// Measured: up to 10 ms and 1 MiB.
const TOKEN: Most = Most(150, 6);
/// Measured: up to 10 ms and 1 MiB.
const SMALL: Most = Most(200, 6);
/// Measured: up to 140 ms and 77 MiB, four hashes of 19 MiB one after the other; all 45 would take 1,500 ms.
const GUESSES: Most = Most(700, 128);

/// The parts of a token: its header, its claims, and what is signed of them.
struct Token {
    header: Value,
    claims: Value,
    signature: String,
}

impl Token {
    fn read(token: &str) -> Self {
        let parts: Vec<&str> = token.split('.').collect();
        let json = |part: &str| serde_json::from_slice(&BASE64.decode(part).expect("base64")).expect("JSON");
        Self { header: json(parts[0]), claims: json(parts[1]), signature: parts[2].to_owned() }
    }

    fn text(&self) -> String {
        let part = |json: &Value| BASE64.encode(json.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    /// With the signature that it had.
    fn kept(&self) -> String {
        format!("{}.{}", self.text(), self.signature)
    }

    fn signed_by(&self, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let text = self.text();
        let signature = sign(text.as_bytes());
        format!("{text}.{}", BASE64.encode(signature))
    }
}

/// Tokens that somebody could make of a good one, without the key that signed it.
fn forgeries(good: &str) -> Vec<(String, String)> {
    let thief = Ed25519KeyPair::generate().expect("a key");
    let by_thief = |token: &Token| token.signed_by(|text| thief.sign(text).as_ref().to_vec());
    let with = |name: &str, value: Value| {
        let mut token = Token::read(good);
        token.header[name] = value;
        token
    };
    let mut forged: Vec<(String, String)> = Vec::new();
    for alg in ["none", "None", "NONE", ""] {
        forged.push((format!("alg '{alg}', unsigned"), format!("{}.", with("alg", json!(alg)).text())));
        forged.push((format!("alg '{alg}'"), with("alg", json!(alg)).kept()));
    }
    // Secrets that are no secrets. The public key is not to be had from outside; a test of the core has it.
    let kid = Token::read(good).header["kid"].as_str().expect("a key's id").to_owned();
    for secret in [Vec::new(), kid.clone().into_bytes(), BASE64.decode(&kid).unwrap_or_default(), vec![0; 32]] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = with("alg", json!("HS256")).signed_by(|text| hmac::sign(&key, text).as_ref().to_vec());
        forged.push((format!("HS256 with a secret of {} bytes", secret.len()), signed));
    }
    for alg in ["HS256", "RS256", "ES256", "PS256"] {
        forged.push((format!("{alg} with the signature of EdDSA"), with("alg", json!(alg)).kept()));
    }
    for kid in [json!("other"), json!(""), json!(null), json!(7), json!("../../dev/null"), json!("x' OR '1'='1")] {
        forged.push((format!("kid {kid}"), by_thief(&with("kid", kid.clone()))));
    }
    // Where to get the key from, says the thief.
    let public = BASE64.encode(thief.public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public, "kid": kid });
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:9/jwks.json")),
        ("x5u", json!("http://127.0.0.1:9/cert.pem")),
        ("x5c", json!([public])),
        ("jwk", jwk),
        ("crit", json!(["exp"])),
    ] {
        forged.push((format!("header {name}"), by_thief(&with(name, value))));
    }
    for (claim, value) in [
        ("aud", json!("other")),
        ("iss", json!("other")),
        ("exp", json!(1)),
        ("exp", json!(9_999_999_999_u64)),
        ("nbf", json!(9_999_999_999_u64)),
        ("sub", json!("mem_01990000000070008000000000000001")),
        ("tenant", json!("ten_01990000000070008000000000000001")),
    ] {
        let mut token = Token::read(good);
        token.claims[claim] = value;
        forged.push((format!("{claim}, signature kept"), token.kept()));
        forged.push((format!("{claim}, signed by a thief"), by_thief(&token)));
    }
    let whole = Token::read(good);
    forged.push(("unsigned".to_owned(), format!("{}.", whole.text())));
    forged.push(("two parts".to_owned(), whole.text()));
    forged.push(("dots".to_owned(), ".".repeat(50_000)));
    forged.push(("braces".to_owned(), format!("{}.e30.", BASE64.encode("{\"a\":".repeat(20_000)))));
    forged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_token_is_nobodys() {
    let server = Attacked::new().await;
    let asks = json!({ "query": "{ __typename viewer { tenant { slug } } }" }).to_string();
    for (what, token) in forgeries(&server.ada) {
        let (status, answer) = server.case(&what, TOKEN, server.ask(Some(&token), asks.clone())).await;
        assert_eq!((status, code(&answer), answer.get("data")), (401, "UNAUTHENTICATED", None), "{what}: {answer}");
        let closed = server.case(&what, TOKEN, super::sockets::greeted(&server, &token)).await;
        assert_eq!(closed, 4403, "{what}");
    }
}

/// Signs in, as JSON: access and refresh token.
async fn session(server: &Attacked) -> Value {
    let input = json!({ "tenant": "acme", "email": "ada@acme.test", "password": PASSWORD });
    let query = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken } }";
    server.saldo.graphql(None, query, json!({ "input": input })).await["signIn"].take()
}

async fn refreshed(server: &Attacked, token: &Value) -> Value {
    let query = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken refreshToken \
                 userErrors { code } } }";
    let input = json!({ "input": { "refreshToken": token } });
    server.saldo.graphql(None, query, input).await["refreshSession"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_in_two_hands_ends_its_session() {
    let server = Attacked::new().await;
    let first = session(&server).await;
    let second = refreshed(&server, &first["refreshToken"]).await;
    let socket = super::sockets::opened(&server, second["accessToken"].as_str().expect("a token")).await;
    let stolen = server.case("a refresh token used again", SMALL, refreshed(&server, &first["refreshToken"])).await;
    assert_eq!(stolen["userErrors"][0]["code"], "BAD_CREDENTIALS");
    assert_eq!(stolen["accessToken"], Value::Null);
    let late = refreshed(&server, &second["refreshToken"]).await;
    assert_eq!(late["userErrors"][0]["code"], "BAD_CREDENTIALS", "the one that was not used, too");
    for session in [&first, &second] {
        let asks = json!({ "query": "{ __typename }" }).to_string();
        let (status, answer) = server.ask(session["accessToken"].as_str(), asks).await;
        assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"), "access tokens, too");
    }
    assert_eq!(super::sockets::end(socket).await, Some(4403), "and what is open");
}

fn guess(email: &str) -> String {
    let input = format!("{{ tenant: \"acme\", email: \"{email}\", password: \"wrong\" }}");
    format!("signIn(input: {input}) {{ accessToken userErrors {{ code }} }}")
}

/// Nine in each of five requests, sent as one: their codes, in order.
async fn guessed(server: &Attacked, guess: &str) -> Vec<String> {
    let fields: String = (0..9).map(|n| format!("g{n}: {guess} ")).collect();
    let batch = json!(vec![json!({ "query": format!("mutation {{ {fields} }}") }); 5]);
    let (_, answers) = server.ask(None, batch.to_string()).await;
    let answers = answers.as_array().expect("a batch").iter();
    let payloads = answers.flat_map(|answer| (0..9).map(move |n| &answer["data"][format!("g{n}")]));
    payloads
        .map(|payload| payload["userErrors"][0]["code"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted_one_by_one_whatever_they_come_in() {
    let code = "acceptToken(input: { token: \"x\", password: \"correct staple battery\" }) { userErrors { code } }";
    let refresh = "refreshSession(input: { refreshToken: \"x\" }) { userErrors { code } }";
    // An account has four tries, which do not come back while the test runs, and an address 24; the honest sign-in of
    // the start has taken one of each.
    for (what, guess, let_through) in [
        ("a password", guess("ada@acme.test"), 3),
        ("a password of nobody", guess("nobody@acme.test"), 4),
        ("a one-time token", code.to_owned(), 23),
        ("a refresh token", refresh.to_owned(), 23),
    ] {
        let server = Attacked::with(&[("SALDO_RATE_SIGN_IN", "4/86400")]).await;
        let codes = server.case(&format!("45 guesses at {what}"), GUESSES, guessed(&server, &guess)).await;
        let expected = [vec!["BAD_CREDENTIALS"; let_through], vec!["RATE_LIMITED"; 45 - let_through]].concat();
        assert_eq!(codes, expected, "{what}");
        let right = self::guess("ada@acme.test").replace("wrong", PASSWORD);
        let (_, answer) = server.ask(None, json!({ "query": format!("mutation {{ {right} }}") }).to_string()).await;
        let code = &answer["data"]["signIn"]["userErrors"][0]["code"];
        assert_eq!(code, "RATE_LIMITED", "after {what}, not even the right one");
    }
}

fn by_hash(query: Option<&str>, hashed: &str) -> String {
    let hash: String =
        digest::digest(&digest::SHA256, hashed.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut request = json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
    if let Some(query) = query {
        request["query"] = json!(query);
    }
    request.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_known_to_the_tenant_that_sent_it_and_under_its_own_hash() {
    let server = Attacked::new().await;
    let eve = server.saldo.token("bolt").await;
    let (ada, eve) = (Some(server.ada.as_str()), Some(eve.as_str()));
    let asks = "{ viewer { tenant { slug } } }";
    let change = "mutation { createPartner(input: { name: \"Planted\" }) { partner { id } } }";
    let (_, kept) = server.ask(ada, by_hash(Some(asks), asks)).await;
    assert_eq!(kept["data"]["viewer"]["tenant"]["slug"], "acme");
    for (what, token) in [("another tenant", eve), ("nobody", None)] {
        let (_, answer) = server.case(what, SMALL, server.ask(token, by_hash(None, asks))).await;
        assert_eq!((code(&answer), answer.get("data")), ("PERSISTED_QUERY_NOT_FOUND", None), "{what}");
    }
    // A change under the hash of what somebody is known to ask.
    let other = "{ viewer { tenant { name } } }";
    for token in [ada, eve] {
        let (_, answer) = server.case("another's hash", SMALL, server.ask(token, by_hash(Some(change), other))).await;
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", None));
        let (_, answer) = server.ask(ada, by_hash(None, other)).await;
        assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND", "nothing is kept of it");
    }
    for token in [ada, eve] {
        let partners = server.saldo.graphql(token, "{ partners { nodes { id } } }", json!({})).await;
        assert_eq!(partners["partners"]["nodes"], json!([]), "and nothing was run");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_tells_nothing_of_anothers_request() {
    let server = Attacked::new().await;
    let eve = server.saldo.token("bolt").await;
    let bob = server.second("acme", &server.ada).await;
    let invite = json!({ "email": "carol@x.test", "name": "Carol", "role": "RISK", "idempotencyKey": "key" });
    let fields = "member { id } oneTimeToken { token } userErrors { code }";
    let query = format!("mutation($input: InviteMemberInput!) {{ inviteMember(input: $input) {{ {fields} }} }}");
    let invited = async |token: &str, input: &Value| {
        server.saldo.graphql(Some(token), &query, json!({ "input": input })).await["inviteMember"].take()
    };
    let hers = invited(&server.ada, &invite).await;
    let secret = hers["oneTimeToken"]["token"].as_str().expect("a token");
    assert_eq!(invited(&server.ada, &invite).await, hers, "her own request is one");
    // The same request under the same key is another's own: Carol is there already, and her token is not told again.
    let his = server.case("another member's key", SMALL, invited(&bob, &invite)).await;
    assert_eq!((&his["userErrors"][0]["code"], &his["oneTimeToken"]), (&json!("ALREADY_EXISTS"), &Value::Null));
    let rivals = server.case("another tenant's key", SMALL, invited(&eve, &invite)).await;
    assert_eq!(rivals["userErrors"], json!([]), "she has invited nobody yet");
    assert_ne!(rivals["member"], hers["member"]);
    assert!(rivals["oneTimeToken"]["token"].as_str().is_some_and(|token| token != secret));
    // Nor does another request find a conflict that would tell of it.
    let mut other = invite.clone();
    other["email"] = json!("dan@x.test");
    for token in [&bob, &eve] {
        other["idempotencyKey"] = json!(if token == &bob { "key" } else { "key2" });
        assert_eq!(invited(token, &other).await["userErrors"], json!([]));
        other["email"] = json!("eli@x.test");
    }
    let conflict = invited(&server.ada, &other).await;
    assert_eq!(conflict["userErrors"], json!([]), "a key of Eve's is none of hers");
    other["idempotencyKey"] = json!("key");
    assert_eq!(invited(&server.ada, &other).await["userErrors"][0]["code"], "IDEMPOTENCY_CONFLICT", "her own is");
    let members = server.saldo.graphql(Some(&eve), "{ members { nodes { email } } }", json!({})).await;
    assert!(!members.to_string().contains("acme"), "{members}");
}
