//! The contract: it is what is written down, and follows one pattern throughout.

use serde_json::Value;

use crate::shape::{Shape, is_list, list, named, text};

#[test]
fn schema_graphql_is_what_the_code_serves() {
    let written = include_str!("../../../schema.graphql");
    assert!(written == api::graphql::sdl(), "run: cargo run -p api -- schema > schema.graphql");
}

/// Lists without pages, each with what bounds it.
const BOUNDED: &[(&str, &str)] = &[
    ("*.userErrors", "the problems of one input"),
    ("UserError.field", "the depth of an input"),
    ("Contract.versions", "written by people, one at a time"),
    ("Contract.testCases", "200"),
    ("ContractVersion.history", "200"),
    ("ContractVersion.differences", "1000"),
    ("ContractTestCase.facts", "1000"),
    ("ContractTestCase.products", "one input: at most 1000"),
    ("ContractTestCase.players", "one input: at most 1000"),
    ("ContractTestCase.carriedBase", "one input: at most 1000"),
    ("ContractTestCase.expectedLines", "one input: at most 1000"),
    ("ContractTestFact.attributes", "32"),
    ("ContractTestPlayer.tags", "one input"),
    ("ContractTestResult.lines", "the rate classes of its terms, and what the case expects"),
    ("TestContractVersionPayload.results", "200"),
    ("Contract.funds", "the currencies of its terms"),
    ("Product.versions", "written by people, one at a time"),
    ("Player.versions", "written by people, one at a time"),
    ("PlayerVersion.tags", "one input"),
    ("Scope.sources", "one input: at most 1000"),
    ("Scope.products", "one input"),
    ("Scope.categories", "one input"),
    ("Scope.segments", "one input"),
    ("Scope.tags", "one input"),
    ("Scope.regions", "one input"),
    ("Scope.channels", "one input"),
    ("CustomCycle.lengths", "60"),
    ("Terms.alsoIn", "50"),
    ("PaymentTerms.calendars", "10"),
    ("BusinessCalendar.weekend", "the days of a week"),
    ("BusinessCalendar.holidays", "2000"),
    ("RateTable.rows", "one input"),
    ("RateTable.columns", "one input: at most 20"),
    ("RateRow.cells", "one input: at most 20"),
    ("Terms.promotions", "one input"),
    ("Promotion.products", "one input"),
    ("ContractVersion.findings", "the rows of one table; of a kind at most 100"),
    ("ContractVersion.text", "the sections of a contract: 20"),
    ("ContractClauseText.sentences", "the clauses and rows of one input"),
    ("ContractClauseText.example", "of rate classes the first 20, each with at most 101 steps"),
    ("ContractVersion.warnings", "of a kind at most 100"),
    ("ContractWarning.field", "the depth of an input"),
    ("RateTableFinding.field", "the depth of an input"),
    ("Tiers.steps", "one input"),
    ("NgrBase.deductions", "one input: at most 50"),
    ("Costs.of", "five"),
    ("Terms.fees", "one input: at most 50"),
    ("SplitParties.parties", "one input: at most 50"),
    ("Settlement.parties", "the parties of its terms: at most 50"),
    ("SourceMapping.emit", "one input"),
    ("MappedTransaction.attributes", "one input"),
    ("SourceCalendar.weekdays", "seven"),
    ("Source.days", "400"),
    ("SignOffSourceDaysPayload.days", "400"),
    ("Settlement.lines", "the rate classes of its terms, and corrections"),
    ("Settlement.blockers", "kinds of blockers and sources"),
    ("Settlement.holds", "the rate classes of its terms, by confirmed cases"),
    ("AnomalyCase.reasons", "three"),
    ("AnomalousTransaction.reasons", "three"),
    ("LedgerEntry.legs", "the accounts of a posting"),
    ("SettlementLineExplanation.steps", "the kinds of sums, the deductions and the steps of tiers"),
    ("FormulaStep.values", "ten"),
    ("ConsideredContract.rows", "50, and those that take it"),
    ("ConsideredContract.adds", "the rate classes that take it"),
    ("Transaction.attributes", "32"),
    ("Transaction.unpriced", "the contracts that cover it"),
    ("QuarantinedRecord.header", "the columns of a file"),
    ("Conflict.differences", "the fields of a transaction"),
    ("RecordTransactionsPayload.results", "1000"),
    ("RetryQuarantinedRecordPayload.results", "what one record emits"),
    ("MappingPreview.header", "the columns of a file"),
    ("MappingPreview.records", "20"),
    ("PreviewedRecord.transactions", "what one record emits"),
    ("PreviewedTransaction.attributes", "32"),
    ("ContractSimulation.periods", "500"),
    ("ContractSimulation.lines", "500"),
    ("ContractSimulation.classes", "500"),
    ("ContractSimulation.products", "500"),
    ("ContractSimulation.partners", "those of one contract"),
    ("BooksCheck.findings", "empty unless the books are damaged"),
];

