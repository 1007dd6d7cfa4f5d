//! How time is cut into periods, and how long late facts are awaited after one.

use async_graphql::{Enum, InputObject, SimpleObject};
use domain::contracts::contract;
use domain::{Code, Problem};

use super::clauses::{Every, Weekday};
use super::mappings::no_zone;
use super::scalars::{Date, Decimal};

/// What the lengths of a custom cycle are counted in.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::CustomUnit")]
pub enum CustomUnit {
    /// Days.
    Day,
    /// Weeks of seven days.
    Week,
    /// Months, from a day of a month on.
    Month,
}

/// How time is cut into periods.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "CycleInput", name = "Cycle")]
pub struct Cycle {
    /// How long a period is.
    pub every: Every,
    /// A zone of the IANA database, such as "Asia/Seoul".
    pub time_zone: String,
    /// The local hour at which a day of this contract begins, 0 to 23.
    #[graphql(default)]
    pub cut_off_hour: i32,
    /// For weeks; Monday when absent.
    pub starts_on: Option<Weekday>,
    /// For custom cycles: the lengths of their periods.
    pub custom: Option<CustomCycle>,
}

/// How long late facts are awaited before a period can close.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "LateWindowInput", name = "LateWindow")]
pub struct LateWindow {
    /// Local days after the end of a period, 0 to 366.
    pub days: i32,
}

/// A pattern of lengths that repeats, before its first day too.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "CustomCycleInput", name = "CustomCycle")]
pub struct CustomCycle {
    /// A local date on which the first of the lengths begins; where months are counted, at most the 28th of one.
    #[graphql(name = "from")]
    pub begins: Date,
    /// What lengths are counted in.
    pub unit: CustomUnit,
    /// One period after the other and then from the first again, 1 to 60 of them, each from 1 to 366: `[4, 4, 5]`.
    pub lengths: Vec<i32>,
}

/// A further currency that the same terms are settled in, by itself.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "AlsoInInput", name = "AlsoIn")]
pub struct AlsoIn {
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
    /// Where it is cut into other periods than the currency of the terms.
    pub cycle: Option<AlsoCycle>,
    /// In major units of this currency; a smaller total is carried over instead of being paid.
    #[graphql(default_with = "Decimal(\"0\".to_owned())")]
    pub minimum_payout: Decimal,
}

/// How time is cut into periods for a further currency: in the zone of the terms, with days that begin when theirs do.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "AlsoCycleInput", name = "AlsoCycle")]
pub struct AlsoCycle {
    /// How long a period is.
    pub every: Every,
    /// For weeks; Monday when absent.
    pub starts_on: Option<Weekday>,
    /// For custom cycles: the lengths of their periods.
    pub custom: Option<CustomCycle>,
}

impl AlsoIn {
    pub(super) fn core(self, position: usize, problems: &mut Vec<Problem>) -> contract::AlsoIn {
        let path = format!("alsoIn.{position}.cycle");
        let cycle = self.cycle.map(|cycle| contract::AlsoCycle {
            every: cycle.every.into(),
            starts_on: cycle.starts_on.map(contract::Weekday::from),
            custom: cycle.custom.map(|custom| custom.core(&path, problems)),
        });
        contract::AlsoIn { currency: self.currency, cycle, minimum_payout: self.minimum_payout.0 }
    }
}

impl From<contract::AlsoIn> for AlsoIn {
    fn from(also: contract::AlsoIn) -> Self {
        let cycle = |cycle: contract::AlsoCycle| AlsoCycle {
            every: cycle.every.into(),
            starts_on: cycle.starts_on.map(Weekday::from),
            custom: cycle.custom.map(CustomCycle::from),
        };
        Self { currency: also.currency, cycle: also.cycle.map(cycle), minimum_payout: Decimal(also.minimum_payout) }
    }
}

impl Cycle {
    pub(super) fn core(self, problems: &mut Vec<Problem>) -> Option<contract::Cycle> {
        let zone = self.time_zone.parse();
        if zone.is_err() {
            problems.push(no_zone("cycle.timeZone", &self.time_zone));
        }
        let hour = u8::try_from(self.cut_off_hour);
        if hour.is_err() {
            problems.push(Problem::new(Code::BadInput, "cycle.cutOffHour", "is not an hour from 0 to 23"));
        }
        let (time_zone, cut_off_hour) = (zone.ok()?, hour.ok()?);
        Some(contract::Cycle {
            every: self.every.into(),
            time_zone,
            cut_off_hour,
            starts_on: self.starts_on.map(contract::Weekday::from),
            custom: self.custom.map(|custom| custom.core("cycle", problems)),
        })
    }
}

impl LateWindow {
    pub(super) fn core(self, problems: &mut Vec<Problem>) -> contract::LateWindow {
        let days = u16::try_from(self.days).unwrap_or_else(|_| {
            let message = format!("{} is not a number of days from 0 to 366", self.days);
            problems.push(Problem::new(Code::BadInput, "lateWindow.days", message));
            0
        });
        contract::LateWindow { days }
    }
}

impl CustomCycle {
    fn core(self, path: &str, problems: &mut Vec<Problem>) -> contract::Custom {
        let mut length = |(position, length): (usize, i32)| {
            u16::try_from(length).unwrap_or_else(|_| {
                let path = format!("{path}.custom.lengths.{position}");
                problems.push(Problem::new(Code::BadInput, path, format!("{length} is not a length from 1 to 366")));
                1
            })
        };
        let lengths = self.lengths.into_iter().enumerate().map(&mut length).collect();
        contract::Custom { from: self.begins.0, unit: self.unit.into(), lengths }
    }
}

impl From<contract::Custom> for CustomCycle {
    fn from(custom: contract::Custom) -> Self {
        let lengths = custom.lengths.into_iter().map(i32::from).collect();
        Self { begins: Date(custom.from), unit: custom.unit.into(), lengths }
    }
}
