//! A source's mapping: how its records become transactions. Written as JSON (`docs/mapping.md`), checked and compiled
//! once, then used from any number of threads.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Serialize};

use super::expression::{Expression, Fields, Value};
use super::framing::Framing;
use super::scanner::Syntax;
use super::times::TimeReader;
use crate::error::{Code, Problem};
use crate::transactions::transaction::Kind;

/// The most transactions that one record can become.
pub const MAX_EMISSIONS: usize = 16;
pub const MAX_ATTRIBUTES: usize = 32;
/// The longest name of an attribute, in bytes.
pub const MAX_ATTRIBUTE_NAME: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    /// JSON Lines: one object a line.
    Jsonl,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    pub format: Format,
    /// A label of the WHATWG encoding standard.
    #[serde(default = "utf_8")]
    pub encoding: String,
    /// For times without an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Tz>,
    /// How times are written, as chrono writes patterns, or `unixMillis`; RFC 3339 with or without offset if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// Of CSV: one ASCII character, a comma if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Of CSV: one ASCII character, `"` if not said; empty where quotes mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Rounds digits beyond the accounting unit instead of refusing them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub round_excess: bool,
    pub emit: Vec<Emission>,
}

/// A transaction that a record becomes. All but a literal `kind` are zen-expressions over the record's fields, which
/// are texts until converted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Emission {
    /// Whether the record becomes this transaction; always if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A kind, or an expression that gives one.
    pub kind: String,
    pub external_id: String,
    pub amount: String,
    pub currency: String,
    pub occurred_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_closed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affects: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

fn utf_8() -> String {
    "utf-8".to_owned()
}

impl Mapping {
    /// Reads a mapping as it is written in JSON.
    pub fn parse(json: &str) -> Result<Self, Problem> {
        serde_json::from_str(json)
            .map_err(|error| Problem::new(Code::BadInput, "", format!("this is no mapping: {error}")))
    }
}

/// A mapping that has been checked, ready for use.
#[derive(Debug)]
pub struct CompiledMapping {
    pub(super) framing: Framing,
    pub(super) times: TimeReader,
    pub(super) round_excess: bool,
    pub(super) fields: Fields,
    pub(super) emissions: Vec<CompiledEmission>,
    /// Which expression (`emit.0.amount`) reads which field.
    reads: Vec<(String, usize)>,
}

#[derive(Debug)]
pub(super) struct CompiledEmission {
    pub when: Option<Expression>,
    pub kind: CompiledKind,
    pub external_id: Expression,
    pub amount: Expression,
    pub currency: Expression,
    pub occurred_at: Expression,
    pub settled_at: Option<Expression>,
    pub reported_at: Option<Expression>,
    pub product: Option<Expression>,
    pub player: Option<Expression>,
    pub round: Option<Expression>,
    pub round_closed: Option<Expression>,
    pub channel: Option<Expression>,
    pub region: Option<Expression>,
    pub reverses: Option<Expression>,
    pub affects: Option<Expression>,
    pub note: Option<Expression>,
    pub test: Option<Expression>,
    pub attributes: Vec<(String, Expression)>,
}

#[derive(Debug)]
pub(super) enum CompiledKind {
    Literal(Kind),
    Computed(Expression),
}

