//! Clients that take their time.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Attacked, Most};

/// Measured: 180 ms and 17 MiB, which is 37 KiB a connection.
const SLOW: Most = Most(1_500, 40);

const HEAD: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn connection(server: &Attacked, says: &str) -> TcpStream {
    let address = server.saldo.url("");
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(says.as_bytes()).await.expect("sent");
    stream
}

/// What the server says until it closes, while the client says nothing more, or goes on with a byte now and then.
async fn heard(stream: TcpStream, goes_on: bool) -> String {
    let (mut reads, mut writes) = stream.into_split();
    let mut heard = Vec::new();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(500));
    let drips = async {
        while goes_on && writes.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // A connection that is reset is closed as well.
        read = reads.read_to_end(&mut heard) => drop(read),
        () = drips => {}
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_come_in_time_or_not_at_all() {
    let server = Attacked::with(&[("SALDO_IDLE_SECONDS", "2")]).await;
    let body = format!("{HEAD}Content-Length: 1000000\r\n\r\n{{");
    let chunks = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nF00000\r\n");
    let whole = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let asked_twice = format!("{whole}{HEAD}");
    let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // What is said, whether the client goes on, how often, and how the answer begins; none where no request was whole.
    let cases = [
        ("nothing", "", false, 50, ""),
        ("a head without an end", HEAD, true, 200, ""),
        ("a header without an end", "GET / HTTP/1.1\r\nX: ", true, 200, ""),
        ("a part of a head", HEAD, false, 20, ""),
        ("a beginning of HTTP/2", &http2[..10], false, 20, ""),
        ("HTTP/2 and no request", http2, false, 20, "\0"),
        ("a request and no other", whole, false, 20, "HTTP/1.1 200"),
        ("a second head without an end", &asked_twice, true, 20, "HTTP/1.1 200"),
        ("a body without an end", &body, true, 20, "HTTP/1.1 408"),
        ("chunks without an end", &chunks, true, 20, "HTTP/1.1 408"),
    ];
    let attack = async {
        let all = cases.iter().map(|(what, says, goes_on, count, begins)| -> BoxFuture<'_, ()> {
            let server = &server;
            async move {
                let mut streams = Vec::new();
                for _ in 0..*count {
                    streams.push(connection(server, says).await);
                }
                for heard in join_all(streams.into_iter().map(|stream| heard(stream, *goes_on))).await {
                    let as_expected = if begins.is_empty() { heard.is_empty() } else { heard.starts_with(begins) };
                    assert!(as_expected, "{what}: {heard}");
                }
            }
            .boxed()
        });
        join_all(all).await;
    };
    server.case("590 clients that take their time", SLOW, attack).await;
}
