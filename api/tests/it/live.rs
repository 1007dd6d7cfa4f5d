//! Live updates over a WebSocket and over server-sent events, from the first message to the last.

use std::net::SocketAddr;
use std::time::Duration;

use domain::time::{MICROS_PER_DAY, MICROS_PER_SECOND};
use futures_util::{SinkExt, StreamExt};
use poem::Request;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::{Crash, PASSWORD, TestServer};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const FOLLOW: &str = "subscription($after: String, $settlementId: ID, $partnerId: ID) {
    settlementUpdated(after: $after, settlementId: $settlementId, partnerId: $partnerId) {
        cursor settlement { id transactionCount } } }";

/// Nothing here takes longer, but for what is broken.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(address: SocketAddr, protocol: Option<&str>, origin: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}/graphql").into_client_request()?;
    if let Some(protocol) = protocol {
        let protocol = HeaderValue::from_str(protocol).expect("a header");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
    }
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_str(origin).expect("a header"));
    }
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

pub struct Client(Socket);

impl Client {
    async fn new(address: SocketAddr) -> Self {
        Self(connect(address, Some("graphql-transport-ws"), None).await.expect("a connection"))
    }

    pub async fn signed_in(address: SocketAddr, token: &str) -> Self {
        let mut client = Self::new(address).await;
        client
            .say(json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } }))
            .await;
        assert_eq!(client.hear().await, json!({ "type": "connection_ack" }));
        client
    }

    async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("it is sent");
    }

    pub async fn ask(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// Ends an operation.
    pub async fn end(&mut self, id: &str) {
        self.say(json!({ "id": id, "type": "complete" })).await;
    }

    async fn follow(&mut self, id: &str, variables: Value) {
        self.ask(id, FOLLOW, variables).await;
    }

    /// The next message, or how it was closed: `{"closed": 4400, "reason": …}`.
    pub async fn hear(&mut self) -> Value {
        let heard = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return json!({ "closed": u16::from(frame.code), "reason": frame.reason.as_str() });
                    }
                    Some(Ok(_)) => {}
                    other => panic!("no message and no reason: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("an answer in time")
    }

    async fn closed(&mut self) -> u64 {
        let heard = self.hear().await;
        heard["closed"].as_u64().unwrap_or_else(|| panic!("not closed: {heard}"))
    }

    /// The next update of a subscription.
    async fn update(&mut self, id: &str) -> Value {
        let heard = self.hear().await;
        assert_eq!((&heard["id"], &heard["type"]), (&json!(id), &json!("next")), "{heard}");
        heard["payload"]["data"]["settlementUpdated"].clone()
    }
}

impl TestServer {
    /// One more transaction in a month of 2021; the count then.
    async fn play(&self, crash: &Crash, number: usize, month: &str) {
        let transaction = json!({
            "externalId": number.to_string(), "kind": "STAKE", "amount": { "amount": "1.00", "currency": "BIT" },
            "occurredAt": format!("2021-{month}-15T12:00:00Z"), "product": "crash",
        });
        let input = json!({ "source": "crash", "transactions": [transaction] });
        self.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
    }

    pub async fn cursor(&self, token: &str) -> String {
        let viewer = self.query(token, "{ viewer { eventCursor } }", json!({})).await;
        viewer["viewer"]["eventCursor"].as_str().expect("a cursor").to_owned()
    }

    async fn settlement_in(&self, token: &str, month: &str) -> String {
        let all = self.query(token, "{ settlements { nodes { id periodStart } } }", json!({})).await;
        let nodes = all["settlements"]["nodes"].as_array().expect("a list");
        let start = format!("2021-{month}-01T00:00:00Z");
        let found = nodes.iter().find(|node| node["periodStart"] == *start).expect("a settlement");
        found["id"].as_str().expect("an id").to_owned()
    }

    /// The access token of a new member, and the member's id.
    pub async fn member(&self, crash: &Crash, email: &str, role: &str, partner: Option<&str>) -> (String, String) {
        let input = json!({ "email": email, "name": email, "role": role, "partnerId": partner });
        let invited = self.mutate(&crash.ada, "inviteMember", input, "member { id } oneTimeToken { token }").await;
        self.domain
            .accept_token(invited["oneTimeToken"]["token"].as_str().expect("a token"), PASSWORD)
            .await
            .expect("in");
        (self.token("acme", email).await, invited["member"]["id"].as_str().expect("an id").to_owned())
    }
}

