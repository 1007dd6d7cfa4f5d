//! Work that is done beside requests: rows that the transaction which decides on it writes, leased by the worker that
//! does it, tried again where it failed, and kept with its error when it is given up. What is to be done every so often
//! is a row as well, whose time is set anew: so it is done once, however many processes there are.

pub mod job;
mod store;

use crate::caller::{Scoped, Writer};
use crate::clock::Clock;
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::JobId;
use crate::time::MICROS_PER_SECOND;

use job::JobKind;

/// How long one try may take before another worker takes the job over.
const LEASE_MICROS: i64 = 900 * MICROS_PER_SECOND;

/// A job that is leased.
pub(crate) struct Leased {
    id: JobId,
    pub kind: JobKind,
    attempts: i64,
}

/// Wants a job done, unless one of the kind waits already.
pub(crate) async fn want_in(tx: &TenantTx, clock: &Clock, kind: JobKind) -> Result<()> {
    if store::waiting(tx, kind).await?.is_some() {
        return Ok(());
    }
    let now = clock.now();
    let job = store::Model {
        tenant_id: tx.tenant(),
        id: clock.id(),
        kind: kind.as_str().to_owned(),
        created_at: now,
        run_at: now,
        leased_until: None,
        attempts: 0,
        failed_at: None,
        error: None,
    };
    Ok(store::insert(tx, job).await?)
}

/// Whether a job of this kind waits or is under way.
pub(crate) async fn is_wanted_in(tx: &TenantTx, kind: JobKind) -> Result<bool> {
    Ok(store::waiting(tx, kind).await?.is_some())
}

impl Scoped {
    /// The next job whose time has come, leased to whoever asks.
    pub(crate) async fn next_job(&self) -> Result<Option<Leased>> {
        // Looking takes no turn at the one writing connection.
        if store::next(&self.read().await?, self.clock().now()).await?.is_none() {
            return Ok(None);
        }
        self.durable(async move |writer| {
            let tx = writer.begin().await?;
            let now = writer.clock().now();
            let Some(row) = store::next(&tx, now).await? else { return Ok(None) };
            let kind =
                JobKind::parse(&row.kind).ok_or_else(|| Fault::Corrupt(format!("a job of kind '{}'", row.kind)))?;
            let attempts = row.attempts + 1;
            store::lease(&tx, row.id, now.plus(LEASE_MICROS), attempts).await?;
            tx.commit().await?;
            Ok(Some(Leased { id: row.id, kind, attempts }))
        })
        .await
    }

    /// Wants what is to be done every so often, where nobody has yet.
    pub(crate) async fn want_schedules(&self) -> Result<()> {
        for kind in JobKind::ALL {
            if kind.every().is_some() && store::waiting(&self.read().await?, kind).await?.is_none() {
                self.change(async move |writer: &Writer, tx: &TenantTx| want_in(tx, writer.clock(), kind).await)
                    .await?;
            }
        }
        Ok(())
    }

    /// Ends a try: a job that was done is gone, one that failed waits for its next time or is given up, and a schedule
    /// waits for its next time in any case.
    pub(crate) async fn end_job(&self, job: Leased, outcome: Result<()>) -> Result<()> {
        let error = outcome.err().map(|error| error.to_string());
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let now = writer.clock().now();
            let scheduled = job.kind.every().map(|micros| now.plus(micros));
            let Some(error) = error else {
                match scheduled {
                    Some(next) => store::again(tx, job.id, next).await?,
                    None => store::remove(tx, job.id).await?,
                }
                return Ok(());
            };
            let again = job::pause(job.attempts).map(|micros| now.plus(micros)).or(scheduled);
            tracing::error!(tenant = %tx.tenant(), job = job.kind.as_str(), %error, given_up = again.is_none(), "a job failed");
            Ok(store::fail(tx, job.id, &error, again, now).await?)
        })
        .await
    }
}
