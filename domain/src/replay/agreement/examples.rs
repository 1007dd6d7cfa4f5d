//! The worked examples of the documents, to the unit: as facts that come in live, by replay, and by the reference.

use serde_json::{Value, json};

use super::calendar;
use super::case::{Case, Opening};
use super::exact::shared;
use super::paths::{Books, priced, reference, replayed, sorted, sums};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::fixtures::active;
use crate::ids::SourceId;
use crate::money::{Asset, Minor, Units, split};
use crate::settlements::settlement::{Computed, Funds, Line};
use crate::time::Timestamp;
use crate::transactions::transaction::{Fact, Kind};

fn usd() -> Asset {
    Asset::new("USD", 2)
}

/// An amount in major units, on a day, of a product.
fn fact(number: usize, (kind, day, amount, product): (Kind, &str, &str, &str)) -> Fact {
    let occurred_at = Timestamp::parse_rfc3339(&format!("{day}T12:00:00Z")).expect("a time");
    Fact {
        source: SourceId::NONE,
        external_id: format!("t{number}"),
        kind,
        affects: None,
        amount: usd().parse_units(amount).expect("an amount"),
        currency: "USD".to_owned(),
        occurred_at,
        settled_at: None,
        reported_at: None,
        product: Some(product.to_owned()),
        player: None,
        round: None,
        round_closed: false,
        channel: None,
        region: None,
        reverses: None,
        note: None,
        test: false,
        attributes: Default::default(),
    }
}

type Told<'t> = (Kind, &'t str, &'t str, &'t str);

fn version(number: i64, change: Value) -> ActiveVersion {
    let mut terms = json!({ "currency": "USD", "base": { "ggr": { "bonusTreatment": "INCLUDE" } } });
    for (name, value) in change.as_object().expect("changes") {
        terms[name] = value.clone();
    }
    active(1, number, terms)
}

/// Months from January 2021 on, under one or more versions.
fn case(versions: Vec<ActiveVersion>, months: usize, told: &[Told<'_>]) -> Case {
    let cycle = versions[0].terms.cycle;
    let mut periods: Vec<Period> = vec![calendar::period_of(&cycle, versions[0].valid_from)];
    while periods.len() < months {
        periods.push(calendar::period_of(&cycle, periods[periods.len() - 1].end));
    }
    Case {
        asset: usd(),
        amendment: versions[0].clone(),
        versions,
        replaces: false,
        products: Vec::new(),
        players: Vec::new(),
        facts: told.iter().enumerate().map(|(number, told)| fact(number, *told)).collect(),
        opening: Opening::default(),
        funds: Funds::default(),
        periods,
    }
}

/// All settlements, on which live, replay and the reference agree.
fn settled(case: &Case) -> Vec<Computed> {
    let all = priced(&case.facts);
    let mut books = Books::new(&case.periods);
    books.count(&sums(case, &case.versions, std::slice::from_ref(&all)), None);
    let live = books.chain(case, &case.versions);
    let replayed = replayed(case, &case.versions, &all, 2);
    let said = reference(case, &case.versions, &case.facts, &[]);
    assert_eq!(live.len(), case.periods.len());
    for ((live, replayed), said) in live.iter().zip(&replayed).zip(&said.lines) {
        assert_eq!(live.lines, replayed.lines, "live and replay");
        assert_eq!(sorted(&live.lines), sorted(said), "live and the reference");
    }
    live
}

/// "CODE clause class base amount", in major units.
fn shown(computed: &Computed) -> Vec<String> {
    let line = |line: &Line| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let base = line.base.map_or("-".to_owned(), |base| usd().format_units(base));
        let amount = usd().format_minor(line.amount);
        format!("{} {} {} {base} {amount}", line.code.as_str(), name(&line.clause), name(&line.rate_class))
    };
    computed.lines.iter().map(line).collect()
}

fn totals(case: &Case) -> Vec<String> {
    settled(case).iter().map(|computed| usd().format_minor(computed.total)).collect()
}

fn percent(percent: &str) -> Value {
    json!({ "rows": [{ "code": "all", "percent": percent }] })
}

const DAY: &str = "2021-01-05";

fn ngr(deductions: Value) -> Value {
    json!({ "ngr": { "bonusTreatment": "INCLUDE", "jackpots": "NONE", "deductions": deductions } })
}

