//! The transactions behind a line: those that its settlement, version and rate class count, each with what it adds to the
//! base. No list of them is kept: facts are read in the order they were recorded and priced again.
//!
//! Of a closed settlement those count that were recorded before it closed, under the versions as they were known then;
//! of a correction those that the settlement it repairs counts by now, or did when the correction was closed.

use crate::caller::{Permission, Scoped};
use crate::contracts::contract::{ActiveVersion, Base, Charge, UnitsBase};
use crate::contracts::{AccrualKind, Book, Feed, Pricer, Verdict};
use crate::db::TenantTx;
use crate::error::{Error, Result};
use crate::ids::{ContractId, SettlementId, TransactionId};
use crate::money::{Asset, Share, Units};
use crate::page::{Page, PageRequest};
use crate::time::Timestamp;
use crate::transactions::{Scanned, Transaction};
use crate::{catalogue, transactions};

use super::base::adds;
use super::explain::{Explained, explained_in, versions_at_close_in};
use super::settlement::{Line, LineCode};
use super::{Settlement, State, store};

/// A transaction that a line counts.
#[derive(Clone, Debug)]
pub struct FedTransaction {
    pub transaction: Transaction,
    /// What a rollback takes out again, and what takes this one out.
    pub undoes: Option<TransactionId>,
    pub undone_by: Option<TransactionId>,
    /// The sum that it is part of.
    pub kind: AccrualKind,
    pub rate_class: String,
    /// In accounting units, and units; negative of a rollback.
    pub amount: Units,
    pub units: i64,
    /// What it adds to the base before deductions and netting, exactly.
    pub adds: Share,
    /// Recorded after the settlement that counts it had closed.
    pub late: bool,
    pub asset: Asset,
}

/// What a line counts.
struct Counted {
    contract: ContractId,
    period_start: Timestamp,
    version: i64,
    /// All of them where it is absent.
    class: Option<String>,
    base: Base,
    asset: Asset,
    /// What came later does not count.
    until: Option<Timestamp>,
    /// What came later is late.
    closed_at: Option<Timestamp>,
}

impl Scoped {
    /// The transactions that a line counts, in the order they were recorded; `position` counts from 1. A page looks at a
    /// bounded number of records, so that it may be shorter than asked, or empty, though there is a next one: the second
    /// value is where that begins. A partner's user sees those of its own sources.
    pub async fn line_transactions(
        &self,
        settlement: SettlementId,
        position: i64,
        page: PageRequest,
    ) -> Result<(Page<FedTransaction>, Option<TransactionId>)> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let row = store::by_id(&tx, settlement).await?.ok_or(Error::NotFound("settlement"))?;
        let explained = Box::pin(explained_in(&tx, &row)).await?;
        let place = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
        let line = place.and_then(|place| explained.lines.get(place)).ok_or(Error::NotFound("settlement line"))?;
        let Some((counted, versions)) = counted_in(&tx, &row, line, &explained).await? else {
            return Ok((Page::default(), None));
        };
        let book = self.book_of(versions).await?;
        let after = page.after.map_or(TransactionId::NONE, TransactionId);
        let scan = transactions::scan_in(&tx, after, book.needs_rounds()).await?;
        let first = usize::try_from(page.first).unwrap_or(usize::MAX);
        let priced = transactions::computed(move || {
            let (mut items, mut next) = (Vec::new(), scan.more_after);
            let mut pricer = Pricer::new(&book);
            let mut last = None;
            for scanned in scan.facts {
                let id = scanned.row.id;
                let fed = counted.feeds(scanned, &book, &mut pricer);
                if items.len() + fed.len() > first && !items.is_empty() {
                    next = last;
                    break;
                }
                items.extend(fed);
                last = Some(id);
            }
            (items, next)
        });
        let (items, next) = priced.await?;
        Ok((Page { items, has_next: next.is_some() }, next))
    }

    /// What prices under these versions: products and players as they are known now.
    pub(super) async fn book_of(&self, versions: Vec<ActiveVersion>) -> Result<Book> {
        let (products, players) = catalogue::for_pricing_in(&self.read_for_pricing().await?).await?;
        Ok(Book::new(versions, products, players)?)
    }
}

/// What the line counts, and the versions that say so; nothing for lines that count no transactions.
async fn counted_in(
    tx: &TenantTx,
    row: &Settlement,
    line: &Line,
    explained: &Explained,
) -> Result<Option<(Counted, Vec<ActiveVersion>)>> {
    let Some(terms) = explained.versions.iter().find(|own| own.version == line.version).map(|own| &own.terms) else {
        return Ok(None);
    };
    let fee = terms.fees.iter().find(|fee| line.rate_class.is_none() && Some(&fee.code) == line.clause.as_ref());
    let base = match fee.map(|fee| &fee.charge) {
        Some(Charge::PerUnit(unit)) => Base::Units(UnitsBase { promotional: unit.promotional }),
        _ if line.rate_class.is_some() => terms.base.clone(),
        _ => return Ok(None),
    };
    let (settlement, versions) = match line.corrects.filter(|_| line.code == LineCode::Correction) {
        Some(id) => {
            let corrected = store::by_id(tx, id).await?.ok_or(Error::NotFound("settlement"))?;
            (corrected, versions_at_close_in(tx, row).await?)
        }
        None => (row.clone(), explained.versions.clone()),
    };
    let closed_at = settlement.closed_at.filter(|_| settlement.state == State::Closed.as_str());
    let counted = Counted {
        contract: row.contract_id,
        period_start: settlement.period_start,
        version: line.version,
        class: line.rate_class.clone(),
        base,
        asset: explained.asset.clone(),
        until: row.closed_at,
        closed_at,
    };
    Ok(Some((counted, versions)))
}

impl Counted {
    fn feeds(&self, scanned: Scanned, book: &Book, pricer: &mut Pricer<'_>) -> Vec<FedTransaction> {
        if self.until.is_some_and(|until| scanned.counted_at > until)
            || scanned.fact.currency != self.asset.code
            || book.is_test(&scanned.fact)
        {
            return Vec::new();
        }
        let mut verdicts = Vec::new();
        pricer.price(&scanned.fact, scanned.closed_at, &mut verdicts);
        let feeds = verdicts.into_iter().filter_map(|verdict| match verdict {
            Verdict::Feeds(feed) if self.has(&feed) => Some(feed),
            _ => None,
        });
        feeds.map(|feed| self.fed(&scanned, &feed)).collect()
    }

    fn has(&self, feed: &Feed) -> bool {
        feed.contract == self.contract
            && feed.period.start == self.period_start
            && feed.version == self.version
            && self.class.as_deref().is_none_or(|class| class == &*feed.class)
    }

    fn fed(&self, scanned: &Scanned, feed: &Feed) -> FedTransaction {
        let sign = if scanned.undoes.is_some() { -1 } else { 1 };
        let amount = Units(feed.amount.0.saturating_mul(sign));
        let units = feed.units * sign;
        FedTransaction {
            transaction: scanned.row.clone(),
            undoes: scanned.undoes,
            undone_by: scanned.undone_by,
            kind: feed.kind,
            rate_class: feed.class.to_string(),
            amount,
            units,
            adds: adds(&self.base, feed.kind, amount, units, &self.asset),
            late: self.closed_at.is_some_and(|closed| scanned.counted_at > closed),
            asset: self.asset.clone(),
        }
    }
}
