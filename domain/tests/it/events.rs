//! What changed, in the order of commits, for those who follow a tenant.

use std::collections::{BTreeMap, BTreeSet};

use domain::events::event::Kind;
use domain::events::{Cursor, Event, Interest, Tail};
use domain::ids::SettlementId;
use domain::time::MICROS_PER_DAY;
use domain::{Code, Role};
use serde_json::json;

use crate::facts::*;
use crate::support::*;

/// Reads until the tenant's present end.
async fn rest(world: &World, tail: &mut Tail) -> Vec<Event> {
    let head = world.admin.event_cursor().await.expect("a cursor").0;
    let mut events = Vec::new();
    while tail.position() < head {
        events.extend(tail.next().await.expect("events"));
    }
    events
}

fn settlements(events: &[Event]) -> BTreeSet<SettlementId> {
    let of = |event: &Event| (event.news.kind == Kind::SettlementUpdated).then_some(SettlementId(event.news.subject));
    events.iter().filter_map(of).collect()
}

async fn id_of(world: &World, contract: domain::ids::ContractId, month: &str) -> SettlementId {
    let rows = world.settlements(contract).await;
    rows.iter().find(|row| row.period_start.to_string().starts_with(month)).expect("a settlement").id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_commit_takes_the_next_place_and_a_follower_misses_none() {
    let world = World::new().await;
    let other = world.twin("other").await;
    let contract = world.contract("share", json!({})).await;
    other.contract("share", json!({})).await;
    // What the detector makes of so few transactions is another test's.
    world.admin.set_alert_rate(1, 0).await.expect("no alerts");
    let mut early = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let from = early.position();
    let mut recording = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (admin, source) = (world.admin.clone(), world.source);
        recording
            .spawn(async move { admin.record_transactions(source, vec![stake(&format!("{n}"), "1", "01-10")]).await });
        let (admin, source) = (other.admin.clone(), other.source);
        recording
            .spawn(async move { admin.record_transactions(source, vec![stake(&format!("{n}"), "1", "01-10")]).await });
    }
    let mut seen = Vec::new();
    while let Some(done) = recording.join_next().await {
        done.expect("no panic").expect("recorded");
    }
    seen.extend(rest(&world, &mut early).await);
    let places: Vec<i64> = seen.iter().map(|event| event.sequence).collect();
    assert_eq!(places, (from + 1..=early.position()).collect::<Vec<_>>(), "no gap, no duplicate, in order");
    assert_eq!(settlements(&seen), [id_of(&world, contract, "2024-01").await].into(), "nothing of another tenant");
    // What changes nothing that is settled is no news: a replay, a conflict, a broken record.
    let quiet = [stake("1", "1", "01-10"), stake("1", "2", "01-10"), stake("bad", "x", "01-10")];
    world.record(&quiet).await;
    assert_eq!(rest(&world, &mut early).await, []);
    // Who comes late reads the same from the table, the newest of each settlement.
    let late = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let latest = late.latest(from, late.position(), &Interest::all(Kind::SettlementUpdated), 10).await.expect("events");
    assert_eq!(latest, [*seen.last().expect("events")]);
    assert_eq!(
        late.latest(late.position(), late.position(), &Interest::all(Kind::SettlementUpdated), 10)
            .await
            .expect("events"),
        []
    );
    world.app.domain.shut_down().await;
}

#[tokio::test]
async fn whatever_moves_a_settlement_is_told() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "negative": { "mode": "CARRY", "level": "TOTAL" } })).await;
    world.app.clock.move_to(at("2024-09-01T00:00:00Z"));
    let mut tail = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    world.recorded(&[stake("1", "90", "01-10"), stake("2", "90", "02-10")]).await;
    let (january, february) = (id_of(&world, contract, "2024-01").await, id_of(&world, contract, "2024-02").await);
    assert_eq!(settlements(&rest(&world, &mut tail).await), [january, february].into());
    // A loss in January is carried into February.
    world.recorded(&[win("3", "100", "01-11")]).await;
    assert_eq!(settlements(&rest(&world, &mut tail).await), [january, february].into());
    world.recorded(&[win("4", "1", "02-11")]).await;
    assert_eq!(settlements(&rest(&world, &mut tail).await), [february].into(), "what is before it does not move");
    world.close_next(contract).await;
    assert_eq!(settlements(&rest(&world, &mut tail).await), [january, february].into());
    // A late fact stays out of the closed one and corrects the open one.
    world.recorded(&[stake("5", "7", "01-12")]).await;
    assert_eq!(settlements(&rest(&world, &mut tail).await), [february].into());
    world
        .amend(
            contract,
            json!({ "validFrom": "2024-02-01", "rateTable": { "rows": [{ "code": "all", "percent": "5" }] } }),
        )
        .await;
    assert!(settlements(&rest(&world, &mut tail).await).contains(&february), "other terms, other lines");
}

