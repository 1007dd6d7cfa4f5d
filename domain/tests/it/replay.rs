//! The time machine: what it says of the past is what the books say, and what it says of a draft is what activating the
//! draft gives.

use std::collections::BTreeMap;

use domain::catalogue::PlayerFacts;
use domain::contracts::NewContract;
use domain::ids::ContractId;
use domain::replay::{Ask, Simulated, Step};
use domain::settlements::settlement::LineCode;
use domain::time::Timestamp;
use domain::transactions::transaction::Draft;
use domain::{Error, Role, Scoped};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::facts::*;
use crate::support::*;

pub fn ask(contract: ContractId, version: i64, from: &str, to: &str) -> Ask {
    let (from, to) = (from.parse().expect("a day"), to.parse().expect("a day"));
    Ask { contract, version, from, to, currency: None }
}

pub async fn simulated(scoped: &Scoped, ask: Ask) -> Simulated {
    let mut steps = scoped.simulate_contract_version(ask).await.expect("it begins");
    let mut last = None;
    while let Some(step) = steps.next().await {
        assert!(last.is_none(), "what came of it is the last: {step:?}");
        match step {
            Step::Progress(progress) => assert!(progress.done <= progress.of, "{progress:?}"),
            Step::Done(simulated) => last = Some(*simulated),
            Step::Failed(error) => panic!("{error}"),
        }
    }
    let simulated = last.expect("an outcome");
    adds_up(&simulated);
    simulated
}

/// Every list comes to the same total, on both sides.
fn adds_up(of: &Simulated) {
    for drafted in [false, true] {
        let side = |both: &domain::replay::difference::Both<domain::money::Minor>| {
            if drafted { both.drafted.0 } else { both.settled.0 }
        };
        let total = side(&of.total);
        assert_eq!(of.periods.iter().map(|row| side(&row.total)).sum::<i64>(), total);
        assert_eq!(of.lines.iter().map(|row| side(&row.amount)).sum::<i64>(), total);
        assert_eq!(of.partners.iter().map(|row| side(&row.total)).sum::<i64>(), total);
        let classes: i64 = of.classes.iter().map(|row| side(&row.sums.amount)).sum();
        let products: i64 = of.products.iter().map(|row| side(&row.sums.amount)).sum();
        assert_eq!((classes + side(&of.apart), products + side(&of.apart)), (total, total));
    }
}

/// The shares of one side by period and rate class, without those that come to nothing.
fn shares(of: &Simulated, drafted: bool) -> BTreeMap<(Timestamp, String), i64> {
    let lines = of.lines.iter().filter(|line| line.code == LineCode::RevenueShare).map(|line| {
        let amount = if drafted { line.amount.drafted } else { line.amount.settled };
        ((line.period.start, line.rate_class.clone().unwrap_or_default()), amount.0)
    });
    lines.filter(|(_, amount)| *amount != 0).collect()
}

/// What the books say of periods from here on, with corrections where they belong.
async fn booked(world: &World, contract: ContractId, from: &str) -> BTreeMap<(Timestamp, String), i64> {
    let mut booked: BTreeMap<(Timestamp, String), i64> = BTreeMap::new();
    for ((period, _, class), amount) in world.figures(contract).await.earned {
        if at(&format!("{from}T00:00:00Z")) <= period {
            *booked.entry((period, class)).or_default() += amount;
        }
    }
    booked.retain(|_, amount| *amount != 0);
    booked
}

fn differs_in_nothing(of: &Simulated) {
    assert_eq!(of.total.difference().0, 0);
    for line in &of.lines {
        assert_eq!((line.amount.settled, line.base.settled), (line.amount.drafted, line.base.drafted), "{line:?}");
    }
    for row in &of.periods {
        assert_eq!((row.total.difference().0, row.transactions.settled), (0, row.transactions.drafted), "{row:?}");
    }
    let shares = of.classes.iter().map(|row| row.sums).chain(of.products.iter().map(|row| row.sums));
    for row in shares {
        assert_eq!(
            (row.base.settled, row.amount.settled, row.transactions.settled),
            (row.base.drafted, row.amount.drafted, row.transactions.drafted)
        );
    }
    assert_eq!((of.failed.settled, of.waiting.settled), (of.failed.drafted, of.waiting.drafted));
}

