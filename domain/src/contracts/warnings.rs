//! What somebody should know about the money before terms are signed. `findings.rs` looks at the rate table as a table;
//! here is what the terms would pay, alone and beside the tenant's other contracts. Warnings refuse nothing.

mod rows;
mod together;

use std::collections::BTreeMap;

use chrono::Datelike;

use super::contract::{ActiveVersion, Base, DeductionBase, RateTable, Take, Terms};
use super::terms::overlap;
use super::text::say::{Statement, Value, say};
use super::text::{Cliff, Words, cliffs};
use crate::calendars::BusinessCalendar;
use crate::ids::{ContractId, PartnerId};
use crate::money::Asset;
use crate::notifications::Language;
use crate::time::Timestamp;

/// Warnings of one kind that are told; a hundred say enough.
pub const MAX_TOLD: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningCode {
    /// A step by volume above which less is paid than below.
    TierCliff,
    /// What several contracts, or several rows, take of the same is more than all of it.
    RatesAboveWhole,
    /// A row that no transaction of the last month was in.
    RowUnreached,
    /// Another contract counts some of the same, and both are paid.
    ScopeOverlap,
    /// A pool of advances with one contract in it.
    PoolAlone,
    /// A deduction goes by something else than what the contract pays for.
    TaxBaseDiffers,
    /// The contract's partner has no part of what is split.
    PartnerNotParty,
    /// Due dates go by a calendar in which nobody entered holidays of their year.
    CalendarWithoutHolidays,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub code: WarningCode,
    /// The field of the terms, such as `rateTable.rows.3.tiers.steps.1`.
    pub path: String,
    said: Statement,
}

impl Warning {
    fn new(code: WarningCode, path: impl Into<String>, said: Statement) -> Self {
        Self { code, path: path.into(), said }
    }

    pub fn message(&self, language: Language) -> String {
        self.said.in_language(language)
    }
}

/// What there is beside a version.
pub struct Around<'a> {
    /// Of each other contract the version in force when this one is, of all partners.
    pub others: &'a [ActiveVersion],
    pub contracts: &'a BTreeMap<ContractId, String>,
    pub partners: &'a BTreeMap<PartnerId, String>,
    /// What was counted under this version lately; absent where nothing was.
    pub counted: Option<Counted>,
    /// All of the tenant's.
    pub calendars: &'a [BusinessCalendar],
    pub now: Timestamp,
}

/// Transactions by rate class, of settlements that were open since an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub since: Timestamp,
    pub by_class: BTreeMap<String, i64>,
}

/// Of each contract but `own` the version in force at an instant.
pub fn others_at(own: ContractId, at: Timestamp, active: &[ActiveVersion]) -> Vec<ActiveVersion> {
    let mut others: BTreeMap<ContractId, &ActiveVersion> = BTreeMap::new();
    let in_force =
        |version: &&ActiveVersion| version.contract != own && version.replaced_at.is_none() && version.valid_from <= at;
    for version in active.iter().filter(in_force) {
        let latest = others.entry(version.contract).or_insert(version);
        if version.order() > latest.order() {
            *latest = version;
        }
    }
    let goes_on = |version: &&ActiveVersion| version.terms.ends().is_none_or(|ends| at < ends);
    others.into_values().filter(goes_on).cloned().collect()
}

/// Contracts that count some of what this one does.
pub fn overlapping<'o>(own: &ActiveVersion, others: &'o [ActiveVersion]) -> Vec<&'o ActiveVersion> {
    let meets = |other: &&ActiveVersion| {
        let shared = own.terms.currencies().any(|currency| other.terms.settles_in(currency));
        shared && overlap(&other.terms.scope, &own.terms.scope)
    };
    others.iter().filter(meets).collect()
}

pub fn check(own: &ActiveVersion, asset: &Asset, around: &Around<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    tier_cliffs(&own.terms, asset, &mut found);
    rows::above_whole(&own.terms, &mut found);
    let overlapping = overlapping(own, around.others);
    together::above_whole(own, &overlapping, around, &mut found);
    unreached(&own.terms, around, &mut found);
    scopes(own, &overlapping, around, &mut found);
    pool(own, around, &mut found);
    taxes(&own.terms, &mut found);
    party(own, &mut found);
    holidays(own, around, &mut found);
    found
}

fn tier_cliffs(terms: &Terms, asset: &Asset, found: &mut Vec<Warning>) {
    let (sources, partners) = (BTreeMap::new(), BTreeMap::new());
    let words = Words { asset, sources: &sources, partners: &partners, calendars: &[] };
    let counts = matches!(terms.base, Base::Units(_));
    let shown = |base| if counts { Value::count(asset, base) } else { Value::units(asset, base) };
    // With one row at a time, or a long table would be copied for each of its rows.
    let rows = RateTable { rows: Vec::new(), ..terms.rate_table.clone() };
    let mut alone = Terms { rate_table: rows, ..terms.clone() };
    for (row, own) in terms.rate_table.rows.iter().enumerate() {
        alone.rate_table.rows = vec![own.clone()];
        for Cliff { step, edge, above, at_edge, at_above } in cliffs(&alone, &words, 0) {
            let said = say!(
                "warning.TIER_CLIFF",
                code = &own.code,
                base = shown(edge),
                amount = Value::minor(asset, at_edge),
                above = shown(above),
                less = Value::minor(asset, at_above),
            );
            let path = format!("rateTable.rows.{row}.tiers.steps.{step}");
            found.push(Warning::new(WarningCode::TierCliff, path, said));
        }
        if found.len() >= MAX_TOLD {
            return found.truncate(MAX_TOLD);
        }
    }
}

