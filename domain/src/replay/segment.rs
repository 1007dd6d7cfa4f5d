//! A piece of an extract: records in columns, texts by number, in a few bytes a row. It is written once, read whole, and
//! knows when it is damaged.
//!
//! Numbers are little-endian. A file is the word `SLDX1`, then the count of rows, the dictionaries, the columns, and the
//! SHA-256 of all that. A column in which every row has the same value keeps it once.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::ops::Range;

use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::ids::SourceId;
use crate::money::Units;
use crate::secrets::sha256;
use crate::time::Timestamp;
use crate::transactions::transaction::{Affects, Kind, Player};
use crate::transactions::{Record, Seen};

/// Rows of a segment, and bytes of its dictionaries, at which it is full.
pub const MOST_ROWS: usize = 1 << 18;
const MOST_TEXT: usize = 8 << 20;

const MAGIC: &[u8; 5] = b"SLDX1";
const NO_TIME: i64 = i64::MIN;
const CHECKSUM: usize = 32;

/// What is wrong with a file that is no segment, or none any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

/// Different values by number; zero is none.
struct Dictionary<T> {
    numbers: FxHashMap<T, u32>,
    values: Vec<T>,
    bytes: usize,
}

impl<T: Hash + Eq + Clone + AsRef<[u8]>> Dictionary<T> {
    fn new() -> Self {
        Self { numbers: FxHashMap::default(), values: Vec::new(), bytes: 0 }
    }

    fn number(&mut self, value: Option<T>) -> u32 {
        let Some(value) = value else { return 0 };
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        self.bytes += value.as_ref().len();
        self.values.push(value.clone());
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.numbers.insert(value, number);
        number
    }
}

/// A segment that grows.
pub struct Builder {
    texts: Dictionary<String>,
    sources: Dictionary<[u8; 16]>,
    players: Dictionary<Player>,
    times: [Vec<i64>; 3],
    amounts: Vec<i64>,
    numbers: [Vec<u32>; 8],
    earliest: Timestamp,
    latest: Timestamp,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            texts: Dictionary::new(),
            sources: Dictionary::new(),
            players: Dictionary::new(),
            times: Default::default(),
            amounts: Vec::new(),
            numbers: Default::default(),
            earliest: Timestamp(i64::MAX),
            latest: Timestamp(i64::MIN),
        }
    }
}

impl Builder {
    pub fn push(&mut self, record: Record) {
        let times = [Some(record.occurred_at), record.settled_at, record.closed_at];
        for (column, time) in self.times.iter_mut().zip(times) {
            column.push(time.map_or(NO_TIME, |time| time.0));
            self.earliest = time.map_or(self.earliest, |time| time.min(self.earliest));
            self.latest = time.map_or(self.latest, |time| time.max(self.latest));
        }
        self.amounts.push(record.amount.0);
        let flags = flags(&record);
        let numbers = [
            flags,
            self.sources.number(Some(record.source.0.into_bytes())),
            self.players.number(record.player),
            self.texts.number(Some(record.currency)),
            self.texts.number(record.product),
            self.texts.number(record.channel),
            self.texts.number(record.region),
            self.texts.number(record.attributes),
        ];
        for (column, number) in self.numbers.iter_mut().zip(numbers) {
            column.push(number);
        }
    }

    pub fn rows(&self) -> usize {
        self.amounts.len()
    }

    /// Whether it is to be finished and another one begun.
    pub fn is_full(&self) -> bool {
        self.rows() >= MOST_ROWS || self.texts.bytes >= MOST_TEXT
    }

    /// The earliest and the latest time in it.
    pub fn times(&self) -> (Timestamp, Timestamp) {
        (self.earliest, self.latest)
    }

    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.rows() * 40);
        bytes.extend(MAGIC);
        write_count(&mut bytes, self.rows());
        write_dictionary(&mut bytes, &self.texts.values);
        write_dictionary(&mut bytes, &self.sources.values);
        write_dictionary(&mut bytes, &self.players.values);
        for column in self.times.iter().chain([&self.amounts]) {
            write_column(&mut bytes, column, |value| value.to_le_bytes());
        }
        for column in &self.numbers {
            write_column(&mut bytes, column, |value| value.to_le_bytes());
        }
        let checksum = sha256(&bytes);
        bytes.extend(checksum);
        bytes
    }
}

