//! Cuts a stream of bytes into records at exact offsets, whatever pieces it arrives in, in bounded memory.
//!
//! Bytes go in with [`Framer::push`]; whole records come out in [`Chunk`]s. A [`Position`] is all that it takes to go
//! on later: it is always the end of a record. A record over [`MAX_RECORD`] is hashed and skipped as it streams by.

use aws_lc_rs::digest;
use encoding_rs::UTF_8;

use super::chunk::finish;
pub use super::chunk::{Chunk, Framed, Framing, Limits, Position};
use super::record::decode;
use super::scanner::{Scanner, Span, Syntax};
use crate::error::{Code, Problem};

/// The longest record, in bytes.
pub const MAX_RECORD: u64 = 1 << 20;
/// What is kept of a longer one, in bytes.
pub const KEPT_OF_LONG: usize = 64 << 10;
/// The longest line of column names, in bytes.
pub const MAX_HEADER: u64 = 64 << 10;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

pub struct Framer {
    framing: Framing,
    /// The end of the last chunk.
    position: Position,
    /// What has arrived of the file from byte `base` on, and is not out yet.
    buffer: Vec<u8>,
    base: u64,
    /// How much of the buffer has been scanned.
    scanned: usize,
    /// Where the record that is being scanned begins in the buffer.
    start: Option<usize>,
    scanner: Scanner,
    /// The file's first bytes have been looked at for a byte order mark.
    begun: bool,
    /// Records that wait for their chunk to be full, the end of the last one, and their fields.
    records: Vec<Framed>,
    records_end: usize,
    spans: Vec<Span>,
    long: Option<Long>,
}

/// An oversized record on its way through.
struct Long {
    file_offset: u64,
    kept: Vec<u8>,
    hasher: digest::Context,
    /// A `\r` that belongs to the end of the line, or to the record if more follows.
    held: bool,
}

enum Step {
    /// One more record waits.
    Framed,
    /// An oversized record has passed.
    Long(Chunk),
    /// What waits must go before an oversized record.
    Cut,
    /// There is nothing more to scan.
    Starved,
}

impl Framer {
    pub fn new(framing: Framing, position: Position) -> Self {
        let mut scanner = Scanner::new(framing.syntax);
        scanner.keep = match (&position.header, framing.syntax) {
            (Some(header), _) => header.len(),
            (None, Syntax::Csv { .. }) => usize::MAX,
            (None, Syntax::JsonLines) => 0,
        };
        Self {
            framing,
            begun: position.bytes > 0 || position.header.is_some(),
            base: position.bytes,
            position,
            buffer: Vec::new(),
            scanned: 0,
            start: None,
            scanner,
            records: Vec::new(),
            records_end: 0,
            spans: Vec::new(),
            long: None,
        }
    }

    /// The end of the last chunk, or of the column names; of the whole file once it is used up.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next full chunk; at the end of the file also the last one. `None`: more bytes are needed, or, at the end
    /// of the file, there is nothing left. A problem is one of the file as a whole: nothing can be read from it.
    pub fn next_chunk(&mut self, end_of_file: bool, limits: Limits) -> Result<Option<Chunk>, Problem> {
        if !self.begin(end_of_file)? {
            return Ok(None);
        }
        while self.records.is_empty() || (self.records.len() < limits.records && self.records_end < limits.bytes) {
            match self.step(end_of_file) {
                Step::Framed => {}
                Step::Long(chunk) => return Ok(Some(chunk)),
                Step::Cut => break,
                Step::Starved if end_of_file => return self.last_chunk(),
                Step::Starved => return Ok(None),
            }
        }
        Ok(self.take_ready())
    }

    /// What is whole so far, full or not: for a stream that has paused or broken off.
    pub fn take_ready(&mut self) -> Option<Chunk> {
        if self.records.is_empty() {
            return None;
        }
        let file_offset = self.base;
        let end = std::mem::take(&mut self.records_end);
        let raw = self.take_front(end);
        let (records, spans) = (std::mem::take(&mut self.records), std::mem::take(&mut self.spans));
        self.position.bytes = self.base;
        self.position.records += records.len() as u64;
        Some(Chunk { file_offset, raw, records, end: self.position.clone(), spans })
    }

