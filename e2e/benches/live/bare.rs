//! The floor under fan-out: a process that does nothing but broadcast a text to WebSockets, a task for each. It is told
//! what to send through its standard input, one text a line, so that it is paced and measured as the server is.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::saldo;

/// Tells this program to be that process.
pub const ARGUMENT: &str = "--bare";

/// Serves until the standard input ends.
pub async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let texts = broadcast::Sender::<Utf8Bytes>::new(64);
    let to_sockets = texts.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut texts = to_sockets.subscribe();
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a WebSocket");
                while let Ok(text) = texts.recv().await {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let told = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            // Whoever is not there yet needs nothing.
            let _ = texts.send(line.into());
        }
    });
    told.await.expect("the end of the input");
}

/// That process with its clients.
pub struct Bare {
    process: Child,
    input: ChildStdin,
    received: watch::Receiver<usize>,
    clients: JoinSet<()>,
}

impl Bare {
    pub async fn start(clients: usize) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let input = process.stdin.take().expect("its input");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("a line").expect("where it is");
        let address: SocketAddr = line.parse().expect("an address");
        let (count, received) = watch::channel(0);
        let mut sockets = JoinSet::new();
        for _ in 0..clients {
            let url = format!("ws://{address}/");
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a WebSocket");
            let count = count.clone();
            sockets.spawn(async move {
                while let Some(Ok(_)) = socket.next().await {
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Self { process, input, received, clients: sockets }
    }

    /// Sends `text` to all, so many times and at this pace. CPU of the process in µs for each message received.
    pub async fn broadcast(&mut self, text: &str, times: usize, pace: Duration) -> f64 {
        let process = self.process.id().expect("it runs");
        let (before, already) = (saldo::cpu_of(process), *self.received.borrow());
        let mut pace = tokio::time::interval(pace);
        for _ in 0..times {
            pace.tick().await;
            self.input.write_all(format!("{text}\n").as_bytes()).await.expect("it is told");
        }
        let all = already + times * self.clients.len();
        self.received.wait_for(|received| *received >= all).await.expect("all is received");
        (saldo::cpu_of(process) - before).as_secs_f64() * 1e6 / (all - already) as f64
    }
}
