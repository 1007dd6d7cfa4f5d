//! Files over HTTP: in one go, cut and resumed, and what is refused.

use std::io;

use futures_util::stream;
use poem::Body;
use poem::http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Crash, HEADER, TestServer};

fn file(records: usize) -> String {
    let mut file = HEADER.to_owned();
    for n in 0..records {
        let cashed = if n % 2 == 0 { "2.0" } else { "NA" };
        file += &format!("{n},{},alice,100,{cashed},50,2021-11-20T19:44:{:02}Z\n", n / 10, n % 60);
    }
    file
}

/// A body that ends in an error, as one does whose sender is gone.
fn cut(bytes: &str) -> Body {
    let pieces = [Ok(bytes.to_owned()), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
    Body::from_bytes_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_file_in_one_go_and_again_is_all_replays() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let by_id = format!("/v1/sources/{}/files", crash.source);
    let first = server.upload(Method::POST, &by_id, &crash.key, &[("file-name", "a.csv")], file(20)).await;
    assert_eq!((first.status, first.complete.as_str()), (StatusCode::OK, "?1"));
    assert_eq!(first.offset, file(20).len().to_string());
    let counts = |run: &serde_json::Value| {
        ["records", "emitted", "ignored", "quarantined", "recorded", "replayed", "conflicting"]
            .map(|name| run[name].as_i64().unwrap())
    };
    assert_eq!(first.json["state"], "COMPLETED");
    assert_eq!(first.json["fileName"], "a.csv");
    assert_eq!(counts(&first.json), [20, 20, 0, 0, 30, 0, 0]);
    // By the source's name, and by a member of the right role.
    let again = server.upload(Method::POST, "/v1/sources/crash/files?name=b%20c.csv", &crash.ada, &[], file(20)).await;
    assert_eq!(again.json["fileName"], "b c.csv");
    assert_eq!(counts(&again.json), [20, 20, 0, 0, 0, 30, 0]);
    let told = server.upload(Method::GET, &again.location, &crash.key, &[], "").await;
    assert_eq!((told.status, &told.json), (StatusCode::OK, &again.json));
    let runs = "{ importRuns { nodes { fileName state bytes recorded replayed source { name } } } }";
    let runs = server.query(&crash.ada, runs, json!({})).await["importRuns"]["nodes"].clone();
    assert_eq!(runs[0]["bytes"], file(20).len().to_string());
    assert_eq!((&runs[0]["replayed"], &runs[1]["recorded"]), (&json!(30), &json!(30)));

    let unreadable = server.upload(Method::POST, &by_id, &crash.key, &[], "Id,Bet\n1,2\n").await;
    assert_eq!((unreadable.status, &unreadable.json["state"]), (StatusCode::OK, &json!("FAILED")));
    assert!(unreadable.json["error"].as_str().unwrap().contains("PlayDate"), "{unreadable:?}");
    let empty = server.upload(Method::POST, &by_id, &crash.key, &[], "").await;
    assert_eq!(empty.json["state"], "FAILED");
}

#[tokio::test]
async fn a_cut_at_any_byte_is_resumed_and_nothing_is_lost_or_twice() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let whole = file(6);
    let path = format!("/v1/sources/{}/files", crash.source);
    let mut expected = 9;
    for at in 0..whole.len() {
        let key = format!("cut-{at}");
        let cut = server.upload(Method::POST, &path, &crash.key, &[("upload-key", &key)], cut(&whole[..at])).await;
        assert_eq!(cut.status, StatusCode::BAD_REQUEST);
        let begun = [("upload-key", key.as_str()), ("upload-complete", "?0")];
        let found = server.upload(Method::POST, &path, &crash.key, &begun, "").await;
        assert_eq!((found.status, &found.location), (StatusCode::CREATED, &cut.location), "the same run");
        let offset: usize = found.offset.parse().unwrap();
        assert!(offset <= at);
        let stands = server.upload(Method::HEAD, &found.location, &crash.key, &[], "").await;
        assert_eq!(
            (stands.status, &stands.offset, stands.complete.as_str()),
            (StatusCode::NO_CONTENT, &found.offset, "?0")
        );
        let rest = [("upload-offset", found.offset.as_str()), ("upload-complete", "?1")];
        let run = server.upload(Method::PATCH, &found.location, &crash.key, &rest, whole[offset..].to_owned()).await;
        assert_eq!((run.status, &run.json["state"]), (StatusCode::OK, &json!("COMPLETED")), "{at}: {run:?}");
        assert_eq!((&run.json["records"], &run.json["quarantined"]), (&json!(6), &json!(0)), "{at}");
        assert_eq!(run.json["recorded"].as_i64().unwrap(), expected, "{at}");
        assert_eq!(run.json["recorded"].as_i64().unwrap() + run.json["replayed"].as_i64().unwrap(), 9);
        expected = 0;
    }
}