/// Numbers that are the same in every run.
pub(crate) struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).expect("small")]
    }
}

/// Facts of December to June with rounds, tests and rollbacks that come before or after what they undo.
pub(crate) fn stream(dice: &mut Dice, first: u64, count: u64) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for number in first..first + count {
        let occurred = at("2023-12-20T00:00:00Z").plus(dice.roll(180 * 86_400) as i64 * 1_000_000);
        let kind = dice.one(&["STAKE", "STAKE", "WIN", "BONUS_STAKE", "BONUS_WIN", "FEE", "ADJUSTMENT"]);
        let adjusts = kind == "ADJUSTMENT";
        let amount = format!("{}.{:02}", dice.roll(400), dice.roll(100));
        let id = format!("f{number}");
        let draft = Draft {
            external_id: id.clone(),
            kind: kind.to_owned(),
            amount,
            currency: dice.one(&["EUR", "EUR", "EUR", "EUR", "USD"]).to_owned(),
            occurred_at: Some(occurred),
            settled_at: Some(occurred.plus(dice.roll(20 * 86_400) as i64 * 1_000_000)),
            product: (dice.roll(10) > 0).then(|| dice.one(&["dice", "slots"]).to_owned()),
            player: Some(dice.one(&["ann", "ben", "eve"]).to_owned()),
            round: Some(format!("r{}", dice.roll(count / 4 + 1))),
            round_closed: dice.roll(3) == 0,
            region: (dice.roll(3) == 0).then(|| "KR".to_owned()),
            affects: adjusts.then(|| "GGR".to_owned()),
            note: adjusts.then(|| "goodwill".to_owned()),
            test: dice.roll(20) == 0,
            attributes: [("shop".to_owned(), dice.roll(3).to_string())].into(),
            ..Draft::default()
        };
        match dice.roll(12) {
            0 => drafts.extend([rollback(&format!("r{id}"), &id, "02-01"), draft]),
            1 => drafts.extend([draft, rollback(&format!("r{id}"), &id, "02-01")]),
            _ => drafts.push(draft),
        }
    }
    drafts
}

/// Terms that read much of a transaction, from 2023-12 on.
pub(crate) fn rich(attribution: &str, percent: &str) -> Value {
    json!({
        "validFrom": "2023-12-01",
        "attribution": attribution,
        "minimumPayout": "20",
        "rateTable": { "rows": [
            { "code": "night", "when": "localHour < 6 and attributes.shop != '2'", "percent": percent },
            { "code": "dice", "when": "product == 'dice'",
              "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": "500", "percent": "15" }, { "percent": percent }] } },
            { "code": "korea", "when": "region == 'KR' or category == 'slot'", "percent": "3.3" },
            { "code": "rest", "percent": "7.5" },
        ] },
    })
}

pub(crate) fn changed(mut terms: Value, change: Value) -> Value {
    for (name, value) in change.as_object().expect("an object") {
        terms[name] = value.clone();
    }
    terms
}

/// A tenant with a random past: facts in pieces, months closed in between, a player that turns out to be a test player.
pub(crate) async fn with_a_past(seed: u64, terms: Value, later: Option<Value>) -> (World, ContractId) {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    let contract = world.contract("share", terms).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed + 1));
    for piece in 0..4 {
        world.record(&stream(&mut dice, piece * 100, 40)).await;
        world.app.pass_seconds(1);
        if piece > 0 {
            let rows = world.settlements(contract).await;
            if let Some(open) = rows.iter().find(|row| row.state == "OPEN") {
                // What lacks a price may be in the way.
                world.admin.close_settlement(open.id).await.ok();
            }
            world.app.pass_seconds(1);
        }
        if piece == 1 {
            let facts =
                PlayerFacts { segment: None, tags: vec![], test: true, valid_from: Some(at("2024-03-15T00:00:00Z")) };
            world.admin.set_player("eve", facts).await.expect("a player");
        }
        if piece == 2
            && let Some(later) = &later
        {
            world.amend(contract, later.clone()).await;
        }
    }
    (world, contract)
}

