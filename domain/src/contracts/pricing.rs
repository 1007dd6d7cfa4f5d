//! What a transaction adds where. Pure: the same book and transaction give the same verdicts, in the order of the
//! contracts' ids, whatever was priced before.
//!
//! A contract counts a transaction once: under the newest version whose own attribution (when it occurred, settled,
//! or its round closed) places it at or after that version's beginning. The outcome depends on the few values that
//! the version's scope and conditions read, so it is remembered by exactly those: thousands of combinations, not
//! millions of rows.

use std::sync::Arc;

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use zen_expression::vm::VM;
use zen_expression::{Scope as Locals, Variable};

use super::attribution::{Attributed, attributed, could_cover};
use super::book::{Book, Contract, Name, PlayerState, Version};
use super::cell::{KINDS, Reads, Value};
use super::condition::{ATTRIBUTES, Needs, Var};
use super::contract::{Scope, Weekday};
use super::feed::{AccrualKind, Feed, UnpricedReason, Verdict};
use super::numbers::lenient;
use super::period::Period;
use crate::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Timestamp};
use crate::transactions::Seen;
use crate::transactions::transaction::{Fact, Kind};

mod considered;

pub use considered::{Considered, RowTried, Says};

/// Remembered outcomes per version, and periods and hours; beyond that memory is dropped and begins anew.
const MAX_REMEMBERED: usize = 1 << 16;

/// Prices on one thread; its memory makes a row cost about as much as looking it up.
pub struct Pricer<'a> {
    book: &'a Book,
    /// By version.
    memory: Vec<Memory>,
    /// A zone's offset from UTC in seconds throughout an hour; `None` where it changes within.
    offsets: FxHashMap<(Tz, i64), Option<i64>>,
    key: Vec<u8>,
    vm: VM,
}

#[derive(Default)]
struct Memory {
    outcomes: FxHashMap<Box<[u8]>, Outcome>,
    /// Those met so far, in order; of each currency of the version.
    periods: Vec<Vec<Period>>,
}

#[derive(Clone)]
enum Outcome {
    NotCovered,
    /// Of each row that takes it, at least one.
    Classes(Arc<[Arc<str>]>),
    Failed(Arc<str>),
}

impl<'a> Pricer<'a> {
    pub fn new(book: &'a Book) -> Self {
        let versions = book.contracts.iter().map(|contract| contract.versions.len()).sum();
        let memory = std::iter::repeat_with(Memory::default).take(versions).collect();
        Self { book, memory, offsets: FxHashMap::default(), key: Vec::new(), vm: VM::new() }
    }

    /// Adds the verdicts on a transaction to `out`; none from contracts that do not cover it, and a feed for each rate
    /// class of one whose table collects. `round_closed_at` is
    /// when its round closed, as far as other transactions tell. Rollbacks give none: the caller prices the named
    /// transaction and negates its feeds. Test transactions ([`Book::is_test`]) are the caller's to leave out.
    pub fn price(&mut self, fact: &Fact, round_closed_at: Option<Timestamp>, out: &mut Vec<Verdict>) {
        self.price_seen(&fact.seen(), round_closed_at, out);
    }

    /// The same for what is no fact of its own, like a row of an extract.
    pub fn price_seen(&mut self, fact: &Seen<'_>, round_closed_at: Option<Timestamp>, out: &mut Vec<Verdict>) {
        if fact.kind == Kind::Rollback {
            return;
        }
        let own_close = || fact.round_closed.then(|| fact.settled_at.unwrap_or(fact.occurred_at));
        let closed_at = round_closed_at.or_else(own_close);
        let book = self.book;
        for position in book.candidates(fact.source) {
            let contract = &book.contracts[*position];
            self.price_under(contract, fact, closed_at, out);
        }
    }

