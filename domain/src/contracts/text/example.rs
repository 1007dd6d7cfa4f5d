//! Live examples: what each clause makes of round sums, as the settlement would calculate it. No figure is written here
//! that a settlement would owe.

use super::Section;
use super::bench::{Bench, CLASS, accrual, amount_of};
use super::clauses::Words;
use super::fences;
use super::say::{Statement, Value, say};
use super::times;
use crate::contracts::AccrualKind;
use crate::contracts::contract::{Base, Charge, Every, RateRow, Terms, TierMode, TierStep, Tiers};
use crate::ids::SettlementId;
use crate::money::{Minor, Rounding, Units};
use crate::settlements::State;
use crate::settlements::chain::{Account, Beforehand, Frozen, chain};
use crate::settlements::settlement::{Accrual, Carry, Funds, Line, LineCode, base_of};

/// Rows with an example, and rows that the example of the whole has.
const MOST_ROWS: usize = 20;
const ROWS_OF_WHOLE: usize = 3;

/// Nothing where there is nothing to show, or where round sums are too large for these terms.
pub fn of(section: Section, bench: &Bench<'_>) -> Vec<Statement> {
    let terms = &bench.version.terms;
    let found = match section {
        Section::Validity => times::validity(bench),
        Section::Period => times::period(bench),
        Section::Base => base(bench),
        Section::Deductions => deductions(bench),
        Section::Negative => negative(&bench.with_row(0)),
        Section::RingFence => fences::ring_fence(bench),
        Section::Rates => {
            Some((0..terms.rate_table.rows.len().min(MOST_ROWS)).flat_map(|row| rates(bench, row)).collect())
        }
        Section::Fees => fees(bench),
        Section::Cap => cap(bench),
        Section::Guarantee => guarantee(bench),
        Section::Prepaid => prepaid(bench),
        Section::Advance => advance(bench),
        Section::Rounding => rounding(bench),
        Section::MinimumPayout => minimum_payout(bench),
        Section::Split => super::parties::example(bench),
        Section::Payment => times::payment(bench),
        Section::Changes => {
            let mut said = days(bench).unwrap_or_default();
            said.extend(late(&bench.with_row(0)).unwrap_or_default());
            Some(said)
        }
        Section::Whole => whole(bench),
        _ => None,
    };
    found.unwrap_or_default()
}

/// What was played, in tenths of the round sum.
const PLAYED: [(AccrualKind, &str, i64); 6] = [
    (AccrualKind::Stake, "kind.STAKE", 900),
    (AccrualKind::BonusStake, "kind.BONUS_STAKE", 100),
    (AccrualKind::Win, "kind.WIN", 860),
    (AccrualKind::BonusWin, "kind.BONUS_WIN", 102),
    (AccrualKind::JackpotContribution, "kind.JACKPOT_CONTRIBUTION", 9),
    (AccrualKind::JackpotWin, "kind.JACKPOT_WIN", 5),
];
const SOLD: [(AccrualKind, &str, i64); 2] =
    [(AccrualKind::Sale, "kind.SALE", 100), (AccrualKind::Refund, "kind.REFUND", 10)];
/// Stakes and bonus stakes, where units are counted.
const COUNTED: [(AccrualKind, &str, i64); 2] =
    [(AccrualKind::Stake, "kind.STAKE", 1_000), (AccrualKind::BonusStake, "kind.BONUS_STAKE", 100)];

/// What happens in an example under these terms: accruals, and each as it is told.
fn happened(bench: &Bench<'_>, class: &str) -> (Vec<Accrual>, Value) {
    let counts = bench.counts_units();
    let sums: &[_] = match &bench.version.terms.base {
        Base::Sales(_) => &SOLD,
        Base::Units(_) => &COUNTED,
        Base::Turnover(_) => &PLAYED[..2],
        Base::Ggr(_) | Base::Ngr(_) => &PLAYED,
    };
    let one = |(kind, key, tenths): &(AccrualKind, &str, i64)| {
        let (amount, units) = if counts { (Units::ZERO, *tenths) } else { (bench.tenths(*tenths), 1) };
        let shown = if counts { Value::from(*tenths) } else { bench.shown(amount) };
        let what = say!(*key);
        (accrual(class, *kind, amount, units), Value::from(say!("example.sum", what = what, sum = shown)))
    };
    let mut sums: Vec<_> = sums.iter().map(one).collect();
    if let Base::Ngr(_) = bench.version.terms.base {
        sums.push(one(&(AccrualKind::Fee, "kind.FEE", 10)));
    }
    let (accruals, told) = sums.into_iter().unzip();
    (accruals, Value::List(told))
}

