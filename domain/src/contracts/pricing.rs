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

use super::book::{Book, Contract, Name, PlayerState, Version};
use super::condition::{ATTRIBUTES, Needs, Var};
use super::contract::{Attribution, Scope, Weekday};
use super::feed::{AccrualKind, Feed, UnpricedReason, Verdict};
use super::period::Period;
use crate::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Timestamp};
use crate::transactions::transaction::{Fact, Kind};

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
    /// Those met so far, in order.
    periods: Vec<Period>,
}

#[derive(Clone)]
enum Outcome {
    NotCovered,
    Class(Arc<str>),
    Failed(Arc<str>),
}

/// When a version counts a transaction.
enum Attributed {
    At(Timestamp),
    /// Not before its round closes.
    Later,
    /// Never: it lacks what the version counts by.
    Never(UnpricedReason, &'static str),
}

impl<'a> Pricer<'a> {
    pub fn new(book: &'a Book) -> Self {
        let versions = book.contracts.iter().map(|contract| contract.versions.len()).sum();
        let memory = std::iter::repeat_with(Memory::default).take(versions).collect();
        Self { book, memory, offsets: FxHashMap::default(), key: Vec::new(), vm: VM::new() }
    }

    /// Adds the verdicts on a transaction to `out`; none from contracts that do not cover it. `round_closed_at` is
    /// when its round closed, as far as other transactions tell. Rollbacks give none: the caller prices the named
    /// transaction and negates its feeds. Test transactions ([`Book::is_test`]) are the caller's to leave out.
    pub fn price(&mut self, fact: &Fact, round_closed_at: Option<Timestamp>, out: &mut Vec<Verdict>) {
        if fact.kind == Kind::Rollback {
            return;
        }
        let own_close = || fact.round_closed.then(|| fact.settled_at.unwrap_or(fact.occurred_at));
        let closed_at = round_closed_at.or_else(own_close);
        let book = self.book;
        for position in book.candidates(fact.source) {
            let contract = &book.contracts[*position];
            out.extend(self.price_under(contract, fact, closed_at));
        }
    }

    fn price_under(&mut self, contract: &Contract, fact: &Fact, closed_at: Option<Timestamp>) -> Option<Verdict> {
        // Whether a newer version may still come to govern the transaction, and whether any that may covers it.
        let (mut open, mut covered) = (false, false);
        for version in contract.versions.iter().rev() {
            let valid_from = version.active.valid_from;
            match attributed(version, fact, closed_at) {
                Attributed::Later => {
                    open = true;
                    covered |= could_cover(version, fact);
                    if fact.occurred_at >= valid_from {
                        break;
                    }
                }
                Attributed::At(at) if at >= valid_from && open => {
                    covered |= could_cover(version, fact);
                    break;
                }
                Attributed::At(at) if at >= valid_from => return self.verdict(contract, version, fact, at),
                Attributed::Never(reason, message) if fact.occurred_at >= valid_from => {
                    if open {
                        covered |= could_cover(version, fact);
                        break;
                    }
                    let outcome = self.outcome(version, fact, fact.occurred_at);
                    let failed = Verdict::Failed { contract: contract.id, reason, message: message.to_owned() };
                    return (!matches!(outcome, Outcome::NotCovered)).then_some(failed);
                }
                Attributed::At(_) | Attributed::Never(..) => {}
            }
        }
        (open && covered).then_some(Verdict::AwaitsRound { contract: contract.id })
    }

    fn verdict(&mut self, contract: &Contract, version: &Version, fact: &Fact, at: Timestamp) -> Option<Verdict> {
        let failed = |reason, message: &str| {
            Some(Verdict::Failed { contract: contract.id, reason, message: message.to_owned() })
        };
        let class = match self.outcome(version, fact, at) {
            Outcome::NotCovered => return None,
            Outcome::Failed(message) => return failed(UnpricedReason::ConditionFailed, &message),
            Outcome::Class(class) => class,
        };
        let Some(kind) = AccrualKind::of(fact.kind, fact.affects) else {
            return failed(UnpricedReason::NoBase, "the adjustment does not say which base it moves");
        };
        Some(Verdict::Feeds(Feed {
            contract: contract.id,
            partner: contract.partner,
            version: version.active.version,
            period: self.period(version, at),
            class,
            kind,
            amount: fact.amount,
            units: kind.units(),
        }))
    }

    fn period(&mut self, version: &Version, at: Timestamp) -> Period {
        let periods = &mut self.memory[version.index].periods;
        let after = periods.partition_point(|period| period.start <= at);
        if let Some(period) = after.checked_sub(1).map(|last| periods[last]).filter(|period| period.contains(at)) {
            return period;
        }
        let period = version.active.terms.cycle.period(at);
        if periods.len() >= MAX_REMEMBERED {
            periods.clear();
        }
        periods.insert(after.min(periods.len()), period);
        period
    }

