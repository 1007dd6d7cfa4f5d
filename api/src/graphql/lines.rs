//! The lines of a settlement.

use async_graphql::{ComplexObject, Context, Enum, SimpleObject};
use domain::ids::SettlementId;
use domain::money::Asset;
use domain::settlements::settlement::{self, LineCode as CoreCode};

use super::errors::Failure;
use super::loaders;
use super::money::{of_minor, of_units};
use super::scalars::{Decimal, Money};
use super::settlements::Settlement;

/// What kind of line it is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "SettlementLineCode", remote = "settlement::LineCode")]
pub enum LineCode {
    /// The GGR of a rate class before its deductions; no amount.
    Gross,
    /// What a deduction takes from a rate class, a negative base; no amount.
    Deduction,
    /// The base of a rate class before netting, where netting changed it; no amount.
    Base,
    /// What players lost again that stood against them alone, a negative base; no amount.
    RingFenceOffset,
    /// What players won that is taken out of a negative total, and stands against them alone; no amount.
    RingFenced,
    /// The base carried in; no amount.
    CarriedBase,
    /// The units of a rate class before netting, where netting changed them; no amount.
    Units,
    /// The units carried in; no amount.
    CarriedUnits,
    /// The share of a rate class's netted base.
    RevenueShare,
    /// What the units of a rate class cost.
    PerUnit,
    /// A fee.
    Fee,
    /// What is above the cap, negative.
    Cap,
    /// What is missing to the guaranteed minimum.
    Guarantee,
    /// What late facts change in a closed settlement.
    Correction,
    /// Paid with prepaid credit: its base is what was drawn.
    Drawn,
    /// Earned before, and below the minimum payout then.
    CarriedIn,
    /// Kept back for advances.
    Recouped,
    /// Below the minimum payout, taken over to the next period.
    CarriedOut,
}

/// One line of a settlement.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SettlementLine {
    /// What kind of line it is.
    pub code: LineCode,
    /// The line in words.
    pub label: String,
    /// The code of the rate table's row.
    pub rate_class: Option<String>,
    /// The code of the deduction or fee, or the clause that holds the sum: `cap` or `minimumGuarantee`.
    pub clause: Option<String>,
    /// The version of the contract's terms that it follows.
    pub version: i64,
    /// What the rate applies to; null where there is none, or where units are counted.
    pub base: Option<Money>,
    /// What the price applies to, where units are counted.
    pub units: Option<Decimal>,
    /// Per cent, or the price of a unit in major units; null where several rates made the amount.
    pub rate: Option<Decimal>,
    /// What the line adds to the total.
    pub amount: Money,
    #[graphql(skip)]
    corrects: Option<SettlementId>,
}

impl SettlementLine {
    pub fn new(line: settlement::Line, asset: &Asset) -> Self {
        let (base, units) = if line.code.counts_units() { (None, line.base) } else { (line.base, None) };
        Self {
            code: line.code.into(),
            label: label(&line),
            version: line.version,
            base: base.map(|base| of_units(asset, base)),
            units: units.map(|units| Decimal(short(asset.format_units(units)))),
            rate: line.rate.map(|rate| Decimal(rate.to_string())),
            amount: of_minor(asset, line.amount),
            corrects: line.corrects,
            rate_class: line.rate_class,
            clause: line.clause,
        }
    }
}

/// A count without the zeros that money has.
fn short(count: String) -> String {
    if count.contains('.') { count.trim_end_matches('0').trim_end_matches('.').to_owned() } else { count }
}

#[ComplexObject]
impl SettlementLine {
    /// The closed settlement that a correction repairs.
    async fn corrects(&self, ctx: &Context<'_>) -> Result<Option<Settlement>, Failure> {
        let Some(id) = self.corrects else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(Settlement::from))
    }
}

fn label(line: &settlement::Line) -> String {
    let text = match line.code {
        CoreCode::Gross => "GGR before deductions",
        CoreCode::Deduction => "Deduction",
        CoreCode::Base => "Base before netting",
        CoreCode::RingFenceOffset => "Lost again by players of the ring-fence",
        CoreCode::RingFenced => "Taken out for players of the ring-fence",
        CoreCode::CarriedBase => "Negative base carried in",
        CoreCode::Units => "Units before netting",
        CoreCode::CarriedUnits => "Units carried in",
        CoreCode::RevenueShare => "Revenue share",
        CoreCode::PerUnit => "Price of units",
        CoreCode::Fee => "Fee",
        CoreCode::Cap => "Above the cap",
        CoreCode::Guarantee => "Up to the guaranteed minimum",
        CoreCode::Correction => "Correction of a closed period",
        CoreCode::Drawn => "Paid with prepaid credit",
        CoreCode::Recouped => "Kept back for advances",
        CoreCode::CarriedIn => "Carried in: below the minimum payout before",
        CoreCode::CarriedOut => "Carried over: below the minimum payout",
    };
    let bounds = matches!(line.code, CoreCode::Cap | CoreCode::Guarantee);
    let clause = line.clause.as_deref().filter(|_| !bounds);
    let named = [clause, line.rate_class.as_deref()];
    named.into_iter().flatten().fold(text.to_owned(), |text, name| format!("{text}, {name}"))
}
