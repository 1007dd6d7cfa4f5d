use serde_json::{Value as Json, json};

use super::*;
use crate::calendars::Holiday;
use crate::contracts::contract::Weekday;
use crate::contracts::fixtures::active;

fn asset() -> Asset {
    Asset::new("BIT", 2)
}

/// Codes, paths and English words of the warnings about contract 1 beside others, each of its own partner.
fn warned(own: Json, others: &[ActiveVersion], counted: Option<Counted>) -> Vec<(WarningCode, String, String)> {
    let contracts = (1..9).map(|id| (ContractId(uuid::Uuid::from_u128(id)), format!("C{id}"))).collect();
    let partners = (1..9).map(|id| (PartnerId(uuid::Uuid::from_u128(id)), format!("P{id}"))).collect();
    let calendars = [calendar("KR", &["2021-02-11"]), calendar("US", &[])];
    let now = Timestamp::parse_rfc3339("2020-06-01T00:00:00Z").expect("a time");
    let (contracts, partners) = (&contracts, &partners);
    let around = Around { others, contracts, partners, counted, calendars: &calendars, now };
    let found = check(&active(1, 1, own), &asset(), &around);
    for warning in &found {
        let korean = warning.message(Language::Ko);
        assert!(!korean.contains(['{', '}']) && !korean.starts_with("warning."), "{korean}");
    }
    found.into_iter().map(|warning| (warning.code, warning.path.clone(), warning.message(Language::En))).collect()
}

fn calendar(code: &str, holidays: &[&str]) -> BusinessCalendar {
    let holiday = |date: &&str| Holiday { date: date.parse().expect("a date"), name: "x".to_owned() };
    BusinessCalendar {
        code: code.to_owned(),
        name: code.to_owned(),
        weekend: vec![Weekday::Sunday],
        holidays: holidays.iter().map(holiday).collect(),
        revision: 1,
        changed_at: Timestamp(0),
    }
}

#[test]
fn a_calendar_without_holidays_for_a_due_date_is_told() {
    let payment = |days: u16, calendars: Json| {
        let terms = json!({ "payment": { "days": days, "roll": "FOLLOWING", "calendars": calendars } });
        warned(terms, &[], None)
    };
    let expected = "What is owed is due on 5 February 2021, and calendar ‘US’ has no holidays for that year.";
    let path = "payment.calendars.1".to_owned();
    let warning = (WarningCode::CalendarWithoutHolidays, path, expected.to_owned());
    assert_eq!(payment(5, json!(["KR", "US"])), [warning]);
    assert_eq!(payment(5, json!(["KR"])), []);
    // A year and a day later, and only there.
    assert_eq!(payment(366, json!(["KR"])).len(), 1);
}

fn codes(own: Json, others: &[ActiveVersion]) -> Vec<WarningCode> {
    warned(own, others, None).into_iter().map(|(code, _, _)| code).collect()
}

fn flat(percent: &str) -> Json {
    json!({ "rows": [{ "code": "all", "percent": percent }] })
}

fn of_partner(partner: u128, version: ActiveVersion) -> ActiveVersion {
    ActiveVersion { partner: PartnerId(uuid::Uuid::from_u128(partner)), ..version }
}

#[test]
fn plain_terms_alone_are_no_cause_for_worry() {
    assert_eq!(warned(json!({}), &[], None), []);
}

#[test]
fn volume_steps_that_pay_less_for_more_are_told_with_their_amounts() {
    let tiers = |mode: &str, percents: [&str; 3]| {
        json!({ "rateTable": { "rows": [{ "code": "a", "tiers": { "mode": mode, "steps": [
            { "upTo": "10000", "percent": percents[0] }, { "upTo": "50000", "percent": percents[1] }, { "percent": percents[2] },
        ] } }] } })
    };
    let found = warned(tiers("VOLUME", ["12", "12", "10"]), &[], None);
    let expected = "‘a’ pays less for more: 50,000.00 BIT comes to 6,000.00 BIT, and 50,000.01 BIT to 5,000.00 BIT.";
    assert_eq!(found, [(WarningCode::TierCliff, "rateTable.rows.0.tiers.steps.1".to_owned(), expected.to_owned())]);
    assert_eq!(codes(tiers("VOLUME", ["15", "12", "10"]), &[]).len(), 2);
    assert_eq!(codes(tiers("VOLUME", ["10", "12", "15"]), &[]), [], "rising steps have no cliff");
    assert_eq!(codes(tiers("MARGINAL", ["15", "12", "10"]), &[]), []);
}

