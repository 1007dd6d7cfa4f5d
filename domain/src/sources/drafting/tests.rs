use std::path::PathBuf;

use super::*;
use crate::money::Asset;
use crate::sources::framing::MAX_RECORD;
use crate::sources::mapping::Mapping;

const CRASH: &str = r#"{
  "format": "csv", "encoding": "windows-1252", "timeZone": "UTC",
  "emit": [
    { "kind": "STAKE", "externalId": "Id + ':stake'", "amount": "number(Bet)", "currency": "'BIT'", "occurredAt": "PlayDate", "product": "'crash'", "player": "Username", "round": "GameID" },
    { "when": "CashedOut != 'NA'", "kind": "WIN", "externalId": "Id + ':win'", "amount": "number(Bet) + number(Profit)", "currency": "'BIT'", "occurredAt": "PlayDate", "product": "'crash'", "player": "Username", "round": "GameID" }
  ]
}"#;

fn compile(json: &str) -> CompiledMapping {
    CompiledMapping::compile(&Mapping::parse(json).expect("a mapping")).expect("a good mapping")
}

/// A mapping with one emission, most of it given.
fn one(format: &str, extra: &str, emission: &str) -> CompiledMapping {
    compile(&format!(r#"{{ "format": "{format}"{extra}, "emit": [{{ {emission} }}] }}"#))
}

const BASIC: &str =
    r#""kind": "STAKE", "externalId": "id", "currency": "'EUR'", "occurredAt": "'2021-11-20T19:44:19Z'""#;

/// Maps a whole file.
fn map_file(mapping: &CompiledMapping, file: &[u8]) -> Vec<Mapped> {
    let mut framer = Framer::new(mapping.framing(), Position::default());
    framer.push(file);
    let mut all = Vec::new();
    while let Some(chunk) = framer.next_chunk(true, Limits { records: 1_000, bytes: 1 << 20 }).expect("a readable file")
    {
        all.extend(mapping.map_chunk(&chunk, chunk.end.header.as_deref()));
    }
    all
}

/// The amount that an expression gives for one field, or what is wrong.
fn amount(expression: &str, value: &str) -> Result<String, (Code, String)> {
    let mapping = one("csv", "", &format!(r#"{BASIC}, "amount": "{expression}""#));
    let file = format!("id,Bet\n1,{value}\n");
    let mapped = map_file(&mapping, file.as_bytes()).remove(0);
    mapped.map(|mut drafts| drafts.remove(0).amount).map_err(|problem| {
        assert_eq!(problem.path, "emit.0.amount");
        (problem.code, problem.message)
    })
}

#[test]
fn a_record_becomes_one_or_two_transactions() {
    let mapping = compile(CRASH);
    let file = b"Id,GameID,Username,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate\n\
        1,7,ann,5,1.2,0,2.00E+03,8.24,2021-11-20T19:44:19Z\n2,7,bob,3,NA,NA,NA,1.4,2021-11-20 19:44:19\n";
    let mapped = map_file(&mapping, file);
    let first = mapped[0].as_ref().expect("drafts");
    assert_eq!(first.len(), 2);
    assert_eq!(
        (first[1].external_id.as_str(), first[1].kind.as_str(), first[1].amount.as_str()),
        ("1:win", "WIN", "2005")
    );
    let second = mapped[1].as_ref().expect("drafts");
    let expected = Draft {
        external_id: "2:stake".to_owned(),
        kind: "STAKE".to_owned(),
        amount: "3".to_owned(),
        currency: "BIT".to_owned(),
        occurred_at: Timestamp::parse_rfc3339("2021-11-20T19:44:19Z"),
        product: Some("crash".to_owned()),
        player: Some("bob".to_owned()),
        round: Some("7".to_owned()),
        ..Draft::default()
    };
    assert_eq!(second, &[expected]);
}

#[test]
fn amounts_are_exact_and_plain() {
    for (expression, value, exact) in [
        ("number(Bet)", "12345678901234567.89", "12345678901234567.89"),
        ("number(Bet)", "2.00E+03", "2000"),
        ("number(Bet)", "1e-7", "0.0000001"),
        ("number(Bet) * 100", "0.10", "10"),
        ("-number(Bet)", "5", "-5"),
        ("number(Bet)", "-0", "0"),
        ("Bet", "12.50", "12.50"),
        ("Bet", "-3", "-3"),
        ("number(Bet) / 3", "1", "0.3333333333333333333333333333"),
    ] {
        assert_eq!(amount(expression, value), Ok(exact.to_owned()), "{expression} of {value}");
    }
}

#[test]
fn amounts_that_are_none_name_field_and_value() {
    for (expression, value, code, says) in [
        ("number(Bet)", "NaN", Code::ExpressionFailed, "number(Bet) fails with Bet = 'NaN'"),
        ("number(Bet)", "1e400", Code::ExpressionFailed, "Bet = '1e400'"),
        ("number(Bet)", "", Code::ExpressionFailed, "Bet = ''"),
        ("number(Bet)", "\"1,000\"", Code::ExpressionFailed, "Bet = '1,000'"),
        ("number(Bet) + 79228162514264337593543950335", "1", Code::ExpressionFailed, "overflow"),
        ("1 / number(Bet)", "0", Code::BadAmount, "1 / number(Bet) gives nothing with Bet = '0'"),
        ("number(Bet) % 0", "1", Code::BadAmount, "gives nothing"),
        ("null", "1", Code::BadAmount, "gives nothing"),
        ("Bet + 1", "1", Code::ExpressionFailed, "Bet + 1 fails with Bet = '1'"),
        ("Bet == '1'", "1", Code::BadAmount, "true is not a decimal number"),
        ("split(Bet, ';')", "1;2", Code::BadAmount, "a list is not a decimal number"),
    ] {
        let (found, text) = amount(expression, value).expect_err(expression);
        assert_eq!(found, code, "{expression} of {value}: {text}");
        assert!(text.contains(says), "{expression} of {value}: {text}");
    }
    for value in ["abc", "NaN", "1e3", "+1", "1.", ".5", "-", " 1", "0x10", "1_000", "١"] {
        assert_eq!(amount("Bet", value).expect_err(value).0, Code::BadAmount, "{value}");
    }
    let (_, text) = amount("Bet", &"x".repeat(1_000)).expect_err("no amount");
    assert!(text.len() < 200, "{text}");
}

#[test]
fn texts_flags_times_and_kinds_are_checked_where_they_stand() {
    let mapping = one(
        "csv",
        "",
        r#""kind": "k", "externalId": "id", "amount": "'1'", "currency": "c", "occurredAt": "t", "roundClosed": "closed", "test": "closed == 'x'", "affects": "a", "product": "p", "settledAt": "s", "attributes": { "vip": "p" }"#,
    );
    let file = "id,k,c,t,closed,a,p,s\n\
        1,WIN,EUR,2021-11-20T19:44:19Z,true,GGR,,\n\
        ,WIN,EUR,2021-11-20T19:44:19Z,true,,,\n\
        2,STEAK,EUR,2021-11-20T19:44:19Z,true,,,\n\
        3,WIN,,2021-11-20T19:44:19Z,true,,,\n\
        4,WIN,EUR,2021-11-20 19:44:19,true,,,\n\
        5,WIN,EUR,,true,,,\n\
        6,WIN,EUR,2021-11-20T19:44:19Z,maybe,,,\n\
        7,WIN,EUR,2021-11-20T19:44:19Z,,HOLD,,\n\
        8,WIN,EUR,2021-11-20T19:44:19Z,,,p,0001-01-01T00:00:00Z\n\
        9,WIN,EUR,9999-12-31T00:00:00Z,,,p,\n";
    let mapped = map_file(&mapping, file.as_bytes());
    let first = &mapped[0].as_ref().expect("a draft")[0];
    assert!(first.round_closed && !first.test && first.product.is_none() && first.attributes.is_empty());
    let wrong: Vec<(&str, Code)> = mapped[1..]
        .iter()
        .map(|mapped| mapped.as_ref().expect_err("a problem"))
        .map(|problem| (problem.path.as_str(), problem.code))
        .collect();
    let expected = [
        ("emit.0.externalId", Code::BadInput),
        ("emit.0.kind", Code::UnknownKind),
        ("emit.0.currency", Code::BadInput),
        ("emit.0.occurredAt", Code::BadTime),
        ("emit.0.occurredAt", Code::BadTime),
        ("emit.0.roundClosed", Code::ExpressionFailed),
        ("emit.0.affects", Code::BadInput),
        ("emit.0.settledAt", Code::BadTime),
        ("emit.0.occurredAt", Code::BadTime),
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn a_condition_is_true_or_false() {
    let mapping = one("csv", "", &format!(r#"{BASIC}, "amount": "'1'", "when": "x""#));
    let mapped = map_file(&mapping, b"id,x\n1,true\n2,false\n3,\n4,1\n");
    assert_eq!(mapped[..2].iter().map(|mapped| mapped.as_ref().map(Vec::len)).collect::<Vec<_>>(), [Ok(1), Ok(0)]);
    for mapped in &mapped[2..] {
        assert_eq!(mapped.as_ref().expect_err("no flag").path, "emit.0.when");
    }
}

#[test]
fn broken_bytes_name_their_field_and_place() {
    let mapping = one("csv", "", &format!(r#"{BASIC}, "amount": "'1'", "player": "name""#));
    let mapped = map_file(&mapping, b"id,name,other\n1,a\xd4\xc2,x\n2,b,\xff\n3,c\0,x\n4,\"d \"\"\xc3\xa9\"\"\",x\n");
    let broken = mapped[0].as_ref().expect_err("not UTF-8");
    assert_eq!((broken.code, broken.path.as_str()), (Code::BadEncoding, "name"));
    assert_eq!(broken.message, "the field 'name': byte 3 of the record (0xD4) is not UTF-8");
    // What the mapping does not read cannot harm it.
    assert!(mapped[1].is_ok());
    let nul = mapped[2].as_ref().expect_err("a NUL");
    assert_eq!((nul.code, nul.path.as_str()), (Code::MalformedRecord, "name"));
    assert_eq!(mapped[3].as_ref().expect("drafts")[0].player.as_deref(), Some("d \"é\""));

    let korean = one("csv", r#", "encoding": "euc-kr""#, &format!(r#"{BASIC}, "amount": "'1'", "player": "name""#));
    let mapped = map_file(&korean, b"id,name\n1,\xb0\xa1\n2,x\xb0\xff\n");
    assert_eq!(mapped[0].as_ref().expect("drafts")[0].player.as_deref(), Some("가"));
    assert_eq!(
        mapped[1].as_ref().expect_err("broken").message,
        "the field 'name': byte 3 of the record (0xB0) is not EUC-KR"
    );
}

#[test]
fn json_numbers_stay_what_was_written() {
    let mapping = one(
        "jsonl",
        "",
        r#""kind": "WIN", "externalId": "id", "amount": "number(bet.amount)", "currency": "bet.currency", "occurredAt": "at", "test": "bot", "note": "bet.raw""#,
    );
    let file = br#"{"id":9007199254740993,"at":"2021-11-20T19:44:19Z","bot":true,"bet":{"amount":12345678901234567.89,"currency":"EUR","raw":1e400}}
{"id":"b","at":"2021-11-20T19:44:19Z","bet":{"amount":2.5E3,"currency":"EUR"}}
{"id":"a","at":"2021-11-20T19:44:19Z","bet":{"amount":"1.50","currency":"EUR"},"more":[[{}]]}
"#;
    let mapped = map_file(&mapping, file);
    let first = &mapped[0].as_ref().expect("a draft")[0];
    assert_eq!(
        (first.external_id.as_str(), first.amount.as_str(), first.test),
        ("9007199254740993", "12345678901234567.89", true)
    );
    assert_eq!(first.note.as_deref(), Some("1e+400"));
    assert_eq!(mapped[1].as_ref().expect("a draft")[0].amount, "2500");
    let second = &mapped[2].as_ref().expect("a draft")[0];
    assert_eq!((second.amount.as_str(), second.test, &second.note), ("1.5", false, &None));
}

#[test]
fn json_that_cannot_be_trusted_is_refused() {
    let mapping = one("jsonl", "", &format!(r#"{BASIC}, "amount": "number(bet)", "note": "deep""#));
    let deep = format!(r#"{{"id":1,"bet":1,"deep":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let very_deep = format!(r#"{{"id":1,"bet":1,"other":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    for (line, says) in [
        ("[1,2]", "a JSON object"),
        ("5", "a JSON object"),
        ("{\"id\":1,\"bet\":1", "EOF"),
        ("{\"id\":1,\"bet\":1}}", "trailing"),
        ("{\"id\":1,\"bet\":NaN}", "expected value"),
        ("{\"id\":1,\"bet\":1,\"bet\":2}", "'bet' comes twice"),
        ("{\"id\":1,\"bet\":1,\"x\":1,\"x\":2}", "'x' comes twice"),
        ("{\"id\":1,\"bet\":1,\"deep\":{\"y\":1,\"y\":2}}", "'y' comes twice"),
        ("{\"id\":\"\\u0000\",\"bet\":1}", "NUL"),
        ("{\"id\":\"\u{0}\",\"bet\":1}", "NUL"),
        (&deep, "32 levels"),
    ] {
        let problem = mapping.map_one(line.as_bytes(), None).expect_err(line);
        assert_eq!(problem.code, Code::MalformedRecord, "{line}: {problem}");
        assert!(problem.message.contains(says), "{line}: {problem}");
    }
    assert!(mapping.map_one(very_deep.as_bytes(), None).is_ok(), "what is not read may be as deep as it likes");
    let broken = mapping.map_one(b"{\"id\":\"\xff\",\"bet\":1}", None).expect_err("not UTF-8");
    assert_eq!((broken.code, broken.message.as_str()), (Code::BadEncoding, "byte 7 of the record (0xFF) is not UTF-8"));
    let missing = mapping.map_one(b"{\"bet\":1}", None).expect_err("no id");
    assert_eq!((missing.path.as_str(), missing.message.as_str()), ("emit.0.externalId", "the record has no 'id'"));
    let cut_off = map_file(&mapping, b"{\"id\":1,\"bet\":1}\n{\"id\":1,\"be");
    assert!(cut_off[1].as_ref().expect_err("cut off").message.ends_with("the file ends inside this record"));
}

#[test]
fn a_quarantined_record_is_tried_again_by_itself() {
    let mapping = compile(CRASH);
    let header: Vec<String> =
        "Id,GameID,Username,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate".split(',').map(str::to_owned).collect();
    let line = b"1,7,ann,5,NA,0,NA,8.24,2021-11-20T19:44:19Z";
    assert_eq!(mapping.map_one(line, Some(&header)).expect("drafts").len(), 1);
    assert_eq!(mapping.map_one(&[&line[..], b"\r\n"].concat(), Some(&header)).expect("drafts").len(), 1);
    for (wrong, code) in [
        (&b""[..], Code::MalformedRecord),
        (b"1,2", Code::MalformedRecord),
        (&[&line[..], b"\n", line].concat(), Code::MalformedRecord),
        (&vec![b'x'; MAX_RECORD as usize + 1], Code::RecordTooLong),
    ] {
        assert_eq!(mapping.map_one(wrong, Some(&header)).expect_err("wrong").code, code);
    }
    assert_eq!(mapping.map_one(line, None).expect_err("no header").code, Code::BadFile);
    assert_eq!(mapping.map_one(line, Some(&header[1..])).expect_err("no Id").code, Code::BadFile);
}

#[test]
fn one_expression_cannot_eat_the_memory() {
    let mapping = one("jsonl", "", &format!(r#"{BASIC}, "amount": "'1'", "note": "{}a""#, "a+".repeat(2_000)));
    let line = |length: usize| format!(r#"{{"id":1,"a":"{}"}}"#, "x".repeat(length));
    assert!(mapping.map_one(line(10).as_bytes(), None).is_ok());
    let problem = mapping.map_one(line(500_000).as_bytes(), None).expect_err("too long");
    assert_eq!((problem.code, problem.path.as_str()), (Code::ExpressionFailed, "a"));
}

/// The real file, if it is there.
fn crash_file() -> Option<Vec<u8>> {
    let folder = std::env::var_os("SALDO_TEST_DATA").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let file = [Some(beside), folder]
        .into_iter()
        .flatten()
        .map(|folder| folder.join("crash-game-rounds.csv"))
        .find(|file| file.exists());
    if file.is_none() {
        println!("crash-game-rounds.csv is not there; set SALDO_TEST_DATA to its folder");
    }
    file.map(|file| std::fs::read(file).expect("the file reads"))
}

#[test]
fn the_crash_game_file_meets_its_golden_figures() {
    let Some(file) = crash_file() else { return };
    let mapped = map_file(&compile(CRASH), &file);
    assert_eq!(mapped.len(), 50_000);
    let bit = Asset::new("BIT", 2);
    let mut sums = std::collections::BTreeMap::<String, [i64; 4]>::new();
    for draft in mapped.into_iter().flat_map(|mapped| mapped.expect("a good record")) {
        let month = draft.occurred_at.expect("a time").to_rfc3339()[..7].to_owned();
        let units = bit.parse_units(&draft.amount).expect("an amount").0;
        assert_eq!(units % bit.units_per_minor(), 0);
        let sum = sums.entry(month).or_default();
        let win = usize::from(draft.kind == "WIN");
        sum[win] += units / bit.units_per_minor();
        sum[2 + win] += 1;
    }
    let expected = [
        ("2021-10", [116_316_900, 92_851_345, 451, 258]),
        ("2021-11", [10_459_861_300, 10_695_969_578, 37_415, 22_283]),
        ("2021-12", [4_100_076_700, 4_116_145_804, 12_134, 6_193]),
    ];
    assert_eq!(sums, expected.map(|(month, sum)| (month.to_owned(), sum)).into());
}

#[test]
fn as_utf_8_two_records_of_the_crash_game_file_fail() {
    let Some(file) = crash_file() else { return };
    let mapping = compile(&CRASH.replace("windows-1252", "utf-8"));
    let lines: Vec<&[u8]> = file.split(|byte| *byte == b'\n').skip(1).collect();
    let failed: Vec<(&[u8], Problem)> = map_file(&mapping, &file)
        .into_iter()
        .zip(lines)
        .filter_map(|(mapped, line)| Some((line, mapped.err()?)))
        .collect();
    let ids: Vec<&[u8]> =
        failed.iter().map(|(line, _)| line.split(|byte| *byte == b',').next().unwrap_or_default()).collect();
    assert_eq!(ids, [b"903830".as_slice(), b"13365839"]);
    for (_, problem) in failed {
        assert_eq!((problem.code, problem.path.as_str()), (Code::BadEncoding, "Username"));
    }
}