    fn last_chunk(&mut self) -> Result<Option<Chunk>, Problem> {
        if let Some(chunk) = self.take_ready() {
            return Ok(Some(chunk));
        }
        self.take_front(self.buffer.len());
        self.position.bytes = self.base;
        if self.position.records == 0 && self.position.header.is_none() {
            return Err(bad_file("the file is empty"));
        }
        Ok(None)
    }

    fn take_front(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        self.base += length as u64;
        self.scanned = self.scanned.saturating_sub(length);
        self.start = self.start.map(|start| start.saturating_sub(length));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Byte order mark and column names; whether records can be read.
    fn begin(&mut self, end_of_file: bool) -> Result<bool, Problem> {
        if !self.begun {
            if self.buffer.len() < UTF8_MARK.len() && !end_of_file {
                return Ok(false);
            }
            self.skip_mark()?;
            self.begun = true;
        }
        if self.framing.syntax == Syntax::JsonLines || self.position.header.is_some() {
            return Ok(true);
        }
        let ended = self.scan();
        if self.scanner.scanned() > MAX_HEADER {
            return Err(bad_file(format!("the line of column names is longer than {MAX_HEADER} bytes")));
        }
        if !ended && !end_of_file {
            return Ok(false);
        }
        let Some(start) = self.start.take() else {
            return Err(bad_file("the file is empty"));
        };
        if !ended {
            self.scanner.finish();
        }
        self.position.header = Some(self.read_header(start)?);
        self.take_front(self.scanned);
        self.position.bytes = self.base;
        self.scanner.keep = self.scanner.fields;
        self.scanner.restart();
        Ok(true)
    }

    fn skip_mark(&mut self) -> Result<(), Problem> {
        if UTF16_MARKS.iter().any(|mark| self.buffer.starts_with(mark)) {
            return Err(bad_file("the file is UTF-16; save it as UTF-8"));
        }
        if self.buffer.starts_with(UTF8_MARK) {
            let declared = self.framing.encoding;
            if declared != UTF_8 {
                return Err(bad_file(format!(
                    "the file says by its byte order mark that it is UTF-8, the mapping says {}",
                    declared.name()
                )));
            }
            self.take_front(UTF8_MARK.len());
        }
        Ok(())
    }

    fn read_header(&self, start: usize) -> Result<Vec<String>, Problem> {
        if let Some(at) = self.scanner.open_quote() {
            return Err(bad_file(format!("the quote that opens at byte {at} of the column names never closes")));
        }
        let line = &self.buffer[start..];
        let names = self.scanner.spans.iter().enumerate().map(|(index, span)| {
            let name = decode(self.framing, line, *span);
            name.map(Into::into).map_err(|bad| bad_file(format!("the name of column {}: {bad}", index + 1)))
        });
        names.collect()
    }

    /// Scans to the end of the record's line; whether it has arrived.
    fn scan(&mut self) -> bool {
        if self.start.is_none() && self.long.is_none() {
            let syntax = self.framing.syntax;
            self.scanned += self.buffer[self.scanned..].iter().take_while(|byte| syntax.is_filler(**byte)).count();
            if self.scanned == self.buffer.len() {
                return false;
            }
            self.start = Some(self.scanned);
        }
        // At most one byte more than a record may have: an oversized one is always noticed before its end.
        let room = usize::try_from((MAX_RECORD + 1).saturating_sub(self.scanner.scanned())).unwrap_or(usize::MAX);
        let until = match self.long {
            Some(_) => self.buffer.len(),
            None => self.buffer.len().min(self.scanned.saturating_add(room)),
        };
        let used = self.scanner.feed(&self.buffer[self.scanned..until]);
        self.scanned = used.map_or(until, |used| self.scanned + used);
        used.is_some()
    }

    fn step(&mut self, end_of_file: bool) -> Step {
        let ended = self.scan();
        if self.long.is_none() && self.scanner.scanned() > MAX_RECORD {
            if !self.records.is_empty() {
                return Step::Cut;
            }
            self.begin_long();
        }
        if let Some(long) = self.long.take() {
            return self.step_long(long, ended, end_of_file);
        }
        if !ended && (self.start.is_none() || !end_of_file) {
            return Step::Starved;
        }
        if !ended {
            self.scanner.finish();
        }
        self.frame(!ended);
        Step::Framed
    }

    /// Adds the record that has just ended to those that wait.
    fn frame(&mut self, unterminated: bool) {
        let Some(offset) = self.start.take() else { return };
        let problem = self.framing_problem(unterminated);
        let first_span = self.spans.len();
        self.spans.extend_from_slice(&self.scanner.spans);
        self.records.push(Framed {
            number: self.position.records + self.records.len() as u64 + 1,
            offset,
            length: usize::try_from(self.scanner.length()).unwrap_or(usize::MAX),
            problem,
            unterminated,
            first_span,
            fields: self.scanner.spans.len(),
            long_hash: None,
        });
        self.records_end = self.scanned;
        self.scanner.restart();
    }

    fn framing_problem(&self, unterminated: bool) -> Option<Problem> {
        let Syntax::Csv { .. } = self.framing.syntax else { return None };
        let (fields, columns) = (self.scanner.fields, self.position.header.as_ref().map_or(0, Vec::len));
        let malformed = |text| Some(Problem::new(Code::MalformedRecord, "", text));
        if let Some(at) = self.scanner.open_quote() {
            return malformed(format!(
                "the quote that opens at byte {at} of the record is still open where the file ends"
            ));
        }
        if let Some(field) = self.scanner.trailing {
            return malformed(format!("field {field} goes on after its closing quote"));
        }
        if fields == columns {
            return None;
        }
        let cut_off = if unterminated && fields < columns { "; the file ends inside this record" } else { "" };
        malformed(format!("the record has {fields} of {columns} fields{cut_off}"))
    }

    fn begin_long(&mut self) {
        self.take_front(self.start.unwrap_or_default());
        self.start = None;
        self.long = Some(Long {
            file_offset: self.base,
            kept: self.buffer[..KEPT_OF_LONG].to_vec(),
            hasher: digest::Context::new(&digest::SHA256),
            held: false,
        });
    }

    fn step_long(&mut self, mut long: Long, ended: bool, end_of_file: bool) -> Step {
        let scanned = self.take_front(self.scanned);
        long.read(&scanned[..scanned.len() - usize::from(ended)], self.framing.syntax);
        if !ended && !end_of_file {
            self.long = Some(long);
            return Step::Starved;
        }
        let length = self.scanner.length();
        let open = self.scanner.open_quote().map_or_else(String::new, |at| {
            format!("; the quote that opens at byte {at} of it is still open where the file ends")
        });
        let text = format!("the record is {length} bytes long, and at most {MAX_RECORD} are taken{open}");
        self.scanner.restart();
        self.position.bytes = self.base;
        self.position.records += 1;
        let framed = Framed {
            number: self.position.records,
            offset: 0,
            length: long.kept.len(),
            problem: Some(Problem::new(Code::RecordTooLong, "", text)),
            unterminated: !ended,
            first_span: 0,
            fields: 0,
            long_hash: Some(finish(long.hasher)),
        };
        Step::Long(Chunk {
            file_offset: long.file_offset,
            raw: long.kept,
            records: vec![framed],
            end: self.position.clone(),
            spans: Vec::new(),
        })
    }
}

impl Long {
    fn read(&mut self, bytes: &[u8], syntax: Syntax) {
        let Some((last, before)) = bytes.split_last() else { return };
        if std::mem::take(&mut self.held) {
            self.hasher.update(b"\r");
        }
        self.hasher.update(before);
        self.held = syntax == Syntax::JsonLines && *last == b'\r';
        if !self.held {
            self.hasher.update(&[*last]);
        }
    }
}

fn bad_file(text: impl Into<String>) -> Problem {
    Problem::new(Code::BadFile, "", text)
}

#[cfg(test)]
mod tests;
