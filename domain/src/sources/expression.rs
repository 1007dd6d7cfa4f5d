//! One expression of a mapping: what it reads, how it is evaluated. What may be in it says `crate::expression`, and
//! dates may not: `d(Field, 'UTC')` reads the clock when the field happens to hold the name of a zone. `times.rs` reads
//! times instead.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rust_decimal::Decimal;
use zen_expression::Scope;
use zen_expression::compiler::{FetchFastTarget, Opcode};
use zen_expression::expression::Standard;
use zen_expression::variable::{Symbol, Variable};
use zen_expression::vm::VM;

use super::record::Cells;
use crate::error::{Code, Problem};
use crate::expression::compile_for_record;

/// The longest text that an expression may compute with, in bytes: together with the length of an expression this
/// bounds its memory.
const MAX_COMPUTED: usize = 16 << 10;
/// How much of a value an error message shows, in characters.
const SHOWN: usize = 60;

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(Cow<'a, str>),
    /// A list or an object, which no field of a transaction can be.
    Other(&'static str),
}

impl<'a> Value<'a> {
    pub fn borrowed(variable: &'a Variable) -> Self {
        match variable {
            Variable::String(text) => Self::Text(Cow::Borrowed(text.as_str())),
            other => Self::owned(other.clone()),
        }
    }

    pub fn owned(variable: Variable) -> Value<'static> {
        match variable {
            Variable::Null => Value::Null,
            Variable::Bool(value) => Value::Bool(value),
            Variable::Number(number) => Value::Number(number),
            Variable::String(text) => Value::Text(Cow::Owned(text.as_str().to_owned())),
            Variable::Array(_) => Value::Other("a list"),
            Variable::Object(_) | Variable::Dynamic(_) => Value::Other("an object"),
        }
    }

    /// For error messages.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => shorten(text),
            Self::Other(kind) => (*kind).to_owned(),
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("'{}…'", &text[..cut]),
        None => format!("'{text}'"),
    }
}

/// The fields that the expressions of a mapping read, in the order in which they were first met.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub names: Vec<String>,
    /// Those that an expression computes with, by number and as the key it looks them up by.
    pub computed: Vec<usize>,
}

impl Fields {
    fn number(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }

    fn compute_with(&mut self, field: usize) {
        if !self.computed.contains(&field) {
            self.computed.push(field);
        }
    }
}

#[derive(Debug)]
pub(super) struct Expression {
    source: String,
    program: Program,
    /// The fields it reads, by number.
    pub reads: Vec<usize>,
}

#[derive(Debug)]
enum Program {
    Field { field: usize, path: Vec<String> },
    Constant(Value<'static>),
    Code(zen_expression::Expression<Standard>),
}

impl Expression {
    /// `flat`: records have no nested objects. The error says what is wrong with the expression.
    pub fn compile(source: &str, flat: bool, fields: &mut Fields) -> Result<Self, String> {
        let compiled = guarded(|| compile_for_record(source))?;
        if compiled.dates {
            return Err("dates cannot be computed with here; name the field, and say how to read it with timeZone and timeFormat".to_owned());
        }
        if source.contains('\0') {
            return Err("the expression holds a NUL".to_owned());
        }
        for read in &compiled.reads {
            if let (true, Some(below)) = (flat, &read.field) {
                let whole = format!("{}.{below}", read.root);
                return Err(format!(
                    "a CSV record has no nested fields; a column '{whole}' is read by $root['{whole}']"
                ));
            }
        }
        let reads: Vec<usize> = compiled.reads.iter().map(|read| fields.number(&read.root)).collect();
        let code = zen_expression::Expression::new_standard(compiled.bytecode);
        let program = match code.bytecode().as_ref() {
            [opcode] if let Some(path) = plain_path(opcode) => Program::Field { field: reads[0], path },
            _ if reads.is_empty() => {
                let constant = guarded(|| code.evaluate(Variable::empty_object()).map_err(|error| error.to_string()))?;
                Program::Constant(Value::owned(constant))
            }
            _ => {
                reads.iter().for_each(|field| fields.compute_with(*field));
                Program::Code(code)
            }
        };
        Ok(Self { source: source.to_owned(), program, reads })
    }

