use async_graphql::parser::parse_query;

use super::*;

fn text(document: &str) -> Result<(), String> {
    check_text(document).map_err(|beyond| beyond.message)
}

fn document(text: &str) -> Result<Size, String> {
    check_text(text).map_err(|beyond| beyond.message)?;
    let document = parse_query(text).expect("it parses");
    let operation = operation(&document, None).map_err(|beyond| beyond.message)?;
    check_document(&document, &operation.node).map_err(|beyond| beyond.message)
}

#[track_caller]
fn just_under_and_just_over(limit: usize, named: &str, of_size: impl Fn(usize) -> String) {
    assert!(document(&of_size(limit)).is_ok(), "{named}: {limit} are fine");
    let message = document(&of_size(limit + 1)).expect_err("one more is too much");
    assert!(message.contains(named) && message.contains(&limit.to_string()), "{message}");
}

fn numbered(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn nesting_is_counted_outside_of_strings_and_comments() {
    let open = "[".repeat(64);
    let brackets = "[".repeat(100);
    for fine in [
        open.clone(),
        "[]".repeat(1000),
        format!("{{ f(a: \"{brackets}\") }}"),
        format!("{{ f(a: \"\\\"{brackets}\") }}"),
        format!("{{ f(a: \"\"\"{brackets} \" \"\" \\\"\"\" {brackets}\"\"\") }}"),
        format!("# {brackets}\n{{ f }}"),
        format!("{{ f(a: \"\") }} # {brackets}"),
    ] {
        assert_eq!(text(&fine), Ok(()), "{fine}");
    }
    for deep in [
        format!("{open}["),
        "[".repeat(2000),
        "{".repeat(100_000),
        format!("\"\" {brackets}"),
        format!("\"broken\n{brackets}"),
        format!("# comment\r{brackets}"),
        format!("\"\"\"a\"\"\" {brackets}"),
        format!("\"\\\\\" {brackets}"),
    ] {
        assert_eq!(text(&deep), Err("brackets nest at most 64 deep".to_owned()), "{deep}");
    }
}

#[test]
fn tokens_are_counted_as_a_parser_would() {
    for (token, count) in [
        ("a", 1),
        ("ab_1", 1),
        ("-1.5e+3", 1),
        ("1.5", 1),
        ("...", 1),
        ("\"a b c\"", 1),
        ("\"\"\"a \" b\"\"\"", 1),
        ("$a", 2),
        ("@a", 2),
        ("a:b", 3),
        (",", 0),
        ("# a b c\n", 0),
        ("\u{feff}", 0),
        ("!", 1),
    ] {
        let repeat = |tokens: usize| format!("{} ", token).repeat(tokens / count.max(1));
        if count == 0 {
            assert_eq!(text(&repeat(MAX_TOKENS * 5)), Ok(()), "{token}");
            continue;
        }
        assert_eq!(text(&repeat(MAX_TOKENS)), Ok(()), "{token}");
        assert_eq!(text(&repeat(MAX_TOKENS + count)), Err("a document has at most 2000 tokens".to_owned()), "{token}");
    }
}

#[test]
fn a_document_has_its_bytes() {
    let spaces = |bytes: usize| format!("{{ a }}{}", " ".repeat(bytes - 5));
    assert_eq!(text(&spaces(MAX_DOCUMENT_BYTES)), Ok(()));
    assert!(text(&spaces(MAX_DOCUMENT_BYTES + 1)).is_err());
}

#[test]
fn each_limit_is_met_and_not_passed() {
    just_under_and_just_over(MAX_DEPTH, "nest", |depth| {
        format!("{}{{ x {}", "{ a ".repeat(depth - 1), "}".repeat(depth))
    });
    just_under_and_just_over(MAX_ROOT_FIELDS, "root", |roots| {
        format!("{{ {} }}", numbered(roots, |n| format!("f{n}")))
    });
    just_under_and_just_over(MAX_ALIASES, "aliases", |aliases| {
        format!("{{ a {{ {} }} }}", numbered(aliases, |n| format!("f{n}: f")))
    });
    just_under_and_just_over(MAX_DIRECTIVES_AT_ONE, "directives", |count| format!("{{ a {} }}", "@d ".repeat(count)));
    just_under_and_just_over(MAX_DIRECTIVES, "directives", |count| {
        format!("{{ a {{ {} }} }}", numbered(count, |n| format!("f{n} @d")))
    });
    just_under_and_just_over(MAX_LEVELS, "selections", |levels| {
        let inline =
            |n: usize| format!("fragment f{n} on T {{ {} ...f{} {} }}", "... {".repeat(6), n + 1, "}".repeat(6));
        let inline = numbered(8, inline);
        // The first spread, and eight fragments of 6 inline ones and a spread, are 57; the last has what is left.
        let last = format!("fragment f8 on T {{ {} x {} }}", "... {".repeat(levels - 58), "}".repeat(levels - 58));
        format!("{{ ...f0 }} {inline} {last}")
    });
}

#[test]
fn fragments_are_counted_where_they_are_spread() {
    just_under_and_just_over(MAX_SELECTIONS, "selections", |selections| {
        let spreads = selections / 50 - 1;
        let rest = numbered(selections - spreads * 50 - 1, |n| format!("r{n}"));
        let fragment = numbered(49, |n| format!("f{n}"));
        format!("{{ a {{ {} {rest} }} }} fragment f on T {{ {fragment} }}", "...f ".repeat(spreads))
    });
    let aliases = |spreads: usize| format!("{{ a {{ {} }} }} fragment f on T {{ a: x b: x }}", "...f ".repeat(spreads));
    assert!(document(&aliases(50)).is_ok() && document(&aliases(51)).is_err());
    let roots = |spreads: usize| format!("{{ {} }} fragment f on T {{ ... {{ a b }} }}", "...f ".repeat(spreads));
    assert!(document(&roots(10)).is_ok() && document(&roots(11)).is_err());
    assert!(document("{ ...f } fragment f on Query { ... { __schema { a } } }").expect("small").introspects);
    assert!(!document("{ a { __schema } }").expect("small").introspects, "only at the root");
}

#[test]
fn a_bomb_of_fragments_is_refused_before_it_is_written_out() {
    let bomb = |last: &str| {
        let layers = numbered(150, |n| format!("fragment f{n} on T {{ ...f{} ...f{} }}", n + 1, n + 1));
        format!("{layers} fragment f150 on T {{ {last} }}")
    };
    for (spread, last) in [("{ a { ...f0 } }", "x"), ("{ a }", "x"), ("{ a { ...f0 } }", "...absent")] {
        let message = document(&format!("{spread} {}", bomb(last))).expect_err("2^150 selections");
        assert!(message.contains("2000 selections"), "{message}");
    }
    let message = document(&format!("{{ a {{ ...f0 }} }} {}", bomb("...f0"))).expect_err("a circle");
    assert!(message.contains("spreads itself"), "{message}");
    assert!(document("{ ...f } fragment f on T { a { ...g } } fragment g on T { ...f }").is_err());
    assert!(document("{ ...absent }").is_ok(), "validation tells");
}

#[test]
fn exactly_one_operation_runs_and_a_subscription_has_one_root() {
    let two = parse_query("query a { x } query b { x } ").expect("it parses");
    assert!(
        operation(&two, Some("a")).is_ok() && operation(&two, None).is_err() && operation(&two, Some("c")).is_err()
    );
    let unnamed = parse_query("{ x }").expect("it parses");
    assert!(operation(&unnamed, None).is_ok() && operation(&unnamed, Some("a")).is_err());
    for (query, fine) in [("{ a }", true), ("{ a b }", false), ("{ ...f } fragment f on S { a b }", false)] {
        let document = parse_query(format!("subscription {query}")).expect("it parses");
        let operation = operation(&document, None).expect("one");
        let size = check_document(&document, &operation.node).expect("small");
        assert_eq!(check_subscription(&operation.node, &size).is_ok(), fine, "{query}");
    }
}
