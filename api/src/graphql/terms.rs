//! The terms of a contract's version as they are written. How they read back is in `agreed.rs`.

use async_graphql::{ComplexObject, InputObject, OneofObject, SimpleObject};
use domain::contracts::contract;
use domain::money::Rate;
use domain::{Code, Error, Problem, Scoped};

use super::clauses::{
    Attribution, BonusTreatment, Every, JackpotBasis, Level, Match, NegativeMode, PartnerRole, Rounding, TierMode,
    TiersOnChange, Weekday,
};
use super::mappings::no_zone;
use super::page::short;
use super::scalars::{Date, Decimal};
use super::sources;

/// What is agreed with a partner from a day on.
#[derive(InputObject)]
pub struct TermsInput {
    /// From the beginning of this local day on.
    valid_from: Date,
    /// The part that the partner plays.
    role: PartnerRole,
    /// Which transactions count.
    #[graphql(default)]
    scope: ScopeInput,
    /// Transactions in other currencies are not counted.
    currency: String,
    /// The time by which a transaction belongs to a period.
    #[graphql(default_with = "Attribution::Occurred")]
    attribution: Attribution,
    /// How time is cut into periods.
    cycle: Cycle,
    /// What the rates apply to.
    base: BaseInput,
    /// What becomes of a negative base.
    negative: Negative,
    /// Which share of the base is owed.
    rate_table: RateTableInput,
    /// How a line is rounded to the minor unit, once.
    #[graphql(default_with = "Rounding::HalfEven")]
    rounding: Rounding,
    /// In major units; a smaller total is carried over instead of being paid.
    #[graphql(default_with = "Decimal(\"0\".to_owned())")]
    minimum_payout: Decimal,
    /// What tiers do when a version takes over inside a period.
    #[graphql(default_with = "TiersOnChange::Continue")]
    tiers_on_change: TiersOnChange,
}

/// Which transactions the contract counts. An empty list means all.
#[derive(Clone, Default, InputObject)]
pub struct ScopeInput {
    /// Ids or names.
    #[graphql(default)]
    sources: Vec<String>,
    /// Product codes.
    #[graphql(default)]
    products: Vec<String>,
    /// Categories of products.
    #[graphql(default)]
    categories: Vec<String>,
    /// Segments of players.
    #[graphql(default)]
    segments: Vec<String>,
    /// Tags that contracts can ask for.
    #[graphql(default)]
    tags: Vec<String>,
    /// Regions, as sources write them.
    #[graphql(default)]
    regions: Vec<String>,
    /// Channels, as sources write them.
    #[graphql(default)]
    channels: Vec<String>,
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
}

/// What the rates apply to: one of its fields.
#[derive(OneofObject)]
pub enum BaseInput {
    /// Stakes less wins.
    Ggr(GgrBase),
    /// Stakes.
    Turnover(TurnoverBase),
    /// Sales less refunds: write `{}`.
    Sales(SalesBase),
}

/// Stakes less wins.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "GgrBaseInput", name = "GgrBase")]
pub struct GgrBase {
    /// How bonus money counts.
    #[graphql(default_with = "BonusTreatment::Include")]
    pub bonus_treatment: BonusTreatment,
    /// When jackpots reduce it.
    #[graphql(default_with = "JackpotBasis::Accrual")]
    pub jackpots: JackpotBasis,
}

/// Stakes.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "TurnoverBaseInput", name = "TurnoverBase")]
pub struct TurnoverBase {
    /// How bonus money counts.
    #[graphql(default_with = "BonusTreatment::Include")]
    pub bonus_treatment: BonusTreatment,
}

/// Sales less refunds: write `{}`.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "SalesBaseInput", name = "SalesBase")]
pub struct SalesBase {
    /// There is nothing to set; GraphQL wants a type to have a field.
    #[graphql(name = "_")]
    pub nothing: Option<bool>,
}

/// What becomes of a negative base.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "NegativeInput", name = "Negative")]
pub struct Negative {
    /// What becomes of it.
    pub mode: NegativeMode,
    /// Whether rate classes net against each other first.
    #[graphql(default_with = "Level::Total")]
    pub level: Level,
}

/// Which share of the base is owed.
#[derive(InputObject)]
pub struct RateTableInput {
    /// Which row takes a transaction.
    #[graphql(default_with = "Match::First")]
    r#match: Match,
    /// The rate classes, in the order in which they are tried.
    rows: Vec<RateRow>,
}

/// One rate class, with either a percentage or tiers.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "RateRowInput", name = "RateRow")]
pub struct RateRow {
    /// What lines call the class; once in a table.
    pub code: String,
    /// A zen-expression such as `localHour < 6`; the last row has none and takes what is left.
    pub when: Option<String>,
    /// Per cent of the whole base of the class, such as "8"; or else `tiers`.
    pub percent: Option<Decimal>,
    /// Percentages by the size of the base; or else `percent`.
    pub tiers: Option<Tiers>,
}

