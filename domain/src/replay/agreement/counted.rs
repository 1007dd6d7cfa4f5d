//! What each fact of a stream is counted as, one by one and by the words of the documents: under which version, in which
//! period and rate classes. Conditions are read from their texts each time they are asked.

use chrono::{Days, Timelike, Weekday};

use super::calendar;
use super::exact::Exact;
use crate::contracts::contract::{ActiveVersion, Attribution, Match, Scope, Terms};
use crate::contracts::{Period, PlayerVersion, ProductVersion};
use crate::time::Timestamp;
use crate::transactions::transaction::{Fact, Kind};

/// All that decides what a contract owes.
pub struct World<'w> {
    /// Those that stand, in the order in which they begin.
    pub versions: Vec<&'w ActiveVersion>,
    pub products: &'w [ProductVersion],
    pub players: &'w [PlayerVersion],
}

/// A fact in one of its rate classes.
#[derive(Clone, Debug)]
pub struct Counted<'f> {
    /// Its version's place in the world, and its row's in that version's table.
    pub version: usize,
    pub row: usize,
    pub period: Period,
    pub fact: &'f Fact,
    /// A rollback undid it: it counts as two transactions that come to nothing.
    pub undone: bool,
    /// In the first of its classes, where it is counted as a transaction.
    pub first: bool,
}

impl<'w> World<'w> {
    pub fn new(versions: &'w [ActiveVersion], products: &'w [ProductVersion], players: &'w [PlayerVersion]) -> Self {
        let mut versions: Vec<&ActiveVersion> = versions.iter().filter(|row| row.replaced_at.is_none()).collect();
        versions.sort_by_key(|version| version.valid_from);
        for version in &versions {
            let terms = &version.terms;
            assert_eq!(version.valid_from, calendar::begins(&terms.cycle, terms.valid_from), "where a version begins");
        }
        Self { versions, products, players }
    }

    pub fn counted<'f>(&self, facts: &'f [Fact]) -> Vec<Counted<'f>> {
        let mut counted = Vec::new();
        for fact in facts.iter().filter(|fact| fact.kind != Kind::Rollback && !self.is_test(fact)) {
            let undone = facts.iter().any(|other| {
                other.kind == Kind::Rollback
                    && other.source == fact.source
                    && other.reverses.as_deref() == Some(&fact.external_id)
            });
            let Some((version, at)) = self.version_of(fact, facts) else { continue };
            let terms = &self.versions[version].terms;
            let asked = Asked { world: self, fact, terms, at };
            if !asked.is_covered() {
                continue;
            }
            let period = calendar::period_of(&terms.cycle, at);
            for (place, row) in asked.rows().into_iter().enumerate() {
                counted.push(Counted { version, row, period, fact, undone, first: place == 0 });
            }
        }
        counted
    }

    /// Recorded and never settled.
    fn is_test(&self, fact: &Fact) -> bool {
        fact.test || self.player_at(fact, fact.occurred_at).is_some_and(|player| player.test)
    }

    fn player_at(&self, fact: &Fact, at: Timestamp) -> Option<&PlayerVersion> {
        let own = self.players.iter().filter(|row| Some(row.player) == fact.player && row.valid_from <= at);
        own.max_by_key(|row| row.valid_from)
    }

    fn category_at(&self, fact: &Fact, at: Timestamp) -> Option<&str> {
        let own = self.products.iter().filter(|row| Some(&row.code) == fact.product.as_ref() && row.valid_from <= at);
        own.max_by_key(|row| row.valid_from)?.category.as_deref()
    }

    /// The version that counts a fact, and by which time: the newest that begins by the time that it goes by itself.
    /// None while it may still turn out to be one that goes by the closing of rounds, and none where it lacks the time
    /// that its version goes by.
    fn version_of(&self, fact: &Fact, facts: &[Fact]) -> Option<(usize, Timestamp)> {
        let closed = |other: &&Fact| {
            other.round_closed
                && (other.source, &other.round, &other.player) == (fact.source, &fact.round, &fact.player)
        };
        for (place, version) in self.versions.iter().enumerate().rev() {
            let at = match version.terms.attribution {
                Attribution::Occurred => Some(fact.occurred_at),
                Attribution::Settled => fact.settled_at,
                Attribution::RoundClosed if fact.round.is_none() => None,
                Attribution::RoundClosed => {
                    let closing = facts.iter().find(closed)?;
                    Some(closing.settled_at.unwrap_or(closing.occurred_at))
                }
            };
            let last_day =
                version.terms.valid_until.map(|last| calendar::begins(&version.terms.cycle, last + Days::new(1)));
            let is_before = |end: Option<Timestamp>, at: Timestamp| end.is_none_or(|end| at < end);
            match at {
                Some(at) if at >= version.valid_from => return is_before(last_day, at).then_some((place, at)),
                None if fact.occurred_at >= version.valid_from => return None,
                _ => {}
            }
        }
        None
    }
}

