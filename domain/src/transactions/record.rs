//! Records a batch: one database transaction, durable before anyone is answered.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use crate::anomalies::{self, Judged, Lease};
use crate::caller::{Scoped, Writer};
use crate::clock::Clock;
use crate::db::{self, TenantTx};
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{BlockId, ConflictId, QuarantineId, TransactionId};
use crate::redis::Hint;
use crate::{catalogue, contracts, events, idempotency, imports, settlements, sources};

use super::batch::{Decision, Ids, Prepared};
use super::context::{Context, Ingredients};
use super::decide::decide;
use super::lanes::Job;
use super::submission::{RecordOutcome, Submission};
use super::transaction::Fact;
use super::{conflicts, find, newest_in, quarantine, store};
use crate::contracts::Book;

/// How long what a context is made of stays in Redis.
const KEPT_SECONDS: u64 = 3_600;

/// A batch of one tenant: all of it together or, where something in it cannot be written, its parts one by one, so
/// that nobody pays for another's record.
pub(super) async fn batch(jobs: Vec<Job>) {
    let Some(scoped) = jobs.first().map(|job| job.scoped.clone()) else { return };
    let submissions = jobs.iter().map(|job| job.submission.clone()).collect();
    match attempt(&scoped, submissions).await {
        Ok(answers) => jobs.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer)),
        Err(Error::Fault(fault)) if fault.passes().is_some() => {
            let error = Error::from(fault);
            jobs.into_iter().for_each(|job| job.answer(Err(error.again())));
        }
        Err(_) if jobs.len() > 1 => {
            for job in jobs {
                let outcome = alone(&job.scoped, job.submission.clone()).await;
                job.answer(outcome);
            }
        }
        Err(error) if is_poison(&error) => {
            for job in jobs {
                let outcome = without_poison(&job.scoped, job.submission.clone()).await;
                job.answer(outcome);
            }
        }
        Err(error) => jobs.into_iter().for_each(|job| job.answer(Err(error.again()))),
    }
}

async fn alone(scoped: &Scoped, submission: Submission) -> Result<Vec<RecordOutcome>> {
    match attempt(scoped, vec![submission.clone()]).await {
        Ok(answers) => the_only(answers),
        Err(error) if is_poison(&error) => without_poison(scoped, submission).await,
        Err(error) => Err(error),
    }
}

/// Finds the records that cannot be written by halving, marks them, and records the rest.
async fn without_poison(scoped: &Scoped, mut submission: Submission) -> Result<Vec<RecordOutcome>> {
    let mut suspects: Vec<Range<usize>> = std::iter::once(0..submission.records.len()).collect();
    while let Some(range) = suspects.pop() {
        // Each half is tried on top of the records before it: an overflow is the fault of the record that reaches it.
        let mut trial = submission.clone();
        Arc::make_mut(&mut trial.records).truncate(range.end);
        let Err(error) = rehearse(scoped, trial).await else { continue };
        if !is_poison(&error) {
            return Err(error);
        }
        if range.len() == 1 {
            Arc::make_mut(&mut submission.records)[range.start].content = Err(poison(error));
            continue;
        }
        let middle = range.start + range.len() / 2;
        suspects.extend([middle..range.end, range.start..middle]);
    }
    the_only(attempt(scoped, vec![submission]).await?)
}

/// Whether a record is at fault rather than the machine: a sum that an amount cannot hold, a value the schema refuses.
fn is_poison(error: &Error) -> bool {
    match error {
        Error::Invalid(problems) => problems.iter().any(|problem| problem.code == Code::Overflow),
        Error::Fault(Fault::Database(error)) => db::is_overflow(error) || db::is_refusal(error),
        _ => false,
    }
}

fn poison(error: Error) -> Problem {
    match error {
        Error::Invalid(problems) if !problems.is_empty() => problems[0].clone(),
        Error::Fault(Fault::Database(error)) if !db::is_overflow(&error) => {
            tracing::error!(%error, "a record is set aside because the database refuses it");
            Problem::new(Code::BadInput, "", "the database refuses this record; the log says why")
        }
        _ => Problem::new(Code::Overflow, "amount", "brings a total to more than a 64-bit amount holds"),
    }
}

/// What each submission of a batch is answered: its own records' outcomes, or that its idempotency key is another's.
type Answers = Vec<Result<Vec<RecordOutcome>>>;

fn the_only(mut answers: Answers) -> Result<Vec<RecordOutcome>> {
    answers.pop().unwrap_or_else(|| Err(Fault::Internal("a submission has no answer".into()).into()))
}

async fn attempt(scoped: &Scoped, submissions: Vec<Submission>) -> Result<Answers> {
    run(scoped, submissions, true).await
}

async fn rehearse(scoped: &Scoped, submission: Submission) -> Result<()> {
    run(scoped, vec![submission], false).await.map(drop)
}

