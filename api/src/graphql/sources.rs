//! Sources: the connections to providers, their mappings, and the days that they should deliver.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::NaiveDate;
use domain::ids::{MemberId, PartnerId, SourceId};
use domain::sources::calendar::Calendar;
use domain::{Error, Scoped, sources};

use super::access::{self, Member};
use super::clauses::Weekday;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders::{self, DaysOf, MappingOf};
use super::mappings::{SourceMapping, no_zone};
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::{Date, DateTime};
use super::scoped;

/// A connection to a provider through which records arrive.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Source {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// Unique in the tenant.
    pub name: String,
    /// Of the mapping that new imports read with.
    pub mapping_version: i64,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    row: sources::Source,
}

impl From<sources::Source> for Source {
    fn from(row: sources::Source) -> Self {
        let (id, name, created_at) = (row.id.into(), row.name.clone(), row.created_at.into());
        Self { id, name, mapping_version: row.mapping_version, created_at, row }
    }
}

#[ComplexObject]
impl Source {
    /// Whose records come through it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner, Failure> {
        Ok(loaders::required(ctx, self.row.partner_id, "partner").await?.into())
    }

    /// How its records become transactions, in the version asked for or the present one.
    async fn mapping(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 is the first; the present one when absent.")] version: Option<i64>,
    ) -> Result<Option<SourceMapping>, Failure> {
        let version = version.unwrap_or(self.row.mapping_version);
        Ok(loaders::one(ctx, MappingOf(self.row.id, version)).await?.map(|found| found.mapping.into()))
    }

    /// The days that it has promised to deliver; null where it has promised none.
    async fn calendar(&self) -> Result<Option<SourceCalendar>, Failure> {
        Ok(self.row.calendar()?.map(|calendar| calendar.into()))
    }

    /// What came on each day, both ends included; at most 400.
    #[graphql(complexity = "days_cost(&from, &until, child_complexity)")]
    async fn days(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day.")] from: Date,
        #[graphql(desc = "The last day, included.")] until: Date,
    ) -> Result<Vec<SourceDay>, Failure> {
        let days = loaders::one(ctx, DaysOf(self.row.id, from.0, until.0)).await?;
        Ok(days.unwrap_or_default().into_iter().map(SourceDay::from).collect())
    }
}

/// A list as long as its range.
fn days_cost(from: &Date, until: &Date, child_complexity: usize) -> usize {
    let days = until.0.signed_duration_since(from.0).num_days().clamp(0, sources::MAX_DAYS - 1) + 1;
    usize::try_from(days).unwrap_or(usize::MAX).saturating_mul(child_complexity).saturating_add(1)
}

/// The source of a row that has one.
pub async fn of(ctx: &Context<'_>, id: SourceId) -> Result<Source, Failure> {
    Ok(loaders::required(ctx, id, "source").await?.into())
}

/// The source behind an id or a name.
pub async fn named(scoped: &Scoped, text: &str) -> Result<SourceId, Error> {
    if let Some(id) = SourceId::parse(text) {
        return Ok(id);
    }
    Ok(scoped.source_by_name(text).await?.ok_or(Error::NotFound("source"))?.id)
}

/// The days that a source has promised to deliver.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "SourceCalendarInput", name = "SourceCalendar")]
pub struct SourceCalendar {
    /// Days begin and end at midnight of this zone.
    pub time_zone: String,
    /// The first day.
    pub from: Date,
    /// The last day; none while the source goes on.
    pub until: Option<Date>,
    /// Every day when absent.
    pub weekdays: Option<Vec<Weekday>>,
}

impl From<Calendar> for SourceCalendar {
    fn from(calendar: Calendar) -> Self {
        Self {
            time_zone: calendar.time_zone.name().to_owned(),
            from: Date(calendar.from),
            until: calendar.until.map(Date),
            weekdays: Some(calendar.weekdays.into_iter().map(Weekday::from).collect()),
        }
    }
}

impl SourceCalendar {
    fn core(self) -> Result<Calendar, Error> {
        let zone = self.time_zone.parse().map_err(|_| no_zone("calendar.timeZone", &self.time_zone))?;
        let weekdays = match self.weekdays {
            Some(weekdays) => weekdays.into_iter().map(Into::into).collect(),
            None => domain::contracts::contract::Weekday::ALL.to_vec(),
        };
        Ok(Calendar { time_zone: zone, from: self.from.0, until: self.until.map(|day| day.0), weekdays })
    }
}

/// Whether a day of a source is accounted for.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "sources::DayState")]
pub enum SourceDayState {
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
#[derive(SimpleObject)]
pub struct SourceDay {
    /// In the zone of the source's calendar; in UTC where it has none.
    pub day: Date,
    /// Whether it is accounted for.
    pub state: SourceDayState,
    /// Transactions that occurred on it.
    pub transactions: i64,
    /// Who said that nothing was to come; null where nobody did.
    pub sign_off: Option<SignOff>,
}

/// Who said that nothing is to come for a day, and why.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SignOff {
    /// When it was said.
    pub signed_off_at: DateTime,
    /// Why nothing was to come.
    pub note: String,
    #[graphql(skip)]
    by: Option<MemberId>,
}

#[ComplexObject]
impl SignOff {
    /// Null for the operator of the installation, and for whoever may not see the member.
    async fn signed_off_by(&self, ctx: &Context<'_>) -> Result<Option<Member>, Failure> {
        access::member(ctx, self.by).await
    }
}

impl From<sources::DayStatus> for SourceDay {
    fn from(status: sources::DayStatus) -> Self {
        let sign_off = |sign_off: sources::SignOff| SignOff {
            signed_off_at: sign_off.at.into(),
            note: sign_off.note,
            by: sign_off.by,
        };
        Self {
            day: Date(status.day),
            state: status.state.into(),
            transactions: status.transactions,
            sign_off: status.sign_off.map(sign_off),
        }
    }
}