#[tokio::test]
async fn the_sub_protocol_and_the_origin_are_agreed_first() {
    let server = TestServer::new().await;
    let address = server.listen().await;
    let refused = async |protocol: Option<&str>, origin: Option<&str>| match connect(address, protocol, origin).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(None, None).await, 400);
    assert_eq!(refused(Some("graphql-ws"), None).await, 400, "the protocol before this one");
    assert_eq!(refused(Some("graphql-transport-ws"), Some("https://evil.test")).await, 403);
    let both = connect(address, Some("graphql-ws, graphql-transport-ws"), Some(&format!("http://{address}"))).await;
    both.expect("its own page may");
}

#[tokio::test]
async fn every_breach_of_the_protocol_has_its_code() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    for bad in ["", "[]", "{\"type\":\"start\"}", "{\"type\":\"subscribe\",\"id\":1,\"payload\":{}}"] {
        let mut client = Client::signed_in(address, &crash.ada).await;
        client.say_text(bad).await;
        assert_eq!(client.closed().await, 4400, "{bad}");
    }
    let mut client = Client::new(address).await;
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.closed().await, 4400);
    let mut client = Client::new(address).await;
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }), "also before the init");
    client.ask("1", "{ __typename }", json!({})).await;
    assert_eq!(client.closed().await, 4401);
    for payload in [
        json!(null),
        json!({}),
        json!({ "authorization": "Bearer x" }),
        json!({ "authorization": format!("Basic {}", crash.ada) }),
        json!({ "token": 7 }),
    ] {
        let mut client = Client::new(address).await;
        client.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(client.closed().await, 4403, "{payload}");
    }
    let mut client = Client::new(address).await;
    assert_eq!(client.closed().await, 4408, "nothing said");
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.follow("1", json!({})).await;
    client.follow("1", json!({})).await;
    assert_eq!(client.closed().await, 4409);
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.say(json!({ "type": "connection_init", "payload": { "token": crash.ada } })).await;
    assert_eq!(client.closed().await, 4429);
}

#[tokio::test]
async fn everything_runs_over_a_socket_and_ends_when_the_client_says_so() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.ask("q", "{ viewer { tenant { slug } } }", json!({})).await;
    let next = client.hear().await;
    assert_eq!(next["payload"]["data"], json!({ "viewer": { "tenant": { "slug": "acme" } } }));
    assert_eq!(client.hear().await, json!({ "id": "q", "type": "complete" }));
    client.ask("bad", "{ nothing }", json!({})).await;
    let refused = client.hear().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("bad")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
    // An id is free again when its operation is over.
    client.ask("q", "{ __typename }", json!({})).await;
    assert_eq!(client.hear().await["type"], "next");
    assert_eq!(client.hear().await["type"], "complete");
    client.follow("s", json!({ "after": server.cursor(&crash.ada).await })).await;
    server.play(&crash, 1, "11").await;
    assert_eq!(client.update("s").await["settlement"]["transactionCount"], 1);
    client.say(json!({ "id": "s", "type": "complete" })).await;
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong" }));
    // Whoever asks the same is told at the same time.
    client.follow("t", json!({ "after": server.cursor(&crash.ada).await })).await;
    server.play(&crash, 2, "11").await;
    assert_eq!(client.update("t").await["settlement"]["transactionCount"], 2);
    client.ask("q", "{ __typename }", json!({})).await;
    assert_eq!(client.hear().await["id"], "q", "nothing more of what was completed");
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_stopped() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let begin = server.cursor(&crash.ada).await;
    for number in 0..5 {
        server.play(&crash, number, if number % 2 == 0 { "11" } else { "12" }).await;
    }
    let mut client = Client::signed_in(address, &crash.ada).await;
    // Each settlement once, with what it is now, by the order of its last change: November moves December too.
    client.follow("1", json!({ "after": begin })).await;
    let (one, two) = (client.update("1").await, client.update("1").await);
    let counts = [&one, &two].map(|update| update["settlement"]["transactionCount"].as_i64().unwrap());
    assert_eq!(counts.iter().sum::<i64>(), 5);
    // From between the two, only the second.
    client.follow("2", json!({ "after": one["cursor"] })).await;
    assert_eq!(client.update("2").await, two);
    server.play(&crash, 5, "12").await;
    let december = server.settlement_in(&crash.ada, "12").await;
    for _ in 0..2 {
        let heard = client.hear().await;
        let event = &heard["payload"]["data"]["settlementUpdated"];
        assert_eq!(
            (event["settlement"]["id"].as_str(), &event["settlement"]["transactionCount"]),
            (Some(&*december), &json!(3))
        );
    }
    for (bad, code) in [("?", "BAD_USER_INPUT"), ("AAAAAAAAAAAAAAAA", "BAD_USER_INPUT")] {
        client.follow("bad", json!({ "after": bad })).await;
        let refused = client.hear().await;
        assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!(code)));
    }
}

