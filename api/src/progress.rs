//! How far a file has come: a bar for people, a line for every tenth where nobody watches.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

#[derive(Clone)]
pub(crate) struct Progress(Arc<Inner>);

struct Inner {
    /// In a terminal.
    bar: Option<ProgressBar>,
    /// In bytes.
    total: u64,
    sent: AtomicU64,
    /// Tenths that have a line already.
    told: AtomicU64,
}

const STEPS: u64 = 10;

impl Progress {
    pub fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self(Arc::new(Inner { bar, total, sent: AtomicU64::new(0), told: AtomicU64::new(0) }))
    }

    /// Where a sender begins or goes on, in bytes.
    pub fn stands_at(&self, offset: u64) {
        self.0.sent.store(offset, Ordering::Relaxed);
        if let Some(bar) = &self.0.bar {
            bar.set_position(offset);
        }
        if offset > 0 {
            self.note(&format!("going on at byte {offset}"));
        }
    }

    pub fn moved(&self, bytes: u64) {
        let sent = self.0.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.0.bar {
            return bar.set_position(sent);
        }
        let tenth = sent.saturating_mul(STEPS).checked_div(self.0.total).unwrap_or(STEPS);
        if self.0.told.fetch_max(tenth, Ordering::Relaxed) < tenth {
            self.note(&format!("{sent} of {} bytes", self.0.total));
        }
    }

    /// A line that stays.
    pub fn note(&self, line: &str) {
        match &self.0.bar {
            Some(bar) => bar.println(line),
            // Nobody reads it where stderr is closed.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    pub fn done(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }
}
