//! The crash game end to end: a tenant connects a provider, writes a contract, streams the file in, closes the month.

use serde_json::{Value, json};

use crate::saldo::{Saldo, crash_game_file};

/// Everything that a tenant sets up before the first record: the ids of its source and contract.
pub struct Game {
    pub token: String,
    pub source: String,
    pub contract: String,
}

pub async fn set_up(saldo: &Saldo, slug: &str, mode: &str) -> Game {
    let token = saldo.token(slug).await;
    let game = async |name: &str, input: Value, fields: &str| saldo.mutate(&token, name, input, fields).await;
    let id = |payload: &Value, what: &str| payload[what]["id"].as_str().expect("an id").to_owned();
    game("createAsset", json!({ "code": "BIT", "exponent": 2 }), "asset { code }").await;
    game("createProduct", json!({ "code": "crash", "name": "Crash" }), "product { id }").await;
    let partner = id(&game("createPartner", json!({ "name": "Bustabit" }), "partner { id }").await, "partner");
    let emission = |kind: &str, id: &str, amount: &str| {
        json!({
            "kind": kind, "externalId": id, "amount": amount, "currency": "'BIT'", "occurredAt": "PlayDate",
            "product": "'crash'", "player": "Username", "round": "GameID"
        })
    };
    let mut win = emission("WIN", "Id + ':win'", "number(Bet) + number(Profit)");
    win["when"] = json!("CashedOut != 'NA'");
    let emit = json!([emission("STAKE", "Id + ':stake'", "number(Bet)"), win]);
    let mapping = json!({ "format": "csv", "encoding": "windows-1252", "timeZone": "UTC", "emit": emit });
    let source = json!({ "partnerId": partner, "name": "crash", "mapping": mapping });
    let source = id(&game("createSource", source, "source { id }").await, "source");
    let terms = json!({
        "validFrom": "2021-10-01", "role": "PROVIDER", "scope": { "sources": ["crash"] }, "currency": "BIT",
        "attribution": "OCCURRED", "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul", "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } }, "negative": { "mode": mode, "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [{ "code": "all", "percent": "8" }] },
        "rounding": "HALF_EVEN", "minimumPayout": "0"
    });
    let contract = json!({ "partnerId": partner, "name": "Crash 2021", "terms": terms });
    let created = game("createContract", contract, "contract { id } contractVersion { version }").await;
    let contract = id(&created, "contract");
    let activate = json!({ "contractId": contract, "version": created["contractVersion"]["version"] });
    game("activateContractVersion", activate, "contractVersion { state }").await;
    Game { token, source, contract }
}

/// The settlements of a contract in the order of their periods.
pub async fn settlements(saldo: &Saldo, game: &Game) -> Vec<Value> {
    let query = "query($filter: SettlementFilter) { settlements(filter: $filter, first: 100) { nodes {
        id periodStart state transactionCount total { amount currency } carriedBase { amount }
        lines { code rateClass base { amount } rate amount { amount } } blockers { code }
    } } }";
    let variables = json!({ "filter": { "contractId": game.contract } });
    let mut answer = saldo.graphql(Some(&game.token), query, variables).await;
    let Value::Array(mut nodes) = answer["settlements"]["nodes"].take() else { panic!("{answer}") };
    nodes.sort_by_key(|node| node["periodStart"].as_str().map(str::to_owned));
    nodes
}

pub async fn books_balance(saldo: &Saldo, game: &Game) {
    let books = saldo.graphql(Some(&game.token), "{ booksCheck { balanced findings } }", json!({})).await;
    assert_eq!(books["booksCheck"], json!({ "balanced": true, "findings": [] }));
}

#[tokio::test]
async fn a_file_becomes_a_closed_settlement() {
    let Some(file) = crash_game_file() else { return };
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let game = set_up(&saldo, "acme", "CARRY").await;
    let file = tokio::fs::read(file).await.expect("the file");
    let upload = saldo.client().post(saldo.url("/v1/sources/crash/files?name=crash.csv")).bearer_auth(&game.token);
    let run: Value = upload.body(file).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&run["state"], &run["recorded"]), (&json!("COMPLETED"), &json!(78_734)), "{run}");
    let open = settlements(&saldo, &game).await;
    assert_eq!(open[0]["periodStart"], json!("2021-10-31T15:00:00Z"));
    assert_eq!(open[0]["transactionCount"], json!(59_636));
    assert_eq!(open[0]["carriedBase"]["amount"], json!("-2919609.63"));
    assert_eq!(open[1]["carriedBase"]["amount"], json!("-2287118.27"));
    assert_eq!(open[1]["blockers"], json!([{ "code": "EARLIER_PERIOD_OPEN" }]));
    for node in &open {
        let closed = json!({ "settlementId": node["id"] });
        let payload =
            saldo.mutate(&game.token, "closeSettlement", closed, "settlement { state total { amount } }").await;
        assert_eq!(payload["settlement"], json!({ "state": "CLOSED", "total": { "amount": "0.00" } }));
    }
    let all = settlements(&saldo, &game).await;
    let state: Vec<&str> = all.iter().filter_map(|node| node["state"].as_str()).collect();
    assert_eq!(state, ["CLOSED", "CLOSED", "OPEN"]);
    books_balance(&saldo, &game).await;
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_database() {
    let mut saldo = Saldo::new().await;
    saldo.serve().await;
    let second = saldo.run(&["serve"], "").await;
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(told.contains("is in use by another Saldo (process ") && told.contains("serve"), "{told}");
}
