//! What rates apply to: the same words written and read back.

use async_graphql::{Enum, InputObject, OneofObject, SimpleObject};
use domain::contracts::contract;
use domain::money::{Price, Rate};
use domain::{Code, Problem};

use super::clauses::{BonusTreatment, JackpotBasis};
use super::page::short;
use super::scalars::Decimal;

/// What the rates apply to: one of its fields.
#[derive(OneofObject)]
pub enum BaseInput {
    /// Stakes less wins.
    Ggr(GgrBase),
    /// GGR less deductions.
    Ngr(NgrBaseInput),
    /// Stakes.
    Turnover(TurnoverBase),
    /// Sales less refunds: write `{}`.
    Sales(SalesBase),
    /// Stakes and sales, counted.
    Units(UnitsBase),
}

/// One of its fields is set.
#[derive(Default, SimpleObject)]
pub struct Base {
    /// Stakes less wins.
    pub ggr: Option<GgrBase>,
    /// GGR less deductions.
    pub ngr: Option<NgrBase>,
    /// Stakes.
    pub turnover: Option<TurnoverBase>,
    /// Sales less refunds.
    pub sales: Option<SalesBase>,
    /// Stakes and sales, counted.
    pub units: Option<UnitsBase>,
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

/// GGR less deductions.
#[derive(InputObject)]
pub struct NgrBaseInput {
    /// How bonus money counts.
    #[graphql(default_with = "BonusTreatment::Include")]
    bonus_treatment: BonusTreatment,
    /// When jackpots reduce it; `NONE` where a deduction takes them.
    #[graphql(default_with = "JackpotBasis::Accrual")]
    jackpots: JackpotBasis,
    /// In their order: each is taken after the one before it.
    deductions: Vec<DeductionInput>,
}

/// GGR less deductions.
#[derive(SimpleObject)]
pub struct NgrBase {
    /// How bonus money counts.
    pub bonus_treatment: BonusTreatment,
    /// When jackpots reduce it.
    pub jackpots: JackpotBasis,
    /// In their order: each is taken after the one before it.
    #[graphql(complexity = "short(child_complexity)")]
    pub deductions: Vec<Deduction>,
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

/// Stakes and sales, counted; a refund takes one back. Rates are prices for one.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "UnitsBaseInput", name = "UnitsBase")]
pub struct UnitsBase {
    /// Per cent of a unit that a promotional one (a bonus stake) counts: "0" is free, "100" like any other.
    #[graphql(default_with = "nothing()")]
    pub promotional: Decimal,
}

/// A step from GGR to NGR. It is never negative.
#[derive(InputObject)]
pub struct DeductionInput {
    /// What lines call it; once in a contract.
    code: String,
    /// How much.
    take: TakeInput,
    /// At most this; nothing of a negative base.
    cap: Option<PercentOf>,
}

/// A step from GGR to NGR. It is never negative.
#[derive(SimpleObject)]
pub struct Deduction {
    /// What lines call it.
    pub code: String,
    /// How much.
    pub take: Take,
    /// At most this; nothing of a negative base.
    pub cap: Option<PercentOf>,
}

/// How much is deducted: one of its fields.
#[derive(OneofObject)]
pub enum TakeInput {
    /// A percentage of a base.
    PercentOf(PercentOf),
    /// What transactions say that something cost.
    Costs(CostsInput),
    /// In major units, for a period; of part of a period, its days' part.
    Amount(Decimal),
}

/// How much is deducted: one of its fields is set.
#[derive(Default, SimpleObject)]
pub struct Take {
    /// A percentage of a base.
    pub percent_of: Option<PercentOf>,
    /// What transactions say that something cost.
    pub costs: Option<Costs>,
    /// In major units, for a period; of part of a period, its days' part.
    pub amount: Option<Decimal>,
}

/// A percentage of a base.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "PercentOfInput", name = "PercentOf")]
pub struct PercentOf {
    /// Per cent, from "0" to "100".
    pub percent: Decimal,
    /// Of what.
    pub of: DeductionBase,
}

/// What transactions say that something cost.
#[derive(InputObject)]
pub struct CostsInput {
    /// Whose costs.
    of: Vec<Cost>,
    /// The partner's share of them, in per cent.
    #[graphql(default_with = "whole()")]
    percent: Decimal,
}

/// What transactions say that something cost.
#[derive(SimpleObject)]
pub struct Costs {
    /// Whose costs.
    #[graphql(complexity = "short(child_complexity)")]
    pub of: Vec<Cost>,
    /// The partner's share of them, in per cent.
    pub percent: Decimal,
}

/// What a deduction is a percentage of.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::DeductionBase")]
pub enum DeductionBase {
    /// GGR, before any deduction.
    Ggr,
    /// What the deductions before it leave.
    Running,
    /// Stakes, with bonus stakes unless they are excluded.
    Turnover,
}

/// What costs a deduction takes.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "DeductionCost", remote = "contract::Cost")]
pub enum Cost {
    /// The face value of bonus stakes.
    BonusStakes,
    /// What bonus stakes won.
    BonusWins,
    /// Fees.
    Fees,
    /// Contributions to jackpots.
    JackpotContributions,
    /// What jackpots paid.
    JackpotWins,
}

pub fn nothing() -> Decimal {
    Decimal("0".to_owned())
}

pub fn whole() -> Decimal {
    Decimal("100".to_owned())
}

/// A percentage, or a problem at its path.
pub fn rate(text: &Decimal, path: String, problems: &mut Vec<Problem>) -> Rate {
    Rate::parse(&text.0).unwrap_or_else(|error| {
        problems.push(Problem::new(Code::BadAmount, path, error.to_string()));
        Rate::HUNDRED
    })
}

/// A price for a unit, or a problem at its path.
pub fn price(text: &Decimal, path: String, problems: &mut Vec<Problem>) -> Price {
    Price::parse(&text.0).unwrap_or_else(|error| {
        problems.push(Problem::new(Code::BadAmount, path, error.to_string()));
        Price::default()
    })
}

impl BaseInput {
    pub fn core(self, problems: &mut Vec<Problem>) -> contract::Base {
        match self {
            Self::Ggr(ggr) => contract::Base::Ggr(contract::GgrBase {
                bonus_treatment: ggr.bonus_treatment.into(),
                jackpots: ggr.jackpots.into(),
            }),
            Self::Ngr(ngr) => contract::Base::Ngr(contract::NgrBase {
                bonus_treatment: ngr.bonus_treatment.into(),
                jackpots: ngr.jackpots.into(),
                deductions: ngr.deductions.into_iter().enumerate().map(|(n, one)| one.core(n, problems)).collect(),
            }),
            Self::Turnover(turnover) => {
                contract::Base::Turnover(contract::TurnoverBase { bonus_treatment: turnover.bonus_treatment.into() })
            }
            Self::Sales(_) => contract::Base::Sales(contract::SalesBase {}),
            Self::Units(units) => contract::Base::Units(contract::UnitsBase {
                promotional: rate(&units.promotional, "base.units.promotional".to_owned(), problems),
            }),
        }
    }
}

impl DeductionInput {
    fn core(self, position: usize, problems: &mut Vec<Problem>) -> contract::Deduction {
        let path = format!("base.ngr.deductions.{position}");
        let take = match self.take {
            TakeInput::PercentOf(percent) => {
                contract::Take::PercentOf(percent.core(&format!("{path}.take.percentOf"), problems))
            }
            TakeInput::Costs(costs) => contract::Take::Costs(contract::Costs {
                of: costs.of.into_iter().map(contract::Cost::from).collect(),
                percent: rate(&costs.percent, format!("{path}.take.costs.percent"), problems),
            }),
            TakeInput::Amount(amount) => contract::Take::Amount(amount.0),
        };
        let cap = self.cap.map(|cap| cap.core(&format!("{path}.cap"), problems));
        contract::Deduction { code: self.code, take, cap }
    }
}

impl PercentOf {
    fn core(self, path: &str, problems: &mut Vec<Problem>) -> contract::PercentOf {
        contract::PercentOf { percent: rate(&self.percent, format!("{path}.percent"), problems), of: self.of.into() }
    }
}

impl From<contract::Base> for Base {
    fn from(base: contract::Base) -> Self {
        match base {
            contract::Base::Ggr(ggr) => {
                let ggr = GgrBase { bonus_treatment: ggr.bonus_treatment.into(), jackpots: ggr.jackpots.into() };
                Self { ggr: Some(ggr), ..Self::default() }
            }
            contract::Base::Ngr(ngr) => {
                let ngr = NgrBase {
                    bonus_treatment: ngr.bonus_treatment.into(),
                    jackpots: ngr.jackpots.into(),
                    deductions: ngr.deductions.into_iter().map(Deduction::from).collect(),
                };
                Self { ngr: Some(ngr), ..Self::default() }
            }
            contract::Base::Turnover(turnover) => {
                let turnover = TurnoverBase { bonus_treatment: turnover.bonus_treatment.into() };
                Self { turnover: Some(turnover), ..Self::default() }
            }
            contract::Base::Sales(_) => Self { sales: Some(SalesBase { nothing: None }), ..Self::default() },
            contract::Base::Units(units) => {
                let units = UnitsBase { promotional: Decimal(units.promotional.to_string()) };
                Self { units: Some(units), ..Self::default() }
            }
        }
    }
}

impl From<contract::PercentOf> for PercentOf {
    fn from(percent: contract::PercentOf) -> Self {
        Self { percent: Decimal(percent.percent.to_string()), of: percent.of.into() }
    }
}

impl From<contract::Deduction> for Deduction {
    fn from(deduction: contract::Deduction) -> Self {
        let take = match deduction.take {
            contract::Take::PercentOf(percent) => Take { percent_of: Some(percent.into()), ..Take::default() },
            contract::Take::Costs(costs) => {
                let of = costs.of.into_iter().map(Cost::from).collect();
                Take { costs: Some(Costs { of, percent: Decimal(costs.percent.to_string()) }), ..Take::default() }
            }
            contract::Take::Amount(amount) => Take { amount: Some(Decimal(amount)), ..Take::default() },
        };
        Self { code: deduction.code, take, cap: deduction.cap.map(PercentOf::from) }
    }
}