/// All of it in one transaction. It is done again after a lost connection, though it may be done already: then each fact
/// is a replay of itself.
async fn run(scoped: &Scoped, submissions: Vec<Submission>, keep: bool) -> Result<Answers> {
    scoped
        .durable(async move |writer| {
            loop {
                match writer.db().unless_gone(Box::pin(run_once(&writer, submissions.clone(), keep))).await {
                    Err(error) if error.may_be_tried_again(true) && writer.db().recover().await => {}
                    outcome => return outcome,
                }
            }
        })
        .await
}

async fn run_once(writer: &Writer, submissions: Vec<Submission>, keep: bool) -> Result<Answers> {
    // A rehearsal records nothing, and nobody remembers it.
    let mut seat = if keep { Some(writer.detectors().lease(writer.tenant()).await) } else { None };
    let tx = writer.begin().await?;
    let requests: Vec<_> = submissions.iter().map(|submission| submission.once.clone()).collect();
    let known = idempotency::known_in(writer, &tx, &requests).await?;
    let new = submissions.into_iter().zip(&known).filter(|(_, known)| known.is_none());
    let submissions: Vec<Submission> = new.map(|(submission, _)| submission).collect();
    if submissions.is_empty() {
        return Ok(known.into_iter().flatten().collect());
    }
    let sources = submissions.iter().map(|submission| submission.source).collect();
    let known_newest = writer.lanes().newest.get(&writer.tenant()).await.unwrap_or(TransactionId::NONE);
    let standing = find::standing_in(&tx, &sources, known_newest).await?;
    let context = context_in(writer, &tx, standing.epoch).await?;
    let mut prepared = checked(submissions, &context).await?;
    let corrections = quarantine::corrections_in(&tx, &prepared.wanted).await?;
    if !corrections.is_empty() {
        prepared.correct(&corrections, &context);
    }
    let mut found = find::find(&tx, &prepared.wanted, &standing, context.book.needs_rounds()).await?;
    quarantine::find_in(&tx, &prepared.wanted, &mut found).await?;
    let newest = match standing.newest {
        Some(newest) => newest,
        // A database that was set back may have lost the one that was known.
        None if known_newest != TransactionId::NONE => newest_in(&tx).await?,
        None => TransactionId::NONE,
    };
    writer.lanes().newest.insert(writer.tenant(), newest).await;
    if let Some(seat) = &mut seat {
        anomalies::prepare_in(writer, &tx, seat, context.epoch, newest).await;
    }
    let records = count(&prepared.submissions);
    let (mut decision, submissions, mut seat, judged) = computed_for(records, {
        let (context, clock) = (context.clone(), writer.clock().clone());
        move || {
            let ids = Following { clock: &clock, last: newest.into() };
            let (decision, submissions) = decide(prepared, &found, &context, &ids);
            let judged = seat.as_mut().map(|seat| judge(seat, &decision, &context, &clock));
            (decision, submissions, seat, judged.unwrap_or_default())
        }
    })
    .await?;
    write(writer, &tx, &context, &mut decision, &submissions, &judged).await?;
    if keep {
        events::commit(writer, tx).await?;
        seat.iter_mut().for_each(|seat| seat.keep());
        if !judged.findings.is_empty() {
            writer.hint(writer.tenant(), Hint::Chores);
        }
        writer.hint(writer.tenant(), Hint::Books);
    } else {
        // Whether it can be written is what a rehearsal is for.
        tx.settle().await?;
        tx.rollback().await?;
    }
    let mut outcomes = decision.outcomes.into_iter();
    Ok(known.into_iter().map(|known| known.unwrap_or_else(|| Ok(outcomes.next().unwrap_or_default()))).collect())
}

/// What the detector says of the facts that are new, in the order in which they are recorded.
fn judge(seat: &mut Lease, decision: &Decision, context: &Context, clock: &Clock) -> Judged {
    let facts: Vec<(TransactionId, &Fact)> = decision.facts.iter().map(|new| (new.id, &new.fact)).collect();
    seat.judge(&facts, context, clock.now())
}

fn count(submissions: &[Submission]) -> usize {
    submissions.iter().map(|submission| submission.records.len()).sum()
}

async fn checked(submissions: Vec<Submission>, context: &Arc<Context>) -> Result<Prepared> {
    let context = context.clone();
    computed_for(count(&submissions), move || Prepared::check(submissions, &context)).await
}

/// Records of a batch that are decided on where they are: another thread costs more than they do.
const AT_ONCE: usize = 64;

/// The same for so many records. Work that fails fails alone, wherever it is done.
async fn computed_for<T: Send + 'static>(records: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if records > AT_ONCE {
        return computed(work).await;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    done.map_err(|_| Fault::Internal("a batch panicked".to_owned()).into())
}

/// Work that computes for milliseconds goes to the pool for such work; the event loop stays free.
pub(crate) async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::Internal(error.to_string()).into())
}

