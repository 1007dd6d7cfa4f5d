//! Mutations with an idempotency key, in their input or in the header.

use std::collections::BTreeSet;

use poem::Request;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Crash, TestServer, mapping, terms};

/// They change nothing, or are for those who have not signed in.
const WITHOUT: [&str; 5] = ["acceptToken", "previewMapping", "refreshSession", "signIn", "signOut"];

/// The mutations that the schema has, each with the fields of its input as `name: kind name`.
async fn mutations(server: &TestServer, token: &str) -> Vec<(String, Vec<String>)> {
    let query = "{ __schema { mutationType { fields { name args { name type { ofType { inputFields { name type { kind name } } } } } } } } }";
    let fields = server.query(token, query, json!({})).await["__schema"]["mutationType"]["fields"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let described = |field: &Value| {
        assert_eq!((&field["args"][0]["name"], &field["args"][1]), (&json!("input"), &Value::Null), "{field}");
        let inputs = field["args"][0]["type"]["ofType"]["inputFields"].as_array().expect("fields");
        let inputs = inputs.iter().map(|input| {
            format!("{}: {} {}", text(&input["name"]), text(&input["type"]["kind"]), text(&input["type"]["name"]))
        });
        (text(&field["name"]), inputs.collect())
    };
    fields.as_array().expect("mutations").iter().map(described).collect()
}

#[tokio::test]
async fn every_mutation_that_changes_something_takes_a_key() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    for (name, inputs) in mutations(&server, &token).await {
        let takes = inputs.contains(&"idempotencyKey: SCALAR String".to_owned());
        assert_eq!(takes, !WITHOUT.contains(&name.as_str()), "{name}: {inputs:?}");
    }
}

/// A server that is sent every mutation there is, each several times.
struct Replays {
    server: TestServer,
    ada: String,
    done: BTreeSet<String>,
}

