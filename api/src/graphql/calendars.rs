//! Business calendars, and when by them what is owed is due.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::dataloader::Loader;
use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use domain::calendars::{self, NewCalendar};
use domain::contracts::contract;
use domain::ids::SettlementId;
use domain::{Code, Error, Problem};

use super::clauses::Weekday;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::loaders::Rows;
use super::page::{self, Cursor, cost, short};
use super::scalars::{Date, DateTime};
use super::scoped;

/// How days until payment are counted.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::DayCount")]
pub enum DayCount {
    /// Every day.
    Calendar,
    /// Business days only.
    Business,
}

/// Where a due date goes that is no business day.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "DueDateRoll", remote = "contract::Roll")]
pub enum Roll {
    /// It stays.
    None,
    /// To the next business day.
    Following,
    /// To the last business day before.
    Preceding,
    /// To the next business day, or to the last one before where that is in another month.
    ModifiedFollowing,
}

/// From where days until payment are counted.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::PaymentFrom")]
pub enum PaymentFrom {
    /// From the last local day of the period.
    PeriodEnd,
    /// From the local date on which the settlement is closed.
    Closed,
}

/// When what a settlement owes is due.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "PaymentTermsInput", name = "PaymentTerms")]
pub struct PaymentTerms {
    /// From 0 to 366.
    pub days: i32,
    /// How they are counted.
    #[graphql(default_with = "DayCount::Calendar")]
    pub count: DayCount,
    /// Codes of business calendars: a business day is one in all of them.
    #[graphql(default)]
    pub calendars: Vec<String>,
    /// Where a date goes that is no business day.
    #[graphql(default_with = "Roll::None")]
    pub roll: Roll,
    /// From where they are counted.
    #[graphql(name = "from", default_with = "PaymentFrom::PeriodEnd")]
    pub counts_from: PaymentFrom,
}

impl PaymentTerms {
    pub(super) fn core(self, problems: &mut Vec<Problem>) -> contract::Payment {
        let days = u16::try_from(self.days).unwrap_or_else(|_| {
            let message = format!("{} is not a number of days from 0 to 366", self.days);
            problems.push(Problem::new(Code::BadInput, "payment.days", message));
            0
        });
        contract::Payment {
            days,
            count: self.count.into(),
            calendars: self.calendars,
            roll: self.roll.into(),
            from: self.counts_from.into(),
        }
    }
}

impl From<contract::Payment> for PaymentTerms {
    fn from(payment: contract::Payment) -> Self {
        Self {
            days: payment.days.into(),
            count: payment.count.into(),
            calendars: payment.calendars,
            roll: payment.roll.into(),
            counts_from: payment.from.into(),
        }
    }
}

/// When what a settlement owes is due; absent where nothing says so.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DueOf(pub SettlementId);

impl Loader<DueOf> for Rows {
    type Value = chrono::NaiveDate;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[DueOf]) -> Result<HashMap<DueOf, Self::Value>, Self::Error> {
        let ids: Vec<SettlementId> = keys.iter().map(|key| key.0).collect();
        let found = self.0.due_dates(&ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, due)| (DueOf(id), due)).collect())
    }
}

/// A day on which nobody works.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "HolidayInput", name = "Holiday")]
pub struct Holiday {
    /// The day.
    pub date: Date,
    /// What it is called.
    pub name: String,
}

/// On which days people work, by country or bank.
#[derive(SimpleObject)]
pub struct BusinessCalendar {
    /// Once in a tenant, such as "KR": contracts name it so.
    pub code: String,
    /// What people call it.
    pub name: String,
    /// Days of the week on which nobody works.
    #[graphql(complexity = "short(child_complexity)")]
    pub weekend: Vec<Weekday>,
    /// By date.
    #[graphql(complexity = "short(child_complexity)")]
    pub holidays: Vec<Holiday>,
    /// Counts each save: say the one that you read when you save.
    pub revision: i64,
    /// When it was saved last.
    pub changed_at: DateTime,
}

impl From<calendars::BusinessCalendar> for BusinessCalendar {
    fn from(calendar: calendars::BusinessCalendar) -> Self {
        let holiday = |holiday: calendars::Holiday| Holiday { date: Date(holiday.date), name: holiday.name };
        Self {
            code: calendar.code,
            name: calendar.name,
            weekend: calendar.weekend.into_iter().map(Weekday::from).collect(),
            holidays: calendar.holidays.into_iter().map(holiday).collect(),
            revision: calendar.revision,
            changed_at: calendar.changed_at.into(),
        }
    }
}

#[derive(Default)]
pub struct CalendarsQuery;

#[Object]
impl CalendarsQuery {
    /// The tenant's business calendars, by code.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn business_calendars(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, BusinessCalendar>, Failure> {
        let page = scoped(ctx)?.business_calendars(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |calendar| calendar.code.clone()))
    }
}

/// What `setBusinessCalendar` takes.
#[derive(InputObject)]
pub struct SetBusinessCalendarInput {
    /// 1 to 16 capital letters, digits and dashes, such as "KR".
    code: String,
    /// What people call it.
    name: String,
    /// Days of the week on which nobody works; Saturday and Sunday when absent.
    #[graphql(default_with = "vec![Weekday::Saturday, Weekday::Sunday]")]
    weekend: Vec<Weekday>,
    /// All of them: they take the place of those that were there. At most 2,000.
    holidays: Vec<Holiday>,
    /// The revision that was read; absent for a new calendar. Where somebody saved another one since, nothing is saved.
    revision: Option<i64>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `setBusinessCalendar` did.
#[derive(SimpleObject)]
pub struct SetBusinessCalendarPayload {
    /// As it was saved.
    pub business_calendar: Option<BusinessCalendar>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CalendarsMutation;

#[Object]
impl CalendarsMutation {
    /// Says on which days people work. Due dates of closed settlements stay; those of open ones follow.
    async fn set_business_calendar(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetBusinessCalendarInput,
    ) -> Result<SetBusinessCalendarPayload, Failure> {
        let SetBusinessCalendarInput { code, name, weekend, holidays, revision, idempotency_key } = input;
        let holiday = |holiday: Holiday| calendars::Holiday { date: holiday.date.0, name: holiday.name };
        let new = NewCalendar {
            code,
            name,
            weekend: weekend.into_iter().map(contract::Weekday::from).collect(),
            holidays: holidays.into_iter().map(holiday).collect(),
            revision,
        };
        let saved = once(ctx, idempotency_key, async |scoped| scoped.set_business_calendar(new).await);
        let (calendar, user_errors) = outcome(saved.await?.map_err(Failure::from))?;
        Ok(SetBusinessCalendarPayload { business_calendar: calendar.map(BusinessCalendar::from), user_errors })
    }
}
