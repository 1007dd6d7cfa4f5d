//! Reads the one sheet of a workbook that has data. What a person sees and what the file has must be the same: hidden
//! rows, merged cells and formulas are refused, each by its place.

use std::collections::BTreeMap;

use quick_xml::events::BytesStart;
use rust_decimal::Decimal;

use super::parts::{Parts, Piece, Shown, attribute, is_set, shared_strings, styles, walk};
use super::{Grid, Line, Problems, Text};
use crate::contracts::findings::MAX_COLUMNS;
use crate::contracts::terms::MAX_ROWS;
use crate::error::{Code, Problem};

/// A number has no more digits than this in a spreadsheet; what a file has beyond them is no one's.
const DIGITS: u32 = 15;
/// Columns of a sheet that are looked at; none beyond them may have data.
const MAX_WIDTH: usize = MAX_COLUMNS + 10;

pub(super) fn read(bytes: &[u8]) -> Result<Grid, Vec<Problem>> {
    let whole = |message: String| vec![Problem::new(Code::BadInput, "", message)];
    let mut parts = Parts::open(bytes).map_err(whole)?;
    let sheets = sheets(&mut parts).map_err(whole)?;
    let strings = parts.text("xl/sharedStrings.xml").and_then(|xml| shared_strings(&xml.unwrap_or_default()));
    let styles = parts.text("xl/styles.xml").and_then(|xml| styles(&xml.unwrap_or_default()));
    let context = Context { strings: strings.map_err(whole)?, styles: styles.map_err(whole)? };
    let mut with_data = Vec::new();
    for (name, path) in sheets {
        let Some(xml) = parts.text(&path).map_err(whole)? else { continue };
        let mut sheet = Sheet::new(&context, name);
        walk(&xml, |piece| sheet.take(piece)).map_err(whole)?;
        if !sheet.grid.rows.is_empty() || !sheet.problems.list.is_empty() {
            with_data.push(sheet);
        }
    }
    let names: Vec<String> =
        with_data.iter().map(|sheet| format!("'{}'", sheet.grid.sheet.as_deref().unwrap_or_default())).collect();
    let mut with_data = with_data.into_iter();
    match (with_data.next(), names.len()) {
        (Some(sheet), 1) if sheet.problems.list.is_empty() => Ok(sheet.grid),
        (Some(sheet), 1) => Err(sheet.problems.list),
        (None, _) => Err(whole("the workbook is empty".to_owned())),
        _ => Err(whole(format!(
            "the workbook has data on {} sheets, {}; keep the one with the rates (a hidden sheet counts too)",
            names.len(),
            names.join(", ")
        ))),
    }
}

/// Names of the sheets and where they are.
fn sheets(parts: &mut Parts<'_>) -> Result<Vec<(String, String)>, String> {
    let missing = || "this is not an Excel workbook (.xlsx)".to_owned();
    let book = parts.text("xl/workbook.xml")?.ok_or_else(missing)?;
    let links = parts.text("xl/_rels/workbook.xml.rels")?.ok_or_else(missing)?;
    let mut targets = BTreeMap::new();
    walk(&links, |piece| {
        if let Piece::Open("Relationship", tag) = piece
            && let (Some(id), Some(target)) = (attribute(tag, "Id"), attribute(tag, "Target"))
        {
            let path = target.strip_prefix('/').map_or_else(|| format!("xl/{target}"), str::to_owned);
            targets.insert(id, path);
        }
        Ok(())
    })?;
    let mut sheets = Vec::new();
    walk(&book, |piece| {
        if let Piece::Open("sheet", tag) = piece
            && let (Some(name), Some(id)) = (attribute(tag, "name"), attribute(tag, "id"))
            && let Some(path) = targets.get(&id)
        {
            sheets.push((name, path.clone()));
        }
        Ok(())
    })?;
    Ok(sheets)
}

struct Context {
    strings: Vec<String>,
    styles: Vec<Shown>,
}

/// One sheet while it is read.
struct Sheet<'c> {
    context: &'c Context,
    grid: Grid,
    problems: Problems,
    row: usize,
    row_hidden: bool,
    /// From the first up to and with the last, counted from 0.
    hidden_columns: Vec<(usize, usize)>,
    cell: Option<Opened>,
}

/// A cell that is being read.
struct Opened {
    column: usize,
    kind: String,
    shown: Shown,
    text: String,
    inside: bool,
    phonetic: bool,
    formula: bool,
}

impl<'c> Sheet<'c> {
    fn new(context: &'c Context, name: String) -> Self {
        let problems = Problems { sheet: Some(name.clone()), list: Vec::new() };
        let grid = Grid { sheet: Some(name), rows: Vec::new() };
        Self { context, grid, problems, row: 0, row_hidden: false, hidden_columns: Vec::new(), cell: None }
    }

