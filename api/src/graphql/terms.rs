//! The terms of a contract's version as they are written. How they read back is in `agreed.rs`.

use async_graphql::{ComplexObject, InputObject, SimpleObject};
use domain::contracts::contract;
use domain::{Code, Error, Problem, Scoped};

use super::bases::{BaseInput, price, rate};
use super::calendars::PaymentTerms;
use super::clauses::{
    Attribution, Level, Match, NegativeMode, PartnerRole, Rounding, TierMode, TierPeriod, TierReads, TiersOnChange,
};
use super::cycles::{AlsoIn, Cycle, LateWindow};
use super::fees::{Advance, FeeInput, Prepaid};
use super::fences::RingFence;
use super::page::short;
use super::scalars::{Date, Decimal};
use super::sources;
use super::splits::SplitInput;

/// What is agreed with a partner from a day on.
#[derive(InputObject)]
pub struct TermsInput {
    /// From the beginning of this local day on.
    valid_from: Date,
    /// The last local day on which it counts; when absent, it counts until another version takes over.
    valid_until: Option<Date>,
    /// The part that the partner plays.
    role: PartnerRole,
    /// Which transactions count.
    #[graphql(default)]
    scope: ScopeInput,
    /// Transactions in other currencies are not counted.
    currency: String,
    /// Further currencies, each settled by itself at the same rates.
    #[graphql(default)]
    also_in: Vec<AlsoIn>,
    /// The time by which a transaction belongs to a period.
    #[graphql(default_with = "Attribution::Occurred")]
    attribution: Attribution,
    /// How time is cut into periods.
    cycle: Cycle,
    /// How long late facts are awaited before a period can close.
    late_window: Option<LateWindow>,
    /// What the rates apply to.
    base: BaseInput,
    /// What becomes of a negative base.
    negative: Negative,
    /// Players who win much are taken out of a negative base, and set off against themselves alone.
    ring_fence: Option<RingFence>,
    /// Which share of the base is owed.
    rate_table: RateTableInput,
    /// What is owed beside the shares.
    #[graphql(default)]
    fees: Vec<FeeInput>,
    /// In major units: shares and fees of a period come to no more; of part of a period, its days' part.
    cap: Option<Decimal>,
    /// In major units: shares and fees of a period come to no less; of part of a period, its days' part.
    minimum_guarantee: Option<Decimal>,
    /// Advances are recouped.
    advance: Option<Advance>,
    /// Play is paid with prepaid credit.
    prepaid: Option<Prepaid>,
    /// How a line is rounded to the minor unit, once.
    #[graphql(default_with = "Rounding::HalfEven")]
    rounding: Rounding,
    /// In major units; a smaller total is carried over instead of being paid.
    #[graphql(default_with = "Decimal(\"0\".to_owned())")]
    minimum_payout: Decimal,
    /// Who gets which part of the total; the partner gets it all when absent.
    split: Option<SplitInput>,
    /// When what a settlement owes is due; when absent, nothing says so.
    payment: Option<PaymentTerms>,
    /// What tiers do when a version takes over inside a period.
    #[graphql(default_with = "TiersOnChange::Continue")]
    tiers_on_change: TiersOnChange,
    /// Stretches of time that the rate table can ask for; of several that are on, the first counts.
    #[graphql(default)]
    promotions: Vec<Promotion>,
}

/// A stretch of time in which `promotion` is its code, for all products or some.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "PromotionInput", name = "Promotion")]
pub struct Promotion {
    /// What a rate table asks for.
    pub code: String,
    /// An instant, such as "2021-12-24T00:00:00Z", or a time on the clocks of the cycle's zone, "2021-12-24T00:00".
    #[graphql(name = "from")]
    pub begins: String,
    /// Written like `from`, and not in the promotion any more.
    pub until: String,
    /// Product codes; none means all, and what has no product.
    #[graphql(default)]
    pub products: Vec<String>,
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
    /// What the cells of each row are compared with.
    #[graphql(default)]
    columns: Vec<RateColumn>,
    /// The rate classes, in the order in which they are tried.
    rows: Vec<RateRow>,
}

/// What the cells of a column are compared with.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "RateColumnInput", name = "RateColumn")]
pub struct RateColumn {
    /// What a `when` may read, by its name: "localHour", "attributes.shop", "number(attributes.level)".
    pub reads: String,
}

/// One rate class, with a percentage, a price or tiers.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "RateRowInput", name = "RateRow")]
pub struct RateRow {
    /// What lines call the class; once in a table.
    pub code: String,
    /// A zen-expression such as `localHour < 6`, which has to hold beside the cells.
    pub when: Option<String>,
    /// One for each column from the first on, such as "0..6" or "not slots, live"; an empty one and those at the end
    /// that are not given are anything.
    #[graphql(default)]
    pub cells: Vec<String>,
    /// Per cent of the whole base of the class, such as "8"; or else `tiers`.
    pub percent: Option<Decimal>,
    /// Of the base `units`: the price of one, in major units; or else `tiers`.
    pub per_unit: Option<Decimal>,
    /// Rates by the size of the base.
    pub tiers: Option<Tiers>,
}

