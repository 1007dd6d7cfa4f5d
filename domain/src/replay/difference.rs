//! What a draft would have paid beside what was settled: the same calculation of lines on both sides, and their
//! difference per period, line, rate class, product and partner.
//!
//! Both sides are reckoned as if all periods of the window were open and every fact known: what late facts changed in a
//! closed period, and was or will be paid as a correction elsewhere, is in that period here. So a draft that says what the
//! contract in force says differs in nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::partners;
pub use super::partners::PartnerDifference;
use super::totals::{Key, PlayerKey, Products, Sum, Totals};
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{AccrualKind, Period};
use crate::error::{Code, Problem};
use crate::ids::{PartnerId, SettlementId};
use crate::money::{Asset, Minor, MoneyError, Rate, Units, split};
use crate::settlements;
use crate::settlements::chain::Beforehand;
use crate::settlements::settlement::{Accrual, Clauses, Computed, Counts, Line, LineCode, PlayerSum, base_of, compute};

/// The same under the versions in force and under the draft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both<T> {
    pub settled: T,
    pub drafted: T,
}

impl Both<Minor> {
    /// What the draft would have paid more.
    pub fn difference(&self) -> Minor {
        Minor(self.drafted.0.saturating_sub(self.settled.0))
    }
}

/// What a replay found. Lists begin with what differs most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Whole periods of both sides.
    pub window: Period,
    pub asset: Asset,
    /// The sum of all totals.
    pub total: Both<Minor>,
    /// In the order of time.
    pub periods: Vec<PeriodDifference>,
    pub lines: Vec<LineDifference>,
    pub classes: Vec<ClassDifference>,
    pub products: Vec<ProductDifference>,
    pub partners: Vec<PartnerDifference>,
    /// What of the total belongs to no rate class, and so to no product: carried amounts and the like.
    pub apart: Both<Minor>,
    /// Transactions that one side covers and cannot count.
    pub failed: Both<u64>,
    /// Transactions that wait for their rounds to close.
    pub waiting: Both<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodDifference {
    pub period: Period,
    pub total: Both<Minor>,
    pub transactions: Both<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineDifference {
    pub period: Period,
    pub code: LineCode,
    pub rate_class: Option<String>,
    /// The deduction or fee, or the clause that bounds the sum.
    pub clause: Option<String>,
    pub base: Both<Option<Units>>,
    /// Absent where several rates made the amount.
    pub rate: Both<Option<Rate>>,
    pub amount: Both<Minor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassDifference {
    pub rate_class: String,
    pub sums: Share,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDifference {
    /// By its code; none for what names no product.
    pub product: Option<String>,
    pub sums: Share,
}

/// A part of what is paid, with the base that it comes from, before netting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub base: Both<Units>,
    pub amount: Both<Minor>,
    pub transactions: Both<i64>,
}

/// What one side is reckoned with.
pub struct Terms<'a> {
    pub versions: &'a [ActiveVersion],
    pub totals: &'a Totals,
    /// Periods that have a settlement, whether or not anything is counted in them.
    pub periods: BTreeSet<Period>,
}

/// Reckons both sides, each with what was carried into the window.
pub fn compare(
    window: Period,
    partner: PartnerId,
    asset: &Asset,
    beforehand: &Beforehand,
    (settled, drafted): (Terms<'_>, Terms<'_>),
    products: &Products,
) -> Result<Simulated, Problem> {
    let sides = [Side::reckon(settled, asset, beforehand)?, Side::reckon(drafted, asset, beforehand)?];
    let mut periods: BTreeMap<Period, (Both<i128>, Both<i64>)> = BTreeMap::new();
    let mut lines: BTreeMap<LineKey, (Place, Place)> = BTreeMap::new();
    let mut classes: BTreeMap<String, Wide> = BTreeMap::new();
    let mut by_product: BTreeMap<Option<String>, Wide> = BTreeMap::new();
    let mut total: Both<i128> = Both::default();
    let mut apart: Both<i128> = Both::default();
    for (side, drafted) in sides.iter().zip([false, true]) {
        for (period, computed) in &side.settlements {
            let (sum, transactions) = periods.entry(*period).or_default();
            *sum.of(drafted) += i128::from(computed.total.0);
            *transactions.of(drafted) += computed.transaction_count;
            *total.of(drafted) += i128::from(computed.total.0);
            *apart.of(drafted) += i128::from(computed.total.0);
            for line in &computed.lines {
                let key = (*period, line.code, line.rate_class.clone(), line.clause.clone());
                let (settled, draft) = lines.entry(key).or_default();
                if drafted { draft } else { settled }.add(line);
            }
        }
        for part in &side.parts {
            *apart.of(drafted) -= i128::from(part.amount);
            let code = products.code(part.product).map(str::to_owned);
            for wide in [classes.entry(part.class.clone()).or_default(), by_product.entry(code).or_default()] {
                *wide.base.of(drafted) += i128::from(part.base.0);
                *wide.amount.of(drafted) += i128::from(part.amount);
                *wide.transactions.of(drafted) += part.transactions;
            }
        }
    }
    let partners = partners::of(partner, &sides)?;
    let total = narrow(total)?;
    let [settled, drafted] = sides;
    Ok(Simulated {
        window,
        asset: asset.clone(),
        total,
        periods: periods
            .into_iter()
            .map(|(period, (total, transactions))| Ok(PeriodDifference { period, total: narrow(total)?, transactions }))
            .collect::<Result<_, Problem>>()?,
        lines: differences(lines)?,
        classes: shares(classes, |rate_class, sums| ClassDifference { rate_class, sums }, |row| row.sums)?,
        products: shares(by_product, |product, sums| ProductDifference { product, sums }, |row| row.sums)?,
        partners,
        apart: narrow(apart)?,
        failed: Both { settled: settled.failed, drafted: drafted.failed },
        waiting: Both { settled: settled.waiting, drafted: drafted.waiting },
    })
}

impl<T> Both<T> {
    pub(super) fn of(&mut self, drafted: bool) -> &mut T {
        if drafted { &mut self.drafted } else { &mut self.settled }
    }
}

/// Lines of one code, rate class and clause, of however many versions.
#[derive(Default)]
struct Place {
    amount: i128,
    base: Option<i128>,
    rates: BTreeSet<Option<Rate>>,
}

impl Place {
    fn add(&mut self, line: &Line) {
        self.amount += i128::from(line.amount.0);
        if let Some(base) = line.base {
            *self.base.get_or_insert(0) += i128::from(base.0);
        }
        self.rates.insert(line.rate);
    }

    fn base(&self) -> Result<Option<Units>, Problem> {
        self.base.map(Units::narrow).transpose().map_err(overflow)
    }

    fn rate(&self) -> Option<Rate> {
        self.rates.first().copied().flatten().filter(|_| self.rates.len() == 1)
    }
}

/// Period, code, rate class and clause.
type LineKey = (Period, LineCode, Option<String>, Option<String>);

fn differences(lines: BTreeMap<LineKey, (Place, Place)>) -> Result<Vec<LineDifference>, Problem> {
    let mut rows = Vec::with_capacity(lines.len());
    for ((period, code, rate_class, clause), (settled, drafted)) in lines {
        rows.push(LineDifference {
            period,
            code,
            rate_class,
            clause,
            base: Both { settled: settled.base()?, drafted: drafted.base()? },
            rate: Both { settled: settled.rate(), drafted: drafted.rate() },
            amount: narrow(Both { settled: settled.amount, drafted: drafted.amount })?,
        });
    }
    most_first(&mut rows, |row| row.amount);
    Ok(rows)
}

#[derive(Default)]
struct Wide {
    base: Both<i128>,
    amount: Both<i128>,
    transactions: Both<i64>,
}

fn shares<K, R>(
    sums: BTreeMap<K, Wide>,
    row: impl Fn(K, Share) -> R,
    of: impl Fn(&R) -> Share,
) -> Result<Vec<R>, Problem> {
    let mut rows = Vec::with_capacity(sums.len());
    for (key, Wide { base, amount, transactions }) in sums {
        let units = |wide| Units::narrow(wide).map_err(overflow);
        let base = Both { settled: units(base.settled)?, drafted: units(base.drafted)? };
        rows.push(row(key, Share { base, amount: narrow(amount)?, transactions }));
    }
    most_first(&mut rows, |row| of(row).amount);
    Ok(rows)
}

pub(super) fn most_first<R>(rows: &mut [R], amount: impl Fn(&R) -> Both<Minor>) {
    rows.sort_by_key(|row| std::cmp::Reverse(amount(row).difference().0.unsigned_abs()));
}

pub(super) fn narrow(wide: Both<i128>) -> Result<Both<Minor>, Problem> {
    let minor = |wide| Minor::narrow(wide).map_err(overflow);
    Ok(Both { settled: minor(wide.settled)?, drafted: minor(wide.drafted)? })
}

fn overflow(error: MoneyError) -> Problem {
    Problem::new(Code::Overflow, "", format!("what the draft would have paid: {error}"))
}

/// One side, reckoned.
pub(super) struct Side {
    pub settlements: Vec<(Period, Computed)>,
    /// Of each that is split, what its parties have.
    pub shared: BTreeMap<Period, Vec<settlements::parts::Part>>,
    parts: Vec<Part>,
    failed: u64,
    waiting: u64,
}

/// What one product has in one rate class of a settlement.
struct Part {
    class: String,
    product: u32,
    base: Units,
    amount: i64,
    transactions: i64,
}

/// The sums of one settlement's rate classes, by version and code, and in them by product.
type Classes<'t> = BTreeMap<(i64, &'t str), BTreeMap<u32, Vec<(AccrualKind, &'t Sum)>>>;

impl Side {
    pub fn reckon(terms: Terms<'_>, asset: &Asset, beforehand: &Beforehand) -> Result<Self, Problem> {
        let clauses = Clauses::new(terms.versions, asset)?;
        let mut periods: BTreeMap<Period, Classes<'_>> =
            terms.periods.into_iter().map(|period| (period, Classes::new())).collect();
        for (Key { period, version, class, product, kind }, sum) in terms.totals.sorted() {
            let classes = periods.entry(*period).or_default();
            classes.entry((*version, class)).or_default().entry(*product).or_default().push((*kind, sum));
        }
        let mut players = players(terms.totals)?;
        let (mut settlements, mut parts) = (Vec::with_capacity(periods.len()), Vec::new());
        let mut shared = BTreeMap::new();
        let Beforehand { opening: mut carry, funds } = beforehand.clone();
        for (period, classes) in periods {
            let accruals = accruals(&classes)?;
            let players = players.remove(&period).unwrap_or_default();
            let counts = Counts { accruals: &accruals, players: &players };
            let computed = compute(SettlementId::NONE, period, counts, &carry, Vec::new(), &funds, &clauses)?;
            for ((version, class), products) in &classes {
                let terms = terms.versions.iter().find(|row| row.version == *version).map(|row| &row.terms);
                let Some(terms) = terms else { continue };
                let own = |line: &&Line| line.version == *version && line.rate_class.as_deref() == Some(class);
                let amount = Minor::sum(computed.lines.iter().filter(own).map(|line| line.amount)).map_err(overflow)?;
                parts.extend(parted(class, products, &terms.base, asset, amount)?);
            }
            carry = computed.carry_out.clone();
            let own = clauses.parts(period, computed.total)?;
            if !own.is_empty() {
                shared.insert(period, own);
            }
            settlements.push((period, computed));
        }
        Ok(Self { settlements, shared, parts, failed: terms.totals.failed, waiting: terms.totals.waiting })
    }
}

/// What each settlement's players add up to.
fn players(totals: &Totals) -> Result<BTreeMap<Period, Vec<PlayerSum>>, Problem> {
    let mut players: BTreeMap<Period, Vec<PlayerSum>> = BTreeMap::new();
    for (PlayerKey { period, version, player, kind }, amount) in &totals.players {
        let amount = Units::narrow(*amount).map_err(overflow)?;
        let sum = PlayerSum { version: *version, player: *player, kind: *kind, late: false, amount };
        players.entry(*period).or_default().push(sum);
    }
    Ok(players)
}

/// A settlement's running totals: those of its products together.
fn accruals(classes: &Classes<'_>) -> Result<Vec<Accrual>, Problem> {
    let mut accruals = Vec::new();
    for ((version, class), products) in classes {
        let mut kinds: BTreeMap<AccrualKind, Sum> = BTreeMap::new();
        for (kind, sum) in products.values().flatten() {
            let all = kinds.entry(*kind).or_default();
            all.amount += sum.amount;
            all.units += sum.units;
            all.transactions += sum.transactions;
        }
        for (kind, sum) in kinds {
            accruals.push(Accrual {
                version: *version,
                rate_class: (*class).to_owned(),
                kind,
                late: false,
                amount: Units::narrow(sum.amount).map_err(overflow)?,
                units: sum.units,
                transactions: sum.transactions,
            });
        }
    }
    Ok(accruals)
}

fn parted(
    class: &str,
    products: &BTreeMap<u32, Vec<(AccrualKind, &Sum)>>,
    of: &crate::contracts::contract::Base,
    asset: &Asset,
    amount: Minor,
) -> Result<Vec<Part>, Problem> {
    let mut bases = Vec::with_capacity(products.len());
    for sums in products.values() {
        let kinds = sums.iter().map(|(kind, sum)| (*kind, sum.amount, sum.units));
        bases.push(base_of(of, kinds, asset).map_err(overflow)?);
    }
    let amounts = apportioned(amount.0, &bases.iter().map(|base| base.0).collect::<Vec<_>>());
    let amounts = amounts.ok_or_else(|| overflow(MoneyError::Overflow))?;
    let parts = products.iter().zip(bases).zip(amounts).map(|(((product, sums), base), amount)| Part {
        class: class.to_owned(),
        product: *product,
        base,
        amount,
        transactions: sums.iter().map(|(_, sum)| sum.transactions).sum(),
    });
    Ok(parts.collect())
}

/// An amount in parts by what each adds to the base it comes from, by largest remainder, so that the parts add up to it.
/// A part that takes from the base takes from the amount. Without any base, the first part has it all. `None` where a
/// part is beyond what an amount holds.
fn apportioned(amount: i64, bases: &[i64]) -> Option<Vec<i64>> {
    let base: i128 = bases.iter().map(|base| i128::from(*base)).sum();
    if base == 0 {
        let weights: Vec<u64> = bases.iter().map(|base| base.unsigned_abs()).collect();
        let first = || (0..bases.len()).map(|place| if place == 0 { amount } else { 0 }).collect();
        return Some(split(amount, &weights).unwrap_or_else(first));
    }
    let mut parts = Vec::with_capacity(bases.len());
    let mut rests = Vec::with_capacity(bases.len());
    for (place, part) in bases.iter().enumerate() {
        let product = i128::from(amount) * i128::from(*part) * base.signum();
        parts.push(product.div_euclid(base.abs()));
        rests.push((std::cmp::Reverse(product.rem_euclid(base.abs())), place));
    }
    // Each part was rounded down, so that less than one for each part is left.
    let left = i128::from(amount) - parts.iter().sum::<i128>();
    rests.sort_unstable();
    for (_, place) in rests.iter().take(usize::try_from(left).unwrap_or_default()) {
        parts[*place] += 1;
    }
    parts.into_iter().map(|part| i64::try_from(part).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_goes_to_products_by_their_part_of_the_base() {
        assert_eq!(apportioned(100, &[1, 1, 1]), Some(vec![34, 33, 33]));
        assert_eq!(
            apportioned(80, &[1_500, -500]),
            Some(vec![120, -40]),
            "who takes from the base takes from the amount"
        );
        assert_eq!(apportioned(-80, &[-1_500, 500]), Some(vec![-120, 40]));
        assert_eq!(apportioned(7, &[5, -5]), Some(vec![4, 3]), "no base and an amount");
        assert_eq!(apportioned(7, &[0, 0]), Some(vec![7, 0]));
        assert_eq!(apportioned(0, &[]), Some(vec![]));
        assert_eq!(apportioned(i64::MAX, &[i64::MAX, -i64::MAX, 1]), None);
    }

    proptest! {
        #[test]
        fn parts_add_up(amount in -1_000_000_i64..1_000_000, bases in prop::collection::vec(-1_000_i64..1_000, 1..8)) {
            let parts = apportioned(amount, &bases).expect("parts");
            prop_assert_eq!(parts.iter().sum::<i64>(), amount);
            let base: i64 = bases.iter().sum();
            for (part, own) in parts.iter().zip(&bases).filter(|_| base != 0) {
                // No part is off by a whole.
                prop_assert!((part * base - amount * own).abs() < base.abs());
            }
        }
    }
}