/// The words of the stored mapping.
const LOWER_CASE: &str = "MappingFormat";
/// Instants that say of when something is true, not when it was done.
const INSTANTS: [&str; 7] =
    ["periodStart", "periodEnd", "windowStart", "windowEnd", "validFrom", "occurredFrom", "occurredBefore"];

/// What of a schema departs from the pattern.
fn lint(shape: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    for (name, kind) in &shape.types {
        // The library's own types have no place for a text; the fields of a connection say what it is.
        let without = name.ends_with("Connection") || name == "ID";
        if text(kind, "description").is_empty() && !without {
            found.push(format!("{name} is not described"));
        }
        for value in list(kind, "enumValues") {
            let value_name = text(value, "name");
            if text(value, "description").is_empty() {
                found.push(format!("{name}.{value_name} is not described"));
            }
            let upper =
                value_name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
            if !upper && name != LOWER_CASE {
                found.push(format!("{name}.{value_name} is not in capitals"));
            }
        }
        for input in list(kind, "inputFields") {
            described(name, input, &mut found);
            instant(name, input, &mut found);
        }
        for field in list(kind, "fields") {
            described(name, field, &mut found);
            for arg in list(field, "args") {
                described(&format!("{name}.{}", text(field, "name")), arg, &mut found);
            }
            if text(kind, "kind") == "OBJECT" {
                output(name, field, &mut found);
            }
        }
    }
    for field in shape.fields("Mutation") {
        mutation(shape, field, &mut found);
    }
    let written = |place: &str| {
        let (of, field) = place.split_once('.').unwrap_or_default();
        let fields = shape.types.iter().filter(|(name, _)| of == "*" || *name == of);
        fields.flat_map(|(_, kind)| list(kind, "fields")).any(|known| text(known, "name") == field)
    };
    found.extend(BOUNDED.iter().filter(|(place, _)| !written(place)).map(|(place, _)| format!("{place} is not there")));
    found
}

fn described(place: &str, field: &Value, found: &mut Vec<String>) {
    if text(field, "description").is_empty() {
        found.push(format!("{place}.{} is not described", text(field, "name")));
    }
}

/// What ends in `At` is an instant, and an instant ends in `At`.
fn instant(place: &str, field: &Value, found: &mut Vec<String>) {
    let name = text(field, "name");
    let is_instant = text(named(&field["type"]), "name") == "DateTime";
    // A mapping has expressions in place of values.
    let says_so = name.ends_with("At") && !place.starts_with("MappedTransaction");
    if says_so != is_instant && !INSTANTS.contains(&name) {
        found.push(format!("{place}.{name}: an instant, and nothing else, is called …At"));
    }
}

fn output(place: &str, field: &Value, found: &mut Vec<String>) {
    let name = text(field, "name");
    instant(place, field, found);
    // The source's own id names nothing that is here.
    if (name.ends_with("Id") || name.ends_with("Ids")) && name != "externalId" {
        found.push(format!("{place}.{name} is an id; give the thing itself"));
    }
    let args: Vec<&str> = list(field, "args").iter().map(|arg| text(arg, "name")).collect();
    if text(named(&field["type"]), "name").ends_with("Connection") {
        let filters = |arg: &&Value| text(arg, "name") == "filter";
        let filter = list(field, "args").iter().find(filters).map(|arg| text(named(&arg["type"]), "name"));
        if args != ["first", "after"] && args != ["filter", "first", "after"] {
            found.push(format!("{place}.{name} takes {args:?}; a list takes filter, first and after"));
        }
        if filter.is_some_and(|filter| !filter.ends_with("Filter")) {
            found.push(format!("{place}.{name}: the type of its filter is not called …Filter"));
        }
    } else if place != "Subscription"
        && args.iter().any(|arg| ["first", "after", "filter", "last", "before"].contains(arg))
    {
        // A subscription goes on `after` a cursor and has no pages.
        found.push(format!("{place}.{name} has pages and is no connection"));
    }
    let in_page = place.ends_with("Connection") && ["nodes", "edges"].contains(&name);
    let bounded = |(known, _): &(&str, &str)| *known == format!("{place}.{name}") || *known == format!("*.{name}");
    if is_list(&field["type"]) && !in_page && !BOUNDED.iter().any(bounded) {
        found.push(format!("{place}.{name} can grow without end: make it a connection, or say what bounds it"));
    }
}

