//! What a contract pays beside its shares: fees, and what the sum of both is held between. How it is checked is here
//! too, with the deductions of `base.rs`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::base::{Base, Cost, Deduction, JackpotBasis, NgrBase, Take};
use super::contract::{Level, Match, Terms};
use super::terms::{Problems, is_code};
use crate::error::Code;
use crate::money::{Asset, Minor, Price, Rate, Units};

/// Deductions, or fees, of one contract.
pub const MAX_CLAUSES: usize = 50;

/// A line for the cap has this clause, and the one for the guarantee the other: no fee is called so.
pub const CAP: &str = "cap";
pub const GUARANTEE: &str = "minimumGuarantee";

/// Owed whatever the shares come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fee {
    /// What lines call it.
    pub code: String,
    pub charge: Charge,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Charge {
    /// Major units a period, negative where the partner owes it; of part of a period, its days' part.
    Amount(String),
    PerUnit(PerUnit),
}

/// A price for each stake and sale, less refunds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerUnit {
    /// Major units for one unit.
    pub price: Price,
    /// Per cent of it that a promotional unit costs.
    #[serde(default)]
    pub promotional: Rate,
}

/// Advances are recouped from what is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Advance {
    /// Contracts of the partner in the same currency whose advances, and what they earn, stand for each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Per cent of what is due that is kept back.
    #[serde(default = "whole")]
    pub percent: Rate,
}

const fn whole() -> Rate {
    Rate::HUNDRED
}

/// Play is paid with credit that was bought beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prepaid {
    /// Major units, face value: below it the balance is low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_balance: Option<String>,
}

/// A player who won more than the house can bear is taken out of a negative total, and set off against himself alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RingFence {
    /// Major units, positive: a player whose base is negative by this or more is taken out.
    pub threshold: String,
}

impl Terms {
    /// Whether what it counts is kept by player, too.
    pub const fn counts_players(&self) -> bool {
        self.ring_fence.is_some()
    }

    /// The pool whose advances it recoups, if it names one.
    pub fn pool(&self) -> Option<&str> {
        self.advance.as_ref().and_then(|advance| advance.pool.as_deref())
    }

    /// Whether something of it is owed, or kept back, by the day: then a period matters although nothing happened in
    /// it, and so does which part of it a version governed.
    pub fn goes_by_days(&self) -> bool {
        let deducted = match &self.base {
            Base::Ngr(ngr) => ngr.deductions.iter().any(|deduction| matches!(deduction.take, Take::Amount(_))),
            _ => false,
        };
        let charged = self.fees.iter().any(|fee| matches!(fee.charge, Charge::Amount(_)));
        deducted || charged || self.cap.is_some() || self.minimum_guarantee.is_some()
    }
}

pub(super) fn check(terms: &Terms, asset: &Asset, problems: &mut Problems) {
    match &terms.base {
        Base::Ngr(ngr) => check_ngr(ngr, asset, problems),
        Base::Units(units) => check_part(units.promotional, "base.units.promotional", problems),
        Base::Ggr(_) | Base::Turnover(_) | Base::Sales(_) => {}
    }
    check_fees(&terms.fees, asset, problems);
    let cap = terms.cap.as_deref().and_then(|cap| check_amount(cap, "cap", asset, problems));
    let guarantee = terms.minimum_guarantee.as_deref();
    let guarantee = guarantee.and_then(|amount| check_amount(amount, "minimumGuarantee", asset, problems));
    if let (Some(cap), Some(guarantee)) = (cap, guarantee)
        && guarantee > cap
    {
        problems.bad("minimumGuarantee", "is more than the cap, which would never be kept");
    }
    check_funds(terms, asset, problems);
    check_ring_fence(terms, asset, problems);
    check_collecting(terms, problems);
}

fn check_ring_fence(terms: &Terms, asset: &Asset, problems: &mut Problems) {
    let Some(fence) = &terms.ring_fence else { return };
    match asset.parse_units(&fence.threshold) {
        Err(error) => problems.add(Code::BadAmount, "ringFence.threshold", error.to_string()),
        Ok(threshold) if threshold <= Units::ZERO => {
            let message = "is not positive; write what a player has to win at least, such as 5000";
            problems.bad("ringFence.threshold", message);
        }
        Ok(_) => {}
    }
    if !matches!(terms.base, Base::Ggr(_) | Base::Ngr(_)) {
        problems
            .bad("ringFence", "takes out what players win, and the base has no wins in it; it goes with GGR and NGR");
    }
    if terms.negative.level == Level::PerClass {
        let message = "goes by the total of all rate classes, and negative.level is PER_CLASS; write TOTAL there";
        problems.bad("ringFence", message);
    }
    if terms.rate_table.matching == Match::Collect {
        problems.bad("ringFence", COLLECTS);
    }
}

const COLLECTS: &str = "goes by all classes together, and a table that collects counts one transaction in several";

/// What counts transactions of all classes together would count some of them several times.
fn check_collecting(terms: &Terms, problems: &mut Problems) {
    if terms.rate_table.matching != Match::Collect {
        return;
    }
    for (position, fee) in terms.fees.iter().enumerate() {
        if matches!(fee.charge, Charge::PerUnit(_)) {
            problems.bad(format!("fees.{position}.charge.perUnit"), COLLECTS);
        }
    }
    if terms.prepaid.is_some() {
        problems.bad("prepaid", COLLECTS);
    }
}