const UNDOES: u32 = 1 << 8;
const TEST: u32 = 1 << 9;
const HAS_ROUND: u32 = 1 << 10;
const ROUND_CLOSED: u32 = 1 << 11;

/// Kind, base and yes-or-no, in one number.
fn flags(record: &Record) -> u32 {
    let place = |found: Option<usize>| found.and_then(|place| u32::try_from(place).ok()).unwrap_or_default();
    let kind = place(Kind::ALL.iter().position(|kind| *kind == record.kind));
    let affects = record.affects.map_or(0, |affects| 1 + place(Affects::ALL.iter().position(|base| *base == affects)));
    let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
    kind | affects << 4
        | flag(record.undoes, UNDOES)
        | flag(record.test, TEST)
        | flag(record.has_round, HAS_ROUND)
        | flag(record.round_closed, ROUND_CLOSED)
}

fn write_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_dictionary<T: AsRef<[u8]>>(bytes: &mut Vec<u8>, values: &[T]) {
    write_count(bytes, values.len());
    for value in values {
        write_count(bytes, value.as_ref().len());
        bytes.extend(value.as_ref());
    }
}

fn write_column<T: Copy + PartialEq, const N: usize>(bytes: &mut Vec<u8>, column: &[T], to: impl Fn(T) -> [u8; N]) {
    match column.first() {
        Some(first) if column.iter().all(|value| value == first) => {
            bytes.push(1);
            bytes.extend(to(*first));
        }
        _ => {
            bytes.push(0);
            bytes.extend(column.iter().flat_map(|value| to(*value)));
        }
    }
}

enum Column<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T: Copy> Column<T> {
    fn at(&self, row: usize) -> T {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[row],
        }
    }
}

/// A segment as it was read.
pub struct Segment {
    rows: usize,
    texts: Vec<String>,
    /// The attributes that a text stands for, where it stands for some.
    attributes: Vec<BTreeMap<String, String>>,
    none: BTreeMap<String, String>,
    sources: Vec<SourceId>,
    players: Vec<Player>,
    times: [Column<i64>; 3],
    amounts: Column<i64>,
    numbers: [Column<u32>; 8],
}

/// A row of a segment.
pub struct Row<'s> {
    pub seen: Seen<'s>,
    pub closed_at: Option<Timestamp>,
    pub undoes: bool,
    /// The product's number in this segment; zero is none.
    pub product: usize,
}

