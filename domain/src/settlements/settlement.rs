//! What a settlement owes: lines as a pure function of its accruals, what is carried in, and the terms.
//!
//! The order of calculation: base per version and rate class → netting of classes and of the carried base → tiers
//! and rates → each line rounded once → corrections → minimum payout. A step that changes nothing has no line, and
//! the amounts of the lines always add up to the total.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::netting;
use super::rates::Rates;
use crate::contracts::contract::{ActiveVersion, Base, BonusTreatment, JackpotBasis, Level, TiersOnChange};
use crate::contracts::{AccrualKind, Period};
use crate::error::{Code, Problem};
use crate::ids::SettlementId;
use crate::money::{Asset, Minor, MoneyError, Rate, Units};
use crate::transactions::transaction::Affects;

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
    /// Money that was earned and is below the minimum payout.
    pub amount: Minor,
}

pub type CarriedBase = BTreeMap<String, Units>;

impl Carry {
    /// All that is carried of bases.
    pub fn total_base(&self) -> Result<Units, MoneyError> {
        Units::sum(self.base.values().copied())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LineCode {
    /// The base of a rate class before netting, where netting changed it; no amount.
    Base,
    /// The base carried in; no amount.
    CarriedBase,
    /// The share of a rate class's netted base.
    RevenueShare,
    /// What late facts change in a closed settlement.
    Correction,
    /// Earned before, and below the minimum payout then.
    CarriedIn,
    /// Below the minimum payout, taken over to the next period.
    CarriedOut,
}

impl LineCode {
    pub const ALL: [Self; 6] =
        [Self::Base, Self::CarriedBase, Self::RevenueShare, Self::Correction, Self::CarriedIn, Self::CarriedOut];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "BASE",
            Self::CarriedBase => "CARRIED_BASE",
            Self::RevenueShare => "REVENUE_SHARE",
            Self::Correction => "CORRECTION",
            Self::CarriedIn => "CARRIED_IN",
            Self::CarriedOut => "CARRIED_OUT",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub code: LineCode,
    /// The contract's version that the line follows.
    pub version: i64,
    pub rate_class: Option<String>,
    pub base: Option<Units>,
    /// Absent where several rates made the amount.
    pub rate: Option<Rate>,
    pub amount: Minor,
    /// The closed settlement that a correction repairs.
    pub corrects: Option<SettlementId>,
}

/// A contract's versions in one currency, ready to calculate with.
#[derive(Debug)]
pub struct Clauses<'a> {
    pub(super) asset: &'a Asset,
    /// In the order in which they took over.
    versions: Vec<Clause<'a>>,
}

#[derive(Debug)]
struct Clause<'a> {
    active: &'a ActiveVersion,
    minimum_payout: Minor,
    /// By code: the row's place in the table and its rates.
    classes: BTreeMap<&'a str, (usize, Rates)>,
}

impl<'a> Clauses<'a> {
    /// Takes one contract's versions; those in another currency than `asset` do not count.
    pub fn new(versions: &'a [ActiveVersion], asset: &'a Asset) -> Result<Self, Problem> {
        let mut clauses = Vec::new();
        for active in versions.iter().filter(|active| active.terms.currency == asset.code) {
            let minimum_payout = asset.parse_minor(&active.terms.minimum_payout);
            let named = |error: MoneyError| Problem::new(Code::BadAmount, "minimumPayout", error.to_string());
            let mut classes = BTreeMap::new();
            for (position, row) in active.terms.rate_table.rows.iter().enumerate() {
                classes.insert(row.code.as_str(), (position, Rates::of(row, asset)?));
            }
            clauses.push(Clause { active, minimum_payout: minimum_payout.map_err(named)?, classes });
        }
        clauses.sort_by_key(|clause| (clause.active.valid_from, clause.active.version));
        Ok(Self { asset, versions: clauses })
    }

    /// Where a line of this version and class stands among others.
    pub(super) fn place(&self, version: i64, class: &str) -> Option<(usize, usize)> {
        let position = self.versions.iter().position(|clause| clause.active.version == version)?;
        Some((position, self.versions[position].classes.get(class)?.0))
    }

    /// The version in force when a period ends.
    fn last_of(&self, period: Period) -> Option<&Clause<'a>> {
        let in_force = |clause: &&Clause<'_>| clause.active.valid_from < period.end;
        self.versions.iter().rev().find(in_force).or(self.versions.first())
    }
}

/// The base that the sums of one rate class make, by the kind table.
pub fn base(base: &Base, sums: impl IntoIterator<Item = (AccrualKind, Units)>) -> Result<Units, MoneyError> {
    let wide = sums.into_iter().map(|(kind, amount)| i128::from(amount.0) * sign(base, kind)).sum();
    Units::narrow(wide)
}

