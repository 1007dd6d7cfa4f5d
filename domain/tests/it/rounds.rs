//! Contracts that count by the closing of rounds or by settlement time: who waits, who never counts, and when.

use domain::ids::ContractId;
use domain::transactions::transaction::Draft;
use serde_json::{Value, json};

use crate::facts::*;
use crate::support::*;

fn by_round() -> Value {
    json!({ "attribution": "ROUND_CLOSED" })
}

/// A fact of player `p` in a round.
fn in_round(round: &str, draft: Draft) -> Draft {
    Draft { round: Some(round.into()), player: Some("p".into()), ..draft }
}

fn closer(round: &str, draft: Draft) -> Draft {
    Draft { round_closed: true, ..in_round(round, draft) }
}

async fn waiting(world: &World) -> i64 {
    world.app.number("SELECT count(*) FROM waiting").await
}

#[tokio::test]
async fn facts_wait_for_their_round_and_count_when_it_closes() {
    let world = World::new().await;
    let contract = world.contract("share", by_round()).await;
    // January's stake, February's end: the round is February's.
    world.recorded(&[in_round("x", stake("x1", "100", "01-31"))]).await;
    assert_eq!((waiting(&world).await, world.sums(contract).await), (1, vec![]));
    world.recorded(&[closer("x", win("x2", "30", "02-01"))]).await;
    assert_eq!(waiting(&world).await, 0);
    let x = ["2024-02 1 all STAKE 10000/1/1", "2024-02 1 all WIN 3000/0/1"];
    assert_eq!(world.sums(contract).await, x);
    // Another player's round of the same name is another round.
    let other = Draft { player: Some("q".into()), ..in_round("x", stake("q", "1", "01-31")) };
    world.recorded(&[other]).await;
    assert_eq!((waiting(&world).await, world.sums(contract).await), (1, x.map(String::from).to_vec()));
    // In one request, closed in the middle: before and after count alike, by the closer's settlement time.
    let end = Draft { settled_at: Some(at("2024-01-20T00:00:00Z")), ..closer("y", win("y2", "1", "02-15")) };
    world.recorded(&[in_round("y", stake("y1", "5", "01-10")), end, in_round("y", stake("y3", "6", "02-20"))]).await;
    // After it closed in an earlier request.
    world.recorded(&[in_round("y", stake("y4", "7", "03-20"))]).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 1800/3/3", "2024-01 1 all WIN 100/0/1", x[0], x[1]]);
    world.check_books().await;
}

#[tokio::test]
async fn a_round_closes_once() {
    for attribution in ["ROUND_CLOSED", "OCCURRED"] {
        let world = World::new().await;
        let contract = world.contract("share", json!({ "attribution": attribution })).await;
        world.recorded(&[closer("x", stake("x1", "1", "01-10"))]).await;
        // A second fact that says so, in the same and in a later request, is a fact like any other.
        world.recorded(&[closer("x", stake("x2", "1", "01-11")), closer("x", stake("x3", "1", "01-12"))]).await;
        world.recorded(&[closer("x", stake("x4", "1", "01-13"))]).await;
        assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 400/4/4"], "{attribution}");
        assert_eq!(world.quarantined().await.len(), 0);
        world.check_books().await;
    }
}