    fn price_under(
        &mut self,
        contract: &Contract,
        fact: &Seen<'_>,
        closed_at: Option<Timestamp>,
        out: &mut Vec<Verdict>,
    ) {
        // Whether a newer version may still come to govern the transaction, and whether any that may covers it.
        let (mut open, mut covered) = (false, false);
        for version in contract.versions.iter().rev() {
            let valid_from = version.active.valid_from;
            match attributed(version, fact, closed_at) {
                Attributed::Later => {
                    open = true;
                    // A round closes after what happens in it.
                    covered |= fact.occurred_at < version.ends && could_cover(version, fact);
                    if fact.occurred_at >= valid_from {
                        break;
                    }
                }
                Attributed::At(at) if at >= valid_from && open => {
                    covered |= at < version.ends && could_cover(version, fact);
                    break;
                }
                // Its last day is over, and none before it comes back.
                Attributed::At(at) if at >= valid_from && at >= version.ends => return,
                Attributed::At(at) if at >= valid_from => return self.verdict(contract, version, fact, at, out),
                Attributed::Never(reason, message) if fact.occurred_at >= valid_from => {
                    let counts = fact.occurred_at < version.ends;
                    if open {
                        covered |= counts && could_cover(version, fact);
                        break;
                    }
                    if !counts {
                        return;
                    }
                    let outcome = self.outcome(version, fact, fact.occurred_at);
                    let failed = Verdict::Failed { contract: contract.id, reason, message: message.to_owned() };
                    return out.extend((!matches!(outcome, Outcome::NotCovered)).then_some(failed));
                }
                Attributed::At(_) | Attributed::Never(..) => {}
            }
        }
        out.extend((open && covered).then_some(Verdict::AwaitsRound { contract: contract.id }));
    }

    fn verdict(
        &mut self,
        contract: &Contract,
        version: &Version,
        fact: &Seen<'_>,
        at: Timestamp,
        out: &mut Vec<Verdict>,
    ) {
        let failed =
            |reason, message: &str| Verdict::Failed { contract: contract.id, reason, message: message.to_owned() };
        let classes = match self.outcome(version, fact, at) {
            Outcome::NotCovered => return,
            Outcome::Failed(message) => return out.push(failed(UnpricedReason::ConditionFailed, &message)),
            Outcome::Classes(classes) => classes,
        };
        let Some(kind) = AccrualKind::of(fact.kind, fact.affects) else {
            return out.push(failed(UnpricedReason::NoBase, "the adjustment does not say which base it moves"));
        };
        let Some(currency) = version.currency(fact.currency) else { return };
        let period = self.period(version, currency, at);
        let player = if version.active.terms.counts_players() { fact.player.copied() } else { None };
        for (place, class) in classes.iter().enumerate() {
            out.push(Verdict::Feeds(Feed {
                contract: contract.id,
                partner: contract.partner,
                version: version.active.version,
                period,
                class: Arc::clone(class),
                kind,
                amount: fact.amount,
                units: kind.units(),
                player,
                again: place > 0,
            }));
        }
    }

    fn period(&mut self, version: &Version, currency: usize, at: Timestamp) -> Period {
        let memory = &mut self.memory[version.index].periods;
        if memory.len() <= currency {
            memory.resize_with(currency + 1, Vec::new);
        }
        let periods = &mut memory[currency];
        let after = periods.partition_point(|period| period.start <= at);
        if let Some(period) = after.checked_sub(1).map(|last| periods[last]).filter(|period| period.contains(at)) {
            return period;
        }
        let period = version.cycle(currency).period(at);
        if periods.len() >= MAX_REMEMBERED {
            periods.clear();
        }
        periods.insert(after.min(periods.len()), period);
        period
    }

    fn outcome(&mut self, version: &Version, fact: &Seen<'_>, at: Timestamp) -> Outcome {
        let terms = &version.active.terms;
        let sources = &terms.scope.sources;
        if version.currency(fact.currency).is_none() || !(sources.is_empty() || sources.contains(&fact.source)) {
            return Outcome::NotCovered;
        }
        let values = self.values(version, fact, at);
        values.write_key(&version.needs, &mut self.key);
        let outcomes = &mut self.memory[version.index].outcomes;
        if let Some(outcome) = outcomes.get(self.key.as_slice()) {
            return outcome.clone();
        }
        let outcome = decide(self.book, version, &values, &mut self.vm);
        if outcomes.len() >= MAX_REMEMBERED {
            outcomes.clear();
        }
        outcomes.insert(self.key.as_slice().into(), outcome.clone());
        outcome
    }

