//! Every place of the schema where a client names a thing, found by introspection: what another has is answered byte
//! for byte as what nobody has, and nothing of another's is in any answer. A place that is new fails until it has a
//! case.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::isolation::{close_all, fill, raise};
use crate::shape::{Shape, list, named, text};
use crate::support::{Crash, PASSWORD, TestServer, mapping, terms};

/// A place, the type of what it names, and arguments of its root field that are good but for `?`. `$Type` is the
/// caller's own thing of that type.
pub type Case = (&'static str, &'static str, Value);

/// A contract whose settlements are split.
const SHARED: &str = "Contract, shared";

fn queries() -> Vec<Case> {
    let filter = |field: &str| json!({ "filter": { field: "?" } });
    vec![
        ("Query.node.id", "Partner", json!({ "id": "?" })),
        ("Query.transactions.filter.sourceId", "Source", filter("sourceId")),
        ("Query.importRuns.filter.sourceId", "Source", filter("sourceId")),
        ("Query.quarantine.filter.sourceId", "Source", filter("sourceId")),
        ("Query.conflicts.filter.sourceId", "Source", filter("sourceId")),
        ("Query.settlements.filter.contractId", "Contract", filter("contractId")),
        ("Query.fundEntries.filter.contractId", "Contract", filter("contractId")),
        ("Query.settlements.filter.partnerId", "Partner", filter("partnerId")),
        ("Query.settlementParts.filter.contractId", SHARED, filter("contractId")),
        ("Query.settlementParts.filter.partnerId", "Partner", filter("partnerId")),
        ("Query.settlementLineExplanation.settlementId", "Settlement", json!({ "settlementId": "?", "position": 1 })),
        ("Query.transactionExplanation.transactionId", "Transaction", json!({ "transactionId": "?" })),
        ("Query.anomalyCases.filter.sourceId", "Source", filter("sourceId")),
    ]
}

fn scoped_terms() -> Value {
    let mut terms = terms();
    terms["scope"]["sources"] = json!(["?"]);
    terms
}

/// Terms with a party to be named; the other one is the caller's own partner.
fn split_terms(kind: &str) -> Value {
    let mut terms = terms();
    let parties = json!([{ "partner": "?", "percent": "4" }, { "partner": "$Partner", "percent": "8" }]);
    // No source that another partner's user cannot see, which would be said first.
    terms["scope"] = json!({});
    terms["split"] = json!({ kind: { "parties": parties } });
    if kind == "parallel" {
        for party in terms["split"][kind]["parties"].as_array_mut().expect("a list") {
            party["percent"] = json!("50");
        }
    }
    terms
}

/// In an order in which the caller's own things can be named one after the other.
pub fn mutations() -> Vec<Case> {
    [masters(), splits(), agreements_and_records(), versions()].concat()
}

fn input(place: &'static str, kind: &'static str, input: Value) -> Case {
    (place, kind, json!({ "input": input }))
}

fn masters() -> Vec<Case> {
    let day = "2021-11-01";
    let invited = json!({ "email": "new@x.test", "name": "x", "role": "READ_ONLY", "partnerId": "?" });
    vec![
        input("Mutation.createApiKey.input.sourceId", "Source", json!({ "sourceId": "?", "name": "x" })),
        input("Mutation.inviteMember.input.partnerId", "Partner", invited),
        input("Mutation.setMemberRole.input.memberId", "Member", json!({ "memberId": "?", "role": "RISK" })),
        input("Mutation.resetPassword.input.memberId", "Member", json!({ "memberId": "?" })),
        input("Mutation.renamePartner.input.partnerId", "Partner", json!({ "partnerId": "?", "name": "x" })),
        input("Mutation.changeProduct.input.productId", "Product", json!({ "productId": "?", "name": "x" })),
        input(
            "Mutation.createSource.input.partnerId",
            "Partner",
            json!({ "partnerId": "?", "name": "x", "mapping": mapping() }),
        ),
        input(
            "Mutation.updateSourceMapping.input.sourceId",
            "Source",
            json!({ "sourceId": "?", "mapping": mapping() }),
        ),
        input("Mutation.previewMapping.input.sourceId", "Source", json!({ "sourceId": "?", "text": "a" })),
        input("Mutation.setSourceCalendar.input.sourceId", "Source", json!({ "sourceId": "?", "calendar": null })),
        input(
            "Mutation.signOffSourceDays.input.sourceId",
            "Source",
            json!({ "sourceId": "?", "from": day, "until": day, "note": "x" }),
        ),
    ]
}