async fn write(
    scoped: &Scoped,
    tx: &TenantTx,
    context: &Context,
    decision: &mut Decision,
    submissions: &[Submission],
    judged: &Judged,
) -> Result<()> {
    let now = scoped.clock().now();
    // It reads first; the rows of all the others go in together.
    settlements::accrue_in(tx, scoped.clock(), std::mem::take(&mut decision.deltas)).await?;
    store::write(tx, decision, judged, now).await?;
    let facts = decision.facts.iter().map(|new| (new.id, new.fact.source, new.fact.test));
    anomalies::write_in(tx, scoped.clock(), facts, judged).await?;
    find::find_conflicting(tx, decision).await?;
    conflicts::write_in(tx, &decision.conflicts, now).await?;
    quarantine::write_in(tx, decision, submissions, now).await?;
    let days = decision.facts.iter().map(|new| (new.fact.source, context.day(new.fact.source, new.fact.occurred_at)));
    sources::count_days_in(tx, days).await?;
    for (submission, outcomes) in submissions.iter().zip(&decision.outcomes) {
        if let Some(piece) = submission.piece {
            imports::advance_in(tx, piece, submission, outcomes, now).await?;
        }
        if let Some(resolves) = submission.resolves {
            quarantine::resolve_in(tx, resolves, submission, outcomes, now).await?;
        }
    }
    // A retry that leaves its record in quarantine is a refusal, whose key may be tried again.
    let refused = |submission: &Submission, outcomes: &[RecordOutcome]| {
        submission.resolves.is_some() && matches!(outcomes, [RecordOutcome::Quarantined { .. }])
    };
    let done =
        submissions.iter().zip(&decision.outcomes).filter(|(submission, outcomes)| !refused(submission, outcomes));
    let done = done.filter_map(|(submission, outcomes)| Some((submission.once.as_deref()?, outcomes)));
    idempotency::keep_in(scoped, tx, done).await
}

/// What this tenant's records are checked and priced with, as of this transaction: kept in memory, and what is read of
/// it in Redis, under the tenant's epoch.
async fn context_in(scoped: &Scoped, tx: &TenantTx, epoch: i64) -> Result<Arc<Context>> {
    let tenant = tx.tenant();
    let load = async {
        let ingredients = scoped.copied(tenant, &format!("pricing {epoch}"), KEPT_SECONDS, ingredients_in(tx)).await?;
        context_of(scoped, epoch, ingredients).await.map(Arc::new)
    };
    let context = scoped.lanes().contexts.try_get_with((tenant, epoch), load).await;
    context.map_err(|error| error.again())
}

/// The same, read anew and not kept: a change that is not committed yet may see its own epoch.
pub(crate) async fn load_context_in(scoped: &Scoped, tx: &TenantTx) -> Result<Context> {
    context_of(scoped, tx.epoch().await?, ingredients_in(tx).await?).await
}

async fn ingredients_in(tx: &TenantTx) -> Result<Ingredients> {
    let (products, players) = catalogue::for_pricing_in(tx).await?;
    let versions = contracts::active_versions_in(tx).await?;
    Ok(Ingredients {
        versions,
        products,
        players,
        assets: catalogue::assets_in(tx).await?,
        zones: sources::zones_in(tx).await?,
    })
}

async fn context_of(scoped: &Scoped, epoch: i64, read: Ingredients) -> Result<Context> {
    let book = Book::new(read.versions, read.products, read.players);
    let book = book.map_err(|problem| Fault::Corrupt(problem.to_string()))?;
    Ok(Context { epoch, book, assets: read.assets, pseudonyms: scoped.pseudonyms().await?, zones: read.zones })
}

/// Identifiers of this moment. Those of transactions come after every one that the tenant has, whatever the clocks of
/// other machines say: the order of facts is the order in which they were recorded.
struct Following<'c> {
    clock: &'c Clock,
    last: Cell<TransactionId>,
}

impl Ids for Following<'_> {
    fn transaction(&self) -> TransactionId {
        let id = self.clock.id::<TransactionId>().max(self.last.get().following());
        self.last.set(id);
        id
    }
    fn block(&self) -> BlockId {
        self.clock.id()
    }
    fn quarantine(&self) -> QuarantineId {
        self.clock.id()
    }
    fn conflict(&self) -> ConflictId {
        self.clock.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn transactions_come_after_the_newest_though_the_clock_is_behind() {
        let clock = Clock::set_to(Timestamp(1_700_000_000_000_000));
        let newest = TransactionId(uuid::Uuid::from_u128(0x0fff_ffff_ffff_7fff_bfff_ffff_ffff_0000));
        let ids = Following { clock: &clock, last: newest.into() };
        let drawn: Vec<TransactionId> =
            std::iter::once(newest).chain(std::iter::repeat_with(|| ids.transaction()).take(1_000)).collect();
        assert!(drawn.is_sorted_by(|a, b| a < b));
    }
}
