//! A rollback undoes exactly what the named fact did, in its class and under its version, once, whenever it comes.

use domain::catalogue::PlayerFacts;
use domain::transactions::transaction::Draft;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

/// Two rate classes: dice at 10 %, the rest at 20 %.
fn by_product() -> serde_json::Value {
    json!({ "rateTable": { "rows": [
        { "code": "dice", "when": "product == 'dice'", "percent": "10" },
        { "code": "rest", "percent": "20" },
    ] } })
}

fn slots(draft: Draft) -> Draft {
    Draft { product: Some("slots".into()), ..draft }
}

#[tokio::test]
async fn a_rollback_undoes_its_fact_after_before_and_beside_it() {
    let world = World::new().await;
    let contract = world.contract("share", by_product()).await;
    let (a, b, c) = (slots(stake("a", "100", "01-10")), stake("b", "30", "01-11"), stake("c", "7", "02-10"));
    world.recorded(std::slice::from_ref(&a)).await;
    // Another month, another amount, no product: only the name counts.
    let after = Draft { amount: "999".into(), ..rollback("ra", "a", "02-20") };
    world.recorded(std::slice::from_ref(&after)).await;
    let before = rollback("rb", "b", "01-05");
    world.recorded(std::slice::from_ref(&before)).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 rest STAKE 0/0/2"]);
    world.recorded(std::slice::from_ref(&b)).await;
    // Both in one request, in either order.
    let beside = [
        rollback("rc", "c", "02-10"),
        c,
        stake("d", "8", "02-11"),
        rollback("rd", "d", "02-11"),
        win("e", "2", "02-12"),
    ];
    world.recorded(&beside).await;
    let sums = [
        "2024-01 1 dice STAKE 0/0/2",
        "2024-01 1 rest STAKE 0/0/2",
        "2024-02 1 dice STAKE 0/0/4",
        "2024-02 1 dice WIN 200/0/1",
    ];
    assert_eq!(world.sums(contract).await, sums);
    // All of it again changes nothing.
    let again = world.record(&[before, b, a, after]).await;
    assert_eq!(all_shown(&again), ["REPLAYED"; 4]);
    assert_eq!(world.sums(contract).await, sums);
    assert_eq!(world.lines(contract, "2024-01").await, ["REVENUE_SHARE 1 dice 0", "REVENUE_SHARE 1 rest 0"]);
    world.check_books().await;
}

#[tokio::test]
async fn a_fact_is_undone_once_and_a_rollback_never() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let second = "BAD_ROLLBACK reverses";
    world.recorded(&[stake("a", "100", "01-10"), rollback("r1", "a", "01-10")]).await;
    assert_eq!(all_shown(&world.record(&[rollback("r2", "a", "01-10")]).await), [second], "across requests");
    world.recorded(&[rollback("q1", "b", "01-10")]).await;
    assert_eq!(all_shown(&world.record(&[rollback("q2", "b", "01-10")]).await), [second], "before the fact came");
    world.recorded(&[stake("b", "5", "01-10")]).await;
    let within =
        world.record(&[rollback("p1", "c", "01-10"), rollback("p2", "c", "01-10"), stake("c", "5", "01-10")]).await;
    assert_eq!(all_shown(&within), ["RECORDED", second, "RECORDED"], "within one");
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 0/0/6"]);

    // A rollback of a rollback: refused when it comes second, without effect when it comes first.
    assert_eq!(all_shown(&world.record(&[rollback("rr", "r1", "01-10")]).await), [second]);
    world.recorded(&[stake("d", "50", "01-10"), rollback("ss", "s1", "01-10")]).await;
    world.recorded(&[rollback("s1", "d", "01-10")]).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 0/0/8"], "d is undone and stays so");
    // One that lost may name another fact under the same id once a person has corrected it.
    let lost =
        world.quarantined().await.into_iter().find(|row| String::from_utf8_lossy(&row.raw).contains("\"r2\"")).unwrap();
    world.recorded(&[stake("e", "9", "01-10")]).await;
    let right = serde_json::to_string(&rollback("r2", "e", "01-10")).unwrap();
    assert_eq!(shown(&world.admin.retry_quarantined(lost.id, Some(right)).await.unwrap().outcome), "RECORDED");
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 0/0/10"]);
    world.check_books().await;
}

