//! A tenant as a file: JSON Lines, compressed as one zstd frame with a checksum.
//!
//! ```text
//! {"header":{"format":1,"tenant":{…},"schema":[…],"key":"…"}}
//! {"table":{"name":"partners","columns":[["id","BYTES"],["name","TEXT"],…]}}
//! ["AZoF1L2Bcr-p1OOw9V-2FA","Lumen Games",…]      a row: bytes in base64url, integers in full, texts, null
//! {"end":{"rows":1,"sums":{…},"sha256":"…"}}      of the table's rows as they are above
//! …
//! {"seal":"…"}                                    the hash of all lines before it, sealed with the master key
//! ```
//!
//! The frame's checksum finds what a disk or a network did; the seal finds what somebody did.

use std::io::{BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use crate::db::{Cell, Holds, Table};
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::TenantId;
use crate::secrets::{Hasher, MasterKey, base64url, from_base64url};

/// Of this layout; another one gets another number.
pub(super) const FORMAT: u32 = 1;
/// A detector's memory is the longest value; no line comes near this.
const LONGEST_LINE: u64 = 256 << 20;
const COMPRESSION: i32 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) tenant: Moving,
    /// The changes that the schema had been through.
    pub(super) schema: Vec<String>,
    /// Sealed with the master key, so that another one is noticed before anything is read.
    pub(super) key: String,
}

/// Which tenant it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) name: String,
    columns: Vec<(String, String)>,
}

impl Shape {
    pub(super) fn of(table: &Table) -> Self {
        let columns = table.columns().map(|(name, holds)| (name.to_owned(), holds.as_str().to_owned()));
        Self { name: table.name().to_owned(), columns: columns.collect() }
    }
}

impl Holds {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "BYTES",
            Self::Integer => "INTEGER",
            Self::Text => "TEXT",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Mark {
    Header(Header),
    Table(Shape),
    End(Figures),
    Seal(String),
}

/// What a file says next.
pub(super) enum Said {
    Table(Shape),
    Row(String),
    End(Figures),
    /// Nothing comes after it.
    Sealed,
}

/// A file that is being written.
pub(super) struct Outgoing<W: Write> {
    frame: zstd::Encoder<'static, W>,
    hasher: Hasher,
    tenant: TenantId,
}

impl<W: Write> Outgoing<W> {
    pub(super) fn begin(file: W, key: &MasterKey, tenant: &Moving, schema: Vec<String>) -> Result<Self> {
        let mut frame = zstd::Encoder::new(file, COMPRESSION).map_err(unwritten)?;
        frame.include_checksum(true).map_err(unwritten)?;
        let mut outgoing = Self { frame, hasher: Hasher::default(), tenant: tenant.id };
        let key = base64url(&key.seal(&key_purpose(tenant.id), &[])?);
        outgoing.mark(&Mark::Header(Header { format: FORMAT, tenant: tenant.clone(), schema, key }))?;
        Ok(outgoing)
    }

    pub(super) fn table(&mut self, table: &Table) -> Result<()> {
        self.mark(&Mark::Table(Shape::of(table)))
    }

    /// A row as [`encode`] makes it.
    pub(super) fn row(&mut self, line: &str) -> Result<()> {
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
        self.frame.write_all(line.as_bytes()).and_then(|()| self.frame.write_all(b"\n")).map_err(unwritten)
    }

    pub(super) fn end(&mut self, figures: Figures) -> Result<()> {
        self.mark(&Mark::End(figures))
    }

    /// The last line. Gives the file back, whole.
    pub(super) fn seal(mut self, key: &MasterKey) -> Result<W> {
        let hash = std::mem::take(&mut self.hasher).finish();
        let seal = base64url(&key.seal(&seal_purpose(self.tenant), &hash)?);
        self.mark(&Mark::Seal(seal))?;
        self.frame.finish().map_err(unwritten)
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let line = serde_json::to_string(mark).map_err(|error| Fault::Internal(format!("a line of JSON: {error}")))?;
        self.row(&line)
    }
}

/// A file that is being read, by the machine to which the tenant moves.
pub struct Incoming<R: Read> {
    lines: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    hasher: Hasher,
    header: Header,
    /// Lines so far, and the table they are in: where something is wrong.
    line: u64,
    table: String,
}

impl<R: Read> Incoming<R> {
    /// Reads the header; refuses what is no export, and one of another layout.
    pub fn open(file: R) -> Result<Self> {
        let frame = zstd::Decoder::new(file).map_err(|error| bad(format!("the file is no export: {error}")))?;
        let tenant = Moving { id: TenantId::NONE, slug: String::new(), name: String::new() };
        let header = Header { format: FORMAT, tenant, schema: Vec::new(), key: String::new() };
        let (lines, hasher) = (BufReader::new(frame), Hasher::default());
        let mut incoming = Self { lines, hasher, header, line: 0, table: String::new() };
        let line = incoming.next_line().map_err(|_| bad("the file is no export of a tenant, or damaged"))?;
        let other = "the file is no export of a tenant that this build of Saldo knows";
        let Ok(Mark::Header(header)) = serde_json::from_str(&line) else { return Err(bad(other)) };
        if header.format != FORMAT {
            return Err(bad(format!("{other}: its format is {} and not {FORMAT}", header.format)));
        }
        incoming.header = header;
        Ok(incoming)
    }

