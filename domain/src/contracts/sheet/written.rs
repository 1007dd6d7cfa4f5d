//! Sheets as files. Every cell is a text: a spreadsheet neither computes with it nor turns `0..6` into a date.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, XlsxError};

use super::{Grid, Text};

/// With a byte order mark, by which spreadsheets know UTF-8.
pub(super) fn separated(grid: &Grid) -> Result<Vec<u8>, String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
    for row in &grid.rows {
        writer
            .write_record(row.cells.iter().map(|Text { text, .. }| escaped(text)))
            .map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

/// What a spreadsheet would take for a formula gets an apostrophe in front, which says that it is a text.
fn escaped(text: &str) -> String {
    let acts = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'', '|', '%']);
    if acts { format!("'{text}") } else { text.to_owned() }
}

pub(super) fn workbook(grid: &Grid) -> Result<Vec<u8>, String> {
    build(grid).map_err(|error| error.to_string())
}

fn build(grid: &Grid) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // The same table is the same file, whenever it is written.
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let text = Format::new().set_num_format("@");
    let heading = Format::new().set_num_format("@").set_bold();
    let sheet = workbook.add_worksheet();
    sheet.set_name(grid.sheet.as_deref().unwrap_or("Rates"))?;
    sheet.set_freeze_panes(1, 1)?;
    for (number, row) in (0_u32..).zip(&grid.rows) {
        for (column, cell) in (0_u16..).zip(&row.cells) {
            if number == 0 {
                sheet.set_column_format(column, &text)?;
                sheet.set_column_width(column, 18)?;
            }
            let format = if number == 0 { &heading } else { &text };
            if !cell.text.is_empty() {
                sheet.write_string_with_format(number, column, &cell.text, format)?;
            }
        }
    }
    workbook.save_to_buffer()
}
