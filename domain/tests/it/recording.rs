//! What becomes of each record: recorded, replayed, a conflict, or quarantined until a person decides.

use domain::catalogue::NewAsset;
use domain::ids::QuarantineId;
use domain::page::PageRequest;
use domain::time::Timestamp;
use domain::transactions::quarantine::QuarantineFilter;
use domain::transactions::transaction::{Difference, Draft};
use domain::transactions::{RecordOutcome, TransactionFilter};
use domain::{Code, Error, Role, Scoped};
use serde_json::json;

use crate::facts::*;
use crate::support::*;

fn quarantine_id(outcome: &RecordOutcome) -> QuarantineId {
    match outcome {
        RecordOutcome::Quarantined { id, .. } => *id,
        other => panic!("not in quarantine: {other:?}"),
    }
}

#[tokio::test]
async fn a_fact_is_recorded_once_then_replayed_and_another_content_is_a_conflict() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let (first, other) = (stake("1", "100", "01-10"), stake("1", "100.01", "01-10"));
    // Within one request: the same again, and another content under the same id, told apart from what is new.
    let within = world.record(&[first.clone(), first.clone(), other.clone(), stake("2", "5", "01-10")]).await;
    assert_eq!(all_shown(&within), ["RECORDED", "REPLAYED", "CONFLICT", "RECORDED"]);
    // Across requests; the conflict that is known already is not kept twice.
    let changed = Draft { product: Some("slots".into()), round: Some("r".into()), ..stake("2", "7", "01-11") };
    let across = world.record(&[first.clone(), other.clone(), changed, stake("3", "1", "01-10")]).await;
    assert_eq!(all_shown(&across), ["REPLAYED", "CONFLICT", "CONFLICT", "RECORDED"]);
    let (RecordOutcome::Taken(a), RecordOutcome::Taken(b)) = (&within[0], &across[1]) else { panic!() };
    assert_eq!(a[0].transaction, b[0].transaction, "a conflict names what stands");

    let conflicts = world.admin.conflicts(Some(world.source), PageRequest::default()).await.unwrap().items;
    assert_eq!(conflicts.len(), 2);
    let differences = |id: &str| -> Vec<Difference> {
        let row = conflicts.iter().find(|row| row.external_id == id).expect("a conflict");
        serde_json::from_str(&row.differences).unwrap()
    };
    let difference = |field: &str, recorded: Option<&str>, received: Option<&str>| Difference {
        field: field.into(),
        recorded: recorded.map(Into::into),
        received: received.map(Into::into),
    };
    assert_eq!(differences("1"), [difference("amountUnits", Some("100000000"), Some("100010000"))]);
    assert_eq!(
        differences("2"),
        [
            difference("amountUnits", Some("5000000"), Some("7000000")),
            difference("occurredAt", Some("2024-01-10T12:00:00Z"), Some("2024-01-11T12:00:00Z")),
            difference("product", Some("dice"), Some("slots")),
            difference("round", None, Some("r")),
        ]
    );
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 10600/3/3"], "each is counted once, as it came first");
    world.check_books().await;
}

