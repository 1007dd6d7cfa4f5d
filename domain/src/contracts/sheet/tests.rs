use std::io::Write as _;

use proptest::prelude::*;
use rust_xlsxwriter::{Format as Style, Workbook, Worksheet};
use serde_json::json;
use zip::write::SimpleFileOptions;

use super::*;
use crate::contracts::contract::{TierPeriod, TierReads};

const FORMATS: [Format; 2] = [Format::Csv, Format::Xlsx];

fn table() -> RateTable {
    serde_json::from_value(json!({
        "match": "FIRST",
        "columns": [{ "reads": "localHour" }, { "reads": "product" }, { "reads": "number(attributes.level)" }],
        "rows": [
            { "code": "night", "cells": ["0..6", "crash, \"a, \"\"b\"\"\""], "when": "category == 'x'", "percent": "7.5" },
            { "code": "low", "cells": ["", "", "-5..5"], "percent": "0.1" },
            { "code": "rest", "tiers": { "mode": "MARGINAL", "steps": [
                { "upTo": "10000", "percent": "15" }, { "upTo": "50000.5", "percent": "12" }, { "percent": "10" },
            ] } },
        ],
    }))
    .expect("a table")
}

/// A filling ends with nothing.
fn done(_: &mut Worksheet) {}

fn xlsx(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("Rates").expect("a name");
    for (column, heading) in (0..).zip(["code", "localHour", "percent"]) {
        sheet.write_string(0, column, heading).expect("a heading");
    }
    sheet.write_string(1, 0, "all").expect("a code");
    fill(sheet);
    workbook.save_to_buffer().expect("a workbook")
}

/// Places and messages of what is wrong.
fn refused(format: Format, bytes: &[u8]) -> Vec<(String, String)> {
    let problems = read(format, bytes).expect_err("refused");
    problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
}

#[track_caller]
fn refuses(bytes: &[u8], place: &str, words: &str) {
    let found = refused(Format::Xlsx, bytes);
    assert!(found.iter().any(|(at, message)| at == place && message.contains(words)), "{found:?}");
}

#[track_caller]
fn refuses_csv(text: &str, place: &str, words: &str) {
    let found = refused(Format::Csv, text.as_bytes());
    assert!(found.iter().any(|(at, message)| at == place && message.contains(words)), "{found:?}");
}

fn percents(format: Format, bytes: &[u8]) -> Vec<String> {
    let (_, rows, _) = read(format, bytes).unwrap_or_else(|problems| panic!("{problems:?}"));
    rows.iter().map(|row| row.percent.map(|percent| percent.to_string()).unwrap_or_default()).collect()
}

#[test]
fn a_table_is_written_and_read_back_and_the_same_table_is_the_same_file() {
    for format in FORMATS {
        let file = write(format, &table()).expect("a file");
        assert_eq!(file, write(format, &table()).expect("a file"), "{format:?}");
        let (columns, rows, layout) = read(format, &file).expect("the same table");
        assert_eq!((&columns, &rows), (&table().columns, &table().rows), "{format:?}");
        let sheet = if format == Format::Xlsx { "Rates!" } else { "" };
        assert_eq!(layout.cell_of("terms.rateTable.rows.1.cells.2"), format!("{sheet}D3"));
        assert_eq!(layout.cell_of("rateTable.rows.2.tiers.steps.0.upTo"), format!("{sheet}G4"));
        assert_eq!(layout.cell_of("rateTable.columns.0.reads"), format!("{sheet}B1"));
        assert_eq!(layout.cell_of("rateTable.rows.0.when"), format!("{sheet}E2"));
        assert_eq!(layout.cell_of("rateTable.rows.0"), format!("{sheet}A2"));
        assert_eq!(layout.cell_of("negative.level"), "negative.level");
    }
}

#[test]
fn what_a_spreadsheet_would_take_for_a_formula_is_a_text() {
    let mut table = table();
    table.rows[0].cells[1] = "\"=cmd|' /C calc'!A0\"".to_owned();
    for (row, name) in ["=1+1", "@SUM(A1)", "-1", "+1", "'x"].into_iter().enumerate().take(3) {
        table.rows[row].cells = vec![String::new(), name.to_owned()];
    }
    let file = write(Format::Csv, &table).expect("a file");
    let text = String::from_utf8(file.clone()).expect("text");
    for cell in text.lines().skip(1).flat_map(|line| line.split(',')) {
        assert!(!cell.trim_matches('"').starts_with(['=', '+', '-', '@']), "{cell}");
    }
    assert_eq!(read(Format::Csv, &file).expect("a table").1, table.rows);
}