#[test]
fn rates_of_contracts_that_count_the_same_add_up() {
    let rival = |id, percent, scope: Json| {
        active(id, 1, json!({ "role": "AGENT", "rateTable": flat(percent), "scope": scope }))
    };
    let own = |percent| json!({ "rateTable": flat(percent), "scope": { "products": ["crash"] } });
    let found = warned(
        own("60"),
        &[rival(2, "40", json!({})), rival(3, "0.5", json!({ "products": ["crash", "dice"] }))],
        None,
    );
    let expected = "Of gaming revenue, up to 100.5 % goes to partners altogether: 60 % under ‘C1’, 40 % under ‘C2’, 0.5 % under ‘C3’.";
    assert_eq!(found, [(WarningCode::RatesAboveWhole, "rateTable".to_owned(), expected.to_owned())]);
    assert_eq!(codes(own("60"), &[rival(2, "40", json!({}))]), [], "the whole is not more than the whole");
    assert_eq!(codes(own("60"), &[rival(2, "90", json!({ "products": ["dice"] }))]), [], "they never meet");
    let apart = [rival(2, "30", json!({ "regions": ["KR"] })), rival(3, "30", json!({ "regions": ["JP"] }))];
    assert_eq!(codes(own("60"), &apart), [], "nor do the other two");
    let turnover = active(
        2,
        1,
        json!({ "role": "AGENT", "rateTable": flat("90"), "base": { "turnover": { "bonusTreatment": "INCLUDE" } } }),
    );
    assert_eq!(codes(own("60"), &[turnover]), [], "a percentage of something else");
}

#[test]
fn rows_that_collect_add_up_where_they_meet() {
    let rows = |cells: [&str; 3]| {
        let row =
            |(place, cell): (usize, &&str)| json!({ "code": format!("r{place}"), "cells": [cell], "percent": "50" });
        let rows: Vec<Json> = cells.iter().enumerate().map(row).collect();
        json!({ "negative": { "mode": "CARRY", "level": "PER_CLASS" },
            "rateTable": { "match": "COLLECT", "columns": [{ "reads": "localHour" }], "rows": rows } })
    };
    assert_eq!(codes(rows(["0..6", "4..9", "5..7"]), &[]), [WarningCode::RatesAboveWhole]);
    assert_eq!(codes(rows(["0..6", "4..9", "9..12"]), &[]), []);
}

#[test]
fn rows_that_nothing_reached_are_told_once_something_was_counted() {
    let rows = json!({ "rateTable": { "rows": [
        { "code": "night", "when": "localHour < 6", "percent": "6" }, { "code": "rest", "percent": "8" } ] } });
    let counted = |night: i64, rest: i64| Counted {
        since: Timestamp::parse_rfc3339("2021-12-01T00:00:00Z").expect("a time"),
        by_class: [("night".to_owned(), night), ("rest".to_owned(), rest)].into(),
    };
    let found = warned(rows.clone(), &[], Some(counted(0, 1_234)));
    let expected = "Of the 1,234 transactions since 1 December 2021, none was in row ‘night’.";
    assert_eq!(found, [(WarningCode::RowUnreached, "rateTable.rows.0".to_owned(), expected.to_owned())]);
    assert_eq!(warned(rows.clone(), &[], Some(counted(1, 1))), []);
    assert_eq!(warned(rows, &[], Some(counted(0, 0))), [], "nothing at all says nothing");
}

