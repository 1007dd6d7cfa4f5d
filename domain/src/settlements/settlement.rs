//! What a settlement owes: lines as a pure function of its accruals, what is carried in, and the terms.
//!
//! The order of calculation: base per version and rate class → deductions → ring-fence → netting of classes and of the
//! carried base → tiers and rates → each line rounded once → fees → cap → guarantee → corrections → prepaid credit → advances →
//! minimum payout. A step that
//! changes nothing has no line, and the amounts of the lines always add up to the total.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::base::Sums;
use super::clauses::{Clause, Part};
use super::formula::{Sheet, Step, StepKind, Value, Working, rounding_name};
use super::nets::Netted;
use super::rates::{Rated, Rates};
use super::{deductions, fees, line, nets, recoup};
use crate::contracts::contract::{Base, TierPeriod, TiersOnChange};
use crate::contracts::{AccrualKind, Period};
use crate::error::{Code, Problem};
use crate::ids::SettlementId;
use crate::money::{Asset, Minor, MoneyError, Rate, Units};

pub use super::base::base_of;
pub use super::clauses::Clauses;
pub use super::fence::{CarriedPlayers, Counts, Fenced, PlayerSum};
pub use super::line::{Line, LineCode};
pub use super::recoup::Funds;

/// The sum of one kind of transaction in one version and rate class of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accrual {
    pub version: i64,
    pub rate_class: String,
    pub kind: AccrualKind,
    /// Fed after the settlement had closed.
    pub late: bool,
    pub amount: Units,
    pub units: i64,
    pub transactions: i64,
}

/// What goes on into the next period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carry {
    /// Negative bases by rate class, or under the empty name for all classes together. A memo, not money.
    pub base: CarriedBase,
    /// What stands against players alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub players: CarriedPlayers,
    /// What filled the tiers that run over a year.
    #[serde(default)]
    pub tiers: YearTiers,
    /// Money that was earned and is below the minimum payout.
    pub amount: Minor,
    /// Kept back for advances so far.
    #[serde(default)]
    pub recouped: Minor,
    /// Prepaid credit that was drawn so far, at its face value.
    #[serde(default)]
    pub drawn: Units,
}

/// Counted units have names of their own, so that they never meet money: `units:`, and then the class or nothing.
pub type CarriedBase = BTreeMap<String, Units>;

pub(super) const COUNTED: &str = "units:";

/// The name that counted units of a class are carried under.
pub(super) fn counted_name(class: &str) -> String {
    format!("{COUNTED}{class}")
}

/// What went through the tiers of a year so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct YearTiers {
    pub year: i32,
    /// The version that counted last.
    pub version: i64,
    /// By rate class.
    pub counted: BTreeMap<String, Units>,
}

impl Carry {
    /// All that is carried of money bases.
    pub fn total_base(&self) -> Result<Units, MoneyError> {
        let money = self.base.iter().filter(|(name, _)| !name.starts_with(COUNTED));
        Units::sum(money.map(|(_, base)| *base))
    }
}

/// Steps 1 to 9: the lines that the accruals make, and what is carried on.
#[derive(Debug)]
pub(super) struct Shares {
    pub sheet: Sheet,
    pub base: CarriedBase,
    pub fenced: Vec<Fenced>,
    pub players: CarriedPlayers,
    pub tiers: YearTiers,
}

/// One version and rate class of a settlement, on its way to a line.
pub(super) struct Class<'a> {
    pub clause: &'a Clause<'a>,
    pub part: Part,
    pub code: &'a str,
    rates: &'a Rates,
    pub sums: Sums,
    pub base: Units,
    pub netted: i64,
    /// How the base came about, where that is asked for.
    pub working: Option<Working>,
}

/// Prices all accruals, late ones like any other. A version or class that counted nothing changes nothing. With `told`,
/// each line comes with its working.
pub(super) fn shares(
    clauses: &Clauses<'_>,
    period: Period,
    counts: Counts<'_>,
    carried_in: &Carry,
    told: bool,
) -> Result<Shares, Problem> {
    let mut sheet = Sheet::new(told);
    let mut classes = classes(clauses, period, counts.accruals, told)?;
    deductions::deduct(clauses, &mut classes, &mut sheet)?;
    let Netted { base, fenced, players } = nets::net(clauses, &mut classes, counts.players, carried_in, &mut sheet)?;
    let tiers = rate(clauses.asset, period, &classes, &carried_in.tiers, &mut sheet)?;
    fees::add(clauses, period, &classes, &mut sheet)?;
    Ok(Shares { sheet, base, fenced, players, tiers })
}

