//! Redis makes several processes faster and decides nothing: without it, flushed, killed or full of lies, the books are
//! the same.

use std::sync::Arc;
use std::time::Duration;

use domain::Domain;
use domain::notifications::Language;
use domain::redis::Bucket;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::databases::on_postgres;
use crate::facts::*;
use crate::mails::{invite, transport};
use crate::redis_server::RedisServer;
use crate::smtp::Smtp;
use crate::support::*;

/// Much less than anybody waits without a hint.
const SOON: Duration = Duration::from_secs(30);

/// Another core on the same database, beside Redis; on an embedded one the test's own core stands aside for it.
async fn beside(world: &World, redis: &RedisServer) -> TestApp {
    let app = world.app.reopened(MASTER_KEY).await;
    app.domain.clone().with_redis(&redis.url()).expect("a URL");
    app
}

/// The tenant's administrator there.
async fn admin(app: &TestApp) -> domain::Scoped {
    app.bearer(app.sign_in("acme", "ada@acme.test").await.access_token.expose()).await
}

#[tokio::test]
async fn what_one_has_read_another_need_not() {
    let Some(redis) = RedisServer::start() else { return };
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("0", "1", "01-10")]).await;
    let settlement = world.settlements(contract).await.remove(0).id;
    let mut cost = Vec::new();
    for _ in 0..2 {
        let app = beside(&world, &redis).await;
        let admin = admin(&app).await;
        let before = app.domain.statements();
        let same = admin.statements(&[settlement]).await.expect("a statement").remove(&settlement).expect("its own");
        let read = app.domain.statements() - before;
        assert_eq!(same.total.0, 10, "a tenth of one euro");
        // A replay moves nothing.
        admin.record_transactions(world.source, vec![stake("0", "1", "01-10")]).await.expect("outcomes");
        cost.push((read, app.domain.statements() - before - read));
    }
    assert!(cost[1].0 < cost[0].0 && cost[1].1 < cost[0].1, "the second one asks the database less: {cost:?}");
    // Copies are sealed, and each has its tenant in its key.
    let tenant = world.tenant.id().0.simple().to_string();
    let copies: Vec<String> = redis.keys().into_iter().filter(|key| !key.contains(":budget:")).collect();
    assert!(copies.iter().any(|key| key.contains(":pricing ")), "{copies:?}");
    assert!(copies.iter().any(|key| key.contains(":statements ")), "{copies:?}");
    for key in &copies {
        assert!(key.contains(&tenant), "{key}");
        assert!(!redis.get(key).windows(5).any(|part| part == b"slots"), "{key} can be read");
    }
}

#[tokio::test]
async fn a_copy_that_lies_is_read_again() {
    let Some(redis) = RedisServer::start() else { return };
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let other = world.twin("bolt").await;
    other.contract("share", json!({ "rateTable": { "rows": [{ "code": "all", "percent": "90" }] } })).await;
    let app = beside(&world, &redis).await;
    admin(&app).await.record_transactions(world.source, vec![stake("1", "1", "01-10")]).await.expect("outcomes");
    let bolt = app.bearer(app.sign_in("bolt", "ada@bolt.test").await.access_token.expose()).await;
    bolt.record_transactions(other.source, vec![stake("1", "1", "01-10")]).await.expect("outcomes");
    let pricing = |tenant: &World| {
        let id = tenant.tenant.id().0.simple().to_string();
        redis.keys().into_iter().find(|key| key.contains(&id) && key.contains(":pricing ")).expect("a copy")
    };
    let (own, theirs) = (pricing(&world), redis.get(&pricing(&other)));
    let good = redis.get(&own);
    let cut = &good[..good.len() / 2];
    for lie in [&theirs[..], cut, b"", b"nonsense"] {
        redis.set(&own, lie);
        let app = beside(&world, &redis).await;
        let number = format!("after {} bytes", lie.len());
        admin(&app)
            .await
            .record_transactions(world.source, vec![stake(&number, "1", "01-10")])
            .await
            .expect("outcomes");
        assert_ne!(redis.get(&own), lie, "it is put right");
    }
    if on_postgres() {
        assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 500/5/5"]);
        world.check_books().await;
    }
}