/// Drafts that are wrong, each with the code and field of what is.
fn wrong() -> Vec<(Draft, &'static str)> {
    let good = || stake("wrong", "1", "01-10");
    let year = |year: i64| Timestamp(at("2024-01-10T12:00:00Z").0 + (year - 2024) * 366 * 86_400_000_000);
    vec![
        (Draft { product: Some("roulette".into()), ..good() }, "UNKNOWN_PRODUCT product"),
        (Draft { currency: "XXY".into(), ..good() }, "UNKNOWN_CURRENCY currency"),
        (Draft { currency: "eur".into(), ..good() }, "UNKNOWN_CURRENCY currency"),
        (stake("wrong", "-1", "01-10"), "NEGATIVE_AMOUNT amount"),
        (stake("wrong", "0.0000001", "01-10"), "TOO_MANY_DECIMALS amount"),
        (stake("wrong", "NaN", "01-10"), "BAD_AMOUNT amount"),
        (stake("wrong", "Infinity", "01-10"), "BAD_AMOUNT amount"),
        (stake("wrong", "1e400", "01-10"), "BAD_AMOUNT amount"),
        (stake("wrong", "", "01-10"), "BAD_AMOUNT amount"),
        (stake("wrong", "1,5", "01-10"), "BAD_AMOUNT amount"),
        (stake("wrong", "9223372036854.775808", "01-10"), "BAD_AMOUNT amount"),
        (Draft { kind: "GIFT".into(), ..good() }, "UNKNOWN_KIND kind"),
        (Draft { occurred_at: None, ..good() }, "BAD_TIME occurredAt"),
        (Draft { occurred_at: Some(year(1)), ..good() }, "BAD_TIME occurredAt"),
        (Draft { occurred_at: Some(year(9999)), ..good() }, "BAD_TIME occurredAt"),
        (Draft { occurred_at: Some(Timestamp(i64::MAX)), ..good() }, "BAD_TIME occurredAt"),
        (Draft { settled_at: Some(year(9999)), ..good() }, "BAD_TIME settledAt"),
        (Draft { reported_at: Some(year(1)), ..good() }, "BAD_TIME reportedAt"),
        (Draft { external_id: "a\0b".into(), ..good() }, "BAD_INPUT externalId"),
        (Draft { player: Some("p\0".into()), ..good() }, "BAD_INPUT player"),
        (Draft { attributes: [("shop".into(), "7\0".into())].into(), ..good() }, "BAD_INPUT attributes.shop"),
        (Draft { external_id: "x".repeat(201), ..good() }, "BAD_INPUT externalId"),
        (Draft { reverses: Some("1".into()), ..good() }, "BAD_ROLLBACK reverses"),
        (fact("wrong", "ROLLBACK", "1", "01-10"), "BAD_ROLLBACK reverses"),
        (rollback("wrong", "wrong", "01-10"), "BAD_ROLLBACK reverses"),
        (fact("wrong", "ADJUSTMENT", "1", "01-10"), "BAD_INPUT affects"),
        (Draft { affects: Some("GGR".into()), ..fact("wrong", "ADJUSTMENT", "1", "01-10") }, "BAD_INPUT note"),
    ]
}

#[tokio::test]
async fn a_broken_draft_is_quarantined_with_its_field_and_nothing_around_it_is_lost() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let mut drafts = vec![stake("first", "1", "01-10")];
    let mut expected = vec!["RECORDED".to_owned()];
    for (number, (draft, problem)) in wrong().into_iter().enumerate() {
        drafts.extend([draft, stake(&format!("good {number}"), "1", "01-10")]);
        expected.extend([problem.to_owned(), "RECORDED".to_owned()]);
    }
    let outcomes = world.record(&drafts).await;
    assert_eq!(all_shown(&outcomes), expected);
    let good = wrong().len() + 1;
    assert_eq!(world.sums(contract).await, [format!("2024-01 1 all STAKE {}/{good}/{good}", good * 100)]);

    let held = world.quarantined().await;
    assert_eq!(held.len(), wrong().len());
    for (number, (draft, problem)) in (1_i64..).zip(wrong()) {
        let row = held.iter().find(|row| row.record_number == 2 * number).expect("it is held under its place");
        assert_eq!(format!("{} {}", row.code, row.field.as_deref().unwrap_or_default()), problem);
        assert_eq!((row.state.as_str(), row.form.as_str()), ("OPEN", "TRANSACTION"));
        assert_eq!(row.raw, serde_json::to_vec(&draft).unwrap(), "with the bytes it came as");
        assert!(!row.message.is_empty());
    }
    // All of it again is all replays, and the broken ones are the same quarantined records.
    let again = world.record(&drafts).await;
    assert_eq!(all_shown(&again)[0], "REPLAYED");
    for (first, second) in outcomes.iter().zip(&again).skip(1).step_by(2) {
        assert_eq!(quarantine_id(first), quarantine_id(second));
    }
    assert_eq!(world.quarantined().await.len(), wrong().len());
    world.check_books().await;
}

