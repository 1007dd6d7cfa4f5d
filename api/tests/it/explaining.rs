//! Explanations: from a line to the record that it comes from, and from a transaction to what contracts make of it.

use serde_json::{Value, json};

use crate::support::{Crash, TestServer};

const LINE: &str = "query($id: ID!, $position: Int!, $after: String) {
    settlementLineExplanation(settlementId: $id, position: $position) {
        position path line { code amount { amount } } version { version } settlement { id }
        korean: steps(language: KO) { text }
        steps { kind text path of values { name unit value } result { unit value } }
        transactions(first: 2, after: $after) {
            nextCursor pageInfo { hasNextPage }
            nodes { sum rateClass adds units late amount { amount } undoes { externalId } undoneBy { externalId }
                    transaction { externalId rawRecord } } } } }";

const TRANSACTION: &str = "query($id: ID!) { transactionExplanation(transactionId: $id) { test
    undoes { externalId } undoneBy { externalId } transaction { id }
    contracts { nodes { says version path message contract { id } rowsLeftOut rows { row code holds column found }
        adds { rateClass sum adds periodStart late settlement { id } } } } } }";

fn transaction(external_id: &str, kind: &str, amount: &str) -> Value {
    json!({ "externalId": external_id, "kind": kind, "amount": { "amount": amount, "currency": "BIT" },
            "occurredAt": "2021-11-20T19:44:19Z", "product": "crash", "player": "alice" })
}

#[tokio::test]
async fn a_line_is_explained_down_to_its_records_and_back() {
    let server = TestServer::new().await;
    let Crash { ada, contract, .. } = server.crash("acme").await;
    let Crash { ada: eve, .. } = server.crash("bolt").await;
    let undo = json!({ "externalId": "4", "kind": "ROLLBACK", "reverses": "3", "amount": { "amount": "0", "currency": "BIT" },
                       "occurredAt": "2021-11-20T20:00:00Z" });
    let rows =
        [transaction("1", "STAKE", "100"), transaction("2", "WIN", "30.5"), transaction("3", "STAKE", "5"), undo];
    let input = json!({ "source": "crash", "transactions": rows });
    let fields = "results { outcome transaction { id } }";
    let results = server.mutate(&ada, "recordTransactions", input, fields).await["results"].clone();
    let found = server.query(&ada, "{ settlements { nodes { id lines { code } } } }", json!({})).await;
    let found = found["settlements"]["nodes"].as_array().expect("a list").clone();
    let settlement = found.iter().find(|row| row["lines"][0]["code"] == "REVENUE_SHARE").expect("a settlement");
    let ask = async |token: &str, position: i32, after: Value| {
        let variables = json!({ "id": settlement["id"], "position": position, "after": after });
        server.query(token, LINE, variables).await["settlementLineExplanation"].clone()
    };
    let told = ask(&ada, 1, Value::Null).await;
    assert_eq!((&told["position"], &told["settlement"]["id"]), (&json!(1), &settlement["id"]));
    let steps = told["steps"].as_array().expect("a list");
    let last = &steps[steps.len() - 1];
    assert_eq!((&last["kind"], &last["result"]["value"]), (&json!("ROUNDED"), &told["line"]["amount"]["amount"]));
    let base = steps.iter().find(|step| step["kind"] == "BASE").expect("a base");
    assert_eq!(base["result"]["value"], "69.50");
    let texts = |steps: &Value| -> Vec<String> {
        let steps = steps.as_array().expect("a list").iter();
        steps.map(|step| step["text"].as_str().expect("words").to_owned()).collect()
    };
    assert!(texts(&told["steps"]).contains(&"Together the base is 69.50 BIT.".to_owned()), "{told}");
    assert!(texts(&told["korean"]).contains(&"합계인 정산 기준은 69.50 BIT.".to_owned()), "{told}");
    assert!(told["path"].as_str().expect("a path").starts_with("rateTable.rows."), "{told}");

    // Its transactions, in pages of two, add up to that base; each has the record that it came from.
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = ask(&ada, 1, after).await["transactions"].clone();
        all.extend(page["nodes"].as_array().expect("a list").clone());
        after = page["nextCursor"].clone();
        assert_eq!(page["pageInfo"]["hasNextPage"], json!(!after.is_null()));
        if after.is_null() {
            break;
        }
    }
    let adds: Vec<&str> = all.iter().map(|fed| fed["adds"].as_str().expect("a number")).collect();
    assert_eq!(adds, ["100", "-30.5", "5", "-5"]);
    assert_eq!((&all[2]["undoneBy"]["externalId"], &all[3]["undoes"]["externalId"]), (&json!("4"), &json!("3")));
    assert!(all[0]["transaction"]["rawRecord"].as_str().expect("a text").contains("\"100\""), "{}", all[0]);

    // And from a transaction: which contract counts it, by which row, where.
    let of = async |token: &str, id: &Value| {
        server.query(token, TRANSACTION, json!({ "id": id })).await["transactionExplanation"].clone()
    };
    let told = of(&ada, &results[1]["transaction"]["id"]).await;
    let counted = &told["contracts"]["nodes"][0];
    assert_eq!((&counted["says"], &counted["contract"]["id"]), (&json!("COUNTS"), &json!(contract)));
    assert_eq!(
        (&counted["adds"][0]["adds"], &counted["adds"][0]["settlement"]["id"]),
        (&json!("-30.5"), &settlement["id"])
    );
    let rows = counted["rows"].as_array().expect("a list");
    assert_eq!(rows.iter().filter(|row| row["holds"] == true).count(), 1, "{rows:?}");
    let undone = of(&ada, &results[3]["transaction"]["id"]).await;
    assert_eq!(
        (&undone["undoes"]["externalId"], &undone["contracts"]["nodes"][0]["adds"][0]["adds"]),
        (&json!("3"), &json!("-5"))
    );

    // What is not there, and what is another tenant's.
    assert_eq!(ask(&ada, 0, Value::Null).await, Value::Null);
    assert_eq!(ask(&ada, 99, Value::Null).await, Value::Null);
    assert_eq!(ask(&eve, 1, Value::Null).await, Value::Null);
    assert_eq!(of(&eve, &results[1]["transaction"]["id"]).await, Value::Null);
}