pub(crate) const ATTRIBUTIONS: [&str; 3] = ["OCCURRED", "SETTLED", "ROUND_CLOSED"];

#[tokio::test]
async fn a_draft_that_says_what_is_in_force_differs_in_nothing() {
    let mut closed = 0;
    for seed in 0..6 {
        let terms = rich(ATTRIBUTIONS[seed as usize % 3], "9");
        let later = changed(rich(ATTRIBUTIONS[(seed as usize + 1) % 3], "4"), json!({ "validFrom": "2024-04-01" }));
        let (world, contract) = with_a_past(seed, terms, Some(later.clone())).await;
        let draft = world.admin.draft_contract_version(contract, crate::facts::terms(later)).await.expect("a draft");
        let before = world.figures(contract).await;
        let since = simulated(&world.admin, ask(contract, draft.version, "2024-04-01", "2024-06-30")).await;
        differs_in_nothing(&since);
        assert!(since.periods.len() >= 3 && since.lines.len() > 3, "{since:?}");
        assert_eq!(shares(&since, false), booked(&world, contract, "2024-04-01").await, "seed {seed}");
        // Over both versions, what was settled is what the books say; the draft has other rates before.
        let whole = simulated(&world.admin, ask(contract, draft.version, "2023-12-01", "2024-08-31")).await;
        assert_eq!(shares(&whole, false), booked(&world, contract, "2023-12-01").await, "seed {seed}");
        assert_ne!(shares(&whole, false), shares(&whole, true));
        assert_eq!(world.figures(contract).await, before, "nothing was touched");
        closed += world.settlements(contract).await.iter().filter(|row| row.state == "CLOSED").count();
        world.check_books().await;
    }
    assert!(closed > 3, "corrections were among it");
}

#[tokio::test]
async fn a_draft_says_what_activating_it_gives() {
    for seed in 0..6 {
        let (world, contract) = with_a_past(seed + 50, rich(ATTRIBUTIONS[seed as usize % 3], "9"), None).await;
        let other = rich(ATTRIBUTIONS[seed as usize / 2 % 3], "11.25");
        let other = changed(other, json!({ "validFrom": "2024-01-01", "negative": { "mode": "PAYABLE_BY_PARTNER" } }));
        let draft = world.admin.draft_contract_version(contract, crate::facts::terms(other)).await.expect("a draft");
        let said = simulated(&world.admin, ask(contract, draft.version, "2024-01-01", "2024-08-31")).await;
        assert_eq!(shares(&said, false), booked(&world, contract, "2024-01-01").await, "seed {seed}");
        world.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
        assert_eq!(shares(&said, true), booked(&world, contract, "2024-01-01").await, "seed {seed}");
        let again = simulated(&world.admin, ask(contract, draft.version, "2024-01-01", "2024-08-31")).await;
        differs_in_nothing(&again);
        assert_eq!(shares(&again, true), shares(&said, true));
    }
}