impl Segment {
    /// Reads a segment that [`Builder::finish`] wrote.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let body = bytes.len().checked_sub(CHECKSUM).map(|end| bytes.split_at(end));
        let (body, checksum) = body.ok_or(Damaged("it is cut off"))?;
        if sha256(body) != checksum {
            return Err(Damaged("its checksum is another"));
        }
        let mut reader = Reader(body);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(Damaged("it is no segment"));
        }
        let rows = reader.count()?;
        let texts = reader.dictionary(|bytes| String::from_utf8(bytes.to_vec()).ok())?;
        let sources = reader.dictionary(|bytes| Some(SourceId(Uuid::from_slice(bytes).ok()?)))?;
        let players = reader.dictionary(|bytes| Player::try_from(bytes).ok())?;
        let mut time = || reader.column(rows, i64::from_le_bytes);
        let (times, amounts) = ([time()?, time()?, time()?], time()?);
        let mut number = || reader.column(rows, u32::from_le_bytes);
        let numbers = [number()?, number()?, number()?, number()?, number()?, number()?, number()?, number()?];
        let bounds = [None, Some(sources.len()), Some(players.len()), Some(texts.len())];
        let bounds = bounds.into_iter().chain(std::iter::repeat(Some(texts.len())));
        if numbers.iter().zip(bounds).any(|(column, bound)| bound.is_some_and(|bound| column.beyond(bound))) {
            return Err(Damaged("a row names what is in no dictionary"));
        }
        let mut attributes = vec![BTreeMap::new(); texts.len()];
        let mut read = |number: u32| -> Result<(), Damaged> {
            let Some(place) = place(number).filter(|place| attributes[*place].is_empty()) else { return Ok(()) };
            attributes[place] = serde_json::from_str(&texts[place]).map_err(|_| Damaged("attributes"))?;
            Ok(())
        };
        match &numbers[7] {
            Column::Same(number) => read(*number)?,
            Column::Each(all) => all.iter().try_for_each(|number| read(*number))?,
        }
        Ok(Self { rows, texts, attributes, none: BTreeMap::new(), sources, players, times, amounts, numbers })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The products that its rows have, by their numbers less one; other texts are among them.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether a row has any time in these.
    pub fn is_within(&self, row: usize, times: &Range<Timestamp>) -> bool {
        self.times.iter().any(|column| {
            let time = column.at(row);
            times.start.0 <= time && time < times.end.0
        })
    }

    pub fn row(&self, row: usize) -> Row<'_> {
        let number = |column: usize| self.numbers[column].at(row);
        let text = |column: usize| place(number(column)).map(|place| self.texts[place].as_str());
        let time = |column: usize| Some(self.times[column].at(row)).filter(|time| *time != NO_TIME).map(Timestamp);
        let flags = number(0);
        let has = |flag: u32| flags & flag != 0;
        let kind = usize::try_from(flags & 15).ok().and_then(|place| Kind::ALL.get(place)).copied();
        let affects = place(flags >> 4 & 3).and_then(|place| Affects::ALL.get(place)).copied();
        let attributes = place(number(7)).map_or(&self.none, |place| &self.attributes[place]);
        let seen = Seen {
            source: place(number(1)).map_or(SourceId::NONE, |place| self.sources[place]),
            // What the builder wrote is one of them.
            kind: kind.unwrap_or(Kind::Rollback),
            affects,
            amount: Units(self.amounts.at(row)),
            currency: text(3).unwrap_or_default(),
            occurred_at: Timestamp(self.times[0].at(row)),
            settled_at: time(1),
            product: text(4),
            player: place(number(2)).map(|place| &self.players[place]),
            has_round: has(HAS_ROUND),
            round_closed: has(ROUND_CLOSED),
            channel: text(5),
            region: text(6),
            test: has(TEST),
            attributes,
        };
        let product = usize::try_from(number(4)).unwrap_or_default();
        Row { seen, closed_at: time(2), undoes: has(UNDOES), product }
    }

    /// A row as it was written, to be written again.
    pub fn record(&self, row: usize) -> Record {
        let Row { seen, closed_at, undoes, .. } = self.row(row);
        Record {
            source: seen.source,
            kind: seen.kind,
            affects: seen.affects,
            amount: seen.amount,
            currency: seen.currency.to_owned(),
            occurred_at: seen.occurred_at,
            settled_at: seen.settled_at,
            closed_at,
            product: seen.product.map(str::to_owned),
            player: seen.player.copied(),
            has_round: seen.has_round,
            round_closed: seen.round_closed,
            channel: seen.channel.map(str::to_owned),
            region: seen.region.map(str::to_owned),
            test: seen.test,
            attributes: place(self.numbers[7].at(row)).map(|place| self.texts[place].clone()),
            undoes,
        }
    }
}

/// Where the value of a number is; zero has none.
fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