#[tokio::test]
async fn killed_or_flushed_it_costs_nothing_but_speed() {
    let Some(mut redis) = RedisServer::start() else { return };
    let app = TestApp::new().await;
    app.domain.clone().with_redis(&redis.url()).expect("a URL");
    let world = World::in_app(Arc::new(app), "acme").await;
    let contract = world.contract("share", json!({})).await;
    let mut tail = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let from = tail.position();
    for number in 0..12_i64 {
        match number {
            3 => redis.flush(),
            5 => redis.kill(),
            9 => redis.start_again(),
            _ => {}
        }
        world.recorded(&[stake(&number.to_string(), "1", "01-10")]).await;
        let settlement = world.settlements(contract).await.remove(0);
        assert_eq!(world.statement(settlement.id).await.transaction_count, number + 1);
    }
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 1200/12/12"]);
    let head = world.app.number("SELECT MAX(sequence) FROM events").await;
    let mut places = Vec::new();
    while tail.position() < head {
        places.extend(tail.next().await.expect("events").iter().map(|event| event.sequence));
    }
    assert_eq!(places, (from + 1..=head).collect::<Vec<_>>(), "no gap, no duplicate");
    world.check_books().await;
    world.app.domain.shut_down().await;
}

#[tokio::test]
async fn budgets_are_counted_for_all_processes_together() {
    let Some(mut redis) = RedisServer::start() else { return };
    let apps = [TestApp::new().await, TestApp::new().await];
    let [one, two] = apps.each_ref().map(|app| app.domain.clone().with_redis(&redis.url()).expect("a URL"));
    // An hour: nothing to speak of comes back meanwhile.
    let bucket = |key: &str, points: u32| Bucket { key: key.to_owned(), points, seconds: 3_600 };
    let take = async |domain: &Domain, buckets: &[Bucket], points: u32| {
        let taken = domain.redis().expect("Redis").take(buckets, points).await.expect("an answer");
        taken.map_err(|wait| wait.as_secs())
    };
    let both = |caller: &str| [bucket(caller, 10), bucket("tenant", 15)];
    assert_eq!(take(&one, &both("ada"), 4).await, Ok(6));
    assert_eq!(take(&two, &both("ada"), 6).await, Ok(0));
    let wait = take(&one, &both("ada"), 1).await.expect_err("it is spent");
    assert!((300..=360).contains(&wait), "a tenth of an hour, not {wait} s");
    // Ten of fifteen are gone: who asks for six takes none, of either.
    assert!(take(&two, &both("bob"), 6).await.is_err());
    assert_eq!(take(&one, &both("bob"), 5).await, Ok(5));
    assert!(take(&two, &both("bob"), 1).await.is_err(), "the tenant's budget is spent");
    assert_eq!(take(&two, &[bucket("eve", 20_000_000)], 1).await, Ok(19_999_999));
    redis.kill();
    let redis = one.redis().expect("Redis");
    assert!(redis.take(&both("ada"), 1).await.is_none(), "nobody answers, and nobody waits for long");
    assert!(!redis.ready().await);
}

#[tokio::test]
async fn another_installation_has_other_keys() {
    let Some(redis) = RedisServer::start() else { return };
    let (one, two) = (TestApp::new().await, TestApp::new().await);
    one.domain.clone().with_redis(&redis.url()).expect("a URL");
    let other = two.reopened([8; 32]).await;
    other.domain.clone().with_redis(&redis.url()).expect("a URL");
    for domain in [&one.domain, &other.domain] {
        let bucket = Bucket { key: "same".to_owned(), points: 1, seconds: 3_600 };
        let taken = domain.redis().expect("Redis").take(&[bucket], 1).await.expect("an answer");
        assert_eq!(taken.map_err(drop), Ok(0));
    }
    assert_eq!(redis.keys().len(), 2);
}

#[tokio::test]
async fn a_mail_that_is_posted_where_nobody_works_goes_out_where_somebody_does() {
    let Some(redis) = RedisServer::start() else { return };
    let here = TestApp::new().await;
    let Some(there) = here.beside(here.clock.clone()).await else { return };
    let mut smtp = Smtp::start().await;
    here.domain.clone().with_redis(&redis.url()).expect("a URL");
    let worker = there.domain.clone().with_mail(transport(&smtp.url())).with_redis(&redis.url()).expect("a URL");
    let stop = CancellationToken::new();
    let acme = here.tenant("acme").await;
    // What waits already goes out as the worker begins; from then on it looks once a minute, unless it is told.
    invite(&acme.admin, "first@acme.test", Language::En).await;
    let works = tokio::spawn({
        let stop = stop.clone();
        async move { worker.work(stop.cancelled()).await }
    });
    let told = here.domain.leave_work_to_others(async {
        for name in ["first", "second", "third"] {
            if name != "first" {
                invite(&acme.admin, &format!("{name}@acme.test"), Language::En).await;
            }
            assert_eq!(tokio::time::timeout(SOON, smtp.news()).await.expect("soon"), format!("took {name}@acme.test"));
        }
    });
    told.await;
    stop.cancel();
    works.await.expect("it ends");
    tokio::join!(here.domain.shut_down(), there.domain.shut_down());
}
