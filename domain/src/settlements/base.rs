//! The base of a rate class: what the kinds of its transactions add up to.

use std::collections::BTreeMap;

use super::formula::{Step, StepKind, Value, Working};
use super::settlement::Accrual;
use crate::contracts::AccrualKind;
use crate::contracts::contract::{Base, BonusTreatment, Cost, GgrBase, JackpotBasis, TurnoverBase, UnitsBase};
use crate::money::{Asset, MoneyError, Rate, Rounding, Share, Units};
use crate::transactions::transaction::Affects;

/// What was counted in one rate class, by kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(BTreeMap<AccrualKind, Sum>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    amount: i128,
    units: i128,
    transactions: i128,
}

impl Sums {
    pub fn add(&mut self, accrual: &Accrual) {
        let sum = self.0.entry(accrual.kind).or_default();
        sum.amount += i128::from(accrual.amount.0);
        sum.units += i128::from(accrual.units);
        sum.transactions += i128::from(accrual.transactions);
    }

    /// Whether the sums cancel out: facts that were moved to another version or class leave no trace.
    pub fn is_nothing(&self) -> bool {
        self.0.values().all(|sum| *sum == Sum::default())
    }

    fn amounts(&self) -> impl Iterator<Item = (AccrualKind, i128)> {
        self.0.iter().map(|(kind, sum)| (*kind, sum.amount))
    }

    /// The base before deductions.
    pub fn base(&self, base: &Base, asset: &Asset) -> Result<Units, MoneyError> {
        match base {
            Base::Units(units) => self.counted(units, asset),
            _ => signed(base, self.amounts()),
        }
    }

    /// How [`Sums::base`] comes about.
    pub fn working(&self, base: &Base, asset: &Asset) -> Result<Working, MoneyError> {
        let mut working = Working::new();
        for (kind, sum) in &self.0 {
            let transactions = ("transactions", Value::Number(sum.transactions));
            let step = match base {
                Base::Units(_) if sum.units == 0 => continue,
                Base::Units(units) => {
                    let one = 10_i128.pow(asset.accounting_exponent.into());
                    let count = Units::narrow(sum.units * one)?;
                    let percent = if is_bonus(*kind) { units.promotional } else { Rate::HUNDRED };
                    let values =
                        vec![("units", Value::Count(count)), ("percent", Value::Percent(percent)), transactions];
                    let counts = if is_bonus(*kind) { promoted(percent, count)? } else { count };
                    Step::new(StepKind::Counted, values, Value::Count(counts))
                }
                _ => {
                    let sign = sign(base, *kind);
                    let amount = Value::Units(Units::narrow(sum.amount)?);
                    let values = vec![("amount", amount), ("sign", Value::Number(sign)), transactions];
                    Step::new(StepKind::Counted, values, Value::Exact(Share::whole(sum.amount * sign)))
                }
            };
            working.push(step.of(kind.as_str()).at("base"));
        }
        let sum = self.base(base, asset)?;
        let sum = if matches!(base, Base::Units(_)) { Value::Count(sum) } else { Value::Units(sum) };
        working.push(Step::new(StepKind::Base, Vec::new(), sum).at("base"));
        Ok(working)
    }

    pub fn turnover(&self, bonus_treatment: BonusTreatment) -> Result<Units, MoneyError> {
        signed(&Base::Turnover(TurnoverBase { bonus_treatment }), self.amounts())
    }

    pub fn costs(&self, costs: &[Cost]) -> Result<Units, MoneyError> {
        let of = |kind| costs.iter().any(|cost| cost_kind(*cost) == kind);
        Units::narrow(self.amounts().filter(|(kind, _)| of(*kind)).map(|(_, amount)| amount).sum())
    }

    /// Units, on the scale of amounts: one is a major unit.
    pub fn counted(&self, units: &UnitsBase, asset: &Asset) -> Result<Units, MoneyError> {
        let one = 10_i128.pow(asset.accounting_exponent.into());
        let count = |bonus: bool| -> i128 {
            self.0.iter().filter(|(kind, _)| is_bonus(**kind) == bonus).map(|(_, sum)| sum.units).sum()
        };
        let promotional = promoted(units.promotional, Units::narrow(count(true) * one)?)?;
        Units::narrow(count(false) * one + i128::from(promotional.0))
    }
}

/// The base, before deductions, that sums of kinds make: amounts in accounting units and units.
pub fn base_of(
    base: &Base,
    sums: impl IntoIterator<Item = (AccrualKind, i128, i64)>,
    asset: &Asset,
) -> Result<Units, MoneyError> {
    let mut all = Sums::default();
    for (kind, amount, units) in sums {
        let sum = all.0.entry(kind).or_default();
        sum.amount += amount;
        sum.units += i128::from(units);
    }
    all.base(base, asset)
}

/// What one transaction of a kind adds to a base, exactly: its amount with the sign of the kind, or its units.
pub(crate) fn adds(base: &Base, kind: AccrualKind, amount: Units, units: i64, asset: &Asset) -> Share {
    let one = 10_i128.pow(asset.accounting_exponent.into());
    match base {
        Base::Units(promoted) => {
            let percent = if is_bonus(kind) { promoted.promotional } else { Rate::HUNDRED };
            Units::narrow(i128::from(units) * one).map_or_else(|_| Share::default(), |count| percent.of(count))
        }
        _ => Share::whole(i128::from(amount.0) * sign(base, kind)),
    }
}

const fn is_bonus(kind: AccrualKind) -> bool {
    matches!(kind, AccrualKind::BonusStake)
}

fn promoted(percent: Rate, count: Units) -> Result<Units, MoneyError> {
    percent.of(count).round_units(Rounding::HalfEven)
}

