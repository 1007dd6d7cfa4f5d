//! Where contracts end, how long late facts are awaited, periods of any lengths, and when what is owed is due.

use chrono::NaiveDate;
use domain::calendars::{Holiday, NewCalendar};
use domain::contracts::NewContract;
use domain::contracts::contract::Weekday;
use domain::page::PageRequest;
use domain::settlements::SettlementFilter;
use domain::transactions::transaction::Draft;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

#[tokio::test]
async fn behind_its_last_day_a_contract_counts_nothing_and_pays_what_is_left() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    // From 1 February to the 10th: 10 of 29 days, whose guarantee is below the minimum payout.
    let ends = json!({ "validUntil": "2024-02-10", "minimumPayout": "50", "minimumGuarantee": "29" });
    let contract = world.contract("share", ends).await;
    world.recorded(&[stake("1", "100", "01-10"), stake("2", "100", "02-10"), stake("3", "100", "02-11")]).await;
    assert_eq!(world.unpriced().await, ["3 NO_CONTRACT"]);
    world.close_next(contract).await;
    assert_eq!(
        world.lines(contract, "2024-01").await,
        ["REVENUE_SHARE 1 all 1000", "GUARANTEE 1 - 1900", "CARRIED_OUT 1 - -2900"]
    );
    world.close_next(contract).await;
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 1 all 1000", "CARRIED_IN 1 - 2900"]);
    let rows = world.settlements(contract).await;
    assert_eq!(rows.iter().filter(|row| row.state == "OPEN").count(), 0, "no period follows: {rows:?}");
    world.check_books().await;

    // What comes late is corrected all the same, in a period that is opened for it, and paid however small.
    world.recorded(&[stake("4", "10", "02-09")]).await;
    assert_eq!(world.lines(contract, "2024-03").await, ["CORRECTION 1 all 100"]);
    world.close_next(contract).await;
    assert!(world.settlements(contract).await.iter().all(|row| row.state == "CLOSED"));
    assert_eq!(world.settlements(contract).await.len(), 3);
    world.check_books().await;
}

#[tokio::test]
async fn an_end_that_is_agreed_late_takes_back_what_was_settled_behind_it() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-04-10T00:00:00Z"));
    let contract = world.contract("share", json!({ "fees": [{ "code": "desk", "charge": { "amount": "31" } }] })).await;
    let facts = [stake("1", "100", "01-10"), stake("2", "100", "01-21"), stake("3", "100", "02-10")];
    world.recorded(&facts).await;
    for _ in 0..3 {
        world.close_next(contract).await;
    }
    let ends = json!({ "validUntil": "2024-01-20", "fees": [{ "code": "desk", "charge": { "amount": "31" } }] });
    let draft = domain::contracts::VersionDraft { replaces: Some(1), ..terms(ends.clone()).into() };
    let draft = world.admin.draft_contract_version(contract, draft).await.expect("a draft");
    world.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
    // Of January 20 of 31 days and one of two stakes are left; February and March are taken back.
    let total = world.statement(world.settlements(contract).await.last().expect("April").id).await.total;
    assert_eq!(total.0, -(1_100 + 1_000) - (3_100 + 1_000) - 3_100);
    let twin = world.twin("twin").await;
    let its = twin.contract("share", ends).await;
    twin.recorded(&facts).await;
    let due = |figures: Figures| figures.due;
    assert_eq!(due(world.figures(contract).await), due(twin.figures(its).await));
    world.app.clock.move_to(at("2024-05-01T00:00:00Z"));
    world.close_next(contract).await;
    assert!(world.settlements(contract).await.iter().all(|row| row.state == "CLOSED"), "nothing follows");
    assert_eq!(due(world.figures(contract).await), due(twin.figures(its).await));
    world.check_books().await;
}

#[tokio::test]
async fn what_comes_late_is_awaited_before_a_period_can_close() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "lateWindow": { "days": 5 } })).await;
    world.recorded(&[stake("1", "100", "02-10")]).await;
    let february = world.settlements(contract).await[0].id;
    world.app.clock.move_to(at("2024-03-05T23:59:59Z"));
    let refused = world.admin.close_settlement(february).await;
    assert_eq!(problems(refused), ["BLOCKED settlementId"]);
    let blockers = world.admin.blockers(february).await.expect("blockers");
    assert_eq!(blockers.iter().map(|blocker| blocker.code()).collect::<Vec<_>>(), ["LATE_WINDOW_OPEN"]);
    assert_eq!(blockers[0].message(), "What comes late for the period is awaited until 2024-03-06T00:00:00Z.");
    // Late, and in its own period.
    world.recorded(&[stake("2", "50", "02-29")]).await;
    world.app.clock.move_to(at("2024-03-06T00:00:00Z"));
    world.close_next(contract).await;
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 1 all 1500"]);
    world.recorded(&[stake("3", "10", "02-29")]).await;
    assert_eq!(world.lines(contract, "2024-03").await, ["CORRECTION 1 all 100"]);
}

