//! A contract's versions in one currency, ready to calculate with, and which part of a period each of them governs.

use std::collections::BTreeMap;

use super::rates::Rates;
use crate::contracts::Period;
use crate::contracts::contract::{ActiveVersion, Base, Take, Terms};
use crate::error::{Code, Problem};
use crate::money::{Asset, Minor, MoneyError};
use crate::time::Timestamp;

#[derive(Debug)]
pub struct Clauses<'a> {
    pub(super) asset: &'a Asset,
    /// In the order in which they took over.
    pub(super) versions: Vec<Clause<'a>>,
}

#[derive(Debug)]
pub(super) struct Clause<'a> {
    pub active: &'a ActiveVersion,
    /// When another version takes over, in whatever currency, or its last day is over.
    until: Option<Timestamp>,
    minimum_payout: Minor,
    /// By code: the row's place in the table and its rates.
    pub classes: BTreeMap<&'a str, (usize, Rates)>,
}

/// Part of a period: so many of its local days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub days: i64,
    pub of: i64,
}

impl<'a> Clauses<'a> {
    /// Takes one contract's versions; those in another currency than `asset` do not count.
    pub fn new(versions: &'a [ActiveVersion], asset: &'a Asset) -> Result<Self, Problem> {
        let mut clauses = Vec::new();
        for active in versions.iter().filter(|active| active.terms.currency == asset.code) {
            let mut classes = BTreeMap::new();
            for (position, row) in active.terms.rate_table.rows.iter().enumerate() {
                classes.insert(row.code.as_str(), (position, Rates::of(row, asset)?));
            }
            let minimum_payout = minor(asset, &active.terms.minimum_payout, "minimumPayout")?;
            let until = active.until(versions);
            clauses.push(Clause { active, until, minimum_payout, classes });
        }
        clauses.sort_by_key(|clause| clause.active.order());
        Ok(Self { asset, versions: clauses })
    }

    /// Where a line of this version and class stands among others.
    pub(super) fn place(&self, version: i64, class: &str) -> Option<(usize, usize)> {
        let position = self.versions.iter().position(|clause| clause.active.version == version)?;
        Some((position, self.versions[position].classes.get(class)?.0))
    }

    /// The version in force when a period ends.
    pub(super) fn last_of(&self, period: Period) -> Option<&Clause<'a>> {
        let in_force = |clause: &&Clause<'_>| clause.active.valid_from < period.end;
        self.versions.iter().rev().find(in_force).or(self.versions.first())
    }

    /// What is paid in a period at least, or else carried on: nothing is, where the contract ends with it or has ended
    /// before, because no period follows.
    pub(super) fn minimum_payout(&self, period: Period) -> Minor {
        let goes_on = |clause: &Clause<'_>| {
            clause.active.replaced_at.is_none() && clause.until.is_none_or(|until| period.end < until)
        };
        let last = self.last_of(period).filter(|_| self.versions.iter().any(goes_on));
        last.map(|clause| clause.minimum_payout).unwrap_or_default()
    }

    /// The versions that govern some of a period, each with its part of it.
    pub(super) fn governing(&self, period: Period) -> impl Iterator<Item = (&Clause<'a>, Part)> {
        let parts = self.versions.iter().map(move |clause| (clause, clause.part(period)));
        parts.filter(|(_, part)| part.days > 0)
    }
}

impl Clause<'_> {
    pub const fn terms(&self) -> &Terms {
        &self.active.terms
    }

    /// Whether its base has less in it by an amount for each period.
    pub fn deducts_amounts(&self) -> bool {
        let Base::Ngr(ngr) = &self.terms().base else { return false };
        ngr.deductions.iter().any(|deduction| matches!(deduction.take, Take::Amount(_)))
    }

    pub fn part(&self, period: Period) -> Part {
        let from = period.start.max(self.active.valid_from);
        let until = self.until.map_or(period.end, |until| period.end.min(until));
        let cycle = &self.active.terms.cycle;
        // What another version replaced governs nothing, although closed settlements still name it.
        let governs = self.active.replaced_at.is_none() && from < until;
        let days = if governs { cycle.days(from, until) } else { 0 };
        Part { days, of: cycle.days(period.start, period.end).max(1) }
    }
}

impl Part {
    /// This part of an amount for the whole.
    pub fn of(self, amount: i64, rounding: crate::money::Rounding) -> Result<i64, MoneyError> {
        let wide = rounding.divide(i128::from(amount) * i128::from(self.days), i128::from(self.of));
        i64::try_from(wide).map_err(|_| MoneyError::Overflow)
    }
}

/// An amount of the terms in minor units.
pub(super) fn minor(asset: &Asset, text: &str, path: &str) -> Result<Minor, Problem> {
    asset.parse_minor(text).map_err(|error| Problem::new(Code::BadAmount, path, error.to_string()))
}
