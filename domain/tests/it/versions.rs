//! The life of a version: who may do what to it and when, what stands in its way, and what an amendment pays.

use domain::contracts::case::{Expected, TestCase};
use domain::contracts::resolution::in_force;
use domain::contracts::template::Changes;
use domain::contracts::{Approval, VersionDraft, VersionState};
use domain::ids::ContractId;
use domain::page::PageRequest;
use domain::time::MICROS_PER_DAY;
use domain::{Code, Error, Role, Scoped};
use serde_json::{Value, json};

use crate::facts::*;
use crate::support::*;

fn percent(percent: &str) -> Value {
    json!({ "rateTable": { "rows": [{ "code": "all", "percent": percent }] } })
}

fn replacing(version: i64, change: Value) -> VersionDraft {
    VersionDraft { terms: terms(change), replaces: Some(version) }
}

/// A contract whose one version is a draft.
async fn draft(world: &World, name: &str) -> ContractId {
    let new = domain::contracts::NewContract { partner: world.partner, name: name.to_owned(), terms: terms(json!({})) };
    world.admin.create_contract(new).await.expect("a draft").0.id
}

/// A stake of 1,000 in January, of which a version has to pay this.
fn case(name: &str, total: &str) -> TestCase {
    let expected = Expected { total: total.to_owned(), lines: None };
    TestCase { name: name.to_owned(), facts: vec![stake("a", "1000", "01-10")], expected, ..TestCase::default() }
}

/// What was done to a version, first to last, as `KIND revision name`.
async fn history(scoped: &Scoped, contract: ContractId, version: i64) -> Vec<String> {
    let steps = scoped.contract_steps(&[contract]).await.expect("steps");
    let own = steps.iter().rev().filter(|step| step.version == version);
    let name = |step: &domain::contracts::Step| step.member_name.clone().unwrap_or_else(|| "-".to_owned());
    own.map(|step| format!("{} {} {}", step.kind.as_str(), step.revision, name(step))).collect()
}

async fn state(scoped: &Scoped, contract: ContractId, version: i64) -> VersionState {
    let versions = scoped.contract_versions(&[contract]).await.expect("versions");
    versions.iter().find(|found| found.version == version).expect("a version").state
}