#[tokio::test]
async fn periods_follow_the_lengths_of_a_custom_cycle() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    let custom = json!({ "from": "2024-01-01", "unit": "WEEK", "lengths": [4, 4, 5] });
    let cycle = json!({ "cycle": { "every": "CUSTOM", "timeZone": "UTC", "custom": custom } });
    let contract = world.contract("share", cycle).await;
    world.recorded(&[stake("1", "100", "01-28"), stake("2", "200", "01-29"), stake("3", "300", "03-31")]).await;
    let shown = |row: &domain::settlements::Settlement| format!("{} {}", row.period_start, row.period_end);
    let rows: Vec<String> = world.settlements(contract).await.iter().map(shown).collect();
    assert_eq!(
        rows,
        [
            "2024-01-01T00:00:00Z 2024-01-29T00:00:00Z",
            "2024-01-29T00:00:00Z 2024-02-26T00:00:00Z",
            "2024-02-26T00:00:00Z 2024-04-01T00:00:00Z",
        ]
    );
    for _ in 0..3 {
        world.close_next(contract).await;
    }
    let last = world.settlements(contract).await.last().map(shown);
    assert_eq!(last.as_deref(), Some("2024-04-01T00:00:00Z 2024-04-29T00:00:00Z"));
    world.check_books().await;
    // Another pattern takes over where both begin a period, and nowhere else.
    let ten = |from: &str| {
        let custom = json!({ "from": from, "unit": "DAY", "lengths": [10] });
        terms(json!({ "validFrom": from, "cycle": { "every": "CUSTOM", "timeZone": "UTC", "custom": custom } }))
    };
    let draft = world.admin.draft_contract_version(contract, ten("2024-05-01")).await.expect("a draft");
    let refused = world.admin.activate_contract_version(contract, draft.version).await;
    assert_eq!(problems(refused), ["BAD_INPUT terms.validFrom"]);
    let draft = world.admin.draft_contract_version(contract, ten("2024-04-29")).await.expect("a draft");
    world.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn korea(holidays: &[&str], revision: Option<i64>) -> NewCalendar {
    let holiday = |date: &&str| Holiday { date: day(date), name: "A holiday".to_owned() };
    NewCalendar {
        code: "KR".to_owned(),
        name: "Korea".to_owned(),
        weekend: vec![Weekday::Saturday, Weekday::Sunday],
        holidays: holidays.iter().map(holiday).collect(),
        revision,
    }
}

#[tokio::test]
async fn what_is_owed_is_due_on_a_business_day_and_stays_due_on_it() {
    let world = World::new().await;
    let admin = &world.admin;
    let payment = json!({ "payment": { "days": 10, "calendars": ["KR"], "roll": "FOLLOWING" } });
    let new = NewContract { partner: world.partner, name: "share".to_owned(), terms: terms(payment.clone()) };
    assert_eq!(problems(admin.create_contract(new).await), ["NOT_FOUND terms.payment.calendars.0"]);
    admin.set_business_calendar(korea(&["2024-03-11"], None)).await.expect("a calendar");
    let contract = world.contract("share", payment).await;
    world.recorded(&[stake("1", "100", "02-10")]).await;
    let february = world.settlements(contract).await[0].id;
    let due = async || admin.due_dates(&[february]).await.expect("dates").get(&february).map(ToString::to_string);
    // Ten days after 29 February is a Sunday, and the Monday a holiday.
    assert_eq!(due().await.as_deref(), Some("2024-03-12"));
    assert_eq!(problems(admin.set_business_calendar(korea(&[], None)).await), ["STALE revision"]);
    assert_eq!(
        problems(admin.set_business_calendar(korea(&["0024-03-11"], Some(1))).await),
        ["BAD_INPUT holidays.0.date"]
    );
    let saved = admin.set_business_calendar(korea(&[], Some(1))).await.expect("a calendar");
    assert_eq!((saved.revision, due().await.as_deref()), (2, Some("2024-03-11")));
    let closed = world.close_next(contract).await;
    assert_eq!(closed.due_on.as_deref(), Some("2024-03-11"));
    // What is closed stays due.
    admin.set_business_calendar(korea(&["2024-03-11"], Some(2))).await.expect("a calendar");
    assert_eq!(due().await.as_deref(), Some("2024-03-11"));
    for (until, found) in [("2024-03-10", 0), ("2024-03-11", 1)] {
        let filter = SettlementFilter { due_until: Some(day(until)), ..SettlementFilter::default() };
        assert_eq!(
            admin.settlements(&filter, PageRequest::default()).await.expect("rows").items.len(),
            found,
            "{until}"
        );
    }
    let page = admin.business_calendars(PageRequest { first: 10, after: None }).await.expect("calendars");
    assert_eq!(page.items.iter().map(|one| (one.code.as_str(), one.revision)).collect::<Vec<_>>(), [("KR", 3)]);
}

