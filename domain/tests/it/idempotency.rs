//! Requests that come with a key: done once, answered the same each time, and only to the one who asked.

use domain::ids::PartnerId;
use domain::page::PageRequest;
use domain::partners::{NewPartner, Partner};
use domain::transactions::RecordOutcome;
use domain::transactions::transaction::Draft;
use domain::{Code, Result, Role, Scoped};
use serde_json::json;

use crate::facts::*;
use crate::support::*;

const CONFLICT: [&str; 1] = ["IDEMPOTENCY_CONFLICT idempotencyKey"];

/// The caller with a key; `request` stands for the hash of what it asks.
fn keyed(scoped: &Scoped, key: &str, request: u8) -> Scoped {
    scoped.once(key, "createPartner", [request; 32]).expect("a good key")
}

async fn create(scoped: &Scoped, name: &str) -> Result<Partner> {
    scoped.create_partner(NewPartner { name: name.to_owned(), reference: None }).await
}

async fn kept(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM idempotency_keys").await
}

fn recording(scoped: &Scoped, key: &str, request: u8) -> Scoped {
    scoped.once(key, "recordTransactions", [request; 32]).expect("a good key")
}

async fn record(world: &World, scoped: &Scoped, drafts: &[Draft]) -> Result<Vec<RecordOutcome>> {
    scoped.record_transactions(world.source, drafts.to_vec()).await
}

#[tokio::test]
async fn the_same_request_sixteen_times_at_once_is_one() {
    let world = World::new().await;
    let admin = keyed(&world.admin, "k", 1);
    let answers = world.gathered((0..16).map(|_| create(&admin, "Once")).collect()).await;
    let partners: Vec<Partner> = answers.into_iter().map(|answer| answer.expect("a partner")).collect();
    assert!(partners.iter().all(|partner| *partner == partners[0]));
    assert_eq!(world.app.number("SELECT count(*) FROM partners WHERE name = 'Once'").await, 1);
    assert_eq!(problems(create(&world.admin, "Once").await), ["ALREADY_EXISTS reference"], "without the key");
    assert_eq!(kept(&world.app).await, 1);
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let world = World::new().await;
    create(&keyed(&world.admin, "k", 1), "First").await.expect("a partner");
    assert_eq!(problems(create(&keyed(&world.admin, "k", 2), "Second").await), CONFLICT, "another input");
    let other = world.admin.once("k", "renamePartner", [1; 32]).expect("a good key");
    assert_eq!(problems(other.rename_partner(world.partner, "Second").await), CONFLICT, "another operation");
    let other = recording(&world.admin, "k", 1);
    assert_eq!(problems(record(&world, &other, &[stake("1", "1", "01-10")]).await), CONFLICT, "in a batch too");
    create(&keyed(&world.admin, "another", 2), "Second").await.expect("a partner");
    assert_eq!(world.app.number("SELECT count(*) FROM transactions").await, 0);
    assert_eq!(world.app.rows("SELECT name FROM partners ORDER BY id").await, ["Studio", "First", "Second"]);
    assert!(world.admin.once("two words", "createPartner", [1; 32]).is_err());
}

#[tokio::test]
async fn every_caller_has_keys_of_its_own() {
    let world = World::new().await;
    let twin = world.twin("other").await;
    let member = world.tenant.member(&world.app, "sue@acme.test", Role::Settlement, None).await;
    let mut made = Vec::<PartnerId>::new();
    for (number, scoped) in [&world.admin, &member, &world.tenant.operator, &twin.admin].into_iter().enumerate() {
        made.push(create(&keyed(scoped, "k", 1), &format!("Partner {number}")).await.expect("its own").id);
    }
    made.dedup();
    assert_eq!((made.len(), kept(&world.app).await), (4, 4));

    // An outcome that somebody puts in another's place does not open there.
    let (from, to) = (hex(world.tenant.id().0), hex(twin.tenant.id().0));
    world
        .app
        .execute(&format!(
            "UPDATE idempotency_keys SET outcome = (SELECT outcome FROM idempotency_keys WHERE tenant_id = {from} \
             AND actor_id = {}) WHERE tenant_id = {to}",
            hex(world.tenant.admin_id.0)
        ))
        .await;
    let moved = create(&keyed(&twin.admin, "k", 1), "Partner 3").await;
    assert!(matches!(moved, Err(domain::Error::Fault(_))), "{moved:?}");

    // A key does not outlast the right to use it.
    let sue = member.caller().member().expect("a member");
    world.tenant.admin.set_member_role(sue, Role::ReadOnly).await.expect("a role");
    let token = world.app.sign_in("acme", "sue@acme.test").await.access_token;
    let reader = world.app.bearer(token.expose()).await;
    assert!(is_denied(create(&keyed(&reader, "k", 1), "Partner 1").await));
}

