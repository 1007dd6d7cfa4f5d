//! The decision about one batch of records, in memory: what is new, what is known, what is wrong, and what the new
//! facts add to which running totals.
//!
//! Read all → decide in memory → write all. [`Prepared::check`] makes facts of what came in and says what must be
//! looked up; the store finds it; [`decide`] says what to write and what to answer. Nothing here waits or reads a
//! clock, and one record in a batch of one takes the same way as eight thousand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::contracts::{Book, Pricer, Verdict};
use crate::error::{Code, Problem};
use crate::ids::{BlockId, ConflictId, ContractId, ImportRunId, MemberId, QuarantineId, SourceId, TransactionId};
use crate::imports::Piece;
use crate::settlements::Deltas;
use crate::time::Timestamp;

use super::context::Context;
use super::quarantine::State;
use super::transaction::{Difference, Draft, Fact, Kind, Player};

/// What one caller hands in at once: a file's next piece, or the rows of a request.
#[derive(Clone)]
pub struct Submission {
    pub source: SourceId,
    /// The bytes as they came; records point into them.
    pub raw: Arc<Vec<u8>>,
    pub file_offset: u64,
    pub form: Form,
    /// The columns that the records were read with, for those that end in quarantine.
    pub header: Option<Arc<Vec<String>>>,
    /// Shared, because a batch that fails is tried again in parts.
    pub records: Arc<Vec<Incoming>>,
    /// The piece of a file that it is.
    pub piece: Option<Piece>,
    /// The quarantined record that this one replaces.
    pub resolves: Option<Resolves>,
}

/// A quarantined record, and the member who tries it again: a batch has the records of many callers.
#[derive(Clone, Copy, Debug)]
pub struct Resolves {
    pub record: QuarantineId,
    pub by: Option<MemberId>,
}

/// What a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A record that the source's mapping reads.
    Record,
    /// A transaction in JSON, as a caller of the API gave it.
    Transaction,
}

impl Form {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "RECORD",
            Self::Transaction => "TRANSACTION",
        }
    }
}

#[derive(Clone)]
pub struct Incoming {
    /// 1 is the first record of the file or request.
    pub number: u64,
    /// Where its bytes are in [`Submission::raw`].
    pub offset: usize,
    pub length: usize,
    /// SHA-256 of all its bytes, also of those that were too many to keep; computed when asked for where absent.
    pub hash: Option<[u8; 32]>,
    pub content: Result<Vec<Draft>, Problem>,
}

impl Submission {
    pub fn run(&self) -> Option<ImportRunId> {
        self.piece.map(|piece| piece.run)
    }

    pub fn hash_of(&self, record: &Incoming) -> [u8; 32] {
        record.hash.unwrap_or_else(|| crate::secrets::sha256(self.bytes_of(record)))
    }

