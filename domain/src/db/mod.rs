//! The database, and the only place that runs a query.
//!
//! [`TenantTx`] is the only holder of a connection for a tenant's data: it stamps and filters `tenant_id`, so that a
//! query can be built anywhere and run nowhere else. [`AdminTx`] is for the few rows that belong to the installation
//! (tenants by slug, signing keys). [`bulk`] has the multi-row statements of the hot path; `rows.rs` reads and writes
//! whatever a tenant has, by what the database's own `catalogue.rs` says there is.
//!
//! - `sqlite.rs`: one process owns the file (a lock file says which), with one writing connection, whose transactions
//!   are all `BEGIN IMMEDIATE`, and a few read-only ones.
//! - `postgres.rs`: a transaction binds its tenant, which row level security checks below all of this; one that writes
//!   locks the tenant's row, so that a tenant's changes happen one after the other as on SQLite, whoever makes them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where what they do is done, with the tenant bound"
)]

/// Makes a sea-orm entity one whose rows belong to tenants, in the module that derives it.
macro_rules! tenant_owned {
    ($reach:expr) => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}

        impl $crate::db::TenantOwned for Entity {
            const TENANT: Column = Column::TenantId;
            const REACH: Reach<Column> = $reach;
        }
    };
}
pub(crate) use tenant_owned;

mod admin_tx;
mod arrays;
pub(crate) mod bulk;
mod catalogue;
mod citus;
mod failures;
mod partitions;
mod pools;
mod postgres;
mod primary;
mod replica;
mod rows;
mod sqlite;
mod tenant_tx;
mod urls;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::pools::{Begin, Pools};
use self::postgres::bind;
use self::primary::Servers;
use self::replica::Replica;
use self::tenant_tx::At;

pub use admin_tx::{AdminTx, Installation};
pub(crate) use catalogue::{Holds, Table};
pub(crate) use failures::{is_overflow, is_passing, is_refusal, is_unavailable};
pub(crate) use rows::Cell;
pub use tenant_tx::{Reach, TenantOwned, TenantTx};
pub use urls::{at_primary, role_of, shown};

use crate::clock::Clock;
use crate::error::{Fault, Result};
use crate::ids::{PartnerId, TenantId};
use crate::time::Timestamp;

