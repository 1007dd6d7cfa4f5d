//! A request that is dropped, wherever it stands.

use std::future::poll_fn;
use std::task::Poll;

use api::app::Settings;
use poem::http::Method;
use poem::{Request, Response};
use serde_json::{Value, json};

use crate::support::TestServer;

/// Polls at most so often, and then drops.
async fn polled(mut polls: usize, work: impl Future<Output = Response>) -> Option<Response> {
    let mut work = Box::pin(work);
    poll_fn(move |cx| {
        polls -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn partners(server: &TestServer, token: &str) -> Vec<String> {
    let query = "query($after: String) { partners(first: 100, after: $after) { nodes { name } pageInfo { hasNextPage endCursor } } }";
    let (mut names, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = server.query(token, query, json!({ "after": after })).await["partners"].take();
        names.extend(
            page["nodes"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|node| node["name"].as_str().expect("a name").to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            return names;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// A mutation of several steps is done as a whole or has not begun, and what was acknowledged is there.
#[tokio::test]
async fn a_dropped_request_stops_no_mutation_half_way() {
    const STEPS: usize = 4;
    // How many polls a request takes differs from run to run: so each number of them, several times.
    const ROUNDS: usize = 12;
    const POLLS: usize = 8;
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let (mut acknowledged, mut dropped) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for polls in 1..=POLLS {
            let name = format!("{round}-{polls}");
            let step =
                |step| format!("s{step}: createPartner(input: {{ name: \"{name}-{step}\" }}) {{ partner {{ id }} }} ");
            let steps: String = (0..STEPS).map(step).collect();
            let request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
            let request = request.header("authorization", format!("Bearer {ada}"));
            let request = request.body(json!({ "query": format!("mutation {{ {steps} }}") }).to_string());
            match polled(polls, server.send(request)).await {
                Some(response) => {
                    assert!(response.status().is_success());
                    acknowledged.push(name);
                }
                None => dropped.push(name),
            }
        }
    }
    let server = server.reopened(&Settings::default()).await;
    let ada = server.token("acme", "ada@acme.test").await;
    let there = partners(&server, &ada).await;
    let done = |name: &String| (0..STEPS).filter(|step| there.contains(&format!("{name}-{step}"))).count();
    for name in &acknowledged {
        assert_eq!(done(name), STEPS, "{name} was acknowledged");
    }
    for name in &dropped {
        assert!([0, STEPS].contains(&done(name)), "{name} was dropped and stopped after {} of {STEPS}", done(name));
    }
    let gone_on = dropped.iter().filter(|name| done(name) == STEPS).count();
    assert!(gone_on > 0 && !acknowledged.is_empty(), "{gone_on} of {} dropped had begun", dropped.len());
}
