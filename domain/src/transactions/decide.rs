//! The decision about one batch: what is new, what is known, what is wrong, and what the new facts add to which
//! running totals. Nothing here waits or reads a clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::contracts::{Book, Pricer, UnpricedReason, Verdict};
use crate::error::{Code, Problem};
use crate::ids::{BlockId, ContractId, ImportRunId, QuarantineId, SourceId, TransactionId};
use crate::time::Timestamp;

use super::batch::{
    At, Checked, Decision, Found, Ids, Key, NewBlock, NewConflict, NewFact, NewQuarantine, Prepared, RoundKey,
    Unpriced, Waiting, round_key,
};
use super::context::Context;
use super::quarantine::State;
use super::submission::{Outcome, RecordOutcome, Submission, What};
use super::transaction::{Fact, Kind};

pub fn decide(prepared: Prepared, found: &Found, context: &Context, ids: &dyn Ids) -> (Decision, Vec<Submission>) {
    let Prepared { submissions, checked, .. } = prepared;
    let mut deciding = Deciding {
        found,
        ids,
        book: &context.book,
        pricer: Pricer::new(&context.book),
        new: HashMap::new(),
        rollbacks: HashMap::new(),
        rounds: HashMap::new(),
        waiting: HashMap::new(),
        broken: HashMap::new(),
        verdicts: Vec::new(),
        out: Decision::default(),
    };
    // Requests of one source share a block: to pack each alone, and to write a row for it, costs more than its facts do.
    let mut shared: BTreeMap<SourceId, (BlockId, Vec<u8>)> = BTreeMap::new();
    for (number, (submission, records)) in submissions.iter().zip(checked).enumerate() {
        let (block, start) = match submission.piece {
            Some(_) => (ids.block(), 0),
            None => {
                let (id, raw) = shared.entry(submission.source).or_insert_with(|| (ids.block(), Vec::new()));
                (*id, raw.len())
            }
        };
        let before = deciding.referenced();
        let mut outcomes = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            outcomes.push(deciding.record((number, submission), index, record, (block, start)));
        }
        deciding.out.outcomes.push(outcomes);
        // Bytes are kept when a fact or a conflict points into them; a file of replays is there already.
        if deciding.referenced() == before {
            continue;
        }
        match submission.piece {
            Some(piece) => deciding.out.blocks.push(NewBlock {
                run: Some(piece.run),
                file_offset: submission.file_offset,
                ..NewBlock::of(block, submission.source, &submission.raw)
            }),
            None => {
                shared.entry(submission.source).or_insert_with(|| (block, Vec::new())).1.extend(&*submission.raw);
            }
        }
    }
    let shared = shared.into_iter().filter(|(_, (_, raw))| !raw.is_empty());
    deciding.out.blocks.extend(shared.map(|(source, (id, raw))| NewBlock::of(id, source, &raw)));
    deciding.finish();
    let decision = deciding.out;
    (decision, submissions)
}

fn compress(raw: &[u8]) -> Vec<u8> {
    // Compressing into memory fails only when memory is out, and then so does everything else.
    zstd::bulk::compress(raw, 1).unwrap_or_else(|_| raw.to_vec())
}

impl NewBlock {
    fn of(id: BlockId, source: SourceId, raw: &[u8]) -> Self {
        let (length, sha256) = (raw.len(), crate::secrets::sha256(raw));
        Self { id, source, run: None, file_offset: 0, length, compressed: compress(raw), sha256 }
    }
}

struct Deciding<'a> {
    found: &'a Found,
    ids: &'a dyn Ids,
    book: &'a Book,
    pricer: Pricer<'a>,
    /// New facts of this batch by key: their place in `out.facts`.
    new: HashMap<Key, usize>,
    /// Rollbacks of this batch by the fact they name.
    rollbacks: HashMap<Key, (TransactionId, bool)>,
    rounds: HashMap<RoundKey, Timestamp>,
    waiting: HashMap<RoundKey, Vec<Waiting>>,
    broken: HashMap<(SourceId, [u8; 32]), QuarantineId>,
    verdicts: Vec<Verdict>,
    out: Decision,
}

