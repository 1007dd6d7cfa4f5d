//! How long nothing has been said on a connection.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A timer that starts anew with whatever is said. Saying costs it nothing but a look at the clock: the timer is set
/// again only when it goes off.
pub struct Silence {
    lasting: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    pub fn new(lasting: Duration) -> Self {
        let since = Instant::now();
        Self { lasting, since, timer: Box::pin(tokio::time::sleep_until(since + lasting)) }
    }

    /// Something has been said.
    pub fn broken(&mut self) {
        self.since = Instant::now();
    }

    /// Waits until nothing has been said for so long; then it begins anew. Dropping the future loses nothing.
    pub async fn lasted(&mut self) {
        loop {
            self.timer.as_mut().await;
            let (due, now) = (self.since + self.lasting, Instant::now());
            if due <= now {
                self.since = now;
                self.timer.as_mut().reset(now + self.lasting);
                return;
            }
            self.timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_lasts_from_the_last_word_on() {
        let lasting = Duration::from_millis(20);
        let mut silence = Silence::new(lasting);
        silence.timer.as_mut().await;
        silence.broken();
        let said = Instant::now();
        silence.lasted().await;
        assert!(said.elapsed() >= lasting, "the timer had gone off, and something was said since");
        let over = Instant::now();
        silence.lasted().await;
        assert!(over.elapsed() >= lasting, "it began anew");
    }
}
