//! What the rows of an extract add up to under two books, by the same pricing as what comes in.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::segment::Segment;
use crate::contracts::{AccrualKind, Book, Period, Pricer, Verdict};
use crate::time::Timestamp;
use crate::transactions::transaction::Player;

/// What is added up by itself: a settlement's running total, and of it each product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub period: Period,
    pub version: i64,
    pub class: Arc<str>,
    /// By number; zero is none.
    pub product: u32,
    pub kind: AccrualKind,
}

/// What is added up by player, under versions that ask for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerKey {
    pub period: Period,
    pub version: i64,
    pub player: Player,
    pub kind: AccrualKind,
}

/// Wide while adding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub amount: i128,
    pub units: i64,
    pub transactions: i64,
}

/// What one book makes of all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub sums: FxHashMap<Key, Sum>,
    /// Grows with the players of the window, and only under versions with a ring-fence.
    pub players: FxHashMap<PlayerKey, i128>,
    /// Transactions of the window that it covers and cannot count.
    pub failed: u64,
    /// Transactions of the window that it counts when their rounds close.
    pub waiting: u64,
}

impl Totals {
    /// As running totals are kept: products together, in a fixed order.
    pub fn sorted(&self) -> Vec<(&Key, &Sum)> {
        let mut sums: Vec<(&Key, &Sum)> = self.sums.iter().collect();
        sums.sort_by(|a, b| a.0.cmp(b.0));
        sums
    }
}

/// Products by number.
#[derive(Debug, Default)]
pub struct Products {
    numbers: FxHashMap<String, u32>,
    codes: Vec<String>,
}

impl Products {
    fn number(&mut self, code: &str) -> u32 {
        if let Some(number) = self.numbers.get(code) {
            return *number;
        }
        self.codes.push(code.to_owned());
        let number = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
        self.numbers.insert(code.to_owned(), number);
        number
    }

    /// The code of a number; `None` for zero.
    pub fn code(&self, number: u32) -> Option<&str> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.codes.get(place).map(String::as_str)
    }
}

/// A replay under way: both books see every row of the window once.
pub struct Replay<'b> {
    window: Period,
    sides: [Side<'b>; 2],
    products: Products,
    verdicts: Vec<Verdict>,
}

struct Side<'b> {
    book: &'b Book,
    pricer: Pricer<'b>,
    totals: Totals,
}

/// The products of one segment by their numbers in it, as far as they were met.
pub type Met = Vec<u32>;

impl<'b> Replay<'b> {
    /// `settled` has the versions in force, `drafted` the draft in their place; both have the same products and players.
    pub fn new(window: Period, settled: &'b Book, drafted: &'b Book) -> Self {
        let side = |book| Side { book, pricer: Pricer::new(book), totals: Totals::default() };
        Self { window, sides: [side(settled), side(drafted)], products: Products::default(), verdicts: Vec::new() }
    }

    /// Prices some rows of a segment. `met` is empty for the first of them, and handed on to the next.
    pub fn take(&mut self, segment: &Segment, rows: Range<usize>, met: &mut Met) {
        met.resize(segment.texts().len() + 1, 0);
        let times = self.window.start..self.window.end;
        for number in rows {
            if !segment.is_within(number, &times) {
                continue;
            }
            let row = segment.row(number);
            if self.sides[0].book.is_test_seen(&row.seen) {
                continue;
            }
            let product = match met[row.product] {
                0 => {
                    let number = row.seen.product.map_or(0, |code| self.products.number(code));
                    met[row.product] = number;
                    number
                }
                number => number,
            };
            let own = self.window.contains(row.seen.occurred_at) && !row.undoes;
            for side in &mut self.sides {
                side.pricer.price_seen(&row.seen, row.closed_at, &mut self.verdicts);
                side.add(&mut self.verdicts, &times, product, row.undoes, own);
            }
        }
    }

    /// What came of it under the versions in force and under the draft.
    pub fn finish(self) -> (Totals, Totals, Products) {
        let [settled, drafted] = self.sides;
        (settled.totals, drafted.totals, self.products)
    }
}

