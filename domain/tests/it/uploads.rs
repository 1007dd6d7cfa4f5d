//! Files: resumed wherever they were cut, refused where they cannot be read, and every record of them accounted for.

use std::io;

use bytes::Bytes;
use domain::imports::ImportRun;
use domain::sources::mapping::Mapping;
use domain::transactions::transaction::Draft;
use domain::{Code, Error};
use futures_util::Stream;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

/// Twelve records that are hard to cut: quoted line ends, CRLF, signs of several bytes, a broken one, one to skip.
const FILE: &str = "id,kind,amount,at,product,remark\r\n\
    1,STAKE,1,2024-01-10T00:00:00Z,dice,\r\n\
    2,STAKE,2,2024-01-10T00:00:00Z,dice,\"two\r\nlines\"\r\n\
    3,WIN,0.5,2024-01-10T00:00:00Z,slots,\"a \"\"quote\"\"\"\n\
    4,SKIP,1,2024-01-10T00:00:00Z,dice,nothing\r\n\
    5,STAKE,-1,2024-01-10T00:00:00Z,dice,broken\r\n\
    게임6,STAKE,6,2024-01-10T00:00:00Z,dice,한국어\r\n\
    7,STAKE,7,2024-01-10T00:00:00Z,roulette,unknown\r\n\
    8,STAKE,8,2024-01-10T00:00:00Z,dice\r\n\
    9,STAKE,9,2024-01-10T00:00:00Z,dice,\"\"\r\n\
    10,STAKE,1,2024-01-11T00:00:00Z,dice,\r\n\
    11,WIN,1,2024-02-11T00:00:00Z,dice,\r\n\
    12,STAKE,1,2024-02-11T00:00:00Z,dice,last";

fn accounted(run: &ImportRun) -> [i64; 4] {
    assert_eq!(run.records, run.emitted + run.ignored + run.quarantined, "{run:?}");
    [run.records, run.emitted, run.ignored, run.quarantined]
}

/// Some bytes, and then the connection is gone.
fn broken_off(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let all: Vec<io::Result<Bytes>> = bytes.chunks(50).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures_util::stream::iter(all.into_iter().chain([Err(io::Error::other("gone"))]))
}

#[tokio::test]
async fn a_run_goes_on_from_any_byte_at_which_it_was_cut() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let file = FILE.as_bytes();
    let mut stood_at = std::collections::BTreeSet::new();
    for cut in (0..=file.len()).step_by(3) {
        let run = world.admin.begin_import(world.source, "a.csv", Some(&cut.to_string())).await.unwrap();
        if cut % 2 == 0 {
            let refused = world.admin.import(run.id, 0, broken_off(&file[..cut]), true).await;
            assert!(has_code(refused, Code::Unavailable));
        } else {
            world.admin.import(run.id, 0, pieces(&file[..cut]), false).await.unwrap();
        }
        // Found again by the name that its sender gave it.
        let run = world.admin.begin_import(world.source, "a.csv", Some(&cut.to_string())).await.unwrap();
        assert_eq!(run.state, "RUNNING");
        let stands = usize::try_from(run.bytes).unwrap();
        assert!(stands <= cut && (stands == 0 || b"\r\n".contains(&file[stands - 1])), "at the end of a record");
        stood_at.insert(stands);
        for wrong in [stands + 1, stands.saturating_sub(1)].into_iter().filter(|wrong| *wrong != stands) {
            let refused = world.admin.import(run.id, wrong as u64, pieces(&file[wrong..]), true).await;
            assert_eq!(problems(refused), ["WRONG_OFFSET uploadOffset"]);
        }
        let run = world.admin.import(run.id, stands as u64, pieces(&file[stands..]), true).await.unwrap();
        assert_eq!((run.state.as_str(), accounted(&run)), ("COMPLETED", [12, 8, 1, 3]), "cut at {cut}");
        assert_eq!(run.bytes, i64::try_from(file.len()).unwrap());
    }
    assert_eq!(stood_at.len(), 12, "every record's end but the last was stood at: {stood_at:?}");
    let held = world.quarantined().await;
    let mut codes: Vec<_> = held.iter().map(|row| (row.record_number, row.code.as_str())).collect();
    codes.sort_unstable();
    assert_eq!(codes, [(5, "NEGATIVE_AMOUNT"), (7, "UNKNOWN_PRODUCT"), (8, "MALFORMED_RECORD")]);
    assert!(held.iter().all(|row| file[usize::try_from(row.file_offset).unwrap()..].starts_with(&row.raw)));
    assert_eq!(world.app.number("SELECT count(*) FROM transactions").await, 8, "each once");
    assert_eq!(
        world.sums(contract).await,
        [
            "2024-01 1 all STAKE 1900/5/5",
            "2024-01 1 all WIN 50/0/1",
            "2024-02 1 all STAKE 100/1/1",
            "2024-02 1 all WIN 100/0/1"
        ]
    );
    world.check_books().await;
}

