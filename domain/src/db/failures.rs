//! What kind of failure a database's error is.

use sea_orm::{DbErr, RuntimeErr};

/// Whether a number was to be written that a column of integers cannot hold.
pub(crate) fn is_overflow(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("cannot store REAL value") || text.contains("bigint out of range")
}

/// Whether a row was to be written that the schema does not allow.
pub(crate) fn is_refusal(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("constraint failed") || text.contains(" violates ")
}

/// Whether it is the moment that is wrong and not what was asked: a lost connection, a server that stops or was no
/// primary, a transaction that lost against another one. The whole transaction may be tried again.
pub(crate) fn is_passing(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::ConnectionClosed) => true,
        _ => driver(error).is_some_and(|error| match error {
            sqlx::Error::Database(said) => said.code().is_some_and(|code| {
                // Serialisation, deadlock, a read-only server, too many connections; a server that stops or begins; a
                // connection that broke.
                ["40001", "40P01", "25006", "53300"].contains(&&*code)
                    || code.starts_with("57P")
                    || code.starts_with("08")
            }),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }),
    }
}

/// Whether the database could not do it now, though there is nothing wrong with it: also where it took too long, no
/// connection was free, or its disk is full.
pub(crate) fn is_unavailable(error: &DbErr) -> bool {
    let full_or_late = |code: &str| ["57014", "55P03", "53100", "53200", "13"].contains(&code);
    matches!(error, DbErr::ConnectionAcquire(_))
        || is_passing(error)
        || driver(error).is_some_and(|error| match error {
            sqlx::Error::Database(said) => said.code().is_some_and(|code| full_or_late(&code)),
            sqlx::Error::PoolTimedOut => true,
            _ => false,
        })
}

fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
