//! The providers at work: each delivers what has happened since its last delivery, through its source's mapping or as
//! transactions, like anybody's. Where it stands is asked of the database: its newest import run names its window, and
//! its newest transaction the moment at which it was sent.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use chrono_tz::Tz;
use domain::Scoped;
use domain::imports::ImportRun;
use domain::imports::run::State;
use domain::page::PageRequest;
use domain::time::{MICROS_PER_SECOND, Timestamp};
use domain::transactions::{MAX_REQUEST, TransactionFilter};
use tokio::time::MissedTickBehavior;

use super::agreements::{Delivery, Files};
use super::chance::MICROS_PER_MINUTE;
use super::faults::Occurrence;
use super::sales;
use super::setup::{Demo, Supply};
use super::window::Window;
use crate::cli::say;

/// How often a provider looks whether something is to be delivered.
const EVERY: Duration = Duration::from_secs(1);

/// So much of the past is told in full: what is to come is to be no surprise to the detector.
const RECENT: i64 = 30 * MICROS_PER_MINUTE;

/// Delivers until it is dropped. What goes wrong is tried again at the next turn.
pub(super) async fn deliver(demo: &Demo) -> Infallible {
    let scoped = &demo.scoped;
    let mut feeds = demo.supplies.each_ref().map(|supply| Feed { scoped, supply, stands_at: None });
    let [slots, crash, sales] = &mut feeds;
    let (slots_took, crash_took, sales_took) = tokio::join!(slots.catch_up(), crash.catch_up(), sales.catch_up());
    if slots_took.max(crash_took).max(sales_took) > 1 {
        train(scoped).await;
        // A closed standard output stops nobody from watching over HTTP.
        say("The past is delivered; from now on records arrive as they happen.").ok();
    }
    let (never, ..) = tokio::join!(slots.go_on(), crash.go_on(), sales.go_on(), announce(scoped));
    never
}

/// Has the detector fitted to what is delivered, before anything goes wrong.
async fn train(scoped: &Scoped) {
    let mut tick = tick();
    let mut detector = scoped.train_detector().await;
    while let Ok(true) = detector.as_ref().map(|detector| detector.training) {
        tick.tick().await;
        detector = scoped.detector().await;
    }
    if let Err(error) = detector {
        tracing::warn!(%error, "the demo's detector could not be trained; it will be, within a day");
    }
}

/// Tells the terminal when each fault begins.
async fn announce(scoped: &Scoped) -> Infallible {
    let mut tick = tokio::time::interval(EVERY / 10);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = Occurrence::after(scoped.clock().now());
    loop {
        tick.tick().await;
        if scoped.clock().now() >= next.began {
            let time = next.began.utc().with_timezone(&chrono::Local).format("%H:%M:%S");
            say(&format!("{time} fault: {}", next.in_words())).ok();
            next = Occurrence::after(next.began);
        }
    }
}

struct Feed<'a> {
    scoped: &'a Scoped,
    supply: &'a Supply,
    /// Up to where it has delivered; asked of the database where it is not known.
    stands_at: Option<Timestamp>,
}

impl Feed<'_> {
    /// Delivers everything up to now; how many windows that took.
    async fn catch_up(&mut self) -> usize {
        let mut tick = tick();
        loop {
            tick.tick().await;
            if let Some(windows) = self.turn().await {
                return windows;
            }
        }
    }

    async fn go_on(&mut self) -> Infallible {
        let mut tick = tick();
        loop {
            tick.tick().await;
            self.turn().await;
        }
    }

    async fn turn(&mut self) -> Option<usize> {
        let delivered = match &self.supply.agreement.delivery {
            Delivery::Files(files) => self.files(files).await,
            Delivery::Requests => self.requests().await,
        };
        if let Err(error) = &delivered {
            self.stands_at = None;
            let source = self.supply.agreement.source;
            tracing::warn!(%error, source, "a provider of the demo could not deliver; it will try again");
        }
        delivered.ok()
    }

    fn next_window(&self, every_seconds: i64, from: Timestamp) -> Option<Window> {
        next_window(self.supply.agreement.zone, every_seconds, from, self.scoped.clock().now())
    }

    async fn files(&mut self, files: &Files) -> domain::Result<usize> {
        let Supply { source, provider, .. } = self.supply;
        let mut from = match self.stands_at {
            Some(time) => time,
            None => self.after_last_file(files).await?,
        };
        let mut windows = 0;
        while let Some(window) = self.next_window(files.every_seconds, from) {
            let file = (files.content)(provider, window);
            if file.is_empty() {
                // Nobody played. It waits for somebody, because an empty file is none.
                break;
            }
            let name = window.file_name(files.what, files.extension);
            let run = self.scoped.begin_import(*source, &name, Some(&name)).await?;
            self.upload(files, run, file).await?;
            from = window.end;
            windows += 1;
        }
        self.stands_at = Some(from);
        Ok(windows)
    }

    /// Where the last file ends, which is sent to its end first.
    async fn after_last_file(&self, files: &Files) -> domain::Result<Timestamp> {
        let Supply { source, provider, .. } = self.supply;
        let newest = PageRequest { first: 1, after: None };
        let last = self.scoped.import_runs(Some(*source), newest).await?.items.pop();
        let Some((run, window)) = last.and_then(|run| Window::of_file(&run.file_name).map(|window| (run, window)))
        else {
            return Ok(provider.opened);
        };
        if run.state == State::Running.as_str() {
            self.upload(files, run, (files.content)(provider, window)).await?;
        }
        Ok(window.end)
    }

    /// Sends a file, or the rest of one that was cut off.
    async fn upload(&self, files: &Files, mut run: ImportRun, file: Vec<u8>) -> domain::Result<()> {
        let file = Bytes::from(file);
        let rest = |run: &ImportRun| usize::try_from(run.bytes).unwrap_or_default().min(file.len());
        if files.breaks_off {
            let taken = rest(&run);
            let half = file.slice(taken..taken + (file.len() - taken) / 2);
            run = self.send(&run, half, false).await?;
        }
        // Only whole records were taken: it goes on from the end of the last one.
        self.send(&run, file.slice(rest(&run)..), true).await.map(drop)
    }

    async fn send(&self, run: &ImportRun, bytes: Bytes, complete: bool) -> domain::Result<ImportRun> {
        let bytes = futures_util::stream::iter([Ok(bytes)]);
        self.scoped.import(run.id, run.bytes.try_into().unwrap_or_default(), bytes, complete).await
    }

    async fn requests(&mut self) -> domain::Result<usize> {
        let Supply { source, provider, .. } = self.supply;
        let mut from = match self.stands_at {
            Some(time) => time,
            None => self.last_sent().await?.unwrap_or(provider.opened),
        };
        let mut windows = 0;
        while let Some(window) = self.next_window(1, from) {
            for some in sales::transactions(provider, window).chunks(MAX_REQUEST) {
                self.scoped.record_transactions(*source, some.to_vec()).await?;
            }
            from = window.end;
            windows += 1;
        }
        self.stands_at = Some(from);
        Ok(windows)
    }

    /// When the newest transaction was sent. What else was sent at that moment is sent again, and replays.
    async fn last_sent(&self) -> domain::Result<Option<Timestamp>> {
        let filter = TransactionFilter { source: Some(self.supply.source), ..TransactionFilter::default() };
        let newest = self.scoped.transactions(&filter, PageRequest { first: 1, after: None }).await?.items.pop();
        Ok(newest.and_then(|transaction| sales::sent_at(&transaction.external_id)))
    }
}