    pub fn bytes_of(&self, record: &Incoming) -> &[u8] {
        self.raw.get(record.offset..record.offset + record.length).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The mapping made no transaction of it, or staff dismissed it before.
    Ignored,
    /// In quarantine, or still there.
    Quarantined {
        id: QuarantineId,
        problem: Problem,
    },
    Taken(Vec<Outcome>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub external_id: String,
    pub transaction: TransactionId,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Recorded,
    /// The same fact again.
    Replayed,
    /// Another content under a known external id: kept apart, the recorded one stands.
    Conflict,
}

pub type Key = (SourceId, String);
/// A round is one player's: source, round id, player (zeros for none).
pub type RoundKey = (SourceId, String, Player);

pub struct Prepared {
    pub submissions: Vec<Submission>,
    /// Per submission and record.
    checked: Vec<Vec<Result<Vec<Checked>, Problem>>>,
    pub wanted: Wanted,
}

struct Checked {
    fact: Fact,
    hash: [u8; 32],
}

/// What the decision needs to know of what is stored.
#[derive(Default)]
pub struct Wanted {
    pub keys: BTreeMap<SourceId, Vec<String>>,
    /// Targets of rollbacks.
    pub reversed: BTreeSet<Key>,
    /// Only where some contract counts by closed rounds.
    pub rounds: BTreeSet<RoundKey>,
    /// Hashes of broken records.
    pub broken: BTreeMap<SourceId, Vec<[u8; 32]>>,
}

/// What is stored of it.
#[derive(Default)]
pub struct Found {
    pub keys: HashMap<Key, (TransactionId, [u8; 32])>,
    /// Facts that rollbacks name, and those that conflicts are compared with.
    pub facts: HashMap<Key, Fact>,
    /// By the named fact: the rollback and whether it has found its target.
    pub rollbacks: HashMap<Key, (TransactionId, bool)>,
    pub rounds: HashMap<RoundKey, Timestamp>,
    pub waiting: HashMap<RoundKey, Vec<Waiting>>,
    pub broken: HashMap<(SourceId, [u8; 32]), (QuarantineId, State)>,
}

/// A fact that one contract will count when the round closes. For a rollback, `fact` is what it undoes.
#[derive(Clone)]
pub struct Waiting {
    pub contract: ContractId,
    pub transaction: TransactionId,
    pub fact: Fact,
    pub undoes: bool,
}

impl Prepared {
    pub fn check(submissions: Vec<Submission>, context: &Context) -> Self {
        let mut wanted = Wanted::default();
        let by_rounds = context.book.needs_rounds();
        let mut checked = Vec::with_capacity(submissions.len());
        for submission in &submissions {
            let records = submission.records.iter().map(|record| {
                let drafts = record.content.as_ref().map_err(Clone::clone)?;
                drafts.iter().map(|draft| Checked::of(draft, submission.source, context)).collect()
            });
            let records: Vec<Result<Vec<Checked>, Problem>> = records.collect();
            for (record, incoming) in records.iter().zip(submission.records.iter()) {
                match record {
                    Ok(facts) => facts.iter().for_each(|checked| wanted.add(&checked.fact, by_rounds)),
                    Err(_) => wanted.broken.entry(submission.source).or_default().push(submission.hash_of(incoming)),
                }
            }
            checked.push(records);
        }
        Self { submissions, checked, wanted }
    }

    /// Takes what staff put in the place of broken records instead of these.
    pub fn correct(&mut self, corrections: &HashMap<(SourceId, [u8; 32]), Vec<Draft>>, context: &Context) {
        let by_rounds = context.book.needs_rounds();
        for (submission, records) in self.submissions.iter().zip(&mut self.checked) {
            for (incoming, record) in submission.records.iter().zip(records).filter(|(_, record)| record.is_err()) {
                let Some(drafts) = corrections.get(&(submission.source, submission.hash_of(incoming))) else {
                    continue;
                };
                *record = drafts.iter().map(|draft| Checked::of(draft, submission.source, context)).collect();
                if let Ok(facts) = record {
                    facts.iter().for_each(|checked| self.wanted.add(&checked.fact, by_rounds));
                }
            }
        }
    }
}

impl Checked {
    fn of(draft: &Draft, source: SourceId, context: &Context) -> Result<Self, Problem> {
        let fact = draft.check(source, context)?;
        let hash = fact.payload_hash();
        Ok(Self { fact, hash })
    }
}

impl Wanted {
    fn add(&mut self, fact: &Fact, by_rounds: bool) {
        self.keys.entry(fact.source).or_default().push(fact.external_id.clone());
        if let Some(target) = &fact.reverses {
            self.reversed.insert((fact.source, target.clone()));
        }
        if by_rounds && let Some(key) = round_key(fact) {
            self.rounds.insert(key);
        }
    }
}

pub fn round_key(fact: &Fact) -> Option<RoundKey> {
    Some((fact.source, fact.round.clone()?, fact.player.unwrap_or_default()))
}

/// Where identifiers come from: the decision itself draws none.
pub trait Ids {
    fn transaction(&self) -> TransactionId;
    fn block(&self) -> BlockId;
    fn quarantine(&self) -> QuarantineId;
    fn conflict(&self) -> ConflictId;
}

#[derive(Default)]
pub struct Decision {
    pub blocks: Vec<NewBlock>,
    pub facts: Vec<NewFact>,
    pub deltas: Deltas,
    pub unpriced: Vec<Unpriced>,
    /// By the named fact: the rollback, and whether the fact is there.
    pub rollbacks: Vec<(Key, TransactionId, bool)>,
    /// Rollbacks whose fact has come.
    pub matched: Vec<Key>,
    pub rounds: BTreeMap<RoundKey, Timestamp>,
    pub waiting: Vec<(RoundKey, ContractId, TransactionId)>,
    /// Rounds whose waiting facts are counted now.
    pub closed: BTreeSet<RoundKey>,
    pub conflicts: Vec<NewConflict>,
    pub quarantined: Vec<NewQuarantine>,
    /// Per submission and record.
    pub outcomes: Vec<Vec<RecordOutcome>>,
}

pub struct NewBlock {
    pub id: BlockId,
    pub submission: usize,
    pub compressed: Vec<u8>,
    pub sha256: [u8; 32],
}

pub struct NewFact {
    pub id: TransactionId,
    pub fact: Fact,
    pub hash: [u8; 32],
    pub at: At,
}

/// Where a record's bytes are.
#[derive(Clone, Copy)]
pub struct At {
    pub block: BlockId,
    pub offset: usize,
    pub length: usize,
}

pub struct Unpriced {
    pub transaction: TransactionId,
    /// [`ContractId::NONE`] when no contract covers the fact.
    pub contract: ContractId,
    pub source: SourceId,
    pub reason: &'static str,
    pub message: String,
}

pub struct NewConflict {
    pub id: ConflictId,
    pub key: Key,
    pub stands: TransactionId,
    pub run: Option<ImportRunId>,
    pub hash: [u8; 32],
    pub received: Fact,
    pub differences: Vec<Difference>,
    pub at: At,
}

pub struct NewQuarantine {
    pub id: QuarantineId,
    pub submission: usize,
    pub record: usize,
    pub problem: Problem,
}

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
    for (number, (submission, records)) in submissions.iter().zip(checked).enumerate() {
        let block = ids.block();
        let before = deciding.referenced();
        let mut outcomes = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            outcomes.push(deciding.record((number, submission), index, record, block));
        }
        deciding.out.outcomes.push(outcomes);
        // Bytes are kept when a fact or a conflict points into them; a file of replays is there already.
        if deciding.referenced() > before {
            let sha256 = crate::secrets::sha256(&submission.raw);
            deciding.out.blocks.push(NewBlock {
                id: block,
                submission: number,
                compressed: compress(&submission.raw),
                sha256,
            });
        }
    }
    deciding.finish();
    let decision = deciding.out;
    (decision, submissions)
}

