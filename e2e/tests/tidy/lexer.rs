//! Just enough of Rust's lexical structure to ask about names, sizes and modules without being fooled by comments,
//! strings or lifetimes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, a keyword or a number.
    Word,
    /// The content of a string, without its quotes.
    Text,
    /// `::` or one character.
    Mark,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// 1 is the first.
    pub line: usize,
}

impl Token<'_> {
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

pub fn lex(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let (end, token) = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => (find(bytes, at, |b| b == b'\n'), None),
            b'/' if bytes.get(at + 1) == Some(&b'*') => (block_comment(bytes, at), None),
            b'"' => string(bytes, at, at),
            b'r' | b'b' | b'c' if string_after_prefix(bytes, at) => {
                let prefix = find(bytes, at, |b| !matches!(b, b'r' | b'b' | b'c'));
                if bytes[at..prefix].contains(&b'r') { raw_string(bytes, prefix) } else { string(bytes, at, prefix) }
            }
            b'\'' => character(source, at),
            b if is_word(b) => {
                let end = find(bytes, at, |b| !is_word(b));
                (end, Some((Kind::Word, at..end)))
            }
            b':' if bytes.get(at + 1) == Some(&b':') => (at + 2, Some((Kind::Mark, at..at + 2))),
            b if b.is_ascii_whitespace() => (at + 1, None),
            _ => (at + 1, Some((Kind::Mark, at..at + 1))),
        };
        if let Some((kind, range)) = token {
            tokens.push(Token { kind, text: &source[range], line });
        }
        line += bytes[at..end].iter().filter(|byte| **byte == b'\n').count();
        at = end;
    }
    tokens
}

type Lexed = (usize, Option<(Kind, std::ops::Range<usize>)>);

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn find(bytes: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|byte| wanted(*byte)).map_or(bytes.len(), |offset| from + offset)
}

fn block_comment(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => depth += 1,
            b"*/" if depth == 1 => return at + 2,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    at
}

/// Whether a literal begins here: `r"`, `b"`, `br#"`, `c"`; and not a word that merely begins with such a letter, or
/// a raw identifier.
fn string_after_prefix(bytes: &[u8], at: usize) -> bool {
    let prefix = find(bytes, at, |b| !matches!(b, b'r' | b'b' | b'c'));
    let hashes = find(bytes, prefix, |b| b != b'#');
    let raw = bytes[at..prefix].contains(&b'r');
    prefix - at <= 2 && bytes.get(hashes) == Some(&b'"') && (raw || hashes == prefix)
}

fn string(bytes: &[u8], _start: usize, quote: usize) -> Lexed {
    let mut at = quote + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let end = at.min(bytes.len());
    ((end + 1).min(bytes.len()), Some((Kind::Text, quote + 1..end)))
}

fn raw_string(bytes: &[u8], hashes_from: usize) -> Lexed {
    let quote = find(bytes, hashes_from, |b| b != b'#');
    let hashes = quote - hashes_from;
    let mut at = quote + 1;
    while at < bytes.len() {
        let closes = bytes[at] == b'"' && bytes[at + 1..].iter().take_while(|b| **b == b'#').count() >= hashes;
        if closes {
            return (at + 1 + hashes, Some((Kind::Text, quote + 1..at)));
        }
        at += 1;
    }
    (at, None)
}

/// A character literal, or the quote of a lifetime.
fn character(source: &str, at: usize) -> Lexed {
    let rest = &source[at + 1..];
    if rest.starts_with('\\') {
        let closing = rest[2..].find('\'').map_or(rest.len(), |offset| offset + 3);
        return (at + 1 + closing, None);
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    if rest[first..].starts_with('\'') { (at + 1 + first + 1, None) } else { (at + 1, None) }
}

/// The index of the bracket that closes the one at `open`.
pub fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Mark {
            continue;
        }
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

/// Whether these words and marks stand at `index`.
pub fn stands(tokens: &[Token<'_>], index: usize, wanted: &[&str]) -> bool {
    let there = tokens.get(index..index + wanted.len());
    there.is_some_and(|there| there.iter().zip(wanted).all(|(token, wanted)| token.is(wanted)))
}

/// Where these words and marks stand.
pub fn places(tokens: &[Token<'_>], wanted: &[&str]) -> Vec<usize> {
    (0..tokens.len()).filter(|index| stands(tokens, *index, wanted)).collect()
}

/// The same tokens without items under `#[cfg(test)]`.
pub fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let (mut kept, mut index) = (Vec::new(), 0);
    while index < tokens.len() {
        if stands(tokens, index, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let ends = |token: &Token<'_>| token.is("{") || token.is(";");
            let end = tokens[index..].iter().position(ends).map_or(tokens.len() - 1, |offset| index + offset);
            index = if tokens[end].is("{") { closing(tokens, end) + 1 } else { end + 1 };
        } else {
            kept.push(tokens[index]);
            index += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        lex(source).into_iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let source = "a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# b\"k\" 'l' '\\'' '\"' m";
        assert_eq!(words(source), ["a", "e", "m"]);
        assert_eq!(words("fn f<'a>(x: &'a str) -> char { '{' }"), ["fn", "f", "a", "x", "a", "str", "char"]);
        assert_eq!(words("r#type b br bread"), ["r", "type", "b", "br", "bread"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let tokens = lex("\"a\nb\"\n/*\n*/ x");
        assert_eq!(tokens.last().map(|token| (token.text, token.line)), Some(("x", 4)));
    }

    #[test]
    fn what_is_for_tests_can_be_left_out() {
        let source = "a #[cfg(test)] mod tests { b { c } } d #[cfg(test)] mod e; f #[cfg(unix)] g";
        let kept: Vec<&str> = without_tests(&lex(source)).iter().map(|token| token.text).collect();
        assert_eq!(kept, ["a", "d", "f", "#", "[", "cfg", "(", "unix", ")", "]", "g"]);
    }
}
