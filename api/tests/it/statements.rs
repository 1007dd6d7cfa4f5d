//! What a list costs the database does not grow with its rows.

use poem::http::Method;
use serde_json::{Value, json};

use crate::shape::{Shape, list, named, nothing, text};
use crate::support::{HEADER, TestServer, mapping, terms};

/// Rows of every list.
const ROWS: usize = 20;
/// Days with transactions, each a settlement of each contract.
const DAYS: usize = 5;

/// A tenant with at least [`ROWS`] rows in every list, whose rows all have what they can have, each its own.
async fn full(server: &TestServer) -> String {
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let id = |payload: &Value, of: &str| payload[of]["id"].as_str().expect("an id").to_owned();
    server.mutate(&ada, "createAsset", json!({ "code": "BIT", "exponent": 2 }), "asset { code }").await;
    server.mutate(&ada, "createProduct", json!({ "code": "crash", "name": "Crash" }), "product { id }").await;
    let pot = server.mutate(&ada, "createPartner", json!({ "name": "Pot" }), "partner { id }").await;
    let pot = id(&pot, "partner");
    for n in 0..ROWS {
        server.mutate(&ada, "createAsset", json!({ "code": format!("A{n}"), "exponent": 2 }), "asset { code }").await;
        let product = json!({ "code": format!("p{n}"), "name": "P" });
        server.mutate(&ada, "createProduct", product, "product { id }").await;
        server
            .mutate(&ada, "setPlayer", json!({ "player": format!("x{n}"), "segment": "VIP" }), "player { pseudonym }")
            .await;
        let partner = server.mutate(&ada, "createPartner", json!({ "name": format!("P{n}") }), "partner { id }").await;
        let partner = id(&partner, "partner");
        let invite = json!({ "email": format!("m{n}@x.test"), "name": "M", "role": "READ_ONLY", "partnerId": partner });
        server.mutate(&ada, "inviteMember", invite, "member { id }").await;
        let days = json!([{ "date": "2021-12-27", "name": "H" }]);
        let code = format!("C{n}");
        let business = json!({ "code": code, "name": "C", "holidays": days });
        server.mutate(&ada, "setBusinessCalendar", business, "businessCalendar { code }").await;
        let name = format!("source{n}");
        let calendar = json!({ "timeZone": "UTC", "from": "2021-11-01", "until": "2021-11-05" });
        let source = json!({ "partnerId": partner, "name": name, "mapping": mapping(), "calendar": calendar });
        let source = id(&server.mutate(&ada, "createSource", source, "source { id }").await, "source");
        server.mutate(&ada, "createApiKey", json!({ "sourceId": source, "name": "k" }), "secret").await;
        // The second contract covers all and counts nothing, because nothing has a settlement time.
        let mut contracts = Vec::new();
        for (role, attribution) in [("PROVIDER", "OCCURRED"), ("AFFILIATE", "SETTLED")] {
            let mut terms = terms();
            terms["scope"] = json!({ "sources": [name] });
            terms["cycle"]["every"] = json!("DAY");
            (terms["role"], terms["attribution"]) = (json!(role), json!(attribution));
            terms["payment"] = json!({ "days": 5, "roll": "FOLLOWING", "calendars": [code] });
            terms["advance"] = json!({});
            if role == "PROVIDER" {
                let parties = [&pot, &partner].map(|partner| json!({ "partner": partner, "percent": "50" }));
                terms["split"] = json!({ "parallel": { "parties": parties } });
            }
            let contract = json!({ "partnerId": partner, "name": role, "terms": terms });
            let contract = id(&server.mutate(&ada, "createContract", contract, "contract { id }").await, "contract");
            let case = json!({ "contractId": contract, "name": "Nothing", "facts": [], "expectedTotal": "0" });
            server.mutate(&ada, "saveContractTestCase", case, "testCase { name }").await;
            let template = json!({ "name": format!("T{n} {role}"), "terms": terms });
            server.mutate(&ada, "saveContractTemplate", template, "contractTemplate { name }").await;
            let first = json!({ "contractId": contract, "version": 1 });
            server.mutate(&ada, "activateContractVersion", first, "contract { id }").await;
            contracts.push(contract);
        }
        let record = |day: usize, bet: &str| format!("{day},1,alice,{bet},NA,0,2021-11-{day:02}T19:44:19Z\n");
        let days = (1..=DAYS).map(|day| record(day, "100")).collect::<String>();
        for file in [format!("{HEADER}{days}{}", record(9, "broken")), format!("{HEADER}{}", record(1, "5"))] {
            let path = format!("/v1/sources/{source}/files?name=f.csv");
            let run = server.upload(Method::POST, &path, &ada, &[], file).await;
            assert_eq!(run.json["state"], "COMPLETED", "{run:?}");
        }
        // Only now, because it stands in the book of an open settlement. The second contract has none.
        let amount = json!({ "amount": "1", "currency": "BIT" });
        for note in ["one", "two"] {
            let fund = json!({ "contractId": contracts[0], "kind": "ADVANCE", "happenedOn": "2021-11-01", "note": note,
                               "amount": amount });
            server.mutate(&ada, "recordFund", fund, "fundEntry { note }").await;
        }
    }
    // Of a source that no contract has, so that it opens no settlement.
    let partner = server.mutate(&ada, "createPartner", json!({ "name": "Odd" }), "partner { id }").await;
    let source = json!({ "partnerId": id(&partner, "partner"), "name": "odd", "mapping": mapping() });
    server.mutate(&ada, "createSource", source, "source { id }").await;
    crate::isolation::raise(server, &ada, "odd", "odd", ROWS).await;
    ada
}

