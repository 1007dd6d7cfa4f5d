//! Several processes on one database: any of them may do anything of any tenant at any time, and what comes out is what
//! one would have made of it.

use std::sync::Arc;

use domain::Scoped;
use domain::anomalies::CaseFilter;
use domain::clock::Clock;
use domain::page::PageRequest;
use domain::transactions::transaction::Draft;
use futures_util::future::join_all;
use serde_json::json;

use crate::anomalies::ordinary;
use crate::facts::*;
use crate::support::*;

const ALL: PageRequest = PageRequest { first: 10_000, after: None };

/// A world, and the same tenant as another process sees it whose clock is some seconds off.
struct Nodes {
    world: World,
    other: TestApp,
    there: Scoped,
}

impl Nodes {
    async fn new(seconds_off: i64) -> Option<Self> {
        let world = World::new().await;
        let clock = Clock::set_to(world.app.clock.now().plus(seconds_off * 1_000_000));
        let other = world.app.beside(clock).await?;
        let session = world.app.sign_in("acme", "ada@acme.test").await;
        let there = other.bearer(session.access_token.expose()).await;
        Some(Self { world, other, there })
    }

    /// The administrator at one process or the other.
    fn at(&self, number: usize) -> &Scoped {
        if number.is_multiple_of(2) { &self.world.admin } else { &self.there }
    }

    async fn record(&self, number: usize, drafts: &[Draft]) -> Vec<String> {
        let outcomes = self.at(number).record_transactions(self.world.source, drafts.to_vec()).await;
        all_shown(&outcomes.expect("outcomes"))
    }
}

async fn scores(world: &World) -> Vec<String> {
    let tenant = hex(world.tenant.id().0);
    let sql = format!(
        "SELECT external_id || ' ' || coalesce(CAST(score AS TEXT), '-') FROM transactions WHERE tenant_id = {tenant} ORDER BY id"
    );
    world.app.rows(&sql).await
}

#[tokio::test]
async fn what_one_records_another_knows_whatever_their_clocks_say() {
    // The other one's clock is some seconds behind: its facts come after the first one's all the same.
    let Some(nodes) = Nodes::new(-10).await else { return };
    let world = &nodes.world;
    let contract = world.contract("share", json!({})).await;
    for number in 0..6_usize {
        let id = number.to_string();
        assert_eq!(nodes.record(number, &[stake(&id, "1", "01-10")]).await, ["RECORDED"]);
        assert_eq!(nodes.record(number + 1, &[stake(&id, "1", "01-10")]).await, ["REPLAYED"]);
        assert_eq!(nodes.record(number + 1, &[stake(&id, "2", "01-10")]).await, ["CONFLICT"]);
    }
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 600/6/6"]);
    // Terms that are put in force at one hold for the next fact at the other.
    let half = json!({ "validFrom": "2024-02-01", "rateTable": { "rows": [{ "code": "half", "percent": "50" }] } });
    world.amend(contract, half).await;
    nodes.record(1, &[stake("6", "100", "02-10")]).await;
    let sums = world.sums(contract).await;
    assert!(sums.contains(&"2024-02 2 half STAKE 10000/1/1".to_owned()), "{sums:?}");
    world.check_books().await;
}

#[tokio::test]
async fn callers_of_both_at_once_are_served_as_by_one() {
    let Some(nodes) = Nodes::new(1).await else { return };
    let world = &nodes.world;
    let contract = world.contract("share", json!({})).await;
    let requests = (0..64_usize).map(|number| {
        let own = stake(&format!("own {number}"), "1", "01-10");
        let drafts = [own, stake(&format!("pair {}", number / 2), "1", "01-10"), stake("shared", "1", "01-10")];
        let nodes = &nodes;
        async move { nodes.record(number, &drafts).await }
    });
    let answers = join_all(requests).await;
    assert!(answers.iter().all(|answer| answer[0] == "RECORDED"));
    let recorded = |place: usize| answers.iter().filter(|answer| answer[place] == "RECORDED").count();
    assert_eq!((recorded(1), recorded(2)), (32, 1), "each fact is recorded once");
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 9700/97/97"]);
    world.check_books().await;
}

