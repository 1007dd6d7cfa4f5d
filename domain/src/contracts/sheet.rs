//! A rate table as a sheet of a spreadsheet: one header row, one row for each class. What is wrong is told by cell, as
//! whoever looks at the sheet sees it: `Rates!C7`. The notation is in `docs/rate-tables.md`.

mod parts;
mod separated;
mod tiers;
mod workbook;
mod written;

use super::cell::{Cell, Reads};
use super::contract::{Column, RateRow, RateTable};
use super::findings::MAX_COLUMNS;
use super::terms::MAX_ROWS;
use crate::error::{Code, Problem};
use crate::money::{Price, Rate};

/// The largest file that is taken, in bytes.
pub const MAX_FILE: usize = 8 << 20;
/// Problems that are told at once.
const MAX_PROBLEMS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Xlsx,
}

/// The sheet as texts.
#[derive(Debug, Default)]
struct Grid {
    /// Its name, where the file has one.
    sheet: Option<String>,
    rows: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    /// As the spreadsheet counts, from 1.
    number: usize,
    cells: Vec<Text>,
}

#[derive(Clone, Debug, Default)]
struct Text {
    text: String,
    /// A number that is shown times a hundred with a percent sign.
    percent: bool,
}

/// Where what was read stands in the sheet.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    sheet: Option<String>,
    /// By row of the table.
    rows: Vec<usize>,
    header: usize,
    /// By column of the table.
    columns: Vec<usize>,
    code: usize,
    when: Option<usize>,
    percent: Option<usize>,
    per_unit: Option<usize>,
    tiers: Option<usize>,
}

/// Reads columns and rows. `matching` and everything else of the terms are not in a sheet.
pub fn read(format: Format, bytes: &[u8]) -> Result<(Vec<Column>, Vec<RateRow>, Layout), Vec<Problem>> {
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes; {MAX_FILE} are allowed", bytes.len());
        return Err(vec![Problem::new(Code::BadInput, "", message)]);
    }
    let grid = match format {
        Format::Csv => separated::read(bytes)?,
        Format::Xlsx => workbook::read(bytes)?,
    };
    table(&grid)
}

pub fn write(format: Format, table: &RateTable) -> Result<Vec<u8>, String> {
    let grid = grid(table);
    match format {
        Format::Csv => written::separated(&grid),
        Format::Xlsx => written::workbook(&grid),
    }
}

/// Problems of a file, as far as they are told.
struct Problems {
    sheet: Option<String>,
    list: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, row: usize, column: usize, message: impl Into<String>) {
        if self.list.len() < MAX_PROBLEMS {
            let place = place(self.sheet.as_deref(), row, column);
            self.list.push(Problem::new(Code::BadInput, place, message));
        }
    }
}

/// The name of a cell; rows from 1, columns from 0.
fn place(sheet: Option<&str>, row: usize, column: usize) -> String {
    let mut letters = String::new();
    let mut rest = column + 1;
    while rest > 0 {
        let letter = u8::try_from((rest - 1) % 26).unwrap_or_default();
        letters.insert(0, char::from(b'A' + letter));
        rest = (rest - 1) / 26;
    }
    match sheet {
        // As Excel writes names that are no plain word.
        Some(sheet) if sheet.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
            format!("{sheet}!{letters}{row}")
        }
        Some(sheet) => format!("'{}'!{letters}{row}", sheet.replace('\'', "''")),
        None => format!("{letters}{row}"),
    }
}

impl Layout {
    /// The cell behind a path of terms, `rateTable.rows.3.cells.1`; the path itself where no cell is behind it.
    pub fn cell_of(&self, path: &str) -> String {
        let path = path.strip_prefix("terms.").unwrap_or(path);
        self.find(path).unwrap_or_else(|| path.to_owned())
    }