/// What is done to versions, and contracts that are made of others. The partner has an active contract already, so that
/// copies have another part to play.
fn versions() -> Vec<Case> {
    let scope = json!({ "scope": { "sources": ["?"] } });
    let version = json!({ "contractId": "?", "version": 2 });
    let with = |more: Value| {
        let mut input = version.clone();
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        input
    };
    let case = json!({ "contractId": "?", "name": "Nothing", "facts": [], "expectedTotal": "0" });
    let made = |name: &str, partner: &str| json!({ "template": "Agents", "partnerId": partner, "name": name });
    let copied = |contract: &str, partner: &str, name: &str| json!({ "contractId": contract, "version": 1, "partnerId": partner, "name": name });
    let changed = |mut input: Value| {
        input["changes"] = scope.clone();
        input
    };
    vec![
        input("Mutation.saveContractTestCase.input.contractId", "Contract", case),
        input(
            "Mutation.recordFund.input.contractId",
            "Contract",
            json!({ "contractId": "?", "kind": "ADVANCE", "amount": { "amount": "1", "currency": "BIT" },
                    "happenedOn": "2021-11-01", "note": "x" }),
        ),
        input(
            "Mutation.setOpeningBalances.input.contractId",
            "Contract",
            json!({ "contractId": "?", "currency": "BIT" }),
        ),
        input("Mutation.testContractVersion.input.contractId", "Contract", version.clone()),
        input("Mutation.approveContractVersion.input.contractId", "Contract", with(json!({ "revision": 1 }))),
        input("Mutation.rejectContractVersion.input.contractId", "Contract", with(json!({ "note": "x" }))),
        input(
            "Mutation.deleteContractTestCase.input.contractId",
            "Contract",
            json!({ "contractId": "?", "name": "Nothing" }),
        ),
        input(
            "Mutation.saveContractTemplate.input.terms.scope.sources",
            "Source",
            json!({ "name": "x", "terms": scoped_terms() }),
        ),
        input(
            "Mutation.saveContractTemplate.input.terms.split.parallel.parties.partner",
            "Partner",
            json!({ "name": "xx", "terms": split_terms("parallel") }),
        ),
        input(
            "Mutation.saveContractTemplate.input.terms.split.differential.parties.partner",
            "Partner",
            json!({ "name": "xy", "terms": split_terms("differential") }),
        ),
        input("Mutation.createContractFromTemplate.input.partnerId", "Partner", made("z", "?")),
        input(
            "Mutation.createContractFromTemplate.input.changes.scope.sources",
            "Source",
            changed(made("zz", "$Partner")),
        ),
        input("Mutation.copyContract.input.contractId", "Contract", copied("?", "$Partner", "v")),
        input("Mutation.copyContract.input.partnerId", "Partner", copied("$Contract", "?", "w")),
        input(
            "Mutation.copyContract.input.changes.scope.sources",
            "Source",
            changed(copied("$Contract", "$Partner", "ww")),
        ),
    ]
}

/// Terms that name parties.
fn splits() -> Vec<Case> {
    vec![
        input(
            "Mutation.createContract.input.terms.split.parallel.parties.partner",
            "Partner",
            json!({ "partnerId": "$Partner", "name": "yy", "terms": split_terms("parallel") }),
        ),
        input(
            "Mutation.createContract.input.terms.split.differential.parties.partner",
            "Partner",
            json!({ "partnerId": "$Partner", "name": "yz", "terms": split_terms("differential") }),
        ),
        input(
            "Mutation.draftContractVersion.input.terms.split.parallel.parties.partner",
            "Partner",
            json!({ "contractId": "$Contract", "terms": split_terms("parallel") }),
        ),
        input(
            "Mutation.draftContractVersion.input.terms.split.differential.parties.partner",
            "Partner",
            json!({ "contractId": "$Contract", "terms": split_terms("differential") }),
        ),
        input(
            "Mutation.changeContractDraft.input.terms.split.parallel.parties.partner",
            "Partner",
            json!({ "contractId": "$Contract", "version": 2, "revision": 1, "terms": split_terms("parallel") }),
        ),
        input(
            "Mutation.changeContractDraft.input.terms.split.differential.parties.partner",
            "Partner",
            json!({ "contractId": "$Contract", "version": 2, "revision": 1, "terms": split_terms("differential") }),
        ),
    ]
}