#[tokio::test]
async fn days_that_count_from_the_close_are_told_once_it_is_closed() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "payment": { "days": 5, "from": "CLOSED" } })).await;
    world.recorded(&[stake("1", "100", "02-10")]).await;
    let february = world.settlements(contract).await[0].id;
    assert_eq!(world.admin.due_dates(&[february]).await.expect("dates").len(), 0);
    world.app.clock.move_to(at("2024-03-04T23:00:00Z"));
    assert_eq!(world.close_next(contract).await.due_on.as_deref(), Some("2024-03-09"));
    let plain = world.contract_with(partner(&world.admin, "Other").await, "plain", json!({})).await;
    world.recorded(&[stake("2", "100", "02-11")]).await;
    assert_eq!(world.close_next(plain).await.due_on, None);
}

#[tokio::test]
async fn each_currency_has_settlements_and_a_cycle_of_its_own() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    let dollars = |every: &str| json!([{ "currency": "USD", "minimumPayout": "50", "cycle": { "every": every } }]);
    let contract = world.contract("share", json!({ "alsoIn": dollars("WEEK") })).await;
    let usd = |id: &str, amount: &str, when: &str| Draft { currency: "USD".to_owned(), ..stake(id, amount, when) };
    let yen = Draft { currency: "JPY".to_owned(), ..stake("5", "100", "01-10") };
    let facts = [stake("1", "100", "01-10"), usd("2", "200", "01-10"), usd("3", "600", "01-17"), yen];
    world.recorded(&facts).await;
    assert_eq!(world.unpriced().await, ["5 NO_CONTRACT"]);
    let shown = async || {
        let mut all = Vec::new();
        for row in world.settlements(contract).await {
            let total = world.statement(row.id).await.total.0;
            all.push(format!("{} {} {} {total}", row.currency, row.period_start.utc().date_naive(), row.state));
        }
        all
    };
    // A week of 20 is carried, and paid with the next one.
    let expected = ["EUR 2024-01-01 OPEN 1000", "USD 2024-01-08 OPEN 0", "USD 2024-01-15 OPEN 8000"];
    assert_eq!(shown().await, expected);
    world.close_next(contract).await;
    world.close_next(contract).await;
    world.recorded(&[usd("4", "100", "01-09")]).await;
    let expected =
        ["EUR 2024-01-01 CLOSED 1000", "USD 2024-01-08 CLOSED 0", "USD 2024-01-15 OPEN 9000", "EUR 2024-02-01 OPEN 0"];
    assert_eq!(shown().await, expected, "what comes late is corrected in its currency");
    world.check_books().await;

    let rival = NewContract {
        partner: world.partner,
        name: "rival".to_owned(),
        terms: terms(json!({ "currency": "JPY", "alsoIn": dollars("DAY") })),
    };
    assert_eq!(problems(world.admin.create_contract(rival).await), ["SCOPE_OVERLAP terms.scope"]);
    let unknown = json!([{ "currency": "XYZ", "minimumPayout": "0" }, { "currency": "USD", "minimumPayout": "-1" }]);
    let unknown = world.admin.draft_contract_version(contract, terms(json!({ "alsoIn": unknown }))).await;
    let expected = ["UNKNOWN_CURRENCY terms.alsoIn.0.currency", "NEGATIVE_AMOUNT terms.alsoIn.1.minimumPayout"];
    assert_eq!(problems(unknown), expected);
    // 1 February is no Monday: a month of dollars cannot begin inside a week of them.
    let change = |from: &str, every: &str| terms(json!({ "validFrom": from, "alsoIn": dollars(every) }));
    for (from, every, fits) in [("2024-02-01", "MONTH", false), ("2024-02-01", "WEEK", true)] {
        let draft = world.admin.draft_contract_version(contract, change(from, every)).await.expect("a draft");
        let active = world.admin.activate_contract_version(contract, draft.version).await;
        assert_eq!(active.is_ok(), fits, "{from} {every}: {active:?}");
    }
    world.check_books().await;
    // Dollars end in February: what is left of them is paid, and euros go on.
    world.recorded(&[usd("6", "100", "01-31"), stake("7", "10", "03-05")]).await;
    world.amend(contract, json!({ "validFrom": "2024-03-01" })).await;
    for _ in 0..12 {
        if world.settlements(contract).await.iter().any(|row| row.state == "OPEN" && row.currency == "USD") {
            world.close_next(contract).await;
        }
    }
    let rows = world.settlements(contract).await;
    assert!(rows.iter().filter(|row| row.currency == "USD").all(|row| row.state == "CLOSED"), "{rows:?}");
    assert!(rows.iter().any(|row| row.currency == "EUR" && row.state == "OPEN"));
    let paid: i64 = {
        let mut paid = 0;
        for row in rows.iter().filter(|row| row.currency == "USD") {
            paid += world.statement(row.id).await.total.0;
        }
        paid
    };
    assert_eq!(paid, 10_000, "10 % of 1,000");
    world.check_books().await;
}
