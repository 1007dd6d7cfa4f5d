//! The terms of a contract's version as they read back.

use async_graphql::{ComplexObject, Context, SimpleObject};
use domain::contracts::contract;
use domain::ids::SourceId;

use super::clauses::{Attribution, Match, PartnerRole, Rounding, TiersOnChange, Weekday};
use super::errors::Failure;
use super::loaders;
use super::page::short;
use super::scalars::{Date, Decimal};
use super::sources::Source;
use super::terms::{Cycle, GgrBase, Negative, RateRow, SalesBase, TierStep, Tiers, TurnoverBase};

/// What is agreed with a partner from a day on, in the shape of `TermsInput`.
#[derive(SimpleObject)]
pub struct Terms {
    /// From the beginning of this local day on.
    pub valid_from: Date,
    /// The part that the partner plays.
    pub role: PartnerRole,
    /// Which transactions count.
    pub scope: Scope,
    /// Transactions in other currencies are not counted.
    pub currency: String,
    /// The time by which a transaction belongs to a period.
    pub attribution: Attribution,
    /// How time is cut into periods.
    pub cycle: Cycle,
    /// What the rates apply to.
    pub base: Base,
    /// What becomes of a negative base.
    pub negative: Negative,
    /// Which share of the base is owed.
    pub rate_table: RateTable,
    /// How a line is rounded to the minor unit, once.
    pub rounding: Rounding,
    /// In major units; a smaller total is carried over instead of being paid.
    pub minimum_payout: Decimal,
    /// What tiers do when a version takes over inside a period.
    pub tiers_on_change: TiersOnChange,
}

/// Which transactions the contract counts. An empty list means all.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Scope {
    #[graphql(skip)]
    sources: Vec<SourceId>,
    /// Codes.
    pub products: Vec<String>,
    /// Categories of products.
    pub categories: Vec<String>,
    /// Segments of players.
    pub segments: Vec<String>,
    /// Tags that contracts can ask for.
    pub tags: Vec<String>,
    /// Regions, as sources write them.
    pub regions: Vec<String>,
    /// Channels, as sources write them.
    pub channels: Vec<String>,
}

#[ComplexObject]
impl Scope {
    /// Null in place of one that you may not see.
    #[graphql(complexity = "short(child_complexity)")]
    async fn sources(&self, ctx: &Context<'_>) -> Result<Vec<Option<Source>>, Failure> {
        let found = loaders::many(ctx, self.sources.iter().copied()).await?;
        Ok(self.sources.iter().map(|id| found.get(id).cloned().map(Source::from)).collect())
    }
}

/// One of its fields is set.
#[derive(Default, SimpleObject)]
pub struct Base {
    /// Stakes less wins.
    pub ggr: Option<GgrBase>,
    /// Stakes.
    pub turnover: Option<TurnoverBase>,
    /// Sales less refunds.
    pub sales: Option<SalesBase>,
}

/// Which share of the base is owed.
#[derive(SimpleObject)]
pub struct RateTable {
    /// Which row takes a transaction.
    pub r#match: Match,
    /// The rate classes, in the order in which they are tried.
    #[graphql(complexity = "short(child_complexity)")]
    pub rows: Vec<RateRow>,
}

impl From<contract::Terms> for Terms {
    fn from(terms: contract::Terms) -> Self {
        let cycle = terms.cycle;
        Self {
            valid_from: Date(terms.valid_from),
            role: terms.role.into(),
            scope: terms.scope.into(),
            currency: terms.currency,
            attribution: terms.attribution.into(),
            cycle: Cycle {
                every: cycle.every.into(),
                time_zone: cycle.time_zone.name().to_owned(),
                cut_off_hour: cycle.cut_off_hour.into(),
                starts_on: cycle.starts_on.map(Weekday::from),
            },
            base: terms.base.into(),
            negative: Negative { mode: terms.negative.mode.into(), level: terms.negative.level.into() },
            rate_table: RateTable {
                r#match: terms.rate_table.matching.into(),
                rows: terms.rate_table.rows.into_iter().map(RateRow::from).collect(),
            },
            rounding: terms.rounding.into(),
            minimum_payout: Decimal(terms.minimum_payout),
            tiers_on_change: terms.tiers_on_change.into(),
        }
    }
}

impl From<contract::Scope> for Scope {
    fn from(scope: contract::Scope) -> Self {
        Self {
            sources: scope.sources,
            products: scope.products,
            categories: scope.categories,
            segments: scope.segments,
            tags: scope.tags,
            regions: scope.regions,
            channels: scope.channels,
        }
    }
}

impl From<contract::Base> for Base {
    fn from(base: contract::Base) -> Self {
        match base {
            contract::Base::Ggr(ggr) => {
                let ggr = GgrBase { bonus_treatment: ggr.bonus_treatment.into(), jackpots: ggr.jackpots.into() };
                Self { ggr: Some(ggr), ..Self::default() }
            }
            contract::Base::Turnover(turnover) => {
                let turnover = TurnoverBase { bonus_treatment: turnover.bonus_treatment.into() };
                Self { turnover: Some(turnover), ..Self::default() }
            }
            contract::Base::Sales(_) => Self { sales: Some(SalesBase { nothing: None }), ..Self::default() },
        }
    }
}

impl From<contract::RateRow> for RateRow {
    fn from(row: contract::RateRow) -> Self {
        let tiers = |tiers: contract::Tiers| Tiers {
            mode: tiers.mode.into(),
            steps: tiers
                .steps
                .into_iter()
                .map(|step| TierStep { up_to: step.up_to.map(Decimal), percent: Decimal(step.percent.to_string()) })
                .collect(),
        };
        Self {
            code: row.code,
            when: row.when,
            percent: row.percent.map(|percent| Decimal(percent.to_string())),
            tiers: row.tiers.map(tiers),
        }
    }
}