#[derive(Default)]
pub struct SourcesQuery;

#[Object]
impl SourcesQuery {
    /// The tenant's sources; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn sources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Source>, Failure> {
        let page = scoped(ctx)?.sources(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |source| source.id.0))
    }
}

/// What `createSource` takes.
#[derive(InputObject)]
pub struct CreateSourceInput {
    /// The partner.
    partner_id: ID,
    /// Unique in the tenant.
    name: String,
    /// How its records become transactions.
    mapping: SourceMapping,
    /// The days that it promises to deliver; none when absent.
    calendar: Option<SourceCalendar>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `updateSourceMapping` takes.
#[derive(InputObject)]
pub struct UpdateSourceMappingInput {
    /// The source.
    source_id: ID,
    /// The mapping from now on.
    mapping: SourceMapping,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `setSourceCalendar` takes.
#[derive(InputObject)]
pub struct SetSourceCalendarInput {
    /// The source.
    source_id: ID,
    /// Null: it promises no days.
    calendar: Option<SourceCalendar>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

macro_rules! source_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The source as it is now.
            pub source: Option<Source>,
            /// What should have been done otherwise; empty when it is done.
            #[graphql(complexity = "short(child_complexity)")]
            pub user_errors: Vec<UserError>,
        }

        impl $name {
            fn of(result: domain::Result<sources::Source>) -> Result<Self, Failure> {
                let (source, user_errors) = outcome(result.map_err(Failure::from))?;
                Ok(Self { source: source.map(Source::from), user_errors })
            }
        }
    };
}
source_payload!(
    /// What `createSource` did.
    CreateSourcePayload
);
source_payload!(
    /// What `updateSourceMapping` did.
    UpdateSourceMappingPayload
);
source_payload!(
    /// What `setSourceCalendar` did.
    SetSourceCalendarPayload
);

/// What `signOffSourceDays` takes.
#[derive(InputObject)]
pub struct SignOffSourceDaysInput {
    /// The source.
    source_id: ID,
    /// The first day.
    from: Date,
    /// This day included.
    until: Date,
    /// Why nothing is to come, for whoever asks later.
    note: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `signOffSourceDays` did.
#[derive(SimpleObject)]
pub struct SignOffSourceDaysPayload {
    /// The days of the range as they are now.
    #[graphql(complexity = "short(child_complexity)")]
    pub days: Vec<SourceDay>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SourcesMutation;

#[Object]
impl SourcesMutation {
    /// Adds a source with the first version of its mapping.
    async fn create_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: CreateSourceInput,
    ) -> Result<CreateSourcePayload, Failure> {
        let key = input.idempotency_key.take();
        CreateSourcePayload::of(once(ctx, key, async |scoped| create(&scoped, input).await).await?)
    }

    /// Gives a source another mapping. Imports under way go on with the one they began with.
    async fn update_source_mapping(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: UpdateSourceMappingInput,
    ) -> Result<UpdateSourceMappingPayload, Failure> {
        let source = id(&input.source_id, SourceId::parse);
        let updated = once(ctx, input.idempotency_key, async |scoped| {
            scoped.update_mapping(source, &under_mapping(input.mapping)?).await
        });
        UpdateSourceMappingPayload::of(updated.await?)
    }

    /// Says which days a source should deliver.
    async fn set_source_calendar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetSourceCalendarInput,
    ) -> Result<SetSourceCalendarPayload, Failure> {
        let source = id(&input.source_id, SourceId::parse);
        let set = once(ctx, input.idempotency_key, async |scoped| {
            scoped.set_calendar(source, input.calendar.map(SourceCalendar::core).transpose()?).await
        });
        SetSourceCalendarPayload::of(set.await?)
    }

    /// Says that nothing is to come for the missing days of a range. Days with transactions stay as they are.
    async fn sign_off_source_days(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SignOffSourceDaysInput,
    ) -> Result<SignOffSourceDaysPayload, Failure> {
        let SignOffSourceDaysInput { source_id, from: Date(from), until: Date(until), note, idempotency_key } = input;
        let source = id(&source_id, SourceId::parse);
        let signed =
            once(ctx, idempotency_key, async |scoped| sign_off(&scoped, source, (from, until), &note).await).await?;
        let (days, user_errors) = outcome(signed.map_err(Failure::from))?;
        Ok(SignOffSourceDaysPayload { days: days.unwrap_or_default(), user_errors })
    }
}

async fn create(scoped: &Scoped, input: CreateSourceInput) -> domain::Result<sources::Source> {
    let partner = id(&input.partner_id, PartnerId::parse);
    let mapping = under_mapping(input.mapping)?;
    let calendar = input.calendar.map(SourceCalendar::core).transpose()?;
    scoped.create_source(sources::NewSource { partner, name: input.name, mapping, calendar }).await
}

fn under_mapping(mapping: SourceMapping) -> domain::Result<domain::sources::mapping::Mapping> {
    mapping.core().map_err(|error| under("mapping", error))
}

/// An error's problems as seen from the input that has them.
pub fn under(field: &str, error: Error) -> Error {
    match error {
        Error::Invalid(problems) => Error::Invalid(problems.into_iter().map(|problem| problem.under(field)).collect()),
        other => other,
    }
}

async fn sign_off(
    scoped: &Scoped,
    source: SourceId,
    (from, until): (NaiveDate, NaiveDate),
    note: &str,
) -> domain::Result<Vec<SourceDay>> {
    Ok(scoped.sign_off_days(source, from, until, note).await?.into_iter().map(SourceDay::from).collect())
}