    fn outcome(&mut self, version: &Version, fact: &Fact, at: Timestamp) -> Outcome {
        let terms = &version.active.terms;
        let sources = &terms.scope.sources;
        if fact.currency != terms.currency || !(sources.is_empty() || sources.contains(&fact.source)) {
            return Outcome::NotCovered;
        }
        let values = self.values(&version.needs, terms.cycle.time_zone, fact, at);
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

    fn values<'f>(&mut self, needs: &Needs, zone: Tz, fact: &'f Fact, at: Timestamp) -> Values<'f> {
        let by_player = needs.has(Var::Segment) || needs.has(Var::Tags);
        let by_clock = needs.has(Var::LocalHour) || needs.has(Var::LocalWeekday);
        let (hour, weekday) = if by_clock { self.local(zone, at) } else { (0, 0) };
        let category =
            if needs.has(Var::Category) { self.book.category(fact.product.as_deref(), at) } else { Name::default() };
        let player = if by_player { self.book.player_state(fact.player.as_ref(), at) } else { PlayerState::default() };
        Values { fact, category, player, hour, weekday }
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

fn attributed(version: &Version, fact: &Fact, closed_at: Option<Timestamp>) -> Attributed {
    match version.active.terms.attribution {
        Attribution::Occurred => Attributed::At(fact.occurred_at),
        Attribution::Settled => fact.settled_at.map_or(
            Attributed::Never(
                UnpricedReason::NoSettledTime,
                "the contract counts by settlement time, and the transaction has none",
            ),
            Attributed::At,
        ),
        Attribution::RoundClosed if fact.round.is_none() => Attributed::Never(
            UnpricedReason::NoRound,
            "the contract counts by the closing of rounds, and the transaction has no round",
        ),
        Attribution::RoundClosed => closed_at.map_or(Attributed::Later, Attributed::At),
    }
}

/// Whether a version may cover a transaction, by all that does not change with time.
fn could_cover(version: &Version, fact: &Fact) -> bool {
    let terms = &version.active.terms;
    let scope = &terms.scope;
    fact.currency == terms.currency
        && (scope.sources.is_empty() || scope.sources.contains(&fact.source))
        && names(&scope.products, fact.product.as_deref())
        && names(&scope.regions, fact.region.as_deref())
        && names(&scope.channels, fact.channel.as_deref())
}

/// An empty list names everything; any other only what is in it.
fn names(list: &[String], value: Option<&str>) -> bool {
    list.is_empty() || value.is_some_and(|value| list.iter().any(|name| name == value))
}

/// The values of one transaction under one version; those that the version does not need are not filled in.
struct Values<'f> {
    fact: &'f Fact,
    category: Name,
    player: PlayerState,
    hour: u8,
    weekday: u8,
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
                Var::Product => write_text(key, self.fact.product.as_deref()),
                Var::Channel => write_text(key, self.fact.channel.as_deref()),
                Var::Region => write_text(key, self.fact.region.as_deref()),
                Var::Category => key.extend(self.category.0.to_le_bytes()),
                Var::Segment => key.extend(self.player.segment.0.to_le_bytes()),
                Var::Tags => key.extend(self.player.tags.0.to_le_bytes()),
                Var::LocalHour => key.push(self.hour),
                Var::LocalWeekday => key.push(self.weekday),
            }
        }
        for name in &needs.attributes {
            write_text(key, self.fact.attributes.get(&**name).map(String::as_str));
        }
    }

    fn covered(&self, book: &Book, scope: &Scope) -> bool {
        let tags = book.tags(self.player.tags);
        names(&scope.products, self.fact.product.as_deref())
            && names(&scope.regions, self.fact.region.as_deref())
            && names(&scope.channels, self.fact.channel.as_deref())
            && names(&scope.categories, book.text(self.category))
            && names(&scope.segments, book.text(self.player.segment))
            && (scope.tags.is_empty() || scope.tags.iter().any(|tag| tags.contains(tag)))
    }

    fn locals(&self, book: &Book, needs: &Needs) -> Locals {
        let mut locals = Locals::default();
        for var in Var::ALL.into_iter().filter(|var| needs.has(*var)) {
            let value = match var {
                Var::Kind => text(Some(self.fact.kind.as_str())),
                Var::Product => text(self.fact.product.as_deref()),
                Var::Category => text(book.text(self.category)),
                Var::Channel => text(self.fact.channel.as_deref()),
                Var::Region => text(self.fact.region.as_deref()),
                Var::Segment => text(book.text(self.player.segment)),
                Var::Tags => {
                    Variable::from_array(book.tags(self.player.tags).iter().map(|tag| text(Some(tag))).collect())
                }
                Var::LocalHour => Variable::Number(Decimal::from(self.hour)),
                Var::LocalWeekday => text(Weekday::ALL.get(usize::from(self.weekday)).map(|day| day.as_str())),
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
    let locals = values.locals(book, &version.needs);
    for (condition, code) in &version.rows {
        match condition.as_ref().map_or(Ok(true), |condition| condition.holds(&locals, vm)) {
            Ok(true) => return Outcome::Class(Arc::clone(code)),
            Ok(false) => {}
            Err(error) => return Outcome::Failed(format!("the condition of row '{code}' failed: {error}").into()),
        }
    }
    Outcome::Failed("no row of the rate table takes it".into())
}

#[cfg(test)]
mod tests;