impl Replays {
    /// Sends a mutation whose input may have a key in it, with these keys in its header.
    async fn send(&self, mutation: &str, input: &Value, fields: &str, header: &[&str]) -> Value {
        let query = mutation_of(mutation, fields);
        let body = json!({ "query": query, "variables": { "input": input } });
        let answer = self.post(&body, header).await;
        assert!(answer["errors"].is_null(), "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    async fn post(&self, body: &Value, header: &[&str]) -> Value {
        let mut request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
        request = request.header("authorization", format!("Bearer {}", self.ada));
        for key in header {
            request = request.header("idempotency-key", *key);
        }
        let response = self.server.send(request.body(body.to_string())).await;
        let text = response.into_body().into_string().await.expect("text");
        let mut body: Value = serde_json::from_str(&text).expect("JSON");
        // Each answer leaves less of the budget.
        body.as_object_mut().expect("an object").shift_remove("extensions");
        body
    }

    /// What a mutation answers: the first time, again with its input the other way round, and again with its key in
    /// the header; and that its key is not good for another mutation.
    async fn replayed(&mut self, mutation: &str, input: Value, fields: &str) -> Value {
        let mut keyed = input.clone();
        keyed["idempotencyKey"] = json!(format!("key of {mutation}").replace(' ', "-"));
        let key = keyed["idempotencyKey"].as_str().expect("a key").to_owned();
        let first = self.send(mutation, &keyed, fields, &[]).await;
        assert_eq!(first["userErrors"], json!([]), "{mutation}");
        let mut reversed = json!({});
        for (name, value) in keyed.as_object().expect("an input").iter().rev() {
            reversed[name] = value.clone();
        }
        assert_eq!(self.send(mutation, &reversed, fields, &[]).await, first, "{mutation}");
        assert_eq!(self.send(mutation, &input, fields, &[&key]).await, first, "{mutation}");
        assert_eq!(self.send(mutation, &keyed, fields, &[&format!("\"{key}\"")]).await, first, "{mutation}");
        let other = if mutation == "renamePartner" { "disableMember" } else { "renamePartner" };
        let (input, fields) = match other {
            "disableMember" => (json!({ "memberId": "mem_1" }), "member { id }"),
            _ => (json!({ "partnerId": "par_1", "name": "Other" }), "partner { id }"),
        };
        let refused = self.send(other, &input, fields, &[&key]).await;
        assert_eq!(codes(&refused), ["IDEMPOTENCY_CONFLICT"], "what {mutation} did is kept under its key");
        assert!(self.done.insert(mutation.to_owned()), "{mutation} once");
        first
    }
}

fn mutation_of(mutation: &str, fields: &str) -> String {
    let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
    format!(
        "mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ {fields} userErrors {{ code field message }} }} }}"
    )
}

fn codes(payload: &Value) -> Vec<&str> {
    let errors = payload["userErrors"].as_array().expect("a list");
    errors.iter().map(|error| error["code"].as_str().expect("a code")).collect()
}

fn stake(external_id: &str, product: &str) -> Value {
    json!({
        "externalId": external_id, "kind": "STAKE", "amount": { "amount": "1", "currency": "BIT" },
        "occurredAt": "2021-11-20T19:44:19Z", "product": product
    })
}

#[tokio::test]
async fn every_mutation_answers_the_same_again() {
    let server = TestServer::new().await;
    let Crash { ada, source, contract, .. } = server.crash("acme").await;
    let mut all = Replays { server, ada, done: BTreeSet::new() };
    people(&mut all, &source).await;
    catalogue(&mut all).await;
    let partner = partners_and_sources(&mut all).await;
    contracts(&mut all, &partner).await;
    records(&mut all, &source, &contract).await;
    let known = mutations(&all.server, &all.ada).await.into_iter().map(|(name, _)| name);
    let known: BTreeSet<String> = known.filter(|name| !WITHOUT.contains(&name.as_str())).collect();
    assert_eq!(all.done, known, "a new mutation is sent here too");
}

async fn people(all: &mut Replays, source: &str) {
    let input = json!({ "email": "bo@acme.test", "name": "Bo", "role": "RISK" });
    let invited = all.replayed("inviteMember", input, "member { id state } oneTimeToken { token expiresAt }").await;
    let member = &invited["member"]["id"];
    let reset = "member { id } oneTimeToken { token expiresAt }";
    let reset = all.replayed("resetPassword", json!({ "memberId": member }), reset).await;
    assert_ne!(reset["oneTimeToken"], invited["oneTimeToken"]);
    all.replayed("setLanguage", json!({ "language": "KO" }), "member { id language }").await;
    all.replayed("setMemberRole", json!({ "memberId": member, "role": "READ_ONLY" }), "member { role }").await;
    all.replayed("disableMember", json!({ "memberId": member }), "member { id state }").await;
    all.replayed("enableMember", json!({ "memberId": member }), "member { id state }").await;
    let input = json!({ "sourceId": source, "name": "another feed" });
    let created = all.replayed("createApiKey", input, "apiKey { id name createdAt } secret").await;
    assert!(created["secret"].as_str().is_some_and(|secret| secret.starts_with("saldo_key_")));
    all.replayed("revokeApiKey", json!({ "apiKeyId": created["apiKey"]["id"] }), "apiKey { id revokedAt }").await;
}

async fn catalogue(all: &mut Replays) {
    all.replayed("createAsset", json!({ "code": "GEM", "exponent": 2 }), "asset { code }").await;
    let product = all.replayed("createProduct", json!({ "code": "dice", "name": "Dice" }), "product { id code }").await;
    let input = json!({ "productId": product["product"]["id"], "name": "Dice II", "theoreticalRtp": "0.96" });
    all.replayed("changeProduct", input, "product { id code }").await;
    let input = json!({ "player": "alice", "segment": "vip", "tags": ["b", "a"], "test": true });
    all.replayed("setPlayer", input, "player { pseudonym versions { validFrom segment tags test } }").await;
}

async fn partners_and_sources(all: &mut Replays) -> Value {
    let partner =
        all.replayed("createPartner", json!({ "name": "Studio" }), "partner { id reference createdAt }").await;
    let partner = partner["partner"]["id"].clone();
    let input = json!({ "partnerId": partner, "name": "Studios" });
    all.replayed("renamePartner", input, "partner { id reference name }").await;
    let input = json!({ "partnerId": partner, "name": "other", "mapping": mapping() });
    let source = all.replayed("createSource", input, "source { id name createdAt }").await["source"]["id"].clone();
    let mut changed = mapping();
    changed["encoding"] = json!("windows-1252");
    let input = json!({ "sourceId": source, "mapping": changed });
    all.replayed("updateSourceMapping", input, "source { id }").await;
    let calendar = json!({ "timeZone": "UTC", "from": "2021-11-01", "until": "2021-11-30" });
    let input = json!({ "sourceId": source, "calendar": calendar });
    all.replayed("setSourceCalendar", input, "source { id }").await;
    let input = json!({ "sourceId": source, "from": "2021-11-02", "until": "2021-11-04", "note": "a holiday" });
    all.replayed("signOffSourceDays", input, "days { day state transactions }").await;
    partner
}

async fn contracts(all: &mut Replays, partner: &Value) {
    let fields = "contract { id name } contractVersion { version state validFrom createdAt activatedAt }";
    let mut first = terms();
    first["advance"] = json!({});
    let input = json!({ "partnerId": partner, "name": "Share", "terms": first });
    let contract = all.replayed("createContract", input, fields).await["contract"]["id"].clone();
    let mut later = terms();
    later["validFrom"] = json!("2022-01-01");
    all.replayed("draftContractVersion", json!({ "contractId": contract, "terms": later }), fields).await;
    later["validFrom"] = json!("2022-02-01");
    let input = json!({ "contractId": contract, "version": 2, "revision": 1, "terms": later });
    all.replayed("changeContractDraft", input, fields).await;
    let case = json!({ "contractId": contract, "name": "Nothing", "facts": [], "expectedTotal": "0" });
    all.replayed("saveContractTestCase", case, "testCase { name expectedTotal }").await;
    let first = json!({ "contractId": contract, "version": 1 });
    let run = "contractVersion { state testedAt } results { name passed total }";
    let run = all.replayed("testContractVersion", first.clone(), run).await;
    assert_eq!(run["results"], json!([{ "name": "Nothing", "passed": true, "total": "0.00" }]));
    let checked = "contractVersion { state approvedAt history { kind madeAt note } }";
    let input = json!({ "contractId": contract, "version": 1, "revision": 1, "note": "fine" });
    all.replayed("approveContractVersion", input, checked).await;
    let input = json!({ "contractId": contract, "version": 1, "note": "not so fine" });
    let rejected = all.replayed("rejectContractVersion", input, checked).await;
    assert_eq!(rejected["contractVersion"]["history"].as_array().map(Vec::len), Some(4), "each step is done once");
    all.replayed("activateContractVersion", first, fields).await;
    let input = json!({ "contractId": contract, "kind": "ADVANCE", "amount": { "amount": "20", "currency": "BIT" },
        "happenedOn": "2021-11-01", "note": "signed" });
    all.replayed("recordFund", input, "fundEntry { id kind amount { amount } recordedAt }").await;
    let input = json!({ "contractId": contract, "currency": "BIT", "carriedAmount": "0.50",
        "carriedBase": [{ "amount": "-12.5" }] });
    all.replayed("setOpeningBalances", input, "contract { id }").await;
    let input = json!({ "contractId": contract, "name": "Nothing" });
    all.replayed("deleteContractTestCase", input, "contract { id testCases { name } }").await;
    let calendar = json!({ "code": "KR", "name": "Korea", "holidays": [{ "date": "2022-01-31", "name": "Seollal" }] });
    all.replayed("setBusinessCalendar", calendar, "businessCalendar { code revision changedAt }").await;
    all.replayed("updateContractPolicy", json!({ "approval": "NONE" }), "contractPolicy { approval }").await;
    let mut elsewhere = terms();
    elsewhere["role"] = json!("AGENT");
    let input = json!({ "name": "Agents", "terms": elsewhere });
    all.replayed("saveContractTemplate", input, "contractTemplate { name changedAt }").await;
    let input = json!({ "template": "Agents", "partnerId": partner, "name": "Agents" });
    all.replayed("createContractFromTemplate", input, fields).await;
    all.replayed("deleteContractTemplate", json!({ "name": "Agents" }), "name").await;
    let other = all.server.mutate(&all.ada, "createPartner", json!({ "name": "Other" }), "partner { id }").await;
    let input = json!({ "contractId": contract, "version": 1, "partnerId": other["partner"]["id"], "name": "Copy" });
    all.replayed("copyContract", input, fields).await;
}

async fn records(all: &mut Replays, source: &str, contract: &str) {
    let results = "results { externalId outcome quarantinedRecord { id } transaction { id } }";
    let unknown = ["2", "3"].map(|id| stake(id, "plinko"));
    let input = json!({ "source": "crash", "transactions": [stake("1", "crash"), unknown[0], unknown[1]] });
    let recorded = all.replayed("recordTransactions", input, results).await["results"].clone();
    assert_eq!((&recorded[0]["outcome"], &recorded[1]["outcome"]), (&json!("RECORDED"), &json!("QUARANTINED")));

    let (second, third) = (&recorded[1]["quarantinedRecord"]["id"], &recorded[2]["quarantinedRecord"]["id"]);
    let retry = json!({ "quarantinedRecordId": second, "idempotencyKey": "key-of-retryQuarantinedRecord" });
    let fields = "quarantinedRecord { id state } results { externalId outcome transaction { id } }";
    let still = all.send("retryQuarantinedRecord", &retry, fields, &[]).await;
    assert_eq!(codes(&still), ["UNKNOWN_PRODUCT"]);
    all.server.mutate(&all.ada, "createProduct", json!({ "code": "plinko", "name": "P" }), "product { id }").await;
    let retried = all.replayed("retryQuarantinedRecord", json!({ "quarantinedRecordId": second }), fields).await;
    assert_eq!(retried["results"][0]["outcome"], "RECORDED", "a refusal has left the key free");
    let input = json!({ "quarantinedRecordId": third, "note": "a test of theirs" });
    all.replayed("dismissQuarantinedRecord", input, "quarantinedRecord { id state note }").await;

    let operator = all.server.domain.operator("acme").await.expect("its operator");
    let operator = all.server.domain.for_caller(operator);
    let id = domain::ids::SourceId::parse(source).expect("an id");
    let run = operator.begin_import(id, "a.csv", None).await.expect("a run").id.to_string();
    all.replayed("abandonImportRun", json!({ "importRunId": run }), "importRun { id state }").await;

    crate::isolation::raise(&all.server, &all.ada, "crash", "odd", 1).await;
    let cases = all.server.query(&all.ada, "{ anomalyCases { nodes { id } } }", json!({})).await;
    let input = json!({ "caseId": cases["anomalyCases"]["nodes"][0]["id"], "verdict": "UNSURE", "note": "who knows" });
    all.replayed("reviewAnomalyCase", input, "case { id state reviewedAt reviewNote }").await;
    let detector = "detector { alertRate mostAlertsADay training }";
    all.replayed("setAlertRate", json!({ "alertRate": "0.01", "mostAlertsADay": 20 }), detector).await;
    all.replayed("trainDetector", json!({}), detector).await;

    let query = "{ settlements { nodes { id contract { id } } } }";
    let settlements = all.server.query(&all.ada, query, json!({})).await["settlements"]["nodes"].clone();
    let mut settlements = settlements.as_array().expect("a list").iter();
    let settlement = &settlements.find(|row| row["contract"]["id"] == contract).expect("one")["id"];
    let fields = "settlement { id state transactionCount closedAt }";
    let closed = all.replayed("closeSettlement", json!({ "settlementId": settlement }), fields).await;
    assert_eq!(closed["settlement"]["state"], "CLOSED");
}

#[tokio::test]
async fn a_key_is_for_one_mutation_with_one_input() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let all = Replays { server, ada, done: BTreeSet::new() };
    let create = async |input: Value, header: &[&str]| {
        let payload = all.send("createPartner", &input, "partner { id }", header).await;
        let codes = codes(&payload).join(" ");
        let field = payload["userErrors"][0]["field"].clone();
        if codes.is_empty() { payload["partner"]["id"].to_string() } else { format!("{codes} {field}") }
    };
    let first = create(json!({ "name": "A" }), &["k"]).await;
    assert!(first.contains("par_"), "{first}");
    let conflict = r#"IDEMPOTENCY_CONFLICT ["idempotencyKey"]"#;
    assert_eq!(create(json!({ "name": "B" }), &["k"]).await, conflict);
    assert_eq!(create(json!({ "name": "A", "reference": "a" }), &["k"]).await, conflict);
    let bad = r#"BAD_INPUT ["idempotencyKey"]"#;
    assert_eq!(create(json!({ "name": "A", "idempotencyKey": "k" }), &["other"]).await, bad);
    for keys in [&["two words"][..], &[""], &["k", "k"], &["\"\""], &["\u{e9}"], &[&"k".repeat(256)]] {
        assert_eq!(create(json!({ "name": "C" }), keys).await, bad, "{keys:?}");
    }
    assert_eq!(create(json!({ "name": "C", "idempotencyKey": "" }), &[]).await, bad);