    fn take(&mut self, piece: Piece<'_>) -> Result<(), String> {
        match piece {
            Piece::Open("col", tag) if is_set(tag, "hidden") => {
                let edge = |name| attribute(tag, name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
                self.hidden_columns.push((edge("min").saturating_sub(1), edge("max").saturating_sub(1)));
            }
            Piece::Open("row", tag) => {
                let number = attribute(tag, "r").and_then(|number| number.parse::<usize>().ok());
                self.row = number.unwrap_or(self.row + 1);
                self.row_hidden = is_set(tag, "hidden");
            }
            Piece::Open("mergeCell", tag) => {
                let range = attribute(tag, "ref").unwrap_or_default();
                let first = range.split(':').next().and_then(address);
                let (row, column) = first.unwrap_or((1, 0));
                self.problems.add(row, column, format!("the cells {range} are merged; take them apart"));
            }
            Piece::Open("c", tag) => self.open(tag),
            Piece::Close("c") => self.close(),
            _ => {
                if let Some(cell) = &mut self.cell {
                    cell.take(piece);
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, tag: &BytesStart<'_>) {
        let address = attribute(tag, "r").as_deref().and_then(address);
        let next = self.grid.rows.last().filter(|line| line.number == self.row).map_or(0, |line| line.cells.len());
        let style = attribute(tag, "s").and_then(|style| style.parse::<usize>().ok()).unwrap_or_default();
        self.cell = Some(Opened {
            column: address.map_or(next, |(_, column)| column),
            kind: attribute(tag, "t").unwrap_or_default(),
            shown: self.context.styles.get(style).copied().unwrap_or(Shown::Plain),
            text: String::new(),
            inside: false,
            phonetic: false,
            formula: false,
        });
    }

    fn close(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        let column = cell.column;
        let value = match cell.value(self.context) {
            Ok(value) => value,
            Err(message) => return self.problems.add(self.row, column, message),
        };
        if value.text.trim().is_empty() {
            return;
        }
        if self.row_hidden {
            self.problems.add(self.row, column, "stands in a hidden row; show the row, or delete it");
        } else if self.hidden_columns.iter().any(|(first, last)| (*first..=*last).contains(&column)) {
            self.problems.add(self.row, column, "stands in a hidden column; show the column, or delete it");
        } else if column >= MAX_WIDTH {
            let message = format!("stands beyond column {}, where the table ends", MAX_WIDTH);
            self.problems.add(self.row, column, message);
        } else if self.grid.rows.len() <= MAX_ROWS + 1 {
            if self.grid.rows.last().is_none_or(|line| line.number != self.row) {
                self.grid.rows.push(Line { number: self.row, cells: Vec::new() });
            }
            if let Some(line) = self.grid.rows.last_mut() {
                if line.cells.len() <= column {
                    line.cells.resize(column + 1, Text::default());
                }
                line.cells[column] = value;
            }
        }
    }
}

impl Opened {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Open("f", _) => self.formula = true,
            Piece::Open("rPh", _) => self.phonetic = true,
            Piece::Close("rPh") => self.phonetic = false,
            Piece::Open("v" | "t", _) => self.inside = true,
            Piece::Close("v" | "t") => self.inside = false,
            Piece::Text(text) if self.inside && !self.phonetic => self.text.push_str(text),
            _ => {}
        }
    }

    fn value(self, context: &Context) -> Result<Text, String> {
        if self.formula {
            return Err("has a formula; copy the cells and insert them as values".to_owned());
        }
        let plain = |text: String| Ok(Text { text, percent: false });
        match self.kind.as_str() {
            "s" => {
                let string = self.text.trim().parse::<usize>().ok().and_then(|number| context.strings.get(number));
                string.cloned().map_or_else(|| Err("names a text that the workbook does not have".to_owned()), plain)
            }
            "inlineStr" | "str" => plain(self.text),
            "b" => Err("is TRUE or FALSE; format it as text and write what is meant".to_owned()),
            "e" => Err(format!("has the error {}", self.text)),
            "d" => Err("is a date; format it as text and write what is meant".to_owned()),
            _ if self.text.is_empty() => plain(String::new()),
            _ if self.shown == Shown::Date => {
                Err("is a date or time for the spreadsheet; format it as text and write what is meant".to_owned())
            }
            _ => Ok(Text { text: number(&self.text)?, percent: self.shown == Shown::Percent }),
        }
    }
}

/// A number as it was typed: files have 8.15 as 8.1500000000000004, and 0.00001 as 1.0000000000000001E-5.
fn number(text: &str) -> Result<String, String> {
    let read = |text: &str| {
        if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { text.parse::<Decimal>() }
    };
    let number = read(text.trim()).ok().and_then(|number| number.round_sf(DIGITS));
    let number = number.ok_or_else(|| format!("'{text}' is a number too large or too small to be meant"))?.normalize();
    if number.trunc().mantissa().unsigned_abs() >= 10_u128.pow(DIGITS) {
        return Err(
            "is a number of so many digits that spreadsheets change the last of them; format it as text".to_owned()
        );
    }
    Ok(number.to_string())
}

/// Row from 1 and column from 0 of `C7`.
fn address(text: &str) -> Option<(usize, usize)> {
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    let (column, row) = text.split_at(letters);
    if !(1..=3).contains(&letters) {
        return None;
    }
    let column = column.bytes().fold(0, |column, letter| column * 26 + usize::from(letter - b'A') + 1);
    Some((row.parse().ok()?, column - 1))
}
