//! What a document may be before anything of it runs: the text before it is parsed, and the parsed document before
//! the library validates it. Both take time in proportion to the text, whatever it says.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Pos, Positioned};

/// Brackets within brackets. The library's parser recurses with them, and a few thousand end the process.
pub const MAX_NESTING: usize = 64;
/// Names, numbers, strings and signs of a document. GraphiQL's introspection has under 300.
pub const MAX_TOKENS: usize = 2_000;
/// Bytes of a document. What is long goes into variables, which nobody has to parse as a document.
pub const MAX_DOCUMENT_BYTES: usize = 100 * 1024;
/// Bytes of one name. An answer repeats an alias for every row that it is asked of.
pub const MAX_NAME_BYTES: usize = 128;
/// Requests of a batch.
pub const MAX_BATCH: usize = 5;
/// Fields within fields, with fragments written out. GraphiQL's introspection takes 15.
pub const MAX_DEPTH: usize = 20;
/// Selections within selections, with fragments written out and counted.
pub const MAX_LEVELS: usize = 64;
/// Fields and fragments of a document, with fragments written out wherever they are spread.
pub const MAX_SELECTIONS: usize = 2_000;
/// Aliases of a document, with fragments written out.
pub const MAX_ALIASES: usize = 100;
/// Fields of one operation's root, with fragments written out.
pub const MAX_ROOT_FIELDS: usize = 20;
/// Directives at one field, fragment or variable.
pub const MAX_DIRECTIVES_AT_ONE: usize = 10;
/// Directives of a document, with fragments written out.
pub const MAX_DIRECTIVES: usize = 50;

/// A limit that a document exceeds, in words for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub message: String,
    pub at: Option<Pos>,
}

impl Beyond {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None }
    }
}

/// Checks the text, before anything parses it.
pub fn check_text(document: &str) -> Result<(), Beyond> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(Beyond::new(format!(
            "a document has at most {MAX_DOCUMENT_BYTES} bytes; long values go into variables"
        )));
    }
    let (mut rest, mut depth, mut tokens) = (document.as_bytes(), 0_usize, 0_usize);
    while let [first, after @ ..] = rest {
        let is_token = !matches!(first, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#' | 0xEF | 0xBB | 0xBF);
        tokens += usize::from(is_token);
        rest = match first {
            b'(' | b'[' | b'{' => {
                depth += 1;
                after
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'#' => skip_until(after, |byte| byte == b'\n' || byte == b'\r'),
            b'"' if after.starts_with(b"\"\"") => skip_block_string(&after[2..]),
            b'"' => skip_string(after),
            b'0'..=b'9' | b'-' => skip_until(after, |byte| !is_name(byte) && !matches!(byte, b'.' | b'+' | b'-')),
            byte if is_name(*byte) => skip_name(rest)?,
            b'.' if after.starts_with(b"..") => &after[2..],
            _ => after,
        };
        if depth > MAX_NESTING {
            return Err(Beyond::new(format!("brackets nest at most {MAX_NESTING} deep")));
        }
        if tokens > MAX_TOKENS {
            return Err(Beyond::new(format!("a document has at most {MAX_TOKENS} tokens")));
        }
    }
    Ok(())
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip_until(rest: &[u8], end: impl Fn(u8) -> bool) -> &[u8] {
    let length = rest.iter().position(|byte| end(*byte)).unwrap_or(rest.len());
    &rest[length..]
}

fn skip_name(rest: &[u8]) -> Result<&[u8], Beyond> {
    let after = skip_until(rest, |byte| !is_name(byte));
    if rest.len() - after.len() > MAX_NAME_BYTES {
        return Err(Beyond::new(format!("a name has at most {MAX_NAME_BYTES} bytes")));
    }
    Ok(after)
}

/// A string ends at its quote, or broken at the end of its line; then the rest counts as it stands.
fn skip_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"' | b'\n' | b'\r', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

fn skip_block_string(mut rest: &[u8]) -> &[u8] {
    loop {
        if let Some(after) = rest.strip_prefix(b"\\\"\"\"") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"\"\"\"") {
            return after;
        } else if let [_, after @ ..] = rest {
            rest = after;
        } else {
            return rest;
        }
    }
}

/// What a selection amounts to with its fragments written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Fields, spreads and inline fragments.
    pub selections: usize,
    /// Fields within fields.
    pub depth: usize,
    /// Selections within selections, fragments counted.
    pub levels: usize,
    pub aliases: usize,
    pub directives: usize,
    /// Fields of the outermost level.
    pub roots: usize,
    /// Whether the outermost level asks for the schema (`__schema`, `__type`).
    pub introspects: bool,
}

impl Size {
    /// Puts another selection beside this one.
    fn beside(&mut self, other: &Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.depth = self.depth.max(other.depth);
        self.levels = self.levels.max(other.levels);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.roots = self.roots.saturating_add(other.roots);
        self.introspects |= other.introspects;
    }
}