/// Rates by the size of the base.
#[derive(InputObject, SimpleObject)]
#[graphql(complex, input_name = "TiersInput", name = "Tiers")]
pub struct Tiers {
    /// Whether a step rates its slice or the whole base.
    pub mode: TierMode,
    /// What fills the steps.
    #[graphql(default_with = "TierPeriod::Settlement")]
    pub period: TierPeriod,
    /// Whether what is carried in takes up steps.
    #[graphql(default_with = "TierReads::AfterCarry")]
    pub reads: TierReads,
    /// From the lowest up.
    #[graphql(skip_output)]
    pub steps: Vec<TierStep>,
}

/// A percentage, or a price, up to a size of the base.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "TierStepInput", name = "TierStep")]
pub struct TierStep {
    /// In major units, or units where those are counted, this one included; the last step has none.
    pub up_to: Option<Decimal>,
    /// Per cent, such as "8".
    pub percent: Option<Decimal>,
    /// Of the base `units`: the price of one, in major units.
    pub per_unit: Option<Decimal>,
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
        let columns = self.rate_table.columns.into_iter().map(|column| contract::Column { reads: column.reads });
        let columns = columns.collect();
        let rows: Vec<_> =
            self.rate_table.rows.into_iter().enumerate().map(|(n, row)| row.core(n, &mut problems)).collect();
        let base = self.base.core(&mut problems);
        let advance = self.advance.map(|advance| advance.core(&mut problems));
        let split = self.split.map(|split| split.core(&mut problems));
        let fees = self.fees.into_iter().enumerate().map(|(n, fee)| fee.core(n, &mut problems)).collect();
        let also_in = self.also_in.into_iter().enumerate();
        let also_in = also_in.map(|(n, also)| also.core(n, &mut problems)).collect();
        let payment = self.payment.map(|payment| payment.core(&mut problems));
        let late_window = self.late_window.map(|window| window.core(&mut problems));
        let Some(cycle) = cycle.filter(|_| problems.is_empty()) else {
            return Err(Error::Invalid(problems.into_iter().map(|problem| problem.under("terms")).collect()));
        };
        Ok(contract::Terms {
            valid_from: self.valid_from.0,
            valid_until: self.valid_until.map(|last| last.0),
            role: self.role.into(),
            scope,
            currency: self.currency,
            also_in,
            attribution: self.attribution.into(),
            cycle,
            late_window,
            base,
            negative: contract::Negative { mode: self.negative.mode.into(), level: self.negative.level.into() },
            ring_fence: self.ring_fence.map(contract::RingFence::from),
            rate_table: contract::RateTable { matching: self.rate_table.r#match.into(), columns, rows },
            fees,
            cap: self.cap.map(|cap| cap.0),
            minimum_guarantee: self.minimum_guarantee.map(|amount| amount.0),
            advance,
            prepaid: self.prepaid.map(contract::Prepaid::from),
            rounding: self.rounding.into(),
            minimum_payout: self.minimum_payout.0,
            split,
            payment,
            tiers_on_change: self.tiers_on_change.into(),
            promotions: self.promotions.into_iter().map(contract::Promotion::from).collect(),
        })
    }
}

impl ScopeInput {
    /// Paths are under the terms, but for that of too many sources.
    pub(super) async fn core(self, scoped: &Scoped, problems: &mut Vec<Problem>) -> domain::Result<contract::Scope> {
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

impl From<Promotion> for contract::Promotion {
    fn from(promotion: Promotion) -> Self {
        let Promotion { code, begins, until, products } = promotion;
        Self { code, from: begins, until, products }
    }
}

impl From<contract::Promotion> for Promotion {
    fn from(promotion: contract::Promotion) -> Self {
        let contract::Promotion { code, from, until, products } = promotion;
        Self { code, begins: from, until, products }
    }
}

impl RateRow {
    fn core(self, position: usize, problems: &mut Vec<Problem>) -> contract::RateRow {
        let path = format!("rateTable.rows.{position}");
        let percent = self.percent.map(|percent| rate(&percent, format!("{path}.percent"), problems));
        let per_unit = self.per_unit.map(|one| price(&one, format!("{path}.perUnit"), problems));
        let tiers = self.tiers.map(|tiers| {
            let mut step = |(n, step): (usize, TierStep)| {
                let path = format!("{path}.tiers.steps.{n}");
                contract::TierStep {
                    up_to: step.up_to.map(|up_to| up_to.0),
                    percent: step.percent.map(|percent| rate(&percent, format!("{path}.percent"), problems)),
                    per_unit: step.per_unit.map(|one| price(&one, format!("{path}.perUnit"), problems)),
                }
            };
            contract::Tiers {
                mode: tiers.mode.into(),
                period: tiers.period.into(),
                reads: tiers.reads.into(),
                steps: tiers.steps.into_iter().enumerate().map(&mut step).collect(),
            }
        });
        contract::RateRow { code: self.code, when: self.when, cells: self.cells, percent, per_unit, tiers }
    }
}