#[tokio::test]
async fn the_same_broken_record_twice_in_one_request_is_held_once() {
    let world = World::new().await;
    let broken = stake("1", "-1", "01-10");
    let outcomes = world.record(&[broken.clone(), stake("2", "1", "01-10"), broken]).await;
    assert_eq!(all_shown(&outcomes), ["NEGATIVE_AMOUNT amount", "RECORDED", "NEGATIVE_AMOUNT amount"]);
    assert_eq!(quarantine_id(&outcomes[0]), quarantine_id(&outcomes[2]));
    assert_eq!(world.quarantined().await.len(), 1);
}

#[tokio::test]
async fn a_request_has_its_limit_and_its_source() {
    let world = World::new().await;
    let many: Vec<Draft> = (0..1_001).map(|n| stake(&n.to_string(), "1", "01-10")).collect();
    assert_eq!(problems(world.admin.record_transactions(world.source, many).await), ["BAD_INPUT transactions"]);
    assert_eq!(world.record(&[]).await, []);
    let elsewhere = world.app.clock.id();
    assert!(is_not_found(world.admin.record_transactions(elsewhere, vec![stake("1", "1", "01-10")]).await));
    assert_eq!(world.app.number("SELECT count(*) FROM transactions").await, 0);
}

#[tokio::test]
async fn a_quarantined_record_is_taken_when_its_cause_is_mended_or_it_is_corrected() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let roulette = Draft { product: Some("roulette".into()), ..stake("1", "10", "01-10") };
    let points = Draft { currency: "PTS".into(), ..stake("2", "3", "01-10") };
    let outcomes = world.record(&[roulette.clone(), points, stake("3", "-4", "01-10")]).await;
    let ids: Vec<QuarantineId> = outcomes.iter().map(quarantine_id).collect();
    // Nothing has changed: it stays, and says so.
    let retried = world.admin.retry_quarantined(ids[0], None).await.unwrap();
    assert_eq!((shown(&retried.outcome).as_str(), retried.record.state.as_str()), ("UNKNOWN_PRODUCT product", "OPEN"));
    world.admin.create_product("roulette", product("Roulette")).await.unwrap();
    let points = NewAsset { code: "PTS".into(), exponent: 0, accounting_exponent: None };
    world.admin.create_asset(points).await.unwrap();
    for id in &ids[..2] {
        let retried = world.admin.retry_quarantined(*id, None).await.unwrap();
        assert_eq!((shown(&retried.outcome).as_str(), retried.record.state.as_str()), ("RECORDED", "RETRIED"));
        assert_eq!(retried.record.resolved_by, Some(world.tenant.admin_id.0));
    }
    // A correction that is wrong in another way says what is wrong now.
    let wrong = serde_json::to_string(&stake("3", "0.00000001", "01-10")).unwrap();
    let retried = world.admin.retry_quarantined(ids[2], Some(wrong)).await.unwrap();
    assert_eq!(shown(&retried.outcome), "TOO_MANY_DECIMALS amount");
    assert_eq!((retried.record.code.as_str(), retried.record.state.as_str()), ("TOO_MANY_DECIMALS", "OPEN"));
    let retried = world.admin.retry_quarantined(ids[2], Some("{".into())).await.unwrap();
    assert_eq!(shown(&retried.outcome), "MALFORMED_RECORD correction");
    let right = serde_json::to_string(&stake("3", "4", "01-10")).unwrap();
    let retried = world.admin.retry_quarantined(ids[2], Some(right)).await.unwrap();
    assert_eq!(shown(&retried.outcome), "RECORDED");
    assert_eq!(world.quarantined().await.len(), 3, "nothing was added on the way");
    assert!(has_code(world.admin.retry_quarantined(ids[2], None).await, Code::WrongState));
    assert!(is_not_found(world.admin.retry_quarantined(world.app.clock.id(), None).await));

    // Delivered again, all are replays: the corrected one by what it was corrected to.
    let again = world.record(&[roulette, stake("3", "-4", "01-10")]).await;
    assert_eq!(all_shown(&again), ["REPLAYED", "REPLAYED"]);
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 1400/2/2"]);
    world.check_books().await;
}

