//! Connections: accepted, served, and given up where the client takes too long. A framework's own server waits for the
//! rest of a request's head, and for a client to read its answer, as long as the client likes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When no more connections can be had, it takes a moment until some are given back.
const PAUSE: Duration = Duration::from_millis(100);
/// Time for a client to take anything at all off our hands.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Of HTTP/2: requests at once, requests that were taken back before they were looked at, and bytes of headers.
const STREAMS: u32 = 200;
const TAKEN_BACK: usize = 20;
const HEADERS_BYTES: u32 = 16 * 1024;

/// How long clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the head of a request, the first as well as each further one, and so for a connection on which nothing is
    /// asked.
    pub idle: Duration,
    /// For any part of an answer.
    pub taken: Duration,
}

impl Default for Patience {
    /// Load balancers keep connections for a minute, and must be the first to close them.
    fn default() -> Self {
        Self { idle: Duration::from_secs(75), taken: TAKEN_WITHIN }
    }
}

/// Serves until `stop`; then requests that have begun may end within `grace`.
pub async fn serve(
    listener: TcpListener,
    routes: impl Endpoint<Output = Response> + 'static,
    patience: Patience,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let routes = Arc::new(routes);
    let (open, closing, cut) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                // What is written is whole: a short message must not wait until the one before it is acknowledged.
                // Where it cannot be set, it is only slower.
                stream.set_nodelay(true).ok();
                let work = connection(stream, remote.into(), routes.clone(), patience, closing.clone());
                open.spawn(cut.clone().run_until_cancelled_owned(work));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                if tokio::time::timeout(PAUSE, &mut stop).await.is_ok() {
                    break;
                }
            }
        }
    }
    drop(listener);
    closing.cancel();
    open.close();
    if tokio::time::timeout(grace, open.wait()).await.is_err() {
        cut.cancel();
        open.wait().await;
    }
}

async fn connection<E: Endpoint<Output = Response> + 'static>(
    stream: TcpStream,
    remote: Addr,
    routes: Arc<E>,
    patience: Patience,
    closing: CancellationToken,
) {
    let local = stream.local_addr().map_or_else(|_| LocalAddr::default(), |local| LocalAddr(local.into()));
    let activity = Arc::new(Activity::default());
    let asked = activity.clone();
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (routes, local, remote) = (routes.clone(), local.clone(), RemoteAddr(remote.clone()));
        let asked = Asked::count(asked.clone());
        async move {
            let _asked = asked;
            let answer = routes.get_response((request, local, remote, Scheme::HTTP).into()).await;
            Ok::<_, std::convert::Infallible>(hyper::Response::from(answer))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.idle);
    let mut http2 = builder.http2();
    http2.max_concurrent_streams(STREAMS).max_pending_accept_reset_streams(TAKEN_BACK);
    http2.max_header_list_size(HEADERS_BYTES);
    let stream = Patient { stream, activity: activity.clone(), taken: patience.taken, deadline: None };
    let mut served = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // How it ends is the client's business.
    tokio::select! {
        _ = &mut served => return,
        () = activity.still(patience.idle) => return,
        () = closing.cancelled() => {}
    }
    served.as_mut().graceful_shutdown();
    served.await.ok();
}

/// What goes on on a connection.
#[derive(Default)]
struct Activity {
    /// Grows with whatever comes or goes.
    moves: AtomicU64,
    /// Requests that wait for the head of their answer.
    asked: AtomicU64,
}