#[test]
fn the_same_is_paid_twice_in_two_roles_or_to_two_partners_in_one() {
    let other = |role: &str, partner| of_partner(partner, active(2, 1, json!({ "role": role })));
    let found =
        |other: ActiveVersion| warned(json!({}), &[other], None).into_iter().map(|found| found.2).collect::<Vec<_>>();
    assert_eq!(
        found(other("AGENT", 1)),
        ["Contract ‘C2’ of the same partner, in another role, counts some of the same transactions; both are paid."]
    );
    assert_eq!(
        found(other("PROVIDER", 2)),
        ["Contract ‘C2’ of ‘P2’, in the same role, counts some of the same transactions; both are paid."]
    );
    assert_eq!(found(other("AGENT", 2)), [] as [&str; 0], "a chain of partners is what roles are for");
    let apart = of_partner(2, active(2, 1, json!({ "currency": "USD" })));
    assert_eq!(found(apart), [] as [&str; 0], "another currency is another transaction");
}

#[test]
fn a_pool_with_one_contract_is_alone() {
    let pooled = |pool: &str| json!({ "advance": { "pool": pool }, "scope": { "products": ["a"] } });
    let other = |pool: &str, partner| {
        of_partner(partner, active(2, 1, json!({ "advance": { "pool": pool }, "scope": { "products": ["b"] } })))
    };
    assert_eq!(codes(pooled("studio"), &[]), [WarningCode::PoolAlone]);
    assert_eq!(codes(pooled("studio"), &[other("studios", 1)]), [WarningCode::PoolAlone]);
    assert_eq!(codes(pooled("studio"), &[other("studio", 2)]), [WarningCode::PoolAlone], "of another partner");
    assert_eq!(codes(pooled("studio"), &[other("studio", 1)]), []);
    assert_eq!(codes(json!({ "advance": {} }), &[]), []);
}

#[test]
fn a_tax_on_turnover_under_revenue_is_told() {
    let tax = |of: &str, cap: Json| {
        json!({ "base": { "ngr": { "bonusTreatment": "INCLUDE", "deductions": [
        { "code": "tax", "take": { "percentOf": { "percent": "1", "of": of } }, "cap": cap } ] } } })
    };
    let found = warned(tax("TURNOVER", Json::Null), &[], None);
    assert_eq!(
        (found.len(), found[0].0, found[0].1.as_str()),
        (1, WarningCode::TaxBaseDiffers, "base.ngr.deductions.0.take.percentOf.of")
    );
    assert_eq!(codes(tax("GGR", Json::Null), &[]), []);
    assert_eq!(codes(tax("GGR", json!({ "percent": "5", "of": "TURNOVER" })), &[]), [WarningCode::TaxBaseDiffers]);
}

#[test]
fn a_split_without_the_contracts_partner_is_told() {
    let split = |partners: [u128; 2]| {
        let party = |partner| json!({ "partner": PartnerId(uuid::Uuid::from_u128(partner)), "percent": "50" });
        json!({ "split": { "parallel": { "parties": partners.map(party) } } })
    };
    let expected = "The partner of the contract is none of the parties: it keeps the books, and nothing is paid to it.";
    let found = warned(split([2, 3]), &[], None);
    assert_eq!(found, [(WarningCode::PartnerNotParty, "split.parallel.parties".to_owned(), expected.to_owned())]);
    assert_eq!(codes(split([2, 1]), &[]), []);
}

#[test]
fn of_other_contracts_the_version_in_force_counts() {
    let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time");
    let later = |version| active(2, version, json!({ "validFrom": "2021-06-01" }));
    let mut replaced = later(3);
    replaced.replaced_at = Some(at("2021-07-01T00:00:00Z"));
    let all = [active(1, 1, json!({})), active(2, 1, json!({})), replaced, later(4)];
    let of = |time: &str| -> Vec<i64> {
        others_at(ContractId(uuid::Uuid::from_u128(1)), at(time), &all).iter().map(|other| other.version).collect()
    };
    assert_eq!(
        (of("2020-01-01T00:00:00Z"), of("2021-02-01T00:00:00Z"), of("2021-08-01T00:00:00Z")),
        (vec![], vec![1], vec![4])
    );
}
