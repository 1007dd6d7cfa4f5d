//! Expressions that tenants write (mappings of sources, conditions of contracts), compiled once and fenced in.
//!
//! What compiles here gives the same result today, tomorrow and on another machine, and ends: nothing that reads the
//! clock or the host's zone, draws a number, goes through floats or depends on a map's order, and no loops, because
//! the evaluator knows no limit of steps or memory.

use std::sync::Arc;

use zen_expression::compiler::{FetchFastTarget, Opcode};
use zen_expression::functions::{DateMethod, FunctionKind, InternalFunction, MethodKind};

/// The longest expression, in bytes.
pub(crate) const MAX_SOURCE: usize = 4096;

/// A compiled expression and what it reads. `Send` and `Sync`; evaluation needs a `VM` and a `Scope` of its own thread.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub bytecode: Arc<[Opcode]>,
    /// Each thing it reads, once, in the order of first mention.
    pub reads: Vec<Read>,
    /// Whether it handles dates: always with the zone named, but by the evaluator's own rules.
    pub dates: bool,
}

/// A variable that an expression reads: `attributes.shop` is the root `attributes` and the field `shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub root: Arc<str>,
    /// The first step below the root; `None` when the expression takes the root as a whole or by a computed name.
    pub field: Option<Arc<str>>,
}

/// Compiles an expression, or says what is wrong with it.
pub(crate) fn compile(source: &str) -> Result<Compiled, String> {
    compile_reading(source, false)
}

/// The same for an expression over a record, whose fields may have names that are no identifiers: `$root['Play Date']`.
pub(crate) fn compile_for_record(source: &str) -> Result<Compiled, String> {
    compile_reading(source, true)
}

fn compile_reading(source: &str, from_root: bool) -> Result<Compiled, String> {
    if source.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    if source.len() > MAX_SOURCE {
        return Err(format!("the expression has {} bytes; {MAX_SOURCE} are allowed", source.len()));
    }
    let expression = zen_expression::compile_expression(source).map_err(|error| error.to_string())?;
    let bytecode = Arc::clone(expression.bytecode());
    let mut compiled = Compiled { bytecode: Arc::clone(&bytecode), reads: Vec::new(), dates: false };
    for (position, opcode) in bytecode.iter().enumerate() {
        compiled.guard(opcode, &bytecode[position + 1..], from_root)?;
    }
    Ok(compiled)
}

impl Compiled {
    fn guard(&mut self, opcode: &Opcode, rest: &[Opcode], from_root: bool) -> Result<(), String> {
        match opcode {
            Opcode::Interval { .. } => Err(refused("ranges like [1..10]", "compare with < and >= instead")),
            Opcode::Begin | Opcode::Pointer(_) => {
                Err(refused("loops over lists (map, filter, some, all, count, #)", "ask with `in` or contains()"))
            }
            Opcode::FetchRootEnv => Err(refused("$root", "name the variables")),
            Opcode::AssignedObjectBegin => Err(refused("assignments", "write one expression")),
            Opcode::Exponent => Err(refused("powers", "they are computed with floating point; multiply instead")),
            Opcode::CallFunction { kind, arg_count } => self.guard_function(kind, *arg_count, rest),
            Opcode::CallMethod { kind: MethodKind::DateMethod(method), .. } => {
                self.dates = true;
                match method {
                    DateMethod::IsToday | DateMethod::IsYesterday | DateMethod::IsTomorrow => {
                        Err(refused("today", "the result would change from day to day"))
                    }
                    _ => Ok(()),
                }
            }
            Opcode::FetchEnv(name) => self.read(name, None),
            Opcode::FetchFast(path) => match path.as_slice() {
                [first, FetchFastTarget::String(root), below @ ..]
                    if *first == FetchFastTarget::Begin || (from_root && *first == FetchFastTarget::Root) =>
                {
                    let field = match below.first() {
                        Some(FetchFastTarget::String(field)) => Some(Arc::clone(field)),
                        _ => None,
                    };
                    self.read(root, field)
                }
                _ => Err(refused("$root", "name the variables")),
            },
            _ => Ok(()),
        }
    }