/// A fact that is asked about under one version.
struct Asked<'a> {
    world: &'a World<'a>,
    fact: &'a Fact,
    terms: &'a Terms,
    at: Timestamp,
}

impl Asked<'_> {
    fn is_covered(&self) -> bool {
        let Scope { sources, products, categories, segments, tags, regions, channels } = &self.terms.scope;
        let one_of = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|name| name == value))
        };
        self.fact.currency == self.terms.currency
            && (sources.is_empty() || sources.contains(&self.fact.source))
            && one_of(products, self.fact.product.as_deref())
            && one_of(categories, self.category())
            && one_of(segments, self.segment())
            && (tags.is_empty() || self.tags().iter().any(|tag| tags.contains(tag)))
            && one_of(regions, self.fact.region.as_deref())
            && one_of(channels, self.fact.channel.as_deref())
    }

    /// The rows that take it; none where a condition gives no answer.
    fn rows(&self) -> Vec<usize> {
        let table = &self.terms.rate_table;
        let mut taken = Vec::new();
        let unreadable = |column: &crate::contracts::contract::Column| {
            let name = column.reads.strip_prefix("number(attributes.").and_then(|rest| rest.strip_suffix(')'));
            let text = name.and_then(|name| self.fact.attributes.get(name));
            text.is_some_and(|text| text.parse::<i64>().is_err())
        };
        if table.columns.iter().any(unreadable) {
            return taken;
        }
        for (place, row) in table.rows.iter().enumerate() {
            let cells = row.cells.iter().zip(&table.columns).all(|(cell, column)| self.is_in(cell, &column.reads));
            if cells && row.when.as_deref().is_none_or(|when| self.is_when(when)) {
                taken.push(place);
                if table.matching == Match::First {
                    break;
                }
            }
        }
        taken
    }

    fn category(&self) -> Option<&str> {
        self.world.category_at(self.fact, self.at)
    }

    fn segment(&self) -> Option<&str> {
        self.world.player_at(self.fact, self.at)?.segment.as_deref()
    }

    fn tags(&self) -> Vec<String> {
        self.world.player_at(self.fact, self.at).map(|player| player.tags.clone()).unwrap_or_default()
    }

    fn clock(&self) -> chrono::NaiveDateTime {
        self.at.utc().with_timezone(&self.terms.cycle.time_zone).naive_local()
    }

    fn hour(&self) -> u32 {
        self.clock().hour()
    }

    fn weekday(&self) -> Weekday {
        chrono::Datelike::weekday(&self.clock())
    }

    fn promotion(&self) -> Option<&str> {
        let zone = self.terms.cycle.time_zone;
        let instant = |text: &str| match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(at) => Timestamp(at.timestamp_micros()),
            Err(_) => {
                let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").expect("a local time");
                Timestamp::from_local(local, zone)
            }
        };
        let product = self.fact.product.as_deref();
        let is_on = |promotion: &&crate::contracts::contract::Promotion| {
            let takes =
                promotion.products.is_empty() || promotion.products.iter().any(|code| Some(code.as_str()) == product);
            takes && instant(&promotion.from) <= self.at && self.at < instant(&promotion.until)
        };
        self.terms.promotions.iter().find(is_on).map(|promotion| promotion.code.as_str())
    }

    fn is_in(&self, cell: &str, reads: &str) -> bool {
        if cell.is_empty() || cell == "-" {
            return true;
        }
        let (not, list) = cell.strip_prefix("not ").map_or((false, cell), |list| (true, list));
        let any = list.split(", ").any(|item| self.is_one(item, reads));
        any != not
    }

    /// Whether one entry of a cell's list names what the fact has in a column.
    fn is_one(&self, item: &str, reads: &str) -> bool {
        let named = |value: Option<&str>| if item == "none" { value.is_none() } else { value == Some(item) };
        match reads {
            "product" => named(self.fact.product.as_deref()),
            "channel" => named(self.fact.channel.as_deref()),
            "region" => named(self.fact.region.as_deref()),
            "attributes.shop" => named(self.fact.attributes.get("shop").map(String::as_str)),
            "category" => named(self.category()),
            "segment" => named(self.segment()),
            "promotion" => named(self.promotion()),
            "tags" if item == "none" => self.tags().is_empty(),
            "tags" => self.tags().iter().any(|tag| tag == item),
            "kind" => self.fact.kind.as_str() == item,
            "localHour" => compared(item, self.hour().into(), true),
            "localWeekday" => {
                let day = |text: &str| text.parse::<Weekday>().expect("a weekday");
                let Some((first, last)) = item.split_once("..") else { return self.weekday() == day(item) };
                let mut at = day(first);
                while at != self.weekday() && at != day(last) {
                    at = at.succ();
                }
                at == self.weekday()
            }
            "number(attributes.level)" => match self.fact.attributes.get("level") {
                None => item == "none",
                Some(_) if item == "none" => false,
                Some(level) => compared(item, level.parse().expect("a number"), false),
            },
            _ => panic!("a column of {reads}"),
        }
    }

    /// The few conditions that the generated contracts have.
    fn is_when(&self, when: &str) -> bool {
        let is = |value: Option<&str>, text: &str| value == Some(text);
        match when {
            "product == 'p1'" => is(self.fact.product.as_deref(), "p1"),
            "localHour >= 6 and localHour < 18" => (6..18).contains(&self.hour()),
            "kind == 'WIN' or kind == 'BONUS_WIN'" => matches!(self.fact.kind, Kind::Win | Kind::BonusWin),
            "attributes.shop == '7'" => is(self.fact.attributes.get("shop").map(String::as_str), "7"),
            "segment == 'vip'" => is(self.segment(), "vip"),
            "category == 'slots' or channel == 'web'" => {
                is(self.category(), "slots") || is(self.fact.channel.as_deref(), "web")
            }
            "promotion == 'xmas'" => is(self.promotion(), "xmas"),
            "localWeekday == 'SATURDAY'" => self.weekday() == Weekday::Sat,
            "'new' in tags" => self.tags().iter().any(|tag| tag == "new"),
            _ => panic!("the condition {when}"),
        }
    }
}

/// `5`, `0..10` without its end, `< 5` and its like; a stretch of hours goes round midnight.
fn compared(item: &str, number: i64, round: bool) -> bool {
    let read = |text: &str| text.trim().parse::<i64>().expect("a number");
    if let Some((from, until)) = item.split_once("..") {
        let (from, until) = (read(from), read(until));
        return if round && until <= from {
            number >= from || number < until
        } else {
            from <= number && number < until
        };
    }
    match item.split_once(' ') {
        Some(("<", bound)) => number < read(bound),
        Some(("<=", bound)) => number <= read(bound),
        Some((">", bound)) => number > read(bound),
        Some((">=", bound)) => number >= read(bound),
        _ => number == read(item),
    }
}

/// A rate, or a price, as it is written.
pub fn rate(text: &impl ToString) -> Exact {
    Exact::read(&text.to_string())
}
