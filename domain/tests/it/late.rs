//! The one rule for what comes late: closed settlements stay as they are, and what would have been different is a
//! correction in the open one, once. Every case is compared with a tenant that got the same before any close.

use domain::catalogue::{PlayerFacts, ProductFacts};
use domain::ids::ContractId;
use domain::time::Timestamp;
use domain::transactions::transaction::Draft;
use serde_json::{Value, json};

use crate::facts::*;
use crate::support::*;

/// Carries negative months, pays at least 1 EUR, and has tiers: what late facts change goes through all of it.
fn demanding() -> Value {
    json!({
        "minimumPayout": "1",
        "rateTable": { "rows": [
            { "code": "dice", "when": "product == 'dice'",
              "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": "100", "percent": "15" }, { "percent": "10" }] } },
            { "code": "rest", "percent": "7.5" },
        ] },
    })
}

/// What happens to a contract, in order.
pub(crate) enum Step {
    Record(Vec<Draft>),
    Close,
    Amend(Value),
    Product(&'static str, &'static str, &'static str),
    Test(&'static str, &'static str),
}

use Step::*;

impl World {
    async fn step(&self, contract: ContractId, step: &Step) {
        match step {
            Record(drafts) => self.recorded(drafts).await,
            Close => drop(self.close_next(contract).await),
            Amend(change) => self.amend(contract, change.clone()).await,
            Product(code, category, from) => {
                let products = self.admin.products(Default::default()).await.expect("products").items;
                let id = products.iter().find(|product| product.code == *code).expect("a product").id;
                let category = Some((*category).to_owned());
                let facts = ProductFacts { category, valid_from: Some(at(from)), ..product(code) };
                self.admin.change_product(id, facts).await.expect("a change");
            }
            Test(player, from) => {
                let facts = PlayerFacts { segment: None, tags: vec![], test: true, valid_from: Some(at(from)) };
                self.admin.set_player(player, facts).await.expect("a player");
            }
        }
        self.check_books().await;
    }
}

/// Takes the steps in order, then once more without the closes and with all facts at the end, and compares. Gives the
/// world of the first, in which everything is closed up to June: corrections are posted once.
pub(crate) async fn proven(terms: Value, steps: &[Step]) -> (World, ContractId) {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    let contract = world.contract("share", terms.clone()).await;
    for step in steps {
        world.step(contract, step).await;
    }
    let twin = world.twin("twin").await;
    let its = twin.contract("share", terms).await;
    for step in steps.iter().filter(|step| !matches!(step, Close | Record(_))) {
        twin.step(its, step).await;
    }
    for step in steps.iter().filter(|step| matches!(step, Record(_))) {
        twin.step(its, step).await;
    }
    let expected = twin.figures(its).await;
    assert_eq!(world.figures(contract).await, expected, "as of now");
    while world
        .settlements(contract)
        .await
        .iter()
        .any(|row| row.state == "OPEN" && row.period_end <= at("2024-07-01T00:00:00Z"))
    {
        world.close_next(contract).await;
        assert_eq!(world.figures(contract).await, expected, "after one more close");
    }
    let open = world.settlements(contract).await.last().expect("the next period").clone();
    let lines = world.statement(open.id).await.lines;
    assert!(lines.iter().all(|line| line.code.as_str() != "CORRECTION"), "{lines:?}");
    world.check_books().await;
    (world, contract)
}

fn slots(draft: Draft) -> Draft {
    Draft { product: Some("slots".into()), ..draft }
}

#[tokio::test]
async fn a_closed_month_gets_corrections_in_the_open_one() {
    let steps = [
        Record(vec![stake("1", "90", "01-10"), stake("2", "40", "02-10"), slots(stake("3", "200", "01-11"))]),
        Close,
        // Over the tier's edge; a class that had nothing; a fact that comes to nothing.
        Record(vec![stake("4", "30", "01-12"), win("5", "1", "01-12"), stake("6", "0", "01-12")]),
        Close,
        Record(vec![win("7", "50", "01-31"), slots(win("8", "1000", "02-29"))]),
    ];
    let (world, contract) = proven(demanding(), &steps).await;
    // 15 % of 90 and 7.5 % of 200; then 100 at 15 %, 19 at 10 %: 3.40 more.
    assert_eq!(world.lines(contract, "2024-01").await, ["REVENUE_SHARE 1 dice 1350", "REVENUE_SHARE 1 rest 1500"]);
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 1 dice 600", "CORRECTION 1 dice 340"]);
}

#[tokio::test]
async fn the_carry_is_followed_through_all_later_closed_periods() {
    let steps = [
        Record(vec![stake("1", "100", "01-10"), stake("2", "100", "02-10"), stake("3", "100", "03-10")]),
        Close,
        Close,
        Close,
        // January turns negative by 150: it owes nothing, and takes all of February and half of March with it.
        Record(vec![win("4", "250", "01-20")]),
        Close,
        // And back again, after the corrections are posted.
        Record(vec![stake("5", "151", "01-21")]),
        Record(vec![rollback("6", "4", "04-01")]),
    ];
    for mode in ["CARRY", "RESET", "PAYABLE_BY_PARTNER"] {
        let (world, contract) = proven(json!({ "negative": { "mode": mode } }), &steps).await;
        let corrections = world.lines(contract, "2024-04").await;
        let expected: &[&str] = match mode {
            "CARRY" => &["CORRECTION 1 all -1000", "CORRECTION 1 all -1000", "CORRECTION 1 all -500"],
            "RESET" => &["CORRECTION 1 all -1000"],
            _ => &["CORRECTION 1 all -2500"],
        };
        assert_eq!(corrections, expected, "{mode}");
        let per_class = json!({ "negative": { "mode": mode, "level": "PER_CLASS" } });
        let mut terms = demanding();
        terms["negative"] = per_class["negative"].clone();
        proven(terms, &steps).await;
    }
}

#[tokio::test]
async fn a_period_before_the_first_closed_one_is_closed_too() {
    let steps = [
        Record(vec![stake("1", "100", "03-10")]),
        Close,
        // January loses, so that March's share goes down by what it would have carried; February has nothing.
        Record(vec![win("2", "40", "01-10")]),
        Record(vec![slots(stake("3", "10", "02-10"))]),
        Close,
        Record(vec![rollback("4", "2", "04-10"), slots(stake("5", "30", "02-11"))]),
    ];
    let (world, contract) = proven(json!({}), &steps).await;
    // Born closed, never with a share of its own: 10 EUR of February less 40 of January leave −30 for March.
    assert_eq!(world.lines(contract, "2024-01").await, [""; 0]);
    assert_eq!(world.lines(contract, "2024-02").await, [""; 0]);
    assert_eq!(world.lines(contract, "2024-03").await, ["REVENUE_SHARE 1 all 1000"]);
    assert_eq!(world.lines(contract, "2024-04").await, ["CORRECTION 1 all -300"]);
    proven(demanding(), &steps).await;
}

/// The command line closes as nobody in particular.
#[tokio::test]
async fn an_empty_month_that_the_operator_closed_passes_on_what_is_carried() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    for minimum in ["0", "50"] {
        let contract = world
            .contract_with(partner(&world.admin, minimum).await, "share", json!({ "minimumPayout": minimum }))
            .await;
        let id = |name: &str| format!("{minimum} {name}");
        let other = |draft: Draft| Draft { external_id: id(&draft.external_id), ..draft };
        world.record(&[other(win("1", "500", "01-10"))]).await;
        for _ in 0..3 {
            let rows = world.settlements(contract).await;
            let open = rows.iter().find(|row| row.state == "OPEN").expect("an open settlement");
            world.tenant.operator.close_settlement(open.id).await.expect("it closes");
        }
        let figures = world.figures(contract).await;
        assert_eq!(
            figures.carried.values().map(|base| base.0).sum::<i64>(),
            -500_000_000,
            "through February and March"
        );
        world.check_books().await;
        world.record(&[rollback(&id("r"), &id("1"), "01-10")]).await;
    }
}