fn base(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let (accruals, sums) = happened(bench, CLASS);
    let kinds = accruals.iter().map(|sum| (sum.kind, i128::from(sum.amount.0), sum.units));
    let base = base_of(&bench.version.terms.base, kinds, bench.words.asset).ok()?;
    let key = if matches!(bench.version.terms.base, Base::Ngr(_)) { "example.ggr" } else { "example.base" };
    Some(vec![say!(key, sums = sums, base = bench.shown(base))])
}

fn deductions(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.base = own.base.clone());
    let (accruals, sums) = happened(&bench, CLASS);
    let computed = bench.settled(&accruals)?;
    let mut said = Vec::new();
    for line in &computed.lines {
        let base = line.base.unwrap_or_default();
        match (line.code, line.clause.as_deref()) {
            (LineCode::Gross, _) => said.push(say!("example.ggr", sums = sums.clone(), base = bench.shown(base))),
            (LineCode::Deduction, Some(code)) => {
                said.push(say!("example.deduction", code = code, amount = bench.shown(base)));
            }
            (LineCode::RevenueShare, _) => said.push(say!("example.ngr", base = bench.shown(base))),
            _ => {}
        }
    }
    Some(said)
}

/// A loss in one period, and more than it in the next.
fn negative(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let (loss, gain) = (Units(-bench.tenths(10).0), bench.tenths(15));
    let first = bench.settled(&bench.base(loss))?;
    let carried = first.carry_out.base.values().map(|base| base.0).sum::<i64>();
    let second = bench.settle(&bench.base(gain), &first.carry_out, &Funds::default())?;
    let (loss, gain) = (bench.shown(loss), bench.shown(gain));
    let (one, two) = (bench.money(first.total), bench.money(second.total));
    Some(vec![match carried {
        0 => say!("example.negative", loss = loss, first = one, gain = gain, second = two),
        _ => {
            let carried = bench.shown(Units(carried));
            say!("example.negative.carried", loss = loss, first = one, carried = carried, gain = gain, second = two)
        }
    }])
}

fn rates(bench: &Bench<'_>, position: usize) -> Vec<Statement> {
    let bench = bench.with_row(position);
    let Some(RateRow { code, tiers, .. }) = bench.version.terms.rate_table.rows.first() else { return Vec::new() };
    let bases = tiers.as_ref().map_or_else(|| vec![bench.tenths(10)], |tiers| edges(&bench, tiers));
    let said = bases.into_iter().filter_map(|base| {
        let computed = bench.settled(&bench.base(base))?;
        Some(say!("example.rate", code = code, base = bench.shown(base), amount = bench.money(computed.total)))
    });
    said.collect()
}

/// Every edge, and half as much again as the last one.
fn edges(bench: &Bench<'_>, tiers: &Tiers) -> Vec<Units> {
    let edge = |up_to: &String| bench.words.asset.parse_units(up_to).ok();
    let mut bases: Vec<Units> = tiers.steps.iter().filter_map(|step| step.up_to.as_ref().and_then(edge)).collect();
    let above = bases.last().map_or(bench.tenths(10).0, |last| last.0.saturating_add(last.0 / 2));
    bases.push(Units(above));
    bases
}

fn fees(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.fees.clone_from(&own.fees));
    let played: Vec<Accrual> =
        COUNTED.iter().map(|(kind, _, units)| accrual(CLASS, *kind, Units::ZERO, *units)).collect();
    let computed = bench.settled(&played)?;
    let by_unit = |code: &str| {
        bench.version.terms.fees.iter().any(|fee| fee.code == code && matches!(fee.charge, Charge::PerUnit(_)))
    };
    let fees = computed.lines.iter().filter(|line| line.code == LineCode::Fee);
    let told = fees.filter_map(|line| {
        let code = line.clause.as_deref()?;
        Some(match by_unit(code) {
            true => say!(
                "example.fee.perUnit",
                code = code,
                units = COUNTED[0].2,
                promotional = COUNTED[1].2,
                amount = bench.money(line.amount)
            ),
            false => say!("example.fee", code = code, amount = bench.money(line.amount)),
        })
    });
    Some(told.collect())
}

fn cap(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.cap.clone_from(&own.cap));
    let cap = bench.words.asset.parse_minor(bench.version.terms.cap.as_deref()?).ok()?;
    let earned = Minor(if cap.0 == 0 { bench.round } else { cap.0.checked_mul(3)? / 2 });
    let computed = bench.settled(&bench.base(bench.units(earned)))?;
    Some(vec![say!("example.cap", earned = bench.money(earned), paid = bench.money(computed.total))])
}

fn guarantee(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.minimum_guarantee.clone_from(&own.minimum_guarantee));
    let guaranteed = bench.words.asset.parse_minor(bench.version.terms.minimum_guarantee.as_deref()?).ok()?;
    let earned = Minor(guaranteed.0 / 4 * 3);
    let computed = bench.settled(&bench.base(bench.units(earned)))?;
    let added = amount_of(&computed, LineCode::Guarantee);
    let (earned, added) = (bench.money(earned), bench.money(added));
    Some(vec![say!("example.guarantee", earned = earned, added = added, paid = bench.money(computed.total))])
}

