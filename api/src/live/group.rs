//! Subscribers that asked the same see the same: a group executes once for all of them and shares the bytes.
//!
//! A group has one task, and all its executions happen there, one after the other. So what is shown of a settlement
//! never goes back, whichever way it reaches a subscriber: live, or out of what it missed. A subscriber that falls
//! behind, or comes with a cursor, asks the task for the newest state of each settlement that changed since, and is
//! handed the live ones when nothing is missing any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::events::{Cursor, Event, Interest, Tail};
use domain::{Domain, Error};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::render::Renderer;
use super::sse;

/// Changes of one settlement within this time are shown once, with the latest state.
const MERGED_WITHIN: Duration = Duration::from_millis(100);
/// Updates that wait for subscribers; who is further behind is shown the latest states instead.
const WAITING: usize = 64;
/// Updates that a subscriber gets at a time while it catches up.
const CATCH_UP: u64 = 16;
/// Rendered updates that are kept for those who catch up.
const KEPT: usize = 64;

/// What subscribers are sent: the body of one execution, with its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Update {
    pub sequence: i64,
    /// The place as text.
    pub cursor: String,
    pub body: Box<str>,
    /// The body as an event of a stream.
    pub event: Bytes,
}

/// The way to a group's task, which ends when nobody has it any more.
pub struct Group {
    commands: mpsc::Sender<CatchUp>,
    /// Everything up to here has been sent.
    position: Arc<AtomicI64>,
    cost: u32,
}

struct CatchUp {
    from: i64,
    reply: oneshot::Sender<domain::Result<Caught>>,
}

/// What a subscriber missed: some of it, or nothing and then the live updates from here on.
struct Caught {
    missed: Vec<Arc<Update>>,
    live: Option<(i64, broadcast::Receiver<Arc<Update>>)>,
}

impl Group {
    pub fn start(domain: &Domain, tail: Tail, interest: Interest, renderer: Renderer) -> Self {
        let (commands, asked) = mpsc::channel(WAITING);
        let cost = renderer.cost;
        let position = Arc::new(AtomicI64::new(tail.position()));
        let task = Task {
            tail,
            interest,
            renderer,
            asked,
            live: broadcast::Sender::new(WAITING),
            pending: BTreeMap::new(),
            kept: HashMap::new(),
            position: position.clone(),
            flushed: None,
        };
        domain.background(|stop| task.run(stop));
        Self { commands, position, cost }
    }

    /// Whether its task is there; one whose events could not be read is given up.
    pub fn goes_on(&self) -> bool {
        !self.commands.is_closed()
    }

    /// What each subscriber pays for joining.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    pub fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }
}

struct Task {
    tail: Tail,
    interest: Interest,
    renderer: Renderer,
    asked: mpsc::Receiver<CatchUp>,
    live: broadcast::Sender<Arc<Update>>,
    /// The newest event of each settlement that waits to be shown.
    pending: BTreeMap<Uuid, Event>,
    /// The last update of some settlements.
    kept: HashMap<Uuid, Arc<Update>>,
    position: Arc<AtomicI64>,
    flushed: Option<Instant>,
}

impl Task {
    /// Ends when the last subscriber is gone or the events cannot be read; then the subscribers are told so.
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let due = self.flushed.map_or_else(Instant::now, |flushed| flushed + MERGED_WITHIN);
            tokio::select! {
                () = stop.cancelled() => return,
                asked = self.asked.recv() => match asked {
                    None => return,
                    Some(CatchUp { from, reply }) => {
                        // Whoever asked may be gone.
                        let _ = reply.send(self.catch_up(from).await);
                    }
                },
                () = tokio::time::sleep_until(due), if !self.pending.is_empty() => {
                    if !self.flush().await {
                        return;
                    }
                }
                events = self.tail.next() => match events {
                    Ok(events) => self.take(events),
                    Err(error) => return tracing::error!(%error, "a subscription could not go on"),
                },
            }
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        let heard = events.into_iter().filter(|event| self.interest.takes(&event.news));
        self.pending.extend(heard.map(|event| (event.news.subject, event)));
        if self.pending.is_empty() {
            self.position.store(self.tail.position(), Ordering::Release);
        }
    }

    /// Shows what waits, in the order of its events. False when nothing more can be shown.
    async fn flush(&mut self) -> bool {
        self.flushed = Some(Instant::now());
        let mut events: Vec<Event> = std::mem::take(&mut self.pending).into_values().collect();
        events.sort_by_key(|event| event.sequence);
        for event in events {
            // Who is not listening yet will ask.
            if self.live.receiver_count() == 0 {
                continue;
            }
            let Some(update) = self.render(&event).await else { return false };
            let _ = self.live.send(update);
        }
        self.position.store(self.tail.position(), Ordering::Release);
        true
    }

    async fn catch_up(&mut self, from: i64) -> domain::Result<Caught> {
        let until = self.position.load(Ordering::Acquire);
        let events = self.tail.latest(from, until, &self.interest, CATCH_UP).await?;
        if events.is_empty() {
            return Ok(Caught { missed: Vec::new(), live: Some((until, self.live.subscribe())) });
        }
        let mut missed = Vec::with_capacity(events.len());
        for event in events {
            let update = match self.kept.get(&event.news.subject) {
                Some(kept) if kept.sequence == event.sequence => kept.clone(),
                _ => self.render(&event).await.ok_or_else(broken)?,
            };
            missed.push(update);
        }
        Ok(Caught { missed, live: None })
    }

    async fn render(&mut self, event: &Event) -> Option<Arc<Update>> {
        let body = self.renderer.render(*event).await?;
        let cursor = Cursor(event.sequence).text(self.tail.tenant());
        let update = Arc::new(Update { sequence: event.sequence, cursor, event: sse::next(&body), body });
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        self.kept.insert(event.news.subject, update.clone());
        Some(update)
    }
}

fn broken() -> Error {
    domain::Fault::Internal("a subscription could not go on".to_owned()).into()
}

/// One subscriber's updates, in order, without a gap and without one twice.
pub struct Updates {
    group: Arc<Group>,
    /// The place of the last update.
    cursor: i64,
    missed: std::vec::IntoIter<Arc<Update>>,
    live: Option<broadcast::Receiver<Arc<Update>>>,
}

impl Updates {
    pub fn new(group: Arc<Group>, from: i64) -> Self {
        Self { group, cursor: from, missed: Vec::new().into_iter(), live: None }
    }

    /// Waits for the next update. Dropping the future loses none.
    pub async fn next(&mut self) -> domain::Result<Arc<Update>> {
        loop {
            if let Some(update) = self.missed.next() {
                self.cursor = update.sequence;
                return Ok(update);
            }
            let Some(live) = &mut self.live else {
                self.catch_up().await?;
                continue;
            };
            match live.recv().await {
                Ok(update) if update.sequence > self.cursor => {
                    self.cursor = update.sequence;
                    return Ok(update);
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.live = None,
                Err(broadcast::error::RecvError::Closed) => return Err(broken()),
            }
        }
    }

    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    async fn catch_up(&mut self) -> domain::Result<()> {
        let (reply, caught) = oneshot::channel();
        let asked = self.group.commands.send(CatchUp { from: self.cursor, reply }).await;
        asked.map_err(|_| broken())?;
        let Caught { missed, live } = caught.await.map_err(|_| broken())??;
        self.missed = missed.into_iter();
        self.live = live.map(|(position, live)| {
            self.cursor = position.max(self.cursor);
            live
        });
        Ok(())
    }
}