    fn values<'f>(&mut self, version: &'f Version, fact: &Seen<'f>, at: Timestamp) -> Values<'f> {
        let (needs, zone) = (&version.needs, version.active.terms.cycle.time_zone);
        let product = fact.product;
        let by_player = needs.has(Var::Segment) || needs.has(Var::Tags);
        let by_clock = needs.has(Var::LocalHour) || needs.has(Var::LocalWeekday);
        let (hour, weekday) = if by_clock { self.local(zone, at) } else { (0, 0) };
        let category = if needs.has(Var::Category) { self.book.category(product, at) } else { Name::default() };
        let player = if by_player { self.book.player_state(fact.player, at) } else { PlayerState::default() };
        let promotion = needs.has(Var::Promotion).then(|| version.promotions.at(at, product)).flatten();
        Values { fact: *fact, category, player, hour, weekday, promotion }
    }

    /// The hour and weekday (0 is Monday) that a zone's clocks show.
    fn local(&mut self, zone: Tz, at: Timestamp) -> (u8, u8) {
        let hour = at.0.div_euclid(MICROS_PER_HOUR);
        if self.offsets.len() >= MAX_REMEMBERED {
            self.offsets.clear();
        }
        let known = *self.offsets.entry((zone, hour)).or_insert_with(|| {
            let first = offset(zone, Timestamp(hour * MICROS_PER_HOUR));
            (first == offset(zone, Timestamp((hour + 1) * MICROS_PER_HOUR - 1))).then_some(first)
        });
        let local = at.0.div_euclid(MICROS_PER_SECOND) + known.unwrap_or_else(|| offset(zone, at));
        let hour = u8::try_from(local.rem_euclid(86_400) / 3_600).unwrap_or_default();
        // 1 January 1970 was a Thursday.
        let weekday = u8::try_from((local.div_euclid(86_400) + 3).rem_euclid(7)).unwrap_or_default();
        (hour, weekday)
    }
}

fn offset(zone: Tz, at: Timestamp) -> i64 {
    zone.offset_from_utc_datetime(&at.utc().naive_utc()).fix().local_minus_utc().into()
}

/// An empty list names everything; any other only what is in it.
pub(super) fn names(list: &[String], value: Option<&str>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.iter().any(|name| name == value))
}

/// The values of one transaction under one version; those that the version does not need are not filled in.
struct Values<'f> {
    fact: Seen<'f>,
    category: Name,
    player: PlayerState,
    hour: u8,
    weekday: u8,
    promotion: Option<&'f str>,
}