fn unreached(terms: &Terms, around: &Around<'_>, found: &mut Vec<Warning>) {
    let Some(counted) = &around.counted else { return };
    let transactions: i64 = counted.by_class.values().sum();
    if transactions == 0 {
        return;
    }
    let since = counted.since.local(terms.cycle.time_zone).date();
    let rows = terms.rate_table.rows.iter().enumerate();
    let unreached = rows.filter(|(_, row)| counted.by_class.get(&row.code).copied().unwrap_or_default() == 0);
    found.extend(unreached.take(MAX_TOLD).map(|(place, row)| {
        let said = say!("warning.ROW_UNREACHED", transactions = transactions, from = since, code = &row.code);
        Warning::new(WarningCode::RowUnreached, format!("rateTable.rows.{place}"), said)
    }));
}

fn scopes(own: &ActiveVersion, overlapping: &[&ActiveVersion], around: &Around<'_>, found: &mut Vec<Warning>) {
    let twice = overlapping.iter().filter_map(|other| {
        let contract = around.contract(other.contract);
        let same_partner = other.partner == own.partner;
        let said = match (same_partner, other.terms.role == own.terms.role) {
            (true, false) => say!("warning.SCOPE_OVERLAP.role", contract = &contract),
            (false, true) => {
                let partner = around.partners.get(&other.partner).cloned().unwrap_or_default();
                say!("warning.SCOPE_OVERLAP.partner", contract = &contract, partner = &partner)
            }
            // Different partners in different roles are what a chain of them is, and the same in both is refused.
            _ => return None,
        };
        Some(Warning::new(WarningCode::ScopeOverlap, "scope", said))
    });
    found.extend(twice.take(MAX_TOLD));
}

fn pool(own: &ActiveVersion, around: &Around<'_>, found: &mut Vec<Warning>) {
    let Some(pool) = own.terms.pool() else { return };
    let shares = |other: &ActiveVersion| {
        other.partner == own.partner && other.terms.currency == own.terms.currency && other.terms.pool() == Some(pool)
    };
    if !around.others.iter().any(shares) {
        let currency = Value::Number(own.terms.currency.clone());
        let said = say!("warning.POOL_ALONE", currency = currency, pool = pool);
        found.push(Warning::new(WarningCode::PoolAlone, "advance.pool", said));
    }
}

fn taxes(terms: &Terms, found: &mut Vec<Warning>) {
    let Base::Ngr(ngr) = &terms.base else { return };
    for (place, deduction) in ngr.deductions.iter().enumerate() {
        let path = format!("base.ngr.deductions.{place}");
        if let Take::PercentOf(take) = &deduction.take
            && take.of == DeductionBase::Turnover
        {
            let said = say!("warning.TAX_BASE_DIFFERS", code = &deduction.code, percent = take.percent);
            found.push(Warning::new(WarningCode::TaxBaseDiffers, format!("{path}.take.percentOf.of"), said));
        }
        if let Some(cap) = &deduction.cap
            && cap.of == DeductionBase::Turnover
        {
            let said = say!("warning.TAX_BASE_DIFFERS.cap", code = &deduction.code, percent = cap.percent);
            found.push(Warning::new(WarningCode::TaxBaseDiffers, format!("{path}.cap.of"), said));
        }
    }
}

fn party(own: &ActiveVersion, found: &mut Vec<Warning>) {
    let Some(split) = &own.terms.split else { return };
    if !split.parties().iter().any(|party| party.partner == own.partner) {
        found.push(Warning::new(WarningCode::PartnerNotParty, split.path(), say!("warning.PARTNER_NOT_PARTY")));
    }
}

/// The due dates of the period that runs, or of the first one, and of the one after it.
fn holidays(own: &ActiveVersion, around: &Around<'_>, found: &mut Vec<Warning>) {
    let Some(payment) = &own.terms.payment else { return };
    let cycle = &own.terms.cycle;
    let first = cycle.period(around.now.max(own.valid_from));
    let periods = [first, cycle.period(first.end)];
    let dates = periods.map(|period| own.terms.due_on(period, Some(period.end), around.calendars));
    for (place, code) in payment.calendars.iter().enumerate() {
        let Some(calendar) = around.calendars.iter().find(|calendar| calendar.code == *code) else { continue };
        if let Some(due) = dates.iter().flatten().find(|due| !calendar.knows(due.year())) {
            let said = say!("warning.CALENDAR_WITHOUT_HOLIDAYS", code = code, due = *due);
            let path = format!("payment.calendars.{place}");
            found.push(Warning::new(WarningCode::CalendarWithoutHolidays, path, said));
        }
    }
}

impl Around<'_> {
    fn contract(&self, id: ContractId) -> String {
        self.contracts.get(&id).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
