//! Whatever order and batches the same facts come in, and whenever periods close meanwhile, the books are the same.

use std::collections::BTreeSet;

use domain::catalogue::PlayerFacts;
use domain::ids::ContractId;
use domain::time::{MICROS_PER_HOUR, Timestamp};
use domain::transactions::transaction::Draft;
use proptest::prelude::*;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

const KINDS: [&str; 8] = ["STAKE", "STAKE", "WIN", "BONUS_STAKE", "BONUS_WIN", "SALE", "REFUND", "ADJUSTMENT"];

/// When everything is recorded and closed.
const NOW: &str = "2024-12-01T00:00:00Z";

/// What a fact is made of, as numbers that shrink well.
#[derive(Clone, Debug)]
struct Seed {
    kind: usize,
    /// Millionths of a euro.
    amount: u32,
    /// From the last day of 2023 on.
    hour: i64,
    product: usize,
    player: usize,
    round: usize,
    test: bool,
    /// A rollback of it comes too.
    undone: bool,
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let seed =
        (0..KINDS.len(), 0_u32..200_000_000, 0_i64..2_200, 0_usize..3, 0_usize..4, 0_usize..5, 0_u8..20, 0_u8..4);
    let seed = seed.prop_map(|(kind, amount, hour, product, player, round, test, undone)| Seed {
        kind,
        amount,
        hour,
        product,
        player,
        round,
        test: test == 0,
        undone: undone == 0,
    });
    prop::collection::vec(seed, 30..150)
}

/// The facts, those of rollbacks among them, and one that nothing will ever match.
fn drafts(seeds: &[Seed]) -> Vec<Draft> {
    let begin = at("2023-12-31T00:00:00Z");
    let mut closed = BTreeSet::new();
    let mut drafts = vec![rollback("for nothing", "what never came", "02-02")];
    for (number, seed) in seeds.iter().enumerate() {
        let kind = KINDS[seed.kind];
        let sign = if kind == "ADJUSTMENT" && seed.amount % 2 == 1 { "-" } else { "" };
        let amount = format!("{sign}{}.{:06}", seed.amount / 1_000_000, seed.amount % 1_000_000);
        let player = (seed.player > 0).then(|| format!("player {}", seed.player));
        let affects = ["GGR", "TURNOVER", "SALES"][seed.amount as usize % 3];
        // A round of each player closes once, or never.
        let ends = seed.round < 3 && closed.insert((seed.round, player.clone()));
        let id = format!("fact {number}");
        drafts.push(Draft {
            occurred_at: Some(Timestamp(begin.0 + seed.hour * MICROS_PER_HOUR)),
            product: [None, Some("dice".into()), Some("slots".into())][seed.product].clone(),
            player,
            round: Some(format!("round {}", seed.round)),
            round_closed: ends,
            affects: (kind == "ADJUSTMENT").then(|| affects.into()),
            note: (kind == "ADJUSTMENT").then(|| "agreed".into()),
            test: seed.test,
            ..fact(&id, kind, &amount, "01-01")
        });
        if seed.undone {
            drafts.push(rollback(&format!("undo {number}"), &id, "03-01"));
        }
    }
    drafts
}

/// One tenant and its contracts: four that count the same facts in their own ways.
struct Books {
    world: World,
    contracts: Vec<ContractId>,
}