/// Whether a kind adds to a base, takes from it, or leaves it alone.
fn sign(base: &Base, kind: AccrualKind) -> i128 {
    let bonus_stake = |treatment| i128::from(treatment != BonusTreatment::Exclude);
    match (base, kind) {
        (Base::Ggr(_) | Base::Turnover(_), AccrualKind::Stake) | (Base::Sales(_), AccrualKind::Sale) => 1,
        (Base::Ggr(_), AccrualKind::Win) | (Base::Sales(_), AccrualKind::Refund) => -1,
        (Base::Ggr(ggr), AccrualKind::BonusStake) => bonus_stake(ggr.bonus_treatment),
        (Base::Turnover(turnover), AccrualKind::BonusStake) => bonus_stake(turnover.bonus_treatment),
        (Base::Ggr(ggr), AccrualKind::BonusWin) => -i128::from(ggr.bonus_treatment == BonusTreatment::Include),
        (Base::Ggr(ggr), AccrualKind::JackpotContribution) => -i128::from(ggr.jackpots == JackpotBasis::Accrual),
        (Base::Ggr(ggr), AccrualKind::JackpotWin) => -i128::from(ggr.jackpots == JackpotBasis::Payout),
        (Base::Ggr(_), AccrualKind::Adjustment(Affects::Ggr))
        | (Base::Turnover(_), AccrualKind::Adjustment(Affects::Turnover))
        | (Base::Sales(_), AccrualKind::Adjustment(Affects::Sales)) => 1,
        _ => 0,
    }
}

/// Steps 1 to 6: the lines that the accruals make, and the base that is carried on.
#[derive(Debug)]
pub(super) struct Shares {
    pub lines: Vec<Line>,
    pub carried: CarriedBase,
}

/// One version and rate class of a settlement, on its way to a line.
struct Class<'a> {
    clause: &'a Clause<'a>,
    code: &'a str,
    rates: &'a Rates,
    base: Units,
    netted: i64,
}

/// Prices all accruals, late ones like any other. A version or class that counted nothing changes nothing.
pub(super) fn shares(clauses: &Clauses<'_>, accruals: &[Accrual], carried_in: &CarriedBase) -> Result<Shares, Problem> {
    let mut classes = classes(clauses, accruals)?;
    let Some(last) = classes.last().map(|class| class.clause) else {
        return Ok(Shares { lines: Vec::new(), carried: carried_in.clone() });
    };
    let negative = last.active.terms.negative;
    let overflow = |error| overflow(error, "netting the rate classes");
    let carried = match negative.level {
        Level::Total => {
            let carried = Units::sum(carried_in.values().copied()).map_err(overflow)?;
            let mut bases: Vec<i64> = classes.iter().map(|class| class.netted).collect();
            let left = netting::net(&mut bases, carried, negative.mode).map_err(overflow)?;
            classes.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
            CarriedBase::from([(String::new(), left)])
        }
        Level::PerClass => net_per_class(&mut classes, carried_in, last)?,
    };
    let mut lines = Vec::new();
    for class in classes.iter().filter(|class| class.netted != class.base.0) {
        lines.push(class.line(LineCode::Base, class.base, None, Minor::ZERO));
    }
    for (class, base) in carried_in.iter().filter(|(_, base)| **base != Units::ZERO) {
        let rate_class = (!class.is_empty()).then(|| class.clone());
        lines.push(Line { base: Some(*base), rate_class, ..plain(LineCode::CarriedBase, last, Minor::ZERO) });
    }
    rate(clauses.asset, &classes, &mut lines)?;
    let carried = carried.into_iter().filter(|(_, base)| *base != Units::ZERO).collect();
    Ok(Shares { lines, carried })
}

/// Step 1, in the order of versions and of the rows of their tables.
fn classes<'a>(clauses: &'a Clauses<'_>, accruals: &'a [Accrual]) -> Result<Vec<Class<'a>>, Problem> {
    let mut sums: BTreeMap<(usize, usize), (&str, Vec<&Accrual>)> = BTreeMap::new();
    for accrual in accruals {
        let place = clauses.place(accrual.version, &accrual.rate_class).ok_or_else(|| {
            let message = format!("version {} has no rate class '{}'", accrual.version, accrual.rate_class);
            Problem::new(Code::NotFound, "", message)
        })?;
        sums.entry(place).or_insert_with(|| (&accrual.rate_class, Vec::new())).1.push(accrual);
    }
    let mut classes = Vec::with_capacity(sums.len());
    for ((version, _), (code, sums)) in sums {
        let clause = &clauses.versions[version];
        if is_nothing(&sums) {
            continue;
        }
        let Some((_, rates)) = clause.classes.get(code) else { continue };
        let base = base(&clause.active.terms.base, sums.iter().map(|sum| (sum.kind, sum.amount)));
        let base =
            base.map_err(|error| overflow(error, &format!("version {}, rate class '{code}'", clause.active.version)))?;
        classes.push(Class { clause, code, rates, base, netted: base.0 });
    }
    Ok(classes)
}

/// Whether the sums cancel out: facts that were moved to another version or class leave no trace.
fn is_nothing(sums: &[&Accrual]) -> bool {
    let mut kinds: BTreeMap<AccrualKind, (i128, i128, i128)> = BTreeMap::new();
    for sum in sums {
        let (amount, units, transactions) = kinds.entry(sum.kind).or_default();
        *amount += i128::from(sum.amount.0);
        *units += i128::from(sum.units);
        *transactions += i128::from(sum.transactions);
    }
    kinds.values().all(|sum| *sum == (0, 0, 0))
}