#[tokio::test]
async fn two_who_upload_one_run_do_not_double_it() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    // More than one piece each, so that they meet in the middle too.
    let rows: String = (0..6_000).map(|row| format!("{row},STAKE,1,2024-01-10T00:00:00Z,dice\n")).collect();
    let file = format!("id,kind,amount,at,product\n{rows}");
    let run = world.admin.begin_import(world.source, "a.csv", None).await.unwrap();
    let both = [0, 1].map(|_| world.admin.import(run.id, 0, pieces(file.as_bytes()), true));
    let done = futures_util::future::join_all(both).await;
    let (won, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    for lost in lost {
        let code = problems(lost);
        assert!(code == ["WRONG_OFFSET uploadOffset"] || code == ["WRONG_STATE"], "{code:?}");
    }
    let mut run = world.admin.import_run(run.id).await.unwrap().unwrap();
    if won.is_empty() {
        // Each took a piece from the other: whoever comes back finishes it.
        let stands = usize::try_from(run.bytes).unwrap();
        run = world.admin.import(run.id, stands as u64, pieces(&file.as_bytes()[stands..]), true).await.unwrap();
    }
    assert_eq!((run.state.as_str(), accounted(&run), run.recorded), ("COMPLETED", [6_000, 6_000, 0, 0], 6_000));
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 600000/6000/6000"]);
    world.check_books().await;
}

/// One who says that the file ends where the run no longer stands.
#[tokio::test]
async fn a_run_ends_only_where_it_stands() {
    let world = World::new().await;
    let run = world.admin.begin_import(world.source, "a.csv", None).await.unwrap();
    let file = FILE.as_bytes();
    let begun = world.admin.import(run.id, 0, pieces(&file[..200]), false).await.unwrap();
    let slow = overtaken(world.admin.clone(), run.id, file).await;
    assert!(has_code(slow, Code::WrongOffset));
    let run = world.admin.import_run(run.id).await.unwrap().unwrap();
    assert!(run.state == "RUNNING" && run.bytes > begun.bytes, "{run:?}");
}