#[test]
fn csv_is_read_as_spreadsheets_write_it() {
    let rows = |text: &str| percents(Format::Csv, text.as_bytes());
    assert_eq!(rows("code,percent\nall,7.5\n"), ["7.5"]);
    assert_eq!(rows("\u{feff}code;percent\r\nall;7.5 %\r\n;\r\n"), ["7.5"]);
    assert_eq!(rows("sep=;\r\ncode;percent;;\r\nall;8;;\r\n"), ["8"]);
    assert_eq!(rows("Code\tPercent\nall\t8\n"), ["8"]);
    assert_eq!(rows("\n\npercent,code\n\n8,all\n\n9,b\n"), ["8", "9"]);
    assert_eq!(rows("code,percent,localHour\nall,8\n"), ["8"], "cells at the end may be missing");
    refuses_csv("code;percent\nall;7,5\n", "B2", "decimal point");
    refuses_csv("code,percent\nall,7,5\n", "C2", "without a heading");
    refuses_csv("code,percent,percent\nall,7,5\n", "C1", "earlier column");
    refuses_csv("code,hour\nall,7\n", "B1", "there is no 'hour'");
    refuses_csv("name,percent\nall,7\n", "A1", "there is no 'name'");
    refuses_csv("percent\n7\n", "", "header");
    refuses_csv("percent,when\n7,\n", "A1", "'code'");
    refuses_csv("code,percent\n", "A1", "no row");
    refuses_csv("", "", "header");
    refuses_csv("code,when,percent\na,\"b,7\nc,d,8\n", "B2", "line break");
    refuses_csv("code,tiers\na,15 to 10\n", "B2", "MARGINAL");
    refuses_csv("code,tiers\na,FLAT: 15\n", "B2", "neither MARGINAL nor VOLUME");
    refuses_csv("sep=;\ncode;percent\n\nall;x\n", "B4", "not a decimal number");
    assert!(refused(Format::Csv, b"code,percent\n\xbe\xdf\xb0\xa3,7\n")[0].1.contains("UTF-8"));
    assert!(refused(Format::Csv, &xlsx(|_| {}))[0].1.contains(".xlsx"));
    let long: String = (0..=MAX_ROWS).map(|row| format!("r{row},1\n")).collect();
    refuses_csv(&format!("code,percent\n{long}"), &format!("A{}", MAX_ROWS + 2), "one row too many");
    assert!(refused(Format::Csv, &vec![b','; MAX_FILE + 1])[0].1.contains("allowed"));
}

#[test]
fn numbers_are_those_that_the_sheet_shows() {
    let number = |number: f64| {
        percents(Format::Xlsx, &xlsx(|sheet| done(sheet.write_number(1, 2, number).expect("a cell")))).remove(0)
    };
    assert_eq!(number(15.0), "15");
    assert_eq!(number(0.1), "0.1");
    assert_eq!(number(8.15), "8.15");
    assert_eq!(number(0.00001), "0.00001");
    let shown = |format: &str, number: f64| {
        let style = Style::new().set_num_format(format);
        percents(
            Format::Xlsx,
            &xlsx(|sheet| done(sheet.write_number_with_format(1, 2, number, &style).expect("a cell"))),
        )
    };
    assert_eq!(shown("0.00%", 0.075), ["7.5"], "15 % is 0.15 in the file");
    assert_eq!(shown("#,##0.00\" Prozent\"", 7.5), ["7.5"]);
    // As Excel writes them: with seventeen digits.
    let file = with_part(
        "xl/worksheets/sheet1.xml",
        &xlsx(|sheet| done(sheet.write_number(1, 2, 8).expect("a cell"))),
        |xml| xml.replace("<v>8</v>", "<v>8.1500000000000004</v>"),
    );
    assert_eq!(percents(Format::Xlsx, &file), ["8.15"]);
    let file =
        with_part("xl/worksheets/sheet1.xml", &file, |xml| xml.replace("8.1500000000000004", "1.0000000000000001E-5"));
    assert_eq!(percents(Format::Xlsx, &file), ["0.00001"]);
}

