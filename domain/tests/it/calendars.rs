//! Days that must come before a month closes, periods in other zones, and tenants that know nothing of each other.

use chrono::NaiveDate;
use domain::Code;
use domain::ids::ContractId;
use domain::page::PageRequest;
use domain::settlements::blockers::Blocker;
use domain::sources::DayState;
use domain::sources::calendar::Calendar;
use domain::transactions::TransactionFilter;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn calendar(value: serde_json::Value) -> Option<Calendar> {
    Some(serde_json::from_value(value).expect("a calendar"))
}

async fn missing(world: &World, contract: ContractId) -> Vec<NaiveDate> {
    let open = world.settlements(contract).await.into_iter().find(|row| row.state == "OPEN").expect("an open one");
    let blockers = world.admin.blockers(open.id).await.expect("blockers");
    let days = blockers.into_iter().map(|blocker| match blocker {
        Blocker::MissingDays { days, source } => {
            assert_eq!((source.id, source.name.as_str()), (world.source, "feed"));
            days
        }
        other => panic!("{other:?}"),
    });
    days.flatten().collect()
}

#[tokio::test]
async fn a_december_that_ends_on_the_tenth_is_closed_on_purpose() {
    let world = World::new().await;
    let contract =
        world.contract("share", json!({ "validFrom": "2023-11-01", "scope": { "sources": [world.source] } })).await;
    world.admin.set_calendar(world.source, calendar(json!({ "timeZone": "UTC", "from": "2023-12-01" }))).await.unwrap();
    let facts: Vec<_> = (1..=10)
        .filter(|day| *day != 4)
        .map(|day| stake(&day.to_string(), "10", &format!("2023-12-{day:02}T23:59:59Z")))
        .collect();
    world.recorded(&facts).await;
    // A fact that counts for nothing is a delivery all the same.
    let mut test = stake("test", "1", "2023-12-04T00:00:00Z");
    test.test = true;
    assert_eq!(missing(&world, contract).await.len(), 22);
    world.recorded(&[test]).await;
    let december = world.settlements(contract).await[0].id;
    let expected: Vec<NaiveDate> = (11..=31).map(|date| day(&format!("2023-12-{date}"))).collect();
    assert_eq!(missing(&world, contract).await, expected);
    assert!(has_code(world.admin.close_settlement(december).await, Code::Blocked));

    let sign = async |from: &str, until: &str, note: &str| {
        world.admin.sign_off_days(world.source, day(from), day(until), note).await
    };
    assert!(has_code(sign("2023-12-11", "2023-12-31", " ").await, Code::BadInput), "it takes a note");
    assert!(has_code(sign("2024-03-01", "2024-03-01", "early").await, Code::BadInput), "today is not over");
    sign("2023-12-11", "2023-12-30", "the game was taken down").await.unwrap();
    assert_eq!(missing(&world, contract).await, [day("2023-12-31")]);
    let days = sign("2023-12-09", "2023-12-31", "the game was taken down").await.unwrap();
    assert!(days.iter().take(2).all(|day| day.state == DayState::Complete && day.sign_off.is_none()));
    assert!(days.iter().skip(2).all(|day| day.state == DayState::SignedOff));
    let signed = days.last().and_then(|day| day.sign_off.as_ref()).unwrap();
    assert_eq!((signed.by, signed.note.as_str()), (Some(world.tenant.admin_id), "the game was taken down"));
    let closed = world.admin.close_settlement(december).await.unwrap();
    assert_eq!(closed.transaction_count, Some(9));
    // What comes for a signed-off day is late like anything else, and the day complete.
    world.recorded(&[stake("late", "10", "2023-12-20T00:00:00Z")]).await;
    let days = world.admin.source_days(world.source, day("2023-12-20"), day("2023-12-20")).await.unwrap();
    assert_eq!((days[0].state, days[0].transactions), (DayState::Complete, 1));
    assert_eq!(world.lines(contract, "2024-01").await, ["CORRECTION 1 all 100"]);
    world.check_books().await;
}

