//! Makes the extract that a replay reads, or goes on with the one that is there.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::files::{Extract, Extracts, File, Which};
use super::segment::{Builder, MOST_ROWS};
use crate::contracts::Period;
use crate::db::TenantTx;
use crate::error::{Code, Problem, Result};
use crate::ids::TransactionId;
use crate::time::MICROS_PER_DAY;
use crate::transactions::{self, Record};

/// Segments with fewer rows than this are joined with what comes after them.
const SMALL: usize = MOST_ROWS / 2;
/// An extract has this much more on both sides, so that a window some days from it finds what it needs.
const MARGIN: i64 = 35 * MICROS_PER_DAY;

/// What is to be extracted, and who wants to know how far it is.
pub(super) struct Order<'a> {
    pub window: Period,
    pub with_rounds: bool,
    pub stop: &'a CancellationToken,
    /// Facts that were read, of how many.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// All facts of the tenant that `tx` sees and that have a time in the window. `None` where it was stopped.
pub(super) async fn extract_in(tx: &TenantTx, all: &Arc<Extracts>, order: Order<'_>) -> Result<Option<Arc<Extract>>> {
    let which = (tx.tenant(), order.with_rounds);
    let newest = transactions::newest_in(tx).await?;
    let known = all.ready(which).filter(|known| known.covers(order.window) && known.last <= newest);
    if let Some(known) = known {
        if known.last == newest {
            return Ok(Some(known));
        }
        if known.last == TransactionId::NONE || transactions::is_there_in(tx, known.last).await? {
            match Building::on(all, &known)?.go_on(tx, which, &order, true).await? {
                Built::Ready(extract) => return Ok(Some(extract)),
                Built::Stopped => return Ok(None),
                // A round closed: facts from before count now.
                Built::Anew => {}
            }
        }
    }
    let window = Period { start: order.window.start.plus(-MARGIN), end: order.window.end.plus(MARGIN) };
    match Building::new(all, window).go_on(tx, which, &order, false).await? {
        Built::Ready(extract) => Ok(Some(extract)),
        Built::Stopped | Built::Anew => Ok(None),
    }
}

enum Built {
    Ready(Arc<Extract>),
    Stopped,
    Anew,
}

struct Building {
    all: Arc<Extracts>,
    window: Period,
    last: TransactionId,
    facts: u64,
    segments: Vec<Arc<File>>,
    builder: Builder,
}

impl Building {
    fn new(all: &Arc<Extracts>, window: Period) -> Self {
        let (last, segments, builder) = (TransactionId::NONE, Vec::new(), Builder::default());
        Self { all: all.clone(), window, last, facts: 0, segments, builder }
    }

    /// After one that is there: its full segments as they are, and its last one again where that is small.
    fn on(all: &Arc<Extracts>, known: &Extract) -> Result<Self> {
        let mut building = Self::new(all, known.window);
        (building.last, building.facts) = (known.last, known.facts);
        building.segments.clone_from(&known.segments);
        while let Some(small) = building.segments.pop_if(|file| file.rows < SMALL) {
            let segment = small.read()?;
            (0..segment.rows()).for_each(|row| building.builder.push(segment.record(row)));
        }
        Ok(building)
    }

    async fn go_on(mut self, tx: &TenantTx, which: Which, order: &Order<'_>, extends: bool) -> Result<Built> {
        let recorded = transactions::counted_in(tx).await?;
        loop {
            (order.progress)(self.facts, recorded);
            if order.stop.is_cancelled() {
                return Ok(Built::Stopped);
            }
            let Some(page) = transactions::extracted_in(tx, self.last, order.with_rounds).await? else { break };
            if extends && order.with_rounds && page.closes_rounds {
                return Ok(Built::Anew);
            }
            self.last = page.last;
            self.facts += page.facts;
            self = transactions::computed(move || self.with(page.records)).await??;
            if self.all.is_too_much(&self.segments) {
                return Err(too_much().into());
            }
        }
        if self.facts < recorded {
            let message =
                format!("{} transactions are in an archive; replay when they are back", recorded - self.facts);
            return Err(Problem::new(Code::WrongState, "", message).into());
        }
        transactions::computed(move || self.finish(which)).await?
    }

    fn with(mut self, records: Vec<Record>) -> Result<Self> {
        let window = self.window;
        let within = |record: &Record| {
            let times = [Some(record.occurred_at), record.settled_at, record.closed_at];
            times.into_iter().flatten().any(|time| window.contains(time))
        };
        for record in records.into_iter().filter(within) {
            self.builder.push(record);
            if self.builder.is_full() {
                let full = std::mem::take(&mut self.builder);
                self.segments.push(self.all.write(full)?);
            }
        }
        Ok(self)
    }

    fn finish(mut self, which: Which) -> Result<Built> {
        if self.builder.rows() > 0 {
            let rest = std::mem::take(&mut self.builder);
            self.segments.push(self.all.write(rest)?);
        }
        let extract = Extract::new(self.window, self.last, self.facts, self.segments);
        Ok(Built::Ready(self.all.keep(which, extract).ok_or_else(too_much)?))
    }
}

fn too_much() -> Problem {
    Problem::new(
        Code::BadInput,
        "to",
        "has more transactions than this server replays at a time; choose a shorter window",
    )
}
