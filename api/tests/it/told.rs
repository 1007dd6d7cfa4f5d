//! What is told to those who change things, send files and follow: nothing of another tenant's or partner's is in any
//! byte of it, and no text of anybody's is in the log.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use poem::Request;
use poem::http::Method;
use serde_json::{Map, Value, json};
use tracing::subscriber::DefaultGuard;

use crate::canary::{CANARY, FINCH, Foreign, askers, roomy, seen_by};
use crate::crawl::{self, Seen};
use crate::habitat::{Habitat, Stock, furnish};
use crate::matrix::{mutations, written};
use crate::shape::{Shape, list, named, text};
use crate::support::{PASSWORD, TestServer};

/// Nothing here takes longer, but for what is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// In every payload.
const ERRORS: &str = "userErrors { code field message }";

/// All that this thread logs, on which a test's server runs, too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let guard = tracing::subscriber::set_default(subscriber.with_writer(move || to.clone()).finish());
        (log, guard)
    }

    /// It has something, and none of these words.
    fn is_free_of(&self, words: &[&str], needed: &str) {
        let log = String::from_utf8(self.0.lock().expect("a log").clone()).expect("text");
        assert!(log.contains(needed), "nothing was logged: {log}");
        for line in log.lines() {
            let lower = line.to_lowercase();
            let found = words.iter().find(|word| lower.contains(&word.to_lowercase()));
            assert!(found.is_none(), "{found:?} is logged: {line}");
        }
    }
}

/// Two tenants with everything, and what of it one of them must not be told.
struct World {
    server: TestServer,
    shape: Shape,
    own: Habitat,
    other: Habitat,
    seen: Seen,
    /// What the other tenant has.
    not: Seen,
    canary: Foreign,
    /// What the second partner has, for the first one's people.
    rival: Foreign,
}

impl World {
    async fn new() -> Self {
        let (server, shape) = (roomy().await, Shape::read().await);
        let own = furnish(&server, &FINCH).await;
        let other = furnish(&server, &CANARY).await;
        let seen = seen_by(&server, &shape, &own.ada, FINCH.tenant).await;
        let not = seen_by(&server, &shape, &other.ada, CANARY.tenant).await;
        let canary = Foreign::of(&not, CANARY.tenant, &[]);
        let rivals = seen_by(&server, &shape, &own.partners[1].user, "magpie").await;
        let rival = Foreign::of(&rivals, "magpie", &["Product"]);
        Self { server, shape, own, other, seen, not, canary, rival }
    }

    /// What was told to somebody, but for what he said himself, is his own.
    fn check(&self, who: &str, bytes: &str, said: &[&str], what: &str) {
        let mut bytes = bytes.to_owned();
        for said in said {
            bytes = bytes.replace(said, "?");
        }
        self.canary.absent_from(&bytes, &format!("{who}, {what}"));
        if ["the partner's user", "the source's key"].contains(&who) {
            self.rival.absent_from(&bytes, &format!("{who}, {what}"));
        }
    }

    /// A mutation with one of the selections of its payload.
    async fn change(&self, token: &str, field: &Value, input: &Value, selection: &str) -> String {
        let (name, argument) = (text(field, "name"), &list(field, "args")[0]);
        let declared = written(&argument["type"]);
        let query = format!("mutation($input: {declared}) {{ {name}(input: $input) {{ {ERRORS} {selection} }} }}");
        self.server.graphql_bytes(token, &query, &json!({ "input": input })).await.0
    }
}

/// The first thing of each type.
fn first<'s>(seen: &'s Seen, kind: &str) -> &'s str {
    seen.ids[kind].first().expect("one of each")
}

/// The input of a case, with a name for `?`, and the asker's own things for `$Type`.
fn filled(value: &Value, name: &str, own: &Seen) -> Value {
    match value {
        Value::String(text) if text == "?" => json!(name),
        Value::String(text) => text.strip_prefix('$').map_or(value.clone(), |kind| json!(first(own, kind))),
        Value::Array(items) => items.iter().map(|item| filled(item, name, own)).collect(),
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.iter().map(|(key, value)| (key.clone(), filled(value, name, own))).collect();
            Value::Object(fields)
        }
        _ => value.clone(),
    }
}