/// The copy of the first time is gone on with: what comes later may undo, or close the round of, what is in it.
#[tokio::test]
async fn what_came_since_the_last_time_counts() {
    let world = World::new().await;
    for attribution in ["OCCURRED", "ROUND_CLOSED"] {
        let world = world.twin(&attribution.to_lowercase().replace('_', "-")).await;
        let contract = world.contract("share", json!({ "attribution": attribution })).await;
        let wide = ask(contract, 1, "2024-01-01", "2024-02-29");
        let in_round = |draft: Draft| Draft { round: Some("x".into()), player: Some("p".into()), ..draft };
        let mut sums = Vec::new();
        for drafts in [
            vec![in_round(stake("a", "100", "01-10")), rollback("rb", "b", "01-11")],
            vec![in_round(stake("b", "7", "01-12")), in_round(stake("c", "50", "01-12"))],
            vec![Draft { round_closed: true, ..in_round(win("d", "30", "02-01")) }],
            vec![rollback("ra", "a", "02-20"), in_round(stake("e", "1", "02-20"))],
            vec![],
        ] {
            world.recorded(&drafts).await;
            let said = simulated(&world.admin, wide.clone()).await;
            differs_in_nothing(&said);
            assert_eq!(shares(&said, false), booked(&world, contract, "2024-01-01").await, "{attribution}");
            let counted: i64 = said.periods.iter().map(|row| row.transactions.settled).sum();
            sums.push((said.total.settled.0, counted, said.waiting.settled));
        }
        let expected = match attribution {
            "OCCURRED" => [(1_000, 1, 0), (1_500, 4, 0), (1_500, 5, 0), (500, 7, 0), (500, 7, 0)],
            // Until the round closes in February, all of it waits; a fact and what undoes it are two that count.
            _ => [(0, 0, 1), (0, 0, 3), (1_200, 5, 0), (210, 7, 0), (210, 7, 0)],
        };
        assert_eq!(sums, expected, "{attribution}");
        world.check_books().await;
    }
}