#[tokio::test]
async fn what_never_counted_is_undone_without_a_trace() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let test = PlayerFacts { segment: None, tags: vec![], test: true, valid_from: Some(at("2024-01-01T00:00:00Z")) };
    world.admin.set_player("bot", test).await.unwrap();
    let bots = Draft { player: Some("bot".into()), ..stake("bot's", "100", "01-10") };
    let tests = Draft { test: true, ..stake("a test", "100", "01-10") };
    let before = stake("before all contracts", "100", "2023-12-10T00:00:00Z");
    world.recorded(&[bots, tests, before]).await;
    assert_eq!(world.unpriced().await, ["before all contracts NO_CONTRACT"]);
    let undo = |id: &str| rollback(&format!("undo {id}"), id, "01-10");
    world.recorded(&[undo("bot's"), undo("a test"), undo("before all contracts")]).await;
    assert_eq!(world.sums(contract).await, [""; 0]);
    assert_eq!(world.unpriced().await, [""; 0], "what is undone needs no price");
    // A rollback that says it is a test still undoes a fact that is none.
    world.recorded(&[stake("real", "5", "01-10"), Draft { test: true, ..undo("real") }]).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 0/0/2"]);
    world.check_books().await;
}

#[tokio::test]
async fn a_fact_that_could_not_be_priced_stops_blocking_when_it_is_undone() {
    for early in [false, true] {
        let world = World::new().await;
        let contract = world.contract("share", json!({ "attribution": "SETTLED" })).await;
        let settled = Draft { settled_at: Some(at("2024-01-20T00:00:00Z")), ..stake("a", "100", "01-10") };
        let (never, undo) = (stake("b", "5", "01-10"), rollback("r", "b", "01-11"));
        world.recorded(&[settled]).await;
        if early {
            world.recorded(std::slice::from_ref(&undo)).await;
            world.recorded(&[never]).await;
        } else {
            world.recorded(&[never]).await;
            assert_eq!(world.unpriced().await, ["b NO_SETTLED_TIME"]);
            let open = world.settlements(contract).await[0].id;
            let blockers = world.admin.blockers(open).await.unwrap();
            assert_eq!(blockers.iter().map(|blocker| blocker.code()).collect::<Vec<_>>(), ["UNPRICED_TRANSACTIONS"]);
            world.recorded(std::slice::from_ref(&undo)).await;
        }
        assert_eq!(world.unpriced().await, [""; 0]);
        // Counted anew, it is the same.
        world.amend(contract, json!({ "attribution": "SETTLED", "validFrom": "2024-02-01" })).await;
        assert_eq!(world.unpriced().await, [""; 0]);
        world.close_next(contract).await;
        // A version that can count the fact counts both.
        world.amend(contract, json!({ "validFrom": "2023-12-01", "attribution": "OCCURRED" })).await;
        world.check_books().await;
    }
}

#[tokio::test]
async fn a_rollback_into_a_closed_period_is_a_correction() {
    let world = World::new().await;
    let contract = world.contract("share", by_product()).await;
    world.recorded(&[stake("a", "100", "01-10"), slots(stake("b", "50", "01-10")), stake("c", "10", "02-10")]).await;
    world.close_next(contract).await;
    let frozen = world.lines(contract, "2024-01").await;
    world.recorded(&[rollback("rb", "b", "02-20")]).await;
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 1 dice 100", "CORRECTION 1 rest -1000"]);
    // Of a fact that came late itself: nothing is left of either.
    world.recorded(&[stake("d", "30", "01-15")]).await;
    assert_eq!(
        world.lines(contract, "2024-02").await,
        ["REVENUE_SHARE 1 dice 100", "CORRECTION 1 dice 300", "CORRECTION 1 rest -1000"]
    );
    world.recorded(&[rollback("rd", "d", "02-20")]).await;
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 1 dice 100", "CORRECTION 1 rest -1000"]);
    world.close_next(contract).await;
    assert_eq!(world.lines(contract, "2024-01").await, frozen);
    assert_eq!(world.lines(contract, "2024-03").await, [""; 0], "a correction is posted once");
    world.check_books().await;
}

/// The effect is of the version and class that governed the fact, also when others came into force between the two.
#[tokio::test]
async fn a_rollback_follows_its_fact_when_the_contract_changes_between_them() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("a", "100", "01-10"), stake("b", "10", "02-10"), rollback("rz", "z", "01-10")]).await;
    world.close_next(contract).await;
    world.amend(contract, by_product_from("2024-02-01")).await;
    world.recorded(&[rollback("rb", "b", "02-11"), rollback("ra", "a", "02-12"), stake("z", "3", "01-12")]).await;
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 0/0/4", "2024-02 2 dice STAKE 0/0/2"]);
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 2 dice 0", "CORRECTION 1 all -1000"]);
    // Agreed late, for the closed month too.
    world.amend(contract, by_product_from("2024-01-05")).await;
    assert_eq!(world.sums(contract).await, ["2024-01 3 dice STAKE 0/0/4", "2024-02 2 dice STAKE 0/0/2"]);
    assert_eq!(world.lines(contract, "2024-02").await, ["REVENUE_SHARE 2 dice 0", "CORRECTION 1 all -1000"]);
    world.close_next(contract).await;
    assert_eq!(world.lines(contract, "2024-03").await, [""; 0]);
    world.check_books().await;
}

fn by_product_from(date: &str) -> serde_json::Value {
    let mut terms = by_product();
    terms["validFrom"] = json!(date);
    terms
}