impl CompiledMapping {
    /// Checks a mapping and compiles its expressions. All that is wrong with it is told, with paths like
    /// `emit.0.amount`.
    pub fn compile(mapping: &Mapping) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler { flat: mapping.format == Format::Csv, ..Compiler::default() };
        let framing = compiler.framing(mapping);
        let times = TimeReader::new(mapping.time_zone, mapping.time_format.as_deref());
        let times = compiler.keep(Code::BadInput, "timeFormat", times);
        if mapping.emit.is_empty() || mapping.emit.len() > MAX_EMISSIONS {
            let text = format!("a record becomes 1 to {MAX_EMISSIONS} transactions, not {}", mapping.emit.len());
            compiler.problems.push(Problem::new(Code::BadInput, "emit", text));
        }
        let emissions: Option<Vec<CompiledEmission>> = mapping
            .emit
            .iter()
            .take(MAX_EMISSIONS)
            .enumerate()
            .map(|(index, emission)| compiler.emission(&format!("emit.{index}"), emission))
            // Collected twice, so that the problems of all of them are found.
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        match (framing, times, emissions) {
            (Some(framing), Some(times), Some(emissions)) if compiler.problems.is_empty() => Ok(Self {
                framing,
                times,
                round_excess: mapping.round_excess,
                fields: compiler.fields,
                emissions,
                reads: compiler.reads,
            }),
            _ => Err(compiler.problems),
        }
    }

    /// How files of this mapping are cut into records.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// A text in the bytes that this mapping reads.
    pub fn encode(&self, text: &str) -> Result<Vec<u8>, Problem> {
        let (bytes, encoding, lacking) = self.framing.encoding.encode(text);
        if lacking {
            let message = format!("it has characters that {} does not have", encoding.name());
            return Err(Problem::new(Code::BadEncoding, "", message));
        }
        Ok(bytes.into_owned())
    }

    /// Whether a CSV file with these columns can be mapped. Nothing is asked of JSON Lines.
    pub fn check_header(&self, header: &[String]) -> Result<(), Problem> {
        let Syntax::Csv { .. } = self.framing.syntax else { return Ok(()) };
        if let Some((_, name)) = header.iter().enumerate().find(|(index, name)| header[..*index].contains(name)) {
            return Err(Problem::new(Code::BadFile, "", format!("the file has two columns '{name}'")));
        }
        let mut missing: Vec<String> = Vec::new();
        for (number, name) in self.fields.names.iter().enumerate() {
            if !header.contains(name) {
                let reader =
                    self.reads.iter().find(|(_, field)| *field == number).map_or("the mapping", |(path, _)| path);
                missing.push(format!("'{name}' (read by {reader})"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("the file has no column {}; it has {}", missing.join(", "), quoted(header));
        Err(Problem::new(Code::BadFile, "", text))
    }

    /// Which column each field is in.
    pub(super) fn columns(&self, header: &[String]) -> Result<Vec<usize>, Problem> {
        self.check_header(header)?;
        Ok(self.fields.names.iter().filter_map(|name| header.iter().position(|column| column == name)).collect())
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

#[derive(Default)]
struct Compiler {
    flat: bool,
    fields: Fields,
    reads: Vec<(String, usize)>,
    problems: Vec<Problem>,
}

impl Compiler {
    fn keep<T>(&mut self, code: Code, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|text| self.problems.push(Problem::new(code, path, text))).ok()
    }

    fn framing(&mut self, mapping: &Mapping) -> Option<Framing> {
        let encoding = self.keep(Code::BadInput, "encoding", encoding(&mapping.encoding));
        let syntax = match mapping.format {
            Format::Csv => self.csv(mapping, encoding.unwrap_or(UTF_8)),
            Format::Jsonl => {
                for (name, value) in [("delimiter", &mapping.delimiter), ("quote", &mapping.quote)] {
                    if value.is_some() {
                        self.problems.push(Problem::new(Code::BadInput, name, "only CSV has it"));
                    }
                }
                Some(Syntax::JsonLines)
            }
        };
        Some(Framing { syntax: syntax?, encoding: encoding? })
    }

    fn csv(&mut self, mapping: &Mapping, encoding: &'static Encoding) -> Option<Syntax> {
        let delimiter = separator(mapping.delimiter.as_deref().unwrap_or(","), encoding);
        let delimiter = self.keep(Code::BadInput, "delimiter", delimiter)?;
        let quote = match mapping.quote.as_deref().unwrap_or("\"") {
            "" => None,
            quote => Some(self.keep(Code::BadInput, "quote", separator(quote, encoding))?),
        };
        if quote == Some(delimiter) {
            self.problems.push(Problem::new(Code::BadInput, "quote", "quote and delimiter are the same character"));
        }
        Some(Syntax::Csv { delimiter, quote })
    }

    fn expression(&mut self, path: String, source: &str) -> Option<Expression> {
        let compiled = Expression::compile(source, self.flat, &mut self.fields);
        let expression = self.keep(Code::BadExpression, &path, compiled)?;
        self.reads.extend(expression.reads.iter().map(|field| (path.clone(), *field)));
        Some(expression)
    }

    fn emission(&mut self, path: &str, emission: &Emission) -> Option<CompiledEmission> {
        let before = self.problems.len();
        let mut required = |name: &str, source: &str| self.expression(format!("{path}.{name}"), source);
        let external_id = required("externalId", &emission.external_id);
        let amount = required("amount", &emission.amount);
        let currency = required("currency", &emission.currency);
        let occurred_at = required("occurredAt", &emission.occurred_at);
        let mut optional = |name: &str, source: &Option<String>| required(name, source.as_deref()?);
        let when = optional("when", &emission.when);
        let settled_at = optional("settledAt", &emission.settled_at);
        let reported_at = optional("reportedAt", &emission.reported_at);
        let product = optional("product", &emission.product);
        let player = optional("player", &emission.player);
        let round = optional("round", &emission.round);
        let round_closed = optional("roundClosed", &emission.round_closed);
        let channel = optional("channel", &emission.channel);
        let region = optional("region", &emission.region);
        let reverses = optional("reverses", &emission.reverses);
        let affects = optional("affects", &emission.affects);
        let note = optional("note", &emission.note);
        let test = optional("test", &emission.test);
        let attributes = self.attributes(path, &emission.attributes);
        let kind = match Kind::parse(&emission.kind) {
            Some(kind) => Some(CompiledKind::Literal(kind)),
            None => self.expression(format!("{path}.kind"), &emission.kind).map(CompiledKind::Computed),
        };
        if let Some(CompiledKind::Computed(expression)) = &kind
            && let Some(always) = expression.constant()
            && !matches!(always, Value::Text(text) if Kind::parse(text).is_some())
        {
            let text = format!("{} is no kind of transaction", always.shown());
            self.problems.push(Problem::new(Code::UnknownKind, format!("{path}.kind"), text));
        }
        let whole = CompiledEmission {
            when,
            kind: kind?,
            external_id: external_id?,
            amount: amount?,
            currency: currency?,
            occurred_at: occurred_at?,
            settled_at,
            reported_at,
            product,
            player,
            round,
            round_closed,
            channel,
            region,
            reverses,
            affects,
            note,
            test,
            attributes,
        };
        (self.problems.len() == before).then_some(whole)
    }

    fn attributes(&mut self, path: &str, attributes: &BTreeMap<String, String>) -> Vec<(String, Expression)> {
        if attributes.len() > MAX_ATTRIBUTES {
            let text = format!("a transaction has at most {MAX_ATTRIBUTES} attributes, not {}", attributes.len());
            self.problems.push(Problem::new(Code::BadInput, format!("{path}.attributes"), text));
        }
        let mut compiled = Vec::new();
        for (name, source) in attributes.iter().take(MAX_ATTRIBUTES) {
            if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME || name.contains(char::is_control) {
                let text =
                    format!("the name of an attribute has 1 to {MAX_ATTRIBUTE_NAME} bytes and no control characters");
                self.problems.push(Problem::new(Code::BadInput, format!("{path}.attributes"), text));
            } else if let Some(expression) = self.expression(format!("{path}.attributes.{name}"), source) {
                compiled.push((name.clone(), expression));
            }
        }
        compiled
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    let encoding =
        Encoding::for_label(label.as_bytes()).ok_or_else(|| format!("'{label}' is no encoding that is known"))?;
    if encoding.is_ascii_compatible() {
        Ok(encoding)
    } else {
        Err(format!("'{label}' is no superset of ASCII, so lines cannot be told apart; convert the file to UTF-8"))
    }
}

/// Delimiters and quotes are found among bytes before these are decoded. In an encoding of several bytes a character,
/// those from 0x30 on may be part of another character.
fn separator(text: &str, encoding: &'static Encoding) -> Result<u8, String> {
    let [byte] = text.as_bytes() else { return Err(format!("'{text}' is not one ASCII character")) };
    if !byte.is_ascii() || byte.is_ascii_alphanumeric() || matches!(byte, b'\r' | b'\n' | b'\0') {
        return Err(format!("'{}' cannot separate fields", text.escape_default()));
    }
    if *byte >= 0x30 && encoding != UTF_8 && !encoding.is_single_byte() {
        return Err(format!("'{text}' may be part of another character in {}", encoding.name()));
    }
    Ok(*byte)
}

#[cfg(test)]
mod tests;
