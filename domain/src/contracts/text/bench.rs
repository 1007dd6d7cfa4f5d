//! What examples are calculated with: a version as it is, or one clause of it alone, on round sums, by the calculation
//! that settlements go through.

use super::clauses::Words;
use super::say::Value;
use crate::contracts::contract::{ActiveVersion, Base, Match, RateRow, RateTable, SalesBase, Terms};
use crate::contracts::{AccrualKind, Period};
use crate::ids::{ContractId, PartnerId, SettlementId};
use crate::money::{Minor, Rate, Units};
use crate::settlements::settlement::{Accrual, Carry, Clauses, Computed, Counts, Funds, Line, LineCode, compute};
use crate::time::Timestamp;

/// A rate class for examples that are about none of the table.
pub const CLASS: &str = "example";

pub struct Bench<'w> {
    pub words: &'w Words<'w>,
    pub version: ActiveVersion,
    /// The first one that lies wholly in the version.
    pub period: Period,
    /// When the terms end. Examples go on as if they did not.
    pub ends: Option<Timestamp>,
    /// A round sum for this currency, in minor units.
    pub round: i64,
}

impl<'w> Bench<'w> {
    pub fn new(terms: &Terms, words: &'w Words<'w>) -> Self {
        let valid_from = terms.cycle.start_of(terms.valid_from);
        let first = terms.cycle.period(valid_from);
        let period = if first.start == valid_from { first } else { terms.cycle.period(first.end) };
        let (contract, partner) = (ContractId::NONE, PartnerId::NONE);
        let endless = Terms { valid_until: None, ..terms.clone() };
        let version = ActiveVersion { contract, partner, version: 1, valid_from, replaced_at: None, terms: endless };
        let major = if words.asset.exponent == 0 { 1_000_000 } else { 10_000 };
        Self { words, version, period, ends: terms.ends(), round: major * 10_i64.pow(words.asset.exponent.into()) }
    }

    /// Without any clause but those that `keep` puts back: the whole of what was sold is the partner's.
    pub fn alone(&self, keep: impl FnOnce(&mut Terms, &Terms)) -> Self {
        let own = &self.version.terms;
        let whole = RateRow {
            code: CLASS.to_owned(),
            when: None,
            cells: Vec::new(),
            percent: Some(Rate::HUNDRED),
            per_unit: None,
            tiers: None,
        };
        let mut terms = Terms {
            base: Base::Sales(SalesBase {}),
            rate_table: RateTable { matching: Match::First, columns: Vec::new(), rows: vec![whole] },
            ring_fence: None,
            fees: Vec::new(),
            cap: None,
            minimum_guarantee: None,
            advance: None,
            prepaid: None,
            minimum_payout: "0".to_owned(),
            split: None,
            promotions: Vec::new(),
            ..own.clone()
        };
        keep(&mut terms, own);
        let version = ActiveVersion { terms, ..self.version.clone() };
        Self { words: self.words, version, period: self.period, ends: self.ends, round: self.round }
    }

    /// A row of the table as the only one, whatever its conditions; counted in units where the table has prices.
    pub fn with_row(&self, position: usize) -> Self {
        self.alone(|terms, own| {
            let row = own.rate_table.rows.get(position).cloned();
            terms.rate_table.rows =
                row.map(|row| RateRow { when: None, cells: Vec::new(), ..row }).into_iter().collect();
            if let Base::Units(_) = own.base {
                terms.base = own.base.clone();
            }
        })
    }

    pub fn counts_units(&self) -> bool {
        matches!(self.version.terms.base, Base::Units(_))
    }

    pub fn settle(&self, accruals: &[Accrual], carry: &Carry, funds: &Funds) -> Option<Computed> {
        self.count(Counts::from(accruals), carry, funds)
    }

    pub fn count(&self, counts: Counts<'_>, carry: &Carry, funds: &Funds) -> Option<Computed> {
        let clauses = Clauses::new(std::slice::from_ref(&self.version), self.words.asset).ok()?;
        compute(SettlementId::NONE, self.period, counts, carry, Vec::new(), funds, &clauses).ok()
    }

    pub fn settled(&self, accruals: &[Accrual]) -> Option<Computed> {
        self.settle(accruals, &Carry::default(), &Funds::default())
    }

    /// What makes a base of so much in the only class, negative ones too.
    pub fn base(&self, base: Units) -> Vec<Accrual> {
        let kind = if base.0 < 0 { AccrualKind::Refund } else { AccrualKind::Sale };
        let one = 10_i64.pow(self.words.asset.accounting_exponent.into());
        let class = self.version.terms.rate_table.rows.first().map_or(CLASS, |row| &row.code);
        vec![accrual(class, kind, Units(base.0.saturating_abs()), base.0 / one)]
    }

    /// A round sum, or so many times a thousand units where those are counted; `tenths` of it.
    pub fn tenths(&self, tenths: i64) -> Units {
        match self.counts_units() {
            true => Units(tenths * 100 * 10_i64.pow(self.words.asset.accounting_exponent.into())),
            false => self.units(Minor(self.round / 10 * tenths)),
        }
    }

    pub fn units(&self, amount: Minor) -> Units {
        Units(amount.0.saturating_mul(self.words.asset.units_per_minor()))
    }

    /// A base as it is told.
    pub fn shown(&self, base: Units) -> Value {
        let asset = self.words.asset;
        if self.counts_units() { Value::count(asset, base) } else { Value::units(asset, base) }
    }

    pub fn money(&self, amount: Minor) -> Value {
        Value::minor(self.words.asset, amount)
    }
}

pub fn accrual(class: &str, kind: AccrualKind, amount: Units, units: i64) -> Accrual {
    let rate_class = class.to_owned();
    Accrual { version: 1, rate_class, kind, late: false, amount, units, transactions: units.abs().max(1) }
}

pub fn amount_of(computed: &Computed, code: LineCode) -> Minor {
    let own = computed.lines.iter().filter(|line| line.code == code);
    Minor::sum(own.map(|line: &Line| line.amount)).unwrap_or_default()
}
