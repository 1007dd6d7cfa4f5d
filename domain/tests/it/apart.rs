//! What only shows that tenants are apart where each has something of the same name, or something without a name. `make
//! mutants` takes the walls away one by one and wants a test to notice.

use domain::partners::NewPartner;
use domain::time::MICROS_PER_DAY;
use serde_json::json;

use crate::facts::*;

async fn partner_under_key(scoped: &domain::Scoped, key: &str, name: &str) -> String {
    let keyed = scoped.once(key, "createPartner", [1; 32]).expect("a good key");
    keyed.create_partner(NewPartner { name: name.to_owned(), reference: None }).await.expect("a partner").name
}

#[tokio::test]
async fn what_is_set_for_one_tenant_is_not_set_for_another() {
    let world = World::new().await;
    let twin = world.twin("twin").await;
    twin.admin.set_alert_rate(1_000, 5).await.expect("set");
    let before = twin.admin.detector().await.expect("a detector");
    world.admin.set_alert_rate(2_000, 6).await.expect("set");
    assert_eq!(twin.admin.detector().await.expect("a detector"), before);
    assert_ne!(world.admin.detector().await.expect("a detector"), before);
}

#[tokio::test]
async fn what_is_forgotten_of_one_tenant_is_kept_of_another() {
    let world = World::new().await;
    let twin = world.twin("twin").await;
    for of in [&world, &twin] {
        partner_under_key(&of.admin, "k", "First").await;
    }
    world.app.clock.move_to(world.app.clock.now().plus(8 * MICROS_PER_DAY));
    world.app.domain.chores_of(world.tenant.id()).await;
    let left = world.app.rows("SELECT t.slug FROM idempotency_keys k JOIN tenants t ON t.id = k.tenant_id").await;
    assert_eq!(left, ["twin"]);
}

#[tokio::test]
async fn operators_of_two_tenants_share_no_key() {
    let world = World::new().await;
    let twin = world.twin("twin").await;
    // An operator has no id of its own: only the tenant tells their keys apart.
    assert_eq!(partner_under_key(&world.tenant.operator, "k", "Here").await, "Here");
    assert_eq!(partner_under_key(&twin.tenant.operator, "k", "There").await, "There");
    assert_eq!(partner_under_key(&world.tenant.operator, "k", "Here").await, "Here");
}

#[tokio::test]
async fn followers_of_two_tenants_begin_at_their_own_place() {
    let world = World::new().await;
    let twin = world.twin("twin").await;
    world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "1", "01-10")]).await;
    // The first one goes on while the second begins.
    let here = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    let there = world.app.domain.follow(twin.tenant.id()).await.expect("a tail");
    let places = [here.position(), there.position()];
    assert_eq!(places[0], world.admin.event_cursor().await.expect("a cursor").0);
    assert_eq!(places[1], twin.admin.event_cursor().await.expect("a cursor").0);
    assert_ne!(places[0], places[1], "each tenant counts for itself");
}
