//! The fields of one record, as texts (CSV) or as a tree (JSON), whatever encoding they came in. Only what a mapping
//! reads is looked at.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{DecoderResult, Encoding, UTF_8};
use rustc_hash::FxHashSet;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zen_expression::Variable;
use zen_expression::variable::{Symbol, VariableMap};

use super::expression::Value;
use super::framing::Framing;
use super::scanner::Span;
use crate::error::{Code, Problem};

/// How deep JSON may be nested.
const MAX_DEPTH: usize = 32;
/// What serde_json calls the one key of a number that is kept as its text.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// A field that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadText {
    /// The byte at this offset of the record is not of the encoding.
    Encoding { offset: usize, byte: u8, encoding: &'static Encoding },
    /// A NUL, which databases and terminals cut texts at.
    Nul { offset: usize },
}

impl BadText {
    pub fn code(self) -> Code {
        match self {
            Self::Encoding { .. } => Code::BadEncoding,
            Self::Nul { .. } => Code::MalformedRecord,
        }
    }
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding { offset, byte, encoding } => {
                write!(f, "byte {offset} of the record (0x{byte:02X}) is not {}", encoding.name())
            }
            Self::Nul { offset } => write!(f, "byte {offset} of the record is NUL"),
        }
    }
}

/// The text of one field of a CSV record.
pub(super) fn decode(framing: Framing, record: &[u8], span: Span) -> Result<Cow<'_, str>, BadText> {
    let (start, end) = (span.start as usize, span.end as usize);
    let text = decode_bytes(framing.encoding, &record[start..end], start)?;
    let syntax_quote = framing.quote().map(char::from).filter(|_| span.doubled);
    Ok(match syntax_quote {
        Some(quote) => Cow::Owned(text.replace(&format!("{quote}{quote}"), &quote.to_string())),
        None => text,
    })
}

fn decode_bytes<'r>(encoding: &'static Encoding, bytes: &'r [u8], start: usize) -> Result<Cow<'r, str>, BadText> {
    let bad = |at: usize| {
        let byte = bytes.get(at).copied().unwrap_or_default();
        BadText::Encoding { offset: start + at, byte, encoding }
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(BadText::Nul { offset: start + at });
    }
    match std::str::from_utf8(bytes) {
        // Every encoding that a mapping may name reads ASCII as ASCII.
        Ok(text) if encoding == UTF_8 || text.is_ascii() => return Ok(Cow::Borrowed(text)),
        Err(error) if encoding == UTF_8 => return Err(bad(error.valid_up_to())),
        _ => {}
    }
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| bad(first_malformed(encoding, bytes)))
}

fn first_malformed(encoding: &'static Encoding, bytes: &[u8]) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or_default();
    let mut text = String::with_capacity(room);
    match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
        (DecoderResult::Malformed(length, after), read) => {
            read.saturating_sub(usize::from(length) + usize::from(after))
        }
        (_, read) => read,
    }
}

/// What a mapping reads of one record, by the number of the field in the mapping's list.
pub(super) enum Cells<'r> {
    Texts(Vec<Cow<'r, str>>),
    /// `Null` where the record lacks the field.
    Trees(Vec<Variable>),
}

impl<'r> Cells<'r> {
    /// `columns` says which column of the record each field of the mapping is in.
    pub fn of_csv(
        framing: Framing,
        record: &'r [u8],
        spans: &[Span],
        columns: &[usize],
        names: &[String],
    ) -> Result<Self, Problem> {
        let mut texts = Vec::with_capacity(columns.len());
        for (column, name) in columns.iter().zip(names) {
            let Some(span) = spans.get(*column) else {
                return Err(Problem::new(Code::MalformedRecord, name.as_str(), "the record lacks this field"));
            };
            let text = decode(framing, record, *span)
                .map_err(|bad| Problem::new(bad.code(), name.as_str(), format!("the field '{name}': {bad}")))?;
            texts.push(text);
        }
        Ok(Self::Texts(texts))
    }

    pub fn of_json(
        encoding: &'static Encoding,
        record: &[u8],
        cut_off: bool,
        names: &[String],
    ) -> Result<Self, Problem> {
        let text = decode_bytes(encoding, record, 0).map_err(|bad| Problem::new(bad.code(), "", bad.to_string()))?;
        let mut reader = serde_json::Deserializer::from_str(&text);
        let read = Top { names }.deserialize(&mut reader).and_then(|trees| reader.end().map(|()| trees));
        read.map(Self::Trees).map_err(|error| {
            let cut_off = if cut_off && error.is_eof() { "; the file ends inside this record" } else { "" };
            let text = error.to_string().replace("line 1 column", "byte");
            Problem::new(Code::MalformedRecord, "", format!("this is no JSON object that can be read: {text}{cut_off}"))
        })
    }

    /// The field's value; `path` leads into a nested object.
    pub fn value(&self, field: usize, path: &[String]) -> Value<'_> {
        match self {
            Self::Texts(texts) if path.is_empty() => Value::Text(Cow::Borrowed(&texts[field])),
            Self::Texts(_) => Value::Null,
            Self::Trees(trees) if path.is_empty() => Value::borrowed(&trees[field]),
            Self::Trees(trees) => {
                let found = path.iter().try_fold(trees[field].clone(), |tree, key| match tree {
                    Variable::Object(object) => object.borrow().get_str(key).cloned(),
                    _ => None,
                });
                Value::owned(found.unwrap_or(Variable::Null))
            }
        }
    }

    /// The field's value for an expression.
    pub fn variable(&self, field: usize) -> Variable {
        match self {
            Self::Texts(texts) => Variable::String(Symbol::from(texts[field].as_ref())),
            Self::Trees(trees) => trees[field].clone(),
        }
    }
}

/// Reads a JSON object, and of it what is named.
struct Top<'n> {
    names: &'n [String],
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Vec<Variable>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Vec<Variable>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut trees: Vec<Variable> = self.names.iter().map(|_| Variable::Null).collect();
        let mut seen = FxHashSet::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.names.iter().position(|name| *name == key) {
                Some(field) => trees[field] = map.next_value_seed(Tree { depth: 1 })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            if let Some(key) = seen.replace(key) {
                return Err(A::Error::custom(format!("the key '{key}' comes twice")));
            }
        }
        Ok(trees)
    }
}

/// Reads any JSON value; numbers stay texts, digit by digit as they were written (only `1E5` becomes `1e+5`).
struct Tree {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Variable;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Variable, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Tree {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Variable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Variable, E> {
        Ok(Variable::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Variable, E> {
        Ok(Variable::Bool(value))
    }

    /// Whole numbers come parsed, and their digits are their text again.
    fn visit_u64<E>(self, number: u64) -> Result<Variable, E> {
        Ok(Variable::String(Symbol::from(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Variable, E> {
        Ok(Variable::String(Symbol::from(number.to_string())))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Variable, E> {
        if text.contains('\0') {
            return Err(E::custom("a text holds a NUL"));
        }
        Ok(Variable::String(Symbol::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Variable, A::Error> {
        let mut items = Vec::new();
        loop {
            match seq.next_element_seed(self.deeper()?)? {
                Some(item) => items.push(item),
                None => return Ok(Variable::from_array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
        let mut object = VariableMap::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == NUMBER_KEY {
                return Ok(Variable::String(Symbol::from(map.next_value::<String>()?.as_str())));
            }
            let value = map.next_value_seed(self.deeper()?)?;
            if object.insert(Symbol::from(key.as_ref()), value).is_some() {
                return Err(A::Error::custom(format!("the key '{key}' comes twice")));
            }
        }
        Ok(Variable::from_object(object))
    }
}