#[tokio::test]
async fn days_are_counted_in_the_zone_of_the_calendar() {
    let world = World::new().await;
    let contract = world
        .contract(
            "share",
            json!({ "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul" }, "validFrom": "2024-02-01" }),
        )
        .await;
    let feb = json!({ "timeZone": "Asia/Seoul", "from": "2024-02-01", "until": "2024-02-02" });
    world.admin.set_calendar(world.source, calendar(feb.clone())).await.unwrap();
    // 15:00 UTC is midnight in Seoul.
    world.recorded(&[stake("1", "1", "2024-01-31T15:00:00Z")]).await;
    assert_eq!(missing(&world, contract).await, [day("2024-02-02")]);
    world.recorded(&[stake("2", "1", "2024-02-02T15:00:00Z")]).await;
    assert_eq!(missing(&world, contract).await, [day("2024-02-02")], "that was the third already");
    world.recorded(&[stake("3", "1", "2024-02-02T14:59:59.999999Z")]).await;
    assert_eq!(missing(&world, contract).await, []);
    let mut utc = feb.clone();
    utc["timeZone"] = json!("UTC");
    assert_eq!(
        problems(world.admin.set_calendar(world.source, calendar(utc)).await),
        ["WRONG_STATE calendar.timeZone"]
    );
    // Weekends are not due.
    let mut weekdays = feb;
    weekdays["until"] = json!("2024-02-06");
    weekdays["weekdays"] = json!(["MONDAY", "THURSDAY", "FRIDAY"]);
    world.admin.set_calendar(world.source, calendar(weekdays)).await.unwrap();
    assert_eq!(missing(&world, contract).await, [day("2024-02-05")]);
}

/// Where each fact goes: the begin of its settlement's period.
async fn places(world: &World, contract: ContractId) -> Vec<(String, String, i64)> {
    let mut all = Vec::new();
    for row in world.settlements(contract).await {
        let sql = format!("SELECT sum(transactions) FROM accruals WHERE settlement_id = {}", hex(row.id.0));
        all.push((row.period_start.to_rfc3339(), row.period_end.to_rfc3339(), world.app.number(&sql).await));
    }
    all
}

#[tokio::test]
async fn periods_follow_the_clocks_of_the_contract() {
    let world = World::new().await;
    let place = |from: &str, until: &str, count: i64| (from.to_owned(), until.to_owned(), count);
    // The clocks of New York went forward on 10 March 2024: March has an hour less, and begins at six.
    let new_york = json!({ "cycle": { "every": "MONTH", "timeZone": "America/New_York", "cutOffHour": 6 } });
    let monthly = world.contract("monthly", new_york).await;
    let wednesdays = json!({ "role": "AGENT", "cycle": { "every": "WEEK", "timeZone": "America/New_York", "startsOn": "WEDNESDAY" } });
    let weekly = world.contract("weekly", wednesdays).await;
    let instants = [
        "2024-03-01T10:59:59.999999Z",
        "2024-03-01T11:00:00Z",
        "2024-03-06T04:59:59Z",
        "2024-03-06T05:00:00Z",
        "2024-03-13T03:59:59Z",
        "2024-03-13T04:00:00Z",
        "2024-04-01T09:59:59.999999Z",
        "2024-04-01T10:00:00Z",
    ];
    let facts: Vec<_> = instants.iter().map(|when| stake(when, "1", when)).collect();
    world.recorded(&facts).await;
    assert_eq!(
        places(&world, monthly).await,
        [
            place("2024-02-01T11:00:00Z", "2024-03-01T11:00:00Z", 1),
            place("2024-03-01T11:00:00Z", "2024-04-01T10:00:00Z", 6),
            place("2024-04-01T10:00:00Z", "2024-05-01T10:00:00Z", 1),
        ]
    );
    assert_eq!(
        places(&world, weekly).await,
        [
            place("2024-02-28T05:00:00Z", "2024-03-06T05:00:00Z", 3),
            place("2024-03-06T05:00:00Z", "2024-03-13T04:00:00Z", 2),
            place("2024-03-13T04:00:00Z", "2024-03-20T04:00:00Z", 1),
            place("2024-03-27T04:00:00Z", "2024-04-03T04:00:00Z", 2),
        ]
    );
    // A period can close at its very end and not before.
    world.app.clock.move_to(at("2024-03-06T04:59:59.999999Z"));
    let first = world.settlements(weekly).await[0].id;
    assert!(has_code(world.admin.close_settlement(first).await, Code::Blocked));
    world.app.clock.move_to(at("2024-03-06T05:00:00Z"));
    world.admin.close_settlement(first).await.unwrap();
    let february = world.settlements(monthly).await[0].id;
    world.admin.close_settlement(february).await.unwrap();
    // Closing week after week opens the weeks between, empty as they are.
    world.app.clock.move_to(at("2024-05-01T10:00:00Z"));
    for _ in 0..4 {
        world.close_next(weekly).await;
    }
    assert_eq!(world.settlements(weekly).await.len(), 6);
    world.check_books().await;
}