#[tokio::test]
async fn a_small_amount_is_carried_and_corrected_like_any_other() {
    let terms = json!({ "minimumPayout": "20" });
    let steps = [
        Record(vec![stake("1", "80", "01-10"), stake("2", "50", "02-10")]),
        Close,
        // 8 EUR carried; with 13 more late it would have been paid. February pays it.
        Record(vec![stake("3", "130", "01-11")]),
        Close,
        Record(vec![win("4", "1000", "01-12"), stake("5", "1", "03-12")]),
        Close,
        Record(vec![rollback("6", "4", "03-12")]),
    ];
    let (world, contract) = proven(terms, &steps).await;
    assert_eq!(world.lines(contract, "2024-01").await, ["REVENUE_SHARE 1 all 800", "CARRIED_OUT 1 - -800"]);
    assert_eq!(
        world.lines(contract, "2024-02").await,
        ["REVENUE_SHARE 1 all 500", "CORRECTION 1 all 1300", "CARRIED_IN 1 - 800"]
    );
}

#[tokio::test]
async fn terms_agreed_late_give_the_difference() {
    let steps = [
        Record(vec![
            stake("1", "100", "01-10"),
            stake("2", "100", "01-20"),
            stake("3", "100", "02-10"),
            win("4", "30", "02-20"),
        ]),
        Close,
        Close,
        Amend(json!({ "validFrom": "2024-01-15", "rateTable": { "rows": [{ "code": "all", "percent": "20" }] } })),
        Record(vec![stake("5", "10", "01-12"), stake("6", "10", "01-22")]),
        Close,
        // Between the two, and with classes that did not exist.
        Amend(json!({ "validFrom": "2024-01-08", "rateTable": { "rows": [{ "code": "one", "percent": "50" }] } })),
        Record(vec![rollback("7", "1", "03-01")]),
        Amend(json!({ "validFrom": "2024-02-15", "negative": { "mode": "RESET" } })),
    ];
    let (world, contract) = proven(json!({}), &steps).await;
    // After two months were closed at 10 %: 110 more days' worth of 10 % each.
    assert_eq!(
        world.lines(contract, "2024-03").await,
        ["CORRECTION 1 all -900", "CORRECTION 2 all 2200", "CORRECTION 1 all -700", "CORRECTION 2 all 1400"]
    );
}

