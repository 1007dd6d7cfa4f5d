//! Taking connections, and giving those up whose client takes nothing from us.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};

/// Time for a client to take one byte that waits for it. Longer than a WebSocket waits, which tells its client why.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);

/// A listener for `poem::Server`.
pub struct Listener(TcpAcceptor);

impl Listener {
    pub fn new(listener: TcpListener) -> Result<Self> {
        TcpAcceptor::from_tokio(listener).map(Self)
    }
}

impl Acceptor for Listener {
    type Io = Patient<TcpStream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (io, local, remote, scheme) = self.0.accept().await?;
        // What is written is whole: a short message must not wait until the one before it is acknowledged. Where it
        // cannot be set, it is only slower.
        io.set_nodelay(true).ok();
        Ok((Patient::new(io, TAKEN_WITHIN), local, remote, scheme))
    }
}

/// A connection that fails when what is written has not moved for so long. Nothing else could end an answer whose
/// client stays and does not read.
pub struct Patient<Io> {
    io: Io,
    patience: Duration,
    /// Runs while the client takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<Io> Patient<Io> {
    fn new(io: Io, patience: Duration) -> Self {
        Self { io, patience, stuck: None }
    }

    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let given_up = || Box::pin(tokio::time::sleep_until(Instant::now() + self.patience));
        let stuck = self.stuck.get_or_insert_with(given_up);
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Patient<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Patient<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut ours = Patient::new(ours, Duration::from_millis(50));
        // Sixteen bytes through a pipe of four: it waits for the reader, each time less than its patience.
        let mut read = [0; 16];
        let (written, taken) = tokio::join!(ours.write_all(&[7; 16]), theirs.read_exact(&mut read));
        assert!(written.is_ok() && taken.is_ok() && read == [7; 16]);
        assert!(ours.stuck.is_none(), "it moved on");
        let stuck = tokio::time::timeout(Duration::from_secs(20), ours.write_all(&[7; 16])).await.expect("an end");
        assert_eq!(stuck.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    }
}
