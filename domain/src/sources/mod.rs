//! Sources: the connections to providers through which records arrive, and how these become transactions.
//!
//! Bytes → `framing` (records at exact offsets) → `drafting` (drafts by the source's `mapping`) → the pipeline of
//! `transactions`. Uses `partners`, and of `contracts` only the name of a weekday.

pub mod calendar;
mod chunk;
mod days;
mod drafting;
mod dry_run;
mod expression;
pub mod framing;
pub mod mapping;
mod record;
mod scanner;
mod store;
mod times;

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::Set;

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{PartnerId, SourceId};
use crate::page::{Page, PageRequest};
use crate::partners::{self, text};
use crate::time::Timestamp;

use calendar::Calendar;
use mapping::{CompiledMapping, Mapping};

pub use days::{DayState, DayStatus, MAX_DAYS, MissingDays};
pub(crate) use days::{Deliveries, count_days_in, deliveries_in, zones_in};
pub use drafting::Mapped;
pub use dry_run::{DryRun, DryRunRecord, Trial};
pub use store::SignOff;
pub use store::source::Model as Source;

pub struct NewSource {
    pub partner: PartnerId,
    /// Unique in the tenant.
    pub name: String,
    pub mapping: Mapping,
    pub calendar: Option<Calendar>,
}

/// One version of a source's mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMapping {
    pub version: i64,
    pub mapping: Mapping,
    pub created_at: Timestamp,
}

impl Source {
    pub fn calendar(&self) -> Result<Option<Calendar>> {
        let read = |json: &String| {
            let corrupt = |error| Fault::Corrupt(format!("the calendar of {}: {error}", self.id));
            serde_json::from_str(json).map_err(corrupt)
        };
        Ok(self.calendar.as_ref().map(read).transpose()?)
    }
}

impl Scoped {
    pub async fn create_source(&self, new: NewSource) -> Result<Source> {
        self.require(Permission::Configure)?;
        let name = text("name", &new.name, 100)?;
        let mapping = checked_mapping(&new.mapping)?;
        let calendar = new.calendar.as_ref().map(checked_calendar).transpose()?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            if !partners::exists_in(tx, new.partner).await? {
                return Err(Error::NotFound("partner"));
            }
            if store::by_name(tx, &name).await?.is_some() {
                let message = format!("another source is called '{name}'");
                return Err(Problem::new(Code::AlreadyExists, "name", message).into());
            }
            let now = writer.clock().now();
            let source = Source {
                tenant_id: tx.tenant(),
                id: writer.clock().id(),
                partner_id: new.partner,
                name,
                mapping_version: 1,
                calendar,
                created_at: now,
            };
            tx.insert(store::source::ActiveModel::from(source.clone())).await?;
            store::insert_mapping(tx, source.id, source.mapping_version, mapping, now).await?;
            tx.bump_epoch(writer.clock()).await?;
            Ok(source)
        })
        .await
    }

    /// Gives a source another mapping. Imports that run already go on with the one they began with.
    pub async fn update_mapping(&self, id: SourceId, mapping: &Mapping) -> Result<Source> {
        self.require(Permission::Configure)?;
        let mapping = checked_mapping(mapping)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let source = store::by_id(tx, id).await?.ok_or(Error::NotFound("source"))?;
            let current = store::mapping(tx, id, source.mapping_version).await?;
            if current.is_some_and(|current| current.mapping == mapping) {
                return Ok(source);
            }
            let source = Source { mapping_version: source.mapping_version + 1, ..source };
            store::insert_mapping(tx, id, source.mapping_version, mapping, writer.clock().now()).await?;
            let change =
                store::source::ActiveModel { mapping_version: Set(source.mapping_version), ..Default::default() };
            store::change(tx, id, change).await?;
            tx.bump_epoch(writer.clock()).await?;
            Ok(source)
        })
        .await
    }

    /// Says which days a source should deliver; `None`: nobody promised any. The zone in which days are counted
    /// cannot change once there are some.
    pub async fn set_calendar(&self, id: SourceId, calendar: Option<Calendar>) -> Result<Source> {
        self.require(Permission::Configure)?;
        let json = calendar.as_ref().map(checked_calendar).transpose()?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let source = store::by_id(tx, id).await?.ok_or(Error::NotFound("source"))?;
            let (before, after) = (days::zone_of(source.calendar()?.as_ref()), days::zone_of(calendar.as_ref()));
            if before != after && store::has_counted_days(tx, id).await? {
                let message =
                    format!("days of this source are counted in {before} already; that cannot change any more");
                return Err(Problem::new(Code::WrongState, "calendar.timeZone", message).into());
            }
            let source = Source { calendar: json.clone(), ..source };
            store::change(tx, id, store::source::ActiveModel { calendar: Set(json), ..Default::default() }).await?;
            tx.bump_epoch(writer.clock()).await?;
            Ok(source)
        })
        .await
    }

    pub async fn sources(&self, page: PageRequest) -> Result<Page<Source>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read().await?, page).await?, &page))
    }

    pub async fn sources_by_ids(&self, ids: &[SourceId]) -> Result<Vec<Source>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }

    /// Also for the API key of this source.
    pub async fn source(&self, id: SourceId) -> Result<Option<Source>> {
        Ok(store::by_id(&self.read().await?, id).await?.filter(|source| self.may_see(source)))
    }

    /// Also for the API key of this source.
    pub async fn source_by_name(&self, name: &str) -> Result<Option<Source>> {
        Ok(store::by_name(&self.read().await?, name).await?.filter(|source| self.may_see(source)))
    }

    fn may_see(&self, source: &Source) -> bool {
        self.caller().may(Permission::Read) || self.caller().may(Permission::Record(source.id))
    }

    /// A version of a source's mapping as it was written.
    pub async fn source_mapping(&self, id: SourceId, version: i64) -> Result<Option<SourceMapping>> {
        self.require(Permission::Read)?;
        let Some(row) = store::mapping(&self.read().await?, id, version).await? else { return Ok(None) };
        Ok(Some(SourceMapping { version: row.version, mapping: read_mapping(&row)?, created_at: row.created_at }))
    }

    /// Versions of sources' mappings as they were written.
    pub async fn source_mappings(
        &self,
        versions: &[(SourceId, i64)],
    ) -> Result<HashMap<(SourceId, i64), SourceMapping>> {
        self.require(Permission::Read)?;
        let rows = store::mappings(&self.read().await?, versions).await?.into_iter();
        let read = rows.map(|row| {
            let mapping = read_mapping(&row)?;
            Ok((
                (row.source_id, row.version),
                SourceMapping { version: row.version, mapping, created_at: row.created_at },
            ))
        });
        read.collect()
    }

    /// A version of a source's mapping, ready for use.
    pub(crate) async fn mapping(&self, id: SourceId, version: i64) -> Result<Arc<CompiledMapping>> {
        compiled_in(&self.read().await?, id, version).await
    }

    /// The present mapping of a source, ready for use.
    pub(crate) async fn current_mapping(&self, id: SourceId) -> Result<Arc<CompiledMapping>> {
        let tx = self.read().await?;
        let version = mapping_version_in(&tx, id).await?.ok_or(Error::NotFound("source"))?;
        compiled_in(&tx, id, version).await
    }
}