/// Checks a parsed document: every operation of it, since all of them are validated whichever runs. The result is
/// what the operation that runs amounts to.
pub fn check_document(document: &ExecutableDocument, runs: &OperationDefinition) -> Result<Size, Beyond> {
    let mut sizes = Sizes { document, known: HashMap::new() };
    let mut whole = Size::default();
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let mut size = sizes.of(&operation.selection_set.node)?;
        if size.roots > MAX_ROOT_FIELDS {
            return Err(Beyond::new(format!("an operation has at most {MAX_ROOT_FIELDS} fields at its root")));
        }
        size.directives += at_one(&operation.directives)?;
        for variable in &operation.variable_definitions {
            size.directives += at_one(&variable.node.directives)?;
        }
        whole.beside(&size);
    }
    // Validation walks fragments that nothing spreads as well.
    for name in document.fragments.keys() {
        check(&sizes.fragment(name)?)?;
    }
    check(&whole)?;
    sizes.of(&runs.selection_set.node)
}

fn check(size: &Size) -> Result<(), Beyond> {
    let limits = [
        (size.selections, MAX_SELECTIONS, "a document has at most {} selections, with fragments written out"),
        (size.depth, MAX_DEPTH, "fields nest at most {} deep"),
        (size.levels, MAX_LEVELS, "selections nest at most {} deep, with fragments written out"),
        (size.aliases, MAX_ALIASES, "a document has at most {} aliases, with fragments written out"),
        (size.directives, MAX_DIRECTIVES, "a document has at most {} directives, with fragments written out"),
    ];
    match limits.into_iter().find(|(is, most, _)| is > most) {
        None => Ok(()),
        Some((_, most, message)) => Err(Beyond::new(message.replace("{}", &most.to_string()))),
    }
}

fn at_one(directives: &[Positioned<Directive>]) -> Result<usize, Beyond> {
    match directives.get(MAX_DIRECTIVES_AT_ONE) {
        None => Ok(directives.len()),
        Some(one_more) => Err(Beyond {
            message: format!("at most {MAX_DIRECTIVES_AT_ONE} directives stand at one place"),
            at: Some(one_more.pos),
        }),
    }
}

/// Sizes of fragments, each worked out once: a document of fragments that spread one another twice would be 2^n
/// selections written out, and is n additions here.
struct Sizes<'d> {
    document: &'d ExecutableDocument,
    /// `None` while the fragment is being worked out.
    known: HashMap<&'d Name, Option<Size>>,
}

impl<'d> Sizes<'d> {
    fn of(&mut self, set: &'d SelectionSet) -> Result<Size, Beyond> {
        let mut size = Size::default();
        for selection in &set.items {
            let directives = at_one(selection.node.directives())?;
            let mut one = match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let below = self.of(&field.selection_set.node)?;
                    Size {
                        depth: below.depth + 1,
                        aliases: below.aliases.saturating_add(usize::from(field.alias.is_some())),
                        roots: 1,
                        introspects: matches!(field.name.node.as_str(), "__schema" | "__type"),
                        ..below
                    }
                }
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node)?,
                // One that is not there is told by validation.
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
            };
            // Spreads count as well: those of a fragment that is not there would be nothing, however many.
            one.selections = one.selections.saturating_add(1);
            one.levels += 1;
            one.directives = one.directives.saturating_add(directives);
            size.beside(&one);
        }
        Ok(size)
    }

    fn fragment(&mut self, name: &'d Name) -> Result<Size, Beyond> {
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        match self.known.get(name) {
            Some(Some(size)) => return Ok(size.clone()),
            Some(None) => {
                let message = format!("the fragment '{name}' spreads itself");
                return Err(Beyond { message, at: Some(fragment.pos) });
            }
            None => {}
        }
        self.known.insert(name, None);
        let mut size = self.of(&fragment.node.selection_set.node)?;
        size.directives = size.directives.saturating_add(at_one(&fragment.node.directives)?);
        self.known.insert(name, Some(size.clone()));
        Ok(size)
    }
}

/// The one operation that runs.
pub fn operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Result<&'d Positioned<OperationDefinition>, Beyond> {
    match (&document.operations, name) {
        (DocumentOperations::Single(only), None) => Ok(only),
        (DocumentOperations::Multiple(all), None) if all.len() == 1 => {
            all.values().next().ok_or_else(|| Beyond::new("the document has no operation"))
        }
        (DocumentOperations::Multiple(_), None) => {
            Err(Beyond::new("the document has several operations: operationName says which one runs"))
        }
        (DocumentOperations::Multiple(all), Some(name)) if all.contains_key(name) => Ok(&all[name]),
        (_, Some(_)) => Err(Beyond::new("the document has no operation of the name in operationName")),
    }
}

/// A subscription is to one thing.
pub fn check_subscription(operation: &OperationDefinition, size: &Size) -> Result<(), Beyond> {
    match operation.ty {
        OperationType::Subscription if size.roots != 1 => {
            Err(Beyond::new("a subscription has exactly one field at its root"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