fn agreements_and_records() -> Vec<Case> {
    vec![
        input(
            "Mutation.createContract.input.partnerId",
            "Partner",
            json!({ "partnerId": "?", "name": "x", "terms": terms() }),
        ),
        input(
            "Mutation.createContract.input.terms.scope.sources",
            "Source",
            json!({ "partnerId": "$Partner", "name": "y", "terms": scoped_terms() }),
        ),
        input(
            "Mutation.draftContractVersion.input.contractId",
            "Contract",
            json!({ "contractId": "?", "terms": terms() }),
        ),
        input(
            "Mutation.draftContractVersion.input.terms.scope.sources",
            "Source",
            json!({ "contractId": "$Contract", "terms": scoped_terms() }),
        ),
        input(
            "Mutation.changeContractDraft.input.contractId",
            "Contract",
            json!({ "contractId": "?", "version": 2, "revision": 1, "terms": terms() }),
        ),
        input(
            "Mutation.changeContractDraft.input.terms.scope.sources",
            "Source",
            json!({ "contractId": "$Contract", "version": 2, "revision": 1, "terms": scoped_terms() }),
        ),
        input(
            "Mutation.activateContractVersion.input.contractId",
            "Contract",
            json!({ "contractId": "?", "version": 1 }),
        ),
        input("Mutation.recordTransactions.input.source", "Source", json!({ "source": "?", "transactions": [] })),
        input("Mutation.abandonImportRun.input.importRunId", "ImportRun", json!({ "importRunId": "?" })),
        input(
            "Mutation.retryQuarantinedRecord.input.quarantinedRecordId",
            "QuarantinedRecord",
            json!({ "quarantinedRecordId": "?" }),
        ),
        input(
            "Mutation.dismissQuarantinedRecord.input.quarantinedRecordId",
            "QuarantinedRecord",
            json!({ "quarantinedRecordId": "?", "note": "x" }),
        ),
        input("Mutation.reviewAnomalyCase.input.caseId", "AnomalyCase", json!({ "caseId": "?", "verdict": "UNSURE" })),
        input("Mutation.closeSettlement.input.settlementId", "Settlement", json!({ "settlementId": "?" })),
        input("Mutation.revokeApiKey.input.apiKeyId", "ApiKey", json!({ "apiKeyId": "?" })),
        input("Mutation.disableMember.input.memberId", "Member", json!({ "memberId": "?" })),
        input("Mutation.enableMember.input.memberId", "Member", json!({ "memberId": "?" })),
    ]
}

/// Adds the places below an argument that name a thing.
fn places_below(shape: &Shape, path: &str, argument: &Value, found: &mut BTreeSet<String>) {
    let path = format!("{path}.{}", text(argument, "name"));
    let kind = named(&argument["type"]);
    for field in shape.types.get(text(kind, "name")).map_or(&[][..], |kind| list(kind, "inputFields")) {
        places_below(shape, &path, field, found);
    }
    let said = text(argument, "description").to_lowercase();
    let names = said.contains("id or name") || said.contains("ids or names");
    let follows = path.starts_with("Subscription.") && path.ends_with(".after");
    if text(kind, "name") == "ID" || names || follows {
        found.insert(path);
    }
}

/// Every place that names a thing, at the roots and at nested fields.
fn places(shape: &Shape) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, kind) in &shape.types {
        for field in list(kind, "fields") {
            for argument in list(field, "args") {
                places_below(shape, &format!("{name}.{}", text(field, "name")), argument, &mut found);
            }
        }
    }
    found
}

