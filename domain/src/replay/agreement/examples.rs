//! The worked examples of the documents, to the unit: as facts that come in live, by replay, and by the reference.

use serde_json::{Value, json};

use super::calendar;
use super::case::{Case, Opening};
use super::exact::shared;
use super::paths::{Books, priced, reference, replayed, said_of_parts, shared_out, sorted, sums};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::fixtures::active;
use crate::ids::{PartnerId, SourceId};
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
    let cycle = versions[0].terms.cycle.clone();
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

/// A settlement's parts, in major units, on which live, replay and the reference agree.
fn parts(terms: ActiveVersion, facts: &[Told<'_>]) -> Vec<String> {
    let case = case(vec![terms], 1, facts);
    let (period, total) = (case.periods[0], settled(&case)[0].total.0);
    let parts = shared_out(&case, &case.versions, period, total);
    assert_eq!(parts, said_of_parts(&case, &case.versions, period, total));
    parts.into_iter().map(|(_, part)| usd().format_minor(Minor(part))).collect()
}

fn parties(kind: &str, percents: &[&str]) -> Value {
    let party = |(number, percent): (u128, &&str)| json!({ "partner": PartnerId(uuid::Uuid::from_u128(number)), "percent": percent });
    json!({ kind: { "parties": (1..).zip(percents).map(party).collect::<Vec<_>>() } })
}

#[test]
fn a_line_of_agents_has_differential_rates() {
    let terms = json!({
        "base": { "turnover": { "bonusTreatment": "INCLUDE" } }, "rateTable": percent("1.2"),
        "split": parties("differential", &["0.8", "1.2"]),
    });
    assert_eq!(parts(version(1, terms), &[(Kind::Stake, DAY, "1000000", "a")]), ["8000.00", "4000.00"]);
}

#[test]
fn parallel_parties_have_one_pot() {
    for (percents, expected) in
        [(&["33", "45", "22"][..], &["0.03", "0.05", "0.02"][..]), (&["60.2", "39.8"], &["0.06", "0.04"])]
    {
        let terms = json!({ "rateTable": percent("100"), "split": parties("parallel", percents) });
        assert_eq!(parts(version(1, terms.clone()), &[(Kind::Stake, DAY, "0.10", "a")]), expected);
        let mut owed = terms;
        owed["negative"] = json!({ "mode": "PAYABLE_BY_PARTNER" });
        let mirrored: Vec<String> = expected.iter().map(|part| format!("-{part}")).collect();
        assert_eq!(parts(version(1, owed), &[(Kind::Win, DAY, "0.10", "a")]), mirrored);
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

/// Facts of players: one letter, or none for the others.
fn of_players(mut case: Case, players: &[Option<u8>]) -> Case {
    for (fact, player) in case.facts.iter_mut().zip(players) {
        fact.player = player.map(|player| [player; 16]);
    }
    case
}

const A: Option<u8> = Some(b'A');
const B: Option<u8> = Some(b'B');

/// What stands against players.
fn stands(computed: &Computed) -> Vec<String> {
    computed.carry_out.players.values().map(|base| usd().format_minor(rounded(*base))).collect()
}

fn rounded(base: Units) -> Minor {
    Minor(
        crate::money::Rounding::HalfEven
            .divide(base.0.into(), usd().units_per_minor().into())
            .try_into()
            .expect("small"),
    )
}

#[test]
fn high_winners_are_taken_out_of_a_negative_total_and_set_off_against_themselves() {
    let terms = || version(1, json!({ "ringFence": { "threshold": "5000" }, "rateTable": percent("30") }));
    let facts = [
        (Kind::Win, DAY, "12000", "a"),
        (Kind::Win, DAY, "6000", "a"),
        (Kind::Stake, DAY, "10000", "a"),
        (Kind::Stake, "2021-02-05", "3000", "a"),
        (Kind::Stake, "2021-03-05", "5000", "a"),
        (Kind::Stake, "2021-03-06", "100", "a"),
    ];
    let case = of_players(case(vec![terms()], 3, &facts), &[A, B, None, A, A, None]);
    let months = settled(&case);
    let january = ["BASE - all -8000.00 0.00", "RING_FENCED - - 8000.00 0.00", "REVENUE_SHARE - all 0.00 0.00"];
    assert_eq!(
        (shown(&months[0]), stands(&months[0])),
        (january.map(str::to_owned).to_vec(), vec!["-5333.33".into(), "-2666.67".into()])
    );
    let february = ["BASE - all 3000.00 0.00", "RING_FENCE_OFFSET - - -3000.00 0.00", "REVENUE_SHARE - all 0.00 0.00"];
    assert_eq!(
        (shown(&months[1]), stands(&months[1])),
        (february.map(str::to_owned).to_vec(), vec!["-2333.33".into(), "-2666.67".into()])
    );
    assert_eq!(shown(&months[2])[2], "REVENUE_SHARE - all 2766.666667 830.00");
    assert_eq!(stands(&months[2]), ["-2666.67"]);
    // Without the clause the loss of January takes it all.
    let plain = of_players(self::case(vec![version(1, json!({ "rateTable": percent("30") }))], 3, &facts), &[]);
    assert_eq!(totals(&plain), ["0.00", "0.00", "30.00"]);
}

/// A closed period in which players were taken out is calculated anew: what stands against them changes, and with it what
/// later ones set off.
#[test]
fn a_late_fact_of_a_fenced_period() {
    let terms = version(1, json!({ "ringFence": { "threshold": "5000" }, "rateTable": percent("30") }));
    let facts = [
        (Kind::Win, DAY, "12000", "a"),
        (Kind::Win, DAY, "6000", "a"),
        (Kind::Stake, DAY, "10000", "a"),
        (Kind::Stake, "2021-02-05", "3000", "a"),
        (Kind::Stake, DAY, "4000", "a"),
    ];
    let case = of_players(case(vec![terms], 3, &facts), &[A, B, None, A, A]);
    // A won 8,000 and B 6,000: 4,000 are shared 8:6, and 714.285714 of what A lost in February are left.
    let corrections = ["CORRECTION - all 714.285714 214.29"];
    assert_eq!(late(&case, 4, 2), corrections);
    let february =
        ["BASE - all 3000.00 0.00", "RING_FENCE_OFFSET - - -2285.714286 0.00", "REVENUE_SHARE - all 714.285714 214.29"];
    assert_eq!(late(&case, 4, 1), february);
}