#[tokio::test]
async fn a_refusal_leaves_its_key_free() {
    let world = World::new().await;
    let admin = keyed(&world.admin, "k", 1);
    assert_eq!(problems(create(&admin, "Studio").await), ["ALREADY_EXISTS reference"]);
    assert_eq!(kept(&world.app).await, 0);
    world.admin.rename_partner(world.partner, "Other").await.expect("a partner");
    world.app.execute("UPDATE partners SET reference = 'other'").await;
    let made = create(&admin, "Studio").await.expect("now it goes");
    assert_eq!(create(&admin, "Studio").await.expect("the same"), made);
}

#[tokio::test]
async fn a_secret_is_given_again_and_kept_sealed() {
    let world = World::new().await;
    let asked = world.admin.once("k", "createApiKey", [1; 32]).expect("a good key");
    let first = asked.create_api_key(world.source, "feed").await.expect("a key");
    let again = asked.create_api_key(world.source, "feed").await.expect("the same key");
    assert_eq!((first.key, first.secret.expose()), (again.key, again.secret.expose()));
    assert!(world.app.domain.authenticate(again.secret.expose()).await.is_ok());
    let asked = world.admin.once("m", "inviteMember", [1; 32]).expect("a good key");
    let first = asked.invite_member("bo@acme.test", "Bo", Role::Risk, None).await.expect("an invitation");
    let again = asked.invite_member("bo@acme.test", "Bo", Role::Risk, None).await.expect("the same");
    assert_eq!((first.member, first.token.token.expose()), (again.member, again.token.token.expose()));
    world.app.domain.accept_token(again.token.token.expose(), PASSWORD).await.expect("it is good");

    let plain = "SELECT count(*) FROM idempotency_keys WHERE instr(outcome, CAST('saldo_' AS BLOB)) > 0 \
                 OR instr(outcome, CAST('acme' AS BLOB)) > 0";
    assert_eq!((world.app.number(plain).await, kept(&world.app).await), (0, 2));
}

#[tokio::test]
async fn one_batch_answers_known_keys_refuses_others_and_records_the_rest() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let drafts = |name: &str| vec![stake(name, "1", "01-10"), stake(&format!("{name} broken"), "x", "01-10")];
    let first = record(&world, &recording(&world.admin, "known", 1), &drafts("known")).await.expect("outcomes");
    assert_eq!(all_shown(&first), ["RECORDED", "BAD_AMOUNT amount"]);

    let known = recording(&world.admin, "known", 1);
    let wrong = recording(&world.admin, "known", 2);
    let new = recording(&world.admin, "new", 1);
    let (known_drafts, new_drafts, free_drafts) = (drafts("known"), drafts("new"), drafts("free"));
    let all = vec![
        record(&world, &known, &known_drafts),
        record(&world, &wrong, &free_drafts),
        record(&world, &new, &new_drafts),
        record(&world, &world.admin, &free_drafts),
        record(&world, &new, &new_drafts),
        record(&world, &new, &new_drafts),
        record(&world, &world.admin, &known_drafts),
    ];
    let mut answers = world.gathered(all).await.into_iter();
    let mut next = || answers.next().expect("an answer");
    assert_eq!(next().expect("known"), first, "what was recorded first, and not a replay");
    assert_eq!(problems(next()), CONFLICT);
    let recorded = next().expect("new");
    assert_eq!(all_shown(&recorded), ["RECORDED", "BAD_AMOUNT amount"]);
    assert_eq!(all_shown(&next().expect("free")), ["RECORDED", "BAD_AMOUNT amount"]);
    assert_eq!((next().expect("again"), next().expect("again")), (recorded.clone(), recorded));
    assert_eq!(all_shown(&next().expect("without a key")), ["REPLAYED", "BAD_AMOUNT amount"]);
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 300/3/3"]);
    assert_eq!((world.quarantined().await.len(), kept(&world.app).await), (3, 2));
    world.check_books().await;
}

