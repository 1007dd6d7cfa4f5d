//! Step 2: from GGR to NGR, one deduction after the other.
//!
//! Where rate classes net together, a deduction is computed on all classes of its version together, as a contract
//! means it, and then shared out between them: costs by what each class cost, percentages by what each has of their
//! base. Where each class stands alone it is computed for each, but for a fixed amount, which there is only once.
//! Nothing here is negative: a deduction of a negative base is nothing, and a loss becomes no cost's income.

use super::clauses::{Clauses, Part};
use super::formula::{Sheet, Step, StepKind, Value};
use super::line::{Line, LineCode};
use super::settlement::{Class, overflow};
use crate::contracts::contract::{Base, Deduction, DeductionBase, Level, NgrBase, PercentOf, Take};
use crate::error::{Code, Problem};
use crate::money::{Asset, Minor, MoneyError, Rounding, Units, split};

/// Deducts from the bases of classes in the order of versions, and says what was deducted.
pub(super) fn deduct(clauses: &Clauses<'_>, classes: &mut [Class<'_>], sheet: &mut Sheet) -> Result<(), Problem> {
    for own in classes.chunk_by_mut(|a, b| a.clause.active.version == b.clause.active.version) {
        let clause = own[0].clause;
        let Base::Ngr(ngr) = &clause.terms().base else { continue };
        let part = own[0].part;
        for class in own.iter() {
            let line = class.line(LineCode::Gross, class.base, None, Minor::ZERO);
            sheet.push(line, || class.working.clone().unwrap_or_default());
        }
        let step = Taking { asset: clauses.asset, ngr, part, rounding: clause.terms().rounding };
        let ggr: Vec<i64> = own.iter().map(|class| class.base.0).collect();
        for (position, deduction) in ngr.deductions.iter().enumerate() {
            let named = |error: MoneyError| {
                overflow(error, &format!("version {}, deduction '{}'", clause.active.version, deduction.code))
            };
            let taken = step.take(position, deduction, own, &ggr).map_err(|fault| match fault {
                Fault::Money(error) => named(error),
                Fault::Terms(problem) => problem,
            })?;
            for (class, Taken { taken, working }) in own.iter_mut().zip(taken) {
                let rest = class.base.checked_sub(Units(taken)).map_err(named)?;
                if taken != 0 {
                    let line = class.line(LineCode::Deduction, Units(-taken), None, Minor::ZERO);
                    let line = Line { clause: Some(deduction.code.clone()), ..line };
                    class.tell(|| working.clone());
                    sheet.push(line, || vec![working]);
                }
                (class.base, class.netted) = (rest, rest.0);
            }
        }
    }
    Ok(())
}

/// What one deduction takes from one class, and how that comes about.
struct Taken {
    taken: i64,
    working: Step,
}

/// What bases come to together; what a percentage of them is taken of is not below nothing.
fn total(bases: &[Units]) -> Value {
    Units::sum(bases.iter().copied()).map_or(Value::Number(0), Value::Units)
}

enum Fault {
    Money(MoneyError),
    Terms(Problem),
}

impl From<MoneyError> for Fault {
    fn from(error: MoneyError) -> Self {
        Self::Money(error)
    }
}

struct Taking<'a> {
    asset: &'a Asset,
    ngr: &'a NgrBase,
    part: Part,
    rounding: Rounding,
}

