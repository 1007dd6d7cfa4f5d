//! Every field of `Subscription`, found by introspection, by those who may not follow it, or not any more: a filter
//! that names another's thing, a cursor of another's events, a token that runs out and a role that is taken midway.
//! A field or an argument that is new fails until it is in the table here.

use std::collections::BTreeSet;

use domain::time::MICROS_PER_SECOND;
use futures_util::StreamExt;
use serde_json::json;

use crate::shape::{Shape, list, text};
use crate::support::{Crash, PASSWORD, TestServer};
use crate::told::{PATIENCE, until};

/// What can be followed. Its events have a `cursor`, and an argument `after` takes it.
struct Followed {
    field: &'static str,
    /// Arguments that name things, with the types of what they name.
    filters: &'static [(&'static str, &'static str)],
    /// Where the filters name nothing of the caller's: refused, and with what.
    refusal: &'static str,
    happens: Happens,
}

/// What makes an event, for `World::happens`.
#[derive(Clone, Copy)]
enum Happens {
    Transaction,
    Case,
}

const FOLLOWED: [Followed; 2] = [
    Followed {
        field: "settlementUpdated",
        filters: &[("settlementId", "Settlement"), ("partnerId", "Partner")],
        refusal: "NOT_FOUND",
        happens: Happens::Transaction,
    },
    Followed { field: "anomalyRaised", filters: &[], refusal: "NOT_FOUND", happens: Happens::Case },
];

/// What ends by itself, has no cursor and is not gone on with; and the places that name something in it. Their cases are in
/// `simulating.rs`.
pub const ENDING: [(&str, &str); 1] = [("simulateContractVersion", "input.contractId")];

/// The fields that have cases here or there.
pub fn fields() -> BTreeSet<&'static str> {
    FOLLOWED.iter().map(|followed| followed.field).chain(ENDING.map(|(field, _)| field)).collect()
}

/// The places of the schema that have cases here or there, as `matrix.rs` calls them.
pub fn places() -> Vec<String> {
    let ending = ENDING.iter().map(|(field, place)| format!("Subscription.{field}.{place}"));
    followed_places().into_iter().chain(ending).collect()
}

fn followed_places() -> Vec<String> {
    let of = |followed: &Followed| {
        let arguments = followed.filters.iter().map(|(argument, _)| *argument).chain(["after"]);
        arguments.map(|argument| format!("Subscription.{}.{argument}", followed.field)).collect::<Vec<_>>()
    };
    FOLLOWED.iter().flat_map(of).collect()
}

struct World {
    server: TestServer,
    own: Crash,
    other: Crash,
}

impl World {
    async fn new(server: TestServer) -> Self {
        let (own, other) = (server.crash("acme").await, server.crash("bolt").await);
        Self { server, own, other }
    }

    /// Makes an event for this tenant; its newest place then.
    async fn happens(&self, what: Happens, to: &Crash, number: usize) -> String {
        match what {
            Happens::Transaction => {
                // So that nothing else happens.
                let none = json!({ "alertRate": "0.000001", "mostAlertsADay": 0 });
                self.server.mutate(&to.ada, "setAlertRate", none, "detector { alertRate }").await;
                let transaction = json!({
                    "externalId": number.to_string(), "kind": "STAKE", "occurredAt": "2021-11-15T12:00:00Z",
                    "amount": { "amount": "1.00", "currency": "BIT" }, "product": "crash",
                });
                let input = json!({ "source": "crash", "transactions": [transaction] });
                self.server.mutate(&to.ada, "recordTransactions", input, "results { outcome }").await;
            }
            Happens::Case => {
                let cases = "{ anomalyCases(first: 100) { nodes { id } } }";
                let cases = self.server.query(&to.ada, cases, json!({})).await;
                let more = list(&cases["anomalyCases"], "nodes").len() + 1;
                crate::isolation::raise(&self.server, &to.ada, "crash", &format!("odd {number}"), more).await;
            }
        }
        self.cursor(&to.ada).await
    }