#[tokio::test]
async fn sixteen_times_at_once_in_the_lanes_is_one() {
    let world = World::new().await;
    let admin = recording(&world.admin, "k", 1);
    let drafts = [stake("1", "1", "01-10"), stake("2", "2", "01-10")];
    let answers = world.gathered((0..16).map(|_| record(&world, &admin, &drafts)).collect()).await;
    for answer in answers {
        assert_eq!(all_shown(&answer.expect("outcomes")), ["RECORDED", "RECORDED"]);
    }
    assert_eq!((world.app.number("SELECT count(*) FROM transactions").await, kept(&world.app).await), (2, 1));
}

/// More than half of what a sum can hold: two of them overflow.
const HUGE: &str = "5000000000000";

#[tokio::test]
async fn a_record_that_no_sum_can_hold_spoils_no_key() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    world.recorded(&[stake("huge 0", HUGE, "01-10")]).await;
    let drafts = |caller: usize| {
        let amount = if caller == 1 { HUGE } else { "1" };
        vec![stake(&format!("{caller} a"), "1", "01-10"), stake(&format!("{caller} b"), amount, "01-10")]
    };
    let admins: Vec<Scoped> = (0..3).map(|n| recording(&world.admin, &format!("k{n}"), 1)).collect();
    let sent: Vec<Vec<Draft>> = (0..3).map(drafts).collect();
    let both = || admins.iter().zip(&sent).map(|(admin, drafts)| record(&world, admin, drafts)).collect();
    let first: Vec<_> = world.gathered(both()).await.into_iter().map(|answer| answer.expect("outcomes")).collect();
    let again: Vec<_> = world.gathered(both()).await.into_iter().map(|answer| answer.expect("outcomes")).collect();
    assert_eq!(first, again);
    let shown: Vec<_> = first.iter().map(|outcomes| all_shown(outcomes)).collect();
    assert_eq!(shown, [vec!["RECORDED"; 2], vec!["RECORDED", "OVERFLOW amount"], vec!["RECORDED"; 2]]);
    assert_eq!((world.quarantined().await.len(), kept(&world.app).await), (1, 3));
    world.check_books().await;
}

#[tokio::test]
async fn a_retry_is_known_although_its_record_is_resolved() {
    let world = World::new().await;
    world.record(&[Draft { product: Some("plinko".into()), ..stake("1", "1", "01-10") }]).await;
    let id = world.quarantined().await[0].id;
    let admin = world.admin.once("k", "retryQuarantinedRecord", [1; 32]).expect("a good key");
    let still = admin.retry_quarantined(id, None).await.expect("an outcome");
    assert_eq!((shown(&still.outcome).as_str(), kept(&world.app).await), ("UNKNOWN_PRODUCT product", 0));
    world.admin.create_product("plinko", product("Plinko")).await.expect("a product");
    let all = (0..16).map(|_| admin.retry_quarantined(id, None)).collect();
    let answers: Vec<_> = world.gathered(all).await.into_iter().map(|answer| answer.expect("an outcome")).collect();
    assert!(answers.iter().all(|answer| answer.outcome == answers[0].outcome && answer.record.state == "RETRIED"));
    assert_eq!(shown(&admin.retry_quarantined(id, None).await.expect("known").outcome), "RECORDED");
    assert!(has_code(world.admin.retry_quarantined(id, None).await, Code::WrongState), "without the key");
    let other = world.admin.once("k", "retryQuarantinedRecord", [2; 32]).expect("a good key");
    assert_eq!(problems(other.retry_quarantined(id, None).await), CONFLICT);

    world.record(&[stake("2", "x", "01-10")]).await;
    let open = world.quarantined().await.into_iter().find(|record| record.state == "OPEN").expect("one").id;
    let admin = world.admin.once("d", "dismissQuarantinedRecord", [1; 32]).expect("a good key");
    let first = admin.dismiss_quarantined(open, "a test").await.expect("dismissed");
    assert_eq!(admin.dismiss_quarantined(open, "a test").await.expect("the same"), first);
}

