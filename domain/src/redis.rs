//! Redis, where one is configured: what makes several processes faster together. It carries hints, copies and counters,
//! never truth: killed, flushed or absent, it costs speed and no row.
//!
//! - Hints tell other processes that something of a tenant was committed. One that is lost is made up for by polling.
//! - Copies of what takes long to read have the tenant in their key and are sealed with the master key for that key, so
//!   that a value that was put there by somebody else, or moved, does not open and is read again where it belongs.
//! - Budgets are counted for all processes together; without Redis each counts for itself.
//!
//! Nothing waits longer than [`PATIENCE`] for it, and after a failure nobody asks it for a [`PAUSE`].

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{AsyncCommands, Client, FromRedisValue, RedisError, RedisResult, Script};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Domain;
use crate::error::Result;
use crate::ids::TenantId;
use crate::secrets;

const PATIENCE: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_secs(1);
/// Builds that read copies alike.
const COPIES: &str = concat!(env!("CARGO_PKG_VERSION"), ".1");

/// Takes points from each of the budgets that are its keys, or from none: a token bucket as the time at which it is
/// full again. Its arguments are, for each key, the microseconds in which a point comes back and the budget's points;
/// then the points to take. It answers with what is left of the first, or minus the microseconds to wait.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local points, full, left = tonumber(ARGV[#ARGV]), {}, nil
for i, key in ipairs(KEYS) do
  local each, most = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  full[i] = math.max(tonumber(redis.call('GET', key) or now), now) + points * each
  local over = full[i] - now - each * most
  if over > 0 then return -math.ceil(over) end
  left = left or math.floor((each * most - (full[i] - now)) / each)
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.3f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
end
return left
";

#[derive(Debug, thiserror::Error)]
#[error("this is no address of a Redis server like redis://localhost/ or rediss://user:password@redis.example.com/0")]
pub struct RedisUrlError;

/// What another process should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hint {
    /// The tenant has new events.
    Events,
    /// Mail waits to be sent.
    Mail,
    /// A job waits, or something of the detector's.
    Chores,
    /// Running totals grew.
    Books,
}

impl Hint {
    const ALL: [Self; 4] = [Self::Events, Self::Mail, Self::Chores, Self::Books];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Mail => "mail",
            Self::Chores => "chores",
            Self::Books => "books",
        }
    }
}

/// One of the budgets that [`Redis::take`] takes from.
pub struct Bucket {
    /// Whose it is; those that are taken from together begin alike up to the last colon, so that a cluster keeps them in
    /// one place.
    pub key: String,
    pub points: u32,
    pub seconds: u32,
}

pub struct Redis {
    client: Client,
    connection: ConnectionManager,
    /// What the keys of this installation begin with.
    name: String,
    /// Which process wrote a hint: one's own are not news.
    process: String,
    waiting: Mutex<BTreeSet<(TenantId, Hint)>>,
    wake: Notify,
    asks_again: Mutex<Option<Instant>>,
    take: Script,
}

impl Redis {
    /// For the installation of that name. It connects when it is first used; a server that is not there is no error.
    pub fn new(url: &str, name: &str) -> Result<Self, RedisUrlError> {
        let client = Client::open(url).map_err(|_| RedisUrlError)?;
        let process = secrets::random::<12>().map_err(|_| RedisUrlError)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(|_| RedisUrlError)?;
        Ok(Self {
            client,
            connection,
            name: format!("saldo:{name}"),
            process: secrets::base64url(&process),
            waiting: Mutex::default(),
            wake: Notify::new(),
            asks_again: Mutex::default(),
            take: Script::new(TAKE),
        })
    }

    /// Whether the server answers.
    pub async fn ready(&self) -> bool {
        let mut connection = self.connection.clone();
        let ping = ::redis::cmd("PING");
        matches!(tokio::time::timeout(PATIENCE, ping.query_async::<String>(&mut connection)).await, Ok(Ok(_)))
    }

    /// Takes points from all of these budgets or from none: what is left of the first one, or for how long to wait.
    /// `None` where Redis does not answer.
    pub async fn take(&self, buckets: &[Bucket], points: u32) -> Option<Result<u32, Duration>> {
        let mut asked = self.take.prepare_invoke();
        for bucket in buckets {
            // In a script the numbers are texts, so the division is done with a few digits more than it needs.
            let nanos = u64::from(bucket.seconds) * 1_000_000_000 / u64::from(bucket.points.max(1));
            asked.key(format!("{}:{}", self.name, bucket.key));
            asked.arg(format!("{}.{:03}", nanos / 1_000, nanos % 1_000)).arg(bucket.points);
        }
        asked.arg(points);
        let mut connection = self.connection.clone();
        let left: i64 = self.asked(async move { asked.invoke_async(&mut connection).await }).await?;
        Some(u32::try_from(left).map_err(|_| Duration::from_micros(left.unsigned_abs())))
    }

