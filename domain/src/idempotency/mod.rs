//! Idempotency: a request that comes with a key is done once, and whoever sends it again gets the same outcome.
//!
//! Key, request and outcome are kept in the transaction of the change itself, so that both are there or neither. Only
//! what was done is kept: a refusal changed nothing, and its key may be tried again. What is kept is the service's own
//! outcome, which the outside shows as it showed the first one. It is sealed, because some outcomes hold a secret that
//! is shown to the one who asked and to nobody else.
//!
//! Every capability changes things through [`Scoped::change`]. The lanes of `transactions`, where one transaction does
//! the requests of many callers, use [`known_in`] and [`keep_in`] as it does.
//!
//! Outcomes outlive the build that wrote them by up to a week: a field that is added to one takes `#[serde(default)]`.

mod once;
mod store;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller::{Scoped, Writer};
use crate::db::TenantTx;
use crate::domain::Domain;
use crate::error::{Fault, Result};
use crate::events;
use crate::time::MICROS_PER_DAY;

pub use once::{Once, Slot};

/// How long a key is known at least.
const KEPT_MICROS: i64 = 7 * MICROS_PER_DAY;
/// Keys that one transaction forgets, so that no recording waits for long.
const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// What a change does in its transaction: an async closure of a [`Writer`] and a [`TenantTx`], which it cannot keep.
pub(crate) trait Work<'t, T>: FnOnce(&'t Writer, &'t TenantTx) -> Self::Doing {
    type Doing: Future<Output = Result<T>> + Send;
}

impl<'t, T, F, D> Work<'t, T> for F
where
    F: FnOnce(&'t Writer, &'t TenantTx) -> D,
    D: Future<Output = Result<T>> + Send,
{
    type Doing = D;
}

impl Scoped {
    /// A change in a transaction of its own, durable before the answer and its news told after it, or without a trace
    /// where `work` fails. A lost connection is no failure: it is done again as soon as the database is back, unless it
    /// may be done already and nobody could tell. Under a key ([`Scoped::once`]) that is known already it does nothing and gives the outcome
    /// that is kept, or refuses another request with [`Code::IdempotencyConflict`].
    ///
    /// [`Code::IdempotencyConflict`]: crate::error::Code::IdempotencyConflict
    pub(crate) async fn change<T, W>(&self, work: W) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        W: for<'t> Work<'t, T> + Clone + Send + 'static,
    {
        self.durable(async move |writer| {
            // Under a key, one that was done already is found.
            let twice = writer.keyed().is_some();
            loop {
                match writer.db().unless_gone(Box::pin(change_once(&writer, work.clone()))).await {
                    Err(error) if error.may_be_tried_again(twice) && writer.db().recover().await => {}
                    outcome => return outcome,
                }
            }
        })
        .await
    }

    /// Forgets the tenant's keys that have been kept for long enough.
    pub(crate) async fn forget_keys(&self) -> Result<()> {
        let before = self.clock().now().plus(-KEPT_MICROS);
        let step = async move |_: &Writer, tx: &TenantTx| Ok(store::forget(tx, before, FORGOTTEN_AT_ONCE).await?);
        while self.change(step).await? >= FORGOTTEN_AT_ONCE {}
        Ok(())
    }
}

async fn change_once<T, W>(writer: &Writer, work: W) -> Result<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    W: for<'t> Work<'t, T> + Send + 'static,
{
    let tx = writer.begin().await?;
    if let Some(known) = outcome_in(writer, &tx).await? {
        return Ok(known);
    }
    let outcome = work(writer, &tx).await?;
    keep_in(writer, &tx, writer.keyed().map(|once| (&**once, &outcome)).into_iter()).await?;
    events::commit(writer, tx).await?;
    Ok(outcome)
}

/// What became of this caller's own request before.
pub(crate) async fn outcome_in<T: DeserializeOwned>(scoped: &Scoped, tx: &TenantTx) -> Result<Option<T>> {
    let known = known_in(scoped, tx, &[scoped.keyed().cloned()]).await?;
    known.into_iter().next().flatten().transpose()
}

/// What became of each of these requests before, or the refusal of one whose key is another's. It takes one statement,
/// and none where no request has a key.
pub(crate) async fn known_in<T: DeserializeOwned>(
    domain: &Domain,
    tx: &TenantTx,
    requests: &[Option<Arc<Once>>],
) -> Result<Vec<Option<Result<T>>>> {
    let keys: Vec<&str> = requests.iter().flatten().map(|once| once.slot.key.as_str()).collect();
    let mut rows = HashMap::new();
    if !keys.is_empty() {
        for row in store::find(tx, &keys).await? {
            rows.insert(Slot { key: row.key.clone(), actor: row.actor_id }, row);
        }
    }
    let known = requests.iter().map(|request| {
        let once = request.as_ref()?;
        rows.get(&once.slot).map(|row| read(domain, once, row))
    });
    Ok(known.collect())
}

fn read<T: DeserializeOwned>(domain: &Domain, once: &Once, row: &store::Model) -> Result<T> {
    once.matches(&row.operation, &row.request_hash)?;
    let json = domain.master_key().open(&once.purpose(row.tenant_id), &row.outcome)?;
    let corrupt = |error| Fault::Corrupt(format!("the outcome of {} does not read back: {error}", row.operation));
    Ok(serde_json::from_slice(&json).map_err(corrupt)?)
}

/// Keeps the outcomes of requests that were not known, in the transaction that did what they asked.
pub(crate) async fn keep_in<'o, T: Serialize + 'o>(
    domain: &Domain,
    tx: &TenantTx,
    outcomes: impl Iterator<Item = (&'o Once, &'o T)>,
) -> Result<()> {
    let rows = outcomes.map(|(once, outcome)| {
        let json = serde_json::to_vec(outcome).map_err(|error| Fault::Internal(error.to_string()))?;
        Ok(store::Model {
            tenant_id: tx.tenant(),
            key: once.slot.key.clone(),
            actor_id: once.slot.actor,
            operation: once.operation.clone(),
            request_hash: once.request.to_vec(),
            outcome: domain.master_key().seal(&once.purpose(tx.tenant()), &json)?,
            created_at: domain.clock().now(),
        })
    });
    let rows = rows.collect::<Result<Vec<_>, Fault>>()?;
    Ok(store::insert(tx, rows).await?)
}
