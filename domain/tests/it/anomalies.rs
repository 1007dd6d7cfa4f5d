//! Scores, cases, verdicts and holds; a detector that fails; models of one's own.

use domain::anomalies::case::{CaseState, Verdict};
use domain::anomalies::{Case, CaseFilter, read_reasons};
use domain::ids::ModelId;
use domain::page::PageRequest;
use domain::settlements::{Settlement, held_of};
use domain::time::MICROS_PER_DAY;
use domain::transactions::TransactionFilter;
use domain::transactions::transaction::Draft;
use domain::{Code, Error};
use serde_json::json;

use crate::facts::*;
use crate::support::*;

const ALL: PageRequest = PageRequest { first: 10_000, after: None };

/// Some days of ordinary play: twenty players with their own means, a round every few minutes.
pub fn ordinary(rounds: usize) -> Vec<Draft> {
    let begin = at("2024-01-05T08:00:00Z");
    let mut drafts = Vec::new();
    for round in 0..rounds {
        let draw = drawn(round as u64);
        let player = draw % 20;
        let stake = 100 * (1 + player % 5) + draw / 20 % 40;
        let when = begin.plus(round as i64 * 240_000_000 + (draw % 60) as i64 * 1_000_000);
        let shared = Draft {
            occurred_at: Some(when),
            player: Some(format!("player {player}")),
            round: Some(format!("round {round}")),
            ..fact("", "STAKE", "0", "01-01")
        };
        let amount = |cents: u64| format!("{}.{:02}", cents / 100, cents % 100);
        drafts.push(Draft { external_id: format!("{round} stake"), amount: amount(stake), ..shared.clone() });
        if draw % 25 < 12 {
            let kind = "WIN".to_owned();
            drafts.push(Draft { external_id: format!("{round} win"), kind, amount: amount(2 * stake), ..shared });
        }
    }
    drafts
}

/// A number by chance, the same for the same round (the finaliser of SplitMix64).
fn drawn(round: u64) -> u64 {
    let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 33
}

/// One that nobody can overlook.
pub fn wild(id: &str, when: &str) -> Draft {
    Draft { player: Some("player 3".into()), round: Some(format!("of {id}")), ..stake(id, "250000", when) }
}

impl World {
    async fn record_in_pieces(&self, drafts: &[Draft]) {
        for piece in drafts.chunks(500) {
            self.recorded(piece).await;
        }
    }

    async fn cases(&self) -> Vec<Case> {
        self.admin.anomaly_cases(CaseFilter::default(), ALL).await.expect("cases").items
    }

    /// `externalId score` of everything, in the order of recording.
    async fn scores(&self) -> Vec<String> {
        let tenant = hex(self.tenant.id().0);
        let sql = format!(
            "SELECT external_id || ' ' || coalesce(CAST(score AS TEXT), '-') FROM transactions WHERE tenant_id = {tenant} ORDER BY id"
        );
        self.app.rows(&sql).await
    }

    async fn unscored(&self) -> u64 {
        self.admin.detector().await.expect("a detector").unscored
    }

    async fn chores(&self) {
        self.app.domain.chores_of(self.tenant.id()).await;
    }

    async fn january(&self, contract: domain::ids::ContractId) -> Settlement {
        self.settlements(contract).await.into_iter().next().expect("a settlement")
    }

    /// What is held of January, in cents, and what the ledger has on the account for it.
    async fn held(&self, contract: domain::ids::ContractId) -> (i64, i64) {
        let row = self.january(contract).await;
        let holds = self.admin.holds(&[row.id]).await.expect("holds").remove(&row.id).unwrap_or_default();
        let held = held_of(&self.statement(row.id).await, &holds).expect("an amount").0;
        let tenant = hex(self.tenant.id().0);
        let sql = format!(
            "SELECT coalesce(-sum(balance), 0) FROM ledger_accounts WHERE tenant_id = {tenant} AND code = 'HELD'"
        );
        (held, self.app.number(&sql).await)
    }
}

