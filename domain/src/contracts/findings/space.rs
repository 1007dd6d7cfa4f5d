//! The values of columns as points: two values that no cell of a column tells apart are one point, so that a column
//! has finitely many and a cell is some stretches of them.

use rust_decimal::Decimal;

use crate::contracts::cell::{Cell, Names, Reads, Value};
use crate::contracts::condition::Var;
use crate::contracts::numbers::{Cut, Numbers};

/// Stretches of points, half-open, in order, never touching.
pub(super) type Set = Vec<(usize, usize)>;

/// More tags than these in one column have too many combinations to go through.
const MAX_TAGS: usize = 6;

pub(super) struct Space {
    pub axes: Vec<Axis>,
    /// By row and axis; `None` is every point.
    pub rows: Vec<Vec<Option<Set>>>,
    /// Rows with a cell that has no set of points.
    pub vague: Vec<bool>,
}

pub(super) struct Axis {
    name: String,
    points: Points,
    size: usize,
}

enum Points {
    Words(Vec<String>),
    /// Each name, nothing there, and any other name where there are others.
    Names(Vec<Box<str>>),
    /// The stretches between cuts, and nothing there.
    Numbers(Vec<Cut>),
    /// Combinations of tags, of which one stands for those that no cell names.
    Tags(Vec<Box<str>>),
    TooMany,
}

impl Space {
    /// `promotions` are the codes that there are.
    pub fn new<'p>(columns: &[Reads], cells: &[Vec<Cell>], promotions: impl Iterator<Item = &'p str>) -> Self {
        let mut codes: Vec<Box<str>> = promotions.map(Box::from).collect();
        codes.sort_unstable();
        codes.dedup();
        let axes: Vec<Axis> = columns
            .iter()
            .enumerate()
            .map(|(column, reads)| Axis::new(reads, cells.iter().map(|row| &row[column]), &codes))
            .collect();
        let mut vague = vec![false; cells.len()];
        let rows = cells.iter().enumerate().map(|(row, cells)| {
            let set = |(axis, cell): (&Axis, &Cell)| match axis.set(cell) {
                Ok(set) => set,
                Err(()) => {
                    vague[row] = true;
                    None
                }
            };
            axes.iter().zip(cells).map(set).collect()
        });
        let rows = rows.collect();
        Self { axes, rows, vague }
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.size).collect()
    }

    /// Words for some points, one of each axis named.
    pub fn describe(&self, points: &[(usize, usize)]) -> String {
        let mut points = points.to_vec();
        points.sort_unstable();
        let words: Vec<String> = points.iter().map(|(axis, point)| self.axes[*axis].describe(*point)).collect();
        words.join(", ")
    }
}

impl Axis {
    fn new<'c>(reads: &Reads, cells: impl Iterator<Item = &'c Cell>, promotions: &[Box<str>]) -> Self {
        let name = reads.name();
        if let Some(words) = reads.words() {
            return Self { name, size: words.len(), points: Points::Words(words) };
        }
        let (mut names, mut cuts) = (Vec::new(), Vec::new());
        for cell in cells {
            match cell {
                Cell::Names(own) => names.extend(own.list.iter().cloned()),
                Cell::Numbers(own) => {
                    cuts.extend(own.stretches.iter().flat_map(|(from, until)| [*from, *until]).flatten())
                }
                Cell::Any | Cell::Bits(_) => {}
            }
        }
        names.sort_unstable();
        names.dedup();
        cuts.sort_unstable();
        cuts.dedup();
        let (points, size) = match reads {
            Reads::NumberOf(_) => {
                let size = cuts.len() + 2;
                (Points::Numbers(cuts), size)
            }
            Reads::Var(Var::Tags) if names.len() > MAX_TAGS => (Points::TooMany, 1),
            Reads::Var(Var::Tags) => {
                let size = 1 << (names.len() + 1);
                (Points::Tags(names), size)
            }
            Reads::Var(Var::Promotion) => (Points::Names(promotions.to_vec()), promotions.len() + 1),
            _ => {
                let size = names.len() + 2;
                (Points::Names(names), size)
            }
        };
        Self { name, points, size }
    }

    /// The points at which a cell holds; `None` where at each, and an error where it has no set of points.
    fn set(&self, cell: &Cell) -> Result<Option<Set>, ()> {
        let set = match (&self.points, cell) {
            (_, Cell::Any) => return Ok(None),
            (Points::TooMany, _) => return Err(()),
            (Points::Words(words), Cell::Bits(bits)) => collect((0..words.len()).filter(|bit| bits >> bit & 1 == 1)),
            (Points::Names(names), Cell::Names(own)) => self.names(names, own),
            (Points::Numbers(cuts), Cell::Numbers(own)) => numbers(cuts, own),
            (Points::Tags(names), Cell::Names(_)) => {
                collect((0..self.size).filter(|point| cell.holds(Value::Tags(&tags(names, *point)))))
            }
            _ => return Err(()),
        };
        Ok((set != [(0, self.size)]).then_some(set))
    }

    fn names(&self, names: &[Box<str>], own: &Names) -> Set {
        let mut points: Vec<usize> = own.list.iter().filter_map(|name| names.binary_search(name).ok()).collect();
        points.extend(own.none.then_some(names.len()));
        let set = collect(points.into_iter());
        if own.not { complement(&set, self.size) } else { set }
    }

    fn describe(&self, point: usize) -> String {
        let name = &self.name;
        match &self.points {
            Points::Words(words) => format!("{name} {}", words.get(point).map_or("", String::as_str)),
            Points::Names(names) => match names.get(point) {
                Some(text) => format!("{name} '{text}'"),
                None if point == names.len() => format!("no {name}"),
                None => format!("any other {name}"),
            },
            Points::Numbers(cuts) => stretch(name, cuts, point),
            Points::Tags(names) if point == 0 && names.is_empty() => format!("no {name}"),
            Points::Tags(names) => {
                let own: Vec<String> = (0..names.len())
                    .filter(|bit| point >> bit & 1 == 1)
                    .map(|bit| format!("'{}'", names[bit]))
                    .chain((point >> names.len() & 1 == 1).then(|| "another one".to_owned()))
                    .collect();
                if own.is_empty() { format!("no {name}") } else { format!("{name} {}", own.join(" and ")) }
            }
            Points::TooMany => format!("any {name}"),
        }
    }
}

