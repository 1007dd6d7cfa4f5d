//! Fitting a tenant's model to its own history, scoring what was left out, and saving what is remembered.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ml::features::{Memory, Room, Row};
use ml::{Model, Training};

use super::judge::observation;
use super::{Settings, raise_in, scoring, store};
use crate::caller::{Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Fault, Problem, Result};
use crate::ids::{ModelId, TransactionId};
use crate::jobs::{self, job::JobKind};
use crate::redis::Hint;
use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::transactions::{self, transaction::Fact};
use crate::{Permission, events};

use super::{Detector, detector_in};

/// A model is fitted to the latest of so many transactions, and to no more rows than it takes.
const HISTORY: u64 = 100_000;
const MOST_ROWS: usize = 20_000;
/// Fewer say less than what everybody starts with.
const LEAST_ROWS: usize = 500;
/// The first tenth of a history has nothing to be compared with.
const WARM_UP: usize = 10;
/// A model is fitted anew when it is older.
const RETRAIN_MICROS: i64 = MICROS_PER_DAY;
/// Rows that one transaction scores late.
const LATE_ROWS: u64 = 1_000;

pub(super) async fn is_wanted_in(tx: &TenantTx) -> Result<bool> {
    jobs::is_wanted_in(tx, JobKind::TrainDetector).await
}

/// The history that a model is fitted to, as it is read.
struct History {
    memory: Memory,
    rows: Vec<(Timestamp, Row)>,
    left_out: HashSet<TransactionId>,
}

impl History {
    fn add(mut self, facts: &[(TransactionId, Fact)]) -> Self {
        for (id, fact) in facts.iter().filter(|(_, fact)| !fact.test) {
            let row = self.memory.observe(&observation(fact)).row;
            self.memory.keep();
            // It was seen, and is no example of what is usual.
            if !self.left_out.contains(id) {
                self.rows.push((fact.occurred_at, row));
            }
        }
        self
    }

    /// Fits to an even choice of the rows. A panic in a library is a failure like any other.
    fn fit(mut self, seed: u64) -> Result<(Training, Vec<u8>)> {
        self.rows.drain(..self.rows.len() / WARM_UP);
        if self.rows.len() < LEAST_ROWS {
            let message = format!("{} transactions are too few to fit a model; it takes {LEAST_ROWS}", self.rows.len());
            return Err(Problem::new(Code::WrongState, "", message).into());
        }
        let step = self.rows.len().div_ceil(MOST_ROWS);
        let rows: Vec<(Timestamp, Row)> = self.rows.into_iter().step_by(step).collect();
        let times = rows.iter().map(|(at, _)| at.0);
        let window = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        let failed = |error: String| Fault::Internal(format!("no model can be fitted: {error}"));
        let fitted = catch_unwind(AssertUnwindSafe(|| Model::fit(&rows, window, seed)));
        let model = fitted.map_err(|_| failed("the library panicked".to_owned()))?;
        let model = model.map_err(|error| failed(error.to_string()))?;
        // What cannot be read back never comes into force.
        let bytes = model.written();
        let read = Model::read(&bytes).map_err(|error| failed(error.to_string()))?;
        Ok((read.training().clone(), bytes))
    }
}

impl Scoped {
    /// Asks for the detector to be fitted to what the tenant has recorded by now. It comes into force when that is done.
    pub async fn train_detector(&self) -> Result<Detector> {
        self.require(Permission::Review)?;
        let detector = self.change(async move |writer: &Writer, tx: &TenantTx| {
            jobs::want_in(tx, writer.clock(), JobKind::TrainDetector).await?;
            detector_in(tx).await
        });
        let detector = detector.await?;
        self.hint(self.tenant(), Hint::Chores);
        Ok(detector)
    }

