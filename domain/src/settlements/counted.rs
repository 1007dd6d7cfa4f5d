//! Where a transaction counts: what every contract makes of it as of now, and in which settlement.

use crate::caller::{Permission, Scoped};
use crate::contracts::{self, Considered, Feed, Pricer};
use crate::db::TenantTx;
use crate::error::{Error, Fault, Result};
use crate::ids::{ContractId, SettlementId, TransactionId};
use crate::money::{Asset, Share, Units};
use crate::page::{Page, PageRequest};
use crate::transactions::{self, Scanned};

use super::base::adds;
use super::{State, store};

/// How a transaction stands beside others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Recorded only: it feeds nothing.
    pub test: bool,
    /// What a rollback undoes; nothing while that has not come, or another one undid it.
    pub undoes: Option<TransactionId>,
    pub undone_by: Option<TransactionId>,
}

/// What one contract makes of a transaction.
#[derive(Clone, Debug)]
pub struct CountedBy {
    pub considered: Considered,
    pub feeds: Vec<CountedFeed>,
}

/// What a transaction adds to one rate class.
#[derive(Clone, Debug)]
pub struct CountedFeed {
    pub feed: Feed,
    /// Negative of a rollback.
    pub amount: Units,
    pub units: i64,
    /// To the base before deductions and netting, exactly.
    pub adds: Share,
    pub settlement: Option<SettlementId>,
    /// Recorded after that settlement had closed, so that corrections count it.
    pub late: bool,
    pub asset: Asset,
}

impl Scoped {
    /// How a transaction stands beside others.
    pub async fn transaction_standing(&self, id: TransactionId) -> Result<Standing> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let Some(scanned) = standing_in(&tx, id).await? else { return Ok(Standing::default()) };
        let (_, players) = crate::catalogue::for_pricing_in(&self.read_for_pricing().await?).await?;
        let book = contracts::Book::new(Vec::new(), Vec::new(), players)?;
        let test = book.is_test(&scanned.fact);
        Ok(Standing { test, undoes: scanned.undoes, undone_by: scanned.undone_by })
    }

    /// What contracts make of a transaction as of now, by contract. A test transaction, and a rollback that undoes
    /// nothing, are no contract's.
    pub async fn explain_transaction(
        &self,
        id: TransactionId,
        page: PageRequest<ContractId>,
    ) -> Result<Page<CountedBy>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let Some(scanned) = standing_in(&tx, id).await? else { return Ok(Page::default()) };
        let book = self.book_of(contracts::active_versions_in(&tx).await?).await?;
        if book.is_test(&scanned.fact) {
            return Ok(Page::default());
        }
        let first = usize::try_from(page.first).unwrap_or(usize::MAX);
        let fact = scanned.fact.clone();
        let closed_at = scanned.closed_at;
        let considered =
            transactions::computed(move || Pricer::new(&book).consider(&fact.seen(), closed_at, page.after, first));
        let (considered, has_next) = considered.await?;
        let ids: Vec<ContractId> = considered.iter().map(|own| own.contract).collect();
        let versions = contracts::active_versions_of_in(&tx, &ids).await?;
        let settlements = store::of_contracts(&tx, &ids).await?;
        let currency = scanned.fact.currency.as_str();
        let mut assets = crate::catalogue::assets_by_codes_in(&tx, std::iter::once(currency)).await?;
        let asset = assets.remove(currency).ok_or_else(|| Fault::Corrupt(format!("the asset '{currency}' is gone")))?;
        let counted = |considered: Considered| {
            let feeds = considered.feeds.iter().filter_map(|feed| {
                let of = versions.iter().find(|own| own.contract == feed.contract && own.version == feed.version)?;
                let settlement = settlements.iter().find(|row| {
                    row.contract_id == feed.contract
                        && row.currency == currency
                        && row.period_start == feed.period.start
                });
                let closed = settlement.filter(|row| row.state == State::Closed.as_str()).and_then(|row| row.closed_at);
                let sign = if scanned.undoes.is_some() { -1 } else { 1 };
                let (amount, units) = (Units(feed.amount.0.saturating_mul(sign)), feed.units * sign);
                Some(CountedFeed {
                    amount,
                    units,
                    adds: adds(&of.terms.base, feed.kind, amount, units, &asset),
                    settlement: settlement.map(|row| row.id),
                    late: closed.is_some_and(|closed| scanned.counted_at > closed),
                    asset: asset.clone(),
                    feed: feed.clone(),
                })
            });
            CountedBy { feeds: feeds.collect(), considered }
        };
        Ok(Page { items: considered.into_iter().map(counted).collect(), has_next })
    }
}

/// The fact, as it counts; nothing for a rollback that undoes nothing.
async fn standing_in(tx: &TenantTx, id: TransactionId) -> Result<Option<Scanned>> {
    match transactions::scanned_one_in(tx, id).await? {
        Some(scanned) => Ok(Some(scanned)),
        None if transactions::is_there_in(tx, id).await? => Ok(None),
        None => Err(Error::NotFound("transaction")),
    }
}