#[tokio::test]
async fn a_dismissed_record_is_set_aside_for_good_with_a_note() {
    let world = World::new().await;
    let broken = stake("1", "-4", "01-10");
    let id = quarantine_id(&world.record(std::slice::from_ref(&broken)).await[0]);
    assert!(has_code(world.admin.dismiss_quarantined(id, " ").await, Code::BadInput), "why?");
    let reader = world.tenant.member(&world.app, "reader@acme.test", Role::ReadOnly, None).await;
    assert!(is_denied(reader.dismiss_quarantined(id, "no").await));
    assert!(is_denied(reader.retry_quarantined(id, None).await));
    let dismissed = world.admin.dismiss_quarantined(id, "a test of the provider's").await.unwrap();
    assert_eq!((dismissed.state.as_str(), dismissed.note.as_deref()), ("DISMISSED", Some("a test of the provider's")));
    assert_eq!(all_shown(&world.record(&[broken]).await), ["IGNORED"], "it comes again and stays where it is");
    assert_eq!(world.quarantined().await.len(), 1);
    assert!(has_code(world.admin.retry_quarantined(id, None).await, Code::WrongState));
    assert!(has_code(world.admin.dismiss_quarantined(id, "again").await, Code::WrongState));
}

/// A gathered batch is one transaction: each of its retries is still its own member's.
#[tokio::test]
async fn retries_at_once_are_told_apart_and_signed_by_who_asked() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    let other = world.tenant.member(&world.app, "bob@acme.test", Role::Settlement, None).await;
    let outcomes = world
        .record(&[
            stake("1", "-1", "01-10"),
            stake("2", "-2", "01-10"),
            stake("3", "-3", "01-10"),
            stake("4", "-4", "01-10"),
        ])
        .await;
    let ids: Vec<QuarantineId> = outcomes.iter().map(quarantine_id).collect();
    let right = |id: &str| Some(serde_json::to_string(&stake(id, "5", "01-10")).unwrap());
    let signed = |who: &Scoped| who.caller().member().map(|id| id.0);
    // The first begins a batch of its own; the others gather behind it.
    let all = [(&world.admin, 0, "1"), (&world.admin, 3, "4"), (&other, 1, "2")];
    let all = all.map(|(who, id, fact)| who.retry_quarantined(ids[id], right(fact)));
    let resolved: Vec<_> =
        world.gathered(all.into()).await.into_iter().map(|done| done.unwrap().record.resolved_by).collect();
    assert_eq!(resolved, [signed(&world.admin), signed(&world.admin), signed(&other)]);
    // Of two who try the same record one wins, and the other is told.
    let both = [&other, &world.admin].map(|who| who.retry_quarantined(ids[2], right("3")));
    let [c, d]: [_; 2] = world.gathered(both.into()).await.try_into().unwrap();
    let one_won = (c.is_ok(), d.is_ok());
    assert!(one_won == (true, false) || one_won == (false, true), "one of two retries of a record wins: {one_won:?}");
    let winner = if one_won.0 { &other } else { &world.admin };
    let state = world.admin.quarantined_record(ids[2]).await.unwrap().unwrap();
    assert_eq!(state.resolved_by, winner.caller().member().map(|id| id.0));
    let lost = if one_won.0 { d } else { c };
    assert!(has_code(lost, Code::WrongState));
    assert_eq!(world.sums(contract).await, ["2024-01 1 all STAKE 2000/4/4"]);
    world.check_books().await;
}