#[tokio::test]
async fn pieces_arrive_in_order_or_are_refused() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let whole = file(4);
    let half = whole.find("2,0").unwrap();
    let path = format!("/v1/sources/{}/files", crash.source);
    let begin = [("upload-complete", "?0"), ("upload-key", "k")];
    let begun = server.upload(Method::POST, &path, &crash.key, &begin, whole[..half].to_owned()).await;
    assert_eq!((begun.status, begun.offset.clone()), (StatusCode::CREATED, half.to_string()));
    let patch = async |offset: &str, complete: &'static str, body: &str| {
        let headers = [("upload-offset", offset), ("upload-complete", complete)];
        server.upload(Method::PATCH, &begun.location, &crash.key, &headers, body.to_owned()).await
    };
    for wrong in ["0", "1", "999999"] {
        let refused = patch(wrong, "?1", &whole[half..]).await;
        assert_eq!((refused.status, refused.kind.as_str()), (StatusCode::CONFLICT, "application/problem+json"));
        assert_eq!((&refused.json["code"], &refused.offset), (&json!("WRONG_OFFSET"), &half.to_string()));
        assert_eq!(refused.json["status"], 409);
    }
    for malformed in ["-1", "+1", "x", ""] {
        assert_eq!(patch(malformed, "?1", "").await.status, StatusCode::BAD_REQUEST, "{malformed}");
    }
    assert_eq!(patch(&half.to_string(), "true", "").await.status, StatusCode::BAD_REQUEST);
    let again = server.upload(Method::POST, &path, &crash.key, &[("upload-key", "k")], whole.clone()).await;
    assert_eq!((again.status, &again.offset), (StatusCode::CONFLICT, &half.to_string()), "not from the start");
    let more = patch(&half.to_string(), "?0", &whole[half..half + 5]).await;
    assert_eq!((more.status, &more.offset), (StatusCode::OK, &half.to_string()), "half a record is not taken in");
    let done = patch(&half.to_string(), "?1", &whole[half..]).await;
    assert_eq!((&done.json["state"], &done.json["records"]), (&json!("COMPLETED"), &json!(4)));
    let after = patch(&done.offset, "?1", "").await;
    assert_eq!((after.status, &after.json["code"]), (StatusCode::CONFLICT, &json!("WRONG_STATE")));
    assert_eq!(after.complete, "?1");

    let begun = server.upload(Method::POST, &path, &crash.key, &begin, "").await;
    let given_up = server.upload(Method::DELETE, &begun.location, &crash.key, &[], "").await;
    assert_eq!((given_up.status, &given_up.json["state"]), (StatusCode::OK, &json!("FAILED")));
    let anew = server.upload(Method::POST, &path, &crash.key, &begin, "").await;
    assert_ne!(anew.location, begun.location);
    let abandon = json!({ "importRunId": anew.location.rsplit('/').next() });
    let abandoned = server.mutate(&crash.ada, "abandonImportRun", abandon, "importRun { state error }").await;
    assert_eq!(abandoned["importRun"]["state"], "FAILED");
}

#[tokio::test]
async fn only_its_own_key_and_staff_send_to_a_source() {
    let server = TestServer::new().await;
    let (acme, bolt) = (server.crash("acme").await, server.crash("bolt").await);
    let Crash { ada, partner, source, key, .. } = &acme;
    let second = json!({ "partnerId": partner, "name": "second", "mapping": crate::support::mapping() });
    let second = server.mutate(ada, "createSource", second, "source { id }").await["source"]["id"].clone();
    let other =
        server.mutate(ada, "createApiKey", json!({ "sourceId": second, "name": "o" }), "secret").await["secret"]
            .clone();
    let other = other.as_str().unwrap();
    let path = format!("/v1/sources/{source}/files");
    let run = server.upload(Method::POST, &path, key, &[("upload-complete", "?0"), ("upload-key", "k")], "").await;
    let absent = "/v1/sources/src_01990000000070008000000000000001/files";
    for token in [other, &bolt.key, &bolt.ada] {
        let refused = server.upload(Method::POST, &path, token, &[], file(1)).await;
        assert_eq!((refused.status, refused.kind.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"));
        let nothing = server.upload(Method::POST, absent, token, &[], file(1)).await;
        assert_eq!(nothing.json.to_string(), refused.json.to_string());
        for method in [Method::GET, Method::HEAD, Method::PATCH, Method::DELETE] {
            let refused = server.upload(method.clone(), &run.location, token, &[("upload-offset", "0")], "").await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method}");
            assert_eq!((refused.location.as_str(), refused.offset.as_str()), ("", ""), "{method}");
        }
    }
    let elsewhere = run.location.replace(source, second.as_str().unwrap());
    assert_eq!(server.upload(Method::GET, &elsewhere, ada, &[], "").await.status, StatusCode::NOT_FOUND);
    for token in ["", "saldo_key_AAAA"] {
        let refused = server.upload(Method::POST, &path, token, &[], file(1)).await;
        assert_eq!((refused.status, &refused.json["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHENTICATED")));
    }
    let invite = json!({ "email": "bob@acme.test", "name": "B", "role": "READ_ONLY" });
    let invited = server.mutate(ada, "inviteMember", invite, "oneTimeToken { token }").await;
    let once = invited["oneTimeToken"]["token"].as_str().unwrap();
    server.domain.accept_token(once, crate::support::PASSWORD).await.expect("a password");
    let bob = server.token("acme", "bob@acme.test").await;
    let refused = server.upload(Method::POST, &path, &bob, &[], file(1)).await;
    assert_eq!((refused.status, &refused.json["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")));
    let nothing = server.query(ada, "{ transactions { nodes { id } } }", json!({})).await;
    assert_eq!(nothing["transactions"]["nodes"], json!([]));
}