#[tokio::test]
async fn nothing_of_another_is_in_what_a_change_tells() {
    let (log, _guard) = Log::begin();
    let world = World::new().await;
    let fields = world.shape.fields("Mutation");
    let selections = |field: &Value| crawl::of_kind(&world.shape, text(named(&field["type"]), "name"));
    let field_of = |place: &str| {
        let name = place.split('.').nth(1).expect("a field");
        fields.iter().find(|field| text(field, "name") == name).expect("a field of the schema")
    };
    let askers = askers(&world.server, &world.own).await;
    for (who, token) in &askers {
        for (place, kind, arguments) in mutations() {
            let foreign = first(&world.not, kind);
            let input = filled(&arguments["input"], foreign, &world.seen);
            let told = world.change(token, field_of(place), &input, &selections(field_of(place))[0]).await;
            assert!(told.contains("NOT_FOUND") || told.contains("FORBIDDEN"), "{who}, {place}: {told}");
            world.check(who, &told, &[foreign], place);
        }
        // Nonsense, and then the same again, which some take for what is there already.
        for field in fields.iter().chain(fields) {
            let query = format!(
                "mutation {{ {}{} {{ {ERRORS} {} }} }}",
                text(field, "name"),
                world.shape.arguments(field, ""),
                selections(field)[0]
            );
            let (told, _) = world.server.graphql_bytes(token, &query, &json!({})).await;
            assert!(!told.contains("BAD_USER_INPUT"), "{query}: {told}");
            world.check(who, &told, &[], &query);
        }
    }
    // What the administrator does with its own is told in full, which the key keeps the same for each selection.
    for (place, kind, arguments) in mutations() {
        let (field, mut input) = (field_of(place), filled(&arguments["input"], first(&world.seen, kind), &world.seen));
        let of = text(named(&list(field, "args")[0]["type"]), "name");
        if list(&world.shape.types[of], "inputFields").iter().any(|field| text(field, "name") == "idempotencyKey") {
            input["idempotencyKey"] = json!(place);
        }
        for selection in selections(field) {
            let told = world.change(&world.own.ada, field, &input, &selection).await;
            world.check("the administrator", &told, &[], place);
        }
    }
    log.is_free_of(&["canary", "finch", PASSWORD, &world.own.ada, &world.own.partners[0].key], "answered");
}

#[tokio::test]
async fn nothing_of_another_is_in_what_an_upload_tells() {
    let (log, _guard) = Log::begin();
    let world = World::new().await;
    let (own, theirs, rivals) = (&world.own.partners[0], &world.other.partners[0], &world.own.partners[1]);
    let run = |seen: &Seen| first(seen, "ImportRun").to_owned();
    let rivals_run = {
        let query = "query { importRuns(first: 100) { nodes { id source { id } } } }";
        let runs = world.server.query(&rivals.user, query, json!({})).await;
        text(&runs["importRuns"]["nodes"][0], "id").to_owned()
    };
    let sources: [(&Stock, String); 3] = [(own, run(&world.seen)), (theirs, run(&world.not)), (rivals, rivals_run)];
    for (who, token) in askers(&world.server, &world.own).await {
        for (stock, run) in &sources {
            for method in [Method::POST, Method::GET, Method::HEAD, Method::PATCH, Method::DELETE] {
                let mut path = format!("/v1/sources/{}/files", stock.source);
                if method != Method::POST {
                    path = format!("{path}/{run}");
                }
                let request = Request::builder().method(method.clone()).uri_str(&path);
                let request = request.header("authorization", format!("Bearer {token}")).header("upload-offset", "0");
                let (told, _) = world.server.bytes(request.body("Id;Bet;Time\n1;2;3\n")).await;
                let known = std::ptr::eq(*stock, own) || (std::ptr::eq(*stock, rivals) && !who.contains("'s "));
                assert!(known || told.starts_with("404") || told.starts_with("403"), "{who}, {method} {path}: {told}");
                world.check(who, &told, &[&stock.source, run], &format!("{method} {path}"));
            }
        }
    }
    log.is_free_of(&["canary", "finch", PASSWORD, &world.own.ada, &own.key], "answered");
}

impl World {
    /// One more transaction of a partner, and the tenant's newest place then.
    async fn play(&self, ada: &str, tenant: &str, partner: &str, number: &str) -> String {
        let transaction = json!({
            "externalId": number, "kind": "STAKE", "amount": { "amount": "1", "currency": tenant.to_uppercase() },
            "occurredAt": "2021-11-20T12:00:00Z", "product": tenant, "player": partner, "region": partner,
            "channel": partner, "attributes": [{ "name": partner, "value": partner }],
        });
        let input = json!({ "source": partner, "transactions": [transaction] });
        let done = self.server.mutate(ada, "recordTransactions", input, "results { outcome }").await;
        assert_eq!(done["results"][0]["outcome"], "RECORDED");
        self.place(ada).await
    }