#[test]
fn ngr_with_ordered_and_capped_deductions_and_a_part_of_a_jackpot() {
    let deductions = json!([
        { "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES"] } }, "cap": { "percent": "15", "of": "GGR" } },
        { "code": "payment", "take": { "amount": "2300" } },
        { "code": "tax", "take": { "percentOf": { "percent": "15", "of": "GGR" } } },
        { "code": "jackpot", "take": { "costs": { "of": ["JACKPOT_WINS"], "percent": "2" } } },
    ]);
    let terms = version(1, json!({ "base": ngr(deductions), "rateTable": percent("30") }));
    let facts = [
        (Kind::Stake, DAY, "900000", "a"),
        (Kind::BonusStake, DAY, "6000", "a"),
        (Kind::Win, DAY, "868000", "a"),
        (Kind::JackpotWin, DAY, "500000", "a"),
    ];
    let expected = [
        "GROSS - all 38000.00 0.00",
        "DEDUCTION bonus all -5700.00 0.00",
        "DEDUCTION payment all -2300.00 0.00",
        "DEDUCTION tax all -5700.00 0.00",
        "DEDUCTION jackpot all -10000.00 0.00",
        "REVENUE_SHARE - all 14300.00 4290.00",
    ];
    assert_eq!(shown(&settled(&case(vec![terms], 1, &facts))[0]), expected);
}

#[test]
fn a_loss_makes_no_income_of_a_cost() {
    let deduction =
        json!([{ "code": "bonus", "take": { "costs": { "of": ["FEES"] } }, "cap": { "percent": "15", "of": "GGR" } }]);
    let terms = version(1, json!({ "base": ngr(deduction) }));
    let facts = [(Kind::Win, DAY, "10000", "a"), (Kind::Fee, DAY, "500", "a")];
    let expected = ["GROSS - all -10000.00 0.00", "BASE - all -10000.00 0.00", "REVENUE_SHARE - all 0.00 0.00"];
    assert_eq!(shown(&settled(&case(vec![terms], 1, &facts))[0]), expected);
}

#[test]
fn a_bonus_cost_goes_to_products_by_their_bonus_turnover() {
    let rows = json!({ "columns": [{ "reads": "product" }], "rows": [
        { "code": "a", "cells": ["a"], "percent": "10" }, { "code": "b", "percent": "10" },
    ] });
    let deduction = json!([{ "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES"], "percent": "10" } } }]);
    let terms = version(1, json!({ "base": ngr(deduction), "rateTable": rows }));
    let facts = [(Kind::BonusStake, DAY, "40000", "a"), (Kind::BonusStake, DAY, "20000", "b")];
    let lines = shown(&settled(&case(vec![terms], 1, &facts))[0]);
    assert_eq!(lines[2..4], ["DEDUCTION bonus a -4000.00 0.00", "DEDUCTION bonus b -2000.00 0.00"]);
}

#[test]
fn tiers() {
    let steps =
        json!([{ "upTo": "10000", "percent": "15" }, { "upTo": "50000", "percent": "12" }, { "percent": "10" }]);
    let rows = |mode: &str, period: &str| {
        let tiers = json!({ "mode": mode, "period": period, "steps": steps });
        json!({ "rateTable": { "rows": [{ "code": "all", "tiers": tiers }] } })
    };
    let pays = |mode: &str, base: &str| {
        let terms = version(1, rows(mode, "SETTLEMENT"));
        totals(&case(vec![terms], 1, &[(Kind::Stake, DAY, base, "a")])).remove(0)
    };
    assert_eq!((pays("MARGINAL", "65000"), pays("VOLUME", "65000")), ("7800.00".into(), "6500.00".into()));
    assert_eq!((pays("VOLUME", "50000"), pays("VOLUME", "50001")), ("6000.00".into(), "5000.10".into()));
    let year = version(1, rows("MARGINAL", "YEAR"));
    let halves = [(Kind::Stake, DAY, "32500", "a"), (Kind::Stake, "2021-02-05", "32500", "a")];
    assert_eq!(totals(&case(vec![year], 2, &halves)), ["4200.00", "3600.00"]);
}

#[test]
fn negative_results() {
    for (mode, expected) in [
        ("CARRY", ["0.00", "1500.00"]),
        ("RESET", ["0.00", "4500.00"]),
        ("PAYABLE_BY_PARTNER", ["-3000.00", "4500.00"]),
    ] {
        let terms = version(1, json!({ "negative": { "mode": mode }, "rateTable": percent("30") }));
        let facts = [(Kind::Win, DAY, "10000", "a"), (Kind::Stake, "2021-02-05", "15000", "a")];
        assert_eq!(totals(&case(vec![terms], 2, &facts)), expected, "{mode}");
    }
}