#[tokio::test]
async fn of_two_who_save_at_once_the_second_is_told_who_was_first() {
    let world = World::new().await;
    let bo = world.tenant.member(&world.app, "bo@acme.test", Role::Settlement, None).await;
    let contract = draft(&world, "share").await;
    let (one, other) = tokio::join!(
        bo.change_contract_draft(contract, 1, 1, terms(percent("11"))),
        world.admin.change_contract_draft(contract, 1, 1, terms(percent("12"))),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let (saved, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    let saved = saved.expect("one is saved");
    assert_eq!(saved.revision, 2);
    let Err(Error::Invalid(found)) = refused else { panic!("{refused:?}") };
    assert_eq!((found[0].code, found[0].path.as_str()), (Code::Stale, "revision"));
    let name = if saved.changed_by == Some(world.tenant.admin_id) { "Ada" } else { "bo@acme.test" };
    assert!(
        found[0].message.contains(&format!("revision 2 was saved by {name} at 2024-03-01")),
        "{}",
        found[0].message
    );
    let stands = world.admin.contract_versions(&[contract]).await.expect("versions").remove(0);
    assert_eq!(stands, saved, "nothing of the other is there");
    // Whoever reads it again can save; another draft may be open beside it.
    bo.change_contract_draft(contract, 1, 2, terms(percent("13"))).await.expect("it is read anew");
    assert!(has_code(bo.activate_contract_revision(contract, 1, Some(2)).await, Code::Stale));
    bo.draft_contract_version(contract, terms(json!({}))).await.expect("another draft");
    bo.activate_contract_revision(contract, 1, Some(3)).await.expect("as it was read");
    assert!(has_code(bo.change_contract_draft(contract, 1, 3, terms(percent("14"))).await, Code::VersionActive));
}

#[tokio::test]
async fn where_the_policy_asks_a_second_person_approves() {
    let world = World::new().await;
    let admin = &world.admin;
    let bo = world.tenant.member(&world.app, "bo@acme.test", Role::Settlement, None).await;
    let cy = world.tenant.member(&world.app, "cy@acme.test", Role::Settlement, None).await;
    assert!(is_denied(bo.set_contract_approval(Approval::SecondPerson).await), "for administrators");
    admin.set_contract_approval(Approval::SecondPerson).await.expect("a policy");
    assert_eq!(bo.contract_approval().await.expect("a policy"), Approval::SecondPerson);
    let contract = draft(&world, "share").await;
    assert!(has_code(bo.approve_contract_version(contract, 1, 1, None).await, Code::WrongState), "not tested");
    assert_eq!(bo.test_contract_version(contract, 1).await.expect("tested").version.state, VersionState::Tested);
    assert!(has_code(admin.activate_contract_version(contract, 1).await, Code::ApprovalNeeded));
    assert!(has_code(admin.approve_contract_version(contract, 1, 1, None).await, Code::OwnWork));
    assert!(has_code(world.tenant.operator.approve_contract_version(contract, 1, 1, None).await, Code::OwnWork));
    // A save by Bo does not make Ada a second person, and Bo is none any more.
    bo.change_contract_draft(contract, 1, 1, terms(percent("11"))).await.expect("a save");
    assert_eq!(state(admin, contract, 1).await, VersionState::Draft, "what was tested was another revision");
    bo.test_contract_version(contract, 1).await.expect("tested");
    for writer in [admin, &bo] {
        assert!(has_code(writer.approve_contract_version(contract, 1, 2, None).await, Code::OwnWork));
    }
    assert!(has_code(cy.approve_contract_version(contract, 1, 1, None).await, Code::Stale), "not what was read");
    let approved = cy.approve_contract_version(contract, 1, 2, Some(" fine ".to_owned())).await.expect("approved");
    assert_eq!((approved.state, approved.approved_at), (VersionState::Approved, Some(at(START))));
    // Any save, and a rejection, send it back.
    bo.change_contract_draft(contract, 1, 2, terms(percent("12"))).await.expect("a save");
    assert!(has_code(admin.activate_contract_version(contract, 1).await, Code::ApprovalNeeded));
    bo.test_contract_version(contract, 1).await.expect("tested");
    cy.approve_contract_version(contract, 1, 3, None).await.expect("approved");
    let rejected = cy.reject_contract_version(contract, 1, "12 is too much").await.expect("sent back");
    assert_eq!((rejected.state, rejected.tested_at, rejected.approved_at), (VersionState::Draft, None, None));
    assert!(has_code(admin.activate_contract_version(contract, 1).await, Code::ApprovalNeeded));
    bo.test_contract_version(contract, 1).await.expect("tested");
    cy.approve_contract_version(contract, 1, 3, None).await.expect("approved");
    admin.activate_contract_version(contract, 1).await.expect("in force");
    assert_eq!(
        history(&bo, contract, 1).await,
        [
            "CREATED 1 Ada",
            "TESTED 1 bo@acme.test",
            "SAVED 2 bo@acme.test",
            "TESTED 2 bo@acme.test",
            "APPROVED 2 cy@acme.test",
            "SAVED 3 bo@acme.test",
            "TESTED 3 bo@acme.test",
            "APPROVED 3 cy@acme.test",
            "REJECTED 3 cy@acme.test",
            "TESTED 3 bo@acme.test",
            "APPROVED 3 cy@acme.test",
            "ACTIVATED 3 Ada",
        ]
    );
    assert!(has_code(cy.reject_contract_version(contract, 1, "too late").await, Code::VersionActive));
    admin.set_contract_approval(Approval::None).await.expect("a policy");
    admin.draft_contract_version(contract, terms(json!({ "validFrom": "2024-06-01" }))).await.expect("a draft");
    admin.activate_contract_version(contract, 2).await.expect("nobody else is asked any more");
}

#[tokio::test]
async fn a_version_does_not_come_into_force_while_a_test_case_fails() {
    let world = World::new().await;
    let admin = &world.admin;
    let contract = draft(&world, "share").await;
    for (name, total) in [("b: ten", "100"), ("a: eleven", "110")] {
        admin.save_contract_test_case(contract, case(name, total), None).await.expect("saved");
    }
    let run = admin.test_contract_version(contract, 1).await.expect("a run");
    let passed: Vec<_> = run.results.iter().map(|result| (result.name.as_str(), result.passed())).collect();
    assert_eq!(passed, [("a: eleven", false), ("b: ten", true)]);
    assert_eq!(run.version.state, VersionState::Draft);
    let refused = admin.activate_contract_version(contract, 1).await;
    let Err(Error::Invalid(found)) = &refused else { panic!("{refused:?}") };
    let told: Vec<_> =
        found.iter().map(|problem| (problem.code, problem.path.as_str(), problem.message.as_str())).collect();
    let message = "'a: eleven': total: expected 110.00, got 100.00";
    assert_eq!(told, [(Code::TestCaseFailed, "testCases.0", message)]);
    assert_eq!(state(admin, contract, 1).await, VersionState::Draft);
    // What it gives under a version is what it expects from now on.
    let accepted = admin.save_contract_test_case(contract, case("a: eleven", "0"), Some(1)).await.expect("saved");
    assert_eq!(accepted.expected.total, "100.00");
    assert_eq!(accepted.expected.lines.map(|lines| lines.len()), Some(1));
    admin.activate_contract_version(contract, 1).await.expect("all pass");
    assert_eq!(
        history(admin, contract, 1).await,
        ["CREATED 1 Ada", "TEST_FAILED 1 Ada", "TESTED 1 Ada", "ACTIVATED 1 Ada"]
    );
    // The next version is held against them, too, until one is deleted or changed.
    admin.draft_contract_version(contract, replacing(1, percent("11"))).await.expect("a draft");
    assert_eq!(
        problems(admin.activate_contract_version(contract, 2).await),
        ["TEST_CASE_FAILED testCases.0", "TEST_CASE_FAILED testCases.1"]
    );
    admin.delete_contract_test_case(contract, "a: eleven").await.expect("deleted");
    assert!(has_code(admin.delete_contract_test_case(contract, "a: eleven").await, Code::NotFound));
    admin.save_contract_test_case(contract, case("b: ten", "110"), None).await.expect("saved");
    admin.activate_contract_version(contract, 2).await.expect("all pass");
    assert_eq!(
        problems(admin.save_contract_test_case(contract, case("c", "x"), None).await),
        ["BAD_AMOUNT expected.total"]
    );
    // An old version is only tried.
    let old = admin.test_contract_version(contract, 1).await.expect("a run");
    assert_eq!((old.version.state, old.results[0].passed()), (VersionState::Superseded, false));
}

/// The one rule for late facts, for terms that are agreed late: what would have been paid less what was.
#[tokio::test]
async fn an_amendment_that_takes_a_versions_place_pays_the_difference() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let twin = world.twin("bolt").await;
    let amended = json!({ "rateTable": { "rows": [
        { "code": "all", "when": "product == 'dice'", "percent": "15" }, { "code": "rest", "percent": "5" } ] } });
    let other = twin.contract("share", amended.clone()).await;
    let slots =
        domain::transactions::transaction::Draft { product: Some("slots".to_owned()), ..stake("3", "70", "02-05") };
    let facts = [stake("1", "100", "01-10"), win("2", "30", "01-11"), slots, stake("4", "40", "02-06")];
    for world in [&world, &twin] {
        world.recorded(&facts).await;
    }
    for (world, contract) in [(&world, contract), (&twin, other)] {
        world.close_next(contract).await;
    }
    let paid = world.lines(contract, "2024-01").await;
    let draft = world.admin.draft_contract_version(contract, terms(amended.clone())).await.expect("a draft");
    let refused = problems(world.admin.activate_contract_version(contract, draft.version).await);
    assert_eq!(refused, ["ALREADY_EXISTS terms.validFrom"], "two would count from the same day");
    let wrong = VersionDraft { terms: terms(amended.clone()), replaces: Some(7) };
    let refused = world.admin.change_contract_draft(contract, 2, 1, wrong).await;
    assert_eq!(problems(refused), ["NOT_FOUND replaces"]);
    world.app.pass_seconds(60);
    world.admin.change_contract_draft(contract, 2, 1, replacing(1, amended)).await.expect("a draft");
    world.admin.activate_contract_version(contract, 2).await.expect("in force");

    assert_eq!(world.lines(contract, "2024-01").await, paid, "what closed stays");
    // 15 % of 70 in place of 10 %, and in February 15 % of 40 and 5 % of 70.
    assert_eq!(
        world.lines(contract, "2024-02").await,
        ["REVENUE_SHARE 2 all 600", "REVENUE_SHARE 2 rest 350", "CORRECTION 1 all -700", "CORRECTION 2 all 1050"]
    );
    assert_eq!(world.figures(contract).await.due, twin.figures(other).await.due, "as if it had been so from the start");
    world.check_books().await;
    world.close_next(contract).await;
    world.recorded(&[stake("5", "20", "01-20")]).await;
    twin.close_next(other).await;
    twin.recorded(&[stake("5", "20", "01-20")]).await;
    assert_eq!(world.figures(contract).await.due, twin.figures(other).await.due, "late facts follow the amendment");
    world.check_books().await;

    // Of each moment it is known what was in force then.
    let versions = world.admin.contract_versions(&[contract]).await.expect("versions");
    assert_eq!((versions[0].state, versions[0].superseded_by), (VersionState::Superseded, Some(2)));
    let january = month_begin("2024-01");
    let known = |at| in_force(&versions, contract, january, at).expect("no doubt").map(|found| found.version);
    let now = world.app.clock.now();
    assert_eq!((known(now), known(now.plus(-1))), (Some(2), Some(1)));
    assert_eq!((known(at(START)), known(at(START).plus(-MICROS_PER_DAY))), (Some(1), None));
}

/// What was counted under a replaced version stays reckoned with, however often its place is taken.
#[tokio::test]
async fn an_amendment_can_be_amended_and_taken_back() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    world.close_next(contract).await;
    for (version, percents) in [(1, "20"), (2, "30"), (3, "10")] {
        world.app.pass_seconds(60);
        let draft =
            world.admin.draft_contract_version(contract, replacing(version, percent(percents))).await.expect("a draft");
        world.admin.activate_contract_version(contract, draft.version).await.expect("in force");
        world.check_books().await;
    }
    let due: i64 = world.figures(contract).await.due;
    assert_eq!(due, 1_000, "10 % of 100, after all");
    let draft = world.admin.draft_contract_version(contract, replacing(1, percent("40"))).await.expect("a draft");
    let refused = problems(world.admin.activate_contract_version(contract, draft.version).await);
    assert_eq!(refused, ["NOT_FOUND replaces"], "its place is taken already");
}

