//! Cells of a rate table: what people type into a spreadsheet, read once into sets that are asked in nanoseconds. The
//! grammar is in `docs/rate-tables.md`.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::condition::{ATTRIBUTES, Needs, Var};
use super::contract::Weekday;
use super::numbers::Numbers;
use crate::transactions::transaction::Kind;

/// The longest cell, in bytes: a list of some hundred products.
pub(super) const MAX_CELL: usize = 10_000;

/// What a column reads of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    Var(Var),
    Attribute(Arc<str>),
    /// An attribute that is compared as a number.
    NumberOf(Arc<str>),
}

/// A set of values of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cell {
    Any,
    /// Of what has few values (hours, weekdays, kinds): a bit for each.
    Bits(u32),
    /// Of names; a set of tags holds when it has one of them.
    Names(Names),
    Numbers(Numbers),
}

/// A list of names, or everything but it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Names {
    /// Sorted.
    pub list: Vec<Box<str>>,
    /// Whether the list has "nothing there".
    pub none: bool,
    pub not: bool,
}

/// What a transaction has in a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'v> {
    Bit(u8),
    Text(Option<&'v str>),
    Tags(&'v [String]),
    Number(Option<Decimal>),
}

/// The kinds that pricing meets, in the order of their bits; a rollback undoes what another transaction did.
pub(super) const KINDS: [Kind; 10] = [
    Kind::Stake,
    Kind::Win,
    Kind::BonusStake,
    Kind::BonusWin,
    Kind::JackpotContribution,
    Kind::JackpotWin,
    Kind::Sale,
    Kind::Refund,
    Kind::Fee,
    Kind::Adjustment,
];

impl Reads {
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let attribute = |text: &str| -> Option<Arc<str>> {
            let name = text.strip_prefix(ATTRIBUTES)?.strip_prefix('.')?.trim();
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (is_name && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())).then(|| Arc::from(name))
        };
        if let Some(inside) = text.strip_prefix("number(").and_then(|rest| rest.strip_suffix(')')) {
            let name = attribute(inside.trim());
            return name.map(Self::NumberOf).ok_or_else(|| {
                format!("'{text}' is no number of an attribute; write it like number(attributes.level)")
            });
        }
        if let Some(name) = attribute(text) {
            return Ok(Self::Attribute(name));
        }
        if text == ATTRIBUTES || text.starts_with("attributes.") {
            return Err("attributes are read by name: attributes.shop".to_owned());
        }
        Var::ALL.into_iter().find(|var| var.name() == text).map(Self::Var).ok_or_else(|| {
            let known: Vec<&str> = Var::ALL.iter().map(|var| var.name()).collect();
            let known = known.join(", ");
            format!("there is no '{text}' here; a column reads {known}, attributes.shop or number(attributes.level)")
        })
    }

    pub fn name(&self) -> String {
        match self {
            Self::Var(var) => var.name().to_owned(),
            Self::Attribute(name) => format!("{ATTRIBUTES}.{name}"),
            Self::NumberOf(name) => format!("number({ATTRIBUTES}.{name})"),
        }
    }

    pub fn add_to(&self, needs: &mut Needs) {
        match self {
            Self::Var(var) => needs.add(*var),
            Self::Attribute(name) | Self::NumberOf(name) => needs.add_attribute(name),
        }
    }

    /// The words of a column that has few values, in the order of their bits.
    pub fn words(&self) -> Option<Vec<String>> {
        match self {
            Self::Var(Var::Kind) => Some(KINDS.iter().map(|kind| kind.as_str().to_owned()).collect()),
            Self::Var(Var::LocalHour) => Some((0..24).map(|hour| hour.to_string()).collect()),
            Self::Var(Var::LocalWeekday) => Some(Weekday::ALL.iter().map(|day| day.as_str().to_owned()).collect()),
            _ => None,
        }
    }

    /// Reads a cell of this column, or says what is wrong with it.
    pub fn cell(&self, text: &str) -> Result<Cell, String> {
        let text = text.trim();
        if text.is_empty() || text == "-" {
            return Ok(Cell::Any);
        }
        if text.len() > MAX_CELL {
            return Err(format!("has {} bytes; {MAX_CELL} are allowed", text.len()));
        }
        let (not, list) = match text.split_once(char::is_whitespace) {
            Some((first, rest)) if first.eq_ignore_ascii_case("not") => (true, rest),
            _ if text.eq_ignore_ascii_case("not") => return Err("'not' of what? Write it like: not slots".to_owned()),
            _ => (false, text),
        };
        let items = items(list)?;
        match self {
            Self::Var(Var::Kind) => bits(not, &items, KINDS.len(), kind),
            Self::Var(Var::LocalWeekday) => bits(not, &items, 7, weekdays),
            Self::Var(Var::LocalHour) => bits(not, &items, 24, hours),
            Self::NumberOf(_) => {
                let numbers = Numbers::parse(not, &items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>())?;
                Ok(if numbers.is_all() { Cell::Any } else { Cell::Numbers(numbers) })
            }
            Self::Var(_) | Self::Attribute(_) => names(not, items),
        }
    }
}

/// One entry of a list.
struct Item {
    text: String,
    /// In quotation marks: a name, whatever it looks like.
    quoted: bool,
}