const fn cost_kind(cost: Cost) -> AccrualKind {
    match cost {
        Cost::BonusStakes => AccrualKind::BonusStake,
        Cost::BonusWins => AccrualKind::BonusWin,
        Cost::Fees => AccrualKind::Fee,
        Cost::JackpotContributions => AccrualKind::JackpotContribution,
        Cost::JackpotWins => AccrualKind::JackpotWin,
    }
}

fn signed(base: &Base, sums: impl IntoIterator<Item = (AccrualKind, i128)>) -> Result<Units, MoneyError> {
    Units::narrow(sums.into_iter().map(|(kind, amount)| amount * sign(base, kind)).sum())
}

/// Whether a kind adds to a base, takes from it, or leaves it alone.
fn sign(base: &Base, kind: AccrualKind) -> i128 {
    match base {
        Base::Ggr(ggr) => sign_in_ggr(ggr, kind),
        Base::Ngr(ngr) => sign_in_ggr(&ngr.gross(), kind),
        Base::Turnover(turnover) => match kind {
            AccrualKind::Stake | AccrualKind::Adjustment(Affects::Turnover) => 1,
            AccrualKind::BonusStake => i128::from(turnover.bonus_treatment != BonusTreatment::Exclude),
            _ => 0,
        },
        Base::Sales(_) => match kind {
            AccrualKind::Sale | AccrualKind::Adjustment(Affects::Sales) => 1,
            AccrualKind::Refund => -1,
            _ => 0,
        },
        // Amounts do not count there.
        Base::Units(_) => 0,
    }
}

fn sign_in_ggr(ggr: &GgrBase, kind: AccrualKind) -> i128 {
    match kind {
        AccrualKind::Stake | AccrualKind::Adjustment(Affects::Ggr) => 1,
        AccrualKind::Win => -1,
        AccrualKind::BonusStake => i128::from(ggr.bonus_treatment != BonusTreatment::Exclude),
        AccrualKind::BonusWin => -i128::from(ggr.bonus_treatment == BonusTreatment::Include),
        AccrualKind::JackpotContribution => -i128::from(ggr.jackpots == JackpotBasis::Accrual),
        AccrualKind::JackpotWin => -i128::from(ggr.jackpots == JackpotBasis::Payout),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn base(clause: Value, sums: &[(AccrualKind, i64)]) -> i64 {
        let clause: Base = serde_json::from_value(clause).expect("a base");
        let sums = sums.iter().map(|(kind, amount)| (*kind, i128::from(*amount)));
        signed(&clause, sums).expect("no overflow").0
    }

    #[test]
    fn bonus_treatments_as_worked_in_the_notes() {
        let sums = [
            (AccrualKind::Stake, 900_000),
            (AccrualKind::BonusStake, 100_000),
            (AccrualKind::Win, 860_000),
            (AccrualKind::BonusWin, 102_000),
        ];
        let ggr = |treatment: &str| base(json!({ "ggr": { "bonusTreatment": treatment } }), &sums);
        assert_eq!((ggr("INCLUDE"), ggr("STAKE_ONLY"), ggr("EXCLUDE")), (38_000, 140_000, 40_000));
        let turnover = |treatment: &str| base(json!({ "turnover": { "bonusTreatment": treatment } }), &sums);
        assert_eq!((turnover("INCLUDE"), turnover("STAKE_ONLY"), turnover("EXCLUDE")), (1_000_000, 1_000_000, 900_000));
    }

    /// Every cell of the kind table: what one unit of each kind does to each base.
    #[test]
    fn the_kind_table() {
        let table = |clause: Value| -> Vec<i64> {
            AccrualKind::ALL.iter().map(|kind| base(clause.clone(), &[(*kind, 1)])).collect()
        };
        // Stake, win, bonus stake and win, jackpot contribution and win, sale, refund, fee, adjustments of GGR,
        // turnover, sales.
        let accrual = json!({ "ggr": { "bonusTreatment": "INCLUDE", "jackpots": "ACCRUAL" } });
        assert_eq!(table(accrual), [1, -1, 1, -1, -1, 0, 0, 0, 0, 1, 0, 0]);
        let payout = json!({ "ggr": { "bonusTreatment": "EXCLUDE", "jackpots": "PAYOUT" } });
        assert_eq!(table(payout), [1, -1, 0, 0, 0, -1, 0, 0, 0, 1, 0, 0]);
        let none = json!({ "ngr": { "bonusTreatment": "STAKE_ONLY", "jackpots": "NONE", "deductions": [] } });
        assert_eq!(table(none), [1, -1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(table(json!({ "turnover": { "bonusTreatment": "INCLUDE" } })), [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(table(json!({ "sales": {} })), [0, 0, 0, 0, 0, 0, 1, -1, 0, 0, 0, 1]);
        assert_eq!(table(json!({ "units": { "promotional": "0" } })), [0; 12]);
    }

    #[test]
    fn units_are_counted_and_promotional_ones_reduced_or_free() {
        let asset = Asset::new("BIT", 2);
        let mut sums = Sums::default();
        for (kind, units) in
            [(AccrualKind::Stake, 10), (AccrualKind::BonusStake, 5), (AccrualKind::Sale, 3), (AccrualKind::Refund, -1)]
        {
            sums.add(&Accrual {
                version: 1,
                rate_class: "all".to_owned(),
                kind,
                late: false,
                amount: Units(7),
                units,
                transactions: units.abs(),
            });
        }
        let counted = |percent: &str| {
            let promotional = Rate::parse(percent).expect("a rate");
            asset.format_units(sums.counted(&UnitsBase { promotional }, &asset).expect("no overflow"))
        };
        assert_eq!((counted("0"), counted("50"), counted("100")), ("12.00".into(), "14.50".into(), "17.00".into()));
    }
}