#[tokio::test]
async fn a_change_of_access_is_known_before_the_events_after_it() {
    let world = World::new().await;
    let mut tail = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let member = world.tenant.member(&world.app, "rob@acme.test", Role::ReadOnly, None).await;
    let rob = member.caller().actor_id();
    let session = world.app.sign_in("acme", "rob@acme.test").await;
    let key = world.admin.create_api_key(world.source, "feed").await.expect("a key").key.id;
    rest(&world, &mut tail).await;
    let mut last = tail.access_changed(rob);
    let mut changed = async |what: &str| {
        rest(&world, &mut tail).await;
        let now = tail.access_changed(rob);
        assert!(now > last, "{what}");
        last = now;
    };
    world.admin.set_member_role(member.caller().member().unwrap(), Role::Risk).await.unwrap();
    changed("another role").await;
    world.app.domain.sign_out(session.refresh_token.expose()).await.unwrap();
    changed("signed out").await;
    let session = world.app.sign_in("acme", "rob@acme.test").await;
    world.app.domain.refresh(session.refresh_token.expose()).await.unwrap();
    assert!(world.app.domain.refresh(session.refresh_token.expose()).await.is_err());
    changed("a refresh token used twice").await;
    world.admin.disable_member(member.caller().member().unwrap()).await.unwrap();
    changed("disabled").await;
    world.admin.revoke_api_key(key).await.unwrap();
    rest(&world, &mut tail).await;
    assert!(tail.access_changed(key.0) > last, "a key revoked");
}

#[tokio::test]
async fn a_cursor_is_good_while_its_events_are_kept() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "1", "01-10")]).await;
    let old = world.admin.event_cursor().await.unwrap();
    assert!(has_code(world.admin.check_cursor(Cursor(old.0 + 1)).await, Code::BadInput), "ahead of everything");
    world.app.clock.move_to(world.app.clock.now().plus(8 * MICROS_PER_DAY));
    world.recorded(&[stake("2", "1", "01-10")]).await;
    let all = world.app.number("SELECT COUNT(*) FROM events").await;
    world.app.domain.prune().await;
    assert_eq!(world.app.number("SELECT COUNT(*) FROM events").await, 1, "of {all}, those of this week");
    world.admin.check_cursor(old).await.expect("all that happened after it is there");
    assert!(has_code(world.admin.check_cursor(Cursor(old.0 - 1)).await, Code::CursorExpired));
    let next = world.admin.event_cursor().await.unwrap();
    world.recorded(&[stake("3", "1", "01-10")]).await;
    assert_eq!(world.admin.event_cursor().await.unwrap().0, next.0 + 1, "the count goes on");
}

#[tokio::test]
async fn a_partners_user_follows_its_own() {
    let world = World::new().await;
    let mine = world.contract("share", json!({ "role": "PROVIDER" })).await;
    let rival = partner(&world.admin, "Rival").await;
    let theirs = world.contract_with(rival, "share", json!({ "role": "AFFILIATE" })).await;
    let mut tail = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let from = tail.position();
    world.recorded(&[stake("1", "1", "01-10")]).await;
    let events = rest(&world, &mut tail).await;
    let (own, foreign) = (id_of(&world, mine, "2024-01").await, id_of(&world, theirs, "2024-01").await);
    assert_eq!(settlements(&events), [own, foreign].into());
    let user = world.tenant.member(&world.app, "pat@studio.test", Role::ReadOnly, Some(world.partner)).await;
    let interest = user.settlement_interest(None, None).await.unwrap();
    let heard: Vec<Event> = events.into_iter().filter(|event| interest.takes(&event.news)).collect();
    assert_eq!(settlements(&heard), [own].into());
    assert_eq!(settlements(&tail.latest(from, tail.position(), &interest, 10).await.unwrap()), [own].into());
    let absent = SettlementId(uuid::Uuid::max());
    for id in [foreign, absent] {
        assert!(is_not_found(user.settlement_interest(Some(id), None).await));
    }
    assert!(is_not_found(user.settlement_interest(None, Some(rival)).await));
    assert_eq!(user.settlement_interest(Some(own), None).await.unwrap().partner, Some(world.partner));
    let by_kind: BTreeMap<_, _> = heard.iter().map(|event| (event.news.kind, event.news.partner)).collect();
    assert_eq!(by_kind, [(Kind::SettlementUpdated, Some(world.partner))].into());
}
