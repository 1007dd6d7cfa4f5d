//! Many callers at once, callers that hang up, and records that cannot be written: each is told what became of its
//! own, and nobody pays for another's.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use domain::imports::ImportRun;
use domain::page::PageRequest;
use domain::partners::NewPartner;
use domain::transactions::transaction::Draft;
use domain::transactions::{RecordOutcome, TransactionFilter};
use domain::{Code, Scoped};
use futures_util::future::join_all;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

#[tokio::test]
async fn sixty_four_callers_at_once_are_each_told_of_their_own_records() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("shared", "1", "01-10")]).await;
    let request = |caller: usize| {
        let id = |name: &str| format!("{caller} {name}");
        let mut drafts =
            vec![stake(&id("a"), "1", "01-10"), stake("shared", "1", "01-10"), stake(&id("broken"), "x", "01-10")];
        drafts.extend((0..caller % 5).map(|n| win(&id(&n.to_string()), "0.25", "02-10")));
        // Two callers bring the same fact: one records it, the other replays it.
        drafts.push(stake(&format!("pair {}", caller / 2), "1", "01-10"));
        drafts
    };
    let all = (0..64).map(|caller| world.admin.record_transactions(world.source, request(caller))).collect();
    let answers = world.gathered(all).await;
    let mut pairs = vec![Vec::new(); 32];
    for (caller, answer) in answers.into_iter().enumerate() {
        let outcomes = answer.unwrap();
        let mut expected = vec!["RECORDED", "REPLAYED", "BAD_AMOUNT amount"];
        expected.extend(vec!["RECORDED"; caller % 5]);
        let (last, others) = outcomes.split_last().unwrap();
        assert_eq!(all_shown(others), expected, "caller {caller}");
        pairs[caller / 2].push(shown(last));
        for (outcome, draft) in outcomes.iter().zip(request(caller)) {
            if let RecordOutcome::Taken(taken) = outcome {
                assert_eq!(taken[0].external_id, draft.external_id);
                let row = &world.admin.transactions_by_ids(&[taken[0].transaction]).await.unwrap()[0];
                assert_eq!(row.external_id, draft.external_id);
            }
        }
    }
    for mut pair in pairs {
        pair.sort();
        assert_eq!(pair, ["RECORDED", "REPLAYED"]);
    }
    // One of "shared", 64 of "a", 32 pairs.
    assert_eq!(world.sums(contract).await[0], "2024-01 1 all STAKE 9700/97/97");
    assert_eq!(world.quarantined().await.len(), 64);
    world.check_books().await;
}

#[tokio::test]
async fn sixty_four_closes_at_once_are_one() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10")]).await;
    let january = world.settlements(contract).await[0].id;
    let all = (0..64).map(|_| world.admin.close_settlement(january)).collect();
    let answers: Vec<_> = world.gathered(all).await.into_iter().map(|answer| answer.unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.state == "CLOSED"));
    assert_eq!(world.app.number("SELECT count(*) FROM ledger_entries WHERE reason = 'CLOSE'").await, 1);
    assert_eq!(world.app.number("SELECT count(*) FROM settlement_lines").await, 1);
    assert_eq!(world.settlements(contract).await.len(), 2);
    world.check_books().await;
}