impl Side<'_> {
    fn add(&mut self, verdicts: &mut Vec<Verdict>, times: &Range<Timestamp>, product: u32, undoes: bool, own: bool) {
        for verdict in verdicts.drain(..) {
            match verdict {
                Verdict::Feeds(feed) if times.contains(&feed.period.start) => {
                    let sign = if undoes { -1 } else { 1 };
                    if let Some(player) = feed.player {
                        let key = PlayerKey { period: feed.period, version: feed.version, player, kind: feed.kind };
                        *self.totals.players.entry(key).or_default() += i128::from(sign) * i128::from(feed.amount.0);
                    }
                    let (period, version, class, kind) = (feed.period, feed.version, feed.class, feed.kind);
                    let sum = self.totals.sums.entry(Key { period, version, class, product, kind }).or_default();
                    sum.amount += i128::from(sign) * i128::from(feed.amount.0);
                    sum.units += sign * feed.units;
                    // Of several classes that take it the first counts it, as it does live.
                    sum.transactions += i64::from(!feed.again);
                }
                Verdict::Feeds(_) => {}
                Verdict::AwaitsRound { .. } => self.totals.waiting += u64::from(own),
                Verdict::Failed { .. } => self.totals.failed += u64::from(own),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::super::fixtures::record;
    use super::super::segment::Builder;
    use super::*;
    use crate::contracts::fixtures::active;
    use crate::contracts::{PlayerVersion, ProductVersion};
    use crate::ids::SourceId;
    use crate::money::Units;
    use crate::transactions::transaction::{Affects, Fact, Kind};

    const HOUR: i64 = 3_600_000_000;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    /// Two versions with other attributions, classes by much of what there is, a test player.
    fn book() -> Book {
        let terms = |from: &str, attribution: &str| {
            json!({
                "validFrom": from, "attribution": attribution,
                "rateTable": { "rows": [
                    { "code": "shop", "when": "attributes.shop == '7' and localHour < 20", "percent": "1" },
                    { "code": "crash", "when": "product == 'crash' or category == 'slot'", "percent": "2" },
                    { "code": "rest", "percent": "3" },
                ] },
            })
        };
        let versions = vec![
            active(1, 1, terms("2021-01-01", "OCCURRED")),
            active(1, 2, terms("2021-02-01", "SETTLED")),
            active(1, 3, terms("2021-03-01", "ROUND_CLOSED")),
        ];
        let products = vec![ProductVersion {
            code: "book".into(),
            valid_from: at("2021-02-10T00:00:00Z"),
            category: Some("slot".into()),
        }];
        let test = PlayerVersion {
            player: [1; 16],
            valid_from: at("2021-02-20T00:00:00Z"),
            segment: None,
            tags: vec![],
            test: true,
        };
        Book::new(versions, products, vec![test]).expect("a book")
    }

    /// Facts from December to April, each with when its round closed and whether a rollback takes it out.
    fn facts() -> impl Strategy<Value = Vec<(Fact, Option<Timestamp>, bool)>> {
        let product = prop::sample::select(vec![None, Some("crash"), Some("book"), Some("dice")]);
        let shop = prop::sample::select(vec![None, Some("7"), Some("8")]);
        let when = (0_i64..120 * 24, prop::option::of(0_i64..300), prop::option::of(0_i64..300));
        let what = (0..Kind::ALL.len() - 1, 0_i64..1_000, 0..Affects::ALL.len());
        let how = (product, shop, prop::option::of(0_u8..3), any::<[bool; 4]>());
        let fact = (when, what, how).prop_map(|((hour, settled, closed), (kind, amount, affects), how)| {
            let (product, shop, player, [has_round, round_closed, test, undoes]) = how;
            let occurred_at = at("2020-12-15T00:00:00Z").plus(hour * HOUR);
            let later = |hours: i64| occurred_at.plus(hours * HOUR);
            let kind = Kind::ALL[kind];
            let fact = Fact {
                source: SourceId(Uuid::from_u128(1)),
                external_id: String::new(),
                kind,
                affects: (kind == Kind::Adjustment).then(|| Affects::ALL[affects]),
                amount: Units(amount),
                currency: "BIT".into(),
                occurred_at,
                settled_at: settled.map(later),
                reported_at: None,
                product: product.map(str::to_owned),
                player: player.map(|player| [player; 16]),
                round: has_round.then(|| "r".to_owned()),
                round_closed,
                channel: None,
                region: None,
                reverses: None,
                note: None,
                test,
                attributes: shop.map(|shop| ("shop".to_owned(), shop.to_owned())).into_iter().collect(),
            };
            (fact, closed.filter(|_| has_round).map(later), undoes)
        });
        prop::collection::vec(fact, 0..120)
    }

    type Sums = BTreeMap<(Timestamp, i64, String, AccrualKind, Option<String>), (i128, i64, i64)>;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// However the rows are cut into segments and pieces, what they add up to is what pricing says of each fact.
        #[test]
        fn a_replay_counts_what_live_counts(facts in facts(), cut in 1_usize..60, piece in 1_usize..40) {
            let book = book();
            let window = Period { start: at("2021-01-01T00:00:00Z"), end: at("2021-04-01T00:00:00Z") };
            let (mut pricer, mut verdicts, mut expected) = (Pricer::new(&book), Vec::new(), Sums::new());
            for (fact, closed_at, undoes) in facts.iter().filter(|(fact, ..)| !book.is_test(fact)) {
                pricer.price(fact, *closed_at, &mut verdicts);
                for verdict in verdicts.drain(..) {
                    let Verdict::Feeds(feed) = verdict else { continue };
                    if window.contains(feed.period.start) {
                        let sign = if *undoes { -1 } else { 1 };
                        let class = feed.class.to_string();
                        let key = (feed.period.start, feed.version, class, feed.kind, fact.product.clone());
                        let sum = expected.entry(key).or_default();
                        sum.0 += i128::from(sign * feed.amount.0);
                        sum.1 += sign * feed.units;
                        sum.2 += 1;
                    }
                }
            }
            let mut replay = Replay::new(window, &book, &book);
            for facts in facts.chunks(cut) {
                let mut builder = Builder::default();
                facts.iter().for_each(|(fact, closed_at, undoes)| builder.push(record(fact, *closed_at, *undoes)));
                let segment = Segment::read(&builder.finish()).expect("a segment");
                let mut met = Met::new();
                for first in (0..segment.rows()).step_by(piece) {
                    replay.take(&segment, first..segment.rows().min(first + piece), &mut met);
                }
            }
            let (settled, drafted, products) = replay.finish();
            prop_assert_eq!(&settled, &drafted);
            let sums = settled.sorted().into_iter().map(|(key, sum)| {
                let product = products.code(key.product).map(str::to_owned);
                let key = (key.period.start, key.version, key.class.to_string(), key.kind, product);
                (key, (sum.amount, sum.units, sum.transactions))
            });
            prop_assert_eq!(sums.collect::<Sums>(), expected);
        }
    }
}