#[test]
fn the_guarantee_is_trued_up_and_goes_by_days() {
    let terms =
        |from: &str| version(1, json!({ "validFrom": from, "rateTable": percent("10"), "minimumGuarantee": "5000" }));
    let facts = [(Kind::Stake, DAY, "38000", "a")];
    let whole = settled(&case(vec![terms("2021-01-01")], 1, &facts));
    assert_eq!(shown(&whole[0])[1], "GUARANTEE minimumGuarantee - - 1200.00");
    let part = settled(&case(vec![terms("2021-02-22")], 1, &[]));
    assert_eq!(shown(&part[0]), ["GUARANTEE minimumGuarantee - - 1250.00"]);
}

#[test]
fn an_advance_is_recouped() {
    let terms = version(1, json!({ "rateTable": percent("10"), "advance": {} }));
    let mut case = case(vec![terms], 1, &[(Kind::Stake, DAY, "38000", "a")]);
    case.funds.advanced = Minor(2_000_000);
    let january = settled(&case).remove(0);
    assert_eq!(shown(&january)[1], "RECOUPED - - - -3800.00");
    assert_eq!((january.total, case.funds.advanced.0 - january.carry_out.recouped.0), (Minor::ZERO, 1_620_000));
}

#[test]
fn play_draws_prepaid_credit() {
    let terms = version(1, json!({ "rateTable": percent("12"), "prepaid": {} }));
    let mut case = case(vec![terms], 1, &[(Kind::Stake, DAY, "30000", "a")]);
    case.funds.credit = Minor(10_000_000);
    let january = settled(&case).remove(0);
    assert_eq!(shown(&january)[1], "DRAWN - - 30000.00 -3600.00");
    let left = case.funds.credit.0 * usd().units_per_minor() - january.carry_out.drawn.0;
    assert_eq!((january.total, usd().format_units(Units(left))), (Minor::ZERO, "70000.00".to_owned()));
}

#[test]
fn what_is_below_the_minimum_payout_is_carried() {
    let terms = version(1, json!({ "rateTable": percent("100"), "minimumPayout": "100" }));
    let facts = [(Kind::Stake, DAY, "80", "a"), (Kind::Stake, "2021-02-05", "50", "a")];
    assert_eq!(totals(&case(vec![terms], 2, &facts)), ["0.00", "130.00"]);
}

#[test]
fn bonus_treatments() {
    let facts = [
        (Kind::Stake, DAY, "900000", "a"),
        (Kind::BonusStake, DAY, "100000", "a"),
        (Kind::Win, DAY, "860000", "a"),
        (Kind::BonusWin, DAY, "102000", "a"),
    ];
    for (treatment, base) in [("INCLUDE", "38000.00"), ("STAKE_ONLY", "140000.00"), ("EXCLUDE", "40000.00")] {
        let terms =
            version(1, json!({ "base": { "ggr": { "bonusTreatment": treatment } }, "rateTable": percent("100") }));
        assert_eq!(totals(&case(vec![terms], 1, &facts)), [base], "{treatment}");
    }
}

#[test]
fn a_jackpot_counts_when_it_is_fed_or_when_it_is_paid() {
    let facts = [
        (Kind::Stake, DAY, "20000", "a"),
        (Kind::JackpotContribution, DAY, "200", "a"),
        (Kind::JackpotWin, DAY, "10000", "a"),
    ];
    for (basis, base) in [("ACCRUAL", "19800.00"), ("PAYOUT", "10000.00"), ("NONE", "20000.00")] {
        let ggr = json!({ "ggr": { "bonusTreatment": "INCLUDE", "jackpots": basis } });
        let terms = version(1, json!({ "base": ggr, "rateTable": percent("100") }));
        assert_eq!(totals(&case(vec![terms], 1, &facts)), [base], "{basis}");
    }
}