/// What a caller got who waited for at most `polls` polls and then hung up: at once, or (`woken`) when there was more
/// to hear, so that what was on its way to it is lost.
async fn dropped_after<T>(polls: usize, woken: bool, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut polled = 0;
    poll_fn(move |context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polled == polls && !woken => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn new_partner(scoped: &Scoped, name: String) {
    scoped.create_partner(NewPartner { name, reference: None }).await.expect("a partner");
}

/// Hangs up on `work` after each number of polls in turn, in both ways, until it is answered; how often it tried. After each, a write that is
/// acknowledged is in the file, and every reader sees it: no session is left inside a transaction.
async fn hang_up<T>(world: &World, what: &str, work: impl AsyncFn(usize) -> T) -> usize {
    for number in 2..1_000 {
        let (polls, woken) = (number / 2, number % 2 == 1);
        let answered = dropped_after(polls, woken, work(number)).await.is_some();
        new_partner(&world.admin, format!("{what} {number}")).await;
        let reads = join_all((0..8).map(|_| world.admin.partners(PageRequest { first: 2, after: None }))).await;
        for read in reads {
            // What was hung up on may be done after it.
            let mut latest = read.expect("partners").items.into_iter();
            assert!(latest.any(|partner| partner.name == format!("{what} {number}")), "every reader sees it");
        }
        let marked = format!("SELECT count(*) FROM partners WHERE name = '{what} {number}'");
        assert_eq!(world.app.number(&marked).await, 1, "acknowledged is durable");
        if answered {
            return number;
        }
    }
    panic!("{what} never ends");
}

#[tokio::test]
async fn who_hangs_up_on_a_request_loses_only_the_answer() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let request =
        |polls: usize| vec![stake(&format!("{polls} a"), "1", "02-10"), stake(&format!("{polls} b"), "2", "02-10")];
    let polls = hang_up(&world, "record", async |polls| {
        world.admin.record_transactions(world.source, request(polls)).await.unwrap()
    })
    .await;
    assert!(polls > 2, "there was something to hang up on");
    // All or nothing of each, and who asks again is told.
    for polls in 2..=polls {
        let again = all_shown(&world.record(&request(polls)).await);
        assert!(again == ["RECORDED", "RECORDED"] || again == ["REPLAYED", "REPLAYED"], "{again:?}");
    }
    let count = 2 * (polls - 1);
    assert_eq!(world.sums(contract).await, [format!("2024-02 1 all STAKE {}/{count}/{count}", 150 * count)]);

    // What has begun is done, whoever waits for it.
    let mine =
        hang_up(&world, "partner", async |number| new_partner(&world.admin, format!("mine {number}")).await).await;
    let done = world.app.number("SELECT count(*) FROM partners WHERE name LIKE 'mine %'").await;
    assert_eq!(usize::try_from(done).expect("a few"), mine - 1);

    // A close that nobody waited for is a close; asked again, it is the same one.
    let months = ["2023-10", "2023-11", "2023-12", "2024-01"];
    for month in months {
        let other = world
            .contract_with(partner(&world.admin, month).await, "share", json!({ "validFrom": "2023-10-01" }))
            .await;
        world.record(&[stake(month, "100", &format!("{month}-15T00:00:00Z"))]).await;
        let id = world.settlements(other).await[0].id;
        let closed = hang_up(&world, month, async |_| world.admin.close_settlement(id).await.unwrap()).await;
        assert!(closed > 2);
        let closed = world.settlements(other).await.iter().filter(|row| row.state == "CLOSED").count();
        assert_eq!(closed, 1);
    }
    assert_eq!(world.app.number("SELECT count(*) FROM ledger_entries WHERE reason = 'CLOSE'").await, 4);
    world.check_books().await;

    // What another process finds in the files as they are now.
    let reopened = world.app.reopened(MASTER_KEY).await;
    for table in ["partners", "transactions", "settlements", "ledger_entries", "accruals"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(reopened.number(&count).await, world.app.number(&count).await, "{table}");
    }
    let operator = reopened.domain.for_caller(reopened.domain.operator("acme").await.unwrap());
    assert_eq!(operator.check_books().await.unwrap().findings, Vec::<String>::new());
}

#[tokio::test]
async fn who_hangs_up_on_an_upload_goes_on_from_where_the_run_stands() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let file = |polls: usize| {
        let rows = (0..20).map(|row| format!("{polls}-{row},STAKE,1,2024-02-10T00:00:00Z,dice\n"));
        format!("id,kind,amount,at,product\n{}", rows.collect::<String>())
    };
    // In three requests, each from where the run stands; the last one says that the file ends with it.
    let upload = async |polls: usize, run: &ImportRun| {
        let file = file(polls);
        for end in [file.len() / 3, file.len() / 2, file.len()] {
            let run = world.admin.import_run(run.id).await.unwrap().unwrap();
            let from = usize::try_from(run.bytes).expect("an offset");
            if from < end || end == file.len() {
                let rest = pieces(&file.as_bytes()[from..end]);
                world.admin.import(run.id, from as u64, rest, end == file.len()).await.ok();
            }
        }
    };
    let begin =
        async |polls: usize| world.admin.begin_import(world.source, "a.csv", Some(&polls.to_string())).await.unwrap();
    let polls = hang_up(&world, "upload", async |polls| upload(polls, &begin(polls).await).await).await;
    assert!(polls > 10, "{polls}");
    for polls in 2..=polls {
        let run = begin(polls).await;
        for _ in 0..20 {
            let run = world.admin.import_run(run.id).await.unwrap().unwrap();
            if run.state == "COMPLETED" {
                break;
            }
            upload(polls, &run).await;
        }
        let run = world.admin.import_run(run.id).await.unwrap().unwrap();
        assert_eq!((run.state.as_str(), run.records, run.emitted), ("COMPLETED", 20, 20), "after {polls}");
        let stored = format!("SELECT count(*) FROM transactions WHERE external_id LIKE '{polls}-%'");
        assert_eq!(world.app.number(&stored).await, 20);
    }
    let total = world.app.number("SELECT count(*) FROM transactions").await;
    assert_eq!(world.sums(contract).await, [format!("2024-02 1 all STAKE {}/{total}/{total}", total * 100)]);
    world.check_books().await;
}