    async fn cursor(&self, token: &str) -> String {
        let viewer = self.server.query(token, "{ viewer { eventCursor } }", json!({})).await;
        text(&viewer["viewer"], "eventCursor").to_owned()
    }

    /// A thing of this type that a tenant has.
    async fn thing(&self, of: &Crash, kind: &str) -> String {
        let name = match kind {
            "Partner" => return of.partner.clone(),
            "Settlement" => "settlements",
            _ => panic!("say where a {kind} is found"),
        };
        let all = self.server.query(&of.ada, &format!("{{ {name} {{ nodes {{ id }} }} }}"), json!({})).await;
        text(&all[name]["nodes"][0], "id").to_owned()
    }

    async fn open(&self, token: &str, field: &str, arguments: &str) -> poem::Response {
        self.server.stream(token, &format!("subscription {{ {field}({arguments}) {{ cursor }} }}")).await
    }

    /// All that comes of it, which must end by itself.
    async fn ends(&self, token: &str, field: &str, arguments: &str) -> String {
        let body = self.open(token, field, arguments).await.into_body().into_string();
        let told = tokio::time::timeout(PATIENCE, body).await;
        told.unwrap_or_else(|_| panic!("{field}({arguments}) goes on")).expect("text")
    }

    /// A member of the tenant, or a partner's user: its token and its id.
    async fn member(&self, name: &str, partner: Option<&str>) -> (String, String) {
        let email = format!("{name}@acme.test");
        let input = json!({ "email": email, "name": name, "role": "READ_ONLY", "partnerId": partner });
        let fields = "member { id } oneTimeToken { token }";
        let invited = self.server.mutate(&self.own.ada, "inviteMember", input, fields).await;
        let once = text(&invited["oneTimeToken"], "token");
        self.server.domain.accept_token(once, PASSWORD).await.expect("a password");
        (self.server.token("acme", &email).await, text(&invited["member"], "id").to_owned())
    }
}

#[tokio::test]
async fn every_subscription_and_each_of_its_arguments_has_its_cases() {
    let shape = Shape::read().await;
    let subscriptions = shape.fields("Subscription");
    let names: BTreeSet<&str> = subscriptions.iter().map(|field| text(field, "name")).collect();
    assert_eq!(names, fields());
    let argument = |field: &serde_json::Value, argument: &serde_json::Value| {
        format!("Subscription.{}.{}", text(field, "name"), text(argument, "name"))
    };
    let goes_on = |field: &&serde_json::Value| ENDING.iter().all(|(ending, _)| *ending != text(field, "name"));
    let followed = subscriptions.iter().filter(goes_on);
    let arguments = followed.flat_map(|field| list(field, "args").iter().map(move |arg| argument(field, arg)));
    assert_eq!(arguments.collect::<BTreeSet<_>>(), followed_places().into_iter().collect());
}

#[tokio::test]
async fn a_filter_that_names_anothers_thing_is_refused_as_one_that_names_nothing() {
    let world = World::new(TestServer::new().await).await;
    let rival =
        world.server.mutate(&world.own.ada, "createPartner", json!({ "name": "Rival" }), "partner { id }").await;
    let (rival, _) = world.member("rival", Some(text(&rival["partner"], "id"))).await;
    for Followed { field, filters, refusal, happens } in FOLLOWED {
        let begin = world.cursor(&world.own.ada).await;
        world.happens(happens, &world.other, 1).await;
        let mark = world.happens(happens, &world.own, 1).await;
        for (argument, kind) in filters {
            let (own, foreign) = (world.thing(&world.own, kind).await, world.thing(&world.other, kind).await);
            let absent = format!("{}01990000000070008000000000000001", &own[..4]);
            for (token, foreign) in [(&world.own.ada, &foreign), (&rival, &own)] {
                let mut answers = BTreeSet::new();
                for name in [foreign, &absent, "malformed"] {
                    let arguments = format!("{argument}: \"{name}\", after: \"{begin}\"");
                    answers.insert(world.ends(token, field, &arguments).await.replace(name, "?"));
                }
                assert_eq!(answers.len(), 1, "{field}.{argument}: {answers:?}");
                assert!(answers.iter().all(|answer| answer.contains(refusal)), "{field}.{argument}: {answers:?}");
            }
            let arguments = format!("{argument}: \"{own}\", after: \"{begin}\"");
            let mut stream = world.open(&world.own.ada, field, &arguments).await.into_body().into_bytes_stream();
            until(&mut stream, &mark).await;
        }
    }
}