#[test]
fn what_a_sheet_hides_or_computes_is_refused_by_cell() {
    let with = |fill: fn(&mut Worksheet)| xlsx(fill);
    let percent = Style::new().set_num_format("0%");
    refuses(&with(|sheet| done(sheet.write_formula(1, 2, "=1+1").unwrap())), "Rates!C2", "formula");
    refuses(
        &with(|sheet| done(sheet.merge_range(1, 0, 2, 0, "a", &Style::new()).unwrap())),
        "Rates!A2",
        "A2:A3 are merged",
    );
    refuses(&with(|sheet| done(sheet.write_boolean(1, 1, true).unwrap())), "Rates!B2", "TRUE or FALSE");
    refuses(&with(|sheet| done(sheet.set_row_hidden(1).unwrap())), "Rates!A2", "hidden row");
    refuses(&with(|sheet| done(sheet.set_column_hidden(0).unwrap())), "Rates!A1", "hidden column");
    refuses(&with(|sheet| done(sheet.write_string(1, 300, "x").unwrap())), "Rates!KO2", "beyond");
    refuses(&with(|sheet| done(sheet.write_string(1, 5, "x").unwrap())), "Rates!F2", "without a heading");
    refuses(
        &xlsx(|sheet| done(sheet.write_number_with_format(1, 1, 0.5, &percent).unwrap())),
        "Rates!B2",
        "percentage",
    );
    refuses(&with(|sheet| done(sheet.write_number(1, 1, 1e20).unwrap())), "Rates!B2", "so many digits");
    for format in ["yyyy-mm-dd", "d.m.yy", "h:mm", "[$-412]yyyy\"년\"", "m/d/yyyy"] {
        let date = Style::new().set_num_format(format);
        refuses(
            &xlsx(|sheet| done(sheet.write_number_with_format(1, 1, 44_000.0, &date).unwrap())),
            "Rates!B2",
            "date",
        );
    }
}

#[test]
fn a_workbook_has_one_sheet_with_data() {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().write_string(0, 0, "code").unwrap();
    workbook.add_worksheet();
    workbook.add_worksheet().set_name("It's").unwrap().set_hidden(true).write_string(0, 0, "notes").unwrap();
    let file = workbook.save_to_buffer().unwrap();
    assert!(
        refused(Format::Xlsx, &file)[0].1.contains("2 sheets, 'Sheet1', 'It's'"),
        "{:?}",
        refused(Format::Xlsx, &file)
    );
    let mut workbook = Workbook::new();
    workbook.add_worksheet();
    let sheet = workbook.add_worksheet().set_name("It's").unwrap();
    sheet.write_string(0, 0, "code").unwrap().write_string(0, 1, "oops").unwrap().write_string(1, 0, "a").unwrap();
    refuses(&workbook.save_to_buffer().unwrap(), "'It''s'!B1", "there is no 'oops'");
    assert!(refused(Format::Xlsx, &Workbook::new().save_to_buffer().unwrap())[0].1.contains("empty"));
}

/// The same workbook with another text in one of its parts.
fn with_part(name: &str, file: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let mut parts = zip::ZipArchive::new(std::io::Cursor::new(file)).expect("a workbook");
    let mut changed = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for number in 0..parts.len() {
        let mut part = parts.by_index(number).expect("a part");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut part, &mut text).expect("text");
        let own = part.name().expect("a name").into_owned();
        let text = if own == name { change(text) } else { text };
        changed.start_file(own, SimpleFileOptions::default()).expect("a part");
        changed.write_all(text.as_bytes()).expect("a part");
    }
    changed.finish().expect("a workbook").into_inner()
}

