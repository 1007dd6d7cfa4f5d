//! Files and functions that a person can hold in mind. Tests are not counted: a table of cases may be long.

use std::collections::BTreeMap;

use crate::lexer::{Token, closing, lex, without_tests};
use crate::tree::Tree;

pub const LONGEST_FILE: usize = 400;
pub const LONGEST_FUNCTION: usize = 70;

/// A file, or a function as `file::function`, with the lines it has today. The ratchet: an entry may only shrink, and
/// goes when what it excuses has become short enough.
pub type Exceptions = &'static [(&'static str, usize)];

pub fn too_long(tree: &Tree, exceptions: Exceptions) -> Vec<String> {
    let mut excused: BTreeMap<&str, usize> = exceptions.iter().copied().collect();
    let mut findings = Vec::new();
    let mut judge = |what: String, lines: usize, limit: usize| match excused.remove(what.as_str()) {
        None if lines > limit => findings.push(format!("{what} has {lines} lines; {limit} are enough")),
        Some(excuse) if lines <= limit => {
            findings.push(format!("{what} has {lines} lines now: take its exception for {excuse} away"));
        }
        Some(excuse) if lines > excuse => findings.push(format!("{what} grew from {excuse} to {lines} lines")),
        Some(excuse) if lines < excuse => {
            findings.push(format!("{what} shrank from {excuse} to {lines} lines: write that into its exception"));
        }
        _ => {}
    };
    let shipped = tree.shipped();
    for (path, text) in tree.rust().filter(|(path, _)| shipped.contains(*path)) {
        let (all, kept) = (lex(text), without_tests(&lex(text)));
        let tests: usize = lines_of_tests(&all, &kept);
        judge(path.to_owned(), text.lines().count() - tests, LONGEST_FILE);
        for (name, lines) in functions(&kept) {
            judge(format!("{path}::{name}"), lines, LONGEST_FUNCTION);
        }
    }
    findings.extend(excused.keys().map(|what| format!("{what} is excused for its length and is not there any more")));
    findings
}

/// Lines from the first to the last token of what is for tests.
fn lines_of_tests(all: &[Token<'_>], kept: &[Token<'_>]) -> usize {
    let (mut next, mut lines, mut since) = (0, 0, None);
    for token in all {
        let is_kept = kept.get(next).is_some_and(|kept| std::ptr::eq(kept.text, token.text));
        match (is_kept, since) {
            (true, Some((first, last))) => {
                lines += last - first + 1;
                since = None;
            }
            (false, Some((first, _))) => since = Some((first, token.line)),
            (false, None) => since = Some((token.line, token.line)),
            (true, None) => {}
        }
        next += usize::from(is_kept);
    }
    lines + since.map_or(0, |(first, last): (usize, usize)| last - first + 1)
}

/// Functions with a body, by name, and their lines from `fn` to the closing brace. Two of one name in a file (methods
/// of two types) count as the longer one.
fn functions(tokens: &[Token<'_>]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.is("fn")) {
        let (mut at, name) = (index + 1, tokens.get(index + 1).map_or("", |name| name.text));
        while at < tokens.len() && !tokens[at].is("{") && !tokens[at].is(";") {
            at = if tokens[at].is("(") || tokens[at].is("[") { closing(tokens, at) + 1 } else { at + 1 };
        }
        if tokens.get(at).is_some_and(|token| token.is("{")) {
            let lines = tokens[closing(tokens, at)].line - token.line + 1;
            let longest = found.entry(name.to_owned()).or_insert(lines);
            *longest = lines.max(*longest);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(lines: usize) -> Tree {
        let body = "    x();\n".repeat(lines.saturating_sub(2));
        let source =
            format!("fn f() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn t() {}\n".repeat(LONGEST_FILE));
        Tree::of([("a/src/lib.rs", source.as_str())])
    }

    #[test]
    fn functions_and_files_have_limits_that_tests_do_not_touch() {
        assert_eq!(too_long(&tree(70), &[]), Vec::<String>::new());
        assert_eq!(too_long(&tree(71), &[]), ["a/src/lib.rs::f has 71 lines; 70 are enough"]);
        assert_eq!(too_long(&tree(401), &[]).len(), 2, "the file as well");
    }

    #[test]
    fn an_exception_only_shrinks_and_then_goes() {
        assert!(too_long(&tree(80), &[("a/src/lib.rs::f", 80)]).is_empty());
        assert!(too_long(&tree(81), &[("a/src/lib.rs::f", 80)])[0].contains("grew from 80 to 81"));
        assert!(too_long(&tree(79), &[("a/src/lib.rs::f", 80)])[0].contains("shrank from 80 to 79"));
        assert!(too_long(&tree(70), &[("a/src/lib.rs::f", 80)])[0].contains("take its exception"));
        assert!(too_long(&tree(70), &[("a/src/gone.rs", 500)])[0].contains("not there any more"));
    }

    #[test]
    fn a_function_ends_where_its_body_does() {
        let source = "trait T { fn a(&self); }\nfn b(x: [u8; 3]) -> impl Fn() {\n  {\n  }\n}\nfn c() {}";
        let found = functions(&lex(source));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("b".to_owned(), 4), ("c".to_owned(), 1)]);
    }
}
