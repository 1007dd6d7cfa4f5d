//! Who may do what, over every root field that the schema has: a field that is new is refused to everybody here until
//! it is listed.

use std::collections::{BTreeMap, BTreeSet};

use poem::http::Method;
use serde_json::{Map, Value, json};

use crate::shape::text;
use crate::support::{PASSWORD, TestServer, code};
use crate::told::until;

/// For who has not signed in; they take no caller.
const SESSIONS: [&str; 4] = ["signIn", "refreshSession", "signOut", "acceptToken"];
/// What every member does for itself.
const OWN: [&str; 1] = ["setLanguage"];
/// Lists of the tenant's own, not for its partners and machines.
const ADMINISTRATORS: [&str; 3] = ["members", "apiKeys", "booksCheck"];
/// For risk staff beside administrators.
const REVIEWERS: [&str; 3] = ["reviewAnomalyCase", "setAlertRate", "trainDetector"];
/// For every member, a partner's user among them; machines follow nothing.
const FOLLOWED: [&str; 1] = ["settlementUpdated"];
/// For members of the tenant itself.
const FOLLOWED_INSIDE: [&str; 2] = ["anomalyRaised", "simulateContractVersion"];
const MACHINES: [&str; 4] = ["viewer", "node", "recordTransactions", "abandonImportRun"];

/// The schema by introspection, and input values that satisfy it.
struct Types {
    types: BTreeMap<String, Value>,
    /// An unfinished import: who may give it up depends on its source.
    run: String,
}

impl Types {
    async fn read(server: &TestServer, token: &str, run: String) -> Self {
        let reference = "type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
        let query = format!(
            "{{ __schema {{ types {{ name kind enumValues {{ name }} inputFields {{ name defaultValue {reference} }}
               fields {{ name args {{ name defaultValue {reference} }} {reference} }} }} }} }}"
        );
        let schema = server.query(token, &query, json!({})).await;
        let types = schema["__schema"]["types"].as_array().expect("types").iter();
        let types = types.map(|kind| (kind["name"].as_str().expect("a name").to_owned(), kind.clone())).collect();
        Self { types, run }
    }

    fn fields(&self, name: &str) -> &[Value] {
        self.types[name]["fields"].as_array().expect("fields")
    }

    /// A value for an argument or a field of an input.
    fn value(&self, name: &str, kind: &Value) -> Value {
        if kind["kind"] == "NON_NULL" {
            return self.value(name, &kind["ofType"]);
        }
        if kind["kind"] == "LIST" {
            return json!([self.value(name, &kind["ofType"])]);
        }
        let type_name = kind["name"].as_str().expect("a named type");
        match (kind["kind"].as_str(), type_name, name) {
            (Some("ENUM"), ..) => self.types[type_name]["enumValues"][0]["name"].clone(),
            (Some("INPUT_OBJECT"), ..) => Value::Object(self.object(type_name)),
            (_, "Int", _) => json!(1),
            (_, "Boolean", _) => json!(false),
            (_, "Decimal", _) => json!("1"),
            (_, "Date", _) => json!("2021-11-01"),
            (_, "DateTime", _) => json!("2021-11-01T00:00:00Z"),
            (_, _, "timeZone") => json!("UTC"),
            (_, _, "source") => json!("crash"),
            (_, _, "importRunId") => json!(self.run),
            _ => json!("x"),
        }
    }

    fn object(&self, type_name: &str) -> Map<String, Value> {
        let fields = self.types[type_name]["inputFields"].as_array().expect("input fields").iter();
        let required =
            fields.clone().filter(|field| field["type"]["kind"] == "NON_NULL" && field["defaultValue"].is_null());
        // An input of which one field is set has none that is required.
        let any = if type_name == "BaseInput" { fields.take(1).collect() } else { Vec::new() };
        let named = |field: &Value| {
            let name = field["name"].as_str().expect("a name");
            (name.to_owned(), self.value(name, &field["type"]))
        };
        required.chain(any).map(named).collect()
    }

    /// A request for one root field, with its variables.
    fn request(&self, operation: &str, field: &Value) -> (String, Value) {
        let (name, mut variables, mut declared, mut passed) =
            (&field["name"], Map::new(), String::new(), String::new());
        for argument in field["args"].as_array().into_iter().flatten() {
            let kind = &argument["type"];
            if kind["kind"] != "NON_NULL" {
                continue;
            }
            let (argument, type_name) = (argument["name"].as_str().expect("a name"), &kind["ofType"]["name"]);
            variables.insert(argument.to_owned(), self.value(argument, kind));
            declared += &format!("${argument}: {}! ", type_name.as_str().expect("a named type"));
            passed += &format!("{argument}: ${argument} ");
        }
        let parenthesised = |text: String| if text.is_empty() { text } else { format!("({text})") };
        let (declared, passed) = (parenthesised(declared), parenthesised(passed));
        let name = name.as_str().expect("a name");
        (format!("{operation} Q{declared} {{ {name}{passed} {{ __typename }} }}"), Value::Object(variables))
    }
}