#[test]
fn what_is_no_workbook_or_a_bomb_ends_early() {
    let words = |bytes: &[u8]| refused(Format::Xlsx, bytes)[0].1.clone();
    assert!(words(b"code,percent\nall,8\n").contains("not an Excel workbook"));
    assert!(words(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").contains("password"));
    let good = xlsx(|_| {});
    for cut in [10, good.len() / 2, good.len() - 10] {
        assert!(!words(&good[..cut]).is_empty());
    }
    let sheet = "xl/worksheets/sheet1.xml";
    let bomb = with_part(sheet, &good, |xml| format!("{xml}<!--{}-->", " ".repeat(70 << 20)));
    assert!(bomb.len() < MAX_FILE, "{} bytes", bomb.len());
    assert!(words(&bomb).contains("unpacks to more than"), "{}", words(&bomb));
    let entities =
        with_part(sheet, &good, |xml| xml.replacen("<worksheet", "<!DOCTYPE x [<!ENTITY a \"b\">]><worksheet", 1));
    assert!(words(&entities).contains("declarations"), "{}", words(&entities));
    assert!(words(&with_part(sheet, &good, |xml| xml.replace("</row>", "</r>"))).contains("damaged"));
    assert!(words(&with_part("xl/sharedStrings.xml", &good, |_| "<sst/>".to_owned())).contains("does not have"));
}

#[test]
fn a_text_is_read_without_how_it_is_pronounced() {
    let file = with_part("xl/sharedStrings.xml", &xlsx(|_| {}), |xml| {
        xml.replace("<t>all</t>", "<r><t>야</t></r><r><t>간&amp;&#65;</t></r><rPh sb=\"0\" eb=\"1\"><t>x</t></rPh>")
    });
    let (_, rows, _) = read(Format::Xlsx, &file).expect("a table");
    assert_eq!(rows[0].code, "야간&A");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any table comes back from either format as it was.
    #[test]
    fn what_is_written_is_read_back(
        rows in prop::collection::vec(
            (
                "[a-zA-Z0-9._-]{1,12}",
                prop::collection::vec("(\\PC{0,8}|[=+@'\"-][a-z,;\" ]{0,6}|[0-9.]{1,4})", 2),
                prop::option::of("[a-z ='\"]{1,10}[a-z]"),
                0_i64..100_000,
                prop::option::of((any::<bool>(), prop::collection::vec((1_u32..1_000_000, 0_i64..10_000), 1..4))),
            ),
            1..6,
        ),
    ) {
        let percent = |scaled: i64| Rate::parse(&format!("{}.{:03}", scaled / 1_000, scaled % 1_000)).unwrap();
        let price = |scaled: i64| crate::money::Price::parse(&percent(scaled).to_string()).unwrap();
        let rows: Vec<RateRow> = rows
            .into_iter()
            .map(|(code, cells, when, rate, tiers)| {
                let tiers = tiers.map(|(marginal, steps)| {
                    let mode = if marginal { crate::contracts::contract::TierMode::Marginal } else { crate::contracts::contract::TierMode::Volume };
                    let mut steps: Vec<_> = steps
                        .into_iter()
                        .map(|(up_to, rate)| crate::contracts::contract::TierStep {
                            up_to: Some(up_to.to_string()),
                            percent: (rate % 2 == 0).then(|| percent(rate)),
                            per_unit: (rate % 2 == 1).then(|| price(rate)),
                        })
                        .collect();
                    steps.last_mut().unwrap().up_to = None;
                    let period = if steps.len() % 2 == 0 { TierPeriod::Year } else { TierPeriod::Settlement };
                    let reads = if steps.len() > 2 { TierReads::BeforeCarry } else { TierReads::AfterCarry };
                    crate::contracts::contract::Tiers { mode, period, reads, steps }
                });
                let mut cells: Vec<String> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
                // What says nothing is written as nothing.
                cells.iter_mut().filter(|cell| *cell == "-").for_each(String::clear);
                while cells.last().is_some_and(String::is_empty) {
                    cells.pop();
                }
                let when = when.map(|when| when.trim().to_owned());
                let flat = tiers.is_none();
                let per_unit = (flat && rate % 2 == 1).then(|| price(rate));
                let percent = (flat && rate % 2 == 0).then(|| percent(rate));
                RateRow { code, when, cells, percent, per_unit, tiers }
            })
            .collect();
        let columns = ["product", "attributes.shop"].map(|reads| Column { reads: reads.to_owned() }).to_vec();
        let table = RateTable { matching: Default::default(), columns, rows };
        for format in FORMATS {
            let file = write(format, &table).unwrap();
            let (columns, rows, _) = read(format, &file).unwrap_or_else(|problems| panic!("{format:?} {problems:?}"));
            prop_assert_eq!((&columns, &rows), (&table.columns, &table.rows), "{:?}", format);
        }
    }
}