fn check_funds(terms: &Terms, asset: &Asset, problems: &mut Problems) {
    if let Some(advance) = &terms.advance {
        check_part(advance.percent, "advance.percent", problems);
        if advance.percent == Rate::default() {
            problems.bad("advance.percent", "is nothing, so that advances would never be recouped");
        }
        if advance.pool.as_deref().is_some_and(|pool| !is_code(pool)) {
            problems.bad("advance.pool", super::terms::CODE_RULE);
        }
        if terms.prepaid.is_some() {
            problems.bad("advance", "does not go with prepaid credit, which is paid beforehand itself");
        }
    }
    let Some(prepaid) = &terms.prepaid else { return };
    if let Some(low) = &prepaid.low_balance {
        check_amount(low, "prepaid.lowBalance", asset, problems);
    }
    if let Base::Units(_) = terms.base {
        problems.bad("prepaid", "pays for money that is played, and the base counts units");
    }
}

fn check_ngr(ngr: &NgrBase, asset: &Asset, problems: &mut Problems) {
    if ngr.deductions.is_empty() {
        problems.bad("base.ngr.deductions", "has no deduction; the base GGR is NGR without any");
    }
    if !check_count(ngr.deductions.len(), "base.ngr.deductions", problems) {
        return;
    }
    let mut seen = BTreeSet::new();
    let mut costs = BTreeSet::new();
    for (position, deduction) in ngr.deductions.iter().enumerate() {
        let path = format!("base.ngr.deductions.{position}");
        check_code(&deduction.code, &path, &mut seen, problems);
        check_take(ngr, deduction, &path, asset, problems);
        if let Some(cap) = &deduction.cap {
            check_part(cap.percent, format!("{path}.cap.percent"), problems);
        }
        let Take::Costs(taken) = &deduction.take else { continue };
        for cost in taken.of.iter().filter(|cost| !costs.insert(**cost)) {
            let message = format!("{} are deducted twice", cost.as_str());
            problems.bad(format!("{path}.take.costs.of"), message);
        }
    }
}

fn check_take(ngr: &NgrBase, deduction: &Deduction, path: &str, asset: &Asset, problems: &mut Problems) {
    match &deduction.take {
        Take::PercentOf(take) => check_part(take.percent, format!("{path}.take.percentOf.percent"), problems),
        Take::Amount(amount) => {
            check_amount(amount, &format!("{path}.take.amount"), asset, problems);
        }
        Take::Costs(costs) => {
            let path = format!("{path}.take.costs");
            check_part(costs.percent, format!("{path}.percent"), problems);
            if costs.of.is_empty() {
                problems.bad(format!("{path}.of"), "names no cost");
            }
            let counted = [
                (Cost::JackpotContributions, JackpotBasis::Accrual, "reduce GGR as they are made"),
                (Cost::JackpotWins, JackpotBasis::Payout, "reduce GGR as they are paid"),
            ];
            for (cost, basis, how) in counted {
                if costs.of.contains(&cost) && ngr.jackpots == basis {
                    let message = format!("{} {how} already; say jackpots: NONE to deduct them here", cost.as_str());
                    problems.bad(format!("{path}.of"), message);
                }
            }
        }
    }
}

fn check_fees(fees: &[Fee], asset: &Asset, problems: &mut Problems) {
    if !check_count(fees.len(), "fees", problems) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (position, fee) in fees.iter().enumerate() {
        let path = format!("fees.{position}");
        check_code(&fee.code, &path, &mut seen, problems);
        if [CAP, GUARANTEE].contains(&fee.code.as_str()) {
            problems.bad(format!("{path}.code"), format!("'{}' is what another line is called", fee.code));
        }
        match &fee.charge {
            Charge::Amount(amount) => match asset.parse_minor(amount) {
                Err(error) => problems.add(Code::BadAmount, format!("{path}.charge.amount"), error.to_string()),
                Ok(Minor::ZERO) => problems.bad(format!("{path}.charge.amount"), "is nothing"),
                Ok(_) => {}
            },
            Charge::PerUnit(unit) => {
                check_part(unit.promotional, format!("{path}.charge.perUnit.promotional"), problems);
            }
        }
    }
}

fn check_count(count: usize, path: &str, problems: &mut Problems) -> bool {
    if count > MAX_CLAUSES {
        problems.bad(path, format!("has {count} entries; {MAX_CLAUSES} are allowed"));
    }
    count <= MAX_CLAUSES
}

fn check_code<'a>(code: &'a str, path: &str, seen: &mut BTreeSet<&'a str>, problems: &mut Problems) {
    if !is_code(code) {
        problems.bad(format!("{path}.code"), super::terms::CODE_RULE);
    }
    if !seen.insert(code) {
        problems.bad(format!("{path}.code"), format!("'{code}' is the code of an earlier one"));
    }
}

/// A percentage from nothing to the whole.
fn check_part(percent: Rate, path: impl Into<String>, problems: &mut Problems) {
    if percent.is_negative() {
        problems.bad(path, format!("{percent} % is negative"));
    } else if percent > Rate::HUNDRED {
        problems.bad(path, format!("{percent} % is more than the whole"));
    }
}

fn check_amount(amount: &str, path: &str, asset: &Asset, problems: &mut Problems) -> Option<Minor> {
    match asset.parse_minor(amount) {
        Err(error) => problems.add(Code::BadAmount, path, error.to_string()),
        Ok(amount) if amount < Minor::ZERO => problems.add(Code::NegativeAmount, path, "is negative"),
        Ok(amount) => return Some(amount),
    }
    None
}