    fn find(&self, path: &str) -> Option<String> {
        let mut parts = path.strip_prefix("rateTable.")?.split('.');
        let (list, position) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
        let place = |row: usize, column: usize| Some(place(self.sheet.as_deref(), row, column));
        if list == "columns" {
            return place(self.header, *self.columns.get(position)?);
        }
        let row = *self.rows.get(position)?;
        let column = match parts.next() {
            Some("cells") => {
                let column = parts.next().and_then(|column| column.parse::<usize>().ok()).unwrap_or_default();
                self.columns.get(column).copied()
            }
            Some("when") => self.when,
            Some("percent") => self.percent,
            Some("perUnit") => self.per_unit,
            Some("tiers") => self.tiers,
            _ => None,
        };
        place(row, column.unwrap_or(self.code))
    }
}

/// What stands in a column of the sheet.
enum Field {
    Code,
    When,
    Percent,
    PerUnit,
    Tiers,
    Column,
    /// Nothing, not even a heading.
    Blank,
}

fn table(grid: &Grid) -> Result<(Vec<Column>, Vec<RateRow>, Layout), Vec<Problem>> {
    let mut problems = Problems { sheet: grid.sheet.clone(), list: Vec::new() };
    let is_blank = |line: &&Line| line.cells.iter().all(|cell| cell.text.trim().is_empty());
    let mut lines = grid.rows.iter().filter(|line| !is_blank(line));
    let Some(header) = lines.next() else {
        return Err(vec![Problem::new(Code::BadInput, "", "the file is empty; it begins with a header row")]);
    };
    let (fields, columns, mut layout) = header_of(header, &mut problems);
    layout.sheet.clone_from(&grid.sheet);
    let mut rows = Vec::new();
    for line in lines {
        if rows.len() >= MAX_ROWS {
            problems.add(line.number, 0, format!("is one row too many; {MAX_ROWS} are allowed"));
            break;
        }
        layout.rows.push(line.number);
        rows.push(row_of(line, &fields, columns.len(), &mut problems));
    }
    if rows.is_empty() && problems.list.is_empty() {
        problems.add(header.number, layout.code, "below the header there is no row");
    }
    if problems.list.is_empty() { Ok((columns, rows, layout)) } else { Err(problems.list) }
}

