//! One batch of records on its way through: read all → decide in memory → write all.
//!
//! [`Prepared::check`] makes facts of what came in and says what must be looked up ([`Wanted`]); the store finds it
//! ([`Found`]); [`super::decide`] says what to write and what to answer ([`Decision`]). One record in a batch of one
//! takes the same way as eight thousand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::contracts::UnpricedReason;
use crate::error::Problem;
use crate::ids::{BlockId, ConflictId, ContractId, ImportRunId, QuarantineId, SourceId, TransactionId};
use crate::settlements::Deltas;
use crate::time::Timestamp;

use super::context::Context;
use super::quarantine::State;
use super::submission::{RecordOutcome, Submission};
use super::transaction::{Difference, Draft, Fact, Player};

pub type Key = (SourceId, String);
/// A round is one player's: source, round id, player (zeros for none).
pub type RoundKey = (SourceId, String, Player);

pub struct Prepared {
    pub submissions: Vec<Submission>,
    /// Per submission and record.
    pub(super) checked: Vec<Vec<Result<Vec<Checked>, Problem>>>,
    pub wanted: Wanted,
}

pub(super) struct Checked {
    pub fact: Fact,
    pub hash: [u8; 32],
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
    /// Facts that a rollback undid: whoever could not price them need not any more.
    pub undone: BTreeSet<TransactionId>,
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

/// The bytes of a piece of a file, or of the requests of a batch for one source.
pub struct NewBlock {
    pub id: BlockId,
    pub source: SourceId,
    pub run: Option<ImportRunId>,
    pub file_offset: u64,
    pub length: usize,
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
    pub reason: UnpricedReason,
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