impl Column<u32> {
    /// Whether a number is higher than there are values.
    fn beyond(&self, values: usize) -> bool {
        let high = |number: &u32| usize::try_from(*number).is_ok_and(|number| number > values);
        match self {
            Self::Same(number) => high(number),
            Self::Each(numbers) => numbers.iter().any(high),
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<usize, Damaged> {
        let bytes = self.take(4)?.try_into().map_err(|_| Damaged("it is cut off"))?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| Damaged("a count"))
    }

    fn dictionary<T>(&mut self, read: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Damaged> {
        let count = self.count()?;
        let mut values = Vec::with_capacity(count.min(MOST_ROWS * 4));
        for _ in 0..count {
            let length = self.count()?;
            values.push(read(self.take(length)?).ok_or(Damaged("a dictionary"))?);
        }
        Ok(values)
    }

    fn column<T, const N: usize>(&mut self, rows: usize, read: impl Fn([u8; N]) -> T) -> Result<Column<T>, Damaged> {
        let one = |bytes: &[u8]| bytes.try_into().map(&read).map_err(|_| Damaged("it is cut off"));
        if self.take(1)? == [1] {
            return Ok(Column::Same(one(self.take(N)?)?));
        }
        let bytes = self.take(rows.checked_mul(N).ok_or(Damaged("a count"))?)?;
        let (values, _) = bytes.as_chunks::<N>();
        Ok(Column::Each(values.iter().map(|bytes| read(*bytes)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let text = || prop::option::of("[a-c]{0,2}");
        let time = || prop::option::of(0_i64..100);
        let attributes = prop::option::of(prop::sample::select(vec![r#"{"shop":"7"}"#, r#"{"a":"","b":"x"}"#]));
        let first = (0_u128..3, 0..Kind::ALL.len(), prop::option::of(0..3_usize), any::<i64>(), "[A-Z]{3}", 0_i64..100);
        let second =
            (time(), time(), text(), prop::option::of(0_u8..3), any::<[bool; 4]>(), text(), text(), attributes);
        let record = (first, second).prop_map(|(first, second)| {
            let (source, kind, affects, amount, currency, occurred_at) = first;
            let (settled_at, closed_at, product, player, [a, b, c, d], channel, region, attributes) = second;
            Record {
                source: SourceId(Uuid::from_u128(source)),
                kind: Kind::ALL[kind],
                affects: affects.map(|place| Affects::ALL[place]),
                amount: Units(amount),
                currency,
                occurred_at: Timestamp(occurred_at),
                settled_at: settled_at.map(Timestamp),
                closed_at: closed_at.map(Timestamp),
                product,
                player: player.map(|player| [player; 16]),
                has_round: a,
                round_closed: b,
                channel,
                region,
                test: c,
                attributes: attributes.map(str::to_owned),
                undoes: d,
            }
        });
        prop::collection::vec(record, 0..40)
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut builder = Builder::default();
        records.iter().cloned().for_each(|record| builder.push(record));
        builder.finish()
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(records in records()) {
            let segment = Segment::read(&written(&records)).expect("a segment");
            prop_assert_eq!(segment.rows(), records.len());
            for (row, record) in records.iter().enumerate() {
                prop_assert_eq!(&segment.record(row), record);
                let shown: Option<BTreeMap<String, String>> =
                    record.attributes.as_deref().map(|json| serde_json::from_str(json).expect("JSON"));
                prop_assert_eq!(segment.row(row).seen.attributes, &shown.unwrap_or_default());
            }
        }

        #[test]
        fn a_damaged_file_is_known(records in records(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = written(&records);
            let at = at.index(bytes.len());
            prop_assert!(Segment::read(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(Segment::read(&bytes).is_err());
        }
    }

    #[test]
    fn a_column_that_says_the_same_is_small() {
        let record = Record {
            source: SourceId::NONE,
            kind: Kind::Stake,
            affects: None,
            amount: Units(1),
            currency: "BIT".into(),
            occurred_at: Timestamp(5),
            settled_at: None,
            closed_at: None,
            product: Some("crash".into()),
            player: None,
            has_round: false,
            round_closed: false,
            channel: None,
            region: None,
            test: false,
            attributes: None,
            undoes: false,
        };
        assert!(written(&vec![record.clone(); 10_000]).len() < 500);
        let segment = Segment::read(&written(&[record])).expect("a segment");
        let within = |from, before| segment.is_within(0, &(Timestamp(from)..Timestamp(before)));
        assert_eq!((within(0, 5), within(5, 6), within(6, 9)), (false, true, false));
    }
}