#[tokio::test]
async fn a_rollback_waits_with_its_fact_or_takes_effect_where_that_counted() {
    let world = World::new().await;
    let contract = world.contract("share", by_round()).await;
    // Of a waiting fact; the rollback itself names no round.
    world.recorded(&[in_round("x", stake("x1", "100", "01-10"))]).await;
    world.recorded(&[rollback("rx1", "x1", "01-11")]).await;
    assert_eq!(waiting(&world).await, 2);
    world.recorded(&[closer("x", stake("x2", "1", "01-12"))]).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 100/1/3"]);
    // Of a fact whose round has closed before.
    world.recorded(&[in_round("y", stake("y1", "100", "01-10")), closer("y", win("y2", "1", "02-12"))]).await;
    world.recorded(&[rollback("ry1", "y1", "01-11")]).await;
    assert_eq!(waiting(&world).await, 0, "the round is closed already");
    assert_eq!(
        world.sums(contract).await,
        ["2024-01 1 all STAKE 100/1/3", "2024-02 1 all STAKE 0/0/2", "2024-02 1 all WIN 100/0/1"]
    );
    // Of the closer: the round stays closed.
    world.recorded(&[rollback("ry2", "y2", "01-11"), in_round("y", stake("y3", "4", "01-10"))]).await;
    // Before its fact, into an open round and into a closed one.
    world.recorded(&[rollback("ry4", "y4", "01-11"), rollback("rz1", "z1", "01-11")]).await;
    world.recorded(&[in_round("y", stake("y4", "100", "01-10")), in_round("z", stake("z1", "100", "01-10"))]).await;
    assert_eq!(waiting(&world).await, 2);
    world.recorded(&[closer("z", stake("z2", "2", "01-12"))]).await;
    assert_eq!(
        world.sums(contract).await,
        ["2024-01 1 all STAKE 300/2/6", "2024-02 1 all STAKE 400/1/5", "2024-02 1 all WIN 0/0/2"]
    );
    assert_eq!(waiting(&world).await, 0);
    world.check_books().await;
}

#[tokio::test]
async fn a_contract_that_comes_after_the_facts_counts_them_by_their_rounds() {
    let world = World::new().await;
    world.recorded(&[in_round("x", stake("x1", "100", "01-31")), in_round("y", stake("y1", "7", "01-31"))]).await;
    world.recorded(&[closer("x", win("x2", "30", "02-01")), rollback("ry1", "y1", "02-01")]).await;
    assert_eq!(world.unpriced().await, ["x1 NO_CONTRACT", "x2 NO_CONTRACT"]);
    let contract = world.contract("share", by_round()).await;
    assert_eq!(world.sums(contract).await, ["2024-02 1 all STAKE 10000/1/1", "2024-02 1 all WIN 3000/0/1"]);
    assert_eq!((waiting(&world).await, world.unpriced().await), (2, vec![]));
    world.recorded(&[closer("y", win("y2", "1", "01-31"))]).await;
    assert_eq!(waiting(&world).await, 0);
    assert_eq!(world.sums(contract).await[0], "2024-01 1 all STAKE 0/0/2");
    world.check_books().await;
}

/// A contract that waits for the round and one that does not, side by side: the round closes for the first alone.
#[tokio::test]
async fn what_another_contract_could_not_count_is_listed_once_when_the_round_closes() {
    let world = World::new().await;
    let rounds = world.contract("share", by_round()).await;
    let affiliate = partner(&world.admin, "Affiliate").await;
    let settled =
        world.contract_with(affiliate, "share", json!({ "role": "AFFILIATE", "attribution": "SETTLED" })).await;
    world.recorded(&[in_round("x", stake("x1", "100", "01-10"))]).await;
    assert_eq!(world.unpriced().await, ["x1 NO_SETTLED_TIME"]);
    world.recorded(&[closer("x", win("x2", "1", "01-11"))]).await;
    assert_eq!(world.unpriced().await, ["x1 NO_SETTLED_TIME", "x2 NO_SETTLED_TIME"]);
    assert_eq!(world.sums(rounds).await, ["2024-01 1 all STAKE 10000/1/1", "2024-01 1 all WIN 100/0/1"]);
    assert_eq!(world.sums(settled).await, [""; 0]);
    assert_eq!(world.quarantined().await.len(), 0);
    world.check_books().await;
}

