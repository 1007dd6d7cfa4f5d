//! Makes drafts of transactions out of records, by a compiled mapping.

use std::collections::BTreeMap;

use super::expression::{Evaluator, Expression, Value};
use super::framing::{Chunk, Framed, Framer, Limits, Position};
use super::mapping::{CompiledEmission, CompiledKind, CompiledMapping};
use super::record::Cells;
use super::scanner::{Span, Syntax};
use crate::error::{Code, Problem};
use crate::time::Timestamp;
use crate::transactions::transaction::{Affects, Draft, Kind};

/// What one record became; none if it was ignored.
pub type Mapped = Result<Vec<Draft>, Problem>;

impl CompiledMapping {
    /// Maps the records of a chunk: one entry for each. `header` is that of the chunk's position, for CSV.
    pub fn map_chunk(&self, chunk: &Chunk, header: Option<&[String]>) -> Vec<Mapped> {
        let mut mapper = match Mapper::new(self, header) {
            Ok(mapper) => mapper,
            Err(problem) => return chunk.records.iter().map(|_| Err(problem.clone())).collect(),
        };
        chunk.records.iter().map(|framed| mapper.map_framed(chunk, framed)).collect()
    }

    /// Maps one record by itself: a quarantined one that is tried again. `header` is the one it was read with.
    pub fn map_one(&self, raw: &[u8], header: Option<&[String]>) -> Mapped {
        let position = Position { header: header.map(<[String]>::to_vec), ..Position::default() };
        if position.header.is_none() && self.framing.syntax != Syntax::JsonLines {
            return Err(Problem::new(Code::BadFile, "", "the columns of this record are not known"));
        }
        let mut framer = Framer::new(self.framing, position);
        framer.push(raw);
        let chunk = framer.next_chunk(true, Limits { records: 2, bytes: usize::MAX })?;
        match chunk.as_ref().map(|chunk| (chunk, chunk.records.as_slice())) {
            Some((chunk, [framed])) => Mapper::new(self, header)?.map_framed(chunk, framed),
            Some(_) => Err(Problem::new(Code::MalformedRecord, "", "this is more than one record")),
            None => Err(Problem::new(Code::MalformedRecord, "", "the record is empty")),
        }
    }
}

/// A mapping at work on one thread.
struct Mapper<'m> {
    mapping: &'m CompiledMapping,
    /// Which column of the file each field is in.
    columns: Vec<usize>,
    evaluator: Evaluator<'m>,
}

impl<'m> Mapper<'m> {
    fn new(mapping: &'m CompiledMapping, header: Option<&[String]>) -> Result<Self, Problem> {
        let columns = match mapping.framing.syntax {
            Syntax::Csv { .. } => mapping.columns(header.unwrap_or_default())?,
            Syntax::JsonLines => Vec::new(),
        };
        Ok(Self { mapping, columns, evaluator: Evaluator::new(&mapping.fields) })
    }

    fn map_framed(&mut self, chunk: &Chunk, framed: &Framed) -> Mapped {
        match &framed.problem {
            Some(problem) => Err(problem.clone()),
            None => self.map(chunk.bytes_of(framed), chunk.spans_of(framed), framed.unterminated),
        }
    }

    fn map(&mut self, record: &[u8], spans: &[Span], unterminated: bool) -> Mapped {
        let (framing, names) = (self.mapping.framing, &self.mapping.fields.names);
        let cells = match framing.syntax {
            Syntax::Csv { .. } => Cells::of_csv(framing, record, spans, &self.columns, names)?,
            Syntax::JsonLines => Cells::of_json(framing.encoding, record, unterminated, names)?,
        };
        self.evaluator.enter(&cells)?;
        let mut drafts = Vec::with_capacity(self.mapping.emissions.len());
        for (index, emission) in self.mapping.emissions.iter().enumerate() {
            let mut emitting = Emitting { mapping: self.mapping, evaluator: &mut self.evaluator, cells: &cells };
            let draft = emitting.emit(emission).map_err(|problem| problem.under(&format!("emit.{index}")))?;
            drafts.extend(draft);
        }
        Ok(drafts)
    }
}

/// One emission for one record.
struct Emitting<'e, 'm> {
    mapping: &'m CompiledMapping,
    evaluator: &'e mut Evaluator<'m>,
    cells: &'e Cells<'e>,
}