fn prepaid(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| {
        terms.prepaid.clone_from(&own.prepaid);
        let row = own.rate_table.rows.first().cloned();
        terms.rate_table.rows = row.map(|row| RateRow { when: None, cells: Vec::new(), ..row }).into_iter().collect();
    });
    let (credit, base) = (Minor(bench.round.checked_mul(10)?), bench.tenths(30));
    let funds = Funds { credit, ..Funds::default() };
    let computed = bench.settle(&bench.base(base), &Carry::default(), &funds)?;
    let drawn = computed.carry_out.drawn;
    let left = bench.units(credit).checked_sub(drawn).ok()?;
    Some(vec![say!(
        "example.prepaid",
        credit = bench.money(credit),
        base = bench.shown(base),
        share = bench.money(amount_of(&computed, LineCode::RevenueShare)),
        drawn = bench.shown(drawn),
        left = bench.shown(left),
        paid = bench.money(computed.total),
    )])
}

fn advance(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.advance.clone_from(&own.advance));
    bench.version.terms.advance.as_ref()?;
    let (advanced, earned) = (Minor(bench.round * 2), Minor(bench.round / 100 * 38));
    let funds = Funds { advanced, ..Funds::default() };
    let computed = bench.settle(&bench.base(bench.units(earned)), &Carry::default(), &funds)?;
    let left = advanced.checked_sub(computed.carry_out.recouped).ok()?;
    Some(vec![say!(
        "example.advance",
        advanced = bench.money(advanced),
        earned = bench.money(earned),
        recouped = bench.money(computed.carry_out.recouped),
        paid = bench.money(computed.total),
        left = bench.money(left),
    )])
}

fn rounding(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let (bench, unit) = (bench.alone(|_, _| ()), bench.words.asset.units_per_minor());
    if unit < 2 {
        return None;
    }
    let said = [1_234, 1_235].into_iter().filter_map(|minor| {
        let share = Units(minor * unit + unit / 2);
        let computed = bench.settled(&bench.base(share))?;
        Some(say!("example.rounding", share = bench.shown(share), amount = bench.money(computed.total)))
    });
    Some(said.collect())
}

fn minimum_payout(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| terms.minimum_payout.clone_from(&own.minimum_payout));
    let least = bench.words.asset.parse_minor(&bench.version.terms.minimum_payout).ok().filter(|least| least.0 > 1)?;
    let part = |percent: i128| Minor::narrow(Rounding::Down.divide(i128::from(least.0) * percent, 100)).ok();
    let (first, second) = (part(80)?, part(50)?);
    let one = bench.settled(&bench.base(bench.units(first)))?;
    let two = bench.settle(&bench.base(bench.units(second)), &one.carry_out, &Funds::default())?;
    Some(vec![say!(
        "example.minimumPayout",
        first = bench.money(first),
        none = bench.money(one.total),
        carried = bench.money(one.carry_out.amount),
        second = bench.money(second),
        paid = bench.money(two.total),
    )])
}

/// What is owed by the day, of a version that begins in the middle of a period.
fn days(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let cycle = bench.version.terms.cycle.clone();
    let by_day = |charge: &Charge| matches!(charge, Charge::Amount(_));
    let mut bench = bench.alone(|terms, own| {
        terms.fees = own.fees.iter().filter(|fee| by_day(&fee.charge)).cloned().collect();
        terms.minimum_guarantee.clone_from(&own.minimum_guarantee);
    });
    if bench.version.terms.fees.is_empty() && bench.version.terms.minimum_guarantee.is_none()
        || cycle.every == Every::Day
    {
        return None;
    }
    let whole = bench.settled(&[])?.total;
    let of = cycle.days(bench.period.start, bench.period.end);
    let from = bench.period.start.local(cycle.time_zone).date() + chrono::Days::new(u64::try_from(of / 2).ok()?);
    bench.version.valid_from = cycle.start_of(from);
    let days = cycle.days(bench.version.valid_from, bench.period.end);
    let part = bench.settled(&[])?.total;
    let (whole, part) = (bench.money(whole), bench.money(part));
    Some(vec![say!("example.days", from = from, days = days, of = of, whole = whole, part = part)])
}

