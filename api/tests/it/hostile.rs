//! What somebody who means harm sends as a request. The tests of the API send it within their process and those of the
//! binary over the network, so both take it from here.

use serde_json::json;

/// The longest that a document may be.
const LONGEST_DOCUMENT: usize = 100 * 1024;
/// Nearly the longest that a body may be.
const LONGEST_BODY: usize = 1_000_000;
const MAX_BODY: usize = 1024 * 1024;
/// No refusal is longer, whatever it refuses: fifty errors, each with a message of 500 bytes.
pub const LONGEST_ANSWER: usize = 32 * 1024;

/// A hostile document, and how the message begins that it is refused with.
pub type Document = (&'static str, String, &'static str);

pub fn query(text: impl Into<String>) -> Vec<u8> {
    json!({ "query": text.into() }).to_string().into_bytes()
}

/// A piece again and again, up to this length.
fn filled(length: usize, before: &str, piece: &str, after: &str) -> String {
    format!("{before}{}{after}", piece.repeat((length - before.len() - after.len()) / piece.len()))
}

/// As long as a document may be: what is refused for its length is looked at no further.
pub fn documents() -> Vec<Document> {
    repeated(LONGEST_DOCUMENT)
}

/// The same, longer than a document may be.
pub fn too_long() -> Vec<Document> {
    let mut all = repeated(2 * LONGEST_DOCUMENT);
    all.extend(repeated(LONGEST_BODY).into_iter().filter(|(_, document, _)| query(document).len() <= MAX_BODY));
    all.into_iter().map(|(what, document, _)| (what, document, "a document has at most 102400 bytes")).collect()
}

fn repeated(length: usize) -> Vec<Document> {
    let filled = |before: &str, piece: &str, after: &str| filled(length, before, piece, after);
    vec![
        ("nested brackets", filled("", "[", ""), "brackets nest at most 64 deep"),
        ("nested braces", filled("", "{a", ""), "brackets nest at most 64 deep"),
        ("aliases", filled("{ viewer { ", "a:__typename ", "} }"), "a document has at most 2000 tokens"),
        ("root fields", filled("{ ", "viewer{__typename} ", "}"), "a document has at most 2000 tokens"),
        ("directives", filled("{ __typename ", "@skip(if:false) ", "}"), "a document has at most 2000 tokens"),
        ("fragments", filled("{ ...f } ", "fragment f on Query { ...f } ", ""), "a document has at most 2000 tokens"),
        ("commas", filled("{ viewer ", ",", " }"), "Field \"viewer\" of type \"Viewer\" must have"),
        ("a comment", filled("{ viewer } #", "x", ""), "Field \"viewer\" of type \"Viewer\" must have"),
        ("a string", filled("{ node(id: \"", "x", "\") { id }"), "syntax error"),
        ("a string of escapes", filled("{ node(id: \"", "\\u0041", "\") { id }"), "syntax error"),
        ("block strings", filled("{ ", "\"\"\"\"\"\"", "}"), "a document has at most 2000 tokens"),
        ("an open block string", filled("{ node(id: \"\"\"", "\\\"\"\"\n", ""), "syntax error"),
        ("backslashes", filled("{ node(id: \"", "\\", ""), "syntax error"),
        ("variables", filled("query(", "$a: Int ", ") { __typename }"), "a document has at most 2000 tokens"),
        ("numbers", filled("{ members(first: ", "9", ") { nodes { id } } }"), "Invalid value for argument \"first\""),
        ("a name", filled("{ ", "x", " }"), "a name has at most 128 bytes"),
        ("a name of an operation", filled("query ", "x", " { viewer }"), "a name has at most 128 bytes"),
        ("spreads", filled("{ ", "...", "}"), "a document has at most 2000 tokens"),
        ("signs beyond ASCII", filled("{ ", "\u{ac00}", "}"), "a document has at most 2000 tokens"),
    ]
}

/// Documents that are short and mean harm all the same.
pub fn twisted() -> Vec<Document> {
    let layers: Vec<String> =
        (0..150).map(|n| format!("fragment f{n} on Viewer {{ ...f{} ...f{} }}", n + 1, n + 1)).collect();
    let bomb = format!("{{ viewer {{ ...f0 }} }} {} fragment f150 on Viewer {{ __typename }}", layers.join(" "));
    let costly = |n: usize| format!("a{n}: members(first: 100) {{ nodes {{ {} }} }} ", "id ".repeat(12));
    let fields = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("a{n}: __typename")).collect();
        names.join(" ")
    };
    vec![
        (
            "a fragment cycle",
            "{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }".to_owned(),
            "the fragment 'a' spreads itself",
        ),
        ("2^150 selections", bomb, "a document has at most 2000 selections"),
        (
            "65 brackets",
            format!("{{ node(id: {}{}) {{ id }} }}", "[".repeat(64), "]".repeat(64)),
            "brackets nest at most 64 deep",
        ),
        ("2,001 tokens", format!("{{ {} }}", "viewer ".repeat(1_999)), "a document has at most 2000 tokens"),
        ("101 aliases", format!("{{ viewer {{ {} }} }}", fields(101)), "a document has at most 100 aliases"),
        ("21 root fields", format!("{{ {} }}", fields(21)), "an operation has at most 20 fields"),
        (
            "11 directives",
            format!("{{ __typename {} }}", "@skip(if: false) ".repeat(11)),
            "at most 10 directives stand at one place",
        ),
        (
            "a deep introspection",
            format!("{{ __schema {{ types {}name{} }} }}", "{ fields { type ".repeat(20), " } }".repeat(20)),
            "fields nest at most 20 deep",
        ),
        ("fields that are not there", format!("{{ viewer {{ {} }} }}", "x ".repeat(1_900)), "Unknown field \"x\""),
        ("costly lists", format!("{{ {} }}", (0..20).map(costly).collect::<String>()), "the document costs"),
        ("NUL", "{ viewer \0 }".to_owned(), "syntax error"),
        ("an alias of 129 bytes", format!("{{ {}: __typename }}", "x".repeat(129)), "a name has at most 128 bytes"),
        ("a field that is not there", "{ vewer { tenant { slug } } }".to_owned(), "Unknown field \"vewer\""),
        (
            "an operation name that is not there",
            "query a { __typename } query b { __typename }".to_owned(),
            "the document has several operations",
        ),
    ]
}

