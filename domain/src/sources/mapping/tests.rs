use super::*;

fn mapping(changes: serde_json::Value) -> Mapping {
    let mut json = serde_json::json!({
        "format": "csv",
        "emit": [{ "kind": "STAKE", "externalId": "Id", "amount": "number(Bet)", "currency": "'BIT'", "occurredAt": "At" }],
    });
    for (path, value) in changes.as_object().expect("an object") {
        let (outer, field) = path.rsplit_once('/').unwrap_or(("", path));
        let place = if outer.is_empty() { &mut json } else { json.pointer_mut(&format!("/{outer}")).expect("a place") };
        place[field] = value.clone();
    }
    Mapping::parse(&json.to_string()).expect("a mapping")
}

/// Paths and messages of what is wrong with it.
fn problems(changes: serde_json::Value) -> Vec<(String, String)> {
    let problems = CompiledMapping::compile(&mapping(changes)).expect_err("a bad mapping");
    problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
}

#[test]
fn a_mapping_reads_back_as_it_was_written() {
    let json = r#"{"format":"csv","encoding":"windows-1252","timeZone":"Asia/Seoul","delimiter":";","roundExcess":true,"emit":[{"when":"A != 'NA'","kind":"WIN","externalId":"Id","amount":"number(A)","currency":"'BIT'","occurredAt":"At","attributes":{"vip":"B"}}]}"#;
    let read = Mapping::parse(json).expect("a mapping");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), json);
    for wrong in [
        "{}",
        r#"{"format":"xml","emit":[]}"#,
        r#"{"format":"csv","emit":[],"zone":"UTC"}"#,
        r#"{"format":"csv","timeZone":"Seoul","emit":[]}"#,
    ] {
        assert_eq!(Mapping::parse(wrong).expect_err("no mapping").code, Code::BadInput, "{wrong}");
    }
}

#[test]
fn threads_may_share_a_compiled_mapping() {
    fn shared<T: Send + Sync>() {}
    shared::<CompiledMapping>();
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let found = problems(serde_json::json!({
        "encoding": "utf-16",
        "timeFormat": "%Y",
        "emit/0/amount": "number(Bet",
        "emit/0/kind": "'STEAK'",
        "emit/0/attributes": { "x": "rand(10)" },
    }));
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["encoding", "timeFormat", "emit.0.amount", "emit.0.attributes.x", "emit.0.kind"]);
}

#[test]
fn limits_and_separators() {
    let emission = serde_json::json!({ "kind": "STAKE", "externalId": "Id", "amount": "Bet", "currency": "'BIT'", "occurredAt": "At" });
    assert_eq!(problems(serde_json::json!({ "emit": [] }))[0].0, "emit");
    assert_eq!(problems(serde_json::json!({ "emit": vec![emission; MAX_EMISSIONS + 1] }))[0].0, "emit");
    for (field, value) in [
        ("delimiter", "ab"),
        ("delimiter", "x"),
        ("delimiter", "\n"),
        ("delimiter", "é"),
        ("delimiter", "\""),
        ("quote", "7"),
        ("quote", ","),
    ] {
        assert_eq!(problems(serde_json::json!({ field: value })).len(), 1, "{field} {value:?}");
    }
    assert_eq!(problems(serde_json::json!({ "delimiter": "|", "encoding": "shift_jis" }))[0].0, "delimiter");
    assert_eq!(problems(serde_json::json!({ "delimiter": ";", "format": "jsonl" }))[0].0, "delimiter");
    for label in ["utf-16le", "iso-2022-jp", "replacement", "klingon", ""] {
        assert_eq!(problems(serde_json::json!({ "encoding": label }))[0].0, "encoding", "{label}");
    }
    for label in ["latin1", "windows-1252", "euc-kr", "shift_jis", "UTF-8"] {
        assert!(
            CompiledMapping::compile(&mapping(serde_json::json!({ "encoding": label, "delimiter": "\t" }))).is_ok(),
            "{label}"
        );
    }
}

#[test]
fn expressions_that_never_end_guess_or_change_with_the_day_are_refused() {
    let nested = "(".repeat(2_000) + "Bet" + &")".repeat(2_000);
    assert!(CompiledMapping::compile(&mapping(serde_json::json!({ "emit/0/amount": nested }))).is_ok());
    let long = format!("Bet + '{}'", "x".repeat(4_096));
    for source in [
        "len(map([1..20000000], #))",
        "Bet in [1..10]",
        "count(split(Bet, ','), # == '1')",
        "a = Bet + Bet; a + a",
        "rand(10)",
        "d()",
        "d(At)",
        "d('now')",
        "date('now')",
        "date(At)",
        "time(At)",
        "year(At)",
        "d(At).isToday()",
        "d('Asia/Seoul')",
        "$root",
        "$root[Bet]",
        "keys($root)",
        "2 ^ 0.5",
        "fuzzyMatch(Bet, 'x')",
        "Bet.deep",
        "d(At, 'UTC').hour()",
        "",
        "  ",
        "Bet +",
        "Bet Bet",
        "Bet)",
        "frob(Bet)",
        "number()",
        "'open",
        "number('x')",
        "``",
        "median([])",
        &long,
        "((((((((",
        &"[".repeat(4_000),
        &"-".repeat(4_000),
        &"!(".repeat(2_000),
    ] {
        let found = problems(serde_json::json!({ "emit/0/amount": source }));
        assert_eq!((found.len(), found[0].0.as_str()), (1, "emit.0.amount"), "{source}: {found:?}");
    }
}

#[test]
fn missing_and_doubled_columns_are_found_before_the_first_record() {
    let compiled = CompiledMapping::compile(&mapping(serde_json::json!({
        "emit/0/when": "Bonus ?? '0' == '0' and $root['Cashed Out'] != 'NA'",
    })))
    .expect("a mapping");
    let header = |names: &str| -> Vec<String> { names.split(',').map(str::to_owned).collect() };
    assert_eq!(compiled.check_header(&header("Id,Bet,At,Bonus,Cashed Out,More")), Ok(()));
    let missing = compiled.check_header(&header("Id,bet,At,Bonus")).expect_err("missing");
    assert_eq!(missing.code, Code::BadFile);
    assert_eq!(
        missing.message,
        "the file has no column 'Bet' (read by emit.0.amount), 'Cashed Out' (read by emit.0.when); it has 'Id', 'bet', 'At', 'Bonus'"
    );
    let doubled = compiled.check_header(&header("Id,Bet,At,Bonus,Cashed Out,Bet")).expect_err("doubled");
    assert_eq!((doubled.code, doubled.message.as_str()), (Code::BadFile, "the file has two columns 'Bet'"));
}

#[test]
fn the_examples_of_the_document_compile() {
    let examples: Vec<&str> = include_str!("../../../../docs/mapping.md").split("```json").skip(1).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let json = example.split("```").next().expect("a block");
        CompiledMapping::compile(&Mapping::parse(json).expect("a mapping")).expect(json);
    }
}
