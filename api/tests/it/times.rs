//! What contracts say about time, as clients write and read it.

use domain::clock::Clock;
use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{Crash, TestServer, terms};

/// The codes and paths of what should have been done otherwise.
fn told(payload: &Value) -> Vec<String> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|part| part.as_str().expect("a text").to_owned()).collect()
    };
    let one =
        |error: &Value| format!("{} {}", error["code"].as_str().expect("a code"), texts(&error["field"]).join("."));
    payload["userErrors"].as_array().expect("a list").iter().map(one).collect()
}

#[tokio::test]
async fn terms_about_time_read_back_as_they_were_written_and_are_refused_by_path() {
    let server = TestServer::new().await;
    let Crash { ada, contract, .. } = server.crash("acme").await;
    let holidays = json!([{ "date": "2022-01-31", "name": "Seollal" }]);
    let calendar = json!({ "code": "KR", "name": "Korea", "holidays": holidays });
    let fields = "businessCalendar { code name weekend holidays { date name } revision }";
    let made = server.mutate(&ada, "setBusinessCalendar", calendar.clone(), fields).await;
    let expected = json!({ "code": "KR", "name": "Korea", "weekend": ["SATURDAY", "SUNDAY"], "holidays": holidays, "revision": 1 });
    assert_eq!(made["businessCalendar"], expected);
    let stale = server.try_mutate(&ada, "setBusinessCalendar", calendar.clone(), fields).await;
    assert_eq!((told(&stale), &stale["businessCalendar"]), (vec!["STALE revision".to_owned()], &Value::Null));
    let mut odd = calendar;
    (odd["revision"], odd["code"], odd["weekend"]) = (json!(1), json!("kr"), json!(["MONDAY", "MONDAY"]));
    let odd = server.try_mutate(&ada, "setBusinessCalendar", odd, fields).await;
    assert_eq!(told(&odd), ["BAD_INPUT code", "BAD_INPUT weekend"]);

    let custom = json!({ "from": "2021-10-01", "unit": "MONTH", "lengths": [3] });
    let payment = json!({ "days": 10, "count": "BUSINESS", "calendars": ["KR"], "roll": "NONE", "from": "CLOSED" });
    let also = json!([{ "currency": "KRW", "minimumPayout": "5000",
                        "cycle": { "every": "WEEK", "startsOn": "SUNDAY", "custom": null } }]);
    let mut written = terms();
    written.as_object_mut().expect("an object").remove("advance");
    written["validFrom"] = json!("2022-01-01");
    written["validUntil"] = json!("2022-12-31");
    written["cycle"] =
        json!({ "every": "CUSTOM", "timeZone": "Asia/Seoul", "cutOffHour": 6, "startsOn": null, "custom": custom });
    (written["lateWindow"], written["payment"], written["alsoIn"]) = (json!({ "days": 5 }), payment, also);
    let draft = |terms: Value| json!({ "contractId": contract, "terms": terms });
    let read = "contractVersion { terms { validUntil cycle { every timeZone cutOffHour startsOn custom { from unit lengths } } \
                lateWindow { days } payment { days count calendars roll from } \
                alsoIn { currency minimumPayout cycle { every startsOn custom { unit } } } } }";
    let saved = server.mutate(&ada, "draftContractVersion", draft(written.clone()), read).await;
    for field in ["validUntil", "cycle", "lateWindow", "payment", "alsoIn"] {
        assert_eq!(saved["contractVersion"]["terms"][field], written[field], "{field}");
    }
    let changes = [
        (json!({ "validUntil": "2021-12-31" }), vec!["validUntil"]),
        (json!({ "lateWindow": { "days": -1 } }), vec!["lateWindow.days"]),
        (json!({ "lateWindow": { "days": 367 } }), vec!["lateWindow.days"]),
        (json!({ "payment": { "days": -1 } }), vec!["payment.days"]),
        (json!({ "payment": { "days": 1, "count": "BUSINESS", "calendars": ["US"] } }), vec!["payment.calendars.0"]),
        (json!({ "cycle": { "every": "CUSTOM", "timeZone": "UTC" } }), vec!["cycle.custom"]),
        (
            json!({ "cycle": { "every": "CUSTOM", "timeZone": "UTC", "custom": { "from": "2021-01-01", "unit": "DAY", "lengths": [-1] } } }),
            vec!["cycle.custom.lengths.0"],
        ),
        (
            json!({ "alsoIn": [{ "currency": "XYZ" }, { "currency": "BIT" }] }),
            vec!["alsoIn.1.currency", "alsoIn.0.currency"],
        ),
        (json!({ "cap": "5" }), vec!["cap"]),
    ];
    for (change, paths) in changes {
        let mut terms = written.clone();
        for (name, value) in change.as_object().expect("an object") {
            terms[name] = value.clone();
        }
        let refused = server.try_mutate(&ada, "draftContractVersion", draft(terms), read).await;
        let found: Vec<String> =
            told(&refused).iter().filter_map(|one| one.split_once(' ')).map(|(_, path)| path.to_owned()).collect();
        let expected: Vec<String> = paths.iter().map(|path| format!("terms.{path}")).collect();
        assert_eq!(found, expected, "{change}");
    }
}

