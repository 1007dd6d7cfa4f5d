//! What callers hand in, and what each of their records came to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::idempotency::{Once, Slot};
use crate::ids::{ImportRunId, MemberId, QuarantineId, SourceId, TransactionId};
use crate::imports::Piece;

use super::transaction::Draft;

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
    /// The request that it is, where it came with a key.
    pub once: Option<Arc<Once>>,
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

    /// The place of its idempotency key.
    pub fn slot(&self) -> Option<&Slot> {
        self.once.as_ref().map(|once| once.slot())
    }

    pub fn hash_of(&self, record: &Incoming) -> [u8; 32] {
        record.hash.unwrap_or_else(|| crate::secrets::sha256(self.bytes_of(record)))
    }

    pub fn bytes_of(&self, record: &Incoming) -> &[u8] {
        self.raw.get(record.offset..record.offset + record.length).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub external_id: String,
    pub transaction: TransactionId,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    Recorded,
    /// The same fact again.
    Replayed,
    /// Another content under a known external id: kept apart, the recorded one stands.
    Conflict,
}
