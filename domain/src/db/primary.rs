//! Several servers of one PostgreSQL database: which of them takes writes, and whether that has changed.
//!
//! A URL may name several hosts. The primary is the one that is not in recovery, of several the one on the newest
//! timeline: the server counts up its timeline each time a standby is promoted, so a primary that was away and comes
//! back is told by its older one.

use std::str::FromStr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

use super::OpenError;
use super::urls::{each_host, shown};

/// How long a server may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(1);

const ASK: &str = "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0 \
                   ELSE CAST(CAST('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS BIT(32)) AS BIGINT) END";

/// The servers that a URL names.
pub(super) struct Servers {
    urls: Vec<String>,
    options: Vec<PgConnectOptions>,
}

/// The server that takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    server: usize,
    pub timeline: i64,
}

impl Servers {
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = || OpenError::Url(shown(url));
        let urls = each_host(url).ok_or_else(wrong)?;
        let options = urls.iter().map(|url| PgConnectOptions::from_str(url).map_err(|_| wrong()));
        let options = options.collect::<Result<Vec<_>, _>>()?.into_iter();
        // A wait has an end: for a lock, for a statement, for a client that began and does not go on.
        let options = options.map(|options| {
            options
                .application_name("saldo")
                .options([
                    ("statement_timeout", "60000"),
                    ("lock_timeout", "30000"),
                    ("idle_in_transaction_session_timeout", "120000"),
                    // Statements are short and many.
                    ("jit", "off"),
                ])
                .disable_statement_logging()
        });
        Ok(Self { options: options.collect(), urls })
    }

    pub fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    pub fn first(mut self) -> PgConnectOptions {
        self.options.swap_remove(0)
    }

    pub fn user(&self) -> String {
        self.options.first().map(|options| options.get_username().to_owned()).unwrap_or_default()
    }

    pub fn url(&self, primary: Primary) -> &str {
        &self.urls[primary.server]
    }

    pub fn options(&self, primary: Primary) -> PgConnectOptions {
        self.options[primary.server].clone()
    }

    /// The server that takes writes now; otherwise what each of them said. One on an older timeline than `known` is not
    /// it any more; nobody waits for the others where one is on a newer one.
    pub async fn primary(&self, known: i64) -> Result<Primary, OpenError> {
        let mut asked: FuturesUnordered<_> = self.options.iter().enumerate().map(ask).collect();
        let (mut found, mut said) = (None, Vec::new());
        while let Some((server, answer)) = asked.next().await {
            let why = match answer {
                Ok(Some(timeline)) if timeline >= known => {
                    let primary = Primary { server, timeline };
                    if timeline > known && known > 0 {
                        return Ok(primary);
                    }
                    found = found.into_iter().chain([primary]).max_by_key(|primary| primary.timeline);
                    continue;
                }
                Ok(Some(timeline)) => format!("was the primary once (timeline {timeline}; {known} is the newest)"),
                Ok(None) => "is a standby".to_owned(),
                Err(why) => why,
            };
            let options = &self.options[server];
            said.push(format!("{}:{}: {why}", options.get_host(), options.get_port()));
        }
        said.sort();
        found.ok_or_else(|| OpenError::NoPrimary(said.join("; ")))
    }
}

async fn ask((server, options): (usize, &PgConnectOptions)) -> (usize, Result<Option<i64>, String>) {
    let answer = match tokio::time::timeout(PATIENCE, timeline(options)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    (server, answer)
}

/// The server's timeline; none of a standby.
async fn timeline(options: &PgConnectOptions) -> Result<Option<i64>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let row = sqlx::query(ASK).fetch_one(&mut connection).await?;
    let (standby, timeline): (bool, i64) = (row.try_get(0)?, row.try_get(1)?);
    connection.close().await?;
    Ok((!standby).then_some(timeline))
}