#[tokio::test]
async fn sixty_four_closes_at_two_processes_are_one() {
    let Some(nodes) = Nodes::new(0).await else { return };
    let world = &nodes.world;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    for app in [&*world.app, &nodes.other] {
        app.clock.move_to(at("2024-03-02T00:00:00Z"));
    }
    let open = world.settlements(contract).await.remove(0);
    let closes = join_all((0..64).map(|number| nodes.at(number).close_settlement(open.id))).await;
    // Whoever comes second finds it closed: the same settlement, or told so.
    let numbers: Vec<_> = closes.iter().flatten().map(|row| row.id).collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|id| *id == open.id));
    let entries = world.app.number("SELECT COUNT(*) FROM ledger_entries WHERE reason = 'CLOSE'").await;
    assert_eq!(entries, 1, "{closes:?}");
    world.check_books().await;
}

#[tokio::test]
async fn scores_are_those_of_one_process() {
    let Some(nodes) = Nodes::new(-3).await else { return };
    let world = &nodes.world;
    let alone = World::in_app(Arc::new(TestApp::new().await), "acme").await;
    let drafts = ordinary(600);
    for (number, piece) in drafts.chunks(37).enumerate() {
        nodes.record(number, piece).await;
        alone.recorded(piece).await;
    }
    let different: Vec<_> = scores(world).await.into_iter().zip(scores(&alone).await).filter(|(a, b)| a != b).collect();
    assert!(
        different.is_empty(),
        "each knows what the other recorded before: {:?}",
        &different[..different.len().min(5)]
    );
    // A model that is fitted at one judges the next fact at the other.
    world.admin.train_detector().await.expect("asked");
    world.app.domain.chores_of(world.tenant.id()).await;
    alone.admin.train_detector().await.expect("asked");
    alone.app.domain.chores_of(alone.tenant.id()).await;
    let odd = stake("odd", "250000", "03-01");
    nodes.record(1, std::slice::from_ref(&odd)).await;
    alone.recorded(&[odd]).await;
    let models = world.app.number("SELECT COUNT(DISTINCT model_id) FROM transactions").await;
    assert_eq!(models, 2);
    let cases = nodes.there.anomaly_cases(CaseFilter::default(), ALL).await.expect("cases").items;
    let expected = alone.admin.anomaly_cases(CaseFilter::default(), ALL).await.expect("cases").items;
    assert_eq!((cases[0].kind.as_str(), cases[0].score), (expected[0].kind.as_str(), expected[0].score));
}

#[tokio::test]
async fn a_job_is_done_once() {
    let Some(nodes) = Nodes::new(0).await else { return };
    let world = &nodes.world;
    for piece in ordinary(700).chunks(500) {
        world.recorded(piece).await;
    }
    world.admin.train_detector().await.expect("asked");
    let id = world.tenant.id();
    tokio::join!(world.app.domain.chores_of(id), nodes.other.domain.chores_of(id));
    assert_eq!(world.app.number("SELECT COUNT(*) FROM detector_models").await, 1);
    // What is scheduled stands in the list for its next time, once.
    let waiting = world.app.rows("SELECT kind || ' ' || attempts FROM jobs").await;
    assert_eq!(waiting, ["FORGET 0"]);
}

#[tokio::test]
async fn what_one_changes_followers_at_the_other_hear() {
    let Some(nodes) = Nodes::new(0).await else { return };
    let world = &nodes.world;
    world.contract("share", json!({})).await;
    let mut tail = nodes.other.domain.follow(world.tenant.id()).await.expect("a tail");
    let from = tail.position();
    let member = world.tenant.member(&world.app, "rob@acme.test", domain::Role::Risk, None).await;
    world.admin.disable_member(member.caller().member().expect("a member")).await.expect("disabled");
    world.recorded(&[stake("1", "1", "01-10")]).await;
    let head = world.app.number("SELECT MAX(sequence) FROM events").await;
    let mut places = Vec::new();
    while tail.position() < head {
        places.extend(tail.next().await.expect("events").iter().map(|event| event.sequence));
    }
    assert_eq!(places, (from + 1..=head).collect::<Vec<_>>(), "all of it, in order, once");
    assert!(tail.access_changed(member.caller().actor_id()) > from, "who may no longer listen is known");
    nodes.other.domain.shut_down().await;
}

#[tokio::test]
async fn processes_that_begin_at_once_take_each_others_tokens() {
    let app = TestApp::new().await;
    let Some(other) = app.beside(app.clock.clone()).await else { return };
    // Each makes the first key of the installation where it finds none.
    let (here, there) = tokio::join!(app.domain.load_signing_keys(), other.domain.load_signing_keys());
    here.and(there).expect("keys");
    app.tenant("acme").await;
    app.pass_seconds(2);
    for (signs, reads) in [(&app, &other), (&other, &app)] {
        let session = signs.sign_in("acme", "ada@acme.test").await;
        reads.domain.authenticate(session.access_token.expose()).await.expect("the other's token is good");
    }
}