const POOL_WAIT: Duration = Duration::from_secs(30);
/// How long whoever lost the database waits for it…
const RECOVERY: Duration = Duration::from_secs(20);
/// …and how often it is looked for meanwhile, and while nothing is amiss.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const WATCH_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "'{0}' is no database URL that this build knows; use sqlite://path/to/saldo.db or postgres://user@host/database"
    )]
    Url(String),
    #[error(
        "{path} is in use by another Saldo ({owner}); one process owns an embedded database. Stop it, or send your work to it over HTTP"
    )]
    Locked { path: String, owner: String },
    #[error("an embedded database has no replica; it takes a database on a server")]
    Embedded,
    #[error("no server takes writes: {0}")]
    NoPrimary(String),
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("the role '{role}' {why}")]
    Role { role: String, why: String },
    #[error("the database does not open: {0}")]
    Database(#[from] DbErr),
    #[error("the database does not open: {0}")]
    Sqlx(#[from] sqlx::Error),
}

/// The right to use a database: of an embedded one held by one process at a time and given up when dropped, of one on a
/// server as many as there are.
pub struct DbLock(Held);

enum Held {
    Sqlite(sqlite::Lock),
    Postgres { url: String },
}

impl DbLock {
    /// Takes the database behind `url`. An embedded one is locked from here on, and its folder made where it is
    /// missing.
    pub fn take(url: &str, purpose: &str) -> Result<Self, OpenError> {
        let held = match url.split_once("://") {
            Some(("sqlite", _)) => Held::Sqlite(sqlite::Lock::take(url, purpose)?),
            Some(("postgres" | "postgresql", _)) => Held::Postgres { url: url.to_owned() },
            _ => return Err(OpenError::Url(shown(url))),
        };
        Ok(Self(held))
    }

    /// A file beside an embedded database; in the folder `var` otherwise.
    pub fn beside(&self, extension: &str) -> PathBuf {
        match &self.0 {
            Held::Sqlite(lock) => lock.path().with_extension(extension),
            Held::Postgres { .. } => PathBuf::from("var/saldo").with_added_extension(extension),
        }
    }
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The changes of the schema that were made.
    pub versions: Vec<String>,
    /// Its own clock, where it has one.
    pub time: Option<Timestamp>,
    /// Where there is a replica: how many seconds ago what it has last was committed, if it answers.
    pub lag: Option<Option<i64>>,
}

pub struct Db {
    pools: RwLock<Arc<Pools>>,
    /// Where the database is on a server.
    servers: Option<Servers>,
    /// Held by whoever looks for the primary.
    looking: tokio::sync::Mutex<()>,
    /// Where lists and reports are read from, if from anywhere else.
    replica: Option<Replica>,
    /// How many statements ran.
    statements: Arc<AtomicU64>,
    lock: DbLock,
}

impl Db {
    /// Opens a database that has been migrated.
    pub async fn open(lock: DbLock) -> Result<Self, OpenError> {
        let statements = Arc::new(AtomicU64::new(0));
        let (pools, servers) = match &lock.0 {
            Held::Sqlite(lock) => {
                let (writer, readers) = sqlite::pools(lock.path())?;
                (Pools::new(writer, readers, None, false, &statements), None)
            }
            Held::Postgres { url } => {
                let servers = Servers::parse(url)?;
                let primary = servers.primary(0).await?;
                (Pools::at(&servers, primary, &statements).await?, Some(servers))
            }
        };
        pools.writer.execute_unprepared("SELECT 1").await?;
        let (pools, looking) = (RwLock::new(Arc::new(pools)), tokio::sync::Mutex::default());
        Ok(Self { pools, servers, looking, replica: None, statements, lock })
    }

    /// The same with a standby for lists and reports.
    pub async fn with_replica(self, url: &str) -> Result<Self, OpenError> {
        if self.servers.is_none() {
            return Err(OpenError::Embedded);
        }
        Ok(Self { replica: Some(Replica::open(url).await?), ..self })
    }

    /// [`DbLock::beside`].
    pub(crate) fn beside(&self, extension: &str) -> PathBuf {
        self.lock.beside(extension)
    }

    fn pools(&self) -> Arc<Pools> {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the database takes writes again, here or at another server; whether it does. Everybody who waits is
    /// served by one who looks.
    pub(crate) async fn recover(&self) -> bool {
        let Some(servers) = &self.servers else { return false };
        let before = self.pools();
        let _looking = self.looking.lock().await;
        if before.at.gone.is_cancelled() {
            return true;
        }
        let mut pause = tokio::time::interval(LOOK_EVERY);
        let looked = tokio::time::timeout(RECOVERY, async {
            loop {
                pause.tick().await;
                match self.look(servers, &before).await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%error, "still looking for the database"),
                }
            }
        });
        looked.await.is_ok()
    }

    /// Goes over to another server where one was promoted, though nothing has failed here: who was stopped and goes on
    /// would wait for answers of a server that is no primary any more.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let Some(servers) = self.servers.as_ref().filter(|servers| servers.are_several()) else { return };
        let mut pause = tokio::time::interval(WATCH_EVERY);
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = pause.tick() => {}
            }
            let _looking = self.looking.lock().await;
            if let Err(error) = self.look(servers, &self.pools()).await {
                tracing::warn!(%error, "the database has no primary");
            }
        }
    }

    async fn look(&self, servers: &Servers, before: &Pools) -> Result<(), OpenError> {
        let known = before.primary.map_or(0, |primary| primary.timeline);
        let primary = servers.primary(known).await?;
        if before.primary != Some(primary) {
            let pools = Arc::new(Pools::at(servers, primary, &self.statements).await?);
            *self.pools.write().unwrap_or_else(PoisonError::into_inner) = pools;
            before.at.gone.cancel();
            tracing::warn!(timeline = primary.timeline, "another server takes the writes from here on");
        }
        Ok(())
    }

    /// Does `work`, unless another server takes over meanwhile: then nobody knows what became of it.
    pub(crate) async fn unless_gone<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let pools = self.pools();
        tokio::select! {
            done = work => done,
            () = pools.at.gone.cancelled() => Err(Fault::Unanswered.into()),
        }
    }

    pub(crate) async fn read(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        let (tx, at) = self.begun(Begin::Reading).await?;
        at.ask(bind(&tx, tenant)).await?;
        Ok(TenantTx::new(tx, at, tenant, partner))
    }

    /// For what takes long to read and changes nothing: at the replica, if it has everything.
    pub(crate) async fn read_elsewhere(
        &self,
        clock: &Clock,
        tenant: TenantId,
        partner: Option<PartnerId>,
    ) -> Result<TenantTx, DbErr> {
        if let Some(replica) = &self.replica
            && let Some(tx) = replica.read(clock, &self.pools().readers, tenant).await
        {
            return Ok(TenantTx::new(tx, At::default(), tenant, partner));
        }
        self.read(tenant, partner).await
    }

    pub(crate) async fn write(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        let (tx, at) = self.begun(Begin::Writing).await?;
        if is_postgres(&tx) {
            at.ask(tx.execute_unprepared(&postgres::bound_and_locked(tenant))).await?;
        }
        Ok(TenantTx::new(tx, at, tenant, partner))
    }

    pub(crate) async fn admin(&self) -> Result<AdminTx, DbErr> {
        let (tx, at) = self.begun(Begin::Writing).await?;
        Ok(AdminTx::new(tx, at))
    }

    pub(crate) async fn admin_read(&self) -> Result<AdminTx, DbErr> {
        let (tx, at) = self.begun(Begin::Reading).await?;
        Ok(AdminTx::new(tx, at))
    }

    /// A transaction that has begun: nothing is done in it, so that a database which was lost meanwhile is waited for.
    async fn begun(&self, what: Begin) -> Result<(DatabaseTransaction, At), DbErr> {
        let mut stale = 0;
        loop {
            match self.pools().begin(what).await {
                Err(error) if stale < postgres::CONNECTIONS && is_passing(&error) && self.recover().await => stale += 1,
                begun => return begun,
            }
        }
    }

    /// How many statements have run since it was opened; `BEGIN` and `COMMIT` are not among them.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Whether the database answers, and what with.
    pub async fn probe(&self) -> Result<Probe, DbErr> {
        let readers = self.pools().readers.clone();
        let backend = readers.get_database_backend();
        let (list, time) = match backend {
            DbBackend::Postgres => ("string_agg", postgres::TIME),
            _ => ("group_concat", "NULL"),
        };
        let sql = format!("SELECT {list}(version, ','), {time} FROM seaql_migrations");
        let row = readers.query_one_raw(Statement::from_string(backend, sql)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("seaql_migrations".to_owned()))?;
        let versions: String = row.try_get_by_index(0)?;
        let time: Option<i64> = row.try_get_by_index(1)?;
        let lag = match &self.replica {
            Some(replica) => Some(replica.lag().await.ok()),
            None => None,
        };
        Ok(Probe { versions: versions.split(',').map(str::to_owned).collect(), time: time.map(Timestamp), lag })
    }

    pub async fn close(&self) {
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
        // The writer last: whoever closes last folds SQLite's log into its file, and readers may not write.
        let pools = self.pools();
        for pool in [&pools.readers, &pools.writer] {
            if let Err(error) = pool.clone().close().await {
                tracing::warn!(%error, "a connection pool did not close cleanly");
            }
        }
    }
}

fn is_postgres(tx: &DatabaseTransaction) -> bool {
    tx.get_database_backend() == DbBackend::Postgres
}