impl Values<'_> {
    /// Writes the needed values one after the other, each with a length or of a fixed one, so that different values
    /// never give the same key.
    fn write_key(&self, needs: &Needs, key: &mut Vec<u8>) {
        key.clear();
        for var in Var::ALL {
            if !needs.has(var) {
                continue;
            }
            match var {
                Var::Kind => key.push(self.fact.kind as u8),
                Var::Product => write_text(key, self.fact.product),
                Var::Channel => write_text(key, self.fact.channel),
                Var::Region => write_text(key, self.fact.region),
                Var::Category => key.extend(self.category.0.to_le_bytes()),
                Var::Segment => key.extend(self.player.segment.0.to_le_bytes()),
                Var::Tags => key.extend(self.player.tags.0.to_le_bytes()),
                Var::LocalHour => key.push(self.hour),
                Var::LocalWeekday => key.push(self.weekday),
                Var::Promotion => write_text(key, self.promotion),
            }
        }
        for name in &needs.attributes {
            write_text(key, self.fact.attributes.get(&**name).map(String::as_str));
        }
    }

    fn covered(&self, book: &Book, scope: &Scope) -> bool {
        let tags = book.tags(self.player.tags);
        names(&scope.products, self.fact.product)
            && names(&scope.regions, self.fact.region)
            && names(&scope.channels, self.fact.channel)
            && names(&scope.categories, book.text(self.category))
            && names(&scope.segments, book.text(self.player.segment))
            && (scope.tags.is_empty() || scope.tags.iter().any(|tag| tags.contains(tag)))
    }

    /// What a column of the rate table compares its cells with.
    fn value<'v>(&'v self, book: &'v Book, reads: &Reads) -> Result<Value<'v>, String> {
        let attribute = |name: &str| self.fact.attributes.get(name).map(String::as_str);
        let var = match reads {
            Reads::Var(var) => var,
            Reads::Attribute(name) => return Ok(Value::Text(attribute(name))),
            Reads::NumberOf(name) => {
                let Some(text) = attribute(name) else { return Ok(Value::Number(None)) };
                let number = lenient(text).ok_or_else(|| format!("{} of '{text}' is not a number", reads.name()))?;
                return Ok(Value::Number(Some(number)));
            }
        };
        Ok(match var {
            Var::Kind => {
                let bit = KINDS.iter().position(|kind| *kind == self.fact.kind);
                // A rollback, which is not priced, has none.
                Value::Bit(bit.and_then(|bit| u8::try_from(bit).ok()).unwrap_or(31))
            }
            Var::Product => Value::Text(self.fact.product),
            Var::Category => Value::Text(book.text(self.category)),
            Var::Channel => Value::Text(self.fact.channel),
            Var::Region => Value::Text(self.fact.region),
            Var::Segment => Value::Text(book.text(self.player.segment)),
            Var::Tags => Value::Tags(book.tags(self.player.tags)),
            Var::LocalHour => Value::Bit(self.hour),
            Var::LocalWeekday => Value::Bit(self.weekday),
            Var::Promotion => Value::Text(self.promotion),
        })
    }

    fn locals(&self, book: &Book, needs: &Needs) -> Locals {
        let mut locals = Locals::default();
        for var in Var::ALL.into_iter().filter(|var| needs.has(*var)) {
            let value = match var {
                Var::Kind => text(Some(self.fact.kind.as_str())),
                Var::Product => text(self.fact.product),
                Var::Category => text(book.text(self.category)),
                Var::Channel => text(self.fact.channel),
                Var::Region => text(self.fact.region),
                Var::Segment => text(book.text(self.player.segment)),
                Var::Tags => {
                    Variable::from_array(book.tags(self.player.tags).iter().map(|tag| text(Some(tag))).collect())
                }
                Var::LocalHour => Variable::Number(Decimal::from(self.hour)),
                Var::LocalWeekday => text(Weekday::ALL.get(usize::from(self.weekday)).map(|day| day.as_str())),
                Var::Promotion => text(self.promotion),
            };
            locals.set_local(var.name().into(), value);
        }
        let attributes = Variable::empty_object();
        if let Variable::Object(object) = &attributes {
            for name in &needs.attributes {
                let value = text(self.fact.attributes.get(&**name).map(String::as_str));
                object.borrow_mut().insert(Variable::key(name), value);
            }
        }
        locals.set_local(ATTRIBUTES.into(), attributes);
        locals
    }
}

fn write_text(key: &mut Vec<u8>, text: Option<&str>) {
    // No text is as long as this, so that none and the empty one differ.
    let length = text.map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap_or(u32::MAX - 1));
    key.extend(length.to_le_bytes());
    key.extend(text.unwrap_or_default().as_bytes());
}

fn text(value: Option<&str>) -> Variable {
    value.map_or(Variable::Null, |value| Variable::String(value.into()))
}

fn decide(book: &Book, version: &Version, values: &Values<'_>, vm: &mut VM) -> Outcome {
    if !values.covered(book, &version.active.terms.scope) {
        return Outcome::NotCovered;
    }
    let columns: Result<Vec<_>, _> = version.table.columns.iter().map(|reads| values.value(book, reads)).collect();
    let taken = columns.and_then(|columns| version.table.take(&columns, || values.locals(book, &version.needs), vm));
    match taken {
        Ok(classes) if classes.is_empty() => Outcome::Failed("no row of the rate table takes it".into()),
        Ok(classes) => Outcome::Classes(classes.into()),
        Err(error) => Outcome::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests;