impl Deciding<'_> {
    fn referenced(&self) -> usize {
        self.out.facts.len() + self.out.conflicts.len()
    }

    fn record(
        &mut self,
        (number, submission): (usize, &Submission),
        index: usize,
        record: Result<Vec<Checked>, Problem>,
        (block, start): (BlockId, usize),
    ) -> RecordOutcome {
        let incoming = &submission.records[index];
        let facts = match record.and_then(|facts| self.judge(&facts).map(|()| facts)) {
            Ok(facts) => facts,
            Err(problem) => return self.quarantine(number, submission, index, problem),
        };
        if facts.is_empty() {
            return RecordOutcome::Ignored;
        }
        let at = At { block, offset: start + incoming.offset, length: incoming.length };
        RecordOutcome::Taken(facts.into_iter().map(|checked| self.take(checked, at, submission.run())).collect())
    }

    fn quarantine(&mut self, number: usize, submission: &Submission, index: usize, problem: Problem) -> RecordOutcome {
        let key = (submission.source, submission.hash_of(&submission.records[index]));
        let known = self.found.broken.get(&key).copied();
        if let Some((_, State::Dismissed)) = known.filter(|_| submission.resolves.is_none()) {
            return RecordOutcome::Ignored;
        }
        let resolves = submission.resolves.map(|resolves| resolves.record);
        let known = resolves.or(known.map(|(id, _)| id)).or_else(|| self.broken.get(&key).copied());
        let id = known.unwrap_or_else(|| {
            let id = self.ids.quarantine();
            self.broken.insert(key, id);
            self.out.quarantined.push(NewQuarantine {
                id,
                submission: number,
                record: index,
                problem: problem.clone(),
            });
            id
        });
        RecordOutcome::Quarantined { id, problem }
    }

    /// What only the other facts can tell: a rollback undoes one fact that is none itself, and no fact twice.
    fn judge(&self, facts: &[Checked]) -> Result<(), Problem> {
        let mut here = BTreeSet::new();
        for Checked { fact, .. } in facts.iter().filter(|checked| checked.fact.kind == Kind::Rollback) {
            let Some(reverses) = &fact.reverses else { continue };
            if self.known(&(fact.source, fact.external_id.clone())).is_some() {
                continue;
            }
            let bad = |message: String| Err(Problem::new(Code::BadRollback, "reverses", message));
            let target = (fact.source, reverses.clone());
            let taken = self.found.rollbacks.contains_key(&target) || self.rollbacks.contains_key(&target);
            if taken || !here.insert(target.clone()) {
                return bad(format!("'{reverses}' is undone already by another rollback"));
            }
            if self.fact(&target).is_some_and(|fact| fact.kind == Kind::Rollback) {
                return bad(format!("'{reverses}' is a rollback itself, and those are not undone"));
            }
        }
        Ok(())
    }

    fn known(&self, key: &Key) -> Option<(TransactionId, [u8; 32])> {
        self.found.keys.get(key).copied().or_else(|| {
            let new = &self.out.facts[*self.new.get(key)?];
            Some((new.id, new.hash))
        })
    }

    fn fact(&self, key: &Key) -> Option<&Fact> {
        self.found.facts.get(key).or_else(|| self.new.get(key).map(|index| &self.out.facts[*index].fact))
    }

    fn take(&mut self, Checked { fact, hash }: Checked, at: At, run: Option<ImportRunId>) -> Outcome {
        let key = (fact.source, fact.external_id.clone());
        let external_id = fact.external_id.clone();
        if let Some((transaction, recorded)) = self.known(&key) {
            let what = if recorded == hash { What::Replayed } else { What::Conflict };
            if what == What::Conflict {
                let differences = self.fact(&key).map(|recorded| recorded.differences(&fact)).unwrap_or_default();
                let id = self.ids.conflict();
                let conflict = NewConflict { id, key, stands: transaction, run, hash, received: fact, differences, at };
                self.out.conflicts.push(conflict);
            }
            return Outcome { external_id, transaction, what };
        }
        let transaction = self.ids.transaction();
        self.new.insert(key.clone(), self.out.facts.len());
        self.out.facts.push(NewFact { id: transaction, fact: fact.clone(), hash, at });
        if fact.kind == Kind::Rollback {
            self.undo(transaction, &fact);
        } else {
            self.close_round(&fact);
            self.count(transaction, &fact, false, None);
            self.meet_rollback(&key, &fact);
        }
        Outcome { external_id, transaction, what: What::Recorded }
    }

    fn undo(&mut self, transaction: TransactionId, rollback: &Fact) {
        let Some(reverses) = &rollback.reverses else { return };
        let target = (rollback.source, reverses.clone());
        let named = self.fact(&target).cloned();
        self.rollbacks.insert(target.clone(), (transaction, named.is_some()));
        if let Some(named) = named {
            self.needs_no_price(&target);
            self.count(transaction, &named, true, None);
        }
    }

    fn needs_no_price(&mut self, undone: &Key) {
        self.out.undone.extend(self.known(undone).map(|(id, _)| id));
    }

    /// A rollback may have come first: then it takes effect now.
    fn meet_rollback(&mut self, key: &Key, fact: &Fact) {
        if let Some((rollback, matched)) = self.rollbacks.get_mut(key).filter(|(_, matched)| !*matched) {
            *matched = true;
            let rollback = *rollback;
            self.needs_no_price(key);
            self.count(rollback, fact, true, None);
        } else if let Some((rollback, false)) = self.found.rollbacks.get(key) {
            self.out.matched.push(key.clone());
            self.needs_no_price(key);
            self.count(*rollback, fact, true, None);
        }
    }

    /// Counts the facts that were waiting for their round to close.
    fn close_round(&mut self, fact: &Fact) {
        let Some(key) = round_key(fact).filter(|_| fact.round_closed) else { return };
        if self.closed_at(&key).is_some() {
            return;
        }
        let closed_at = fact.settled_at.unwrap_or(fact.occurred_at);
        self.rounds.insert(key.clone(), closed_at);
        self.out.rounds.insert(key.clone(), closed_at);
        let mut waiting = self.waiting.remove(&key).unwrap_or_default();
        if let Some(stored) = self.found.waiting.get(&key) {
            waiting.extend(stored.iter().cloned());
            self.out.closed.insert(key);
        }
        let undone: BTreeSet<&str> =
            waiting.iter().filter(|wait| wait.undoes).map(|wait| wait.fact.external_id.as_str()).collect();
        let undone = waiting.iter().filter(|wait| undone.contains(wait.fact.external_id.as_str()));
        self.out.undone.extend(undone.map(|wait| wait.transaction));
        for wait in waiting {
            self.count(wait.transaction, &wait.fact, wait.undoes, Some(wait.contract));
        }
    }

    fn closed_at(&self, key: &RoundKey) -> Option<Timestamp> {
        self.found.rounds.get(key).or_else(|| self.rounds.get(key)).copied()
    }

    /// Adds what a fact does (or undoes it, for the rollback `transaction`) to the totals of the contracts it feeds.
    fn count(&mut self, transaction: TransactionId, fact: &Fact, undoes: bool, only: Option<ContractId>) {
        if self.book.is_test(fact) {
            return;
        }
        let round = round_key(fact);
        let closed_at = round.as_ref().and_then(|key| self.closed_at(key));
        let mut verdicts = std::mem::take(&mut self.verdicts);
        self.pricer.price(fact, closed_at, &mut verdicts);
        // Also when a round closes and the contract that waited for it does not cover the fact after all.
        if verdicts.is_empty() && !undoes {
            self.unpriced(
                transaction,
                ContractId::NONE,
                fact.source,
                UnpricedReason::NoContract,
                "no contract in force covers it".into(),
            );
        }
        for verdict in verdicts.drain(..) {
            match verdict {
                Verdict::Feeds(feed) if only.is_none_or(|only| only == feed.contract) => {
                    self.out.deltas.add(feed, undoes, &fact.currency);
                }
                Verdict::AwaitsRound { contract } if only.is_none() => {
                    let Some(key) = round.clone() else { continue };
                    let wait = Waiting { contract, transaction, fact: fact.clone(), undoes };
                    self.waiting.entry(key).or_default().push(wait);
                }
                // Another contract's failure was listed when the fact came.
                Verdict::Failed { contract, reason, message }
                    if !undoes && only.is_none_or(|only| only == contract) =>
                {
                    self.unpriced(transaction, contract, fact.source, reason, message);
                }
                _ => {}
            }
        }
        self.verdicts = verdicts;
    }

    fn unpriced(
        &mut self,
        transaction: TransactionId,
        contract: ContractId,
        source: SourceId,
        reason: UnpricedReason,
        message: String,
    ) {
        self.out.unpriced.push(Unpriced { transaction, contract, source, reason, message });
    }

    fn finish(&mut self) {
        let rollbacks = std::mem::take(&mut self.rollbacks).into_iter();
        self.out.rollbacks = rollbacks.map(|(key, (transaction, matched))| (key, transaction, matched)).collect();
        self.out.rollbacks.sort();
        for (key, waiting) in std::mem::take(&mut self.waiting) {
            self.out.waiting.extend(waiting.into_iter().map(|wait| (key.clone(), wait.contract, wait.transaction)));
        }
        self.out.waiting.sort();
        let undone = std::mem::take(&mut self.out.undone);
        self.out.unpriced.retain(|row| !undone.contains(&row.transaction));
        // Two contracts may have waited for one fact in vain.
        self.out.unpriced.sort_by_key(|row| (row.transaction, row.contract));
        self.out.unpriced.dedup_by_key(|row| (row.transaction, row.contract));
        self.out.undone = undone;
    }
}
