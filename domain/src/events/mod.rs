//! What changed, told to those who follow a tenant.
//!
//! A change announces its news on its transaction ([`TenantTx::announce`]), and [`commit`] gives them the tenant's next
//! places as the last statements before COMMIT: the sequence has no gap, and its order is that of the commits. News
//! name what changed and carry no state. Hints wake the reader and may be lost; what is true is the table.
//!
//! - `event.rs`: what an event is, who cares for which, and the cursor that clients keep.
//! - `follow.rs`: one reader per process, and the tails that follow it.

pub mod event;
mod follow;
mod store;

use crate::Domain;
use crate::caller::{Permission, Scoped};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::{PartnerId, SettlementId};
use crate::redis::Hint;
use crate::settlements;
use crate::time::MICROS_PER_DAY;

pub use self::event::{Cursor, Event, Interest};
pub(crate) use self::follow::Bus;
pub use self::follow::Tail;

/// Who was away for longer reads the present state and follows from there.
const KEPT_MICROS: i64 = 7 * MICROS_PER_DAY;

/// Ends a change: its news take their places, and after COMMIT the followers are woken, and who delivers mail.
pub(crate) async fn commit(domain: &Domain, tx: TenantTx) -> Result<()> {
    let (tenant, news, posted) = (tx.tenant(), tx.announced(), tx.has_posted());
    if !news.is_empty() {
        store::append(&tx, &news, domain.clock().now()).await?;
    }
    tx.commit().await?;
    if !news.is_empty() {
        domain.hint(tenant, Hint::Events);
    }
    if posted {
        domain.hint(tenant, Hint::Mail);
    }
    Ok(())
}

/// The place of the tenant's newest event, as this transaction sees it.
pub(crate) async fn place_in(tx: &TenantTx) -> Result<i64> {
    Ok(store::head(tx).await?.0)
}

impl Scoped {
    /// The place of the tenant's newest event. Who asks for it first, then reads, and then follows from it misses
    /// nothing.
    pub async fn event_cursor(&self) -> Result<Cursor> {
        self.require(Permission::Read)?;
        Ok(Cursor(place_in(&self.read().await?).await?))
    }

    /// What it means to follow these settlements. A settlement or partner that the caller may not see is not there.
    pub async fn settlement_interest(
        &self,
        settlement: Option<SettlementId>,
        partner: Option<PartnerId>,
    ) -> Result<Interest> {
        self.require(Permission::Read)?;
        if let Some(id) = settlement
            && self.settlements_by_ids(&[id]).await?.is_empty()
        {
            return Err(Error::NotFound("settlement"));
        }
        if let Some(id) = partner
            && self.partners_by_ids(&[id]).await?.is_empty()
        {
            return Err(Error::NotFound("partner"));
        }
        let partner = partner.or(self.caller().partner());
        Ok(Interest { kind: event::Kind::SettlementUpdated, subject: settlement.map(|id| id.0), partner })
    }

    /// What it means to follow anomaly cases. Nobody of a partner may.
    pub fn anomaly_interest(&self) -> Result<Interest> {
        self.require(Permission::Read)?;
        if self.caller().partner().is_some() {
            return Err(Error::Denied("a member of the tenant itself"));
        }
        Ok(Interest::all(event::Kind::AnomalyRaised))
    }

    /// Refuses a place that is ahead of everything, or before what is still kept.
    pub async fn check_cursor(&self, cursor: Cursor) -> Result<()> {
        self.require(Permission::Read)?;
        let (head, pruned) = store::head(&self.read().await?).await?;
        if cursor.0 > head {
            return Err(Problem::new(Code::BadInput, "after", "this cursor is ahead of every event").into());
        }
        if cursor.0 < pruned {
            let message = "the events after this cursor are gone; read the present state and follow from there";
            return Err(Problem::new(Code::CursorExpired, "after", message).into());
        }
        Ok(())
    }

    /// Forgets events that nobody should be waiting for any more.
    pub(crate) async fn prune_events(&self) -> Result<()> {
        self.durable(async move |writer| {
            let tx = writer.begin().await?;
            let (head, pruned) = store::head(&tx).await?;
            let kept = store::first_since(&tx, writer.clock().now().plus(-KEPT_MICROS)).await?;
            let until = kept.map_or(head, |first| first - 1);
            if until > pruned {
                store::prune(&tx, until).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// Tells of settlements that are others than before.
pub(crate) fn announce_settlements<'a>(tx: &TenantTx, rows: impl IntoIterator<Item = &'a settlements::Settlement>) {
    for row in rows {
        tx.announce(event::News::settlement(row.id, row.partner_id));
    }
}