#[tokio::test]
async fn a_cursor_of_anothers_events_is_none() {
    let world = World::new(TestServer::new().await).await;
    for Followed { field, happens, .. } in FOLLOWED {
        let foreign = world.happens(happens, &world.other, 1).await;
        let mut answers = BTreeSet::new();
        for cursor in [&foreign, "malformed", ""] {
            answers.insert(world.ends(&world.own.ada, field, &format!("after: \"{cursor}\"")).await);
        }
        assert_eq!(answers.len(), 1, "{field}: {answers:?}");
        assert!(answers.iter().all(|answer| answer.contains("BAD_USER_INPUT")), "{field}: {answers:?}");
    }
}

/// What came after the place was read: no event, the reason and the place to go on from, and the end.
fn closed_at(told: &str, place: &str, later: &str) {
    assert!(told.contains("\"UNAUTHENTICATED\"") && told.contains(place), "{told}");
    assert!(told.ends_with("event: complete\ndata:\n\n"), "{told}");
    assert!(!told.contains("\"data\":{") && !told.contains(later), "{told}");
}

#[tokio::test]
async fn a_subscription_ends_with_its_token_and_tells_nothing_more() {
    for Followed { field, happens, .. } in FOLLOWED {
        let world = World::new(TestServer::with_set_clock().await).await;
        let begin = world.cursor(&world.own.ada).await;
        let mark = world.happens(happens, &world.own, 1).await;
        // The token lives ten minutes; a second before its end it is still good.
        world.server.pass(599 * MICROS_PER_SECOND);
        let arguments = format!("after: \"{begin}\"");
        let mut stream = world.open(&world.own.ada, field, &arguments).await.into_body().into_bytes_stream();
        until(&mut stream, &mark).await;
        world.server.pass(2 * MICROS_PER_SECOND);
        let other = Crash { ada: world.server.token("acme", "ada@acme.test").await, ..world.own };
        let world = World { own: other, ..world };
        let later = world.happens(happens, &world.own, 2).await;
        let told = until(&mut stream, "event: complete").await;
        closed_at(&told, &mark, &later);
        assert!(stream.next().await.is_none(), "{field} ends");
    }
}

#[tokio::test]
async fn a_subscription_ends_with_the_role_it_was_begun_in_and_tells_nothing_more() {
    let world = World::new(TestServer::new().await).await;
    for (number, Followed { field, happens, .. }) in FOLLOWED.into_iter().enumerate() {
        let (token, id) = world.member(&format!("bob{number}"), None).await;
        let (gone, gone_id) = world.member(&format!("eve{number}"), None).await;
        let begin = world.cursor(&world.own.ada).await;
        let mark = world.happens(happens, &world.own, 2 * number).await;
        let mut streams = Vec::new();
        for token in [&token, &gone] {
            let opened = world.open(token, field, &format!("after: \"{begin}\"")).await;
            let mut stream = opened.into_body().into_bytes_stream();
            until(&mut stream, &mark).await;
            streams.push(stream);
        }
        let role = json!({ "memberId": id, "role": "RISK" });
        world.server.mutate(&world.own.ada, "setMemberRole", role, "member { id }").await;
        world.server.mutate(&world.own.ada, "disableMember", json!({ "memberId": gone_id }), "member { id }").await;
        let later = world.happens(happens, &world.own, 2 * number + 1).await;
        for stream in &mut streams {
            let told = until(stream, "event: complete").await;
            closed_at(&told, &mark, &later);
            assert!(stream.next().await.is_none(), "{field} ends");
        }
    }
}