#[tokio::test]
async fn a_contract_agreed_after_its_facts_counts_them_from_its_beginning() {
    let steps = [
        Record(vec![stake("1", "100", "01-10"), stake("2", "100", "02-10")]),
        Close,
        Amend(json!({ "validFrom": "2023-11-01" })),
        Record(vec![stake("3", "100", "2023-12-10T00:00:00Z"), win("4", "500", "2023-11-10T00:00:00Z")]),
    ];
    proven(json!({}), &steps).await;
}

#[tokio::test]
async fn what_is_said_later_of_products_and_players_is_corrected() {
    let terms = json!({ "rateTable": { "rows": [
        { "code": "table", "when": "category == 'table'", "percent": "10" },
        { "code": "rest", "percent": "20" },
    ] } });
    let player = |draft: Draft| Draft { player: Some("ann".into()), ..draft };
    let steps = [
        Record(vec![stake("1", "100", "01-10"), player(stake("2", "50", "01-20")), player(stake("3", "30", "02-10"))]),
        Close,
        Product("dice", "live", "2024-01-15T00:00:00Z"),
        Close,
        Test("ann", "2024-01-18T00:00:00Z"),
        Record(vec![player(stake("4", "7", "01-12")), player(stake("5", "9", "01-28"))]),
        Record(vec![rollback("6", "2", "03-01")]),
    ];
    let (world, contract) = proven(terms, &steps).await;
    assert_eq!(
        world.lines(contract, "2024-02").await,
        ["REVENUE_SHARE 1 rest 600", "CORRECTION 1 table -500", "CORRECTION 1 rest 1000"]
    );
}

/// A late fact that changed only what is carried, so that no correction tells of it, and then comes to nothing.
#[tokio::test]
async fn what_was_closed_while_a_late_fact_counted_is_corrected_when_it_no_longer_does() {
    let player = |draft: Draft| Draft { player: Some("ann".into()), ..draft };
    let steps = [
        Record(vec![win("1", "100", "01-10"), stake("2", "200", "02-10")]),
        Close,
        Record(vec![player(win("3", "50", "01-20"))]),
        Close,
        Test("ann", "2024-01-01T00:00:00Z"),
    ];
    let (world, contract) = proven(json!({}), &steps).await;
    assert!(world.lines(contract, "2024-02").await.contains(&"REVENUE_SHARE 1 all 500".to_owned()));
    assert_eq!(world.lines(contract, "2024-03").await, ["CORRECTION 1 all 500"]);
}

/// Deductions, fees, cap, guarantee and the tiers of a year go through the one rule like the rest.
#[tokio::test]
async fn every_clause_is_corrected_like_the_shares() {
    let terms = json!({
        "base": { "ngr": { "bonusTreatment": "INCLUDE", "deductions": [
            { "code": "tax", "take": { "percentOf": { "percent": "10", "of": "GGR" } } },
            { "code": "cards", "take": { "amount": "3" } },
        ] } },
        "rateTable": { "rows": [
            { "code": "dice", "when": "product == 'dice'", "tiers": { "mode": "MARGINAL", "period": "YEAR",
              "steps": [{ "upTo": "100", "percent": "15" }, { "percent": "10" }] } },
            { "code": "rest", "percent": "7.5" },
        ] },
        "fees": [{ "code": "calls", "charge": { "perUnit": { "price": "0.5" } } }],
        "cap": "30", "minimumGuarantee": "12",
    });
    let steps = [
        Record(vec![stake("1", "90", "01-10"), stake("2", "40", "02-10")]),
        Close,
        Record(vec![stake("3", "30", "01-12"), slots(win("4", "50", "01-31"))]),
        Close,
        // January reaches the cap; February is left with the guarantee.
        Record(vec![slots(stake("5", "900", "01-13")), win("6", "40", "02-11")]),
        Close,
    ];
    proven(terms, &steps).await;
}