#[tokio::test]
async fn who_follows_hears_of_its_own_only() {
    let server = TestServer::new().await;
    let (crash, other) = (server.crash("acme").await, server.crash("bolt").await);
    let address = server.listen().await;
    let (rob, _) = server.member(&crash, "pat@studio.test", "READ_ONLY", Some(&crash.partner)).await;
    let rival = server.mutate(&crash.ada, "createPartner", json!({ "name": "Rival" }), "partner { id }").await;
    let (rival_user, _) = server.member(&crash, "ria@rival.test", "READ_ONLY", rival["partner"]["id"].as_str()).await;
    server.play(&crash, 0, "11").await;
    server.play(&other, 0, "11").await;
    let (own, foreign) = (server.settlement_in(&crash.ada, "11").await, server.settlement_in(&other.ada, "11").await);
    let mut refusals = Vec::new();
    for (id, field) in [(&foreign, "settlementId"), (&other.partner, "partnerId")] {
        for id in [id.clone(), format!("{}{}", &id[..4], "f".repeat(32)), "x".to_owned()] {
            let mut client = Client::signed_in(address, &crash.ada).await;
            client.follow("1", json!({ field: id })).await;
            refusals.push((field, client.hear().await));
        }
    }
    let wrong: Vec<_> =
        refusals.iter().filter(|(_, heard)| heard["payload"][0]["extensions"]["code"] != "NOT_FOUND").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(
        refusals.chunks(3).all(|kind| kind.windows(2).all(|pair| pair[0] == pair[1])),
        "foreign, absent and malformed alike"
    );
    let foreign_cursor = server.cursor(&other.ada).await;
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.follow("1", json!({ "after": foreign_cursor })).await;
    assert_eq!(client.hear().await["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
    let mut key = Client::signed_in(address, &crash.key).await;
    key.follow("1", json!({})).await;
    assert_eq!(key.hear().await["payload"][0]["extensions"]["code"], "FORBIDDEN", "a key sends, and reads nothing");

    let from = server.cursor(&crash.ada).await;
    let mut clients = Vec::new();
    for token in [&crash.ada, &rob, &rival_user, &other.ada] {
        let mut client = Client::signed_in(address, token).await;
        let after = if token == &other.ada { json!(null) } else { json!(from) };
        client.follow("1", json!({ "after": after })).await;
        // The subscription stands when a question behind it is answered.
        client.ask("q", "{ __typename }", json!({})).await;
        assert_eq!(client.hear().await["id"], "q");
        assert_eq!(client.hear().await["type"], "complete");
        clients.push(client);
    }
    server.play(&crash, 1, "11").await;
    for client in &mut clients[..2] {
        assert_eq!(client.update("1").await["settlement"]["id"], *own);
    }
    for client in &mut clients[2..] {
        client.ask("q", "{ __typename }", json!({})).await;
        assert_eq!(client.hear().await["id"], "q", "not theirs");
    }
}

#[tokio::test]
async fn whoever_loses_its_access_is_closed_with_its_cursor() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let session = server.domain.sign_in("acme", "ada@acme.test", PASSWORD).await.unwrap();
    let (rob, rob_id) = server.member(&crash, "rob@acme.test", "READ_ONLY", None).await;
    let (eve, eve_id) = server.member(&crash, "eve@acme.test", "READ_ONLY", None).await;
    let mut clients = Vec::new();
    for token in [session.access_token.expose(), &rob, &eve, &crash.ada] {
        let mut client = Client::signed_in(address, token).await;
        client.follow("1", json!({})).await;
        client.ask("q", "{ __typename }", json!({})).await;
        for _ in 0..2 {
            client.hear().await;
        }
        clients.push(client);
    }
    server.domain.sign_out(session.refresh_token.expose()).await.unwrap();
    server.mutate(&crash.ada, "setMemberRole", json!({ "memberId": rob_id, "role": "RISK" }), "member { id }").await;
    server.mutate(&crash.ada, "disableMember", json!({ "memberId": eve_id }), "member { id }").await;
    let cursor = server.cursor(&crash.ada).await;
    let mut others = clients.pop().unwrap();
    for client in &mut clients {
        let told = client.hear().await;
        assert_eq!((&told["id"], &told["type"]), (&json!("1"), &json!("error")));
        assert_eq!(told["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(told["payload"][0]["extensions"]["cursor"].is_string(), "{told}");
        assert_eq!(client.closed().await, 4403);
    }
    server.play(&crash, 1, "11").await;
    let update = others.update("1").await;
    assert_ne!(update["cursor"], *cursor, "the others go on");
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let server = TestServer::with_set_clock().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    // The token lives ten minutes; a second before its end it is still good.
    server.pass(599 * MICROS_PER_SECOND);
    let mut idle = Client::signed_in(address, &crash.ada).await;
    idle.follow("1", json!({})).await;
    idle.ask("q", "{ __typename }", json!({})).await;
    for _ in 0..2 {
        idle.hear().await;
    }
    let stream = server.stream(&crash.ada, FOLLOW).await;
    server.pass(2 * MICROS_PER_SECOND);
    assert_eq!(idle.hear().await["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(idle.closed().await, 4403);
    let ended = stream.into_body().into_string().await.unwrap();
    assert!(ended.contains("UNAUTHENTICATED") && ended.ends_with("event: complete\ndata:\n\n"), "{ended}");
}

#[tokio::test]
async fn a_cursor_whose_events_are_gone_is_refused() {
    let server = TestServer::with_set_clock().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let begin = server.cursor(&crash.ada).await;
    server.play(&crash, 0, "11").await;
    server.pass(8 * MICROS_PER_DAY);
    server.domain.prune().await;
    let mut client = Client::signed_in(address, &server.token("acme", "ada@acme.test").await).await;
    client.follow("1", json!({ "after": begin })).await;
    let refused = client.hear().await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "CURSOR_EXPIRED", "{refused}");
}

#[tokio::test]
async fn a_stream_of_events_has_results_and_an_end() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let query = server.stream(&crash.ada, "{ viewer { tenant { slug } } }").await;
    assert_eq!(query.status(), StatusCode::OK);
    assert_eq!(query.content_type(), Some("text/event-stream"));
    let text = query.into_body().into_string().await.unwrap();
    let (next, complete) = text.split_once("\n\n").unwrap();
    let data = next.strip_prefix("event: next\ndata: ").expect("a result");
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["data"], json!({ "viewer": { "tenant": { "slug": "acme" } } }));
    assert_eq!(complete, "event: complete\ndata:\n\n");
    // What is wrong with the request is told in the stream, as the protocol wants it; who sends it, by the status.
    let wrong = server.stream(&crash.ada, "{ nothing }").await;
    assert_eq!(wrong.status(), StatusCode::OK);
    assert!(wrong.into_body().into_string().await.unwrap().contains("BAD_USER_INPUT"));
    assert_eq!(server.stream("garbage", "{ viewer { tenant { slug } } }").await.status(), StatusCode::UNAUTHORIZED);
    let plain = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
    let plain = plain.header("authorization", format!("Bearer {}", crash.ada));
    let plain = server.send(plain.body(json!({ "query": FOLLOW }).to_string())).await;
    assert!(plain.into_body().into_string().await.unwrap().contains("BAD_USER_INPUT"), "a subscription is no query");

    let begin = server.cursor(&crash.ada).await;
    server.play(&crash, 0, "11").await;
    let follow = format!("subscription {{ settlementUpdated(after: \"{begin}\") {{ cursor }} }}");
    let mut events = server.stream(&crash.ada, &follow).await.into_body().into_bytes_stream();
    let first =
        tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("an event").expect("bytes");
    assert!(first.starts_with(b"event: next\ndata: {\"data\":{\"settlementUpdated\""));
}

#[tokio::test]
async fn the_end_of_the_server_is_told_to_everybody() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.follow("1", json!({})).await;
    client.ask("q", "{ __typename }", json!({})).await;
    for _ in 0..2 {
        client.hear().await;
    }
    let stream = server.stream(&crash.ada, FOLLOW).await;
    server.app.live.close();
    let told = client.hear().await;
    assert_eq!(told["payload"][0]["extensions"]["code"], "UNAVAILABLE");
    assert!(told["payload"][0]["extensions"]["cursor"].is_string());
    assert_eq!(client.closed().await, 1012);
    let ended = tokio::time::timeout(PATIENCE, stream.into_body().into_string()).await.expect("in time").unwrap();
    assert!(ended.contains("UNAVAILABLE") && ended.contains("cursor"), "{ended}");
    drop(client);
    tokio::time::timeout(PATIENCE, server.app.live.closed()).await.expect("everybody is gone");
}

#[tokio::test]
async fn who_asks_the_same_shares_one_execution() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let (rob, _) = server.member(&crash, "rob@acme.test", "ADMIN", None).await;
    let mut clients: Vec<Client> = Vec::new();
    let mut costs = Vec::new();
    for (round, more) in [(0, 1), (1, 19)] {
        for n in 0..more {
            let mut client = Client::signed_in(address, if n % 2 == 0 { &crash.ada } else { &rob }).await;
            // From different places, and still the same.
            let after = server.cursor(&crash.ada).await;
            client.follow("1", json!({ "after": after })).await;
            client.ask("q", "{ __typename }", json!({})).await;
            for _ in 0..2 {
                client.hear().await;
            }
            clients.push(client);
        }
        server.play(&crash, 2 * round, "11").await;
        for client in &mut clients {
            client.update("1").await;
        }
        let before = server.domain.statements();
        server.play(&crash, 2 * round + 1, "11").await;
        let mut heard = Vec::new();
        for client in &mut clients {
            heard.push(client.update("1").await);
        }
        assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{heard:?}");
        costs.push(server.domain.statements() - before);
    }
    // Who has only just caught up looks once more whether it missed something; an execution of its own takes more.
    let most = costs[0] + 2 * 19;
    assert!(costs[1] <= most, "{} statements for twenty subscribers, {} for one", costs[1], costs[0]);
}