#[test]
fn splits_neither_lose_nor_make_a_unit() {
    for (weights, parts) in [(&[33, 45, 22][..], &[3, 5, 2][..]), (&[602, 398], &[6, 4])] {
        let positive: Vec<u64> = weights.iter().map(|weight: &i64| weight.unsigned_abs()).collect();
        assert_eq!(split(10, &positive).as_deref(), Some(parts));
        assert_eq!(shared(10, weights), parts);
        // A loss of ten accounting units is split so between the classes that it shrinks.
        let names = ["a", "b", "c"];
        let mut rows: Vec<Value> =
            names.iter().map(|name| json!({ "code": name, "cells": [name], "percent": "10" })).collect();
        rows.push(json!({ "code": "rest", "percent": "10" }));
        let table = json!({ "columns": [{ "reads": "product" }], "rows": rows });
        let amounts: Vec<String> = weights.iter().map(|weight| usd().format_units(Units(*weight))).collect();
        let mut facts: Vec<Told<'_>> =
            names.iter().zip(&amounts).map(|(name, amount)| (Kind::Stake, DAY, amount.as_str(), *name)).collect();
        facts.push((Kind::Win, DAY, "0.000010", "z"));
        let settled = settled(&case(vec![version(1, json!({ "rateTable": table }))], 1, &facts));
        let shares = settled[0].lines.iter().filter(|line| line.rate.is_some());
        let left: Vec<i64> = shares.map(|line| line.base.expect("a base").0).collect();
        let expected: Vec<i64> = weights.iter().zip(parts).map(|(weight, part)| weight - part).collect();
        assert_eq!(left, [&expected[..], &[0]].concat());
    }
}

#[test]
fn units_have_a_price() {
    let steps = json!([{ "upTo": "1000", "perUnit": "0.05" }, { "perUnit": "0.04" }]);
    let rows = json!({ "rows": [{ "code": "all", "tiers": { "mode": "MARGINAL", "steps": steps } }] });
    let terms = version(1, json!({ "base": { "units": { "promotional": "50" } }, "rateTable": rows }));
    let mut facts = vec![(Kind::Stake, DAY, "1", "a"); 1_100];
    facts.extend(vec![(Kind::BonusStake, DAY, "1", "a"); 200]);
    assert_eq!(totals(&case(vec![terms], 1, &facts)), ["58.00"]);
}

#[test]
fn a_version_that_takes_over_inside_a_period() {
    let tiered = |number: i64, from: &str, percents: [&str; 2], change: &str| {
        let steps = json!([{ "upTo": "10", "percent": percents[0] }, { "percent": percents[1] }]);
        let rows = json!({ "rows": [{ "code": "all", "tiers": { "mode": "MARGINAL", "steps": steps } }] });
        version(number, json!({ "validFrom": from, "rateTable": rows, "tiersOnChange": change }))
    };
    for (change, second) in [("CONTINUE", "3.80"), ("RESTART", "5.00")] {
        let versions =
            vec![tiered(1, "2021-01-01", ["20", "10"], "CONTINUE"), tiered(2, "2021-01-20", ["50", "30"], change)];
        let facts = [(Kind::Stake, DAY, "6", "a"), (Kind::Stake, "2021-01-25", "10", "a")];
        let lines = shown(&settled(&case(versions, 1, &facts))[0]);
        assert_eq!(lines, ["REVENUE_SHARE - all 6.00 1.20".into(), format!("REVENUE_SHARE - all 10.00 {second}")]);
    }
}

/// Closes some months, then more is recorded; the lines of the month that is open.
fn late(case: &Case, early: usize, closed: usize) -> Vec<String> {
    let mut books = Books::new(&case.periods);
    let count = |facts: &[Fact]| sums(case, &case.versions, &[priced(facts)]);
    books.count(&count(&case.facts[..early]), None);
    books.close(closed, case, &case.versions);
    books.count(&count(&case.facts), None);
    shown(&books.chain(case, &case.versions)[closed])
}

#[test]
fn late_facts_become_corrections() {
    let terms = || version(1, json!({}));
    let facts = [(Kind::Stake, DAY, "1000", "a"), (Kind::Win, DAY, "500", "a")];
    assert_eq!(late(&case(vec![terms()], 2, &facts), 1, 1), ["CORRECTION - all -500.00 -40.00"]);
    let facts =
        [(Kind::Win, DAY, "1000", "a"), (Kind::Stake, "2021-02-05", "3000", "a"), (Kind::Stake, DAY, "1500", "a")];
    let corrections = ["CORRECTION - all 500.00 40.00", "CORRECTION - all 1000.00 80.00"];
    assert_eq!(late(&case(vec![terms()], 3, &facts), 2, 2), corrections);
}
