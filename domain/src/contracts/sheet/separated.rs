//! CSV as spreadsheets write it: with a comma, or where the comma is the decimal sign with a semicolon, or with tabs;
//! with and without a byte order mark.

use super::{Grid, Line, Text};
use crate::contracts::findings::MAX_COLUMNS;
use crate::contracts::terms::MAX_ROWS;
use crate::error::{Code, Problem};

pub(super) fn read(bytes: &[u8]) -> Result<Grid, Vec<Problem>> {
    let bad = |message: &str| vec![Problem::new(Code::BadInput, "", message)];
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(bad("this is a workbook (.xlsx) and no CSV; send it to the address that ends in .xlsx"));
    }
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).map_err(|_| {
        bad("the file is not in UTF-8; in Excel save it as 'CSV UTF-8 (Comma delimited)', or send the .xlsx itself")
    })?;
    let (delimiter, text) = delimiter(text).map_err(|message| bad(&message))?;
    // A spreadsheet counts records and blank lines, whatever ends them.
    let (mut number, text) = (usize::from(text.1), text.0.replace("\r\n", "\n").replace('\r', "\n"));
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(&error.to_string()))?;
        let from = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or_default();
        let blank = text.as_bytes().get(from..).unwrap_or_default().iter().take_while(|byte| **byte == b'\n');
        number += 1 + blank.count();
        // What comes after is refused anyway.
        let cells = record.iter().take(MAX_COLUMNS + 10).map(|text| Text { text: unescaped(text), percent: false });
        rows.push(Line { number, cells: cells.collect() });
        if rows.len() > MAX_ROWS + 1 {
            break;
        }
    }
    Ok(Grid { sheet: None, rows })
}

/// The sign between cells, from what follows the first heading, and the text without a line that only names it; and
/// whether there was one.
fn delimiter(text: &str) -> Result<(u8, (&str, bool)), String> {
    let signs = [b',', b';', b'\t'];
    if let Some(rest) = text.strip_prefix("sep=")
        && let Some((sign, rest)) = rest.split_once('\n')
        && let [sign] = sign.trim_end_matches('\r').as_bytes()
        && signs.contains(sign)
    {
        return Ok((*sign, (rest, true)));
    }
    let header = text.lines().find(|line| !line.trim_matches([',', ';', '\t', ' ']).is_empty()).unwrap_or_default();
    let count = |sign: &u8| header.bytes().filter(|byte| byte == sign).count();
    let sign = signs.into_iter().max_by_key(|sign| (count(sign), std::cmp::Reverse(*sign)));
    let sign = sign.filter(|sign| count(sign) > 0);
    sign.map(|sign| (sign, (text, false))).ok_or_else(|| {
        "the first line is a header of several headings with commas between them: code,localHour,percent".to_owned()
    })
}

/// An apostrophe in front marks a text, so that a spreadsheet does not take it for a formula.
fn unescaped(text: &str) -> String {
    text.strip_prefix('\'').unwrap_or(text).to_owned()
}