    // Written into the query, the same input is the same request.
    let inline = r#"mutation { other: createPartner(input: { name: "A", idempotencyKey: "k" }) { partner { id } } }"#;
    let answer = all.post(&json!({ "query": inline }), &[]).await;
    assert_eq!(answer["data"]["other"]["partner"]["id"].to_string(), first);
    let role =
        "mutation($r: Role!) { inviteMember(input: { role: $r, name: \"B\", email: \"b@b.b\" }) { member { id } } }";
    let invited = all.post(&json!({ "query": role, "variables": { "r": "RISK" } }), &["m"]).await;
    let role = "mutation { inviteMember(input: { email: \"b@b.b\", name: \"B\", role: RISK }) { member { id } } }";
    let again = all.post(&json!({ "query": role }), &["m"]).await;
    assert!(invited["data"]["inviteMember"]["member"]["id"].is_string(), "{invited}");
    assert_eq!(again["data"]["inviteMember"], invited["data"]["inviteMember"]);

    // Several mutations: each its own key, and none in the header, also where they hide in a fragment.
    let two = |a: &str, b: &str| {
        format!(
            "mutation {{ a: createPartner(input: {{ name: \"D\" {a} }}) {{ partner {{ id }} userErrors {{ code }} }} ...rest }} \
             fragment rest on Mutation {{ ... {{ b: createPartner(input: {{ name: \"E\" {b} }}) {{ partner {{ id }} userErrors {{ code }} }} }} }}"
        )
    };
    let refused = all.post(&json!({ "query": two("", "") }), &["n"]).await;
    assert_eq!((codes(&refused["data"]["a"]), codes(&refused["data"]["b"])), (vec!["BAD_INPUT"], vec!["BAD_INPUT"]));
    let keyed = json!({ "query": two("idempotencyKey: \"d\"", "idempotencyKey: \"e\"") });
    let done = all.post(&keyed, &[]).await;
    assert!(done["data"]["b"]["partner"]["id"].is_string(), "{done}");
    assert_eq!(all.post(&keyed, &[]).await, done);
    let batch = json!([{ "query": inline }, { "query": inline }]);
    let refused = all.post(&batch, &["k"]).await;
    assert!(refused["errors"][0]["message"].as_str().is_some_and(|text| text.contains("in a batch")), "{refused}");
    let partners = all.server.query(&all.ada, "{ partners { nodes { name } } }", json!({})).await;
    assert_eq!(partners["partners"]["nodes"].as_array().expect("a list").len(), 3, "{partners}");
}