#[tokio::test]
async fn an_amendment_that_would_cut_closed_periods_is_refused() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    world.close_next(contract).await;
    let daily = json!({ "cycle": { "every": "DAY", "timeZone": "UTC" } });
    let draft = world.admin.draft_contract_version(contract, replacing(1, daily)).await.expect("a draft");
    let refused = world.admin.activate_contract_version(contract, draft.version).await;
    let Err(Error::Invalid(found)) = &refused else { panic!("{refused:?}") };
    assert_eq!((found[0].code, found[0].path.as_str()), (Code::BadInput, "terms.validFrom"));
    assert!(found[0].message.contains("there is a settlement from 2024-01-01T00:00:00Z"), "{}", found[0].message);
    assert_eq!(state(&world.admin, contract, 1).await, VersionState::Active);
}

#[tokio::test]
async fn a_contract_is_made_of_a_template_or_of_another_contract() {
    let world = World::new().await;
    let admin = &world.admin;
    let other = partner(admin, "Other").await;
    admin.save_contract_template(" Standard ", terms(json!({}))).await.expect("saved");
    admin.save_contract_template("Standard", terms(percent("12"))).await.expect("written over");
    assert!(has_code(admin.save_contract_template("Bad", terms(percent("101"))).await, Code::BadInput));
    let changes =
        Changes { valid_from: terms(json!({ "validFrom": "2024-02-01" })).valid_from.into(), ..Changes::default() };
    let (first, version) = admin
        .create_contract_from_template("Standard", world.partner, "From a template", changes)
        .await
        .expect("a contract");
    assert_eq!(
        version.terms,
        terms(json!({ "validFrom": "2024-02-01", "rateTable": { "rows": [{ "code": "all", "percent": "12" }] } }))
    );
    let none = admin.create_contract_from_template("Nope", world.partner, "x", Changes::default()).await;
    assert_eq!(problems(none), ["NOT_FOUND template"]);
    let bad = Changes { percents: vec![("x".to_owned(), domain::money::Rate::HUNDRED)], ..Changes::default() };
    let bad = admin.create_contract_from_template("Standard", world.partner, "x", bad).await;
    assert_eq!(problems(bad), ["NOT_FOUND changes.percents.0.code"]);

    admin.save_contract_test_case(first.id, case("January", "0"), None).await.expect("saved");
    let (copy, version) =
        admin.copy_contract(first.id, 1, other, "A copy", Changes::default()).await.expect("a contract");
    assert_eq!((copy.partner_id, version.version, version.state), (other, 1, VersionState::Draft));
    let cases = admin.contract_test_cases(&[copy.id]).await.expect("cases");
    assert_eq!(cases.iter().map(|(of, case)| (*of, case.name.as_str())).collect::<Vec<_>>(), [(copy.id, "January")]);
    assert_eq!(
        problems(admin.copy_contract(first.id, 1, other, "A copy", Changes::default()).await),
        ["ALREADY_EXISTS name"]
    );
    assert!(is_not_found(admin.copy_contract(first.id, 9, other, "x", Changes::default()).await));

    // Nobody else's are seen.
    let user = world.tenant.member(&world.app, "user@studio.test", Role::ReadOnly, Some(world.partner)).await;
    assert!(user.contract_templates(PageRequest::default()).await.expect("a page").items.is_empty());
    assert_eq!(user.contract_test_cases(&[first.id]).await.expect("cases"), []);
    assert_eq!(user.contract_steps(&[first.id]).await.expect("steps"), []);
    let bolt = world.twin("bolt").await;
    assert!(bolt.admin.contract_templates(PageRequest::default()).await.expect("a page").items.is_empty());
    let stolen = bolt.admin.copy_contract(first.id, 1, bolt.partner, "x", Changes::default()).await;
    assert!(is_not_found(stolen));
    admin.delete_contract_template("Standard").await.expect("deleted");
    assert!(has_code(admin.delete_contract_template("Standard").await, Code::NotFound));
    assert_eq!(state(admin, first.id, 1).await, VersionState::Draft, "what was made of it stays");
}