async fn close_first_days(server: &TestServer, ada: &str) {
    let query = "{ quarantine(first: 100) { nodes { id } } settlements(first: 100) { nodes { id periodStart } } }";
    let all = server.query(ada, query, nothing()).await;
    for record in list(&all["quarantine"], "nodes") {
        let input = json!({ "quarantinedRecordId": record["id"], "note": "broken" });
        server.mutate(ada, "dismissQuarantinedRecord", input, "quarantinedRecord { id }").await;
    }
    for settlement in list(&all["settlements"], "nodes") {
        if settlement["periodStart"] == "2021-11-01T00:00:00Z" {
            let input = json!({ "settlementId": settlement["id"] });
            server.mutate(ada, "closeSettlement", input, "settlement { id }").await;
        }
    }
}

/// The statements that a query runs, and its answer.
async fn counted(server: &TestServer, token: &str, query: &str) -> (u64, Value) {
    let before = server.domain.statements();
    let answer = server.query(token, query, nothing()).await;
    (server.domain.statements() - before, answer)
}

/// Queries below one row of a type, each along one path of at most two steps, so that what one level asks for together
/// does not depend on how fast another path is.
fn paths(shape: &Shape, name: &str, steps: usize) -> Vec<String> {
    // So few at once that lists within lists cost no more than a request may.
    let leaves = shape.leaves(name);
    let leaves: Vec<&str> = leaves.split(' ').collect();
    let mut all: Vec<String> = leaves.chunks(8).map(|some| some.join(" ")).collect();
    if steps == 0 {
        return all;
    }
    for field in shape.fields(name).iter().filter(|field| shape.leads_on(field)) {
        let below = text(named(&field["type"]), "name");
        let (more, of_rows) = match below.strip_suffix("Connection") {
            Some(row) => ("first: 3", row),
            None => ("", below),
        };
        for path in paths(shape, of_rows, steps - 1) {
            let selected = if of_rows == below { path } else { format!("nodes {{ {path} }}") };
            all.push(format!("{}{} {{ {selected} }}", text(field, "name"), shape.arguments(field, more)));
        }
    }
    all
}

#[tokio::test]
async fn what_a_list_costs_does_not_grow_with_its_rows() {
    let server = TestServer::new().await;
    let ada = full(&server).await;
    // A page of settlements with all around them, as portals show it.
    let page = |first: usize| {
        format!(
            "{{ settlements(first: {first}) {{ nodes {{ state total {{ amount }} partner {{ name }}
               contract {{ name versions {{ version state }} }} lines {{ code amount {{ amount }} }} }} }} }}"
        )
    };
    let (few, _) = counted(&server, &ada, &page(5)).await;
    let (many, answer) = counted(&server, &ada, &page(100)).await;
    assert_eq!(list(&answer["settlements"], "nodes").len(), 100);
    assert_eq!(few, many, "5 settlements take {few} statements, and 100 take {many}");
    let blockers = |first: usize| format!("{{ settlements(first: {first}) {{ nodes {{ blockers {{ code }} }} }} }}");
    let ((few, _), (many, _)) =
        (counted(&server, &ada, &blockers(5)).await, counted(&server, &ada, &blockers(100)).await);
    assert_eq!(few, many, "blockers");

    close_first_days(&server, &ada).await;
    let shape = Shape::read().await;
    let mut grown = Vec::new();
    for connection in shape.fields("Query") {
        let Some(row) = text(named(&connection["type"]), "name").strip_suffix("Connection") else { continue };
        let name = text(connection, "name");
        // So that all rows have the same things.
        let filter = if name.starts_with("settlement") { ", filter: { state: CLOSED }" } else { "" };
        for path in paths(&shape, row, 2) {
            let query = |first: usize| format!("{{ {name}(first: {first}{filter}) {{ nodes {{ {path} }} }} }}");
            let (few, _) = counted(&server, &ada, &query(2)).await;
            let (many, answer) = counted(&server, &ada, &query(ROWS)).await;
            assert_eq!(list(&answer[name], "nodes").len(), ROWS, "{name}");
            if few != many {
                grown.push(format!("{name} {{ {path} }}: {few} statements for 2 rows, {many} for {ROWS}"));
            }
        }
    }
    assert!(grown.is_empty(), "\n{}", grown.join("\n"));
}