#[tokio::test]
async fn two_tenants_of_equal_names_and_ids_know_nothing_of_each_other() {
    let acme = World::new().await;
    let bolt = acme.twin("bolt").await;
    let (a, b) = (acme.contract("share", json!({})).await, bolt.contract("share", json!({})).await);
    let file =
        "id,kind,amount,at,product\nf1,STAKE,1,2024-01-10T00:00:00Z,dice\nf2,STAKE,-1,2024-01-10T00:00:00Z,dice\n";
    for (world, amount) in [(&acme, "100"), (&bolt, "7")] {
        world.recorded(&[stake("1", amount, "01-10"), rollback("early", "2", "01-10")]).await;
        assert_eq!(
            all_shown(&world.record(&[stake("1", "3", "01-10"), stake("broken", "x", "01-10")]).await),
            ["CONFLICT", "BAD_AMOUNT amount"]
        );
        world.tenant.import(world.source, "a.csv", file.as_bytes()).await;
    }
    // A rollback that waits in one meets no fact of the other.
    acme.recorded(&[stake("2", "50", "01-10")]).await;
    assert_eq!(acme.sums(a).await, ["2024-01 1 all STAKE 10100/2/4"]);
    assert_eq!(bolt.sums(b).await, ["2024-01 1 all STAKE 800/2/2"]);
    let page = PageRequest::default;
    let all = acme.admin.transactions(&TransactionFilter::default(), page()).await.unwrap().items;
    let held = acme.quarantined().await;
    assert_eq!((all.len(), held.len(), bolt.quarantined().await.len()), (4, 2, 2));
    assert!(held.iter().all(|row| row.tenant_id == acme.tenant.id()));

    // By id, what is the other's is what is not there.
    let ids: Vec<_> = all.iter().map(|row| row.id).collect();
    assert_eq!(bolt.admin.transactions_by_ids(&ids).await.unwrap(), []);
    assert!(bolt.admin.unpriced(&ids).await.unwrap().is_empty());
    assert!(bolt.admin.raw_record(&all[0]).await.is_err());
    assert!(is_not_found(bolt.admin.record_transactions(acme.source, vec![stake("9", "1", "01-10")]).await));
    assert!(is_not_found(bolt.admin.begin_import(acme.source, "a.csv", None).await));
    let run = acme.admin.import_runs(None, page()).await.unwrap().items[0].id;
    assert_eq!(bolt.admin.import_run(run).await.unwrap(), None);
    assert!(is_not_found(bolt.admin.import(run, 0, pieces(b"id\n"), true).await));
    assert!(is_not_found(bolt.admin.abandon_import(run).await));
    assert!(is_not_found(bolt.admin.retry_quarantined(held[0].id, None).await));
    assert!(is_not_found(bolt.admin.dismiss_quarantined(held[0].id, "mine?").await));
    let january = acme.settlements(a).await[0].id;
    assert!(is_not_found(bolt.admin.close_settlement(january).await));
    assert!(is_not_found(bolt.admin.blockers(january).await));
    assert!(bolt.admin.statements(&[january]).await.unwrap().is_empty());
    assert!(bolt.settlements(a).await.is_empty());
    assert!(is_not_found(bolt.admin.set_calendar(acme.source, None).await));
    assert!(is_not_found(bolt.admin.source_days(acme.source, day("2024-01-10"), day("2024-01-10")).await));
    let foreign = json!({ "scope": { "sources": [acme.source] }, "role": "AGENT" });
    let new = domain::contracts::NewContract { partner: bolt.partner, name: "x".into(), terms: terms(foreign) };
    assert_eq!(problems(bolt.admin.create_contract(new).await), ["NOT_FOUND terms.scope.sources.0"]);

    // Closing one leaves the other open, and each has books of its own.
    for row in held {
        acme.admin.dismiss_quarantined(row.id, "no").await.unwrap();
    }
    acme.close_next(a).await;
    assert!(bolt.settlements(b).await.iter().all(|row| row.state == "OPEN"));
    assert!(bolt.admin.accounts(Default::default()).await.unwrap().items.is_empty());
    assert_eq!(acme.admin.accounts(Default::default()).await.unwrap().items.len(), 3);
    acme.check_books().await;
    bolt.check_books().await;
}