#[tokio::test]
async fn tenants_are_apart() {
    let world = World::new().await;
    let twin = world.twin("bolt").await;
    let (own, other) = (world.contract("share", json!({})).await, twin.contract("share", json!({})).await);
    world.recorded(&[stake("a", "100", "01-10")]).await;
    twin.recorded(&[stake("a", "7", "01-10")]).await;
    for _ in 0..2 {
        let own = simulated(&world.admin, ask(own, 1, "2024-01-01", "2024-01-31")).await;
        let other = simulated(&twin.admin, ask(other, 1, "2024-01-01", "2024-01-31")).await;
        assert_eq!((own.total.settled.0, other.total.settled.0), (1_000, 70));
    }
    let foreign = world.admin.simulate_contract_version(ask(other, 1, "2024-01-01", "2024-01-31")).await;
    assert_eq!(problems(foreign.map(drop)), ["NOT_FOUND contractId"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_its_field() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let draft =
        world.admin.draft_contract_version(contract, terms(json!({ "currency": "USD" }))).await.expect("a draft");
    let refused = async |version, from, to| {
        problems(world.admin.simulate_contract_version(ask(contract, version, from, to)).await.map(drop))
    };
    assert_eq!(refused(1, "2024-02-01", "2024-01-31").await, ["BAD_INPUT to"]);
    assert_eq!(refused(1, "2024-03-02", "2024-03-03").await, ["BAD_INPUT from"], "tomorrow");
    assert_eq!(refused(1, "2024-02-02", "2024-03-03").await, ["BAD_INPUT to"]);
    assert_eq!(refused(1, "2020-01-01", "2024-01-31").await, ["BAD_INPUT to"]);
    assert_eq!(refused(9, "2024-01-01", "2024-01-31").await, ["NOT_FOUND version"]);
    assert_eq!(refused(draft.version, "2024-01-01", "2024-01-31").await, ["BAD_INPUT version"], "another currency");
    let none = ContractId(domain::ids::ContractId::NONE.0);
    let absent = world.admin.simulate_contract_version(ask(none, 1, "2024-01-01", "2024-01-31")).await;
    assert_eq!(problems(absent.map(drop)), ["NOT_FOUND contractId"]);
    let reader = world.tenant.member(&world.app, "reader@acme.test", Role::ReadOnly, None).await;
    assert_eq!(simulated(&reader, ask(contract, 1, "2024-01-01", "2024-01-31")).await.total.drafted.0, 0);
    let user = world.tenant.member(&world.app, "user@acme.test", Role::ReadOnly, Some(world.partner)).await;
    let theirs = user.simulate_contract_version(ask(contract, 1, "2024-01-01", "2024-01-31")).await;
    assert!(matches!(theirs.map(drop), Err(Error::Denied(_))));
}

/// A contract that was never in force: all that the draft pays is new. Its cycle has nothing to keep to.
#[tokio::test]
async fn the_first_draft_of_a_contract_is_beside_nothing() {
    let world = World::new().await;
    let terms = terms(json!({ "validFrom": "2030-01-01", "cycle": { "every": "WEEK", "timeZone": "UTC" } }));
    let new = NewContract { partner: world.partner, name: "new".to_owned(), terms };
    let contract = world.admin.create_contract(new).await.expect("a contract").0.id;
    world.record(&[stake("a", "100", "01-10"), stake("b", "1", "01-16"), win("c", "51", "01-16")]).await;
    let said = simulated(&world.admin, ask(contract, 1, "2024-01-10", "2024-01-17")).await;
    assert_eq!((said.window.start, said.window.end), (at("2024-01-08T00:00:00Z"), at("2024-01-22T00:00:00Z")));
    assert_eq!((said.total.settled.0, said.total.drafted.0), (0, 1_000));
    let codes: Vec<_> = said.lines.iter().map(|line| (line.code, line.amount.drafted.0)).collect();
    assert!(codes.contains(&(LineCode::RevenueShare, 1_000)), "{codes:?}");
}

#[tokio::test]
async fn one_that_nobody_wants_any_more_stops() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    for piece in 0..5_u32 {
        let drafts: Vec<Draft> = (0..900).map(|number| stake(&format!("{piece}-{number}"), "1", "01-10")).collect();
        world.recorded(&drafts).await;
    }
    let wide = ask(contract, 1, "2024-01-01", "2024-01-31");
    for _ in 0..3 {
        // Nobody hears of these, and they keep nobody from going on.
        drop(world.admin.simulate_contract_version(wide.clone()).await.expect("it begins"));
    }
    let mut begun = world.admin.simulate_contract_version(wide.clone()).await.expect("it begins");
    assert!(matches!(begun.next().await, Some(Step::Progress(_))));
    drop(begun);
    assert_eq!(simulated(&world.admin, wide.clone()).await.total.settled.0, 45_000);
    world.app.domain.shut_down().await;
}

#[tokio::test]
async fn the_crash_game_is_replayed_to_the_unit() {
    let Some(file) = crash_game_file() else { return };
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "windows-1252").await;
    let terms = |percent: &str| {
        crate::facts::terms(json!({
            "validFrom": "2021-10-01", "currency": "BIT", "scope": { "sources": [game.source] },
            "negative": { "mode": "PAYABLE_BY_PARTNER", "level": "TOTAL" },
            "rateTable": { "rows": [{ "code": "all", "percent": percent }] },
        }))
    };
    let new = NewContract { partner: game.partner, name: "share".into(), terms: terms("8") };
    let contract = tenant.admin.create_contract(new).await.expect("a contract").0.id;
    tenant.admin.activate_contract_version(contract, 1).await.expect("it is in force");
    tenant.import(game.source, "crash.csv", &file).await;
    let same = tenant.admin.draft_contract_version(contract, terms("8")).await.expect("a draft").version;
    let other = tenant.admin.draft_contract_version(contract, terms("9")).await.expect("a draft").version;
    let said = simulated(&tenant.admin, ask(contract, same, "2021-10-01", "2021-12-31")).await;
    differs_in_nothing(&said);
    // October, November and December: stakes less wins, in cents.
    let ggr = [116_316_900 - 92_851_345, -236_108_278, 4_100_076_700 - 4_116_145_804];
    let percent = |rate: i64| ggr.map(|ggr| (ggr * rate + 50 * ggr.signum()) / 100);
    let said = simulated(&tenant.admin, ask(contract, other, "2021-10-01", "2021-12-31")).await;
    let totals: Vec<_> = said.periods.iter().map(|row| (row.total.settled.0, row.total.drafted.0)).collect();
    assert_eq!(totals, percent(8).into_iter().zip(percent(9)).collect::<Vec<_>>());
    assert_eq!(said.products.len(), 1);
    assert_eq!(said.products[0].sums.base.settled.0, ggr.iter().sum::<i64>() * 10_000);
    assert_eq!(said.products[0].sums.transactions.settled, 78_734);
}