#[tokio::test]
async fn outcomes_outlive_the_process_and_are_forgotten_after_a_week() {
    let world = World::new().await;
    let made = create(&keyed(&world.admin, "k", 1), "Once").await.expect("a partner");
    let drafts = [stake("1", "1", "01-10")];
    let recorded = record(&world, &recording(&world.admin, "r", 1), &drafts).await.expect("outcomes");

    let reopened = world.app.reopened(MASTER_KEY).await;
    let token = reopened.sign_in("acme", "ada@acme.test").await.access_token;
    let admin = reopened.bearer(token.expose()).await;
    assert_eq!(create(&keyed(&admin, "k", 1), "Once").await.expect("the same"), made);
    let again = record(&world, &recording(&admin, "r", 1), &drafts).await.expect("the same");
    assert_eq!(again, recorded);

    // Until a week is over older ones are taken only.
    reopened.pass_seconds(7 * 24 * 3_600);
    create(&keyed(&admin, "young", 1), "Young").await.expect("a partner");
    reopened
        .execute(&format!(
            "INSERT INTO idempotency_keys SELECT id, 'old', {}, 'a', zeroblob(0), zeroblob(0), 0 FROM tenants",
            hex(uuid::Uuid::nil())
        ))
        .await;
    reopened.domain.prune().await;
    assert_eq!(kept(&reopened).await, 3);
    assert_eq!(create(&keyed(&admin, "k", 1), "Once").await.expect("the same"), made);
    reopened.pass_seconds(1);
    reopened.domain.prune().await;
    assert_eq!(kept(&reopened).await, 1);
    assert_eq!(problems(create(&keyed(&admin, "k", 1), "Once").await), ["ALREADY_EXISTS reference"], "a new request");
    assert_eq!(create(&keyed(&admin, "young", 1), "Young").await.expect("the same").name, "Young");
    assert_eq!(admin.partners(PageRequest::default()).await.expect("partners").items.len(), 3);
}

#[tokio::test]
async fn more_old_keys_than_one_step_takes_are_all_forgotten() {
    let world = World::new().await;
    let rows = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
         INSERT INTO idempotency_keys SELECT t.id, 'k' || i, {}, 'a', zeroblob(32), zeroblob(1), i FROM n, tenants t",
        hex(uuid::Uuid::nil())
    );
    world.app.execute(&rows).await;
    create(&keyed(&world.admin, "young", 1), "Young").await.expect("a partner");
    world.app.domain.prune().await;
    assert_eq!(kept(&world.app).await, 1);
    assert_eq!(create(&keyed(&world.admin, "young", 1), "Young").await.expect("the same").name, "Young");
}

#[tokio::test]
async fn without_a_key_nothing_is_asked_and_nothing_kept() {
    let world = World::new().await;
    world.app.execute("DROP TABLE idempotency_keys").await;
    create(&world.admin, "Free").await.expect("a partner");
    world.recorded(&[stake("1", "1", "01-10")]).await;
    assert!(matches!(create(&keyed(&world.admin, "k", 1), "Keyed").await, Err(domain::Error::Fault(_))));
    let drafts = [stake("2", "1", "01-10")];
    assert!(record(&world, &recording(&world.admin, "r", 1), &drafts).await.is_err());
    assert_eq!(world.app.number("SELECT count(*) FROM transactions").await, 1);
}