impl Taking<'_> {
    /// What one deduction takes from each class; `ggr` is what each had before any.
    fn take(
        &self,
        position: usize,
        deduction: &Deduction,
        classes: &[Class<'_>],
        ggr: &[i64],
    ) -> Result<Vec<Taken>, Fault> {
        let together =
            matches!(deduction.take, Take::Amount(_)) || classes[0].clause.terms().negative.level == Level::Total;
        if together {
            return self.take_of(position, deduction, classes, ggr);
        }
        let mut taken = Vec::with_capacity(classes.len());
        for (class, ggr) in classes.iter().zip(ggr) {
            let (class, ggr) = (std::slice::from_ref(class), std::slice::from_ref(ggr));
            taken.extend(self.take_of(position, deduction, class, ggr)?);
        }
        Ok(taken)
    }

    fn take_of(
        &self,
        position: usize,
        deduction: &Deduction,
        classes: &[Class<'_>],
        ggr: &[i64],
    ) -> Result<Vec<Taken>, Fault> {
        let path = format!("base.ngr.deductions.{position}");
        let (asked, mut weights, mut values) = match &deduction.take {
            Take::PercentOf(percent) => {
                let base = self.bases(percent.of, classes, ggr)?;
                let values = vec![("percent", Value::Percent(percent.percent)), ("of", total(&base))];
                (self.percent(percent, &base)?, base, values)
            }
            Take::Costs(costs) => {
                let each: Result<Vec<Units>, MoneyError> =
                    classes.iter().map(|class| class.sums.costs(&costs.of)).collect();
                let each = each?;
                let sum = Units::sum(each.iter().copied())?.max(Units::ZERO);
                let values = vec![("percent", Value::Percent(costs.percent)), ("costs", Value::Units(sum))];
                (costs.percent.of(sum).round_units(self.rounding)?, each, values)
            }
            Take::Amount(amount) => {
                let days = vec![("days", self.part.days), ("ofDays", self.part.of)];
                let values = days.into_iter().map(|(name, days)| (name, Value::Number(days.into()))).collect();
                (self.amount(position, amount)?, self.bases(DeductionBase::Running, classes, ggr)?, values)
            }
        };
        values.push(("asked", Value::Units(asked)));
        let cost = match &deduction.cap {
            Some(cap) => {
                let base = self.bases(cap.of, classes, ggr)?;
                let most = self.percent(cap, &base)?;
                values.extend([("capPercent", Value::Percent(cap.percent)), ("capOf", total(&base))]);
                values.push(("cap", Value::Units(most)));
                asked.min(most)
            }
            None => asked,
        };
        values.push(("cost", Value::Units(cost)));
        if weights.iter().all(|weight| *weight <= Units::ZERO) {
            // Nobody has anything of what it goes by, so the first class bears it.
            weights = vec![Units::ZERO; classes.len()];
            weights[0] = Units(1);
        }
        let weights: Vec<u64> = weights.iter().map(|weight| weight.0.max(0).unsigned_abs()).collect();
        let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let taken = split(cost.0, &weights).ok_or(MoneyError::Overflow)?;
        let of_class = |(taken, weight): (i64, &u64)| {
            let share = [("weight", Value::Number((*weight).into())), ("weights", Value::Number(all))];
            let values = values.iter().copied().chain(share).collect();
            let step = Step::new(StepKind::Deduction, values, Value::Units(Units(taken)));
            Taken { taken, working: step.of(deduction.code.as_str()).at(path.as_str()) }
        };
        Ok(taken.into_iter().zip(&weights).map(of_class).collect())
    }

    fn amount(&self, position: usize, amount: &str) -> Result<Units, Fault> {
        let parsed = self.asset.parse_units(amount).map_err(|error| {
            let path = format!("base.ngr.deductions.{position}.take.amount");
            Fault::Terms(Problem::new(Code::BadAmount, path, error.to_string()))
        })?;
        Ok(Units(self.part.of(parsed.0, self.rounding)?))
    }

    /// A percentage of what is positive in all.
    fn percent(&self, percent: &PercentOf, bases: &[Units]) -> Result<Units, MoneyError> {
        let sum = Units::sum(bases.iter().copied())?.max(Units::ZERO);
        percent.percent.of(sum).round_units(self.rounding)
    }

    fn bases(&self, of: DeductionBase, classes: &[Class<'_>], ggr: &[i64]) -> Result<Vec<Units>, MoneyError> {
        match of {
            DeductionBase::Ggr => Ok(ggr.iter().copied().map(Units).collect()),
            DeductionBase::Running => Ok(classes.iter().map(|class| class.base).collect()),
            DeductionBase::Turnover => {
                classes.iter().map(|class| class.sums.turnover(self.ngr.bonus_treatment)).collect()
            }
        }
    }
}