#[tokio::test]
async fn a_settlement_says_when_it_is_due_and_what_it_waits_for() {
    let now = |text: &str| Timestamp::parse_rfc3339(text).expect("a time");
    let server = TestServer::with_clock(Clock::set_to(now("2021-12-10T00:00:00Z"))).await;
    let Crash { ada, contract, .. } = server.crash("acme").await;
    let mut later = terms();
    later["validFrom"] = json!("2021-10-01");
    (later["lateWindow"], later["payment"]) = (json!({ "days": 20 }), json!({ "days": 30 }));
    let draft = json!({ "contractId": contract, "terms": later, "replaces": 1 });
    let made = server.mutate(&ada, "draftContractVersion", draft, "contractVersion { version }").await;
    let version = json!({ "contractId": contract, "version": made["contractVersion"]["version"] });
    server.mutate(&ada, "activateContractVersion", version, "contract { id }").await;
    let stake = json!({ "externalId": "1", "kind": "STAKE", "amount": { "amount": "100", "currency": "BIT" },
                        "occurredAt": "2021-11-20T19:44:19Z", "product": "crash" });
    let input = json!({ "source": "crash", "transactions": [stake] });
    server.mutate(&ada, "recordTransactions", input, "results { outcome }").await;
    let query = "{ settlements { nodes { id dueOn blockers { code } } } }";
    let settlement = server.query(&ada, query, json!({})).await["settlements"]["nodes"][0].clone();
    assert_eq!(settlement["dueOn"], "2021-12-30");
    assert_eq!(settlement["blockers"], json!([{ "code": "LATE_WINDOW_OPEN" }]));
    let close = json!({ "settlementId": settlement["id"] });
    let refused = server.try_mutate(&ada, "closeSettlement", close.clone(), "settlement { id }").await;
    assert_eq!(told(&refused), ["BLOCKED settlementId"]);
    server.domain.clock().move_to(now("2021-12-21T00:00:00Z"));
    let ada = server.token("acme", "ada@acme.test").await;
    let closed = server.mutate(&ada, "closeSettlement", close, "settlement { dueOn }").await;
    assert_eq!(closed["settlement"]["dueOn"], "2021-12-30");
    let due = "query($until: Date!) { settlements(filter: { dueUntil: $until }) { nodes { dueOn } } }";
    for (until, found) in [("2021-12-29", 0), ("2021-12-30", 1)] {
        let rows = server.query(&ada, due, json!({ "until": until })).await;
        assert_eq!(rows["settlements"]["nodes"].as_array().map(Vec::len), Some(found), "{until}");
    }
}