/// A hostile body, and whether its operation was begun: then the answer has `data`, which is null. A request that is not
/// run has none. Those that are begun should not be, by the specification: their variables do not fit, which the library
/// finds out of members of a list that are no objects only when it reads the argument.
pub type Body = (&'static str, Vec<u8>, bool);

pub fn bodies() -> Vec<Body> {
    let filled = |before: &str, piece: &str, after: &str| filled(LONGEST_BODY, before, piece, after).into_bytes();
    let with = |variables: &str| {
        format!(r#"{{"query":"query($i: ID!) {{ node(id: $i) {{ id }} }}","variables":{variables}}}"#).into_bytes()
    };
    let many: String = (0..10_000).map(|n| format!("\"v{n}\":{n},")).collect();
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let of_list = r#"{"query":"mutation($i: RecordTransactionsInput!) { recordTransactions(input: $i) { results { outcome } } }","variables":{"i":{"source":"x","transactions":["#;
    // Of nearly as many values as there may be.
    let list = |piece: &str, after: &str| format!("{of_list}{}{after}", piece.repeat(49_990)).into_bytes();
    vec![
        ("spaces", filled("", " ", ""), false),
        ("brackets", filled("", "[", ""), false),
        ("an open object", filled("{", "\"a\":{", ""), false),
        ("a batch of nothings", filled("[", "{},", "{}]"), false),
        ("a batch of six", format!("[{}]", [r#"{"query":"{ __typename }"}"#; 6].join(",")).into_bytes(), false),
        ("numbers", filled("[", "0,", "0]"), false),
        ("bytes that are no text", b"{\"query\":\"\xff\xfe\"}".to_vec(), false),
        ("NUL bytes", vec![0; LONGEST_BODY], false),
        ("a lone surrogate", br#"{"query":"{ node(id: \"\ud800\") { id } }"}"#.to_vec(), false),
        ("a key twice", br#"{"query":"{ __typename }","query":"{ viewer { tenant { slug } } }"}"#.to_vec(), false),
        ("deep variables", with(&format!(r#"{{"i":{}}}"#, deep(100_000))), false),
        ("deep variables that parse", with(&format!(r#"{{"i":{}}}"#, deep(100))), false),
        ("a number that is none", with(r#"{"i":1e999999}"#), false),
        ("ten thousand variables", with(&format!(r#"{{{many}"i":{{}}}}"#)), false),
        ("a long list of a kind it is not", filled(of_list, "0,", "0]}}}"), false),
        ("a list of a kind it is not", list("0,", "0]}}}"), true),
        ("a long list of empty objects", filled(of_list, "{},", "{}]}}}"), false),
        ("a list of empty objects", list("{},", "{}]}}}"), false),
        ("a list of lists", list("[[]],", "[]]}}}"), true),
        ("a list of a long text", filled(&format!("{of_list}\""), "x", "\"]}}}"), true),
        (
            "an enum's long value",
            filled(&format!("{of_list}{{\"externalId\":\"x\",\"kind\":\""), "x", "\"}]}}}"),
            false,
        ),
        ("a long value at twenty places", twenty(), false),
        ("an operation name", filled(r#"{"query":"{ __typename }","operationName":""#, "x", "\"}"), false),
        ("a hash", filled(r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":""#, "0", "\"}}}"), false),
    ]
}

fn twenty() -> Vec<u8> {
    let fields: String =
        (0..20).map(|n| format!("a{n}: transactions(filter: {{ kind: $k }}) {{ nodes {{ id }} }} ")).collect();
    let document = format!("query($k: TransactionKind) {{ {fields} }}");
    json!({ "query": document, "variables": { "k": "x".repeat(900_000) } }).to_string().into_bytes()
}

/// Numbers that are none of a page's.
pub const NUMBERS: [&str; 7] = ["2147483648", "-2147483649", "9223372036854775808", "1e400", "1.5", "\"1\"", "true"];

/// A page of as many rows as this number says.
pub fn page_of(first: &str) -> Vec<u8> {
    let document = "query($n: Int) { members(first: $n) { nodes { id } } }";
    format!(r#"{{"query":"{document}","variables":{{"n":{first}}}}}"#).into_bytes()
}