    async fn place(&self, ada: &str) -> String {
        let viewer = self.server.query(ada, "{ viewer { eventCursor } }", json!({})).await;
        text(&viewer["viewer"], "eventCursor").to_owned()
    }

    /// Raises a case more of what this partner sends; its place.
    async fn raise(&self, ada: &str, tenant: &str, partner: &str, number: &str) -> String {
        let cases = self.server.query(ada, "{ anomalyCases(first: 100) { nodes { id } } }", json!({})).await;
        let more = list(&cases["anomalyCases"], "nodes").len() + 1;
        let what = (tenant, tenant.to_uppercase());
        crate::isolation::raise_of(&self.server, ada, partner, (what.0, &what.1), &format!("{partner} {number}"), more)
            .await;
        let place = self.place(ada).await;
        let none = json!({ "alertRate": "0.000001", "mostAlertsADay": 0 });
        self.server.mutate(ada, "setAlertRate", none, "detector { alertRate }").await;
        place
    }

    /// Something happens to the other tenant, then to the second partner, then to the first; the place of the last.
    async fn happens(&self, field: &str, number: &str) -> String {
        let mut place = String::new();
        for (ada, tenant, partner) in [
            (&self.other.ada, CANARY.tenant, CANARY.partners[0]),
            (&self.own.ada, FINCH.tenant, FINCH.partners[1]),
            (&self.own.ada, FINCH.tenant, FINCH.partners[0]),
        ] {
            place = match field {
                "settlementUpdated" => self.play(ada, tenant, partner, number).await,
                "anomalyRaised" => self.raise(ada, tenant, partner, number).await,
                _ => panic!("say what makes an event of {field}"),
            };
        }
        place
    }
}

/// Reads a stream until this is in it. A stream that goes on shows that it lives, so it is all of it that takes time.
pub async fn until(
    body: &mut (impl futures_util::Stream<Item = io::Result<bytes::Bytes>> + Unpin),
    mark: &str,
) -> String {
    let mut told = String::new();
    let reading = async {
        while !told.contains(mark) {
            let piece = body.next().await.unwrap_or_else(|| panic!("it ended without {mark}: {told}")).expect("bytes");
            told += std::str::from_utf8(&piece).expect("text");
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await;
    assert!(in_time.is_ok(), "{mark} does not come: {told}");
    told
}

#[tokio::test]
async fn nothing_of_another_is_in_what_those_who_follow_are_told() {
    let (log, _guard) = Log::begin();
    let world = World::new().await;
    let goes_on = |field: &&Value| crate::followed::ENDING.iter().all(|(ending, _)| *ending != text(field, "name"));
    let followed: Vec<&Value> = world.shape.fields("Subscription").iter().filter(goes_on).collect();
    let begin = world.place(&world.own.ada).await;
    let mut open = Vec::new();
    let askers = askers(&world.server, &world.own).await;
    for field in &followed {
        let name = text(field, "name");
        let first = world.happens(name, "followed-1").await;
        for (who, token) in &askers {
            let may = *who != "the source's key" && (name != "anomalyRaised" || *who != "the partner's user");
            for selection in crawl::of_kind(&world.shape, text(named(&field["type"]), "name")) {
                let query = format!("subscription {{ {name}(after: \"{begin}\") {{ cursor {selection} }} }}");
                let response = world.server.stream(token, &query).await;
                let what = format!("{name} {selection}");
                if !may {
                    let told = response.into_body().into_string().await.expect("text");
                    assert!(told.contains("FORBIDDEN"), "{told}");
                    world.check(who, &told, &[], &what);
                    continue;
                }
                let mut body = response.into_body().into_bytes_stream();
                world.check(who, &until(&mut body, &first).await, &[], &what);
                open.push((name, *who, body, what));
            }
        }
    }
    for field in followed {
        let followed = text(field, "name");
        let second = world.happens(followed, "followed-2").await;
        for (_, who, body, what) in open.iter_mut().filter(|(name, ..)| *name == followed) {
            world.check(who, &until(body, &second).await, &[], what);
        }
    }
    log.is_free_of(&["canary", "finch", PASSWORD, &world.own.ada], "answered");
}