impl Activity {
    /// Until nothing has moved for so long, and nobody waits for us.
    async fn still(&self, idle: Duration) {
        let mut seen = None;
        loop {
            let now = self.moves.load(Ordering::Relaxed);
            if seen.replace(now) == Some(now) && self.asked.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::time::sleep_until(Instant::now() + idle).await;
        }
    }

    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request that waits, until it is dropped.
struct Asked(Arc<Activity>);

impl Asked {
    fn count(activity: Arc<Activity>) -> Self {
        activity.asked.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
        self.0.moved();
    }
}

/// A stream that fails when the client does not take what is written.
struct Patient {
    stream: TcpStream,
    activity: Arc<Activity>,
    taken: Duration,
    /// Set while something waits to be written.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            self.activity.moved();
            return written;
        }
        let taken = self.taken;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + taken)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.activity.moved();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use poem::{Body, EndpointExt, IntoResponse, get, handler};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    /// Nothing here takes longer, but for what is broken.
    const WAIT: Duration = Duration::from_secs(20);

    #[handler]
    fn short() -> &'static str {
        "ok"
    }

    /// An answer without an end, and what is cancelled when nobody wants it any more.
    fn long() -> (impl Endpoint<Output = Response>, CancellationToken) {
        let given_up = CancellationToken::new();
        let dropped = given_up.clone();
        let answer = poem::endpoint::make_sync(move |_| {
            let guard = dropped.clone().drop_guard();
            let pieces = futures_util::stream::repeat_with(move || {
                let _here = &guard;
                Ok::<_, io::Error>(vec![b'x'; 64 * 1024])
            });
            Body::from_bytes_stream(pieces).into_response()
        });
        (answer, given_up)
    }

    struct Served {
        address: std::net::SocketAddr,
        /// When its long answer is given up.
        given_up: CancellationToken,
        stop: CancellationToken,
        end: JoinHandle<()>,
    }

    async fn server(patience: Patience) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (long, given_up) = long();
        let routes = poem::Route::new().at("/", get(short)).at("/long", get(long));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let routes = routes.map_to_response();
        let end = tokio::spawn(serve(listener, routes, patience, stopped, Duration::from_millis(100)));
        Served { address, given_up, stop, end }
    }

    /// What comes until the server closes.
    async fn heard(mut client: TcpStream) -> Vec<u8> {
        let mut heard = Vec::new();
        // A connection that is reset is closed as well.
        tokio::time::timeout(WAIT, client.read_to_end(&mut heard)).await.expect("it is closed").ok();
        heard
    }

    async fn client(address: std::net::SocketAddr, says: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(says).await.expect("sent");
        client
    }

    #[tokio::test]
    async fn a_head_comes_in_time_or_not_at_all() {
        let address = server(Patience { idle: Duration::from_millis(300), ..Patience::default() }).await.address;
        let part = &ASKED[..ASKED.len() - 2];
        for (what, says, answers) in [
            ("nothing", &b""[..], 0),
            ("a letter", b"G", 0),
            ("the beginning of HTTP/2", b"PRI * HT", 0),
            ("a part of a head", part, 0),
            ("a request and nothing more", ASKED, 1),
            ("a request and a part of the next", &[ASKED, part].concat(), 1),
        ] {
            let heard = heard(client(address, says).await).await;
            assert_eq!(heard.windows(2).filter(|pair| pair == b"ok").count(), answers, "{what}");
        }
        // A byte now and then is no excuse.
        let (mut reads, mut writes) = client(address, part).await.into_split();
        let drips = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while writes.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        };
        tokio::select! {
            () = drips => {}
            closed = tokio::time::timeout(WAIT, reads.read_u8()) => assert!(closed.expect("it is closed").is_err()),
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let server = server(Patience { taken: Duration::from_millis(300), ..Patience::default() }).await;
        let _client = client(server.address, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tokio::time::timeout(WAIT, server.given_up.cancelled()).await.expect("it is given up");
    }

    #[tokio::test]
    async fn the_end_waits_for_nobody_for_ever() {
        let server = server(Patience::default()).await;
        let _silent = client(server.address, b"").await;
        let reads = client(server.address, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n").await;
        reads.readable().await.expect("an answer");
        server.stop.cancel();
        tokio::time::timeout(WAIT, server.end).await.expect("it ends").expect("served");
        assert!(TcpStream::connect(server.address).await.is_err(), "it does not listen any more");
    }
}
