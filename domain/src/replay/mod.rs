//! The time machine: what a draft of a contract would have paid for a time that is past, beside what was settled. It reads
//! and changes nothing.
//!
//! [`extracting`] copies the facts of the window into columns ([`segment`], in the files of [`files`]), where they stay for
//! the next time; [`totals`] prices them under the versions in force and under the draft; [`difference`] makes lines of
//! both and compares them.
//!
//! Uses contracts, catalogue and transactions to read what is priced, and settlements for what was carried.

#[cfg(test)]
mod agreement;
pub mod difference;
mod extracting;
mod files;
#[cfg(test)]
mod fixtures;
mod partners;
mod segment;
mod totals;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use chrono::NaiveDate;
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::caller::{Permission, Scoped};
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{Book, ContractVersion, Period};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, PartnerId, TenantId};
use crate::money::Asset;
use crate::settlements::chain::Beforehand;
use crate::{catalogue, contracts, settlements, transactions};

pub use difference::Simulated;
use extracting::{Order, extract_in};
use files::{Extract, Extracts};
use totals::{Products, Replay, Totals};

/// Simulations of one tenant that wait for the one under way.
const MOST_WAITING: usize = 4;
/// Simulations that are under way in one process.
const AT_ONCE: usize = 2;
/// Rows that are priced before it is looked whether they are still wanted.
const CHUNK: usize = 8_192;
/// Steps that wait for whoever follows; progress that nobody takes is left out.
const STEPS: usize = 8;

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Ask {
    pub contract: ContractId,
    /// A draft, or any other version of the contract.
    pub version: i64,
    /// The first local day, in the zone of the version's cycle.
    pub from: NaiveDate,
    /// The last one.
    pub to: NaiveDate,
    /// One of the version's; that of its terms where it is not said.
    pub currency: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Facts are copied into columns, as far as they are not there from the last time.
    Extracting,
    /// They are priced under both.
    Replaying,
}

/// How far a simulation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    /// Transactions that are done…
    pub done: u64,
    /// …of so many.
    pub of: u64,
}

/// What is heard of a simulation; what came of it is the last.
#[derive(Debug)]
pub enum Step {
    Progress(Progress),
    Done(Box<Simulated>),
    Failed(Error),
}

/// A simulation under way. Dropped, it stops within some thousands of rows.
pub struct Simulation {
    steps: mpsc::Receiver<Step>,
    _stop: DropGuard,
}

impl Stream for Simulation {
    type Item = Step;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        self.steps.poll_recv(cx)
    }
}

/// What simulations of a process share.
pub(crate) struct Replays {
    extracts: Arc<Extracts>,
    /// Of each tenant that has any, its turns and how many want one.
    turns: Mutex<HashMap<TenantId, (Arc<Semaphore>, usize)>>,
    all: Semaphore,
}

impl Replays {
    pub fn new(folder: &Path) -> Self {
        let extracts = Arc::new(Extracts::new(folder));
        Self { extracts, turns: Mutex::default(), all: Semaphore::new(AT_ONCE) }
    }

    /// Removes what was extracted.
    pub fn clear(&self) {
        self.extracts.clear();
    }

    fn line_up(&self, tenant: TenantId) -> Option<Arc<Semaphore>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, wanted) = turns.entry(tenant).or_insert_with(|| (Arc::new(Semaphore::new(1)), 0));
        if *wanted > MOST_WAITING {
            return None;
        }
        *wanted += 1;
        Some(turn.clone())
    }

    fn leave(&self, tenant: TenantId) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, wanted)) = turns.get_mut(&tenant) {
            *wanted -= 1;
            if *wanted == 0 {
                turns.remove(&tenant);
            }
        }
    }
}

/// A place in the line of a tenant, given up when dropped.
struct Seat {
    scoped: Scoped,
    turn: Arc<Semaphore>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.scoped.replays().leave(self.scoped.tenant());
    }
}

/// What is compared with what.
struct Plan {
    partner: PartnerId,
    draft: ContractVersion,
    /// The contract's active versions, by the instant from which they count.
    active: Vec<ActiveVersion>,
    window: Period,
    asset: Asset,
}