#[tokio::test]
async fn a_busy_settlement_is_told_at_most_ten_times_a_second() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let mut client = Client::signed_in(address, &crash.ada).await;
    client.follow("1", json!({ "after": server.cursor(&crash.ada).await })).await;
    let began = std::time::Instant::now();
    const PLAYS: usize = 150;
    let playing = async {
        for number in 0..PLAYS {
            server.play(&crash, number, "11").await;
        }
    };
    let following = async {
        let mut updates = 0;
        loop {
            updates += 1;
            if client.update("1").await["settlement"]["transactionCount"] == PLAYS {
                return updates;
            }
        }
    };
    let ((), updates) = futures_util::future::join(playing, following).await;
    // However slow the machine is: two updates are a tenth of a second apart.
    let most = began.elapsed().as_millis() / 100 + 1;
    assert!(updates <= most, "{updates} updates, where the time allows {most}");
    assert!(updates < PLAYS as u128, "some were merged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_closed() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let address = server.listen().await;
    let mut client = Client::signed_in(address, &crash.ada).await;
    // Far more than the system keeps for a reader: each answer has the whole schema in it, eighty times 300 kB.
    let long = "{ __schema { types { name description fields { name description args { name description } } } } }";
    for n in 0..80 {
        client.ask(&n.to_string(), long, json!({})).await;
    }
    // It is still connected and takes nothing; the server gives it up within its patience, and forgets what waited.
    tokio::time::timeout(Duration::from_secs(60), server.app.live.closed()).await.expect("it is given up");
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_is_closed() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    // Nothing is kept on the way from the server to a client that does not read.
    let small = || {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(4096).and_then(|()| socket.set_recv_buffer_size(4096)).expect("small buffers");
        socket
    };
    let socket = small();
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = server.listen_on(socket.listen(8).expect("a listener"));
    let mut connection = small().connect(address).await.expect("a connection");
    // The whole schema several times, which is more than the connection gathers before it is written.
    let types = "__schema { types { name description fields { name description args { name description } } } }";
    let long: String = (0..8).map(|n| format!("a{n}: {types} ")).collect();
    let body = json!({ "query": format!("{{ {long} }}") }).to_string();
    let head = format!(
        "POST /graphql/stream HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: text/event-stream\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        crash.ada,
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes()).await.expect("it is sent");
    // The answer has begun, and from here on it is not read.
    let mut begun = [0; 12];
    tokio::time::timeout(PATIENCE, connection.read_exact(&mut begun)).await.expect("in time").expect("an answer");
    assert_eq!(&begun, b"HTTP/1.1 200");
    tokio::time::timeout(Duration::from_secs(60), server.app.live.closed()).await.expect("it is given up");
    // What the system kept is still there, and then nothing: the answer was cut, not finished.
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await.expect("an end").ok();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "all {} bytes were taken, to the end", rest.len());
}