#[tokio::test]
async fn what_a_source_does_is_one_case_whoever_plays() {
    let world = World::new().await;
    let drafts = ordinary(1_200);
    world.record_in_pieces(&drafts).await;
    world.admin.train_detector().await.expect("asked");
    world.chores().await;
    let before = world.cases().await.len();
    world.admin.set_alert_rate(5_000, 20).await.expect("few alerts a day");
    // The same players, products and amounts in the same order, under other ids.
    let again = drafts[1_000..1_400].iter().map(|draft| {
        let shifted = draft.occurred_at.map(|at| at.plus(3 * MICROS_PER_DAY));
        let renamed = |name: &String| format!("again {name}");
        let (external_id, round) = (renamed(&draft.external_id), draft.round.as_ref().map(renamed));
        Draft { external_id, round, occurred_at: shifted, ..draft.clone() }
    });
    world.record_in_pieces(&again.collect::<Vec<_>>()).await;
    let cases = world.cases().await;
    assert_eq!(cases.len(), before + 1);
    let case = &cases[0];
    assert_eq!((case.kind.as_str(), &case.product, &case.player), ("SOURCE", &None, &None));
    assert_eq!(read_reasons(&case.reasons)[0].code, "REPEATED_SEQUENCE");
    assert!(case.transactions > 100 && case.score < 40_000, "{} {}", case.transactions, case.score);
    // All of that was one case, and leaves room for another on the same day.
    let (last, cases) = (drafts[1_399].occurred_at.expect("a time").plus(3 * MICROS_PER_DAY), cases.len());
    world.recorded(&[Draft { occurred_at: Some(last), ..wild("after the flood", "01-20") }]).await;
    assert_eq!(world.cases().await.len(), cases + 1);
}

#[tokio::test]
async fn every_transaction_has_a_score_and_odd_ones_become_cases() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    let mut tail = world.app.domain.follow(world.tenant.id()).await.expect("a tail");
    world.record_in_pieces(&ordinary(600)).await;
    assert!(world.scores().await.iter().all(|score| !score.ends_with('-')), "all are scored");
    assert_eq!(world.unscored().await, 0);
    let before = world.cases().await;
    let ordinary_cases = before.len();
    // By the model that everybody starts with, which knows nothing of this house.
    assert!(ordinary_cases < 15, "fewer than one in sixty: {ordinary_cases}");

    world.recorded(&[wild("wild 1", "01-20"), wild("wild 2", "01-20"), wild("wild 3", "01-21")]).await;
    let cases = world.cases().await;
    let (second, first) = (&cases[0], &cases[1]);
    assert_eq!(cases.len(), ordinary_cases + 2, "one for each day");
    assert_eq!((first.transactions, second.transactions), (2, 1));
    assert_eq!((first.state.as_str(), first.window_start), ("OPEN", at("2024-01-20T00:00:00Z")));
    assert_eq!(first.product.as_deref(), Some("dice"));
    let reasons = read_reasons(&first.reasons);
    assert!(reasons[0].code.starts_with("AMOUNT_OF_"), "{reasons:?}");
    assert!((1..=3).contains(&reasons.len()));
    let of_case = world.admin.case_transactions(&[first.id], ALL).await.expect("transactions");
    assert_eq!(of_case[&first.id].items.len(), 2);

    // What was recorded again changes nothing: no score, no case.
    let scores = world.scores().await;
    assert_eq!(all_shown(&world.record(&[wild("wild 1", "01-20")]).await), ["REPLAYED"]);
    assert_eq!((world.scores().await, world.cases().await), (scores, cases.clone()));
    // Followers hear of each case once.
    let mut raised = 0;
    while tail.position() < world.admin.event_cursor().await.expect("a cursor").0 {
        raised += tail.next().await.expect("an event").iter().filter(|event| event.news.is_anomaly()).count();
    }
    assert_eq!(raised, cases.len());
    world.app.domain.shut_down().await;
}

#[tokio::test]
async fn a_detector_that_panics_holds_up_no_record_and_scores_later() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.record_in_pieces(&ordinary(100)).await;
    world.app.clock.move_to(at("2024-03-01T00:00:00Z"));
    world.admin.break_detector(true).await;
    world.recorded(&[wild("wild 1", "01-20"), stake("2", "3", "01-21")]).await;
    world.recorded(&[stake("3", "3", "01-21"), stake("late", "3", "02-21")]).await;
    assert_eq!(world.unscored().await, 4);
    let row = world.january(contract).await;
    let blockers = world.admin.blockers(row.id).await.expect("blockers");
    let told: Vec<String> = blockers.iter().map(|blocker| blocker.message()).collect();
    assert_eq!(told, ["3 transactions were not looked at by the detector yet."]);
    let refused = world.admin.close_settlement(row.id).await;
    assert!(matches!(refused, Err(Error::Invalid(problems)) if problems[0].code == Code::Blocked));
    // As long as it is broken, nothing is scored and nothing is lost.
    world.chores().await;
    assert_eq!(world.unscored().await, 4);

    world.admin.break_detector(false).await;
    let cases = world.cases().await.len();
    world.chores().await;
    assert_eq!(world.unscored().await, 0);
    assert!(world.scores().await.iter().all(|score| !score.ends_with('-')));
    assert!(world.cases().await.len() > cases, "what came meanwhile is judged like anything else");
    assert_eq!(world.admin.blockers(row.id).await.expect("blockers"), []);
    world.close_next(contract).await;
    world.check_books().await;
}

