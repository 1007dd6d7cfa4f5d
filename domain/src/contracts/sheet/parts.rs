//! The parts of a workbook: a ZIP of XML files, each read to the end of a common budget, so that a small file that
//! unpacks to a huge one ends early.

use std::io::{Cursor, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;

/// All parts that are read, unpacked, in bytes: ten thousand rows of long cells are a tenth of it.
const MAX_UNPACKED: u64 = 64 << 20;
const MAX_PARTS: usize = 1_000;

pub(super) struct Parts<'b> {
    archive: ZipArchive<Cursor<&'b [u8]>>,
    left: u64,
}

impl<'b> Parts<'b> {
    pub fn open(bytes: &'b [u8]) -> Result<Self, String> {
        if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
            return Err("this is an old .xls, or has a password; save it as .xlsx without one".to_owned());
        }
        let archive = ZipArchive::new(Cursor::new(bytes));
        let archive = archive.map_err(|_| "this is not an Excel workbook (.xlsx)".to_owned())?;
        if archive.len() > MAX_PARTS {
            return Err(format!("the workbook has {} parts; {MAX_PARTS} are allowed", archive.len()));
        }
        Ok(Self { archive, left: MAX_UNPACKED })
    }

    /// The text of a part; `None` where there is no such part.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let damaged = |what: &dyn std::fmt::Display| format!("the workbook's part {name} cannot be read: {what}");
        let part = match self.archive.by_name(name) {
            Ok(part) => part,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        };
        // What the file says of its size may be a lie.
        let mut text = Vec::new();
        part.take(self.left + 1).read_to_end(&mut text).map_err(|error| damaged(&error))?;
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| format!("the workbook unpacks to more than {} MiB", MAX_UNPACKED >> 20))?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(text);
        String::from_utf8(text).map(Some).map_err(|error| damaged(&error))
    }
}

/// What of an XML file is asked for.
pub(super) enum Piece<'e> {
    /// Its local name, and the tag with its attributes.
    Open(&'e str, &'e BytesStart<'e>),
    Close(&'e str),
    Text(&'e str),
}

/// Reads an XML file from end to end.
pub(super) fn walk(xml: &str, mut take: impl FnMut(Piece<'_>) -> Result<(), String>) -> Result<(), String> {
    let mut reader = Reader::from_str(xml);
    loop {
        let event = reader.read_event().map_err(|error| format!("the workbook is damaged: {error}"))?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.local_name();
                let name: &str = name.as_ref();
                take(Piece::Open(name, tag))?;
                if matches!(event, Event::Empty(_)) {
                    take(Piece::Close(name))?;
                }
            }
            Event::End(tag) => {
                let name = tag.local_name();
                take(Piece::Close(name.as_ref()))?;
            }
            Event::Text(text) => take(Piece::Text(&text.xml10_content()))?,
            Event::CData(text) => take(Piece::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(character)) => take(Piece::Text(character.encode_utf8(&mut [0; 4])))?,
                Ok(None) => match quick_xml::escape::resolve_xml_entity(reference) {
                    Some(text) => take(Piece::Text(text))?,
                    None => return Err(format!("the workbook is damaged: there is no character '{}'", &**reference)),
                },
                Err(error) => return Err(format!("the workbook is damaged: {error}")),
            },
            Event::DocType(_) => return Err("the workbook has declarations of its own, which are not read".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Ok(()),
        }
    }
}

pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| {
        let local = attribute.key.local_name();
        let local: &str = local.as_ref();
        local == name
    })?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}

pub(super) fn is_set(tag: &BytesStart<'_>, name: &str) -> bool {
    attribute(tag, name).is_some_and(|value| value == "1" || value == "true")
}

/// The texts that cells name by number.
pub(super) fn shared_strings(xml: &str) -> Result<Vec<String>, String> {
    let (mut strings, mut inside, mut phonetic) = (Vec::new(), false, false);
    walk(xml, |piece| {
        match piece {
            Piece::Open("si", _) => strings.push(String::new()),
            // How a text is pronounced is no part of it.
            Piece::Open("rPh", _) => phonetic = true,
            Piece::Close("rPh") => phonetic = false,
            Piece::Open("t", _) => inside = true,
            Piece::Close("t") => inside = false,
            Piece::Text(text) if inside && !phonetic => {
                if let Some(string) = strings.last_mut() {
                    string.push_str(text);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(strings)
}

/// How a number is shown, as far as it changes what a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Plain,
    Percent,
    Date,
}

/// By the number of a cell's style.
pub(super) fn styles(xml: &str) -> Result<Vec<Shown>, String> {
    let (mut formats, mut styles, mut inside) = (Vec::<(String, Shown)>::new(), Vec::new(), false);
    walk(xml, |piece| {
        match piece {
            Piece::Open("numFmt", tag) => {
                let (id, code) = (attribute(tag, "numFmtId"), attribute(tag, "formatCode"));
                if let (Some(id), Some(code)) = (id, code) {
                    formats.push((id, shown(&code)));
                }
            }
            Piece::Open("cellXfs", _) => inside = true,
            Piece::Close("cellXfs") => inside = false,
            Piece::Open("xf", tag) if inside => {
                let id = attribute(tag, "numFmtId").unwrap_or_default();
                let own = formats.iter().find(|(format, _)| *format == id);
                styles.push(match (own, id.parse::<u32>().unwrap_or_default()) {
                    (Some((_, shown)), _) => *shown,
                    (None, 9 | 10) => Shown::Percent,
                    (None, 14..=22 | 27..=36 | 45..=47 | 50..=58) => Shown::Date,
                    (None, _) => Shown::Plain,
                });
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(styles)
}

/// From a format's code, such as `0.00%` or `yyyy-mm-dd`; what is in quotation marks, in brackets or after a backslash
/// is shown as it is. `General` has no letter of a date.
fn shown(code: &str) -> Shown {
    let mut letters = code.chars();
    let mut shown = Shown::Plain;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => drop(letters.by_ref().find(|letter| *letter == '"')),
            '[' => drop(letters.by_ref().find(|letter| *letter == ']')),
            '\\' | '_' | '*' => drop(letters.next()),
            '%' => return Shown::Percent,
            'y' | 'Y' | 'd' | 'D' | 'h' | 'H' | 's' | 'S' | 'm' | 'M' => shown = Shown::Date,
            _ => {}
        }
    }
    shown
}
