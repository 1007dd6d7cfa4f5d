//! The days of a source: what came, what is missing, what staff signed off.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Datelike, Days, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::SourceId;
use crate::partners::text;
use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

use super::calendar::{Calendar, DayNumber, date_of, day_number, missing_days};
use super::store::{self, SignOff};

/// The most days that one question or sign-off covers.
pub const MAX_DAYS: i64 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DayState {
    /// Transactions came.
    Complete,
    /// Staff said that nothing is to come.
    SignedOff,
    /// The source should have delivered, or should yet.
    Missing,
    /// Nothing came and nothing was promised.
    NotDue,
}

/// What is known of one day of a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DayStatus {
    pub day: NaiveDate,
    pub state: DayState,
    pub transactions: i64,
    pub sign_off: Option<SignOff>,
}

/// The days on which one source should have delivered and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDays {
    pub source: SourceId,
    pub name: String,
    pub days: Vec<NaiveDate>,
}

impl Scoped {
    /// What is known of a source's days, both ends included, in order.
    pub async fn source_days(&self, source: SourceId, from: NaiveDate, until: NaiveDate) -> Result<Vec<DayStatus>> {
        self.require(Permission::Read)?;
        check_range(from, until)?;
        statuses_in(&self.read().await?, source, from, until).await
    }

    /// Says that nothing is to come for the days of a range, both ends included, on which the source should have
    /// delivered and did not. Days with transactions stay as they are. The note says why.
    pub async fn sign_off_days(
        &self,
        source: SourceId,
        from: NaiveDate,
        until: NaiveDate,
        note: &str,
    ) -> Result<Vec<DayStatus>> {
        self.require(Permission::Settle)?;
        let note = text("note", note, 1_000)?;
        check_range(from, until)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let found = store::by_id(tx, source).await?.ok_or(Error::NotFound("source"))?;
            let now = writer.clock().now();
            let Some(calendar) = found.calendar()? else {
                let message = "this source has no calendar, so no day of it is missing";
                return Err(Problem::new(Code::WrongState, "sourceId", message).into());
            };
            if calendar.end(until) > now {
                let message = format!("{until} is not over yet in {}", calendar.time_zone);
                return Err(Problem::new(Code::BadInput, "until", message).into());
            }
            let due: Vec<DayNumber> = from
                .iter_days()
                .take_while(|day| *day <= until)
                .filter(|day| calendar.is_due(*day))
                .map(day_number)
                .collect();
            let sign_off = SignOff { by: writer.caller().member(), at: now, note };
            store::sign_off(tx, source, &due, &sign_off).await?;
            let statuses = statuses_in(tx, source, from, until).await?;
            Ok(statuses)
        })
        .await
    }
}

fn check_range(from: NaiveDate, until: NaiveDate) -> Result<(), Problem> {
    let days = until.signed_duration_since(from).num_days() + 1;
    let known_years = FIRST_YEAR..=LAST_YEAR;
    if (1..=MAX_DAYS).contains(&days) && known_years.contains(&from.year()) && known_years.contains(&until.year()) {
        return Ok(());
    }
    let message = format!(
        "from {from} until {until} is not a range of 1 to {MAX_DAYS} days in the years {FIRST_YEAR} to {LAST_YEAR}"
    );
    Err(Problem::new(Code::BadInput, "until", message))
}

async fn statuses_in(tx: &TenantTx, source: SourceId, from: NaiveDate, until: NaiveDate) -> Result<Vec<DayStatus>> {
    let found = store::by_id(tx, source).await?.ok_or(Error::NotFound("source"))?;
    let calendar = found.calendar()?;
    let rows = store::days(tx, source, day_number(from), day_number(until)).await?;
    let mut known: HashMap<NaiveDate, store::day::Model> =
        rows.into_iter().map(|row| (date_of(row.day), row)).collect();
    let days = from.iter_days().take_while(|day| *day <= until);
    Ok(days.map(|day| status(day, known.remove(&day), calendar.as_ref())).collect())
}

fn status(day: NaiveDate, row: Option<store::day::Model>, calendar: Option<&Calendar>) -> DayStatus {
    let transactions = row.as_ref().map_or(0, |row| row.transactions);
    let sign_off = row.and_then(|row| {
        Some(SignOff { by: row.signed_off_by, at: row.signed_off_at?, note: row.note.unwrap_or_default() })
    });
    let state = match (transactions, &sign_off) {
        (1.., _) => DayState::Complete,
        (_, Some(_)) => DayState::SignedOff,
        _ if calendar.is_some_and(|calendar| calendar.is_due(day)) => DayState::Missing,
        _ => DayState::NotDue,
    };
    DayStatus { day, state, transactions, sign_off }
}

/// The zone in which a source's days are counted.
pub(super) fn zone_of(calendar: Option<&Calendar>) -> Tz {
    calendar.map_or(Tz::UTC, |calendar| calendar.time_zone)
}

/// The zones in which the days of sources are counted; UTC for those that are not in it.
pub(crate) async fn zones_in(tx: &TenantTx) -> Result<HashMap<SourceId, Tz>> {
    let sources = store::with_calendar(tx).await?;
    sources.iter().map(|source| Ok((source.id, zone_of(source.calendar()?.as_ref())))).collect()
}

/// Counts transactions, each by its source and the day it falls on there.
pub(crate) async fn count_days_in(tx: &TenantTx, days: impl Iterator<Item = (SourceId, DayNumber)>) -> Result<()> {
    let mut counts = BTreeMap::new();
    for day in days {
        *counts.entry(day).or_insert(0) += 1;
    }
    Ok(store::count_days(tx, counts).await?)
}

/// The days that begin in `start..end` on which sources should have delivered and did not. `only`: these sources; all
/// if it is empty, as in a contract's scope. Sources of which none is missing are left out.
pub(crate) async fn missing_days_in(
    tx: &TenantTx,
    only: &[SourceId],
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<MissingDays>> {
    let mut all = Vec::new();
    for source in store::with_calendar(tx).await? {
        let Some(calendar) = source.calendar()?.filter(|_| only.is_empty() || only.contains(&source.id)) else {
            continue;
        };
        let (first, last) = calendar.span(start, end);
        let rows = store::days(tx, source.id, day_number(first), day_number(last + Days::new(1))).await?;
        let complete = rows.into_iter().filter(|row| row.transactions > 0 || row.signed_off_at.is_some());
        let known: BTreeSet<DayNumber> = complete.map(|row| row.day).collect();
        let days = missing_days(&calendar, &known, start, end);
        if !days.is_empty() {
            all.push(MissingDays { source: source.id, name: source.name, days });
        }
    }
    Ok(all)
}