    /// Asks, unless Redis failed just now. What went wrong is told once a pause.
    async fn asked<T: FromRedisValue>(&self, question: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let now = Instant::now();
        if self.asks_again.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| now < at) {
            return None;
        }
        let failed = match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", PATIENCE.as_millis()),
        };
        *self.asks_again.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
        tracing::warn!(error = failed, "Redis does not answer; work goes on without it");
        None
    }

    /// Tells other processes, soon. Whatever waits already is not told twice.
    fn tell(&self, tenant: TenantId, hint: Hint) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, hint));
        self.wake.notify_one();
    }

    fn channel(&self) -> String {
        format!("{}:hints", self.name)
    }

    async fn publish(&self, hints: BTreeSet<(TenantId, Hint)>) {
        let lines = hints.iter().map(|(tenant, hint)| format!("\n{} {}", tenant.0.simple(), hint.as_str()));
        let message = std::iter::once(self.process.clone()).chain(lines).collect::<String>();
        let (mut connection, channel) = (self.connection.clone(), self.channel());
        self.asked::<i64>(async move { connection.publish(channel, message).await }).await;
    }

    /// The hints in a message of another process; nothing of what is none.
    fn read(&self, message: &str) -> Vec<(TenantId, Hint)> {
        let mut lines = message.lines();
        if lines.next() == Some(&*self.process) {
            return Vec::new();
        }
        let hint = |line: &str| {
            let (tenant, hint) = line.split_once(' ')?;
            let hint = Hint::ALL.into_iter().find(|known| known.as_str() == hint)?;
            Some((TenantId(Uuid::from_str(tenant).ok()?), hint))
        };
        lines.filter_map(hint).collect()
    }
}

impl Domain {
    /// Tells whoever works on it, here and at other processes, that something of this tenant was committed.
    pub(crate) fn hint(&self, tenant: TenantId, hint: Hint) {
        self.take_hint(tenant, hint);
        // Every process may have followers. What one worker does, others need not try.
        if let Some(redis) = self.redis().filter(|_| hint == Hint::Events || !self.works()) {
            redis.tell(tenant, hint);
        }
    }

    fn take_hint(&self, tenant: TenantId, hint: Hint) {
        match hint {
            Hint::Events => self.bus().hint(tenant),
            Hint::Mail => self.post().hint(tenant),
            Hint::Chores => self.detectors().hint(tenant),
            Hint::Books => self.lanes().touch(tenant),
        }
    }

    /// Exchanges hints with other processes for as long as this one runs.
    pub(crate) fn exchange_hints(&self) {
        if self.redis().is_some() {
            let (telling, hearing) = (self.clone(), self.clone());
            self.background(async move |stop| tell(telling, stop).await);
            self.background(async move |stop| hear(hearing, stop).await);
        }
    }

    /// A copy of what `load` reads, where Redis has one under this tenant and name. What has a name must never change;
    /// it is kept for some seconds.
    pub(crate) async fn copied<T: Serialize + DeserializeOwned>(
        &self,
        tenant: TenantId,
        name: &str,
        seconds: u64,
        load: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(redis) = self.redis() else { return load.await };
        let key = format!("{}:{{{}}}:{COPIES}:{name}", redis.name, tenant.0.simple());
        let (mut connection, asked) = (redis.connection.clone(), key.clone());
        let copy: Option<Option<Vec<u8>>> = redis.asked(async move { connection.get(asked).await }).await;
        let Some(copy) = copy else { return load.await };
        if let Some(value) = copy.and_then(|copy| self.opened(&key, &copy)) {
            return Ok(value);
        }
        let value = load.await?;
        if let Some(sealed) = self.sealed(&key, &value) {
            let mut connection = redis.connection.clone();
            redis.asked::<()>(async move { connection.set_ex(key, sealed, seconds).await }).await;
        }
        Ok(value)
    }

    fn sealed(&self, key: &str, value: &impl Serialize) -> Option<Vec<u8>> {
        let packed = zstd::bulk::compress(&serde_json::to_vec(value).ok()?, 1).ok()?;
        self.master_key().seal(key, &packed).ok()
    }

    fn opened<T: DeserializeOwned>(&self, key: &str, copy: &[u8]) -> Option<T> {
        let packed = self.master_key().open(key, copy).ok()?;
        serde_json::from_slice(&zstd::stream::decode_all(&packed[..]).ok()?).ok()
    }
}

async fn tell(domain: Domain, stop: CancellationToken) {
    let Some(redis) = domain.redis() else { return };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = redis.wake.notified() => {}
        }
        // What comes while this is on its way goes with the next one.
        let hints = std::mem::take(&mut *redis.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        redis.publish(hints).await;
    }
}

async fn hear(domain: Domain, stop: CancellationToken) {
    let Some(redis) = domain.redis() else { return };
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pause.tick() => {}
        }
        let heard = async {
            let mut messages = redis.client.get_async_pubsub().await?;
            messages.subscribe(redis.channel()).await?;
            // Whatever was told while nobody listened.
            domain.bus().hint_all();
            let mut messages = messages.into_on_message();
            while let Some(message) = messages.next().await {
                let message: String = message.get_payload()?;
                for (tenant, hint) in redis.read(&message) {
                    domain.take_hint(tenant, hint);
                }
            }
            Ok::<(), RedisError>(())
        };
        tokio::select! {
            () = stop.cancelled() => return,
            ended = heard => if let Err(error) = ended {
                tracing::debug!(%error, "no hints of other processes until Redis answers");
            },
        }
    }
}

/// What an installation is called where several may share a server: nobody without its master key can tell.
pub fn installation(master_key: &secrets::MasterKey) -> String {
    master_key.name("redis")
}