/// Step 1, in the order of versions and of the rows of their tables.
fn classes<'a>(
    clauses: &'a Clauses<'_>,
    period: Period,
    accruals: &'a [Accrual],
    told: bool,
) -> Result<Vec<Class<'a>>, Problem> {
    let mut sums: BTreeMap<(usize, usize), (&str, Sums)> = BTreeMap::new();
    for accrual in accruals {
        let place = clauses.place(accrual.version, &accrual.rate_class).ok_or_else(|| {
            let message = format!("version {} has no rate class '{}'", accrual.version, accrual.rate_class);
            Problem::new(Code::NotFound, "", message)
        })?;
        sums.entry(place).or_insert_with(|| (&accrual.rate_class, Sums::default())).1.add(accrual);
    }
    sums.retain(|_, (_, sums)| !sums.is_nothing());
    for (version, clause) in clauses.versions.iter().enumerate() {
        // An amount for the period is deducted although nothing happened in it: the first class bears it.
        let idle = !sums.keys().any(|(other, _)| *other == version);
        if let Some(row) = clause.terms().rate_table.rows.first()
            && idle
            && clause.deducts_amounts()
            && clause.part(period).days > 0
        {
            sums.insert((version, 0), (&row.code, Sums::default()));
        }
    }
    let mut classes = Vec::with_capacity(sums.len());
    for ((version, _), (code, sums)) in sums {
        let clause = &clauses.versions[version];
        let Some((_, rates)) = clause.classes.get(code) else { continue };
        let named = |error| overflow(error, &format!("version {}, rate class '{code}'", clause.active.version));
        let base = sums.base(&clause.terms().base, clauses.asset).map_err(named)?;
        let working = told.then(|| sums.working(&clause.terms().base, clauses.asset)).transpose().map_err(named)?;
        classes.push(Class { clause, part: clause.part(period), code, rates, sums, base, netted: base.0, working });
    }
    Ok(classes)
}

/// Steps 5 and 6. Tiers of a class continue from version to version, unless the later one starts them anew.
fn rate(
    asset: &Asset,
    period: Period,
    classes: &[Class<'_>],
    carried: &YearTiers,
    sheet: &mut Sheet,
) -> Result<YearTiers, Problem> {
    let mut year = carried.clone();
    let mut before: BTreeMap<&str, Units> = BTreeMap::new();
    let mut version = None;
    for class in classes {
        let (own, terms) = (class.clause.active.version, class.clause.terms());
        let restarts = terms.tiers_on_change == TiersOnChange::Restart;
        if version.replace(own) != Some(own) && restarts {
            before.clear();
        }
        let now = terms.cycle.year(period.start);
        if year.year != now || (year.version != own && restarts) {
            year = YearTiers { year: now, ..YearTiers::default() };
        }
        year.version = own;
        let named = |error| overflow(error, &format!("version {own}, rate class '{}'", class.code));
        let netted = Units(class.netted);
        let in_year = class.rates.period == TierPeriod::Year;
        let so_far = match in_year {
            true => year.counted.entry(class.code.to_owned()).or_default(),
            false => before.entry(class.code).or_default(),
        };
        let rated = class.rates.rated(*so_far, class.base, netted).map_err(named)?;
        let amount = rated.share.round(asset, terms.rounding).map_err(named)?;
        let code = if matches!(terms.base, Base::Units(_)) { LineCode::PerUnit } else { LineCode::RevenueShare };
        sheet.push(class.line(code, netted, rated.rate(), amount), || class.rated(&rated, amount));
        *so_far = so_far.checked_add(class.rates.read(class.base, netted)).map_err(named)?;
    }
    // A carry that says nothing says nothing of a year either, so that equal ones are equal.
    Ok(if year.counted.is_empty() { YearTiers::default() } else { year })
}

impl Class<'_> {
    /// Adds a step to how the base came about, where that is asked for.
    pub fn tell(&mut self, step: impl FnOnce() -> Step) {
        if let Some(working) = &mut self.working {
            working.push(step());
        }
    }

    /// How the share of it comes about.
    fn rated(&self, rated: &Rated, amount: Minor) -> Working {
        let mut working = self.working.clone().unwrap_or_default();
        let row = self.clause.classes.get(self.code).map(|(row, _)| *row).unwrap_or_default();
        let row = format!("rateTable.rows.{row}");
        working.extend(rated.stretches.iter().map(|stretch| stretch.working(&row)));
        let exact = vec![("exact", Value::Exact(rated.share))];
        let rounding = rounding_name(self.clause.terms().rounding);
        working.push(Step::new(StepKind::Rounded, exact, Value::Minor(amount)).of(rounding).at("rounding"));
        working
    }

    pub fn line(&self, code: LineCode, base: Units, rate: Option<Rate>, amount: Minor) -> Line {
        let line = Line::plain(code, self.clause.active.version, amount);
        Line { rate_class: Some(self.code.to_owned()), base: Some(base), rate, ..line }
    }
}