fn stretch(name: &str, cuts: &[Cut], point: usize) -> String {
    if point > cuts.len() {
        return format!("no {name}");
    }
    let from = point.checked_sub(1).and_then(|before| cuts.get(before));
    let words = |(number, after): &Cut, before: &str, from: &str| {
        let number: &Decimal = number;
        format!("{} {number}", if *after { from } else { before })
    };
    let from = from.map(|cut| words(cut, "from", "above"));
    let until = cuts.get(point).map(|cut| words(cut, "below", "up to"));
    match (from, until) {
        (None, None) => format!("any {name}"),
        (from, until) => {
            let parts: Vec<String> = from.into_iter().chain(until).collect();
            format!("{name} {}", parts.join(" and "))
        }
    }
}

/// The tags of a combination; a tag that no cell names stands for all those.
fn tags(names: &[Box<str>], point: usize) -> Vec<String> {
    let other = (point >> names.len() & 1 == 1).then(|| {
        // A name that none of them is.
        let longest = names.iter().map(|name| name.len()).max().unwrap_or_default();
        "x".repeat(longest + 1)
    });
    let own = (0..names.len()).filter(|bit| point >> bit & 1 == 1).map(|bit| names[bit].to_string());
    own.chain(other).collect()
}

fn numbers(cuts: &[Cut], own: &Numbers) -> Set {
    let place = |cut: &Cut| cuts.binary_search(cut).unwrap_or_else(|place| place) + 1;
    let mut set: Set = own
        .stretches
        .iter()
        .map(|(from, until)| (from.as_ref().map_or(0, place), until.as_ref().map_or(cuts.len() + 1, place)))
        .collect();
    if own.none {
        match set.last_mut().filter(|(_, end)| *end == cuts.len() + 1) {
            Some((_, end)) => *end += 1,
            None => set.push((cuts.len() + 1, cuts.len() + 2)),
        }
    }
    set
}

/// Points in order as stretches.
fn collect(points: impl Iterator<Item = usize>) -> Set {
    let mut set: Set = Vec::new();
    for point in points {
        match set.last_mut() {
            Some((_, end)) if *end == point => *end += 1,
            _ => set.push((point, point + 1)),
        }
    }
    set
}

fn complement(set: &[(usize, usize)], size: usize) -> Set {
    let (mut rest, mut from) = (Vec::new(), 0);
    for (first, end) in set {
        if from < *first {
            rest.push((from, *first));
        }
        from = *end;
    }
    if from < size {
        rest.push((from, size));
    }
    rest
}

/// Whether all points of `small` are in `large`.
pub(super) fn is_within(small: &Set, large: &Set) -> bool {
    small.iter().all(|(first, end)| {
        let place = large.partition_point(|(_, large_end)| large_end < end);
        large.get(place).is_some_and(|(large_first, large_end)| large_first <= first && end <= large_end)
    })
}

/// Whether two sets have a point in common.
pub(super) fn meet(a: &Set, b: &Set) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some((a_first, a_end)), Some((b_first, b_end))) = (a.peek(), b.peek()) {
        if a_first < b_end && b_first < a_end {
            return true;
        }
        if a_end <= b_end {
            a.next()
        } else {
            b.next()
        };
    }
    false
}