#[tokio::test]
async fn the_bytes_of_a_record_come_back_as_they_came() {
    let world = World::new().await;
    let drafts = [
        Draft { player: Some("김철수".into()), ..stake("1", "1.50", "01-10") },
        stake("broken", "-1", "01-10"),
        Draft { note: Some("quotes \" and\nlines".into()), ..stake("2", "1.5", "01-10") },
    ];
    world.record(&drafts).await;
    let rows = world.admin.transactions(&TransactionFilter::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!(rows.len(), 2);
    for (row, draft) in rows.iter().zip([&drafts[2], &drafts[0]]) {
        assert_eq!(world.admin.raw_record(row).await.unwrap(), serde_json::to_vec(draft).unwrap());
    }
    let file =
        "id,kind,amount,at,product\r\n\"10\",STAKE,1,2024-01-10T00:00:00Z,dice\r\n11,WIN,2,2024-01-10T00:00:00Z,slots";
    world.tenant.import(world.source, "a.csv", file.as_bytes()).await;
    let filter = TransactionFilter { external_id: Some("10".into()), ..TransactionFilter::default() };
    let row = &world.admin.transactions(&filter, PageRequest::default()).await.unwrap().items[0];
    assert_eq!(world.admin.raw_record(row).await.unwrap(), b"\"10\",STAKE,1,2024-01-10T00:00:00Z,dice");
    // Bit rot is found and never served.
    world.app.execute("UPDATE ingest_blocks SET sha256 = zeroblob(32)").await;
    assert!(matches!(world.admin.raw_record(row).await, Err(Error::Fault(_))));
}

#[tokio::test]
async fn a_key_records_into_its_own_source_only() {
    let world = World::new().await;
    let elsewhere = source(&world.admin, world.partner, "other feed").await;
    let key = world.admin.create_api_key(world.source, "robot").await.unwrap();
    let robot = world.app.bearer(key.secret.expose()).await;
    let outcomes = robot.record_transactions(world.source, vec![stake("1", "1", "01-10")]).await.unwrap();
    assert_eq!(all_shown(&outcomes), ["RECORDED"]);
    assert!(is_denied(robot.record_transactions(elsewhere, vec![stake("1", "1", "01-10")]).await));
    assert!(is_denied(robot.begin_import(elsewhere, "a.csv", None).await));
    let run = world.admin.begin_import(elsewhere, "a.csv", None).await.unwrap();
    assert!(
        is_denied(robot.import(run.id, 0, pieces(b"id\n"), true).await)
            || robot.import_run(run.id).await.unwrap().is_none()
    );
    assert!(robot.abandon_import(run.id).await.is_err());
    assert_eq!(world.admin.import_run(run.id).await.unwrap().unwrap().state, "RUNNING");
    // It may look at what it recorded, and at nothing else.
    let theirs = world.admin.record_transactions(elsewhere, vec![stake("1", "1", "01-10")]).await.unwrap();
    let id = |outcome: &RecordOutcome| match outcome {
        RecordOutcome::Taken(all) => all[0].transaction,
        other => panic!("{other:?}"),
    };
    let seen = robot.transactions_by_ids(&[id(&outcomes[0]), id(&theirs[0])]).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.source_id).collect::<Vec<_>>(), [world.source]);
    assert!(is_denied(robot.transactions(&TransactionFilter::default(), PageRequest::default()).await));
    assert!(is_denied(robot.quarantine(QuarantineFilter::default(), PageRequest::default()).await));
    let broken = robot.record_transactions(world.source, vec![stake("2", "-1", "01-10")]).await.unwrap();
    assert!(is_denied(robot.retry_quarantined(quarantine_id(&broken[0]), None).await));
    // A revoked key is nobody.
    world.admin.revoke_api_key(key.key.id).await.unwrap();
    assert!(world.app.domain.authenticate(key.secret.expose()).await.is_err());
}