/// Whether this caller may follow a field. Something has happened after `begin` that each of them may hear of: whoever
/// is told neither that nor a refusal follows something of which this test makes no event yet.
async fn follows(server: &TestServer, field: &Value, token: &str, begin: &str) -> bool {
    let name = text(field, "name");
    let arguments = match crate::followed::ENDING.iter().any(|(ending, _)| *ending == name) {
        true => r#"input: { contractId: "x", version: 1, from: "2021-11-01", to: "2021-11-02" }"#.to_owned(),
        false => format!("after: \"{begin}\""),
    };
    let query = format!("subscription {{ {name}({arguments}) {{ __typename }} }}");
    let mut stream = server.stream(token, &query).await.into_body().into_bytes_stream();
    let told = until(&mut stream, "\n\n").await;
    let heard = told.contains("\"data\":{");
    assert!(heard || told.contains("\"FORBIDDEN\""), "{query}: {told}");
    heard
}

/// The root fields that this caller is not refused.
async fn allowed(server: &TestServer, types: &Types, token: &str, begin: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for field in types.fields("Subscription") {
        if follows(server, field, token, begin).await {
            allowed.insert(text(field, "name").to_owned());
        }
    }
    allowed.extend(answered(server, types, token).await);
    allowed
}

async fn answered(server: &TestServer, types: &Types, token: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for (operation, root) in [("query", "Query"), ("mutation", "Mutation")] {
        for field in types.fields(root) {
            let (query, variables) = types.request(operation, field);
            let answer = server.ask(Some(token), &query, variables).await;
            match code(&answer) {
                "FORBIDDEN" => {}
                "none" => drop(allowed.insert(field["name"].as_str().expect("a name").to_owned())),
                _ => panic!("{query}: {answer}"),
            }
        }
    }
    allowed
}

#[tokio::test]
async fn every_root_field_is_refused_to_who_may_not() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let begun = [("upload-complete", "?0")];
    let begun = server.upload(Method::POST, "/v1/sources/crash/files", &crash.key, &begun, "").await;
    let run = begun.location.rsplit('/').next().unwrap().to_owned();
    let viewer = server.query(&crash.ada, "{ viewer { eventCursor } }", json!({})).await;
    let begin = text(&viewer["viewer"], "eventCursor");
    let stake = json!({
        "externalId": "1", "kind": "STAKE", "amount": { "amount": "1", "currency": "BIT" },
        "occurredAt": "2021-11-15T12:00:00Z", "product": "crash",
    });
    let input = json!({ "source": "crash", "transactions": [stake] });
    server.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
    crate::isolation::raise(&server, &crash.ada, "crash", "odd", 1).await;
    let types = Types::read(&server, &crash.ada, run).await;
    let queries: BTreeSet<String> =
        types.fields("Query").iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let own = set(&SESSIONS);
    for (email, role, partner) in [
        ("reader@acme.test", "READ_ONLY", Value::Null),
        ("risk@acme.test", "RISK", Value::Null),
        ("partner@acme.test", "READ_ONLY", json!(crash.partner)),
    ] {
        let invite = json!({ "email": email, "name": "M", "role": role, "partnerId": partner.clone() });
        let invited = server.mutate(&crash.ada, "inviteMember", invite, "oneTimeToken { token }").await;
        let once = invited["oneTimeToken"]["token"].as_str().unwrap();
        server.domain.accept_token(once, PASSWORD).await.expect("a password");
        let token = server.token("acme", email).await;
        let reviews = if role == "RISK" { set(&REVIEWERS) } else { BTreeSet::new() };
        let inside = if partner.is_null() { set(&FOLLOWED_INSIDE) } else { BTreeSet::new() };
        let expected: BTreeSet<String> = queries
            .difference(&set(&ADMINISTRATORS))
            .cloned()
            .chain(own.clone())
            .chain(set(&OWN))
            .chain(set(&FOLLOWED))
            .chain(inside)
            .chain(reviews)
            .collect();
        assert_eq!(allowed(&server, &types, &token, begin).await, expected, "{email}");
    }
    let machine: BTreeSet<String> = set(&MACHINES).into_iter().chain(own).collect();
    assert_eq!(allowed(&server, &types, &crash.key, begin).await, machine);
    let unchanged = "{ sources { nodes { name mappingVersion } } transactions { nodes { externalId } } products { nodes { code } } }";
    let unchanged = server.query(&crash.ada, unchanged, json!({})).await;
    assert_eq!(unchanged["sources"]["nodes"], json!([{ "name": "crash", "mappingVersion": 1 }]));
    assert_eq!(unchanged["products"]["nodes"], json!([{ "code": "crash" }]));
}