#[tokio::test]
async fn a_confirmed_case_holds_its_line_until_it_is_released() {
    let world = World::new().await;
    let rows =
        json!([{ "code": "dice", "when": "product == 'dice'", "percent": "10" }, { "code": "rest", "percent": "5" }]);
    let contract = world.contract("share", json!({ "rateTable": { "rows": rows } })).await;
    world.record_in_pieces(&ordinary(300)).await;
    world.recorded(&[Draft { product: Some("slots".into()), ..stake("slots", "100", "01-10") }]).await;
    world.recorded(&[wild("wild", "01-20")]).await;
    let case = world.cases().await.remove(0);
    assert_eq!(world.held(contract).await, (0, 0), "a case alone holds nothing");

    let reviewed = world.admin.review_anomaly_case(case.id, Verdict::Confirmed, Some(" a bug ".into())).await;
    let reviewed = reviewed.expect("reviewed");
    assert_eq!((reviewed.state.as_str(), reviewed.note.as_deref()), ("CONFIRMED", Some("a bug")));
    let statement = world.statement(world.january(contract).await.id).await;
    let dice = statement.lines.iter().find(|line| line.rate_class.as_deref() == Some("dice")).expect("a line");
    assert!(dice.amount.0 > 0 && dice.amount.0 < statement.total.0);
    assert_eq!(world.held(contract).await, (dice.amount.0, 0), "the books of an open period hold nothing yet");
    world.app.clock.move_to(at("2024-03-01T00:00:00Z"));
    let closed = world.close_next(contract).await;
    assert_eq!(world.held(contract).await, (dice.amount.0, dice.amount.0), "no hold keeps a settlement from closing");
    world.check_books().await;

    // Released after the close, and held again, as often as somebody changes their mind.
    for (verdict, held) in [
        (Verdict::FalseAlarm, 0),
        (Verdict::FalseAlarm, 0),
        (Verdict::Confirmed, dice.amount.0),
        (Verdict::Confirmed, dice.amount.0),
        (Verdict::Unsure, 0),
    ] {
        world.admin.review_anomaly_case(case.id, verdict, None).await.expect("reviewed");
        assert_eq!(world.held(contract).await, (held, held), "{verdict:?}");
        world.check_books().await;
    }
    let verdicts = format!("SELECT count(*) FROM anomaly_verdicts WHERE case_id = {}", hex(case.id.0));
    assert_eq!(world.app.number(&verdicts).await, 6, "every verdict is kept");
    assert_eq!(world.statement(closed.id).await.lines, statement.lines, "lines stay as they are");
    // What comes after a verdict is a case of its own.
    world.recorded(&[wild("wilder", "01-20")]).await;
    let open = CaseFilter { state: Some(CaseState::Open), ..CaseFilter::default() };
    let open = world.admin.anomaly_cases(open, ALL).await.expect("cases").items;
    assert!(open.iter().any(|other| other.window_start == case.window_start && other.id != case.id));
}

#[tokio::test]
async fn who_may_not_review_is_refused_and_a_note_has_a_limit() {
    let world = World::new().await;
    world.record_in_pieces(&ordinary(100)).await;
    world.recorded(&[wild("wild", "01-20")]).await;
    let case = world.cases().await.remove(0).id;
    let long = world.admin.review_anomaly_case(case, Verdict::Unsure, Some("x".repeat(1_001))).await;
    assert!(matches!(long, Err(Error::Invalid(problems)) if problems[0].path == "note"));
    for rate in [(0, 5), (200_001, 5), (5, -1)] {
        let refused = world.admin.set_alert_rate(rate.0, rate.1).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{rate:?}");
    }
    let other = World::in_app(world.app.clone(), "umbra").await;
    let foreign = other.admin.review_anomaly_case(case, Verdict::Confirmed, None).await;
    assert!(matches!(foreign, Err(Error::NotFound("anomaly case"))));
}