/// Whether a contract by category covers a fact is certain only when the round closes.
#[tokio::test]
async fn a_fact_that_waited_in_vain_for_two_contracts_is_listed_once() {
    let world = World::new().await;
    let tables =
        |role: &str| json!({ "attribution": "ROUND_CLOSED", "role": role, "scope": { "categories": ["slot"] } });
    let mut contracts: Vec<ContractId> = vec![world.contract("share", tables("PROVIDER")).await];
    let affiliate = partner(&world.admin, "Affiliate").await;
    contracts.push(world.contract_with(affiliate, "share", tables("AFFILIATE")).await);
    world.recorded(&["x1", "x3", "x4"].map(|id| in_round("x", stake(id, "100", "01-10")))).await;
    // Undone before the round closes, or with it.
    world.recorded(&[rollback("r3", "x3", "01-10")]).await;
    world.recorded(&[rollback("r4", "x4", "01-10"), closer("x", win("x2", "1", "01-11"))]).await;
    assert_eq!(world.unpriced().await, ["x1 NO_CONTRACT", "x2 NO_CONTRACT"]);
    assert_eq!(world.quarantined().await.len(), 0);
    world.check_books().await;
}

#[tokio::test]
async fn what_lacks_its_settlement_time_or_round_is_listed_and_blocks_the_close() {
    for (attribution, reason) in [("SETTLED", "NO_SETTLED_TIME"), ("ROUND_CLOSED", "NO_ROUND")] {
        let world = World::new().await;
        let contract = world.contract("share", json!({ "attribution": attribution })).await;
        let settled = Some(at("2024-01-20T00:00:00Z"));
        world.recorded(&[Draft { settled_at: settled, ..closer("x", stake("a", "100", "01-10")) }]).await;
        world.recorded(&[stake("b", "5", "01-10")]).await;
        assert_eq!(world.unpriced().await, [format!("b {reason}")]);
        let open = world.settlements(contract).await[0].id;
        let blockers = world.admin.blockers(open).await.unwrap();
        assert_eq!(blockers.iter().map(|blocker| blocker.code()).collect::<Vec<_>>(), ["UNPRICED_TRANSACTIONS"]);
        assert!(world.admin.close_settlement(open).await.is_err());
        // A version that can count it opens the way; what was counted by the other time is where it occurred now.
        world.amend(contract, json!({ "validFrom": "2023-12-01" })).await;
        world.amend(contract, json!({ "validFrom": "2024-01-02" })).await;
        assert_eq!(world.unpriced().await, [""; 0]);
        assert_eq!(world.sums(contract).await, ["2024-01 3 all STAKE 10500/2/2"]);
        world.close_next(contract).await;
        world.check_books().await;
    }
}

#[tokio::test]
async fn what_cannot_be_counted_blocks_its_own_period_and_later_ones_only() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "attribution": "SETTLED" })).await;
    let settled = |id: &str, when: &str| Draft { settled_at: Some(at(when)), ..stake(id, "1", "01-10") };
    world.recorded(&[settled("a", "2024-01-10T00:00:00Z"), stake("late", "1", "02-10")]).await;
    assert_eq!(world.unpriced().await, ["late NO_SETTLED_TIME"]);
    world.close_next(contract).await;
    let february = world.settlements(contract).await[1].id;
    let blockers = world.admin.blockers(february).await.unwrap();
    assert_eq!(blockers.iter().map(|blocker| blocker.code()).collect::<Vec<_>>(), ["UNPRICED_TRANSACTIONS"]);
}

#[tokio::test]
async fn settlement_time_decides_the_period() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "attribution": "SETTLED" })).await;
    let settled = |id: &str, when: &str| Draft { settled_at: Some(at(when)), ..stake(id, "1", "01-31") };
    world
        .recorded(&[
            settled("a", "2024-01-31T23:59:59.999999Z"),
            settled("b", "2024-02-01T00:00:00Z"),
            settled("c", "2024-02-01T08:59:59+09:00"),
        ])
        .await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 200/2/2", "2024-02 1 all STAKE 100/1/1"]);
    world.check_books().await;
}
