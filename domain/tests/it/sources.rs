//! Sources: who may make and see them, their mappings in versions, and what is known of their days.

use chrono::NaiveDate;
use domain::ids::SourceId;
use domain::page::PageRequest;
use domain::sources::calendar::Calendar;
use domain::sources::mapping::Mapping;
use domain::sources::{DayState, NewSource, Trial};
use domain::{Code, Role};

use crate::facts::partner;
use crate::support::*;

fn mapping(amount: &str) -> Mapping {
    let mapping = r#"{ "format": "csv", "emit": [{ "kind": "STAKE", "externalId": "Id", "amount": "AMOUNT",
                      "currency": "'EUR'", "occurredAt": "At" }] }"#;
    Mapping::parse(&mapping.replace("AMOUNT", amount)).expect("a mapping")
}

fn new(partner: domain::ids::PartnerId, amount: &str) -> NewSource {
    NewSource { partner, name: "crash".into(), mapping: mapping(amount), calendar: None }
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

#[tokio::test]
async fn a_source_is_made_once_for_a_partner_of_the_tenant() {
    let app = TestApp::new().await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    let (own, foreign) = (partner(&acme.admin, "P").await, partner(&bolt.admin, "P").await);
    assert!(is_not_found(acme.admin.create_source(new(foreign, "number(Bet)")).await));
    let source = acme.admin.create_source(new(own, "number(Bet)")).await.unwrap();
    assert!(has_code(acme.admin.create_source(new(own, "number(Bet)")).await, Code::AlreadyExists));
    let wrong = NewSource { name: "x".into(), ..new(own, "rand(1)") };
    assert_eq!(problems(acme.admin.create_source(wrong).await), ["BAD_EXPRESSION mapping.emit.0.amount"]);
    bolt.admin.create_source(new(foreign, "number(Bet)")).await.expect("a name is the tenant's own");

    assert!(bolt.admin.source(source.id).await.unwrap().is_none());
    assert!(is_not_found(bolt.admin.update_mapping(source.id, &mapping("Bet")).await));
    let user = acme.member(&app, "u@p.test", Role::ReadOnly, Some(own)).await;
    assert_eq!(user.sources(PageRequest::default()).await.unwrap().items, std::slice::from_ref(&source));
    assert_eq!(user.source_mapping(source.id, 1).await.unwrap().unwrap().mapping, mapping("number(Bet)"));
    assert!(is_denied(user.update_mapping(source.id, &mapping("Bet")).await));
    assert!(is_denied(user.sign_off_days(source.id, day("2024-02-01"), day("2024-02-02"), "x").await));
    assert!(is_denied(user.set_calendar(source.id, None).await));
}

#[tokio::test]
async fn a_mapping_that_changes_is_another_version() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let own = partner(&acme.admin, "P").await;
    let source = acme.admin.create_source(new(own, "number(Bet)")).await.unwrap().id;
    assert_eq!(
        acme.admin.update_mapping(source, &mapping("number(Bet)")).await.unwrap().mapping_version,
        1,
        "the same"
    );
    assert_eq!(acme.admin.update_mapping(source, &mapping("Bet")).await.unwrap().mapping_version, 2);
    assert_eq!(acme.admin.source_by_name("crash").await.unwrap().unwrap().mapping_version, 2);
    assert_eq!(acme.admin.source_mapping(source, 1).await.unwrap().unwrap().mapping, mapping("number(Bet)"));
    assert!(acme.admin.source_mapping(source, 3).await.unwrap().is_none());
    // A dry run shows what would become of a file, and records nothing of it.
    let file = b"Id,Bet,At\n1,2.5,2024-01-10T00:00:00Z\n2,2.5,then\n".to_vec();
    let trial = acme.admin.dry_run(Trial::Source(source), file, true).await.unwrap();
    assert_eq!((trial.records.len(), trial.problem), (2, None));
    assert_eq!(app.number("SELECT count(*) FROM transactions").await, 0);
    assert_eq!(app.number("SELECT count(*) FROM quarantined_records").await, 0);
}

#[tokio::test]
async fn days_are_signed_off_in_ranges_that_make_sense() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let calendar: Calendar = serde_json::from_str(r#"{"timeZone":"Asia/Seoul","from":"2024-02-01"}"#).unwrap();
    let own = partner(&acme.admin, "P").await;
    let source = acme.admin.create_source(new(own, "number(Bet)")).await.unwrap().id;
    let sign =
        async |from: &str, until: &str| acme.admin.sign_off_days(source, day(from), day(until), "none came").await;
    assert!(has_code(sign("2024-02-01", "2024-02-01").await, Code::WrongState), "nobody promised any");
    acme.admin.set_calendar(source, Some(calendar.clone())).await.unwrap();
    assert!(has_code(sign("2024-02-02", "2024-02-01").await, Code::BadInput));
    assert!(has_code(sign("2022-02-01", "2024-02-01").await, Code::BadInput), "too many");
    assert!(is_not_found(acme.admin.sign_off_days(SourceId::NONE, day("2024-02-01"), day("2024-02-02"), "n").await));
    assert!(has_code(acme.admin.source_days(source, NaiveDate::MAX, NaiveDate::MAX).await, Code::BadInput));
    let days = sign("2024-01-31", "2024-02-02").await.unwrap();
    let states: Vec<DayState> = days.iter().map(|day| day.state).collect();
    assert_eq!(states, [DayState::NotDue, DayState::SignedOff, DayState::SignedOff]);
    let days = acme.admin.source_days(source, day("2024-02-02"), day("2024-02-03")).await.unwrap();
    assert_eq!(days[1].state, DayState::Missing);
    let until = Calendar { until: Some(day("2024-02-02")), ..calendar };
    acme.admin.set_calendar(source, Some(until)).await.expect("the same zone");
    let days = acme.admin.source_days(source, day("2024-02-03"), day("2024-02-03")).await.unwrap();
    assert_eq!(days[0].state, DayState::NotDue);
}
