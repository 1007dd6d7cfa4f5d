//! The time machine: what a version of a contract would have paid for a time that is past.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject};
use domain::ids::{ContractId, PartnerId};
use domain::money::{Asset, Minor, Rate, Units};
use domain::replay::difference::{Both, Share};
use domain::replay::{self, Ask, Simulated, Step};
use domain::{Error, Scoped};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::errors::{Failure, UserError, outcome};
use super::ids::id;
use super::lines::LineCode;
use super::loaders;
use super::money::{of_minor, of_units};
use super::page::short;
use super::partners::Partner;
use super::scalars::{Date, DateTime, Decimal, Money};

/// Rows of a list in an answer; each list says how many there are.
const MOST_ROWS: usize = 500;

/// What `simulateContractVersion` takes.
#[derive(InputObject)]
pub struct SimulateContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// Its version: a draft, or any other.
    version: i64,
    /// The first day of the time to replay, in the zone of the version's cycle.
    from: Date,
    /// The last day; at most three years after the first, and not in the future.
    to: Date,
    /// One of the version's currencies; that of its terms when absent.
    currency: Option<String>,
}

/// One event of `simulateContractVersion`: how far it is or, as the last, what came of it.
#[derive(SimpleObject)]
pub struct SimulateContractVersionPayload {
    /// How far it is.
    pub progress: Option<SimulationProgress>,
    /// What came of it.
    pub simulation: Option<ContractSimulation>,
    /// What should have been done otherwise.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What a simulation is doing.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "replay::Phase")]
pub enum SimulationPhase {
    /// Transactions are copied, as far as they are not there from the last time.
    Extracting,
    /// They are priced under the versions in force and under the one that is tried.
    Replaying,
}

/// How far a simulation is.
#[derive(SimpleObject)]
pub struct SimulationProgress {
    /// What it is doing.
    pub phase: SimulationPhase,
    /// Transactions that are done.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// What a version would have paid for a time that is past, beside what the versions in force come to. Amounts are
/// positive where the tenant owes them. Every fact counts in its own period, so that corrections of the window's periods are in them.
#[derive(SimpleObject)]
pub struct ContractSimulation {
    /// Where the first period begins: the window is grown to whole periods.
    pub window_start: DateTime,
    /// Where the last period ends.
    pub window_end: DateTime,
    /// All settlements of the window.
    pub total: SimulatedAmount,
    /// What of the total belongs to no rate class, such as amounts that are carried in and over.
    pub apart: SimulatedAmount,
    /// Transactions that are covered and cannot be counted.
    pub failed: SimulatedCount,
    /// Transactions that wait for their rounds to close.
    pub waiting: SimulatedCount,
    /// In the order of time: the first 500.
    #[graphql(complexity = "short(child_complexity)")]
    pub periods: Vec<SimulatedPeriod>,
    /// How many there are.
    pub period_count: u64,
    /// The 500 that differ most.
    #[graphql(complexity = "short(child_complexity)")]
    pub lines: Vec<SimulatedLine>,
    /// How many there are.
    pub line_count: u64,
    /// The 500 that differ most.
    #[graphql(complexity = "short(child_complexity)")]
    pub classes: Vec<SimulatedClass>,
    /// How many there are.
    pub class_count: u64,
    /// The 500 that differ most; they add up to the total less what stands apart.
    #[graphql(complexity = "short(child_complexity)")]
    pub products: Vec<SimulatedProduct>,
    /// How many there are.
    pub product_count: u64,
    /// Who would be paid.
    #[graphql(complexity = "short(child_complexity)")]
    pub partners: Vec<SimulatedPartner>,
}

/// An amount under both.
#[derive(SimpleObject)]
pub struct SimulatedAmount {
    /// Under the versions in force.
    pub settled: Money,
    /// Under the version that is tried.
    pub drafted: Money,
    /// How much more the latter is.
    pub difference: Money,
}

impl SimulatedAmount {
    fn new(asset: &Asset, both: Both<Minor>) -> Self {
        Self {
            settled: of_minor(asset, both.settled),
            drafted: of_minor(asset, both.drafted),
            difference: of_minor(asset, both.difference()),
        }
    }
}

/// A number of transactions under both.
#[derive(SimpleObject)]
pub struct SimulatedCount {
    /// Under the versions in force.
    pub settled: i64,
    /// Under the version that is tried.
    pub drafted: i64,
}

impl From<Both<i64>> for SimulatedCount {
    fn from(Both { settled, drafted }: Both<i64>) -> Self {
        Self { settled, drafted }
    }
}

impl From<Both<u64>> for SimulatedCount {
    fn from(Both { settled, drafted }: Both<u64>) -> Self {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Self { settled: count(settled), drafted: count(drafted) }
    }
}

/// A base under both.
#[derive(SimpleObject)]
pub struct SimulatedBase {
    /// Under the versions in force; null where there is none.
    pub settled: Option<Money>,
    /// Under the version that is tried; null where there is none.
    pub drafted: Option<Money>,
}

impl SimulatedBase {
    fn new(asset: &Asset, both: Both<Option<Units>>) -> Self {
        let money = |base: Option<Units>| base.map(|base| of_units(asset, base));
        Self { settled: money(both.settled), drafted: money(both.drafted) }
    }