impl Books {
    async fn new(world: World) -> Self {
        let weekly = json!({ "every": "WEEK", "timeZone": "Asia/Seoul", "cutOffHour": 5, "startsOn": "WEDNESDAY" });
        let test =
            PlayerFacts { segment: None, tags: vec![], test: true, valid_from: Some(at("2024-03-10T00:00:00Z")) };
        world.admin.set_player("player 3", test).await.expect("a player");
        let contracts = vec![
            world.contract("provider", json!({ "minimumPayout": "5", "rateTable": { "rows": [
                { "code": "night", "when": "localHour < 6", "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": "90", "percent": "12.5" }, { "percent": "8" }] } },
                { "code": "slots", "when": "product == 'slots'", "percent": "7.77" },
                { "code": "rest", "tiers": { "mode": "VOLUME", "steps": [{ "upTo": "50", "percent": "10" }, { "percent": "9" }] } },
            ] } })).await,
            world.contract("affiliate", json!({ "role": "AFFILIATE", "cycle": weekly, "base": { "turnover": { "bonusTreatment": "EXCLUDE" } } })).await,
            world.contract("agent", json!({
                "role": "AGENT", "cycle": { "every": "HALF_MONTH", "timeZone": "America/New_York" }, "base": { "sales": {} },
                "negative": { "mode": "PAYABLE_BY_PARTNER", "level": "PER_CLASS" },
            })).await,
            world.contract("platform", json!({
                "role": "PLATFORM", "attribution": "ROUND_CLOSED", "base": { "ggr": { "bonusTreatment": "STAKE_ONLY" } },
                "negative": { "mode": "CARRY", "level": "PER_CLASS" }, "scope": { "products": ["dice", "slots"] },
                "rateTable": { "rows": [{ "code": "dice", "when": "product == 'dice'", "percent": "33" }, { "code": "rest", "percent": "3" }] },
            })).await,
        ];
        world
            .amend(contracts[0], json!({ "validFrom": "2024-02-12", "tiersOnChange": "RESTART", "minimumPayout": "1" }))
            .await;
        Self { world, contracts }
    }

    /// Closes the contract's earliest open settlement, unless none has ended: many closes may reach the current one.
    async fn close_ended(&self, contract: ContractId) {
        let now = at(NOW);
        if self.world.settlements(contract).await.iter().any(|row| row.state == "OPEN" && row.period_end <= now) {
            self.world.close_next(contract).await;
        }
    }

    async fn figures(&self) -> Vec<Figures> {
        let mut all = Vec::new();
        for contract in &self.contracts {
            all.push(self.world.figures(*contract).await);
        }
        all
    }

    async fn sums(&self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for contract in &self.contracts {
            all.push(self.world.sums(*contract).await);
        }
        all
    }

    async fn waiting(&self) -> i64 {
        let tenant = hex(self.world.tenant.id().0);
        self.world.app.number(&format!("SELECT count(*) FROM waiting WHERE tenant_id = {tenant}")).await
    }
}

async fn compare(seeds: Vec<Seed>, order: Vec<u32>, cuts: Vec<usize>, closes: Vec<(usize, usize)>) {
    let drafts = drafts(&seeds);
    let all_at_once = Books::new(World::new().await).await;
    let app = all_at_once.world.app.clone();
    app.clock.move_to(at(NOW));
    all_at_once.world.recorded(&drafts).await;
    let (figures, sums) = (all_at_once.figures().await, all_at_once.sums().await);
    let (unpriced, waiting) = (all_at_once.world.unpriced().await, all_at_once.waiting().await);
    all_at_once.world.check_books().await;

    let mut shuffled: Vec<(u32, &Draft)> = order.iter().cycle().copied().zip(&drafts).collect();
    shuffled.sort_by_key(|(key, draft)| (*key, draft.external_id.len() % 3));
    let shuffled: Vec<Draft> = shuffled.into_iter().map(|(_, draft)| draft.clone()).collect();
    let mut ends: BTreeSet<usize> = cuts.into_iter().map(|cut| cut % shuffled.len()).collect();
    ends.insert(shuffled.len());
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let batches: Vec<std::ops::Range<usize>> = begins.zip(&ends).map(|(from, until)| from..*until).collect();
    for (slug, closing) in [("shuffled", false), ("closing", true)] {
        let books = Books::new(World::in_app(app.clone(), slug).await).await;
        for (number, batch) in batches.iter().enumerate() {
            books.world.recorded(&shuffled[batch.clone()]).await;
            // Some of it again.
            let prefix = &shuffled[..batch.end.min(7 * number)];
            assert!(books.world.record(prefix).await.iter().all(|outcome| shown(outcome) == "REPLAYED"));
            for (_, contract) in closes.iter().filter(|(when, _)| closing && when % batches.len() == number) {
                books.close_ended(books.contracts[contract % books.contracts.len()]).await;
            }
        }
        assert_eq!(books.sums().await, sums, "{slug}");
        assert_eq!(books.figures().await, figures, "{slug}");
        assert_eq!((books.world.unpriced().await, books.waiting().await), (unpriced.clone(), waiting), "{slug}");
        books.world.check_books().await;
        // What is left to close changes nothing either.
        for contract in books.contracts.iter().filter(|_| closing) {
            books.close_ended(*contract).await;
        }
        assert_eq!(books.figures().await, figures, "{slug}, one close later");
        books.world.check_books().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_batches_and_any_closes_give_the_same_books(
        seeds in seeds(),
        order in prop::collection::vec(any::<u32>(), 151),
        cuts in prop::collection::vec(0_usize..300, 1..12),
        closes in prop::collection::vec((0_usize..12, 0_usize..4), 0..16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(compare(seeds, order, cuts, closes));
    }
}