/// Step 3, each class by itself across the versions of the period.
fn net_per_class(
    classes: &mut [Class<'_>],
    carried_in: &CarriedBase,
    last: &Clause<'_>,
) -> Result<CarriedBase, Problem> {
    let mode = last.active.terms.negative.mode;
    let mut carried = carried_in.clone();
    let mut codes: Vec<&str> = classes.iter().map(|class| class.code).collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        let mut own: Vec<&mut Class<'_>> = classes.iter_mut().filter(|class| class.code == code).collect();
        let mut bases: Vec<i64> = own.iter().map(|class| class.netted).collect();
        let into = carried.get(code).copied().unwrap_or_default();
        let left =
            netting::net(&mut bases, into, mode).map_err(|error| overflow(error, &format!("rate class '{code}'")))?;
        own.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
        carried.insert(code.to_owned(), left);
    }
    // What terms with one total carried before belongs to no class.
    if let Some(common) = carried.get("").copied() {
        let mut bases: Vec<i64> = classes.iter().map(|class| class.netted).collect();
        let left =
            netting::net_common(&mut bases, common, mode).map_err(|error| overflow(error, "the carried base"))?;
        classes.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
        carried.insert(String::new(), left);
    }
    Ok(carried)
}

/// Steps 5 and 6. Tiers of a class continue from version to version, unless the later one starts them anew.
fn rate(asset: &Asset, classes: &[Class<'_>], lines: &mut Vec<Line>) -> Result<(), Problem> {
    let mut before: BTreeMap<&str, Units> = BTreeMap::new();
    let mut version = None;
    for class in classes {
        let terms = &class.clause.active.terms;
        if version.replace(class.clause.active.version) != Some(class.clause.active.version)
            && terms.tiers_on_change == TiersOnChange::Restart
        {
            before.clear();
        }
        let so_far = before.entry(class.code).or_default();
        let netted = Units(class.netted);
        let named =
            |error| overflow(error, &format!("version {}, rate class '{}'", class.clause.active.version, class.code));
        let (share, rate) = class.rates.share(*so_far, netted).map_err(named)?;
        let amount = share.round(asset, terms.rounding).map_err(named)?;
        lines.push(class.line(LineCode::RevenueShare, netted, rate, amount));
        *so_far = so_far.checked_add(netted).map_err(named)?;
    }
    Ok(())
}

impl Class<'_> {
    fn line(&self, code: LineCode, base: Units, rate: Option<Rate>, amount: Minor) -> Line {
        Line { rate_class: Some(self.code.to_owned()), base: Some(base), rate, ..plain(code, self.clause, amount) }
    }
}

fn plain(code: LineCode, clause: &Clause<'_>, amount: Minor) -> Line {
    Line { code, version: clause.active.version, rate_class: None, base: None, rate: None, amount, corrects: None }
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
    /// The sum of shares and corrections: what this settlement adds to what the partner has earned, whether it is
    /// paid now or carried.
    pub earned: Minor,
    pub carry_out: Carry,
    pub transaction_count: i64,
}

/// An open settlement: its accruals, what its predecessor carries into it, and corrections that fall to it.
pub fn compute(
    id: SettlementId,
    period: Period,
    accruals: &[Accrual],
    carried_in: &Carry,
    corrections: Vec<Line>,
    clauses: &Clauses<'_>,
) -> Result<Computed, Problem> {
    let Shares { mut lines, carried } = shares(clauses, accruals, &carried_in.base)?;
    lines.extend(corrections);
    let mut carry_out = Carry { base: carried, amount: carried_in.amount };
    if let Some(last) = clauses.last_of(period) {
        if carried_in.amount != Minor::ZERO {
            lines.push(plain(LineCode::CarriedIn, last, carried_in.amount));
        }
        let due = sum(lines.iter().map(|line| line.amount))?;
        carry_out.amount = Minor::ZERO;
        if Minor::ZERO < due && due < last.minimum_payout {
            carry_out.amount = due;
            lines.push(plain(LineCode::CarriedOut, last, Minor(-due.0)));
        }
    }
    Computed::of(id, lines, carry_out, accruals)
}

impl Computed {
    pub(super) fn of(
        id: SettlementId,
        lines: Vec<Line>,
        carry_out: Carry,
        accruals: &[Accrual],
    ) -> Result<Self, Problem> {
        let total = sum(lines.iter().map(|line| line.amount))?;
        let is_earned = |line: &&Line| matches!(line.code, LineCode::RevenueShare | LineCode::Correction);
        let earned = sum(lines.iter().filter(is_earned).map(|line| line.amount))?;
        let transaction_count =
            accruals.iter().filter(|accrual| !accrual.late).map(|accrual| accrual.transactions).sum();
        Ok(Self { id, lines, total, earned, carry_out, transaction_count })
    }
}

fn sum(amounts: impl Iterator<Item = Minor>) -> Result<Minor, Problem> {
    Minor::sum(amounts).map_err(|error| overflow(error, "the sum of the lines"))
}

#[cfg(test)]
mod tests;