    pub fn tenant(&self) -> &Moving {
        &self.header.tenant
    }

    pub(super) fn schema(&self) -> &[String] {
        &self.header.schema
    }

    /// Whether what is sealed in the tenant's rows will open here.
    pub fn check_key(&self, key: &MasterKey) -> Result<()> {
        let sealed = from_base64url(&self.header.key).unwrap_or_default();
        let opened = key.open(&key_purpose(self.header.tenant.id), &sealed);
        let other = "the file comes from a Saldo with another master key: what is sealed in it (the key of players' \
                     pseudonyms, waiting mail, outcomes under idempotency keys) would never open here. The Saldo that \
                     the tenant moves to must have the same master key file";
        opened.map(drop).map_err(|_| bad(other))
    }

    /// The next line. The last one is checked against all before it.
    pub(super) fn next(&mut self, key: &MasterKey) -> Result<Said> {
        let hash = self.hasher.clone();
        let line = self.next_line()?;
        if line.starts_with('[') {
            return Ok(Said::Row(line));
        }
        match serde_json::from_str(&line) {
            Ok(Mark::Table(shape)) => {
                self.table.clone_from(&shape.name);
                Ok(Said::Table(shape))
            }
            Ok(Mark::End(figures)) => Ok(Said::End(figures)),
            Ok(Mark::Seal(seal)) => {
                let sealed = from_base64url(&seal).unwrap_or_default();
                let told = key.open(&seal_purpose(self.header.tenant.id), &sealed).ok();
                if told.as_deref() != Some(&hash.finish()) {
                    return Err(bad("the file was altered: its seal is not that of what is in it"));
                }
                self.expect_end().map(|()| Said::Sealed)
            }
            Ok(Mark::Header(_)) | Err(_) => Err(self.damaged("a line is none of an export")),
        }
    }

    /// What is wrong, and where.
    pub(super) fn damaged(&self, what: impl std::fmt::Display) -> Error {
        let place = if self.table.is_empty() { String::new() } else { format!(" (table {})", self.table) };
        bad(format!("the file is damaged or not whole, after line {}{place}: {what}", self.line))
    }

    fn next_line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| self.damaged(error))?;
        if line.last() != Some(&b'\n') {
            let what = if line.len() as u64 == LONGEST_LINE { "the next line has no end" } else { "it ends here" };
            return Err(self.damaged(what));
        }
        self.hasher.update(&line);
        self.line += 1;
        line.pop();
        String::from_utf8(line).map_err(|_| self.damaged("the next line is no text"))
    }

    fn expect_end(&mut self) -> Result<()> {
        match self.lines.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("something comes after its end")),
            Err(error) => Err(self.damaged(error)),
        }
    }
}

/// A row as a line.
pub(super) fn encode(row: &[Cell]) -> Result<String> {
    let mut line = String::from("[");
    for (number, cell) in row.iter().enumerate() {
        if number > 0 {
            line.push(',');
        }
        match cell {
            Cell::Null => line.push_str("null"),
            Cell::Integer(number) => line.push_str(&number.to_string()),
            Cell::Bytes(bytes) => {
                line.push('"');
                line.push_str(&base64url(bytes));
                line.push('"');
            }
            Cell::Text(text) => {
                let json = serde_json::to_string(text);
                line.push_str(&json.map_err(|error| Fault::Internal(format!("a text as JSON: {error}")))?);
            }
        }
    }
    line.push(']');
    Ok(line)
}

/// The row of a line; nothing where it is none of this table's.
pub(super) fn decode(line: &str, table: &Table) -> Option<Vec<Cell>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(line).ok()?;
    if values.len() != table.columns().count() {
        return None;
    }
    let cells = values.into_iter().zip(table.columns()).map(|(value, (_, holds))| match (value, holds) {
        (serde_json::Value::Null, _) => Some(Cell::Null),
        (serde_json::Value::Number(number), Holds::Integer) => number.as_i64().map(Cell::Integer),
        (serde_json::Value::String(text), Holds::Bytes) => from_base64url(&text).map(Cell::Bytes),
        (serde_json::Value::String(text), Holds::Text) => Some(Cell::Text(text)),
        _ => None,
    });
    cells.collect()
}

pub(super) fn bad(message: impl Into<String>) -> Error {
    Problem::new(Code::BadFile, "", message).into()
}

fn unwritten(error: std::io::Error) -> Error {
    Fault::Internal(format!("the file cannot be written: {error}")).into()
}

fn key_purpose(tenant: TenantId) -> String {
    format!("the header of an export of {tenant}")
}

fn seal_purpose(tenant: TenantId) -> String {
    format!("the seal of an export of {tenant}")
}