impl Item {
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

/// Entries between commas; what is in quotation marks may have commas, and marks written twice.
fn items(list: &str) -> Result<Vec<Item>, String> {
    let (mut items, mut rest) = (Vec::new(), list.trim_start());
    loop {
        let item;
        if let Some(mut inside) = rest.strip_prefix('"') {
            let mut text = String::new();
            loop {
                let (before, after) = inside.split_once('"').ok_or("a quotation mark is not closed")?;
                text.push_str(before);
                let Some(more) = after.strip_prefix('"') else {
                    inside = after.trim_start();
                    break;
                };
                text.push('"');
                inside = more;
            }
            rest = inside;
            if !(rest.is_empty() || rest.starts_with(',')) {
                return Err(format!("after \"{text}\" there is something that is no comma"));
            }
            item = Item { text, quoted: true };
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            item = Item { text: rest[..end].trim().to_owned(), quoted: false };
            rest = &rest[end..];
        }
        if item.text.is_empty() && !item.quoted {
            return Err("has a comma too many: between two commas, or at an end, there is nothing".to_owned());
        }
        items.push(item);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return Ok(items),
        }
    }
}

fn names(not: bool, items: Vec<Item>) -> Result<Cell, String> {
    let mut names = Names { not, ..Names::default() };
    for item in items {
        if item.is("none") {
            names.none = true;
        } else if item.is("not") || (!item.quoted && item.text.to_ascii_lowercase().starts_with("not ")) {
            return Err("'not' stands once, at the beginning, and is about the whole list".to_owned());
        } else if !item.quoted && (item.text.starts_with(['<', '>', '=']) || item.text.contains("..")) {
            let text = item.text;
            return Err(format!("'{text}' compares numbers, and this column has names (\"{text}\" would be a name)"));
        } else {
            names.list.push(item.text.into_boxed_str());
        }
    }
    names.list.sort_unstable();
    if let Some(twice) = names.list.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("'{}' is there twice", twice[0]));
    }
    Ok(Cell::Names(names))
}

/// Reads entries that are each some of `count` values.
fn bits(not: bool, items: &[Item], count: usize, read: impl Fn(&str) -> Result<u32, String>) -> Result<Cell, String> {
    let all = (1 << count) - 1;
    let mut bits = 0;
    for item in items {
        bits |= read(&item.text)?;
    }
    bits = if not { all & !bits } else { bits };
    match bits {
        0 => Err("leaves nothing that could hold".to_owned()),
        _ if bits == all => Ok(Cell::Any),
        _ => Ok(Cell::Bits(bits)),
    }
}

fn kind(text: &str) -> Result<u32, String> {
    let position = KINDS.iter().position(|kind| kind.as_str().eq_ignore_ascii_case(text));
    position.map(|position| 1 << position).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.as_str()).collect();
        format!("'{text}' is no kind of transaction that has a rate class; there are {}", known.join(", "))
    })
}

/// A day, or days from one to another, both included; the week goes round.
fn weekdays(text: &str) -> Result<u32, String> {
    let day = |text: &str| {
        let is = |day: &Weekday| {
            let name = day.as_str();
            name.eq_ignore_ascii_case(text) || name[..3].eq_ignore_ascii_case(text)
        };
        let position = Weekday::ALL.iter().position(is);
        position.ok_or_else(|| format!("'{text}' is no day of the week like MON or MONDAY"))
    };
    let Some((first, last)) = text.split_once("..") else { return Ok(1 << day(text)?) };
    Ok(round(day(first.trim())?, day(last.trim())? + 1, 7))
}

/// An hour; hours from one up to but without another, where the day goes round; or a comparison.
fn hours(text: &str) -> Result<u32, String> {
    let hour = |text: &str, last: usize| {
        let number = text.trim().parse::<usize>().ok().filter(|hour| *hour <= last);
        number.ok_or_else(|| format!("'{}' is not an hour from 0 to {last}", text.trim()))
    };
    if let Some((first, end)) = text.split_once("..") {
        let (first, end) = (hour(first, 23)?, hour(end, 24)?);
        if first == end {
            return Err(format!("'{text}' is from {first} up to but without {end}: no hour at all"));
        }
        return Ok(round(first, end, 24));
    }
    let below = |hour: usize| (1_u32 << hour) - 1;
    let all = below(24);
    for (operator, at) in [("<=", 1), (">=", 0), ("<", 0), (">", 1)] {
        if let Some(rest) = text.strip_prefix(operator) {
            let low = below(hour(rest, 24)? + at);
            return Ok(all & if operator.starts_with('<') { low } else { !low });
        }
    }
    Ok(1 << hour(text, 23)?)
}

/// The bits from `first` up to but without `end`, on a circle of `count`.
fn round(first: usize, end: usize, count: usize) -> u32 {
    let length = (end + count - first - 1) % count + 1;
    (0..length).fold(0, |bits, step| bits | 1 << ((first + step) % count))
}

impl Names {
    fn has(&self, text: &str) -> bool {
        self.list.binary_search_by(|name| (**name).cmp(text)).is_ok()
    }
}

impl Cell {
    pub fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::Bits(bits), Value::Bit(bit)) => bits >> bit & 1 == 1,
            (Self::Names(names), Value::Text(text)) => text.map_or(names.none, |text| names.has(text)) != names.not,
            (Self::Names(names), Value::Tags(tags)) => {
                let listed = if tags.is_empty() { names.none } else { tags.iter().any(|tag| names.has(tag)) };
                listed != names.not
            }
            (Self::Numbers(numbers), Value::Number(number)) => numbers.has(number),
            // A column's cells and values are of one type.
            (Self::Bits(_) | Self::Names(_) | Self::Numbers(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests;