pub(super) fn overflow(error: MoneyError, what: &str) -> Problem {
    Problem::new(Code::Overflow, "", format!("{what}: {error}"))
}

/// What a settlement comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    pub id: SettlementId,
    pub lines: Vec<Line>,
    /// The sum of all lines.
    pub total: Minor,
    /// The sum of all lines but what is carried: what this settlement adds to what the partner has earned, whether it is
    /// paid now or carried.
    pub earned: Minor,
    pub carry_out: Carry,
    /// What the ring-fence made of players.
    pub fenced: Vec<Fenced>,
    pub transaction_count: i64,
}

/// An open settlement: what it counted, what its predecessor carries into it, corrections that fall to it, and what was paid
/// beforehand.
pub fn compute<'c>(
    id: SettlementId,
    period: Period,
    counts: impl Into<Counts<'c>>,
    carried_in: &Carry,
    corrections: Vec<Line>,
    funds: &Funds,
    clauses: &Clauses<'_>,
) -> Result<Computed, Problem> {
    let mut sheet = Sheet::new(false);
    corrections.into_iter().for_each(|line| sheet.push(line, Working::new));
    told(id, period, counts.into(), carried_in, sheet, funds, clauses).map(|(computed, _)| computed)
}

/// The same with the working of each line, where `corrections` come with theirs.
pub(super) fn told(
    id: SettlementId,
    period: Period,
    counts: Counts<'_>,
    carried_in: &Carry,
    corrections: Sheet,
    funds: &Funds,
    clauses: &Clauses<'_>,
) -> Result<(Computed, Vec<Working>), Problem> {
    let Shares { mut sheet, base, fenced, players, tiers } =
        shares(clauses, period, counts, carried_in, corrections.is_told())?;
    sheet.extend(corrections);
    let mut carry_out = Carry { base, players, tiers, ..carried_in.clone() };
    if let Some(last) = clauses.last_of(period) {
        let version = last.active.version;
        recoup::draw(clauses.asset, last.terms(), version, funds, &mut carry_out, &mut sheet)?;
        if carried_in.amount != Minor::ZERO {
            let carried = Value::Minor(carried_in.amount);
            let line = Line::plain(LineCode::CarriedIn, version, carried_in.amount);
            sheet.push(line, || vec![Step::new(StepKind::CarriedIn, Vec::new(), carried).at("minimumPayout")]);
        }
        let due = sum(sheet.lines.iter().map(|line| line.amount))?;
        recoup::recoup(clauses.asset, last.terms(), version, funds, due, &mut carry_out, &mut sheet)?;
        let due = sum(sheet.lines.iter().map(|line| line.amount))?;
        carry_out.amount = Minor::ZERO;
        let least = clauses.minimum_payout(period);
        if Minor::ZERO < due && due < least {
            carry_out.amount = due;
            sheet.push(Line::plain(LineCode::CarriedOut, version, Minor(-due.0)), || {
                let values = vec![("due", Value::Minor(due)), ("minimumPayout", Value::Minor(least))];
                vec![Step::new(StepKind::CarriedOut, values, Value::Minor(Minor(-due.0))).at("minimumPayout")]
            });
        }
    }
    let (lines, workings) = sheet.into_parts();
    let computed = Computed::of(id, lines, carry_out, counts.accruals)?;
    Ok((Computed { fenced, ..computed }, workings))
}

impl Computed {
    pub(super) fn of(
        id: SettlementId,
        lines: Vec<Line>,
        carry_out: Carry,
        accruals: &[Accrual],
    ) -> Result<Self, Problem> {
        let total = sum(lines.iter().map(|line| line.amount))?;
        let earned = line::earned(&lines).map_err(|error| overflow(error, "the sum of the lines"))?;
        let transaction_count =
            accruals.iter().filter(|accrual| !accrual.late).map(|accrual| accrual.transactions).sum();
        Ok(Self { id, lines, total, earned, carry_out, fenced: Vec::new(), transaction_count })
    }
}

fn sum(amounts: impl Iterator<Item = Minor>) -> Result<Minor, Problem> {
    Minor::sum(amounts).map_err(|error| overflow(error, "the sum of the lines"))
}

#[cfg(test)]
mod tests;
