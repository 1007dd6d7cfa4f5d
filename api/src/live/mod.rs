//! Live updates: subscriptions over WebSocket and server-sent events.
//!
//! - `group.rs`: execute once for all who asked the same, and share the bytes.
//! - `render.rs`: one subscription's execution, event by event.
//! - `after.rs`: the cursor that a subscription resumes from.
//! - `alone.rs`: subscriptions that end by themselves, each for one who asks.
//! - `operation.rs`: one operation, from its request to the parts of its answer.
//! - `access.rs`: whether a subscriber may go on.
//! - `silence.rs`: when a connection has to show that it lives.
//! - `protocol.rs`: the messages of `graphql-transport-ws`.
//! - `socket.rs`, `sse.rs`: the two ways to the client.

mod access;
mod after;
mod alone;
mod group;
mod operation;
pub mod protocol;
pub mod render;
mod silence;
pub mod socket;
pub mod sse;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use domain::events::Cursor;
use domain::ids::TenantId;
use domain::{Caller, Scoped};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::app::App;
use crate::graphql::Sender;
use crate::graphql::errors::{Failure, RATE_LIMITED, REQUEST_CODES};
use crate::graphql::execute::{Answer, Outcome, Prepared, Refused};

use self::group::{Group, Update, Updates};
use self::operation::Parts;
use self::render::Renderer;

/// Live subscriptions of one tenant on this process.
pub const MAX_OF_TENANT: usize = 10_000;

/// All live subscriptions of this process.
#[derive(Clone, Default)]
pub struct Live(Arc<Inner>);

#[derive(Default)]
struct Inner {
    groups: Mutex<HashMap<Key, Weak<Group>>>,
    /// Held while a group starts, so that subscribers who come together share one.
    starting: tokio::sync::Mutex<()>,
    counts: Mutex<HashMap<TenantId, usize>>,
    closing: CancellationToken,
    connections: TaskTracker,
}

/// What subscribers must have in common to see the same bytes. The audience has the tenant, role and partner in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    audience: Caller,
    query: String,
    operation: Option<String>,
    variables: String,
}

/// One subscription and its place.
pub struct Subscription {
    updates: Updates,
    tenant: TenantId,
    _place: Place,
}

/// A place among the tenant's subscriptions, given up when dropped.
struct Place {
    live: Live,
    tenant: TenantId,
}

impl Live {
    /// Tells every subscriber where to resume, and takes no new ones.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Waits until every connection is told and gone.
    pub async fn closed(&self) {
        self.0.connections.close();
        self.0.connections.wait().await;
    }

    /// Counts a connection for as long as it is kept.
    pub fn connection(&self) -> TaskTrackerToken {
        self.0.connections.token()
    }

    pub fn closing(&self) -> &CancellationToken {
        &self.0.closing
    }

    /// Begins a subscription that was prepared.
    pub async fn subscribe(&self, app: &App, sender: &Sender, mut prepared: Prepared) -> Result<Subscription, Refused> {
        let Some(scoped) = sender.scoped() else { return Err(Answer::failed(Failure::Unauthenticated).into()) };
        let tenant = scoped.tenant();
        let place = self.take_place(tenant)?;
        let failed = |error: domain::Error| Refused::from(Answer::failed(error.into()));
        let after = after::take(&mut prepared).map(|text| Cursor::parse(&text, tenant)).transpose();
        let after = after.map_err(|problem| failed(problem.into()))?;
        if let Some(cursor) = after {
            scoped.check_cursor(cursor).await.map_err(failed)?;
        }
        let group = self.group(app, sender, scoped, prepared).await?;
        let from = after.map_or_else(|| group.position(), |cursor| cursor.0);
        Ok(Subscription { updates: Updates::new(group, from), tenant, _place: place })
    }

    /// Begins one that is the sender's alone.
    fn run_alone(&self, app: &App, sender: &Sender, prepared: Prepared, id: String) -> Result<Parts, Refused> {
        let Some(scoped) = sender.scoped() else { return Err(Answer::failed(Failure::Unauthenticated).into()) };
        let place = self.take_place(scoped.tenant())?;
        Ok(alone::parts(app.clone(), sender, place, prepared, id))
    }

    /// The group of those who ask this, begun where there is none. Each one pays for it.
    async fn group(
        &self,
        app: &App,
        sender: &Sender,
        scoped: &Scoped,
        prepared: Prepared,
    ) -> Result<Arc<Group>, Refused> {
        let key = Key {
            audience: scoped.caller().audience(),
            query: prepared.text().to_owned(),
            operation: prepared.incoming().operation_name.clone(),
            variables: serde_json::to_string(&prepared.incoming().variables).unwrap_or_default(),
        };
        let _starting = self.0.starting.lock().await;
        if let Some(group) = self.known(&key) {
            let spent = app.rates.spend(sender.payer(), group.cost()).await;
            spent.map_err(|over| Answer::over_budget(group.cost(), over))?;
            return Ok(group);
        }
        let everybody = app.domain.for_caller(key.audience.clone());
        let tail = app.domain.follow(scoped.tenant()).await.map_err(|error| Answer::failed(error.into()))?;
        let (renderer, interest) = Renderer::start(app, everybody, sender.payer(), prepared).await?;
        let group = Arc::new(Group::start(&app.domain, tail, interest, renderer));
        self.groups().insert(key, Arc::downgrade(&group));
        Ok(group)
    }

    fn known(&self, key: &Key) -> Option<Arc<Group>> {
        let mut groups = self.groups();
        let group = groups.get(key).and_then(Weak::upgrade).filter(|group| group.goes_on());
        if group.is_none() {
            groups.retain(|_, group| group.strong_count() > 0);
            groups.remove(key);
        }
        group
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Weak<Group>>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_place(&self, tenant: TenantId) -> Result<Place, Refused> {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant).or_default();
        if *count >= MAX_OF_TENANT {
            let message = format!("this tenant has {MAX_OF_TENANT} live subscriptions on this node; end some first");
            return Err(Answer::refusal(Outcome::Invalid, RATE_LIMITED, &message).into());
        }
        *count += 1;
        Ok(Place { live: self.clone(), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.live.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.tenant);
            }
        }
    }
}

impl Subscription {
    /// Waits for the next update. Dropping the future loses none.
    pub async fn next(&mut self) -> domain::Result<Arc<Update>> {
        self.updates.next().await
    }

    /// Where to resume: all updates up to here were given out.
    pub fn cursor(&self) -> String {
        Cursor(self.updates.cursor()).text(self.tenant)
    }
}

/// Why a subscription is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Restart,
    Slow,
    SignedOut,
    Broken,
}

/// The errors that end a subscription, as a JSON array, with the cursor to resume from.
fn ended(why: Ending, cursor: Option<&str>) -> String {
    let (code, message) = match why {
        Ending::Restart => ("UNAVAILABLE", "the server stops; connect again"),
        Ending::Slow => ("TOO_SLOW", "updates were not taken in time"),
        Ending::SignedOut => {
            ("UNAUTHENTICATED", "the access token has expired, or the session or its rights have changed")
        }
        Ending::Broken => ("INTERNAL", "the subscription broke; subscribe again"),
    };
    debug_assert!(REQUEST_CODES.contains(&code), "{code} is in no catalogue");
    let extensions = match cursor {
        Some(cursor) => json!({ "code": code, "cursor": cursor }),
        None => json!({ "code": code }),
    };
    json!([{ "message": message, "extensions": extensions }]).to_string()
}
