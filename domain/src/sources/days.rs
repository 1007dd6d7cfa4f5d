//! The days of a source: what came, what is missing, what staff signed off.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{Datelike, Days, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::SourceId;
use crate::partners::text;
use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

use super::Source;
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
        self.days_of_sources(&[source], from, until).await?.remove(&source).ok_or(Error::NotFound("source"))
    }

    /// What is known of the days of some sources, both ends included, in order.
    pub async fn days_of_sources(
        &self,
        sources: &[SourceId],
        from: NaiveDate,
        until: NaiveDate,
    ) -> Result<HashMap<SourceId, Vec<DayStatus>>> {
        self.require(Permission::Read)?;
        check_range(from, until)?;
        statuses_in(&self.read().await?, sources, from, until).await
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
            let mut statuses = statuses_in(tx, &[source], from, until).await?;
            Ok(statuses.remove(&source).unwrap_or_default())
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

async fn statuses_in(
    tx: &TenantTx,
    sources: &[SourceId],
    from: NaiveDate,
    until: NaiveDate,
) -> Result<HashMap<SourceId, Vec<DayStatus>>> {
    let rows = store::days(tx, sources, day_number(from), day_number(until)).await?;
    let mut known: HashMap<(SourceId, NaiveDate), store::day::Model> =
        rows.into_iter().map(|row| ((row.source_id, date_of(row.day)), row)).collect();
    let mut statuses = HashMap::new();
    for source in store::by_ids(tx, sources).await? {
        let calendar = source.calendar()?;
        let days = from.iter_days().take_while(|day| *day <= until);
        let days = days.map(|day| status(day, known.remove(&(source.id, day)), calendar.as_ref()));
        statuses.insert(source.id, days.collect());
    }
    Ok(statuses)
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

/// What sources have promised, and what is known of the days of a time.
pub(crate) struct Deliveries(Vec<(Source, Calendar, BTreeSet<DayNumber>)>);

/// The sources among these that have promised days, with what is known of the days in `start..end`.
pub(crate) async fn deliveries_in(
    tx: &TenantTx,
    sources: &[SourceId],
    start: Timestamp,
    end: Timestamp,
) -> Result<Deliveries> {
    let mut promised = Vec::new();
    for source in store::with_calendar(tx).await? {
        if let Some(calendar) = source.calendar()?.filter(|_| sources.contains(&source.id)) {
            promised.push((source, calendar, BTreeSet::new()));
        }
    }
    // Each source counts days in a zone of its own; the widest span has them all.
    let spans = promised.iter().map(|(_, calendar, _)| calendar.span(start, end));
    let (first, last) = spans.clone().map(|(first, _)| first).min().zip(spans.map(|(_, last)| last).max()).unzip();
    let (Some(first), Some(last)) = (first, last) else { return Ok(Deliveries(promised)) };
    let ids: Vec<SourceId> = promised.iter().map(|(source, ..)| source.id).collect();
    let mut known: HashMap<SourceId, BTreeSet<DayNumber>> = HashMap::new();
    for row in store::days(tx, &ids, day_number(first), day_number(last + Days::new(1))).await? {
        if row.transactions > 0 || row.signed_off_at.is_some() {
            known.entry(row.source_id).or_default().insert(row.day);
        }
    }
    for (source, _, days) in &mut promised {
        *days = known.remove(&source.id).unwrap_or_default();
    }
    Ok(Deliveries(promised))
}

impl Deliveries {
    /// The days that begin in `start..end` on which these sources should have delivered and did not. Sources of which
    /// none is missing are left out.
    pub(crate) fn missing(&self, sources: &HashSet<SourceId>, start: Timestamp, end: Timestamp) -> Vec<MissingDays> {
        let of_these = self.0.iter().filter(|(source, ..)| sources.contains(&source.id));
        let missing = of_these.map(|(source, calendar, known)| MissingDays {
            source: source.id,
            name: source.name.clone(),
            days: missing_days(calendar, known, start, end),
        });
        missing.filter(|missing| !missing.days.is_empty()).collect()
    }
}
