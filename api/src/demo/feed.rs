//! The provider at work: it delivers what has happened since its last delivery, as files through its source's mapping,
//! like anybody's. Where it stands is asked of the database each time: its newest import run names its window.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use domain::Scoped;
use domain::imports::ImportRun;
use domain::imports::run::State;
use domain::page::PageRequest;
use domain::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};
use tokio::time::MissedTickBehavior;

use super::provider::{Provider, Window, ZONE};
use super::setup::Demo;
use crate::cli::say;

/// How often the provider delivers.
const EVERY: Duration = Duration::from_secs(2);

/// Delivers until it is dropped. What goes wrong is tried again at the next turn.
pub(super) async fn deliver(demo: &Demo, provider: &Provider) -> Infallible {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut caught_up = false;
    loop {
        tick.tick().await;
        match catch_up(demo, provider).await {
            Ok(days) if !caught_up => {
                caught_up = true;
                if days > 1 {
                    // A closed standard output stops nobody from watching over HTTP.
                    say("The past is delivered; from now on records arrive as they happen.").ok();
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the demo's provider could not deliver; it will try again"),
        }
    }
}

/// Delivers everything up to now; how many files that took.
async fn catch_up(demo: &Demo, provider: &Provider) -> domain::Result<usize> {
    let Demo { scoped, source, since, .. } = demo;
    let last = scoped.import_runs(Some(*source), PageRequest { first: 1, after: None }).await?.items.pop();
    let mut from = *since;
    if let Some((run, window)) = last.and_then(|run| Window::of_file(&run.file_name).map(|window| (run, window))) {
        from = window.end;
        if run.state == State::Running.as_str() {
            finish(scoped, run, provider.deliver(window)).await?;
        }
    }
    let mut files = 0;
    while let Some(window) = next_window(from, scoped.clock().now()) {
        let file = provider.deliver(window);
        if file.is_empty() {
            // Nobody played. It waits for somebody, because an empty file is none.
            break;
        }
        let name = window.file_name();
        let run = scoped.begin_import(*source, &name, Some(&name)).await?;
        finish(scoped, run, file).await?;
        from = window.end;
        files += 1;
    }
    Ok(files)
}

/// What to deliver next: a day of the past at a time, and then what has happened since.
fn next_window(from: Timestamp, now: Timestamp) -> Option<Window> {
    let now = Timestamp(now.0 - now.0.rem_euclid(MICROS_PER_SECOND));
    let midnight = from.plus(MICROS_PER_DAY).local(ZONE).date().and_time(chrono::NaiveTime::MIN);
    let end = now.min(Timestamp::from_local(midnight, ZONE));
    (from < end).then_some(Window { start: from, end })
}

/// Sends a file, or the rest of one that was cut off.
async fn finish(scoped: &Scoped, run: ImportRun, file: Vec<u8>) -> domain::Result<()> {
    let taken = usize::try_from(run.bytes).unwrap_or_default().min(file.len());
    let rest = Bytes::from(file).slice(taken..);
    let bytes = futures_util::stream::iter([Ok(rest)]);
    scoped.import(run.id, run.bytes.try_into().unwrap_or_default(), bytes, true).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_past_goes_day_by_day_and_the_present_as_it_comes() {
        let next = |from, now| next_window(at(from), at(now)).map(|window| (window.start, window.end));
        let window = |start, end| Some((at(start), at(end)));
        let midnight = "2026-10-31T15:00:00Z";
        assert_eq!(next(midnight, "2026-11-22T12:00:00Z"), window(midnight, "2026-11-01T15:00:00Z"));
        assert_eq!(
            next("2026-11-01T18:00:00Z", "2026-11-22T12:00:00Z"),
            window("2026-11-01T18:00:00Z", "2026-11-02T15:00:00Z"),
            "to the next midnight in Seoul"
        );
        assert_eq!(
            next("2026-11-22T12:00:00Z", "2026-11-22T12:00:02.7Z"),
            window("2026-11-22T12:00:00Z", "2026-11-22T12:00:02Z")
        );
        assert_eq!(next("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.9Z"), None);
        assert_eq!(next("2026-11-22T12:00:00Z", "2026-11-22T11:00:00Z"), None, "a clock that was put back");
    }
}
