//! Whether this process can serve, part by part.

use domain::Domain;
use domain::time::MICROS_PER_SECOND;
use migrations::Status;
use poem::http::StatusCode;
use poem::web::Data;
use poem::{IntoResponse, Response, handler};

use crate::app::App;
use crate::cli::Outcome;

/// How far a machine's clock may be from the database's: tokens are good for some seconds more than they say, and no
/// more.
const MOST_SECONDS_OFF: i64 = 10;

/// A part of the service, and what there is to say of it.
struct Part {
    name: &'static str,
    /// Without it there is no service.
    ready: bool,
    says: String,
}

impl Part {
    fn new(name: &'static str, state: Result<String, String>) -> Self {
        let ready = state.is_ok();
        Self { name, ready, says: state.unwrap_or_else(|says| says) }
    }
}

async fn parts(domain: &Domain) -> Vec<Part> {
    let mut parts = Vec::new();
    match domain.probe().await {
        Err(says) => parts.push(Part::new("database", Err(says))),
        Ok(probe) => {
            parts.push(Part::new("database", Ok("answers".to_owned())));
            let schema = match migrations::standing(&probe.versions) {
                Status::Current => Ok("is this build's".to_owned()),
                Status::Older => Err("is older than this build; run `saldo migrate`".to_owned()),
                Status::Newer => Err("is newer than this build; run the newer build that migrated it".to_owned()),
            };
            parts.push(Part::new("schema", schema));
            if let Some(time) = probe.time {
                parts.push(Part::new("clock", clock(time.0 - domain.clock().now().0)));
            }
            if let Some(lag) = probe.lag {
                let says = match lag {
                    Some(seconds) => format!("answers; what it has last was committed {seconds} s ago"),
                    None => "does not answer; the primary does".to_owned(),
                };
                parts.push(Part::new("replica", Ok(says)));
            }
        }
    }
    if let Some(redis) = domain.redis() {
        // It makes things faster, and nothing else.
        let says = if redis.ready().await { "answers" } else { "does not answer; work goes on without it" };
        parts.push(Part::new("redis", Ok(says.to_owned())));
    }
    parts
}

fn clock(micros: i64) -> Result<String, String> {
    let seconds = (micros.abs() + MICROS_PER_SECOND / 2) / MICROS_PER_SECOND;
    match micros {
        _ if seconds <= MOST_SECONDS_OFF => Ok(format!("is within {MOST_SECONDS_OFF} s of the database's")),
        0.. => Err(format!("is {seconds} s behind the database's; set this machine's clock")),
        _ => Err(format!("is {seconds} s ahead of the database's; set this machine's clock")),
    }
}

/// A server does not start where the clocks say different times.
pub(crate) async fn check_clock(domain: &Domain) -> Outcome {
    let probe = domain.probe().await.map_err(|says| format!("the database {says}"))?;
    let Some(time) = probe.time else { return Ok(()) };
    clock(time.0 - domain.clock().now().0).map(drop).map_err(|says| format!("the clock {says}"))
}

/// Alive: the process answers.
#[handler]
pub(crate) fn healthz() -> &'static str {
    "ok\n"
}

/// Able to serve; which part is not, where it is not.
#[handler]
pub(crate) async fn readyz(app: Data<&App>) -> Response {
    let parts = parts(&app.domain).await;
    let ready = parts.iter().all(|part| part.ready);
    let lines = parts.iter().map(|part| format!("{}: {}\n", part.name, part.says)).collect::<String>();
    let head = if ready { "ready" } else { "not ready" };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    format!("{head}\n{lines}").with_status(status).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_some_seconds_apart() {
        for seconds in [0, 10, -10] {
            assert!(clock(seconds * MICROS_PER_SECOND).is_ok(), "{seconds}");
        }
        let said = |seconds: i64| clock(seconds * MICROS_PER_SECOND).unwrap_err();
        assert!(said(180).starts_with("is 180 s behind") && said(-11).starts_with("is 11 s ahead"));
    }
}
