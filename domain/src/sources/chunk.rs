//! What framing gives: chunks of whole records, and the position to go on from.

use aws_lc_rs::digest;
use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

use super::scanner::{Span, Syntax};
use crate::error::Problem;

/// How a file is cut, out of its mapping.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    pub(super) syntax: Syntax,
    pub(super) encoding: &'static Encoding,
}

impl Framing {
    pub(super) fn quote(self) -> Option<u8> {
        match self.syntax {
            Syntax::Csv { quote, .. } => quote,
            Syntax::JsonLines => None,
        }
    }
}

/// A place in a file at which reading can go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Bytes of the file before it.
    pub bytes: u64,
    /// Records before it, the line of column names not counted.
    pub records: u64,
    /// The column names of a CSV file, once they are read.
    pub header: Option<Vec<String>>,
}

/// A chunk is cut once it has this much; it may be longer by one record.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub records: usize,
    pub bytes: usize,
}

/// Some whole records and the bytes that they are made of.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Where `raw` begins in the file.
    pub file_offset: u64,
    /// The file's bytes from `file_offset` to `end`; only the beginning where the chunk is one oversized record.
    pub raw: Vec<u8>,
    pub records: Vec<Framed>,
    pub end: Position,
    pub(super) spans: Vec<Span>,
}

/// One record of a chunk.
#[derive(Clone, Debug)]
pub struct Framed {
    /// 1 is the first record of the file.
    pub number: u64,
    /// Where it begins in the chunk's `raw`.
    pub offset: usize,
    /// Bytes of it in `raw`, without the end of its line.
    pub length: usize,
    /// Why it is no record; such a one is not mapped.
    pub problem: Option<Problem>,
    /// The file ends without an end of line after it: it may have been cut off.
    pub unterminated: bool,
    pub(super) first_span: usize,
    pub(super) fields: usize,
    /// The hash of an oversized record, of which `raw` has only a part.
    pub(super) long_hash: Option<[u8; 32]>,
}

impl Chunk {
    pub fn bytes_of(&self, record: &Framed) -> &[u8] {
        &self.raw[record.offset..record.offset + record.length]
    }

    /// Where a record begins in the file.
    pub fn file_offset_of(&self, record: &Framed) -> u64 {
        self.file_offset + record.offset as u64
    }

    /// SHA-256 of all bytes of a record, without the end of its line. Only records that are set aside need it, so it
    /// is not computed before somebody asks.
    pub fn hash_of(&self, record: &Framed) -> [u8; 32] {
        record.long_hash.unwrap_or_else(|| {
            let mut hasher = digest::Context::new(&digest::SHA256);
            hasher.update(self.bytes_of(record));
            finish(hasher)
        })
    }

    pub(super) fn spans_of(&self, record: &Framed) -> &[Span] {
        &self.spans[record.first_span..record.first_span + record.fields]
    }
}

pub(super) fn finish(hasher: digest::Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(hasher.finish().as_ref());
    hash
}
