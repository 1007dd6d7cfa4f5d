//! The terms of a contract's version as they read back.

use async_graphql::{ComplexObject, Context, SimpleObject};
use domain::contracts::contract;
use domain::ids::SourceId;

use super::bases::Base;
use super::calendars::PaymentTerms;
use super::clauses::{Attribution, Match, PartnerRole, Rounding, TiersOnChange, Weekday};
use super::cycles::{AlsoIn, CustomCycle, Cycle, LateWindow};
use super::errors::Failure;
use super::fees::{Advance, Fee, Prepaid};
use super::fences::RingFence;
use super::loaders;
use super::page::short;
use super::scalars::{Date, Decimal};
use super::sources::Source;
use super::splits::Split;
use super::terms::{Negative, Promotion, RateColumn, RateRow, TierStep, Tiers};

/// What is agreed with a partner from a day on, in the shape of `TermsInput`.
#[derive(SimpleObject)]
pub struct Terms {
    /// From the beginning of this local day on.
    pub valid_from: Date,
    /// The last local day on which it counts; when absent, it counts until another version takes over.
    pub valid_until: Option<Date>,
    /// The part that the partner plays.
    pub role: PartnerRole,
    /// Which transactions count.
    pub scope: Scope,
    /// Transactions in other currencies are not counted.
    pub currency: String,
    /// Further currencies, each settled by itself at the same rates.
    #[graphql(complexity = "short(child_complexity)")]
    pub also_in: Vec<AlsoIn>,
    /// The time by which a transaction belongs to a period.
    pub attribution: Attribution,
    /// How time is cut into periods.
    pub cycle: Cycle,
    /// How long late facts are awaited before a period can close.
    pub late_window: Option<LateWindow>,
    /// What the rates apply to.
    pub base: Base,
    /// What becomes of a negative base.
    pub negative: Negative,
    /// Players who win much are taken out of a negative base, and set off against themselves alone.
    pub ring_fence: Option<RingFence>,
    /// Which share of the base is owed.
    pub rate_table: RateTable,
    /// What is owed beside the shares.
    #[graphql(complexity = "short(child_complexity)")]
    pub fees: Vec<Fee>,
    /// In major units: shares and fees of a period come to no more; of part of a period, its days' part.
    pub cap: Option<Decimal>,
    /// In major units: shares and fees of a period come to no less; of part of a period, its days' part.
    pub minimum_guarantee: Option<Decimal>,
    /// Advances are recouped.
    pub advance: Option<Advance>,
    /// Play is paid with prepaid credit.
    pub prepaid: Option<Prepaid>,
    /// How a line is rounded to the minor unit, once.
    pub rounding: Rounding,
    /// In major units; a smaller total is carried over instead of being paid.
    pub minimum_payout: Decimal,
    /// Who gets which part of the total; null where the partner gets it all.
    pub split: Option<Split>,
    /// When what a settlement owes is due; null where nothing says so.
    pub payment: Option<PaymentTerms>,
    /// What tiers do when a version takes over inside a period.
    pub tiers_on_change: TiersOnChange,
    /// Stretches of time that the rate table can ask for; of several that are on, the first counts.
    #[graphql(complexity = "short(child_complexity)")]
    pub promotions: Vec<Promotion>,
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

/// Which share of the base is owed.
#[derive(SimpleObject)]
pub struct RateTable {
    /// Which row takes a transaction.
    pub r#match: Match,
    /// What the cells of each row are compared with.
    #[graphql(complexity = "short(child_complexity)")]
    pub columns: Vec<RateColumn>,
    /// The rate classes, in the order in which they are tried.
    #[graphql(complexity = "short(child_complexity)")]
    pub rows: Vec<RateRow>,
}

impl From<contract::Terms> for Terms {
    fn from(terms: contract::Terms) -> Self {
        let cycle = terms.cycle;
        let columns = terms.rate_table.columns.into_iter().map(|column| RateColumn { reads: column.reads });
        Self {
            valid_from: Date(terms.valid_from),
            valid_until: terms.valid_until.map(Date),
            role: terms.role.into(),
            scope: terms.scope.into(),
            currency: terms.currency,
            also_in: terms.also_in.into_iter().map(AlsoIn::from).collect(),
            attribution: terms.attribution.into(),
            cycle: Cycle {
                every: cycle.every.into(),
                time_zone: cycle.time_zone.name().to_owned(),
                cut_off_hour: cycle.cut_off_hour.into(),
                starts_on: cycle.starts_on.map(Weekday::from),
                custom: cycle.custom.map(CustomCycle::from),
            },
            late_window: terms.late_window.map(|window| LateWindow { days: window.days.into() }),
            base: terms.base.into(),
            negative: Negative { mode: terms.negative.mode.into(), level: terms.negative.level.into() },
            ring_fence: terms.ring_fence.map(RingFence::from),
            rate_table: RateTable {
                r#match: terms.rate_table.matching.into(),
                columns: columns.collect(),
                rows: terms.rate_table.rows.into_iter().map(RateRow::from).collect(),
            },
            fees: terms.fees.into_iter().map(Fee::from).collect(),
            cap: terms.cap.map(Decimal),
            minimum_guarantee: terms.minimum_guarantee.map(Decimal),
            advance: terms.advance.map(Advance::from),
            prepaid: terms.prepaid.map(Prepaid::from),
            rounding: terms.rounding.into(),
            minimum_payout: Decimal(terms.minimum_payout),
            split: terms.split.map(Split::from),
            payment: terms.payment.map(PaymentTerms::from),
            tiers_on_change: terms.tiers_on_change.into(),
            promotions: terms.promotions.into_iter().map(Promotion::from).collect(),
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

impl From<contract::RateRow> for RateRow {
    fn from(row: contract::RateRow) -> Self {
        let tiers = |tiers: contract::Tiers| Tiers {
            mode: tiers.mode.into(),
            period: tiers.period.into(),
            reads: tiers.reads.into(),
            steps: tiers.steps.into_iter().map(TierStep::from).collect(),
        };
        Self {
            code: row.code,
            when: row.when,
            cells: row.cells,
            percent: row.percent.map(|percent| Decimal(percent.to_string())),
            per_unit: row.per_unit.map(|one| Decimal(one.to_string())),
            tiers: row.tiers.map(tiers),
        }
    }
}

impl From<contract::TierStep> for TierStep {
    fn from(step: contract::TierStep) -> Self {
        Self {
            up_to: step.up_to.map(Decimal),
            percent: step.percent.map(|percent| Decimal(percent.to_string())),
            per_unit: step.per_unit.map(|one| Decimal(one.to_string())),
        }
    }
}
