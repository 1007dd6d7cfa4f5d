//! Settlements: what one contract owes for one period and currency.

mod accrual;
mod accrue;
pub mod blockers;
pub mod chain;
mod check;
mod close;
pub mod hold;
mod holds;
mod netting;
mod rates;
pub mod settlement;
mod statement;
mod store;

use std::collections::HashMap;

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts::Period;
use crate::db::TenantTx;
use crate::error::Result;
use crate::ids::{ContractId, PartnerId, SettlementId};
use crate::ledger;
use crate::page::{Page, PageRequest};
use crate::transactions;

pub(crate) use accrual::Deltas;
pub(crate) use accrue::accrue_in;
pub use check::BooksCheck;
pub use holds::{Hold, held_of};
pub(crate) use holds::{hold_in, release_in};
pub use statement::{Statement, carried_base};
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

impl Scoped {
    pub async fn settlements(&self, filter: &SettlementFilter, page: PageRequest) -> Result<Page<Settlement>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read().await?, filter, page).await?, &page))
    }

    pub async fn settlements_by_ids(&self, ids: &[SettlementId]) -> Result<Vec<Settlement>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }

    /// What these settlements come to as of now: lines, totals, what they carry.
    pub async fn statements(&self, ids: &[SettlementId]) -> Result<HashMap<SettlementId, Statement>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let settlements = store::by_ids(&tx, ids).await?;
        statement::statements_in(&tx, &settlements).await
    }

    /// Brings the ledger up to what open settlements have earned by now.
    pub(crate) async fn true_up(&self) -> Result<()> {
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let open = store::open(tx).await?;
            let statements = statement::statements_in(tx, &open).await?;
            for row in &open {
                if let Some(statement) = statements.get(&row.id) {
                    let book = ledger::Book { settlement: row.id, partner: row.partner_id, currency: &row.currency };
                    ledger::true_up_in(tx, writer.clock(), &book, statement.earned).await?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// The periods of all settlements of a contract, open and closed.
pub(crate) async fn periods_in(tx: &TenantTx, contract: ContractId) -> Result<Vec<Period>> {
    let rows = store::of_contracts(tx, &[contract]).await?;
    Ok(rows.into_iter().map(|row| Period { start: row.period_start, end: row.period_end }).collect())
}

/// Counts all facts anew after terms, products or players changed for times that already have some.
pub(crate) async fn reprice_in(scoped: &Scoped, tx: &TenantTx, only: Option<ContractId>) -> Result<()> {
    let mut tally = transactions::tally_in(scoped, tx).await?;
    transactions::replace_pending_in(tx, &tally).await?;
    accrue::replace_in(tx, scoped.clock(), std::mem::take(&mut tally.deltas), only).await
}