    fn whole(asset: &Asset, both: Both<Units>) -> Self {
        Self::new(asset, Both { settled: Some(both.settled), drafted: Some(both.drafted) })
    }
}

/// A rate under both.
#[derive(SimpleObject)]
pub struct SimulatedRate {
    /// Per cent, under the versions in force; null where there is none or several made the amount.
    pub settled: Option<Decimal>,
    /// Per cent, under the version that is tried; null where there is none or several made the amount.
    pub drafted: Option<Decimal>,
}

impl From<Both<Option<Rate>>> for SimulatedRate {
    fn from(both: Both<Option<Rate>>) -> Self {
        let rate = |rate: Option<Rate>| rate.map(|rate| Decimal(rate.to_string()));
        Self { settled: rate(both.settled), drafted: rate(both.drafted) }
    }
}

/// Counted units under both.
#[derive(SimpleObject)]
pub struct SimulatedUnits {
    /// Under the versions in force; null where the line has none.
    pub settled: Option<Decimal>,
    /// Under the version that is tried; null where the line has none.
    pub drafted: Option<Decimal>,
}

impl SimulatedUnits {
    fn new(asset: &Asset, both: Both<Option<Units>>) -> Self {
        let count = |units: Option<Units>| units.map(|units| Decimal(asset.format_units(units)));
        Self { settled: count(both.settled), drafted: count(both.drafted) }
    }
}

/// A settlement's period under both. Where the version that is tried has another cycle, one side of it is zero.
#[derive(SimpleObject)]
pub struct SimulatedPeriod {
    /// This instant included.
    pub period_start: DateTime,
    /// This instant not included.
    pub period_end: DateTime,
    /// What is owed for it.
    pub total: SimulatedAmount,
    /// Transactions that it counts.
    pub transactions: SimulatedCount,
}

/// A line of a period under both, however many versions it comes from.
#[derive(SimpleObject)]
pub struct SimulatedLine {
    /// Where its period begins.
    pub period_start: DateTime,
    /// What kind of line it is.
    pub code: LineCode,
    /// The code of the rate table's row; null where the line is of none.
    pub rate_class: Option<String>,
    /// The code of the deduction or fee, or the clause that holds the sum.
    pub clause: Option<String>,
    /// What the rate applies to; null where units are counted.
    pub base: Option<SimulatedBase>,
    /// What the price applies to, where units are counted.
    pub units: Option<SimulatedUnits>,
    /// The rate, where there is one.
    pub rate: SimulatedRate,
    /// What the line adds to the total.
    pub amount: SimulatedAmount,
}

/// A rate class of the whole window under both.
#[derive(SimpleObject)]
pub struct SimulatedClass {
    /// The code of the rate table's row.
    pub rate_class: String,
    /// What its transactions add to the base, before netting.
    pub base: SimulatedBase,
    /// What its lines come to.
    pub amount: SimulatedAmount,
    /// Transactions that it counts.
    pub transactions: SimulatedCount,
}

/// A product of the whole window under both. Of each line it has the part that it has of the line's base.
#[derive(SimpleObject)]
pub struct SimulatedProduct {
    /// Its code; null for transactions that name none.
    pub product: Option<String>,
    /// What its transactions add to the base, before netting.
    pub base: SimulatedBase,
    /// Its part of the lines of its rate classes.
    pub amount: SimulatedAmount,
    /// Its transactions.
    pub transactions: SimulatedCount,
}

/// A partner under both.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SimulatedPartner {
    /// What the partner is owed for the window.
    pub total: SimulatedAmount,
    #[graphql(skip)]
    partner: PartnerId,
}

#[ComplexObject]
impl SimulatedPartner {
    /// Who it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner, Failure> {
        Ok(loaders::required(ctx, self.partner, "partner").await?.into())
    }
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn first<T, N>(rows: Vec<T>, made: impl Fn(T) -> N) -> Vec<N> {
    rows.into_iter().take(MOST_ROWS).map(made).collect()
}

impl From<Simulated> for ContractSimulation {
    fn from(simulated: Simulated) -> Self {
        let asset = &simulated.asset;
        let amount = |both| SimulatedAmount::new(asset, both);
        let share = |Share { base, amount: of, transactions }: Share| {
            (SimulatedBase::whole(asset, base), amount(of), SimulatedCount::from(transactions))
        };
        Self {
            window_start: simulated.window.start.into(),
            window_end: simulated.window.end.into(),
            total: amount(simulated.total),
            apart: amount(simulated.apart),
            failed: simulated.failed.into(),
            waiting: simulated.waiting.into(),
            period_count: count(&simulated.periods),
            periods: first(simulated.periods, |row| SimulatedPeriod {
                period_start: row.period.start.into(),
                period_end: row.period.end.into(),
                total: amount(row.total),
                transactions: row.transactions.into(),
            }),
            line_count: count(&simulated.lines),
            lines: first(simulated.lines, |row| SimulatedLine {
                period_start: row.period.start.into(),
                code: row.code.into(),
                rate_class: row.rate_class,
                clause: row.clause,
                base: (!row.code.counts_units()).then(|| SimulatedBase::new(asset, row.base)),
                units: row.code.counts_units().then(|| SimulatedUnits::new(asset, row.base)),
                rate: row.rate.into(),
                amount: amount(row.amount),
            }),
            class_count: count(&simulated.classes),
            classes: first(simulated.classes, |row| {
                let (base, amount, transactions) = share(row.sums);
                SimulatedClass { rate_class: row.rate_class, base, amount, transactions }
            }),
            product_count: count(&simulated.products),
            products: first(simulated.products, |row| {
                let (base, amount, transactions) = share(row.sums);
                SimulatedProduct { product: row.product, base, amount, transactions }
            }),
            partners: first(simulated.partners, |row| SimulatedPartner {
                total: amount(row.total),
                partner: row.partner,
            }),
        }
    }
}

impl SimulateContractVersionPayload {
    fn of(step: Step) -> Result<Self, Failure> {
        let empty = Self { progress: None, simulation: None, user_errors: Vec::new() };
        Ok(match step {
            Step::Progress(replay::Progress { phase, done, of }) => {
                Self { progress: Some(SimulationProgress { phase: phase.into(), done, of }), ..empty }
            }
            Step::Done(simulated) => Self { simulation: Some((*simulated).into()), ..empty },
            Step::Failed(error) => Self { user_errors: refused(error)?, ..empty },
        })
    }
}

/// What the client should have asked otherwise; anything else is a failure.
fn refused(error: Error) -> Result<Vec<UserError>, Failure> {
    Ok(outcome::<()>(Err(error.into()))?.1)
}

/// The events of a simulation, until its outcome. Dropped, it stops.
pub(super) type Events = BoxStream<'static, Result<SimulateContractVersionPayload, async_graphql::Error>>;

pub(super) async fn simulate(scoped: &Scoped, input: SimulateContractVersionInput) -> Result<Events, Failure> {
    let ask = Ask {
        contract: id(&input.contract_id, ContractId::parse),
        version: input.version,
        from: input.from.0,
        to: input.to.0,
        currency: input.currency,
    };
    match scoped.simulate_contract_version(ask).await {
        Ok(simulation) => Ok(simulation.map(|step| Ok(SimulateContractVersionPayload::of(step)?)).boxed()),
        Err(error) => {
            let user_errors = refused(error)?;
            let payload = SimulateContractVersionPayload { progress: None, simulation: None, user_errors };
            Ok(stream::iter([Ok(payload)]).boxed())
        }
    }
}