#[tokio::test]
async fn a_cap_of_alerts_holds() {
    let world = World::new().await;
    world.record_in_pieces(&ordinary(100)).await;
    world.admin.set_alert_rate(200_000, 2).await.expect("set");
    let before = world.cases().await.iter().map(|case| case.transactions).sum::<i64>();
    let drafts: Vec<Draft> = (0..50).map(|n| wild(&format!("wild {n}"), "01-20")).collect();
    world.recorded(&drafts).await;
    let after = world.cases().await.iter().map(|case| case.transactions).sum::<i64>();
    assert!(after - before <= 3, "two of the day, and one of a product's returns: {}", after - before);
}

#[tokio::test]
async fn a_model_of_ones_own_comes_into_force_and_a_damaged_one_does_not() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    world.record_in_pieces(&ordinary(300)).await;
    world.chores().await;
    assert_eq!(world.admin.detector().await.expect("a detector").fitted, None, "too little to learn from");
    world
        .record_in_pieces(
            &ordinary(1_200)[450..]
                .to_vec()
                .into_iter()
                .filter(|draft| !draft.external_id.starts_with('2'))
                .collect::<Vec<_>>(),
        )
        .await;
    world.chores().await;
    let fitted = world.admin.detector().await.expect("a detector").fitted.expect("a model");
    assert!(fitted.rows >= 500, "{fitted:?}");
    world.recorded(&[wild("wild", "01-20")]).await;
    let named = format!("SELECT count(*) FROM transactions WHERE model_id = {}", hex(fitted.id.0));
    assert_eq!(world.app.number(&named).await, 1, "a score names its model");
    assert!(world.cases().await.iter().any(|case| case.model_id == fitted.id));

    // Asked for, it is fitted again.
    let asked = world.admin.train_detector().await.expect("asked");
    assert!(asked.training);
    world.chores().await;
    let again = world.admin.detector().await.expect("a detector");
    assert!(!again.training && again.fitted.as_ref().is_some_and(|again| again.id != fitted.id));

    // One whose bytes are damaged is not used by a process that starts; what everybody starts with is.
    world.app.execute("UPDATE detector_models SET body = zeroblob(9)").await;
    let later = world.app.reopened(MASTER_KEY).await;
    let ada = later.sign_in("acme", "ada@acme.test").await;
    let ada = later.bearer(ada.access_token.expose()).await;
    ada.record_transactions(world.source, vec![wild("after", "01-21")]).await.expect("recorded");
    let tenant = hex(world.tenant.id().0);
    let none = format!(
        "SELECT count(*) FROM transactions WHERE tenant_id = {tenant} AND external_id = 'after' AND model_id = {}",
        hex(ModelId::NONE.0)
    );
    assert_eq!(later.number(&none).await, 1);
}

