//! Steps 7 to 9: fees, the cap and the guaranteed minimum. What goes by the period goes, of part of a period, by the
//! days of that part.

use super::clauses::{Clause, Clauses, Part, minor};
use super::formula::{Sheet, Step, StepKind, Value, Working, rounding_name};
use super::line::{Line, LineCode};
use super::settlement::{Class, overflow};
use crate::contracts::Period;
use crate::contracts::clauses::{CAP, GUARANTEE};
use crate::contracts::contract::{Charge, PerUnit, Terms, UnitsBase};
use crate::error::Problem;
use crate::money::{Asset, Minor, MoneyError, Share, Units};

/// Adds the lines that come after the shares of the classes.
pub(super) fn add(
    clauses: &Clauses<'_>,
    period: Period,
    classes: &[Class<'_>],
    sheet: &mut Sheet,
) -> Result<(), Problem> {
    for clause in &clauses.versions {
        let part = clause.part(period);
        let own: Vec<&Class<'_>> =
            classes.iter().filter(|class| class.clause.active.version == clause.active.version).collect();
        for (position, fee) in clause.terms().fees.iter().enumerate() {
            let named = |error| overflow(error, &format!("version {}, fee '{}'", clause.active.version, fee.code));
            let path = format!("fees.{position}.charge");
            let (line, working) = match &fee.charge {
                Charge::Amount(amount) => {
                    let path = format!("{path}.amount");
                    let whole = minor(clauses.asset, amount, &path)?;
                    let amount = Minor(part.of(whole.0, clause.terms().rounding).map_err(named)?);
                    let line = Line::plain(LineCode::Fee, clause.active.version, amount);
                    (line, vec![part_of(whole, part, clause, amount).at(path)])
                }
                Charge::PerUnit(unit) => per_unit(clauses, clause, unit, &own, &path).map_err(named)?,
            };
            if line.amount != Minor::ZERO {
                sheet.push(Line { clause: Some(fee.code.clone()), ..line }, || working);
            }
        }
    }
    let cap = Bound {
        code: LineCode::Cap,
        clause: CAP,
        amount: |terms| terms.cap.as_deref(),
        difference: |sum, cap| (cap - sum).min(0),
    };
    let guarantee = Bound {
        code: LineCode::Guarantee,
        clause: GUARANTEE,
        amount: |terms| terms.minimum_guarantee.as_deref(),
        difference: |sum, guaranteed| (guaranteed - sum).max(0),
    };
    cap.hold(clauses, period, sheet)?;
    guarantee.hold(clauses, period, sheet)
}

/// The part of an amount that goes to the days which a version governs.
fn part_of(whole: Minor, part: Part, clause: &Clause<'_>, amount: Minor) -> Step {
    let days = |days: i64| Value::Number(days.into());
    let values = vec![("amount", Value::Minor(whole)), ("days", days(part.days)), ("ofDays", days(part.of))];
    Step::new(StepKind::Part, values, Value::Minor(amount)).of(rounding_name(clause.terms().rounding))
}

fn per_unit(
    clauses: &Clauses<'_>,
    clause: &Clause<'_>,
    unit: &PerUnit,
    classes: &[&Class<'_>],
    path: &str,
) -> Result<(Line, Working), MoneyError> {
    let counts = UnitsBase { promotional: unit.promotional };
    let each: Result<Vec<Units>, MoneyError> =
        classes.iter().map(|class| class.sums.counted(&counts, clauses.asset)).collect();
    let count = Units::sum(each?)?;
    let share: Share = unit.price.of(count);
    let amount = share.round(clauses.asset, clause.terms().rounding)?;
    let line = Line::plain(LineCode::Fee, clause.active.version, amount);
    let base = Step::new(StepKind::Base, Vec::new(), Value::Count(count));
    let values = vec![("stretch", Value::Count(count)), ("rate", Value::Price(unit.price.digits()))];
    let rated = Step::new(StepKind::Rated, values, Value::Exact(share)).at(format!("{path}.perUnit.price"));
    let rounded = Step::new(StepKind::Rounded, vec![("exact", Value::Exact(share))], Value::Minor(amount));
    let rounded = rounded.of(rounding_name(clause.terms().rounding)).at("rounding");
    let counted = counted(&counts, classes, clauses.asset)?;
    let working = counted.into_iter().chain([base.at(path), rated, rounded]).collect();
    Ok((Line { base: Some(count), rate: Some(unit.price.digits()), ..line }, working))
}

/// What each class counts. Classes are counted, and rounded, one by one.
fn counted(counts: &UnitsBase, classes: &[&Class<'_>], asset: &Asset) -> Result<Working, MoneyError> {
    let of_class = |class: &&Class<'_>| {
        let count = class.sums.counted(counts, asset)?;
        let step = Step::new(StepKind::Counted, vec![("units", Value::Count(count))], Value::Count(count));
        Ok(step.of(class.code))
    };
    classes.iter().map(of_class).collect()
}

/// A clause that holds the sum of shares and fees.
struct Bound {
    code: LineCode,
    clause: &'static str,
    amount: fn(&Terms) -> Option<&str>,
    /// What a sum is held back or topped up by.
    difference: fn(i128, i128) -> i128,
}

impl Bound {
    /// One line for all versions that have the clause, on the last of them: what they come to together is held
    /// against the parts of the period that each of them governs.
    fn hold(&self, clauses: &Clauses<'_>, period: Period, sheet: &mut Sheet) -> Result<(), Problem> {
        let named = |error| overflow(error, self.clause);
        let (mut versions, mut working) = (Vec::new(), Working::new());
        let mut bound: i128 = 0;
        for (clause, part) in clauses.governing(period) {
            let Some(amount) = (self.amount)(clause.terms()) else { continue };
            let whole = minor(clauses.asset, amount, self.clause)?;
            let own = Minor(part.of(whole.0, clause.terms().rounding).map_err(named)?);
            bound += i128::from(own.0);
            versions.push(clause.active.version);
            working.push(part_of(whole, part, clause, own).at(self.clause));
        }
        let Some(last) = versions.last() else { return Ok(()) };
        let counted = sheet.lines.iter().filter(|line| versions.contains(&line.version));
        let sum: i128 = counted.map(|line| i128::from(line.amount.0)).sum();
        let amount = Minor::narrow((self.difference)(sum, bound)).map_err(named)?;
        if amount != Minor::ZERO {
            let line = Line::plain(self.code, *last, amount);
            let (sum, bound) = (Minor::narrow(sum).map_err(named)?, Minor::narrow(bound).map_err(named)?);
            sheet.push(Line { clause: Some(self.clause.to_owned()), ..line }, || {
                working.push(Step::new(StepKind::Bounded, Vec::new(), Value::Minor(sum)));
                let values = vec![("bound", Value::Minor(bound)), ("sum", Value::Minor(sum))];
                working.push(Step::new(StepKind::Bound, values, Value::Minor(amount)).at(self.clause));
                working
            });
        }
        Ok(())
    }
}