/// Ends a run at the offset it was found at, while its stream (which brings nothing) lets another one move the run on.
async fn overtaken(admin: domain::Scoped, run: domain::ids::ImportRunId, file: &[u8]) -> Result<ImportRun, Error> {
    let stands = admin.import_run(run).await?.expect("a run").bytes;
    let from = usize::try_from(stands).expect("an offset");
    let (more, offset) = (pieces(&file[from..400]), u64::try_from(stands).expect("an offset"));
    let other = admin.clone();
    let stream = futures_util::stream::once(async move {
        other.import(run, offset, more, false).await.expect("it moves on");
        Ok(Bytes::new())
    });
    admin.import(run, offset, Box::pin(stream), true).await
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_as_a_whole_and_says_why() {
    let world = World::new().await;
    let import = async |file: &[u8]| world.tenant.import(world.source, "a.csv", file).await;
    let columns = "id,kind,amount,at,product\n";
    let header_only = import(columns.as_bytes()).await;
    assert_eq!((header_only.state.as_str(), accounted(&header_only)), ("COMPLETED", [0; 4]));
    let bare = import(columns.trim_end().as_bytes()).await;
    assert_eq!(bare.state, "COMPLETED", "a line of names without its end is one too");
    for (file, says) in [
        ("", "empty"),
        ("\r\n\r\n", "empty"),
        ("id,kind,amount,at\n1,STAKE,1,2024-01-10T00:00:00Z\n", "product"),
        ("id,kind,amount,at,product,id\n1,STAKE,1,2024-01-10T00:00:00Z,dice,1\n", "two columns 'id'"),
        ("\u{feff}id,kind,amount,when,product\n", "at"),
    ] {
        let run = import(file.as_bytes()).await;
        assert_eq!((run.state.as_str(), accounted(&run)), ("FAILED", [0; 4]), "{file:?}");
        assert!(run.error.as_deref().is_some_and(|error| error.contains(says)), "{file:?}: {:?}", run.error);
        let again = world.admin.import(run.id, 0, pieces(columns.as_bytes()), true).await;
        assert!(has_code(again, Code::WrongState));
    }
    let long = format!("{}{columns}", "x,".repeat(100_000));
    assert_eq!(import(long.as_bytes()).await.state, "FAILED");
    assert_eq!(
        import("\u{feff}id,kind,amount,at,product\n1,STAKE,1,2024-01-10T00:00:00Z,dice\n".as_bytes()).await.emitted,
        1
    );
    assert_eq!(import(b"\xff\xfei\0d\0").await.state, "FAILED");
    assert_eq!(world.app.number("SELECT count(*) FROM transactions").await, 1);
    assert_eq!(world.quarantined().await.len(), 0);
}

#[tokio::test]
async fn broken_records_are_set_aside_and_their_neighbours_taken() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let good = |id: &str| format!("{id},STAKE,1,2024-01-10T00:00:00Z,dice\n");
    let mut file = format!("id,kind,amount,at,product\n{}", good("1")).into_bytes();
    file.extend(b"2,STAKE,1,2024-01-10T00:00:00Z,");
    file.extend(vec![b'x'; 3 << 20]);
    file.extend(format!("\n{}", good("3")).as_bytes());
    file.extend(b"4,STAKE,1,2024-01-10T00:00:00Z,\xff\xfe\n");
    file.extend(good("5").as_bytes());
    for (id, amount, at) in [
        ("6", "NaN", "2024-01-10T00:00:00Z"),
        ("7", "1e400", "2024-01-10T00:00:00Z"),
        ("8", "1", "0001-01-01T00:00:00Z"),
        ("9", "1", "9999-12-31T00:00:00Z"),
        ("10", "1", "yesterday"),
        ("1\u{0}1", "1", "2024-01-10T00:00:00Z"),
    ] {
        file.extend(format!("{id},STAKE,{amount},{at},dice\n").as_bytes());
        file.extend(good(&format!("after {}", id.escape_debug())).as_bytes());
    }
    file.extend(b"12,STAKE,1,2024-01-1");
    let run = world.tenant.import(world.source, "a.csv", &file).await;
    assert_eq!((run.state.as_str(), accounted(&run)), ("COMPLETED", [18, 9, 0, 9]));
    assert_eq!(run.bytes, i64::try_from(file.len()).unwrap());
    let mut held = world.quarantined().await;
    held.sort_by_key(|row| row.record_number);
    let codes: Vec<_> = held.iter().map(|row| format!("{} {}", row.record_number, row.code)).collect();
    assert_eq!(
        codes,
        [
            "2 RECORD_TOO_LONG",
            "4 BAD_ENCODING",
            "6 BAD_AMOUNT",
            "8 BAD_AMOUNT",
            "10 BAD_TIME",
            "12 BAD_TIME",
            "14 BAD_TIME",
            "16 MALFORMED_RECORD",
            "18 MALFORMED_RECORD"
        ]
    );
    assert_eq!(held[0].raw.len(), 64 << 10, "the beginning of it is kept");
    assert!(held.iter().all(|row| file[usize::try_from(row.file_offset).unwrap()..].starts_with(&row.raw)));
    // The same again: nothing new.
    let again = world.tenant.import(world.source, "a.csv", &file).await;
    assert_eq!((accounted(&again), again.replayed), ([18, 9, 0, 9], 9));
    assert_eq!(world.quarantined().await.len(), 9);
    // What was not kept whole cannot be tried again as it is, only corrected.
    let refused = world.admin.retry_quarantined(held[0].id, None).await;
    assert_eq!(problems(refused), ["RECORD_TOO_LONG correction"]);
    let right = world.admin.retry_quarantined(held[0].id, Some(good("2"))).await.unwrap();
    assert_eq!(shown(&right.outcome), "RECORDED");
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 1000/10/10"]);
    world.check_books().await;
}

