//! Settlements: what one contract owes for one period and currency.

mod accrual;
mod accrue;
pub mod blockers;
pub mod chain;
mod netting;
mod rates;
pub mod settlement;
mod store;

use crate::caller::Scoped;
use crate::db::TenantTx;
use crate::error::Result;
use crate::ids::{ContractId, PartnerId};
use crate::transactions;

pub(crate) use accrual::Deltas;
pub(crate) use accrue::accrue_in;
pub use store::Model as Settlement;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Open,
    Closed,
}

impl State {
    pub const ALL: [Self; 2] = [Self::Open, Self::Closed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Closed => "CLOSED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Debug, Default)]
pub struct SettlementFilter {
    pub contract: Option<ContractId>,
    pub partner: Option<PartnerId>,
    pub state: Option<State>,
    pub currency: Option<String>,
}

/// Counts all facts anew after terms, products or players changed for times that already have some.
pub(crate) async fn reprice_in(scoped: &Scoped, tx: &TenantTx, only: Option<ContractId>) -> Result<()> {
    let mut tally = transactions::tally_in(scoped, tx).await?;
    transactions::replace_pending_in(tx, &tally).await?;
    accrue::replace_in(tx, scoped.clock(), std::mem::take(&mut tally.deltas), only).await
}
