//! When what a request wants from the database is read: in waves. A wave begins when the request can do nothing more
//! without it and the wave before is over, so that a level of a query is one batch of each kind, whatever the number of
//! its rows and the speed of the machine. (The library's own way is to wait a millisecond, in which a slow machine
//! gathers less than a page.)

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;

/// The loads of one request.
#[derive(Clone, Default)]
pub struct Waves(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Somebody drives the request through [`Waves::drive`]; without that, loads begin at once.
    driven: bool,
    /// The request waits, and nothing has woken it.
    idle: bool,
    waiting: Vec<BoxFuture<'static, ()>>,
    running: usize,
    request: Option<Waker>,
}

impl Waves {
    /// Takes a load for the next wave.
    pub fn add(&self, load: BoxFuture<'static, ()>) {
        let mut state = self.lock();
        state.waiting.push(load);
        if !state.driven {
            self.begin(&mut state);
        }
    }

    /// Runs a request to its end, with a wave whenever it waits.
    pub async fn drive<F: Future>(self, request: F) -> F::Output {
        let mut request = std::pin::pin!(request);
        let waker = Waker::from(Arc::new(Woken(self.clone())));
        std::future::poll_fn(move |context| self.poll(&waker, request.as_mut(), context)).await
    }

    fn poll<F: Future>(&self, waker: &Waker, request: Pin<&mut F>, context: &Context<'_>) -> Poll<F::Output> {
        {
            let mut state = self.lock();
            // Idle once it is over, unless it is woken meanwhile.
            (state.driven, state.idle) = (true, true);
            state.request = Some(context.waker().clone());
        }
        let polled = request.poll(&mut Context::from_waker(waker));
        let mut state = self.lock();
        if polled.is_pending() && state.idle && state.running == 0 {
            self.begin(&mut state);
        }
        polled
    }

    fn begin(&self, state: &mut State) {
        for load in std::mem::take(&mut state.waiting) {
            state.running += 1;
            let over = Over(self.clone());
            tokio::spawn(async move {
                load.await;
                drop(over);
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a load, also of one that panics.
struct Over(Waves);

impl Drop for Over {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        if state.running == 0 && state.idle {
            self.0.begin(&mut state);
        }
    }
}

/// Wakes the request, and remembers that there is something to do before the next wave.
struct Woken(Waves);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let request = {
            let mut state = self.0.lock();
            state.idle = false;
            state.request.clone()
        };
        if let Some(request) = request {
            request.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::oneshot;

    use super::*;

    /// A request of this many rows, of which each loads and then, with what it got, loads again.
    async fn waves_of(rows: usize) -> Vec<usize> {
        let waves = Waves::default();
        let log = Arc::new(Mutex::new(Vec::new()));
        let load = |waves: Waves, log: Arc<Mutex<Vec<usize>>>, level: usize| async move {
            let (done, loaded) = oneshot::channel();
            let load = async move {
                log.lock().unwrap().push(level);
                done.send(()).ok();
            };
            waves.add(load.boxed());
            loaded.await.unwrap();
        };
        let each = (0..rows).map(|_| {
            let (waves, log) = (waves.clone(), log.clone());
            async move {
                load(waves.clone(), log.clone(), 1).await;
                // As the library does between the fields of a long list.
                tokio::task::yield_now().await;
                load(waves, log, 2).await;
            }
        });
        waves.clone().drive(join_all(each)).await;
        let log = log.lock().unwrap();
        log.clone()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wave_begins_when_nothing_else_is_to_be_done() {
        for rows in [1, 7, 100] {
            let log = waves_of(rows).await;
            assert_eq!(
                log,
                [vec![1; rows], vec![2; rows]].concat(),
                "no row of the second level before the last of the first"
            );
        }
    }

    #[tokio::test]
    async fn without_a_driver_loads_begin_at_once() {
        let (done, loaded) = oneshot::channel();
        Waves::default().add(async move { done.send(7).unwrap_or_default() }.boxed());
        assert_eq!(loaded.await, Ok(7));
    }
}
