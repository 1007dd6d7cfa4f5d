//! What is owed beside the shares, and what is paid beforehand: the same words written and read back.

use async_graphql::{InputObject, OneofObject, SimpleObject};
use domain::Problem;
use domain::contracts::contract;

use super::bases::{nothing, price, rate, whole};
use super::scalars::Decimal;

/// Owed whatever the shares come to.
#[derive(InputObject)]
pub struct FeeInput {
    /// What lines call it; once in a contract.
    code: String,
    /// How much.
    charge: ChargeInput,
}

/// Owed whatever the shares come to.
#[derive(SimpleObject)]
pub struct Fee {
    /// What lines call it.
    pub code: String,
    /// How much.
    pub charge: Charge,
}

/// How much a fee is: one of its fields.
#[derive(OneofObject)]
pub enum ChargeInput {
    /// In major units, for a period; negative where the partner owes it; of part of a period, its days' part.
    Amount(Decimal),
    /// A price for each stake and sale.
    PerUnit(PerUnit),
}

/// How much a fee is: one of its fields is set.
#[derive(Default, SimpleObject)]
pub struct Charge {
    /// In major units, for a period; negative where the partner owes it; of part of a period, its days' part.
    pub amount: Option<Decimal>,
    /// A price for each stake and sale.
    pub per_unit: Option<PerUnit>,
}

/// A price for each stake and sale, less refunds.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "PerUnitInput", name = "PerUnit")]
pub struct PerUnit {
    /// In major units.
    pub price: Decimal,
    /// Per cent of the price that a promotional unit (a bonus stake) costs.
    #[graphql(default_with = "nothing()")]
    pub promotional: Decimal,
}

/// Advances are recouped from what is due.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "AdvanceClauseInput", name = "AdvanceClause")]
pub struct Advance {
    /// Contracts of the partner in the same currency that name the same pool recoup each other's advances.
    pub pool: Option<String>,
    /// Per cent of what is due that is kept back.
    #[graphql(default_with = "whole()")]
    pub percent: Decimal,
}

/// Play is paid with credit that was bought beforehand.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "PrepaidClauseInput", name = "PrepaidClause")]
pub struct Prepaid {
    /// In major units, at face value: below it the balance is low.
    pub low_balance: Option<Decimal>,
}

impl Advance {
    pub fn core(self, problems: &mut Vec<Problem>) -> contract::Advance {
        let percent = rate(&self.percent, "advance.percent".to_owned(), problems);
        contract::Advance { pool: self.pool, percent }
    }
}

impl From<contract::Advance> for Advance {
    fn from(advance: contract::Advance) -> Self {
        Self { pool: advance.pool, percent: Decimal(advance.percent.to_string()) }
    }
}

impl From<Prepaid> for contract::Prepaid {
    fn from(prepaid: Prepaid) -> Self {
        Self { low_balance: prepaid.low_balance.map(|low| low.0) }
    }
}

impl From<contract::Prepaid> for Prepaid {
    fn from(prepaid: contract::Prepaid) -> Self {
        Self { low_balance: prepaid.low_balance.map(Decimal) }
    }
}

impl FeeInput {
    pub fn core(self, position: usize, problems: &mut Vec<Problem>) -> contract::Fee {
        let charge = match self.charge {
            ChargeInput::Amount(amount) => contract::Charge::Amount(amount.0),
            ChargeInput::PerUnit(unit) => {
                let path = format!("fees.{position}.charge.perUnit");
                contract::Charge::PerUnit(contract::PerUnit {
                    price: price(&unit.price, format!("{path}.price"), problems),
                    promotional: rate(&unit.promotional, format!("{path}.promotional"), problems),
                })
            }
        };
        contract::Fee { code: self.code, charge }
    }
}

impl From<contract::Fee> for Fee {
    fn from(fee: contract::Fee) -> Self {
        let charge = match fee.charge {
            contract::Charge::Amount(amount) => Charge { amount: Some(Decimal(amount)), ..Charge::default() },
            contract::Charge::PerUnit(unit) => {
                let unit = PerUnit {
                    price: Decimal(unit.price.to_string()),
                    promotional: Decimal(unit.promotional.to_string()),
                };
                Charge { per_unit: Some(unit), ..Charge::default() }
            }
        };
        Self { code: fee.code, charge }
    }
}