fn tick() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// What to deliver next: a day of the past at a time, the last half hour a minute at a time, and then what has happened
/// since.
fn next_window(zone: Tz, every_seconds: i64, from: Timestamp, now: Timestamp) -> Option<Window> {
    let now = Timestamp(now.0 - now.0.rem_euclid(every_seconds * MICROS_PER_SECOND));
    // By the calendar: a day on which the clocks are changed has not 24 hours.
    let tomorrow = from.local(zone).date() + chrono::Days::new(1);
    let midnight = Timestamp::from_local(tomorrow.and_time(chrono::NaiveTime::MIN), zone);
    let recent = now.plus(-RECENT);
    let end = if from < recent { midnight.min(recent) } else { now.min(from.plus(MICROS_PER_MINUTE)) };
    (from < end).then_some(Window { start: from, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_past_goes_day_by_day_and_the_present_as_it_comes() {
        let next = |every, from, now| {
            next_window(chrono_tz::Asia::Seoul, every, at(from), at(now)).map(|window| (window.start, window.end))
        };
        let window = |start, end| Some((at(start), at(end)));
        let midnight = "2026-10-31T15:00:00Z";
        assert_eq!(next(2, midnight, "2026-11-22T12:00:00Z"), window(midnight, "2026-11-01T15:00:00Z"));
        assert_eq!(
            next(2, "2026-11-01T18:00:00Z", "2026-11-22T12:00:00Z"),
            window("2026-11-01T18:00:00Z", "2026-11-02T15:00:00Z"),
            "to the next midnight in Seoul"
        );
        assert_eq!(
            next(2, "2026-11-21T18:00:00Z", "2026-11-22T12:00:03.7Z"),
            window("2026-11-21T18:00:00Z", "2026-11-22T11:30:02Z"),
            "to what is told in full"
        );
        for begins in ["2026-11-22T11:30:02Z", "2026-11-22T11:58:02Z"] {
            let minute = next(2, begins, "2026-11-22T12:00:03.7Z").map(|(start, end)| (start, end.0 - start.0));
            assert_eq!(minute, Some((at(begins), MICROS_PER_MINUTE)));
        }
        assert_eq!(
            next(2, "2026-11-22T12:00:00Z", "2026-11-22T12:00:03.7Z"),
            window("2026-11-22T12:00:00Z", "2026-11-22T12:00:02Z")
        );
        assert_eq!(
            next(15, "2026-11-22T12:00:00Z", "2026-11-22T12:00:31Z"),
            window("2026-11-22T12:00:00Z", "2026-11-22T12:00:30Z")
        );
        assert_eq!(next(15, "2026-11-22T12:00:00Z", "2026-11-22T12:00:14.9Z"), None);
        assert_eq!(next(1, "2026-11-22T12:00:00Z", "2026-11-22T11:00:00Z"), None, "a clock that was put back");
    }

    #[test]
    fn days_on_which_the_clocks_are_changed_have_their_own_length() {
        let hours = |midnight| {
            let window = next_window(chrono_tz::America::New_York, 1, at(midnight), at("2026-12-01T00:00:00Z"));
            window.map(|window| (window.end.0 - window.start.0) / domain::time::MICROS_PER_HOUR)
        };
        assert_eq!(hours("2026-10-31T04:00:00Z"), Some(24));
        assert_eq!(hours("2026-11-01T04:00:00Z"), Some(25));
        assert_eq!(hours("2026-11-02T05:00:00Z"), Some(24));
        assert_eq!(hours("2026-03-08T05:00:00Z"), Some(23));
    }
}