impl<'e> Emitting<'e, '_> {
    /// `None` where `when` says no.
    fn emit(&mut self, emission: &CompiledEmission) -> Result<Option<Draft>, Problem> {
        if let Some(when) = &emission.when
            && !self.flag("when", when)?
        {
            return Ok(None);
        }
        let mut attributes = BTreeMap::new();
        for (name, expression) in &emission.attributes {
            if let Some(text) = self.text(&format!("attributes.{name}"), expression)? {
                attributes.insert(name.clone(), text);
            }
        }
        Ok(Some(Draft {
            external_id: self.required("externalId", &emission.external_id)?,
            kind: self.kind(&emission.kind)?.as_str().to_owned(),
            amount: self.amount(&emission.amount)?,
            currency: self.required("currency", &emission.currency)?,
            occurred_at: Some(self.time("occurredAt", &emission.occurred_at)?.ok_or_else(|| {
                Problem::new(Code::BadTime, "occurredAt", self.evaluator.nothing(&emission.occurred_at, self.cells))
            })?),
            settled_at: self.optional_time("settledAt", &emission.settled_at)?,
            reported_at: self.optional_time("reportedAt", &emission.reported_at)?,
            product: self.optional("product", &emission.product)?,
            player: self.optional("player", &emission.player)?,
            round: self.optional("round", &emission.round)?,
            round_closed: self.optional_flag("roundClosed", &emission.round_closed)?,
            channel: self.optional("channel", &emission.channel)?,
            region: self.optional("region", &emission.region)?,
            reverses: self.optional("reverses", &emission.reverses)?,
            affects: self.affects(&emission.affects)?,
            note: self.optional("note", &emission.note)?,
            test: self.optional_flag("test", &emission.test)?,
            round_excess: self.mapping.round_excess,
            attributes,
        }))
    }

    fn value<'v>(&mut self, field: &str, expression: &'v Expression) -> Result<Value<'v>, Problem>
    where
        'e: 'v,
    {
        let value = self.evaluator.evaluate(expression, self.cells);
        value.map_err(|text| Problem::new(Code::ExpressionFailed, field, text))
    }

    /// A text; `None` for nothing, which an empty text is too: CSV has no other way to say it.
    fn text(&mut self, field: &str, expression: &Expression) -> Result<Option<String>, Problem> {
        let text = match self.value(field, expression)? {
            Value::Null => return Ok(None),
            Value::Text(text) => text.into_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Other(kind) => return Err(self.unfit(field, expression, kind, "a text")),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn optional(&mut self, field: &str, expression: &Option<Expression>) -> Result<Option<String>, Problem> {
        expression.as_ref().map_or(Ok(None), |expression| self.text(field, expression))
    }

    fn required(&mut self, field: &str, expression: &Expression) -> Result<String, Problem> {
        let text = self.text(field, expression)?;
        text.ok_or_else(|| Problem::new(Code::BadInput, field, self.evaluator.nothing(expression, self.cells)))
    }

    /// A decimal number in major units, written plainly.
    fn amount(&mut self, expression: &Expression) -> Result<String, Problem> {
        match self.value("amount", expression)? {
            Value::Number(number) => Ok(number.normalize().to_string()),
            Value::Text(text) if is_plain_decimal(&text) => Ok(text.into_owned()),
            Value::Null => Err(Problem::new(Code::BadAmount, "amount", self.evaluator.nothing(expression, self.cells))),
            other => {
                let text = format!("{} is not a decimal number like 1234.56", other.shown());
                Err(Problem::new(Code::BadAmount, "amount", text))
            }
        }
    }

    fn flag(&mut self, field: &str, expression: &Expression) -> Result<bool, Problem> {
        match self.value(field, expression)? {
            Value::Bool(flag) => Ok(flag),
            Value::Text(text) if text == "true" => Ok(true),
            Value::Text(text) if text == "false" => Ok(false),
            other => {
                let shown = other.shown();
                Err(self.unfit(field, expression, &shown, "true or false"))
            }
        }
    }

    /// A flag that is off where the record has nothing to say.
    fn optional_flag(&mut self, field: &str, expression: &Option<Expression>) -> Result<bool, Problem> {
        let Some(expression) = expression else { return Ok(false) };
        match self.value(field, expression)? {
            Value::Null => Ok(false),
            Value::Text(text) if text.is_empty() => Ok(false),
            _ => self.flag(field, expression),
        }
    }

    fn time(&mut self, field: &str, expression: &Expression) -> Result<Option<Timestamp>, Problem> {
        let text = match self.value(field, expression)? {
            Value::Null => return Ok(None),
            Value::Text(text) if text.is_empty() => return Ok(None),
            Value::Text(text) => text,
            Value::Number(number) => number.normalize().to_string().into(),
            other => {
                let shown = other.shown();
                return Err(self.unfit(field, expression, &shown, "a time"));
            }
        };
        let time = self.mapping.times.read(&text);
        time.map(Some).map_err(|text| Problem::new(Code::BadTime, field, text))
    }

    fn optional_time(&mut self, field: &str, expression: &Option<Expression>) -> Result<Option<Timestamp>, Problem> {
        expression.as_ref().map_or(Ok(None), |expression| self.time(field, expression))
    }

    fn kind(&mut self, kind: &CompiledKind) -> Result<Kind, Problem> {
        let expression = match kind {
            CompiledKind::Literal(kind) => return Ok(*kind),
            CompiledKind::Computed(expression) => expression,
        };
        let text = self.required("kind", expression)?;
        Kind::parse(&text).ok_or_else(|| {
            let shown = Value::Text(text.into()).shown();
            Problem::new(Code::UnknownKind, "kind", format!("{shown} is no kind of transaction"))
        })
    }

    fn affects(&mut self, expression: &Option<Expression>) -> Result<Option<String>, Problem> {
        let text = self.optional("affects", expression)?;
        match text {
            Some(text) if Affects::parse(&text).is_none() => {
                let shown = Value::Text(text.into()).shown();
                Err(Problem::new(Code::BadInput, "affects", format!("{shown} is not GGR, TURNOVER or SALES")))
            }
            known => Ok(known),
        }
    }

    fn unfit(&self, field: &str, expression: &Expression, shown: &str, wanted: &str) -> Problem {
        let text =
            format!("this gives {shown}, where {wanted} is needed{}", self.evaluator.with(expression, self.cells));
        Problem::new(Code::ExpressionFailed, field, text)
    }
}

/// Digits, with a sign and a point at most.
fn is_plain_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match text.strip_prefix('-').unwrap_or(text).split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.strip_prefix('-').unwrap_or(text), None),
    };
    digits(whole) && fraction.is_none_or(digits)
}

#[cfg(test)]
mod tests;