/// A long record within the limit is kept whole, so that it can be tried again.
#[tokio::test]
async fn a_long_record_is_tried_again_whole() {
    let world = World::new().await;
    let remark = "x".repeat(100_000);
    let file = format!("remark,id,kind,amount,at,product\n{remark},1,STAKE,1,2024-01-10T00:00:00Z,roulette\n");
    let run = world.tenant.import(world.source, "a.csv", file.as_bytes()).await;
    assert_eq!(accounted(&run), [1, 0, 0, 1]);
    world.admin.create_product("roulette", product("Roulette")).await.unwrap();
    let held = world.quarantined().await;
    let retried = world.admin.retry_quarantined(held[0].id, None).await.unwrap();
    assert_eq!(shown(&retried.outcome), "RECORDED");
}

#[tokio::test]
async fn a_run_keeps_the_mapping_it_began_with() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let rows: Vec<String> = (1..=4).map(|id| format!("{id},STAKE,1,2024-01-10T00:00:00Z,dice\n")).collect();
    let file = format!("id,kind,amount,at,product\n{}", rows.concat());
    let cut = file.len() - 2 * rows[0].len();
    let run = world.admin.begin_import(world.source, "a.csv", None).await.unwrap();
    world.admin.import(run.id, 0, pieces(&file.as_bytes()[..cut]), false).await.unwrap();
    let doubled = Mapping::parse(&CSV.replace("\"amount\": \"amount\"", "\"amount\": \"number(amount) * 2\"")).unwrap();
    assert_eq!(world.admin.update_mapping(world.source, &doubled).await.unwrap().mapping_version, 2);
    let run = world.admin.import(run.id, cut as u64, pieces(&file.as_bytes()[cut..]), true).await.unwrap();
    assert_eq!((run.mapping_version, run.recorded), (1, 4));
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 400/4/4"]);
    let next = world.tenant.import(world.source, "a.csv", file.as_bytes()).await;
    assert_eq!((next.mapping_version, next.conflicting), (2, 4));
}

#[tokio::test]
async fn a_run_that_is_open_blocks_the_close_and_one_that_is_given_up_does_not() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "scope": { "sources": [world.source] } })).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    let january = world.settlements(contract).await[0].id;
    let codes = async || -> Vec<&'static str> {
        world.admin.blockers(january).await.unwrap().iter().map(|blocker| blocker.code()).collect()
    };
    let other = source(&world.admin, world.partner, "other feed").await;
    world.admin.begin_import(other, "b.csv", None).await.unwrap();
    assert_eq!(codes().await, [""; 0], "a source that the contract does not count");
    let run = world.admin.begin_import(world.source, "a.csv", None).await.unwrap();
    world.admin.import(run.id, 0, broken_off(&FILE.as_bytes()[..100]), true).await.unwrap_err();
    assert_eq!(codes().await, ["IMPORT_RUNNING"]);
    assert!(has_code(world.admin.close_settlement(january).await, Code::Blocked));
    let given_up = world.admin.abandon_import(run.id).await.unwrap();
    assert_eq!((given_up.state.as_str(), given_up.records), ("FAILED", 1), "what it recorded stays");
    assert!(has_code(world.admin.abandon_import(run.id).await, Code::WrongState));
    assert_eq!(codes().await, [""; 0]);
    // A record in quarantine blocks it until somebody decides.
    world.record(&[Draft { currency: "PTS".into(), ..stake("2", "1", "01-10") }]).await;
    assert_eq!(codes().await, ["QUARANTINED_RECORDS"]);
    let held = world.quarantined().await;
    world.admin.dismiss_quarantined(held[0].id, "points are not money").await.unwrap();
    world.admin.close_settlement(january).await.unwrap();
    world.check_books().await;
}