    /// What it always gives, if that needs no record.
    pub fn constant(&self) -> Option<&Value<'static>> {
        match &self.program {
            Program::Constant(value) => Some(value),
            Program::Field { .. } | Program::Code(_) => None,
        }
    }
}

/// A panic in the expression language is a failure of this expression, not of everything around it.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the expression cannot be evaluated".to_owned()))
}

/// The way into a field that an opcode reads by names alone.
fn plain_path(opcode: &Opcode) -> Option<Vec<String>> {
    let steps = match opcode {
        Opcode::FetchEnv(_) => return Some(Vec::new()),
        Opcode::FetchFast(steps) => steps.get(2..)?,
        _ => return None,
    };
    let names = steps.iter().map(|step| match step {
        FetchFastTarget::String(name) => Some(name.to_string()),
        _ => None,
    });
    names.collect()
}

/// Evaluates the expressions of one mapping, on one thread, record after record.
pub(super) struct Evaluator<'m> {
    fields: &'m Fields,
    keys: Vec<Symbol>,
    vm: VM,
    scope: Scope,
}

impl<'m> Evaluator<'m> {
    pub fn new(fields: &'m Fields) -> Self {
        let keys = fields.computed.iter().map(|field| Symbol::from(fields.names[*field].as_str())).collect();
        Self { fields, keys, vm: VM::new(), scope: Scope::new(Variable::empty_object()) }
    }

    /// Makes a record the one that expressions compute with.
    pub fn enter(&mut self, cells: &Cells<'_>) -> Result<(), Problem> {
        let Variable::Object(object) = self.scope.base() else { return Ok(()) };
        let mut object = object.borrow_mut();
        for (field, key) in self.fields.computed.iter().zip(&self.keys) {
            let variable = cells.variable(*field);
            if variable.as_str().is_some_and(|text| text.len() > MAX_COMPUTED) {
                let name = self.fields.names[*field].as_str();
                let text =
                    format!("the field '{name}' is longer than the {MAX_COMPUTED} bytes that can be computed with");
                return Err(Problem::new(Code::ExpressionFailed, name, text));
            }
            object.insert(key.clone(), variable);
        }
        Ok(())
    }

    /// `cells` are those of the record that was entered. The error says which expression failed on what.
    pub fn evaluate<'c>(&mut self, expression: &'c Expression, cells: &'c Cells<'_>) -> Result<Value<'c>, String> {
        match &expression.program {
            Program::Field { field, path } => Ok(cells.value(*field, path)),
            Program::Constant(value) => Ok(match value {
                Value::Text(text) => Value::Text(Cow::Borrowed(text)),
                other => other.clone(),
            }),
            Program::Code(code) => {
                let run = guarded(|| {
                    code.evaluate_with_scope(&self.scope, &mut self.vm)
                        .map(Value::owned)
                        .map_err(|error| error.to_string())
                });
                run.map_err(|error| format!("{} fails{}: {error}", expression.source, self.with(expression, cells)))
            }
        }
    }

    /// Why an expression gave nothing, as the beginning of a sentence.
    pub fn nothing(&self, expression: &Expression, cells: &Cells<'_>) -> String {
        match &expression.program {
            Program::Field { field, .. } => format!("the record has no '{}'", self.fields.names[*field]),
            _ => format!("{} gives nothing{}", expression.source, self.with(expression, cells)),
        }
    }

    /// The values that an expression read, for a message.
    pub fn with(&self, expression: &Expression, cells: &Cells<'_>) -> String {
        let mut text = String::new();
        for (index, field) in expression.reads.iter().enumerate() {
            if expression.reads[..index].contains(field) {
                continue;
            }
            text.push_str(if text.is_empty() { " with " } else { ", " });
            text.push_str(&format!("{} = {}", self.fields.names[*field], cells.value(*field, &[]).shown()));
        }
        text
    }
}
