//! Why a transaction counts under a contract, or does not: what pricing decides, with what it looked at on the way.

use std::sync::Arc;

use zen_expression::vm::VM;

use super::{Attributed, Pricer, Values, attributed, names};
use crate::contracts::book::{Book, Contract, Version};
use crate::contracts::cell::Value;
use crate::contracts::feed::{Feed, Verdict};
use crate::contracts::table::Held;
use crate::ids::{ContractId, PartnerId};
use crate::time::Timestamp;
use crate::transactions::Seen;

/// Rows that do not hold, told of one contract.
const MOST_ROWS: usize = 50;

/// What a contract makes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It counts it.
    Counts,
    /// It does not cover it.
    NotCovered,
    /// It counts by the closing of rounds, and the round is open.
    AwaitsRound,
    /// It covers it and cannot count it.
    Fails,
}

#[derive(Clone, Debug)]
pub struct Considered {
    pub contract: ContractId,
    pub partner: PartnerId,
    pub says: Says,
    /// The version in force, where one is.
    pub version: Option<i64>,
    /// When it counts by that version.
    pub at: Option<Timestamp>,
    /// What of the terms says no: `scope.products`, `currency`, `validFrom`,
    /// `validUntil`.
    pub path: Option<String>,
    /// Why it cannot be counted.
    pub message: Option<String>,
    /// Rows of the rate table in order: those that take it, and the first that do not.
    pub rows: Vec<RowTried>,
    /// How many more do not.
    pub left_out: usize,
    pub feeds: Vec<Feed>,
}

/// A row of a rate table that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTried {
    /// From 0, as in the terms.
    pub row: usize,
    pub code: Arc<str>,
    pub holds: bool,
    /// The column whose cell does not hold, by what it reads; none where the condition does not.
    pub column: Option<String>,
    /// What the transaction has there, where it has something.
    pub found: Option<String>,
}

impl Pricer<'_> {
    /// What each contract makes of a transaction, in the order of their ids from after `after` on: `first` of them, and
    /// whether there are more.
    pub fn consider(
        &mut self,
        fact: &Seen<'_>,
        round_closed_at: Option<Timestamp>,
        after: Option<ContractId>,
        first: usize,
    ) -> (Vec<Considered>, bool) {
        let own_close = || fact.round_closed.then(|| fact.settled_at.unwrap_or(fact.occurred_at));
        let closed_at = round_closed_at.or_else(own_close);
        let book = self.book;
        let begin = after.map_or(0, |after| book.contracts.partition_point(|contract| contract.id <= after));
        let contracts = &book.contracts[begin..];
        let page = contracts.iter().take(first).map(|contract| self.considered(contract, fact, closed_at)).collect();
        (page, contracts.len() > first)
    }

    fn considered(&mut self, contract: &Contract, fact: &Seen<'_>, closed_at: Option<Timestamp>) -> Considered {
        let mut verdicts = Vec::new();
        if self.book.candidates(fact.source).iter().any(|place| self.book.contracts[*place].id == contract.id) {
            self.price_under(contract, fact, closed_at, &mut verdicts);
        }
        let mut considered = Considered {
            contract: contract.id,
            partner: contract.partner,
            says: Says::NotCovered,
            version: None,
            at: None,
            path: None,
            message: None,
            rows: Vec::new(),
            left_out: 0,
            feeds: Vec::new(),
        };
        for verdict in verdicts {
            match verdict {
                Verdict::Feeds(feed) => {
                    considered.says = Says::Counts;
                    considered.feeds.push(feed);
                }
                Verdict::AwaitsRound { .. } => considered.says = Says::AwaitsRound,
                Verdict::Failed { message, .. } => {
                    considered.says = Says::Fails;
                    considered.message = Some(message);
                }
            }
        }
        let in_force = contract.versions.iter().rev().find_map(|version| {
            let at = match attributed(version, fact, closed_at) {
                Attributed::At(at) => at,
                // By which it would count, if it could.
                Attributed::Later | Attributed::Never(..) => fact.occurred_at,
            };
            (at >= version.active.valid_from).then_some((version, at))
        });
        let Some((version, at)) = in_force else {
            considered.path = Some("validFrom".to_owned());
            return considered;
        };
        (considered.version, considered.at) = (Some(version.active.version), Some(at));
        if at >= version.ends {
            considered.path = Some("validUntil".to_owned());
            return considered;
        }
        let values = self.values(version, fact, at);
        if considered.says == Says::NotCovered {
            considered.path = uncovered(self.book, version, fact, &values).map(str::to_owned);
        } else if considered.says != Says::AwaitsRound {
            tell_rows(self.book, version, &values, &mut self.vm, &mut considered);
        }
        considered
    }
}

/// The part of the terms that does not take it.
fn uncovered(book: &Book, version: &Version, fact: &Seen<'_>, values: &Values<'_>) -> Option<&'static str> {
    let scope = &version.active.terms.scope;
    let tags = book.tags(values.player.tags);
    let parts = [
        ("currency", version.currency(fact.currency).is_some()),
        ("scope.sources", scope.sources.is_empty() || scope.sources.contains(&fact.source)),
        ("scope.products", names(&scope.products, fact.product)),
        ("scope.categories", names(&scope.categories, book.text(values.category))),
        ("scope.segments", names(&scope.segments, book.text(values.player.segment))),
        ("scope.tags", scope.tags.is_empty() || scope.tags.iter().any(|tag| tags.contains(tag))),
        ("scope.regions", names(&scope.regions, fact.region)),
        ("scope.channels", names(&scope.channels, fact.channel)),
    ];
    parts.into_iter().find(|(_, takes)| !takes).map(|(path, _)| path)
}

fn tell_rows(book: &Book, version: &Version, values: &Values<'_>, vm: &mut VM, considered: &mut Considered) {
    let table = &version.table;
    let columns: Result<Vec<Value<'_>>, String> = table.columns.iter().map(|reads| values.value(book, reads)).collect();
    // What is no number where one is read is told by the message.
    let Ok(columns) = columns else { return };
    let tried = table.tried(&columns, &values.locals(book, &version.needs), vm, MOST_ROWS);
    considered.left_out = tried.left_out;
    for (row, code, held) in tried.rows {
        let column = if let Held::Not(column) = held { column } else { None };
        considered.rows.push(RowTried {
            row,
            code,
            holds: held == Held::Holds,
            column: column.map(|column| table.columns[column].name()),
            found: column.and_then(|column| found(columns[column], table.columns[column].words())),
        });
    }
}

fn found(value: Value<'_>, words: Option<Vec<String>>) -> Option<String> {
    match value {
        Value::Bit(bit) => words.and_then(|words| words.get(usize::from(bit)).cloned()),
        Value::Text(text) => text.map(str::to_owned),
        Value::Tags(tags) => (!tags.is_empty()).then(|| tags.join(", ")),
        Value::Number(number) => number.map(|number| number.to_string()),
    }
}