/// A type as documents write it.
pub fn written(kind: &Value) -> String {
    match text(kind, "kind") {
        "NON_NULL" => format!("{}!", written(&kind["ofType"])),
        "LIST" => format!("[{}]", written(&kind["ofType"])),
        _ => text(kind, "name").to_owned(),
    }
}

/// A value as documents write it.
fn literal(shape: &Shape, value: &Value, kind: &Value) -> String {
    match (value, text(kind, "kind")) {
        (_, "NON_NULL") => literal(shape, value, &kind["ofType"]),
        (Value::Array(items), _) => {
            let items: Vec<_> = items.iter().map(|item| literal(shape, item, &kind["ofType"])).collect();
            format!("[{}]", items.join(", "))
        }
        (Value::Object(fields), _) => {
            let types = list(&shape.types[text(kind, "name")], "inputFields");
            let field = |(name, value): (&String, &Value)| {
                let of = types.iter().find(|field| text(field, "name") == name).expect("a field of the input");
                format!("{name}: {}", literal(shape, value, &of["type"]))
            };
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        (Value::String(name), "ENUM") => name.clone(),
        _ => value.to_string(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Variables,
    Literals,
    Alias,
}

/// What of a root field is asked for: enough to tell things apart.
fn selection(shape: &Shape, field: &Value) -> String {
    let name = text(named(&field["type"]), "name");
    if let Some(row) = name.strip_suffix("Connection") {
        let has_id = shape.fields(row).iter().any(|field| text(field, "name") == "id");
        let id = if has_id { "id" } else { "" };
        return format!("nodes {{ __typename {id} }} pageInfo {{ hasNextPage endCursor }}");
    }
    if name == "Node" {
        return "__typename id".to_owned();
    }
    let of = |field: &Value| match text(field, "name") {
        "userErrors" => "userErrors { code field message }".to_owned(),
        name if shape.leads_on(field) => format!("{name} {{ __typename }}"),
        _ => String::new(),
    };
    shape.fields(name).iter().map(of).collect::<Vec<_>>().join(" ")
}

/// A document for a root field with these arguments, and its variables.
fn document(shape: &Shape, place: &str, arguments: &Value, form: Form) -> (String, Value) {
    let mut steps = place.split('.');
    let (Some(root), Some(name)) = (steps.next(), steps.next()) else { panic!("{place}") };
    let field = shape.fields(root).iter().find(|field| text(field, "name") == name);
    let field = field.unwrap_or_else(|| panic!("the schema has no {place}"));
    let (mut declared, mut passed) = (Vec::new(), Vec::new());
    for (argument, value) in arguments.as_object().expect("arguments") {
        let of = list(field, "args").iter().find(|of| text(of, "name") == argument).expect("an argument");
        match form {
            Form::Literals => passed.push(format!("{argument}: {}", literal(shape, value, &of["type"]))),
            Form::Variables | Form::Alias => {
                declared.push(format!("${argument}: {}", written(&of["type"])));
                passed.push(format!("{argument}: ${argument}"));
            }
        }
    }
    let declared = if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
    let alias = if matches!(form, Form::Alias) { "other: " } else { "" };
    let (operation, selection) = (root.to_lowercase(), selection(shape, field));
    let query = format!("{operation} Q{declared} {{ {alias}{name}({}) {{ {selection} }} }}", passed.join(", "));
    let variables = if matches!(form, Form::Literals) { json!({}) } else { arguments.clone() };
    (query, variables)
}

/// By type, something that somebody has.
type Things = BTreeMap<String, String>;

/// Adds the first of each type.
fn gather(value: &Value, found: &mut Things) {
    match value {
        Value::Object(fields) => {
            if let (Some(kind), Some(id)) = (fields.get("__typename"), fields.get("id")) {
                let (kind, id) = (kind.as_str().expect("a name"), id.as_str().expect("an id"));
                found.entry(kind.to_owned()).or_insert_with(|| id.to_owned());
            }
            fields.values().for_each(|field| gather(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        _ => {}
    }
}

async fn things(server: &TestServer, token: &str) -> Things {
    let lists = ["members", "apiKeys", "partners", "products", "sources", "contracts", "transactions", "importRuns"];
    let lists: String = lists.iter().map(|list| format!("{list} {{ nodes {{ __typename id }} }} ")).collect();
    let query = format!(
        "{{ {lists} quarantine {{ nodes {{ __typename id }} }} conflicts {{ nodes {{ __typename id }} }}
           ledgerAccounts {{ nodes {{ __typename id }} }} anomalyCases {{ nodes {{ __typename id }} }}
           fundEntries {{ nodes {{ __typename id }} }}
           settlements(first: 10) {{ nodes {{ __typename id entries(first: 10) {{ nodes {{ __typename id }} }} }} }} }}"
    );
    let mut found = Things::new();
    gather(&server.query(token, &query, json!({})).await, &mut found);
    found
}

/// A tenant with one of everything, and texts of its own wherever texts are free.
async fn furnished(server: &TestServer, slug: &str, word: &str) -> (Crash, Things) {
    let crash = server.crash(slug).await;
    let of = |mutation: &'static str, input: Value| server.mutate(&crash.ada, mutation, input, "__typename");
    let below = json!({ "name": format!("{word} below"), "reference": format!("{word} below") });
    let below = server.mutate(&crash.ada, "createPartner", below, "partner { id }").await["partner"]["id"].clone();
    let mut terms = terms();
    let parties = [json!(crash.partner), below].map(|partner| json!({ "partner": partner, "percent": "50" }));
    (terms["role"], terms["split"]) = (json!("AGENT"), json!({ "parallel": { "parties": parties } }));
    let shared = json!({ "partnerId": crash.partner, "name": format!("{word} shared"), "terms": terms });
    let shared = server.mutate(&crash.ada, "createContract", shared, "contract { id }").await["contract"]["id"].clone();
    of("activateContractVersion", json!({ "contractId": shared, "version": 1 })).await;
    fill(server, &crash, "100").await;
    close_all(server, &crash).await;
    let fund = json!({ "contractId": crash.contract, "kind": "ADVANCE", "happenedOn": "2021-11-01", "note": word,
                       "amount": { "amount": "1", "currency": "BIT" } });
    of("recordFund", fund).await;
    of("inviteMember", json!({ "email": format!("{word}@x.test"), "name": word, "role": "RISK" })).await;
    of("createApiKey", json!({ "sourceId": crash.source, "name": word })).await;
    of("createProduct", json!({ "code": word, "name": word, "category": word, "studio": word })).await;
    of("createAsset", json!({ "code": word.to_uppercase(), "exponent": 2 })).await;
    of("setPlayer", json!({ "player": word, "segment": word, "tags": [word] })).await;
    of("createPartner", json!({ "name": word, "reference": word })).await;
    of("renamePartner", json!({ "partnerId": crash.partner, "name": format!("{word} games") })).await;
    of("createSource", json!({ "partnerId": crash.partner, "name": word, "mapping": mapping() })).await;
    let mut later = crate::support::terms();
    later["validFrom"] = json!("2022-02-01");
    of("draftContractVersion", json!({ "contractId": crash.contract, "terms": later })).await;
    let mut agents = crate::support::terms();
    agents["role"] = json!("AGENT");
    agents["scope"] = json!({ "regions": [word] });
    of("saveContractTemplate", json!({ "name": "Agents", "terms": agents })).await;
    let record = json!({
        "externalId": word, "kind": "STAKE", "amount": { "amount": "1", "currency": "BIT" }, "note": word,
        "occurredAt": "2021-11-21T00:00:00Z", "product": "crash", "region": word,
        "attributes": [{ "name": word, "value": word }],
    });
    of("recordTransactions", json!({ "source": "crash", "transactions": [record] })).await;
    raise(server, &crash.ada, "crash", word, 1).await;
    let mut own = things(server, &crash.ada).await;
    own.insert("Partner".to_owned(), crash.partner.clone());
    own.insert("Source".to_owned(), crash.source.clone());
    own.insert("Contract".to_owned(), crash.contract.clone());
    own.insert(SHARED.to_owned(), shared.as_str().expect("an id").to_owned());
    (crash, own)
}

/// Somebody who asks, what it has, and what somebody else has.
struct Asker<'s> {
    server: &'s TestServer,
    shape: &'s Shape,
    token: &'s str,
    own: &'s Things,
    foreign: &'s Things,
}

impl Asker<'_> {
    /// The answer when the place names this, without what was said.
    async fn answer(&self, (place, _, arguments): &Case, name: &str, form: Form) -> String {
        fn put(value: &Value, name: &str, own: &Things) -> Value {
            let all = |fields: &Map<String, Value>| {
                fields.iter().map(|(key, value)| (key.clone(), put(value, name, own))).collect()
            };
            match value {
                Value::String(text) if text == "?" => json!(name),
                Value::String(text) => text.strip_prefix('$').map_or(value.clone(), |kind| json!(own[kind])),
                Value::Array(items) => items.iter().map(|item| put(item, name, own)).collect(),
                Value::Object(fields) => Value::Object(all(fields)),
                _ => value.clone(),
            }
        }
        let (query, variables) = document(self.shape, place, &put(arguments, name, self.own), form);
        self.server.ask(Some(self.token), &query, variables).await.to_string().replace(name, "?")
    }

    /// What another has is nothing, in each form; the answer for what nobody has.
    async fn nothing_of_another(&self, case: &Case) -> String {
        let (place, kind, _) = case;
        let foreign = &self.foreign[*kind];
        let absent = format!("{}01990000000070008000000000000001", &foreign[..4]);
        let other_type = &self.own[if *kind == "Partner" { "Product" } else { "Partner" }];
        let mut names = vec![foreign.as_str(), "malformed", other_type];
        // Which may be named by its name, too.
        let by_name = place.ends_with(".source") || place.ends_with(".sources");
        names.extend(by_name.then_some("canary"));
        let mut answers = Vec::new();
        for form in [Form::Variables, Form::Literals, Form::Alias] {
            let nothing = self.answer(case, &absent, form).await;
            let no_name = self.answer(case, "absent", form).await;
            for name in &names {
                // `node` takes an id of any type.
                if *place == "Query.node.id" && name == other_type {
                    continue;
                }
                // What is no source's id is a name, which is looked up before the rest; neither tells of another's.
                let like = if by_name && *name != foreign { &no_name } else { &nothing };
                assert_eq!(self.answer(case, name, form).await, *like, "{place} {form:?} {name}");
            }
            answers.push(nothing);
        }
        answers.remove(0)
    }
}

async fn node_types(server: &TestServer, token: &str) -> Vec<String> {
    let query = "{ __type(name: \"Node\") { possibleTypes { name } } }";
    let types = server.query(token, query, json!({})).await;
    list(&types["__type"], "possibleTypes").iter().map(|kind| text(kind, "name").to_owned()).collect()
}

#[tokio::test]
async fn every_place_that_names_a_thing_has_a_case() {
    let shape = Shape::read().await;
    let cases: Vec<String> = queries().iter().chain(&mutations()).map(|case| case.0.to_owned()).collect();
    // The answers of subscriptions come over time.
    let cases = [cases, crate::followed::places()].concat();
    let set: BTreeSet<String> = cases.iter().cloned().collect();
    assert_eq!(set.len(), cases.len(), "no case twice");
    assert_eq!(places(&shape), set);
}

#[tokio::test]
async fn what_another_tenant_has_is_nothing_wherever_it_is_named() {
    let (server, shape) = (TestServer::new().await, Shape::read().await);
    let (acme, foreign) = furnished(&server, "acme", "canary").await;
    let (bolt, own) = furnished(&server, "bolt", "finch").await;
    let before = server.query(&acme.ada, crate::isolation::EVERYTHING, json!({})).await;
    let asker = Asker { server: &server, shape: &shape, token: &bolt.ada, own: &own, foreign: &foreign };
    for kind in node_types(&server, &bolt.ada).await {
        let owner = Asker { token: &acme.ada, ..asker };
        let case = ("Query.node.id", "Partner", json!({ "id": "?" }));
        let id = foreign.get(&kind).unwrap_or_else(|| panic!("the tenant has no {kind}, so that it proves nothing"));
        for form in [Form::Variables, Form::Literals] {
            assert_eq!(asker.answer(&case, id, form).await, r#"{"data":{"node":null}}"#, "{kind}");
            assert!(owner.answer(&case, id, form).await.contains(&kind), "{kind}");
        }
    }
    let mut answered = Vec::new();
    for case in queries().iter().chain(&mutations()) {
        answered.push(asker.nothing_of_another(case).await);
    }
    for (case, nothing) in queries().iter().chain(&mutations()).zip(&answered) {
        let seen = asker.answer(case, &own[case.1], Form::Variables).await;
        assert_ne!(seen, *nothing, "{}: its own is there", case.0);
        answered_without(&seen, &foreign);
        answered_without(nothing, &foreign);
    }
    assert_eq!(server.query(&acme.ada, crate::isolation::EVERYTHING, json!({})).await, before, "nothing happened");
}

/// Nothing of the other tenant's is in it.
fn answered_without(answer: &str, foreign: &Things) {
    assert!(!answer.to_lowercase().contains("canary"), "{answer}");
    for id in foreign.values() {
        assert!(!answer.contains(id), "{answer}");
    }
}

/// Places where a partner's user hears that there is no such thing before it hears that it may not change it: terms name
/// a source, and whether an API key may abandon a run depends on the run.
const LOOKED_UP_FIRST: [&str; 4] = [
    "Mutation.createContract.input.partnerId",
    "Mutation.draftContractVersion.input.contractId",
    "Mutation.changeContractDraft.input.contractId",
    "Mutation.abandonImportRun.input.importRunId",
];

/// The codes in an answer, of its errors and of its user errors.
fn codes(answer: &str) -> Vec<String> {
    fn gather(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("code").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| gather(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::from_str(answer).expect("JSON"), &mut found);
    found
}

#[tokio::test]
async fn what_another_partner_has_is_nothing_wherever_it_is_named() {
    let (server, shape) = (TestServer::new().await, Shape::read().await);
    let (acme, foreign) = furnished(&server, "acme", "canary").await;
    let rival = server.mutate(&acme.ada, "createPartner", json!({ "name": "Rival" }), "partner { id }").await;
    let mut users = Vec::new();
    for (email, partner) in [("own@x.test", json!(acme.partner)), ("rival@x.test", rival["partner"]["id"].clone())] {
        let invite = json!({ "email": email, "name": "U", "role": "READ_ONLY", "partnerId": partner });
        let invited = server.mutate(&acme.ada, "inviteMember", invite, "oneTimeToken { token }").await;
        server.domain.accept_token(text(&invited["oneTimeToken"], "token"), PASSWORD).await.expect("a password");
        users.push(server.token("acme", email).await);
    }
    // A name for each `$Type`; whatever it is, a partner's user may change nothing.
    let mut own = foreign.clone();
    own.insert("Partner".to_owned(), text(&rival["partner"], "id").to_owned());
    let rival = Asker { server: &server, shape: &shape, token: &users[1], own: &own, foreign: &foreign };
    let member = Asker { token: &users[0], ..rival };
    for case in queries().iter().chain(&mutations()) {
        let nothing = rival.nothing_of_another(case).await;
        if case.0.starts_with("Query.anomalyCases") {
            assert_eq!(member.answer(case, &foreign[case.1], Form::Variables).await, nothing, "risk staff's alone");
        } else if case.0.starts_with("Query.") {
            assert_ne!(member.answer(case, &foreign[case.1], Form::Variables).await, nothing, "{}", case.0);
        } else {
            let expected = if LOOKED_UP_FIRST.contains(&case.0) { "NOT_FOUND" } else { "FORBIDDEN" };
            assert_eq!(codes(&nothing), [expected], "{}: {nothing}", case.0);
            // What is its own partner's it finds everywhere, and may change nowhere.
            let seen = member.answer(case, &foreign[case.1], Form::Variables).await;
            assert_eq!(codes(&seen), ["FORBIDDEN"], "{}: {seen}", case.0);
        }
    }
    assert_eq!(things(&server, &acme.ada).await["Partner"], own["Partner"], "nothing happened");
}