fn header_of(header: &Line, problems: &mut Problems) -> (Vec<Field>, Vec<Column>, Layout) {
    let mut layout = Layout { header: header.number, ..Layout::default() };
    let (mut fields, mut columns, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for (place, cell) in header.cells.iter().enumerate() {
        let text = cell.text.trim();
        if !text.is_empty() && seen.iter().any(|other: &String| other.eq_ignore_ascii_case(text)) {
            problems.add(header.number, place, format!("'{text}' is the heading of an earlier column"));
        }
        seen.push(text.to_owned());
        fields.push(match text.to_ascii_lowercase().as_str() {
            "" => Field::Blank,
            "code" => {
                layout.code = place;
                Field::Code
            }
            "when" => {
                layout.when = Some(place);
                Field::When
            }
            "percent" => {
                layout.percent = Some(place);
                Field::Percent
            }
            "perunit" => {
                layout.per_unit = Some(place);
                Field::PerUnit
            }
            "tiers" => {
                layout.tiers = Some(place);
                Field::Tiers
            }
            _ => {
                if let Err(error) = Reads::parse(text) {
                    let known = "; other headings are code, when, percent, perUnit and tiers";
                    problems.add(header.number, place, format!("{error}{known}"));
                }
                layout.columns.push(place);
                columns.push(Column { reads: text.to_owned() });
                Field::Column
            }
        });
    }
    if !fields.iter().any(|field| matches!(field, Field::Code)) {
        problems.add(header.number, 0, "no column has the heading 'code', which names the rate classes");
    }
    if columns.len() > MAX_COLUMNS {
        let message = format!("the table has {} columns to compare; {MAX_COLUMNS} are allowed", columns.len());
        problems.add(header.number, layout.columns[MAX_COLUMNS], message);
    }
    (fields, columns, layout)
}

fn row_of(line: &Line, fields: &[Field], columns: usize, problems: &mut Problems) -> RateRow {
    let mut row =
        RateRow { code: String::new(), when: None, cells: Vec::new(), percent: None, per_unit: None, tiers: None };
    for (place, cell) in line.cells.iter().enumerate() {
        let text = cell.text.trim();
        let field = fields.get(place).unwrap_or(&Field::Blank);
        if text.contains(['\n', '\r']) {
            let message = "has a line break; write it in one line (or a quotation mark before it is not closed)";
            problems.add(line.number, place, message);
            continue;
        }
        if cell.percent && !matches!(field, Field::Percent) {
            let message = "is formatted as a percentage, so that the file has another number than the sheet shows; format it as text";
            problems.add(line.number, place, message);
            continue;
        }
        match field {
            Field::Blank if text.is_empty() => {}
            Field::Blank => problems.add(line.number, place, format!("'{text}' stands in a column without a heading")),
            Field::Code => text.clone_into(&mut row.code),
            Field::Column => row.cells.push(text.to_owned()),
            _ if text.is_empty() => {}
            Field::When => row.when = Some(text.to_owned()),
            Field::Percent => match percent(cell) {
                Ok(rate) => row.percent = Some(rate),
                Err(message) => problems.add(line.number, place, message),
            },
            Field::PerUnit => match Price::parse(text) {
                Ok(price) => row.per_unit = Some(price),
                Err(error) => problems.add(line.number, place, error.to_string()),
            },
            Field::Tiers => match tiers::read(text) {
                Ok(tiers) => row.tiers = Some(tiers),
                Err(message) => problems.add(line.number, place, message),
            },
        }
    }
    // Cells at the end that say nothing need not be there.
    row.cells.truncate(columns);
    while row.cells.last().is_some_and(String::is_empty) {
        row.cells.pop();
    }
    row
}

/// `7.5`, `7.5 %`, or a cell that the spreadsheet shows as a percentage.
fn percent(cell: &Text) -> Result<Rate, String> {
    let text = cell.text.trim();
    if cell.percent {
        let number = super::numbers::number(text).ok().and_then(|number| number.checked_mul(100.into()));
        let number = number.ok_or_else(|| format!("'{text}' is not a percentage"))?;
        return Rate::parse(&number.normalize().to_string()).map_err(|error| error.to_string());
    }
    rate(text)
}

fn rate(text: &str) -> Result<Rate, String> {
    let digits = text.strip_suffix('%').unwrap_or(text).trim();
    Rate::parse(digits).map_err(|error| {
        let hint = if digits.contains(',') { "; write a decimal point, as in 7.5, and no thousands" } else { "" };
        format!("{error}{hint}")
    })
}

fn grid(table: &RateTable) -> Grid {
    let plain = |text: String| Text { text, percent: false };
    let names = table.columns.iter().map(|column| column.reads.clone());
    let header = std::iter::once("code".to_owned()).chain(names);
    // A column of prices is there where units are counted.
    let counts = table.rows.iter().any(|row| row.per_unit.is_some());
    let fixed = [Some("when"), Some("percent"), counts.then_some("perUnit"), Some("tiers")];
    let header = header.chain(fixed.into_iter().flatten().map(str::to_owned));
    let reads: Vec<_> = table.columns.iter().map(|column| Reads::parse(&column.reads)).collect();
    let mut rows = vec![Line { number: 1, cells: header.map(plain).collect() }];
    for (position, row) in table.rows.iter().enumerate() {
        let mut cells = vec![plain(row.code.clone())];
        for (column, reads) in reads.iter().enumerate() {
            let text = row.cells.get(column).cloned().unwrap_or_default();
            // Whatever says that anything will do is left empty, as people do.
            let is_any = matches!(reads.as_ref().map(|reads| reads.cell(&text)), Ok(Ok(Cell::Any)));
            cells.push(plain(if is_any { String::new() } else { text }));
        }
        cells.push(plain(row.when.clone().unwrap_or_default()));
        cells.push(plain(row.percent.map(|percent| percent.to_string()).unwrap_or_default()));
        if counts {
            cells.push(plain(row.per_unit.map(|price| price.to_string()).unwrap_or_default()));
        }
        cells.push(plain(row.tiers.as_ref().map(tiers::write).unwrap_or_default()));
        rows.push(Line { number: position + 2, cells });
    }
    Grid { sheet: Some("Rates".to_owned()), rows }
}

#[cfg(test)]
mod tests;
