//! Live examples of what is about time: when terms end, which periods there are, and when what is owed is due.

use super::bench::Bench;
use super::say::{Statement, say};
use crate::contracts::contract::PaymentFrom;
use crate::time::Timestamp;

pub fn validity(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let ends = bench.ends?.local(bench.version.terms.cycle.time_zone);
    Some(vec![say!("example.validity", ends = ends)])
}

pub fn period(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let cycle = &bench.version.terms.cycle;
    let local = |at: Timestamp| at.local(cycle.time_zone);
    let (from, until) = (local(bench.period.start), local(bench.period.end));
    let mut said = vec![say!("example.period", from = from, until = until)];
    if cycle.custom.as_ref().is_some_and(|custom| custom.lengths.len() > 1) {
        said.push(say!("example.period.next", until = local(cycle.period(bench.period.end).end)));
    }
    if let Some(until) = bench.version.terms.awaits_until(bench.period) {
        said.push(say!("example.period.late", until = local(until)));
    }
    Some(said)
}

/// The first whole period, as if it closed five days after its end.
pub fn payment(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let (terms, cycle) = (&bench.version.terms, &bench.version.terms.cycle);
    let closed = terms.awaits_until(bench.period).unwrap_or_else(|| cycle.days_later(bench.period.end, 5));
    let due = terms.due_on(bench.period, Some(closed), bench.words.calendars)?;
    let closed = closed.local(cycle.time_zone).date();
    Some(vec![match terms.payment.as_ref()?.from {
        PaymentFrom::PeriodEnd => say!("example.payment", last = cycle.last_day(bench.period), due = due),
        PaymentFrom::Closed => say!("example.payment.closed", closed = closed, due = due),
    }])
}
