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
    pub valid_from: Date,
    pub role: PartnerRole,
    pub scope: Scope,
    pub currency: String,
    pub attribution: Attribution,
    pub cycle: Cycle,
    pub base: Base,
    pub negative: Negative,
    pub rate_table: RateTable,
    pub rounding: Rounding,
    pub minimum_payout: Decimal,
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
    pub categories: Vec<String>,
    pub segments: Vec<String>,
    pub tags: Vec<String>,
    pub regions: Vec<String>,
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
    pub ggr: Option<GgrBase>,
    pub turnover: Option<TurnoverBase>,
    pub sales: Option<SalesBase>,
}

#[derive(SimpleObject)]
pub struct RateTable {
    pub r#match: Match,
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
