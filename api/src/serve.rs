//! Opening the core on this machine's database, and serving it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use domain::Domain;
use domain::clock::Clock;
use domain::db::{Db, DbLock};
use domain::secrets::{MasterKey, Secret};
use migrations::Status;

use tokio::signal;
use tokio::sync::oneshot;

use crate::app::App;
use crate::cli::{Outcome, say};
use crate::config::Config;
use crate::connections::{self, Patience};
use crate::{health, http};

/// How long requests may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or Ctrl-C.
pub(crate) async fn serve(config: &Config) -> Outcome {
    let domain = open(config, "serve").await?;
    let announce = |address| say(&format!("Saldo is at http://{address}"));
    health::check_clock(&domain).await?;
    run(config, domain, announce, std::future::pending()).await
}

/// Serves `domain` and works in the background until SIGTERM or Ctrl-C, then lets every change that has begun finish.
/// `announce` is told where it listens; `beside` runs as long as it serves.
pub(crate) async fn run(
    config: &Config,
    domain: Domain,
    announce: impl FnOnce(SocketAddr) -> Outcome,
    beside: impl Future<Output = Infallible>,
) -> Outcome {
    let (serving, ended) = oneshot::channel::<()>();
    let serve = async {
        let served = tokio::select! {
            served = answer(config, &domain, announce) => served,
            never = beside => match never {},
        };
        drop(serving);
        served
    };
    // The error of a channel whose other end is gone is the message.
    let ended = async { drop(ended.await) };
    let work = async {
        match config.requests.roles.worker {
            true => domain.work(ended).await,
            false => domain.leave_work_to_others(ended).await,
        }
    };
    let (served, ()) = tokio::join!(serve, work);
    domain.shut_down().await;
    tracing::info!("stopped");
    served
}

async fn answer(config: &Config, domain: &Domain, announce: impl FnOnce(SocketAddr) -> Outcome) -> Outcome {
    let (app, address) = (App::new(domain.clone(), &config.requests)?, config.listen);
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("{address}: {error}"))?;
    domain.set_public_url(config.mail.public_url.as_ref().unwrap_or(&format!("http://{address}")));
    if config.mail.smtp_url.is_none() {
        tracing::info!(folder = %config.mail.outbox.display(), "no SALDO_SMTP_URL: mail is written to files");
    }
    domain.warm_up().await;
    announce(address)?;
    let live = app.live.clone();
    let stop = async {
        stop_signal().await;
        // Connections that live on are told where to resume, and end like the others.
        live.close();
    };
    let patience = Patience { idle: config.idle, ..Patience::default() };
    connections::serve(listener, http::routes(app), patience, stop, GRACE).await;
    if tokio::time::timeout(GRACE, live.closed()).await.is_err() {
        tracing::warn!("some live connections did not end in time");
    }
    Ok(())
}

/// Takes the database for this process, or says who has it.
pub(crate) fn lock(config: &Config, purpose: &str) -> Outcome<DbLock> {
    DbLock::take(config.database_url.expose(), purpose).map_err(|error| error.to_string())
}

/// Brings the schema up to date; how many changes that took. On PostgreSQL the role that owns the tables does it, and
/// then gives the server's role what it needs.
pub(crate) async fn bring_up(config: &Config) -> Outcome<usize> {
    let (own, owner) = (config.database_url.expose(), config.owner_database_url.as_ref().map(Secret::expose));
    let told = |error| match owner {
        None if own.starts_with("postgres") => format!(
            "the database: {error}. SALDO_OWNER_DATABASE_URL names the same database as the role that owns its tables"
        ),
        _ => format!("the database: {error}"),
    };
    let primary = domain::db::at_primary(owner.unwrap_or(own)).await.map_err(|error| error.to_string())?;
    let done = migrations::up(&primary).await.map_err(told)?;
    if owner.is_some() {
        migrations::partitions::make_ahead(&primary, crate::partitions::AHEAD).await.map_err(told)?;
        let role = domain::db::role_of(own).map_err(|error| error.to_string())?;
        migrations::grant(&primary, &role).await.map_err(told)?;
    }
    Ok(done)
}

/// The statements that distribute this database by tenant; it may be in use.
pub(crate) async fn distribution(config: &Config) -> Outcome<String> {
    if !config.database_url.expose().starts_with("postgres") {
        return Err("Citus distributes PostgreSQL; SALDO_DATABASE_URL names an embedded database".to_owned());
    }
    let db = Db::open(lock(config, "migrate")?).await.map_err(|error| error.to_string())?;
    let sql = db.distribution().await.map_err(|error| error.to_string());
    db.close().await;
    sql
}

/// The core on a database that this process alone uses and whose schema is this build's.
pub(crate) async fn open(config: &Config, purpose: &str) -> Outcome<Domain> {
    open_locked(config, lock(config, purpose)?).await
}

/// The same with the database taken already.
pub(crate) async fn open_locked(config: &Config, lock: DbLock) -> Outcome<Domain> {
    let url = domain::db::shown(config.database_url.expose());
    let primary = domain::db::at_primary(config.database_url.expose()).await.map_err(|error| error.to_string())?;
    match migrations::status(&primary).await.map_err(|error| format!("{url}: {error}"))? {
        Status::Current => {}
        Status::Older => return Err(format!("{url} is older than this build of Saldo; run `saldo migrate`")),
        Status::Newer => {
            return Err(format!("{url} is newer than this build of Saldo; run the newer build that migrated it"));
        }
    }
    let master_key = MasterKey::load_or_create(&config.master_key_file).map_err(|error| error.to_string())?;
    let mut db = Db::open(lock).await.map_err(|error| error.to_string())?;
    if let Some(replica) = &config.replica_database_url {
        let opened = db.with_replica(replica.expose()).await;
        db = opened.map_err(|error| format!("SALDO_REPLICA_DATABASE_URL: {error}"))?;
    }
    let domain = Domain::new(db, Clock::System, master_key).with_mail(config.mail.transport()?);
    let domain = match &config.redis_url {
        Some(url) => domain.with_redis(url.expose()).map_err(|error| format!("SALDO_REDIS_URL: {error}"))?,
        None => domain,
    };
    domain.watch();
    domain.load_signing_keys().await.map_err(|error| format!("{}: {error}", config.master_key_file.display()))?;
    Ok(domain)
}

async fn stop_signal() {
    let ctrl_c = async {
        if signal::ctrl_c().await.is_err() {
            // Without the signal there is still SIGTERM.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminate => {}
    }
}