fn compress(raw: &[u8]) -> Vec<u8> {
    // Compressing into memory fails only when memory is out, and then so does everything else.
    zstd::bulk::compress(raw, 1).unwrap_or_else(|_| raw.to_vec())
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
        block: BlockId,
    ) -> RecordOutcome {
        let incoming = &submission.records[index];
        let facts = match record.and_then(|facts| self.judge(&facts).map(|()| facts)) {
            Ok(facts) => facts,
            Err(problem) => return self.quarantine(number, submission, index, problem),
        };
        if facts.is_empty() {
            return RecordOutcome::Ignored;
        }
        let at = At { block, offset: incoming.offset, length: incoming.length };
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
        self.rollbacks.insert(target, (transaction, named.is_some()));
        if let Some(named) = named {
            self.count(transaction, &named, true, None);
        }
    }

    /// A rollback may have come first: then it takes effect now.
    fn meet_rollback(&mut self, key: &Key, fact: &Fact) {
        if let Some((rollback, matched)) = self.rollbacks.get_mut(key).filter(|(_, matched)| !*matched) {
            *matched = true;
            let rollback = *rollback;
            self.count(rollback, fact, true, None);
        } else if let Some((rollback, false)) = self.found.rollbacks.get(key) {
            self.out.matched.push(key.clone());
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
                "NO_CONTRACT",
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
                Verdict::Failed { contract, reason, message } if !undoes => {
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
        reason: &'static str,
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
    }
}