#[tokio::test]
async fn a_partners_user_sees_its_own_partners_books_and_no_others() {
    let world = World::new().await;
    let rival = partner(&world.admin, "Rival").await;
    let their_source = source(&world.admin, rival, "their feed").await;
    let own = |source: domain::ids::SourceId| json!({ "scope": { "sources": [source] } });
    let mine = world.contract("share", own(world.source)).await;
    let theirs = world.contract_with(rival, "share", own(their_source)).await;
    for source in [world.source, their_source] {
        let drafts = vec![
            stake("1", "100", "01-10"),
            stake("2", "100", "02-10"),
            stake("1", "7", "01-10"),
            stake("3", "-1", "01-10"),
        ];
        world.admin.record_transactions(source, drafts).await.unwrap();
        let file = b"id,kind,amount,at,product\n9,STAKE,1,2024-01-10T00:00:00Z,dice\n";
        world.tenant.import(source, "a.csv", file).await;
    }
    for row in world.quarantined().await {
        world.admin.dismiss_quarantined(row.id, "gone").await.unwrap();
    }
    for contract in [mine, theirs] {
        world.close_next(contract).await;
    }
    let user = world.tenant.member(&world.app, "user@studio.test", Role::ReadOnly, Some(world.partner)).await;
    let page = PageRequest::default;
    let own_source = [world.source];
    let only = |ids: Vec<domain::ids::SourceId>| {
        let mut ids = ids;
        ids.dedup();
        ids
    };
    let transactions = user.transactions(&TransactionFilter::default(), page()).await.unwrap().items;
    assert_eq!(
        (transactions.len(), only(transactions.iter().map(|row| row.source_id).collect())),
        (3, own_source.to_vec())
    );
    let sources = user.sources(page()).await.unwrap().items;
    assert_eq!(sources.iter().map(|row| row.id).collect::<Vec<_>>(), own_source);
    let held = user.quarantine(QuarantineFilter::default(), page()).await.unwrap().items;
    assert_eq!(held.iter().map(|row| row.source_id).collect::<Vec<_>>(), own_source);
    let runs = user.import_runs(None, page()).await.unwrap().items;
    assert_eq!(runs.iter().map(|row| row.source_id).collect::<Vec<_>>(), own_source);
    let conflicts = user.conflicts(None, page()).await.unwrap().items;
    assert_eq!(conflicts.iter().map(|row| row.source_id).collect::<Vec<_>>(), own_source);
    let settlements = user.settlements(&Default::default(), page()).await.unwrap().items;
    assert_eq!(settlements.iter().map(|row| row.contract_id).collect::<Vec<_>>(), [mine, mine]);
    let accounts = user.accounts(page()).await.unwrap().items;
    assert!(!accounts.is_empty() && accounts.iter().all(|row| row.partner_id == world.partner), "{accounts:?}");

    // By id, what is another partner's is what is not there.
    let all = world.admin.settlements(&Default::default(), page()).await.unwrap().items;
    let foreign: Vec<_> = all.iter().filter(|row| row.contract_id == theirs).map(|row| row.id).collect();
    assert_eq!(user.settlements_by_ids(&foreign).await.unwrap(), []);
    assert!(user.statements(&foreign).await.unwrap().is_empty());
    assert!(user.entries(&foreign, page()).await.unwrap().is_empty());
    assert!(is_not_found(user.blockers(foreign[0]).await));
    let all = world.admin.transactions(&TransactionFilter::default(), page()).await.unwrap().items;
    let foreign: Vec<_> = all.iter().filter(|row| row.source_id == their_source).cloned().collect();
    assert_eq!(user.transactions_by_ids(&foreign.iter().map(|row| row.id).collect::<Vec<_>>()).await.unwrap(), []);
    assert!(user.raw_record(&foreign[0]).await.is_err());
    let theirs = world.quarantined().await.into_iter().find(|row| row.source_id == their_source).unwrap();
    assert_eq!(user.quarantined_record(theirs.id).await.unwrap(), None);
    assert!(user.source(their_source).await.unwrap().is_none());
    let own: Vec<_> = settlements.iter().map(|row| row.id).collect();
    assert_eq!(user.statements(&own).await.unwrap().len(), 2);
    assert!(!user.entries(&own, page()).await.unwrap().is_empty());
    // It looks on and touches nothing.
    assert!(is_denied(user.record_transactions(world.source, vec![stake("9", "1", "01-10")]).await));
    assert!(is_denied(user.close_settlement(own[0]).await));
    assert!(is_denied(user.check_books().await));
}
