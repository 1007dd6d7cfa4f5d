//! Settlements: what one contract owes for one period and currency.

mod accrual;
mod accrue;
mod base;
pub mod blockers;
pub mod chain;
mod check;
mod clauses;
mod close;
mod counted;
mod credit;
mod deductions;
mod due;
mod ending;
mod explain;
mod fed;
mod fees;
mod fence;
pub mod formula;
pub mod fund;
mod funds;
mod govern;
pub mod hold;
mod holds;
mod line;
mod nets;
mod netting;
mod next;
mod opening;
mod parties;
pub mod parts;
mod players;
mod rates;
mod recoup;
pub mod settlement;
mod statement;
mod store;
mod tables;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts::Period;
use crate::db::TenantTx;
use crate::error::{Code, Problem, Result};
use crate::ids::{ContractId, PartnerId, SettlementId, TenantId};
use crate::page::{Page, PageRequest};
use crate::secrets::{base64url, sha256};
use crate::time::Timestamp;
use crate::{events, ledger, transactions};

pub(crate) use accrual::{Delta, DeltaKey, Deltas};
pub(crate) use accrue::accrue_in;
pub use check::BooksCheck;
pub use counted::{CountedBy, CountedFeed, Standing};
pub use explain::LineExplanation;
pub use fed::FedTransaction;
pub use funds::{FundsOf, NewFund};
pub(crate) use govern::govern_in;
pub use holds::{Hold, held_of};
pub(crate) use holds::{hold_in, release_in};
pub use opening::OpeningBalances;
pub use parties::{PartFilter, PartKey, PartOf};
pub use players::fenced_page;
pub(crate) use statement::standing_at_in;
pub use statement::{Statement, carried_base};
pub use store::Model as Settlement;
pub use tables::fund::Model as FundEntry;

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

/// What settlements come to, for those who read the same before anything moves it: of each tenant, by the place of its
/// newest event. Nothing that moves money reads it.
pub(crate) type Statements = Cache<(TenantId, String), Arc<HashMap<SettlementId, Statement>>>;

/// Requests whose statements are kept, and for how long.
const MOST_KEPT: u64 = 10_000;
const KEPT: Duration = Duration::from_secs(60);

pub(crate) fn statements() -> Statements {
    Cache::builder().max_capacity(MOST_KEPT).time_to_live(KEPT).build()
}

#[derive(Clone, Debug, Default)]
pub struct SettlementFilter {
    pub contract: Option<ContractId>,
    pub partner: Option<PartnerId>,
    pub state: Option<State>,
    pub currency: Option<String>,
    /// Closed ones that are due on this day or before.
    pub due_until: Option<chrono::NaiveDate>,
}

impl Scoped {
    pub async fn settlements(&self, filter: &SettlementFilter, page: PageRequest) -> Result<Page<Settlement>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read_elsewhere().await?, filter, page).await?, &page))
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
        // Whatever moves a settlement takes a place among the tenant's events.
        let (tenant, place, epoch) = (tx.tenant(), events::place_in(&tx).await?, tx.epoch().await?);
        let of: Vec<u8> = settlements.iter().flat_map(|row| row.id.0.into_bytes()).collect();
        let key = format!("statements {place} {epoch} {}", base64url(&sha256(&of)));
        let load = async {
            let load = statement::statements_in(&tx, &settlements);
            self.copied(tenant, &key, KEPT.as_secs(), load).await.map(Arc::new)
        };
        let kept = self.statements_kept().try_get_with((tenant, key.clone()), load).await;
        Ok(Arc::unwrap_or_clone(kept.map_err(|error| error.again())?))
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

/// The currencies and periods of all settlements of a contract, open and closed.
pub(crate) async fn periods_in(tx: &TenantTx, contract: ContractId) -> Result<Vec<(String, Period)>> {
    let rows = store::of_contracts(tx, &[contract]).await?;
    let period = |row: &Settlement| Period { start: row.period_start, end: row.period_end };
    Ok(rows.into_iter().map(|row| (row.currency.clone(), period(&row))).collect())
}

/// Transactions by rate class that were counted under each version of contracts, in settlements whose period ended after an
/// instant; and when the first of those began.
pub(crate) async fn counted_since_in(
    tx: &TenantTx,
    contracts: &[ContractId],
    since: Timestamp,
) -> Result<HashMap<(ContractId, i64), (Timestamp, BTreeMap<String, i64>)>> {
    let rows = store::of_contracts(tx, contracts).await?;
    let lately: HashMap<SettlementId, (ContractId, Timestamp)> = rows
        .into_iter()
        .filter(|row| row.period_end > since)
        .map(|row| (row.id, (row.contract_id, row.period_start)))
        .collect();
    let mut ids: Vec<SettlementId> = lately.keys().copied().collect();
    ids.sort_unstable();
    let mut counted: HashMap<(ContractId, i64), (Timestamp, BTreeMap<String, i64>)> = HashMap::new();
    for row in store::accruals(tx, &ids).await? {
        let Some((contract, start)) = lately.get(&row.settlement_id) else { continue };
        let (first, by_class) = counted.entry((*contract, row.version)).or_insert_with(|| (*start, BTreeMap::new()));
        *first = (*first).min(*start);
        *by_class.entry(row.rate_class).or_default() += row.transactions;
    }
    Ok(counted)
}

/// Counts all facts anew after terms, products or players changed for times that already have some.
pub(crate) async fn reprice_in(scoped: &Scoped, tx: &TenantTx, only: Option<ContractId>) -> Result<()> {
    let mut tally = transactions::tally_in(scoped, tx).await?;
    if tally.missing > 0 {
        let message = format!(
            "{} transactions are in an archive; what was settled is counted anew when they are back",
            tally.missing
        );
        return Err(Problem::new(Code::WrongState, "", message).into());
    }
    transactions::replace_pending_in(tx, &tally).await?;
    accrue::replace_in(tx, scoped.clock(), std::mem::take(&mut tally.deltas), only).await
}