/// A refund of half of what was sold, found after the period closed.
fn late(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let sold = bench.tenths(10);
    let refunded = Units(-(bench.tenths(5).0));
    let mut accruals = bench.base(sold);
    let closed = bench.settled(&accruals)?;
    accruals.extend(bench.base(refunded).into_iter().map(|accrual| Accrual { late: true, ..accrual }));
    let frozen = Frozen { lines: closed.lines.clone(), carry_out: closed.carry_out.clone() };
    let next = bench.version.terms.cycle.period(bench.period.end);
    let account = |id: u128, period, state, accruals, frozen| Account {
        id: SettlementId(uuid::Uuid::from_u128(id)),
        period,
        state,
        accruals,
        players: Vec::new(),
        frozen,
    };
    let accounts = [
        account(1, bench.period, State::Closed, accruals, Some(frozen)),
        account(2, next, State::Open, Vec::new(), None),
    ];
    let versions = std::slice::from_ref(&bench.version);
    let settled = chain(&accounts, &[], &Beforehand::default(), versions, bench.words.asset).ok()?;
    let correction = amount_of(settled.last()?, LineCode::Correction);
    let (base, paid) = (bench.shown(sold), bench.money(closed.total));
    let late = bench.shown(refunded);
    Some(vec![say!("example.late", base = base, paid = paid, late = late, correction = bench.money(correction))])
}

/// A settlement from beginning to end, line by line.
fn whole(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let rows = &bench.version.terms.rate_table.rows;
    let codes: Vec<&String> = rows.iter().take(ROWS_OF_WHOLE).map(|row| &row.code).collect();
    let happened: Vec<_> = codes.iter().map(|code| happened(bench, code)).collect();
    let sums = happened.first()?.1.clone();
    let accruals: Vec<Accrual> = happened.into_iter().flat_map(|(accruals, _)| accruals).collect();
    let computed = bench.settled(&accruals)?;
    let mut said = vec![say!("example.whole", classes = codes, sums = sums)];
    said.extend(computed.lines.iter().filter_map(|line| told(bench, line)));
    said.push(say!("line.TOTAL", amount = bench.money(computed.total)));
    Some(said)
}

fn told(bench: &Bench<'_>, line: &Line) -> Option<Statement> {
    let asset = bench.words.asset;
    let counts = line.code.counts_units();
    let base = line.base.unwrap_or_default();
    let base = if counts { Value::count(asset, base) } else { Value::units(asset, base) };
    let class = line.rate_class.as_deref().unwrap_or_default();
    let (clause, amount) = (line.clause.as_deref().unwrap_or_default(), bench.money(line.amount));
    let rate =
        line.rate.map(|rate| if counts { Value::Money(rate.to_string(), asset.code.clone()) } else { rate.into() });
    let key = format!("line.{}", line.code.as_str());
    Some(match line.code {
        LineCode::Gross | LineCode::Base | LineCode::Units => say!(key, class = class, base = base),
        LineCode::Deduction => say!(key, class = class, code = clause, base = base),
        LineCode::RevenueShare | LineCode::PerUnit => match rate {
            Some(rate) => say!(key, class = class, base = base, rate = rate, amount = amount),
            None => say!(format!("{key}.tiers"), class = class, base = base, amount = amount),
        },
        LineCode::Fee => say!(key, code = clause, amount = amount),
        LineCode::Cap | LineCode::Guarantee | LineCode::CarriedOut => say!(key, amount = amount),
        _ => return None,
    })
}

/// Where a row pays less for more: the step and its edge, what is paid there, and what just above.
pub struct Cliff {
    pub step: usize,
    pub edge: Units,
    pub above: Units,
    pub at_edge: Minor,
    pub at_above: Minor,
}

/// The cliffs of one row.
pub fn cliffs(terms: &Terms, words: &Words<'_>, row: usize) -> Vec<Cliff> {
    let tiers = terms.rate_table.rows.get(row).and_then(|row| row.tiers.as_ref());
    let Some(tiers) = tiers.filter(|tiers| tiers.mode == TierMode::Volume) else { return Vec::new() };
    let rate = |step: &TierStep| (step.percent, step.per_unit);
    let falls = |place: &usize| rate(&tiers.steps[place + 1]) < rate(&tiers.steps[*place]);
    let falling: Vec<usize> = (0..tiers.steps.len().saturating_sub(1)).filter(falls).collect();
    if falling.is_empty() {
        return Vec::new();
    }
    let bench = Bench::new(terms, words).with_row(row);
    let asset = words.asset;
    // The least more that there is: a minor unit, or one unit where those are counted.
    let least =
        if bench.counts_units() { 10_i64.pow(asset.accounting_exponent.into()) } else { asset.units_per_minor() };
    let cliff = |step: usize| {
        let edge = asset.parse_units(tiers.steps[step].up_to.as_deref()?).ok()?;
        let above = Units(edge.0.checked_add(least)?);
        let at_edge = bench.settled(&bench.base(edge))?.total;
        let at_above = bench.settled(&bench.base(above))?.total;
        (at_above < at_edge).then_some(Cliff { step, edge, above, at_edge, at_above })
    };
    falling.into_iter().filter_map(cliff).collect()
}