fn mutation(shape: &Shape, field: &Value, found: &mut Vec<String>) {
    let name = text(field, "name");
    let pascal = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let required = |kind: &Value, of: &str| kind["kind"] == "NON_NULL" && text(&kind["ofType"], "name") == of;
    let args = list(field, "args");
    let takes =
        args.len() == 1 && text(&args[0], "name") == "input" && required(&args[0]["type"], &format!("{pascal}Input"));
    if !takes || !required(&field["type"], &format!("{pascal}Payload")) {
        found.push(format!("{name} is not {name}(input: {pascal}Input!): {pascal}Payload!"));
        return;
    }
    let fields = shape.fields(&format!("{pascal}Payload"));
    if fields.last().is_none_or(|last| text(last, "name") != "userErrors") {
        found.push(format!("{pascal}Payload does not end with userErrors"));
    }
    for field in fields.iter().filter(|field| field["type"]["kind"] == "NON_NULL" && !is_list(&field["type"])) {
        found.push(format!("{pascal}Payload.{} is there even where nothing was done", text(field, "name")));
    }
}

#[tokio::test]
async fn the_schema_follows_one_pattern() {
    let shape = Shape::read().await;
    assert!(shape.fields("Mutation").len() > 20 && shape.types.len() > 100, "the schema was read");
    let found = lint(&shape);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Each rule, shown on a schema that breaks it.
#[tokio::test]
async fn what_departs_from_the_pattern_is_found() {
    let shape = Shape::read().await;
    let string = serde_json::json!({ "kind": "SCALAR", "name": "String", "ofType": null });
    for (of, list_name, change, finding) in [
        ("Settlement", "fields", serde_json::json!({ "description": "" }), "Settlement.id is not described"),
        ("Settlement", "fields", serde_json::json!({ "name": "partnerId" }), "Settlement.partnerId is an id"),
        ("Settlement", "fields", serde_json::json!({ "name": "paidAt" }), "Settlement.paidAt: an instant"),
        (
            "Settlement",
            "fields",
            serde_json::json!({ "name": "notes", "type": { "kind": "LIST", "name": null, "ofType": string } }),
            "Settlement.notes can grow without end",
        ),
        (
            "Query",
            "fields",
            serde_json::json!({ "args": [{ "name": "last", "description": "x" }] }),
            "has pages and is no",
        ),
        ("Mutation", "fields", serde_json::json!({ "args": [] }), "is not signIn(input"),
        ("SettlementState", "enumValues", serde_json::json!({ "name": "open" }), "is not in capitals"),
        ("SettlementFilter", "inputFields", serde_json::json!({ "description": "" }), "is not described"),
        (
            "SignInPayload",
            "fields",
            serde_json::json!({ "type": { "kind": "NON_NULL", "name": null, "ofType": string } }),
            "even where",
        ),
    ] {
        let mut broken = Shape { types: shape.types.clone() };
        let first = &mut broken.types.get_mut(of).expect("a type")[list_name][0];
        for (key, value) in change.as_object().expect("an object") {
            first[key] = value.clone();
        }
        let found = lint(&broken);
        assert!(found.iter().any(|found| found.contains(finding)), "{finding}: {found:?}");
    }
}

/// Every code that a client can meet is explained.
#[test]
fn the_catalogue_has_every_code() {
    let catalogue = include_str!("../../../docs/api.md");
    let explained = |code: &str| catalogue.lines().any(|line| line.starts_with(&format!("| `{code}` |")));
    let mut codes: Vec<&str> = domain::Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.extend(api::graphql::errors::REQUEST_CODES);
    let missing: Vec<&str> = codes.iter().filter(|code| !explained(code)).copied().collect();
    assert!(missing.is_empty(), "docs/api.md does not explain {missing:?}");
    let rows = catalogue.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let unknown: Vec<&str> = rows.map(|(code, _)| code).filter(|code| !codes.contains(code)).collect();
    assert!(unknown.is_empty(), "docs/api.md explains {unknown:?}, which do not exist");
}