    fn guard_function(&mut self, kind: &FunctionKind, arguments: u32, rest: &[Opcode]) -> Result<(), String> {
        use InternalFunction::{Date, FuzzyMatch, Keys, Rand, Values};
        match kind {
            FunctionKind::Internal(Rand) => Err(refused("rand()", "the result would change from time to time")),
            FunctionKind::Internal(FuzzyMatch) => Err(refused("fuzzyMatch()", "it is computed with floating point")),
            FunctionKind::Internal(Keys | Values) => Err(refused("keys() and values()", "name the fields")),
            FunctionKind::Internal(Date) => {
                self.dates = true;
                let zone_follows = matches!(
                    rest,
                    [
                        Opcode::PushString(_),
                        Opcode::CallMethod { kind: MethodKind::DateMethod(DateMethod::Tz), .. },
                        ..
                    ]
                );
                match arguments {
                    0 => Err(refused("the present time", "the result would change from time to time")),
                    1 if !zone_follows => Err(refused(
                        "a date without a zone",
                        "write d(x, 'Asia/Seoul') or d(x).tz('Asia/Seoul'), or it would be read in this computer's zone",
                    )),
                    _ => Ok(()),
                }
            }
            FunctionKind::Deprecated(old) => Err(refused(&format!("{old}()"), "use d(x, 'UTC') and its methods")),
            FunctionKind::Closure(_) | FunctionKind::Internal(_) => Ok(()),
        }
    }

    fn read(&mut self, root: &Arc<str>, field: Option<Arc<str>>) -> Result<(), String> {
        if root.starts_with('$') {
            return Err(refused(root, "name the variables"));
        }
        let read = Read { root: Arc::clone(root), field };
        if !self.reads.contains(&read) {
            self.reads.push(read);
        }
        Ok(())
    }
}

fn refused(what: &str, instead: &str) -> String {
    format!("{what} cannot be used here: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(source: &str) -> Vec<String> {
        let compiled = compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let text = |read: &Read| match &read.field {
            Some(field) => format!("{}.{field}", read.root),
            None => read.root.to_string(),
        };
        compiled.reads.iter().map(text).collect()
    }

    #[test]
    fn what_an_expression_reads_is_known() {
        assert_eq!(reads("localHour >= 0 and localHour < 6"), ["localHour"]);
        assert_eq!(
            reads("attributes.shop == 'a' and attributes.till.x != product"),
            ["attributes.shop", "attributes.till", "product"]
        );
        assert_eq!(reads("attributes[product] == 'a'"), ["attributes", "product"]);
        assert_eq!(reads("kind in ['STAKE', 'WIN'] ? true : 'vip' in tags"), ["kind", "tags"]);
        assert_eq!(reads("d(PlayDate).tz('Asia/Seoul').hour() < 6"), ["PlayDate"]);
        assert_eq!(reads("`${Id}:win`"), ["Id"]);
        assert_eq!(reads("1 == 1"), [] as [&str; 0]);
    }

    #[test]
    fn what_never_ends_or_changes_its_mind_is_refused() {
        for source in [
            "",
            "  ",
            "1 +",
            "'open",
            "(((",
            "len([1..20000000]) > 0",
            "x in [1..5]",
            "some(tags, # == 'a')",
            "map(tags, #)",
            "$root.product == 'a'",
            "$root",
            "$ == 1",
            "$.x == 1",
            "rand(10) > 5",
            "d() > d('2021-01-01')",
            "d(x).hour() > 1",
            "d(x, 'UTC').isToday()",
            "date('now') > 1",
            "a = 5; a > 3",
            "2 ^ 0.5 > 1",
            "fuzzyMatch(product, 'x') > 0.5",
            "keys(attributes)",
            "unknownFunction(1)",
        ] {
            assert!(compile(source).is_err(), "{source}");
        }
        assert!(compile(&format!("product == '{}'", "x".repeat(MAX_SOURCE))).is_err());
        assert!(compile(&"(".repeat(MAX_SOURCE)).is_err());
        assert!(compile("d(x, 'UTC').hour() > 1").is_ok_and(|compiled| compiled.dates));
    }
}
