//! A tenant's detector at work: what it remembers, what it has fitted, and where its alerts stand.

// Statistics of the detector are no money.
#![allow(clippy::float_arithmetic)]

use std::sync::Arc;

use ml::alerts::{Alerts, Decision, Wanted};
use ml::features::{COUNT, Memory, Observation, Observed, ReturnAlarm, Room};
use ml::{Model, Scratch};

use super::case::{CaseKey, CaseKind, Finding};
use super::reason::Reason;
use crate::ids::{ModelId, TransactionId};
use crate::money::Asset;
use crate::transactions::Context;
use crate::transactions::transaction::{Fact, Kind, Known};

/// Scores have whole thousandths.
const THOUSANDTHS: f64 = 1_000.0;
/// The score of a case about what a product returns: about as rare as its alarm is by chance.
const RETURNS_SCORE: i64 = 12_000;

pub struct Judge {
    model: Arc<Model>,
    model_id: ModelId,
    memory: Memory,
    wanted: Wanted,
    alerts: Alerts,
    /// As they were when the last batch stood.
    kept: (Alerts, TransactionId),
    /// The last transaction that is remembered.
    last: TransactionId,
    scratch: Scratch,
}

/// What was said of some facts, in their order.
#[derive(Default)]
pub struct Judged {
    /// None of what is not to be scored, or could not be.
    pub scores: Vec<Option<i64>>,
    pub findings: Vec<Finding>,
    pub model: ModelId,
}

impl Default for ModelId {
    fn default() -> Self {
        Self::NONE
    }
}

impl Judge {
    pub fn new(model: Arc<Model>, model_id: ModelId, wanted: Wanted) -> Self {
        let alerts = alerts_of(model_id, wanted);
        let (memory, scratch, last) = (Memory::new(Room::default()), Scratch::new(COUNT), TransactionId::NONE);
        Self { model, model_id, memory, wanted, alerts, kept: (alerts, last), last, scratch }
    }

    /// Goes on from what was remembered before.
    pub fn remember(&mut self, memory: Memory, last: TransactionId) {
        (self.memory, self.last) = (memory, last);
        self.keep();
    }

    /// Another model, from the next fact on. What is remembered stays.
    pub fn exchange(&mut self, model: Arc<Model>, model_id: ModelId) {
        (self.model, self.model_id) = (model, model_id);
        self.alerts = alerts_of(model_id, self.wanted);
        self.kept.0 = self.alerts;
    }

    pub fn want(&mut self, wanted: Wanted) {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.alerts = alerts_of(self.model_id, wanted);
            self.kept.0 = self.alerts;
        }
    }

    /// Remembers facts that were judged before.
    pub fn recall<'f>(&mut self, facts: impl IntoIterator<Item = (TransactionId, &'f Fact)>) {
        for (id, fact) in facts {
            if !fact.test {
                self.memory.observe(&observation(fact));
            }
            self.last = id;
        }
        self.keep();
    }

    /// Scores new facts in the order in which they are recorded. Those of test players are nobody's business.
    pub fn judge<'f>(
        &mut self,
        facts: impl IntoIterator<Item = (TransactionId, &'f Fact)>,
        context: &Context,
    ) -> Judged {
        let mut judged = Judged { model: self.model_id, ..Judged::default() };
        for (id, fact) in facts {
            self.last = self.last.max(id);
            if fact.test {
                judged.scores.push(None);
                continue;
            }
            let observed = self.memory.observe(&observation(fact));
            let surprise = self.model.score(&observed.row, &mut self.scratch).surprise;
            let score = (surprise * THOUSANDTHS).round() as i64;
            judged.scores.push(Some(score));
            if context.book.is_test(fact) {
                continue;
            }
            if self.alerts.decide(surprise, fact.occurred_at.0, self.wanted) == Decision::Alert {
                let reasons = self.reasons(&observed, context.asset(&fact.currency).as_ref());
                let key = CaseKey::of(CaseKind::Transactions, fact);
                judged.findings.push(Finding { key, transaction: id, score, reasons });
            }
            if let Some(alarm) = observed.returns {
                let key = CaseKey::of(CaseKind::Returns, fact);
                let reasons = vec![returns_reason(&alarm)];
                judged.findings.push(Finding { key, transaction: id, score: RETURNS_SCORE, reasons });
            }
        }
        judged
    }

    fn reasons(&mut self, seen: &Observed, asset: Option<&Asset>) -> Vec<Reason> {
        let reasons = self.model.reasons(&seen.row, &mut self.scratch);
        reasons
            .map(|(feature, reason)| match seen.compared.natural(feature) {
                Some((observed, usual)) => Reason::compared(feature, observed, usual, asset),
                None => Reason::of(feature, reason.observed, reason.usual),
            })
            .collect()
    }

    /// The facts that were judged are recorded.
    pub fn keep(&mut self) {
        self.memory.keep();
        self.kept = (self.alerts, self.last);
    }

    /// They are not: nothing of them is remembered.
    pub fn take_back(&mut self) {
        self.memory.take_back();
        (self.alerts, self.last) = self.kept;
    }

    /// What is remembered, and the last transaction in it.
    pub fn remembered(&self) -> (Vec<u8>, TransactionId) {
        (self.memory.written(), self.last)
    }
}

fn alerts_of(model: ModelId, wanted: Wanted) -> Alerts {
    if model == ModelId::NONE { Alerts::cautious(wanted) } else { Alerts::new(wanted) }
}

fn returns_reason(alarm: &ReturnAlarm) -> Reason {
    Reason::returns(alarm.observed, alarm.usual, alarm.rounds)
}

/// A fact as the features see it.
pub fn observation(fact: &Fact) -> Observation<'_> {
    use ml::features::Kind as Seen;
    let kind = match fact.kind {
        Kind::Stake | Kind::BonusStake | Kind::Sale => Seen::Stake,
        Kind::Win | Kind::BonusWin | Kind::JackpotWin => Seen::Win,
        Kind::JackpotContribution | Kind::Refund | Kind::Fee | Kind::Adjustment | Kind::Rollback => Seen::Other,
    };
    Observation {
        kind,
        // Accounting units of one currency are compared with each other only.
        amount: fact.amount.0 as f64,
        currency: &fact.currency,
        at: fact.occurred_at.0,
        source: fact.source.0.as_bytes(),
        product: fact.product.as_deref(),
        player: fact.player.as_ref().map(|player| &player[..]),
        round: fact.round.as_deref(),
    }
}
