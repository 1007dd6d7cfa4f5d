//! Contracts and their versions: what may be written, and what may come into force.

use domain::Code;
use domain::catalogue::NewAsset;
use domain::contracts::contract::Terms;
use domain::contracts::{NewContract, VersionState};
use domain::ids::{ContractId, PartnerId};
use domain::page::PageRequest;
use domain::partners::NewPartner;
use domain::{Error, Role, Scoped};
use serde_json::{Value, json};

use crate::support::*;

/// 8 % of GGR, monthly in UTC, in BIT; `change` replaces top-level fields.
fn terms(change: Value) -> Terms {
    let mut terms = json!({
        "validFrom": "2024-01-01", "role": "PROVIDER", "currency": "BIT", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": "UTC" },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY" },
        "rateTable": { "rows": [{ "code": "all", "percent": "8" }] },
        "minimumPayout": "0",
    });
    for (name, value) in change.as_object().expect("an object") {
        terms[name] = value.clone();
    }
    serde_json::from_value(terms).expect("terms")
}

async fn partner(scoped: &Scoped, name: &str) -> PartnerId {
    scoped.create_partner(NewPartner { name: name.to_owned(), reference: None }).await.expect("a partner").id
}

async fn bit(scoped: &Scoped) {
    let bit = NewAsset { code: "BIT".to_owned(), exponent: 2, accounting_exponent: None };
    scoped.create_asset(bit).await.expect("an asset");
}

fn new(partner: PartnerId, name: &str, change: Value) -> NewContract {
    NewContract { partner, name: name.to_owned(), terms: terms(change) }
}

async fn contract(scoped: &Scoped, partner: PartnerId, name: &str, change: Value) -> ContractId {
    scoped.create_contract(new(partner, name, change)).await.expect("a contract").0.id
}

#[tokio::test]
async fn a_version_is_a_draft_until_it_is_activated_and_stands_from_then_on() {
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let admin = &tenant.admin;
    bit(admin).await;
    let studio = partner(admin, "Studio").await;
    let (contract, draft) = admin.create_contract(new(studio, " Crash ", json!({}))).await.unwrap();
    assert_eq!((contract.name.as_str(), draft.version, draft.state), ("Crash", 1, VersionState::Draft));
    let seoul = json!({ "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul" } });
    let changed = admin.change_contract_draft(contract.id, 1, 1, terms(seoul)).await.unwrap();
    assert_eq!(changed.valid_from, at("2023-12-31T15:00:00Z"));

    let epoch = app.number("SELECT config_epoch FROM tenants").await;
    let active = admin.activate_contract_version(contract.id, 1).await.unwrap();
    assert_eq!(
        (active.state, active.activated_at, active.activated_by),
        (VersionState::Active, Some(at(START)), Some(tenant.admin_id))
    );
    assert!(app.number("SELECT config_epoch FROM tenants").await > epoch, "pricing must hear of it");
    app.pass_seconds(60);
    assert_eq!(admin.activate_contract_version(contract.id, 1).await.unwrap(), active, "again is the same");

    assert!(has_code(admin.change_contract_draft(contract.id, 1, 2, terms(json!({}))).await, Code::VersionActive));
    let second = admin.draft_contract_version(contract.id, terms(json!({ "validFrom": "2024-02-01" }))).await.unwrap();
    assert_eq!((second.version, second.state), (2, VersionState::Draft));
    assert_eq!(admin.contract_versions(&[contract.id]).await.unwrap(), [active, second]);
    assert!(is_not_found(admin.activate_contract_version(contract.id, 3).await));
    assert!(is_not_found(admin.draft_contract_version(app.clock.id(), terms(json!({}))).await));
}

#[tokio::test]
async fn wrong_terms_are_told_by_field_and_leave_nothing_behind() {
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let admin = &tenant.admin;
    let studio = partner(admin, "Studio").await;
    assert_eq!(problems(admin.create_contract(new(studio, "a", json!({}))).await), ["UNKNOWN_CURRENCY terms.currency"]);
    bit(admin).await;
    assert_eq!(problems(admin.create_contract(new(app.clock.id(), "a", json!({}))).await), ["NOT_FOUND partnerId"]);
    let wrong = json!({ "minimumPayout": "-1", "rateTable": { "rows": [{ "code": "all", "when": "localHour < 6", "percent": "101" }] } });
    let expected = [
        "NEGATIVE_AMOUNT terms.minimumPayout",
        "BAD_INPUT terms.rateTable.rows.0.percent",
        "BAD_INPUT terms.rateTable.rows.0.when",
    ];
    assert_eq!(problems(admin.create_contract(new(studio, "a", wrong.clone())).await), expected);
    assert_eq!(app.number("SELECT count(*) FROM contracts").await, 0);
    let id = contract(admin, studio, "a", json!({})).await;
    assert_eq!(problems(admin.change_contract_draft(id, 1, 1, terms(wrong.clone())).await), expected);
    assert_eq!(problems(admin.draft_contract_version(id, terms(wrong)).await), expected);
    assert_eq!(problems(admin.create_contract(new(studio, "a", json!({}))).await), ["ALREADY_EXISTS name"]);
    assert_eq!(app.number("SELECT count(*) FROM contract_versions").await, 1);
}