    /// Fits a model now. The one before stays in force if that fails.
    pub(crate) async fn fit_detector(&self) -> Result<()> {
        let history = self.history().await?;
        let seed = u64::try_from(self.clock().now().0).unwrap_or_default();
        let (training, body) = transactions::computed(move || history.fit(seed)).await??;
        let id: ModelId = self.clock().id();
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let row = store::fitted::Model {
                tenant_id: tx.tenant(),
                id,
                rows: i64::from(training.rows),
                rows_from: Timestamp(training.from),
                rows_until: Timestamp(training.until),
                body,
                created_at: writer.clock().now(),
            };
            store::insert_model(tx, row).await?;
            Settings { model: id, ..Settings::read_in(tx).await? }.write_in(tx, writer.clock()).await
        })
        .await?;
        tracing::info!(tenant = %self.tenant(), model = %id, "the detector has a new model");
        Ok(())
    }

    async fn history(&self) -> Result<History> {
        let tx = self.read().await?;
        let mut after = transactions::before_latest_in(&tx, HISTORY).await?;
        let left_out = store::confirmed_after(&tx, after).await?.into_iter().collect();
        let mut history = History { memory: Memory::new(Room::default()), rows: Vec::new(), left_out };
        loop {
            let facts = transactions::facts_after_in(&tx, after).await?;
            let Some((last, _)) = facts.last() else { return Ok(history) };
            after = *last;
            history = transactions::computed(move || history.add(&facts)).await?;
        }
    }

    /// Whether the tenant has enough for a model of its own and none yet, or one that is old: then one is wanted.
    pub(crate) async fn want_training(&self) -> Result<()> {
        let tx = self.read().await?;
        let now = self.clock().now();
        let detector = detector_in(&tx).await?;
        let due = match &detector.fitted {
            Some(fitted) => now.0 - fitted.created_at.0 >= RETRAIN_MICROS,
            None => transactions::before_latest_in(&tx, 2 * LEAST_ROWS as u64).await? != TransactionId::NONE,
        };
        drop(tx);
        if !due || detector.training {
            return Ok(());
        }
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            jobs::want_in(tx, writer.clock(), JobKind::TrainDetector).await
        })
        .await
    }

    /// Scores some of what was recorded without a score; whether there may be more.
    pub(crate) async fn score_late(&self) -> Result<bool> {
        if store::unscored(&self.read().await?, 1).await?.is_empty() {
            return Ok(false);
        }
        self.durable(async move |writer| {
            // The seat before the transaction, as everywhere.
            let mut seat = writer.detectors().lease(writer.tenant()).await;
            let tx = writer.begin().await?;
            let context = transactions::load_context_in(&writer, &tx).await?;
            let newest = transactions::newest_in(&tx).await?;
            scoring::prepare_in(&writer, &tx, &mut seat, context.epoch, newest).await;
            if !seat.works() {
                tx.rollback().await?;
                return Ok(false);
            }
            let ids = store::unscored(&tx, LATE_ROWS).await?;
            let facts = transactions::facts_by_ids_in(&tx, &ids).await?;
            let now = writer.clock().now();
            let (seat, facts, judged) = transactions::computed(move || {
                let borrowed: Vec<(TransactionId, &Fact)> = facts.iter().map(|(id, fact)| (*id, fact)).collect();
                let judged = seat.judge(&borrowed, &context, now);
                drop(borrowed);
                (seat, facts, judged)
            })
            .await?;
            let mut seat = seat;
            if judged.scores.iter().all(Option::is_none) {
                tx.rollback().await?;
                return Ok(false);
            }
            let scored = facts.iter().map(|(id, _)| *id).zip(judged.scores.iter().copied());
            let scored: Vec<(TransactionId, i64)> = scored.filter_map(|(id, score)| Some((id, score?))).collect();
            transactions::set_scores_in(&tx, &scored, judged.model).await?;
            store::remove_unscored(&tx, &ids).await?;
            raise_in(&tx, writer.clock(), &judged).await?;
            events::commit(&writer, tx).await?;
            seat.keep();
            Ok(ids.len() as u64 >= LATE_ROWS)
        })
        .await
    }

    /// Saves what the detector remembers, so that the next start goes on from there.
    pub(crate) async fn save_memory(&self) -> Result<()> {
        self.durable(async move |writer| {
            let mut seat = writer.detectors().lease(writer.tenant()).await;
            let Some((bytes, last)) = seat.remembered() else { return Ok(()) };
            let compress = move || zstd::bulk::compress(&bytes, 1);
            let body = transactions::computed(compress).await?;
            let body = body.map_err(|error| Fault::Internal(error.to_string()))?;
            let (tx, now) = (writer.begin().await?, writer.clock().now());
            if store::memory(&tx).await?.is_some_and(|saved| saved.remembers_until > last) {
                // Another process remembers more.
                return Ok(());
            }
            let row = store::memory::Model { tenant_id: tx.tenant(), body, remembers_until: last, saved_at: now };
            store::save_memory(&tx, row).await?;
            tx.commit().await?;
            seat.saved(now);
            Ok(())
        })
        .await
    }
}