/// A guarantee and a fee agreed late are owed for months that are closed, and for one that nobody settled.
#[tokio::test]
async fn what_is_owed_by_the_day_is_owed_in_months_without_facts() {
    let late = json!({ "validFrom": "2024-01-16", "minimumGuarantee": "31", "fees": [{ "code": "licence", "charge": { "amount": "62" } }] });
    let steps = [
        Record(vec![stake("1", "100", "01-10")]),
        Close,
        Close,
        Amend(late),
        Record(vec![stake("2", "100", "04-10")]),
        Close,
    ];
    let (world, contract) = proven(json!({ "validFrom": "2024-01-01" }), &steps).await;
    let march = world.lines(contract, "2024-03").await;
    // January: 16 of 31 days; its licence is above the part of the guarantee.
    assert!(march.contains(&"CORRECTION 2 - 3200".to_owned()), "{march:?}");
    assert!(march.contains(&"FEE 2 - 6200".to_owned()), "{march:?}");
}

#[tokio::test]
async fn a_close_is_one_close_however_often_it_is_asked() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    let january = world.settlements(contract).await[0].id;
    let closed = world.admin.close_settlement(january).await.expect("it closes");
    world.recorded(&[stake("2", "50", "01-11")]).await;
    let entries = world.app.number("SELECT count(*) FROM ledger_entries").await;
    assert_eq!(world.admin.close_settlement(january).await.expect("again"), closed, "late facts do not reopen it");
    assert_eq!(world.app.number("SELECT count(*) FROM ledger_entries").await, entries);
    assert_eq!(closed.transaction_count, Some(1));
    assert_eq!(world.admin.blockers(january).await.expect("none"), []);
    let march = Timestamp(at("2024-03-01T00:00:00Z").0);
    assert_eq!(world.settlements(contract).await.last().map(|row| row.period_end), Some(march));
    world.check_books().await;
}

/// Facts would move from one period to another that ends before they occurred.
#[tokio::test]
async fn a_cycle_changes_only_where_nothing_is_settled_yet() {
    let world = World::new().await;
    let daily = |from: &str| json!({ "validFrom": from, "cycle": { "every": "DAY", "timeZone": "UTC" } });
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10"), stake("2", "100", "02-10")]).await;
    let draft = world.admin.draft_contract_version(contract, terms(daily("2024-02-01"))).await.expect("a draft");
    let activate = async || world.admin.activate_contract_version(contract, draft.version).await;
    assert_eq!(problems(activate().await), ["BAD_INPUT terms.validFrom"], "February is open");
    world.close_next(contract).await;
    world.close_next(contract).await;
    assert_eq!(problems(activate().await), ["BAD_INPUT terms.validFrom"], "February is closed");
    let change = async |revision: i64, from: &str| {
        let saved = world.admin.change_contract_draft(contract, draft.version, revision, terms(daily(from)));
        saved.await.expect("a draft");
    };
    change(1, "2024-03-01").await;
    assert_eq!(problems(activate().await), ["BAD_INPUT terms.validFrom"], "March is open, with nothing in it");
    change(2, "2024-04-01").await;
    activate().await.expect("April has no settlement");
    world.recorded(&[stake("3", "100", "03-31"), stake("4", "100", "04-01"), stake("5", "100", "04-02")]).await;
    let periods = |rows: &[domain::settlements::Settlement]| -> Vec<String> {
        rows.iter()
            .map(|row| format!("{} {}", &row.period_start.to_rfc3339()[5..10], &row.period_end.to_rfc3339()[5..10]))
            .collect()
    };
    assert_eq!(
        periods(&world.settlements(contract).await),
        ["01-01 02-01", "02-01 03-01", "03-01 04-01", "04-01 04-02", "04-02 04-03"]
    );
    // Back to months: not while the days are there.
    let back = world
        .admin
        .draft_contract_version(contract, terms(json!({ "validFrom": "2024-04-02" })))
        .await
        .expect("a draft");
    let refused = problems(world.admin.activate_contract_version(contract, back.version).await);
    assert_eq!(refused, ["BAD_INPUT terms.validFrom", "BAD_INPUT terms.validFrom"], "neither a boundary nor free");
    world.check_books().await;
}