#[tokio::test]
async fn two_contracts_never_claim_the_same_transactions() {
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let admin = &tenant.admin;
    bit(admin).await;
    let (studio, other) = (partner(admin, "Studio").await, partner(admin, "Other").await);
    let unknown = admin.create_contract(new(studio, "Crash", json!({ "scope": { "products": ["crash"] } }))).await;
    assert_eq!(problems(unknown.map(|(_, version)| version)), ["NOT_FOUND terms.scope.products.0"]);
    for code in ["crash", "dice"] {
        admin.create_product(code, product(code)).await.unwrap();
    }
    let crash = || json!({ "scope": { "products": ["crash"] } });
    let first = contract(admin, studio, "Crash", crash()).await;
    // Two drafts may compete; the one that comes second is refused, by name.
    let rival = contract(admin, studio, "All", json!({})).await;
    admin.activate_contract_version(first, 1).await.unwrap();
    let refused = admin.activate_contract_version(rival, 1).await;
    let Err(Error::Invalid(found)) = &refused else { panic!("{refused:?}") };
    assert_eq!((found[0].code, found[0].path.as_str()), (Code::ScopeOverlap, "terms.scope"));
    assert!(
        found[0].message.contains("'Crash'") && found[0].message.contains(&first.to_string()),
        "{}",
        found[0].message
    );
    assert!(has_code(admin.create_contract(new(studio, "Again", crash())).await, Code::ScopeOverlap), "found on save");
    for (partner, change) in [
        (other, crash()),
        (studio, json!({ "role": "AFFILIATE" })),
        (studio, json!({ "scope": { "products": ["dice"] } })),
    ] {
        let id = contract(admin, partner, &format!("fine {change}"), change).await;
        admin.activate_contract_version(id, 1).await.unwrap();
    }
}

#[tokio::test]
async fn versions_follow_each_other_without_doubt() {
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let admin = &tenant.admin;
    bit(admin).await;
    let studio = partner(admin, "Studio").await;
    let id = contract(admin, studio, "Crash", json!({})).await;
    admin.activate_contract_version(id, 1).await.unwrap();
    let daily = |from: &str| terms(json!({ "validFrom": from, "cycle": { "every": "DAY", "timeZone": "UTC" } }));
    admin.draft_contract_version(id, terms(json!({}))).await.unwrap();
    assert_eq!(problems(admin.activate_contract_version(id, 2).await), ["ALREADY_EXISTS terms.validFrom"]);
    admin.change_contract_draft(id, 2, 1, daily("2024-02-15")).await.unwrap();
    assert_eq!(problems(admin.activate_contract_version(id, 2).await), ["BAD_INPUT terms.validFrom"]);
    admin.change_contract_draft(id, 2, 2, daily("2024-02-01")).await.unwrap();
    admin.activate_contract_version(id, 2).await.unwrap();
}

#[tokio::test]
async fn everybody_sees_and_changes_only_what_is_theirs() {
    let app = TestApp::new().await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    bit(&acme.admin).await;
    let (studio, other) = (partner(&acme.admin, "Studio").await, partner(&acme.admin, "Other").await);
    let mine = contract(&acme.admin, studio, "Crash", json!({})).await;
    let theirs = contract(&acme.admin, other, "Crash", json!({})).await;
    let all =
        |page: domain::page::Page<domain::contracts::Contract>| page.items.iter().map(|c| c.id).collect::<Vec<_>>();
    assert_eq!(all(acme.admin.contracts(PageRequest::default()).await.unwrap()), [theirs, mine]);

    let user = acme.member(&app, "user@studio.test", Role::ReadOnly, Some(studio)).await;
    assert_eq!(all(user.contracts(PageRequest::default()).await.unwrap()), [mine]);
    assert_eq!(user.contract(theirs).await.unwrap(), None);
    let versions = user.contract_versions(&[mine, theirs]).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.contract).collect::<Vec<_>>(), [mine]);
    assert!(is_denied(user.activate_contract_version(mine, 1).await));
    let reader = acme.member(&app, "reader@acme.test", Role::ReadOnly, None).await;
    assert!(is_denied(reader.create_contract(new(studio, "x", json!({}))).await));
    assert!(is_denied(reader.draft_contract_version(mine, terms(json!({}))).await));
    assert!(is_denied(reader.change_contract_draft(mine, 1, 1, terms(json!({}))).await));

    assert!(bolt.admin.contracts(PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(bolt.admin.contracts_by_ids(&[mine]).await.unwrap(), []);
    assert_eq!(bolt.admin.contract_versions(&[mine]).await.unwrap(), []);
    assert!(is_not_found(bolt.admin.activate_contract_version(mine, 1).await));
    assert_eq!(
        problems(bolt.admin.create_contract(new(studio, "x", json!({ "currency": "USD" }))).await),
        ["NOT_FOUND partnerId"]
    );
}