pub(crate) async fn exists_in(tx: &TenantTx, id: SourceId) -> Result<bool> {
    Ok(store::by_id(tx, id).await?.is_some())
}

/// The names of all sources, as staff know them.
pub(crate) async fn names_in(tx: &TenantTx) -> Result<HashMap<SourceId, String>> {
    Ok(store::all(tx).await?.into_iter().map(|source| (source.id, source.name)).collect())
}

/// The version of a source's present mapping.
pub(crate) async fn mapping_version_in(tx: &TenantTx, id: SourceId) -> Result<Option<i64>> {
    Ok(store::by_id(tx, id).await?.map(|source| source.mapping_version))
}

async fn compiled_in(tx: &TenantTx, id: SourceId, version: i64) -> Result<Arc<CompiledMapping>> {
    let row = store::mapping(tx, id, version).await?.ok_or(Error::NotFound("source"))?;
    let compiled = CompiledMapping::compile(&read_mapping(&row)?).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Fault::Corrupt(format!("mapping {version} of {id} does not compile any more: {}", all.join("; ")))
    })?;
    Ok(Arc::new(compiled))
}

fn read_mapping(row: &store::mapping::Model) -> Result<Mapping, Fault> {
    Mapping::parse(&row.mapping)
        .map_err(|problem| Fault::Corrupt(format!("mapping {} of {}: {problem}", row.version, row.source_id)))
}

/// A mapping that compiles, as it is kept.
fn checked_mapping(mapping: &Mapping) -> Result<String> {
    CompiledMapping::compile(mapping).map_err(|problems| under("mapping", problems))?;
    written(mapping)
}

fn checked_calendar(calendar: &Calendar) -> Result<String> {
    calendar.check().map_err(|problems| under("calendar", problems))?;
    written(calendar)
}

fn under(field: &str, problems: Vec<Problem>) -> Error {
    Error::Invalid(problems.into_iter().map(|problem| problem.under(field)).collect())
}

fn written(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Fault::Internal(error.to_string()).into())
}