impl Scoped {
    /// Replays a version of a contract over a time that is past, beside the versions in force. Nothing is stored, and
    /// nothing touched. For members of the tenant itself; one simulation of a tenant runs at a time, others wait.
    pub async fn simulate_contract_version(&self, ask: Ask) -> Result<Simulation> {
        self.require(Permission::Read)?;
        if self.caller().partner().is_some() {
            return Err(Error::Denied("a member of the tenant itself"));
        }
        // What is wrong with it is said before anybody waits.
        self.plan_in(&self.read().await?, &ask).await?;
        let turn = self.replays().line_up(self.tenant()).ok_or_else(|| {
            let message = format!("{MOST_WAITING} simulations of this tenant wait already; end some first");
            Problem::new(Code::RateLimited, "", message)
        })?;
        let seat = Seat { scoped: self.clone(), turn };
        let (said, steps) = mpsc::channel(STEPS);
        let stop = self.bus().stopping().child_token();
        let guard = stop.clone().drop_guard();
        self.background(move |_| async move {
            if let Some(last) = Box::pin(seat.run(ask, &stop, &said)).await {
                // Whoever asked may be gone, or not listen while everything ends.
                tokio::select! {
                    _ = said.send(last) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        Ok(Simulation { steps, _stop: guard })
    }

    async fn plan_in(&self, tx: &TenantTx, ask: &Ask) -> Result<Plan> {
        let found = contracts::version_in(tx, ask.contract, ask.version, self.clock().now()).await;
        let (contract, mut draft) = found.map_err(|error| match error {
            Error::NotFound("contract") => {
                Problem::new(Code::NotFound, "contractId", "there is no such contract").into()
            }
            Error::NotFound(_) => {
                let message = format!("the contract has no version {}", ask.version);
                Problem::new(Code::NotFound, "version", message).into()
            }
            other => other,
        })?;
        let currency = ask.currency.clone().unwrap_or_else(|| draft.terms.currency.clone());
        draft.terms = draft.terms.in_currency(&currency).ok_or_else(|| {
            let message = format!("is no currency of version {}, which has {}", ask.version, currencies(&draft));
            Problem::new(Code::BadInput, "currency", message)
        })?;
        let active = contracts::active_versions_of_in(tx, &[contract.id]).await?;
        let active = contracts::for_currency(active, &currency);
        let window = window::window((ask.from, ask.to), &draft, &active, self.clock().now())?;
        if let Some(other) = window::in_force(window, &active).find(|version| version.terms.currency != currency) {
            let message = format!(
                "is in {currency}, and version {} was in force in {}; amounts in two currencies have no difference",
                other.version, other.terms.currency
            );
            return Err(Problem::new(Code::BadInput, "version", message).into());
        }
        let asset = catalogue::asset_in(tx, &currency).await?;
        let asset = asset.ok_or_else(|| Fault::Corrupt(format!("terms in the unknown currency '{currency}'")))?;
        Ok(Plan { partner: contract.partner_id, draft, active, window, asset })
    }
}

impl Seat {
    /// What comes of it; `None` where it was stopped.
    async fn run(&self, ask: Ask, stop: &CancellationToken, said: &mpsc::Sender<Step>) -> Option<Step> {
        let turns = async {
            let own = self.turn.acquire().await.ok()?;
            Some((own, self.scoped.replays().all.acquire().await.ok()?))
        };
        // What has begun looks at it between two reads: dropped in the middle of one, it would keep its connection.
        let _turns = tokio::select! {
            turns = turns => turns?,
            () = stop.cancelled() => return None,
        };
        let done = match self.simulate(&ask, stop, said).await {
            // A file of the extract is no more what was written: it is made again, once.
            Err(Error::Fault(Fault::Corrupt(damage))) => {
                tracing::warn!(damage, "an extract is made anew");
                self.scoped.replays().clear();
                self.simulate(&ask, stop, said).await
            }
            done => done,
        };
        match done {
            Ok(done) => done.map(|simulated| Step::Done(Box::new(simulated))),
            Err(error) => Some(Step::Failed(error)),
        }
    }

    async fn simulate(
        &self,
        ask: &Ask,
        stop: &CancellationToken,
        said: &mpsc::Sender<Step>,
    ) -> Result<Option<Simulated>> {
        let tx = self.scoped.read_elsewhere().await?;
        let plan = self.scoped.plan_in(&tx, ask).await?;
        let draft = plan.draft.clone().active(plan.partner);
        let drafted = window::with_draft(plan.window, draft, &plan.active);
        let (products, players) = catalogue::for_pricing_in(&tx).await?;
        let settled = Book::new(plan.active.clone(), products.clone(), players.clone())?;
        let books = (settled, Book::new(drafted.clone(), products, players)?);
        let (beforehand, periods) =
            settlements::standing_at_in(&tx, ask.contract, &plan.active, &plan.asset, plan.window).await?;
        let teller = Teller::new(said.clone(), Phase::Extracting);
        let order = Order {
            window: plan.window,
            with_rounds: books.0.needs_rounds() || books.1.needs_rounds(),
            stop,
            progress: &|done, of| teller.tell(done, of),
        };
        let Some(extract) = Box::pin(extract_in(&tx, &self.scoped.replays().extracts, order)).await? else {
            return Ok(None);
        };
        tx.rollback().await?;
        let (stop, teller) = (stop.clone(), Teller::new(said.clone(), Phase::Replaying));
        transactions::computed(move || {
            let Some(totals) = replay(plan.window, &books, &extract, &stop, &teller)? else { return Ok(None) };
            Ok(Some(compare(&plan, &drafted, &beforehand, periods, &totals)?))
        })
        .await?
    }
}

fn currencies(draft: &ContractVersion) -> String {
    draft.terms.currencies().collect::<Vec<_>>().join(", ")
}

/// Prices the rows of the window under both books, piece by piece. `None` where it was stopped.
fn replay(
    window: Period,
    (settled, drafted): &(Book, Book),
    extract: &Extract,
    stop: &CancellationToken,
    teller: &Teller,
) -> Result<Option<(Totals, Totals, Products)>> {
    let files: Vec<_> = extract.segments.iter().filter(|file| file.meets(window)).collect();
    let of: usize = files.iter().map(|file| file.rows).sum();
    let (mut replay, mut done) = (Replay::new(window, settled, drafted), 0);
    for file in files {
        let (segment, mut met) = (file.read()?, totals::Met::new());
        for first in (0..segment.rows()).step_by(CHUNK) {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let rows = first..segment.rows().min(first + CHUNK);
            done += rows.len();
            replay.take(&segment, rows, &mut met);
            teller.tell(wide(done), wide(of));
        }
    }
    Ok(Some(replay.finish()))
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn compare(
    plan: &Plan,
    drafted: &[ActiveVersion],
    beforehand: &Beforehand,
    periods: BTreeSet<Period>,
    (settled_totals, drafted_totals, products): &(Totals, Totals, Products),
) -> Result<Simulated> {
    // A month in which nothing happened has a settlement all the same, where one was opened: under the draft as well.
    let counted = settled_totals.sums.keys().map(|key| key.period);
    let cut = |period: Period| plan.draft.terms.cycle.period(period.start);
    let same = periods.iter().copied().chain(counted).map(cut).collect();
    let settled = difference::Terms { versions: &plan.active, totals: settled_totals, periods };
    let drafted = difference::Terms { versions: drafted, totals: drafted_totals, periods: same };
    Ok(difference::compare(plan.window, plan.partner, &plan.asset, beforehand, (settled, drafted), products)?)
}

/// Tells how far a phase is, at most a hundred times.
struct Teller {
    said: mpsc::Sender<Step>,
    phase: Phase,
    hundredth: AtomicU64,
}

impl Teller {
    fn new(said: mpsc::Sender<Step>, phase: Phase) -> Self {
        Self { said, phase, hundredth: AtomicU64::new(u64::MAX) }
    }

    fn tell(&self, done: u64, of: u64) {
        let hundredth = done.saturating_mul(100) / of.max(1);
        if self.hundredth.swap(hundredth, Ordering::Relaxed) != hundredth {
            // Who is behind hears the next one.
            self.said.try_send(Step::Progress(Progress { phase: self.phase, done, of })).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::segment::Builder;
    use super::*;
    use crate::contracts::fixtures::active;
    use crate::ids::{SourceId, TransactionId};
    use crate::money::Units;
    use crate::time::Timestamp;
    use crate::transactions::Record;
    use crate::transactions::transaction::Kind;

    /// Whoever has seen enough stops the work before the next piece.
    #[test]
    fn a_replay_that_nobody_wants_any_more_ends() {
        let start = Timestamp::parse_rfc3339("2021-11-01T00:00:00Z").expect("a time");
        let window = Period { start, end: Timestamp::parse_rfc3339("2021-12-01T00:00:00Z").expect("a time") };
        let folder = std::env::temp_dir().join(format!("saldo-replay-stop-{}", std::process::id()));
        let all = Extracts::new(&folder);
        let mut builder = Builder::default();
        for row in 0..3 * CHUNK {
            builder.push(Record {
                source: SourceId::NONE,
                kind: Kind::Stake,
                affects: None,
                amount: Units(1),
                currency: "BIT".into(),
                occurred_at: start.plus(i64::try_from(row).expect("small")),
                settled_at: None,
                closed_at: None,
                product: Some("crash".into()),
                player: None,
                has_round: false,
                round_closed: false,
                channel: None,
                region: None,
                test: false,
                attributes: None,
                undoes: false,
            });
        }
        let file = all.write(builder).expect("it is written");
        let extract = Extract::new(window, TransactionId::NONE, 0, vec![file]);
        let book = || Book::new(vec![active(1, 1, json!({}))], vec![], vec![]).expect("a book");
        let books = (book(), book());
        let (said, mut steps) = mpsc::channel(STEPS);
        let stop = CancellationToken::new();
        let teller = Teller::new(said.clone(), Phase::Replaying);
        let totals = replay(window, &books, &extract, &stop, &teller).expect("it is read").expect("an outcome");
        let counted: i64 = totals.0.sums.values().map(|sum| sum.transactions).sum();
        assert_eq!(counted, i64::try_from(3 * CHUNK).expect("small"));
        let told: Vec<_> = std::iter::from_fn(|| steps.try_recv().ok()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        stop.cancel();
        let teller = Teller::new(said, Phase::Replaying);
        assert!(replay(window, &books, &extract, &stop, &teller).expect("it is read").is_none());
        assert!(steps.try_recv().is_err(), "and says nothing");
    }
}