/// Percentages by the size of the base.
#[derive(InputObject, SimpleObject)]
#[graphql(complex, input_name = "TiersInput", name = "Tiers")]
pub struct Tiers {
    /// Whether a step rates its slice or the whole base.
    pub mode: TierMode,
    /// From the lowest up.
    #[graphql(skip_output)]
    pub steps: Vec<TierStep>,
}

/// A percentage up to a size of the base.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "TierStepInput", name = "TierStep")]
pub struct TierStep {
    /// In major units, this amount included; the last step has none.
    pub up_to: Option<Decimal>,
    /// Per cent, such as "8".
    pub percent: Decimal,
}

#[ComplexObject]
impl Tiers {
    /// From the lowest up.
    #[graphql(complexity = "short(child_complexity)")]
    async fn steps(&self) -> &[TierStep] {
        &self.steps
    }
}

/// Each is looked up by itself.
const MAX_SOURCES: usize = 1_000;

impl TermsInput {
    /// The core's terms; problems have their paths under `terms`.
    pub async fn core(self, scoped: &Scoped) -> domain::Result<contract::Terms> {
        let mut problems = Vec::new();
        let scope = self.scope.core(scoped, &mut problems).await?;
        let cycle = self.cycle.core(&mut problems);
        let rows: Vec<_> =
            self.rate_table.rows.into_iter().enumerate().map(|(n, row)| row.core(n, &mut problems)).collect();
        let Some(cycle) = cycle.filter(|_| problems.is_empty()) else {
            return Err(Error::Invalid(problems.into_iter().map(|problem| problem.under("terms")).collect()));
        };
        Ok(contract::Terms {
            valid_from: self.valid_from.0,
            role: self.role.into(),
            scope,
            currency: self.currency,
            attribution: self.attribution.into(),
            cycle,
            base: self.base.into(),
            negative: contract::Negative { mode: self.negative.mode.into(), level: self.negative.level.into() },
            rate_table: contract::RateTable { matching: self.rate_table.r#match.into(), rows },
            rounding: self.rounding.into(),
            minimum_payout: self.minimum_payout.0,
            tiers_on_change: self.tiers_on_change.into(),
        })
    }
}

impl ScopeInput {
    async fn core(self, scoped: &Scoped, problems: &mut Vec<Problem>) -> domain::Result<contract::Scope> {
        if self.sources.len() > MAX_SOURCES {
            let message = format!("has {} entries; {MAX_SOURCES} are allowed", self.sources.len());
            return Err(Problem::new(Code::BadInput, "terms.scope.sources", message).into());
        }
        let mut ids = Vec::with_capacity(self.sources.len());
        for (position, source) in self.sources.iter().enumerate() {
            match sources::named(scoped, source).await {
                Ok(id) => ids.push(id),
                Err(Error::NotFound(_)) => {
                    let path = format!("scope.sources.{position}");
                    problems.push(Problem::new(Code::NotFound, path, "there is no such source"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(contract::Scope {
            sources: ids,
            products: self.products,
            categories: self.categories,
            segments: self.segments,
            tags: self.tags,
            regions: self.regions,
            channels: self.channels,
        })
    }
}

impl Cycle {
    fn core(self, problems: &mut Vec<Problem>) -> Option<contract::Cycle> {
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
        })
    }
}

impl From<BaseInput> for contract::Base {
    fn from(base: BaseInput) -> Self {
        match base {
            BaseInput::Ggr(ggr) => Self::Ggr(contract::GgrBase {
                bonus_treatment: ggr.bonus_treatment.into(),
                jackpots: ggr.jackpots.into(),
            }),
            BaseInput::Turnover(turnover) => {
                Self::Turnover(contract::TurnoverBase { bonus_treatment: turnover.bonus_treatment.into() })
            }
            BaseInput::Sales(_) => Self::Sales(contract::SalesBase {}),
        }
    }
}

impl RateRow {
    fn core(self, position: usize, problems: &mut Vec<Problem>) -> contract::RateRow {
        let path = format!("rateTable.rows.{position}");
        let percent = self.percent.map(|percent| rate(&percent, format!("{path}.percent"), problems));
        let tiers = self.tiers.map(|tiers| {
            let step = |(n, step): (usize, TierStep)| contract::TierStep {
                up_to: step.up_to.map(|up_to| up_to.0),
                percent: rate(&step.percent, format!("{path}.tiers.steps.{n}.percent"), problems),
            };
            contract::Tiers { mode: tiers.mode.into(), steps: tiers.steps.into_iter().enumerate().map(step).collect() }
        });
        contract::RateRow { code: self.code, when: self.when, percent, tiers }
    }
}

fn rate(text: &Decimal, path: String, problems: &mut Vec<Problem>) -> Rate {
    Rate::parse(&text.0).unwrap_or_else(|error| {
        problems.push(Problem::new(Code::BadAmount, path, error.to_string()));
        Rate::HUNDRED
    })
}