#[tokio::test]
async fn what_the_detector_remembers_survives_a_start_and_what_was_not_recorded_it_never_saw() {
    let all = ordinary(400);
    let (first, rest) = all.split_at(300);
    let through = World::new().await;
    through.record_in_pieces(&all).await;
    let whole = through.scores().await;

    // Saved, and then some more before the process dies: read again from the transactions.
    let world = World::new().await;
    world.record_in_pieces(first).await;
    world.app.domain.work(async {}).await;
    world.recorded(&rest[..50]).await;
    // A batch that fails leaves nothing behind: the whole of it overflows, and is recorded in parts.
    let later = world.app.reopened(MASTER_KEY).await;
    assert_eq!(later.number("SELECT count(*) FROM detector_memories").await, 1);
    let ada = later.sign_in("acme", "ada@acme.test").await;
    let ada = later.bearer(ada.access_token.expose()).await;
    for piece in rest[50..].chunks(500) {
        ada.record_transactions(world.source, piece.to_vec()).await.expect("recorded");
    }
    let sql = "SELECT external_id || ' ' || coalesce(CAST(score AS TEXT), '-') FROM transactions ORDER BY id";
    assert_eq!(later.rows(sql).await, whole);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_in_the_detectors_memory() {
    let (good, bad) = (World::new().await, World::new().await);
    for world in [&good, &bad] {
        world.contract("share", json!({})).await;
        world.record_in_pieces(&ordinary(150)).await;
    }
    // Together they are more than a total holds: the batch fails, and is recorded without the one that is too much.
    let huge = |id: &str| stake(id, "5000000000000", "01-20");
    for world in [&good, &bad] {
        world.recorded(&[huge("1"), stake("2", "3", "01-20")]).await;
    }
    let more = bad.record(&[stake("3", "4", "01-20"), huge("4"), stake("5", "3", "01-20")]).await;
    assert_eq!(all_shown(&more), ["RECORDED", "OVERFLOW amount", "RECORDED"]);
    good.recorded(&[stake("3", "4", "01-20"), stake("5", "3", "01-20")]).await;
    assert_eq!(bad.scores().await, good.scores().await);
}

#[tokio::test]
async fn nothing_of_one_tenant_reaches_anothers_detector() {
    let app = std::sync::Arc::new(TestApp::new().await);
    let alone = World::new().await;
    let (acme, umbra) = (World::in_app(app.clone(), "acme").await, World::in_app(app, "umbra").await);
    let wilds: Vec<Draft> = (0..50).map(|n| wild(&format!("wild {n}"), "01-20")).collect();
    let usual = ordinary(200);
    for piece in usual.chunks(100) {
        umbra
            .recorded(
                &wilds
                    .iter()
                    .map(|draft| Draft {
                        external_id: format!("{} {}", piece[0].external_id, draft.external_id),
                        ..draft.clone()
                    })
                    .collect::<Vec<_>>(),
            )
            .await;
        acme.recorded(piece).await;
        alone.recorded(piece).await;
    }
    assert_eq!(acme.scores().await, alone.scores().await);
    assert!(!umbra.cases().await.is_empty());
    let ids: Vec<_> = umbra.cases().await.iter().map(|case| case.id).collect();
    assert_eq!(acme.admin.anomaly_cases_by_ids(&ids).await.expect("none"), []);
    assert!(acme.cases().await.iter().all(|case| !ids.contains(&case.id)));
    // Nor a partner's member any of its own tenant's.
    let filter = TransactionFilter::default();
    assert!(!umbra.admin.transactions(&filter, ALL).await.expect("rows").items.is_empty());
}

/// `recipient: subject` of what was posted, in order.
async fn posted(world: &World) -> Vec<String> {
    let tenant = hex(world.tenant.id().0);
    let sql = format!("SELECT recipient || ': ' || subject FROM mails WHERE tenant_id = {tenant} ORDER BY id");
    world.app.rows(&sql).await
}

#[tokio::test]
async fn risk_staff_are_told_of_each_case_once_and_of_many_together() {
    let world = World::new().await;
    world.contract("share", json!({})).await;
    world.record_in_pieces(&ordinary(100)).await;
    world.app.execute("UPDATE anomaly_cases SET mailed_at = 1").await;
    world.chores().await;
    assert_eq!(posted(&world).await, Vec::<String>::new());

    world.recorded(&[wild("wild 1", "01-20"), wild("wild 2", "01-21")]).await;
    world.chores().await;
    world.chores().await;
    let mails = posted(&world).await;
    assert_eq!(mails.len(), 2, "one for each case, to the administrator where there is no risk staff: {mails:?}");
    assert!(
        mails.iter().all(|mail| mail.starts_with("ada@acme.test: ") && mail.contains("odd transaction")),
        "{mails:?}"
    );
    // More of the same case is no news.
    world.recorded(&[wild("wild 3", "01-20")]).await;
    world.app.pass_seconds(3_600);
    world.chores().await;
    assert_eq!(posted(&world).await.len(), 2);

    // A storm is one mail, in the language of whoever reads it.
    let invited = world.admin.invite_member("rita@acme.test", "Rita", domain::Role::Risk, None).await.expect("invited");
    world.app.domain.accept_token(invited.token.token.expose(), PASSWORD).await.expect("a password");
    let rita = world.app.sign_in("acme", "rita@acme.test").await;
    let rita = world.app.bearer(rita.access_token.expose()).await;
    rita.set_language(domain::notifications::Language::Ko).await.expect("Korean");
    let storm: Vec<Draft> = (1..=9).map(|day| wild(&format!("storm {day}"), &format!("02-{day:02}"))).collect();
    world.recorded(&storm).await;
    world.chores().await;
    let mails = posted(&world).await;
    assert_eq!(mails.len(), 3, "{mails:?}");
    assert!(mails[2].starts_with("rita@acme.test: ") && mails[2].contains("이상 거래"), "{mails:?}");
    // What comes soon after waits.
    world.recorded(&[wild("later", "02-15")]).await;
    world.chores().await;
    assert_eq!(posted(&world).await.len(), 3);
    world.app.pass_seconds(60);
    world.chores().await;
    assert_eq!(posted(&world).await.len(), 4);
    let other = World::in_app(world.app.clone(), "umbra").await;
    other.chores().await;
    assert_eq!(posted(&other).await, Vec::<String>::new());
}
