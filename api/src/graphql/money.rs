//! Amounts as clients read them: in major units, with the digits of their asset.

use async_graphql::Context;
use domain::Fault;
use domain::money::{Asset, Minor, Units};

use super::errors::Failure;
use super::loaders::{self, AssetCode};
use super::scalars::{Decimal, Money};

/// An amount of a transaction or base, with as many digits of the accounting unit as it needs.
pub fn of_units(asset: &Asset, amount: Units) -> Money {
    Money { amount: Decimal(asset.format_units(amount)), currency: asset.code.clone() }
}

/// An amount of a line, posting or payout, with all the digits of the minor unit.
pub fn of_minor(asset: &Asset, amount: Minor) -> Money {
    Money { amount: Decimal(asset.format_minor(amount)), currency: asset.code.clone() }
}

/// The asset that an amount was recorded in.
pub async fn asset(ctx: &Context<'_>, code: &str) -> Result<Asset, Failure> {
    loaders::one(ctx, AssetCode(code.to_owned())).await?.ok_or_else(|| corrupt(format!("the asset '{code}' is gone")))
}

/// A word of a fixed list, as it is kept in the database.
pub fn word<T>(what: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Failure> {
    parse(text).ok_or_else(|| corrupt(format!("{what} '{text}'")))
}

pub fn corrupt(what: String) -> Failure {
    Failure::Core(Fault::Corrupt(what).into())
}