/// More than half of what a sum can hold: two of them overflow.
const HUGE: &str = "5000000000000";

#[tokio::test]
async fn a_record_that_no_sum_can_hold_is_set_aside_alone() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let small = |name: &str, count: usize| -> Vec<Draft> {
        (0..count).map(|n| stake(&format!("{name} {n}"), "1", "01-10")).collect()
    };
    // Two in one request, far apart: the one that reaches the limit is at fault.
    let mut drafts = small("before", 9);
    drafts.push(stake("huge 1", HUGE, "01-10"));
    drafts.extend(small("between", 5));
    drafts.push(stake("huge 2", HUGE, "01-10"));
    drafts.extend(small("after", 3));
    drafts.push(stake("huge 3", HUGE, "01-10"));
    let mut expected = vec!["RECORDED"; 20];
    (expected[15], expected[19]) = ("OVERFLOW amount", "OVERFLOW amount");
    assert_eq!(all_shown(&world.record(&drafts).await), expected);
    // Again, and on top of the stored sum: the same records, the same answer.
    let again = world.record(&drafts).await;
    assert_eq!(again.iter().filter(|outcome| shown(outcome) == "REPLAYED").count(), 18);
    assert_eq!(world.quarantined().await.len(), 2);
    // In another class of amounts there is room; in another month too.
    world.recorded(&[win("huge win", HUGE, "01-10"), stake("february", HUGE, "02-10")]).await;

    // Among other callers: theirs are recorded, each told so.
    let all = (0..9).map(|caller| {
        let mut drafts = small(&format!("caller {caller}"), 3);
        if caller == 4 {
            drafts.insert(1, stake("huge 4", HUGE, "01-10"));
        }
        world.admin.record_transactions(world.source, drafts)
    });
    for (caller, answer) in world.gathered(all.collect()).await.into_iter().enumerate() {
        let mut expected = vec!["RECORDED"; 3];
        if caller == 4 {
            expected.insert(1, "OVERFLOW amount");
        }
        assert_eq!(all_shown(&answer.unwrap()), expected, "caller {caller}");
    }
    let held = world.quarantined().await;
    assert_eq!(held.len(), 3);
    assert!(held.iter().all(|row| row.code == "OVERFLOW" && row.state == "OPEN"));
    world.check_books().await;

    // Once there is room, one of them may be taken.
    assert_eq!(shown(&world.admin.retry_quarantined(held[0].id, None).await.unwrap().outcome), "OVERFLOW amount");
    world.recorded(&[rollback("undo", "huge 1", "01-10")]).await;
    assert_eq!(shown(&world.admin.retry_quarantined(held[0].id, None).await.unwrap().outcome), "RECORDED");
    assert_eq!(shown(&world.admin.retry_quarantined(held[1].id, None).await.unwrap().outcome), "OVERFLOW amount");
    world.check_books().await;
    let january = world.settlements(contract).await[0].id;
    assert!(has_code(world.admin.close_settlement(january).await, Code::Blocked), "until somebody decides");
}

#[tokio::test]
async fn a_poisoned_record_in_a_file_stops_nothing() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    let rows = (0..300).map(|row| {
        let amount = if [100, 200, 250].contains(&row) { HUGE } else { "1" };
        format!("{row},STAKE,{amount},2024-01-10T00:00:00Z,dice\n")
    });
    let file = format!("id,kind,amount,at,product\n{}", rows.collect::<String>());
    let run = world.tenant.import(world.source, "a.csv", file.as_bytes()).await;
    assert_eq!((run.state.as_str(), run.records, run.emitted, run.quarantined), ("COMPLETED", 300, 298, 2));
    let held = world.quarantined().await;
    let mut rows: Vec<i64> = held.iter().map(|row| row.record_number).collect();
    rows.sort_unstable();
    assert_eq!(rows, [201, 251]);
    assert!(held.iter().all(|row| file.as_bytes()[usize::try_from(row.file_offset).unwrap()..].starts_with(&row.raw)));
    let filter = TransactionFilter { external_id: Some("299".into()), ..TransactionFilter::default() };
    assert_eq!(world.admin.transactions(&filter, PageRequest::default()).await.unwrap().items.len(), 1);
    world.check_books().await;
}
