//! A tenant's detector at work: what it remembers, what it has fitted, and where its alerts stand.

// Statistics of the detector are no money.
#![allow(clippy::float_arithmetic)]

use std::collections::HashMap;
use std::sync::Arc;

use ml::alerts::{Alerts, Decision, Wanted};
use ml::features::{COUNT, Feature, Memory, Observation, Observed, ReturnAlarm, Room};
use ml::{Model, Scratch};

use super::case::{CaseKey, CaseKind, Finding};
use super::reason::Reason;
use crate::ids::{ModelId, TransactionId};
use crate::money::Asset;
use crate::time::Timestamp;
use crate::transactions::Context;
use crate::transactions::transaction::{Fact, Kind, Known};

/// Scores have whole thousandths.
const THOUSANDTHS: f64 = 1_000.0;
/// After so many transactions of one case, more of it say nothing new of how many are odd: a flood from one source must
/// not blind the detector for all others.
const SAME: u32 = 5;
/// No more of a case are written down.
const MOST_OF_A_CASE: u32 = 500;
/// Cases whose transactions are counted.
const MOST_CASES: usize = 4_096;
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
    told: Told,
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
        Self { model, model_id, memory, wanted, alerts, kept: (alerts, last), last, told: Told::default(), scratch }
    }

    /// Goes on from what was remembered before.
    pub fn remember(&mut self, memory: Memory, last: TransactionId) {
        (self.memory, self.last) = (memory, last);
        self.keep();
    }

    pub fn model_id(&self) -> ModelId {
        self.model_id
    }

    /// The last transaction that is remembered.
    pub fn last(&self) -> TransactionId {
        self.last
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
            if self.alerts.is_odd(surprise) {
                let (kind, reasons) = self.reasons(&observed, context.asset(&fact.currency).as_ref());
                let key = CaseKey::of(kind, fact);
                if self.tells(&key, surprise, fact.occurred_at) {
                    judged.findings.push(Finding { key, transaction: id, score, reasons });
                }
            } else {
                self.alerts.decide(surprise, fact.occurred_at.0, self.wanted);
            }
            if let Some(alarm) = observed.returns {
                let key = CaseKey::of(CaseKind::Returns, fact);
                let reasons = vec![returns_reason(&alarm)];
                judged.findings.push(Finding { key, transaction: id, score: RETURNS_SCORE, reasons });
            }
        }
        judged
    }

    /// Whether an odd transaction is to be told of.
    fn tells(&mut self, key: &CaseKey, surprise: f64, at: Timestamp) -> bool {
        let before = self.told.count(key);
        let tells = match before {
            ..SAME => self.alerts.decide(surprise, at.0, self.wanted) == Decision::Alert,
            _ => before < MOST_OF_A_CASE,
        };
        if tells {
            self.told.add(key);
        }
        tells
    }

    /// Why the transaction that was scored last is odd, and what is: it, or what its source sends.
    fn reasons(&mut self, seen: &Observed, asset: Option<&Asset>) -> (CaseKind, Vec<Reason>) {
        let (mut features, mut reasons) = (Vec::new(), Vec::new());
        for (feature, reason) in self.model.reasons(&seen.row, &mut self.scratch) {
            features.push(feature);
            reasons.push(match seen.compared.natural(feature) {
                Some((observed, usual)) => Reason::compared(feature, observed, usual, asset),
                None => Reason::of(feature, reason.observed, reason.usual),
            });
        }
        let of_source = match features.first() {
            // A wild amount moves its source, too.
            Some(Feature::SourceShift) => !features.iter().any(|feature| feature.is_of_amount()),
            first => first.is_some_and(|feature| feature.is_of_source()),
        };
        (if of_source { CaseKind::Source } else { CaseKind::Transactions }, reasons)
    }

    /// The facts that were judged are recorded.
    pub fn keep(&mut self) {
        self.memory.keep();
        self.told.since.clear();
        self.kept = (self.alerts, self.last);
    }

    /// They are not: nothing of them is remembered.
    pub fn take_back(&mut self) {
        self.memory.take_back();
        self.told.take_back();
        (self.alerts, self.last) = self.kept;
    }

    /// What is remembered, and the last transaction in it.
    pub fn remembered(&self) -> (Vec<u8>, TransactionId) {
        (self.memory.written(), self.last)
    }
}

/// How many transactions of each case were told of, of late.
#[derive(Default)]
struct Told {
    cases: HashMap<CaseKey, u32>,
    /// Since the last batch that stood.
    since: Vec<CaseKey>,
}

impl Told {
    fn count(&self, key: &CaseKey) -> u32 {
        self.cases.get(key).copied().unwrap_or_default()
    }

    fn add(&mut self, key: &CaseKey) {
        if self.cases.len() >= MOST_CASES {
            // Whatever is forgotten is counted anew.
            self.cases.clear();
        }
        *self.cases.entry(key.clone()).or_default() += 1;
        self.since.push(key.clone());
    }

    fn take_back(&mut self) {
        for key in self.since.drain(..) {
            if let Some(count) = self.cases.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
        }
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
        Kind::Refund | Kind::Rollback => Seen::Back,
        Kind::JackpotContribution | Kind::Fee | Kind::Adjustment => Seen::Other,
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
