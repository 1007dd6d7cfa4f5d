//! The ring-fence of players who win much: recorded, closed, late, agreed late, moved in with, explained and replayed.

use domain::Role;
use domain::contracts::VersionDraft;
use domain::ids::ContractId;
use domain::money::Units;
use domain::page::PageRequest;
use domain::replay::{Ask, Step};
use domain::settlements::settlement::Fenced;
use domain::settlements::{OpeningBalances, Statement, fenced_page};
use domain::sources::NewSource;
use domain::sources::mapping::Mapping;
use domain::transactions::transaction::Draft;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::facts::*;
use crate::late::{Step as Past, proven};
use crate::support::*;

fn fenced() -> Value {
    json!({ "ringFence": { "threshold": "5000" }, "rateTable": { "rows": [{ "code": "all", "percent": "30" }] } })
}

fn of(player: &str, draft: Draft) -> Draft {
    Draft { player: Some(player.to_owned()), ..draft }
}

/// A won 12,000, B 6,000 and the others lost 10,000; in February A loses 3,000.
fn facts() -> Vec<Draft> {
    vec![
        of("A", win("1", "12000", "01-05")),
        of("B", win("2", "6000", "01-06")),
        stake("3", "10000", "01-07"),
        of("A", stake("4", "3000", "02-05")),
    ]
}

/// What a settlement makes of players, in cents, by what they won: base, carried in, set off, taken out, carried out.
fn players(statement: &Statement) -> Vec<[i64; 5]> {
    let cents = |units: Units| domain::money::Rounding::HalfEven.divide(units.0.into(), 10_000);
    let row = |own: &Fenced| {
        let out = own.carried_out().expect("an amount");
        [own.base, own.carried_in, own.offset, own.taken, out].map(|units| i64::try_from(cents(units)).expect("small"))
    };
    let mut rows: Vec<_> = statement.fenced.iter().map(row).collect();
    rows.sort_unstable();
    rows
}

impl World {
    async fn month(&self, contract: ContractId, month: &str) -> Statement {
        let rows = self.settlements(contract).await;
        let row = rows.iter().find(|row| row.period_start == month_begin(month)).expect("a settlement");
        self.statement(row.id).await
    }

    /// The steps of every line lead to it.
    async fn is_explained(&self, contract: ContractId) -> Vec<String> {
        let mut paths = Vec::new();
        for settlement in self.settlements(contract).await {
            for line in self.admin.explain_lines(settlement.id).await.expect("lines") {
                let line = line.unwrap_or_else(|why| panic!("{settlement:?}: {why}"));
                paths.push(format!("{} {}", line.line.code.as_str(), line.path.unwrap_or_default()));
            }
        }
        paths
    }
}

#[tokio::test]
async fn who_wins_much_is_taken_out_and_set_off_against_himself() {
    let world = World::new().await;
    let contract = world.contract("share", fenced()).await;
    for draft in facts() {
        world.recorded(&[draft]).await;
    }
    world.check_books().await;
    let january = world.month(contract, "2024-01").await;
    let taken = [[-1_200_000, 0, 0, 533_333, -533_333], [-600_000, 0, 0, 266_667, -266_667]];
    assert_eq!(players(&january), taken);
    let lines = ["BASE 1 all 0", "RING_FENCED 1 - 0", "REVENUE_SHARE 1 all 0"];
    assert_eq!(world.lines(contract, "2024-01").await, lines);
    let february = world.month(contract, "2024-02").await;
    assert_eq!(players(&february), [[0, -266_667, 0, 0, -266_667], [300_000, -533_333, 300_000, 0, -233_333]]);
    world.close_next(contract).await;
    world.check_books().await;
    let closed = world.month(contract, "2024-01").await;
    assert_eq!((&closed.fenced, &closed.lines), (&january.fenced, &january.lines), "as it was frozen");
    assert_eq!(world.month(contract, "2024-02").await.fenced, february.fenced);
    let paths = world.is_explained(contract).await;
    assert!(paths.contains(&"RING_FENCED ringFence".to_owned()), "{paths:?}");
    assert!(paths.contains(&"RING_FENCE_OFFSET ringFence".to_owned()), "{paths:?}");
    // Late: A did not win that much. 4,000 are shared 8:6, and something of February is left.
    world.recorded(&[of("A", stake("5", "4000", "01-09"))]).await;
    world.check_books().await;
    assert_eq!(players(&world.month(contract, "2024-01").await), taken, "what closed stays");
    assert_eq!(players(&world.month(contract, "2024-02").await)[1], [300_000, -228_571, 228_571, 0, 0]);
    world.close_next(contract).await;
    // And undone, after that closed, too: corrections take February's share back.
    world.recorded(&[rollback("6", "5", "03-01")]).await;
    world.check_books().await;
    assert_eq!(world.lines(contract, "2024-03").await, ["CORRECTION 1 all -21429"]);
    assert_eq!(
        players(&world.month(contract, "2024-03").await),
        [[0, -266_667, 0, 0, -266_667], [0, -233_333, 0, 0, -233_333]]
    );
    world.is_explained(contract).await;
}

#[tokio::test]
async fn whatever_comes_late_is_corrected() {
    let steps = [
        Past::Record(facts()),
        Past::Close,
        Past::Record(vec![of("A", stake("5", "4000", "01-09")), of("C", win("6", "7000", "02-09"))]),
        Past::Close,
        Past::Record(vec![rollback("7", "2", "03-01"), of("B", stake("8", "900", "03-02"))]),
        Past::Record(vec![of("A", stake("9", "9000", "04-02")), of("C", stake("10", "900", "04-02"))]),
        Past::Close,
        Past::Record(vec![of("A", win("11", "20000", "02-10"))]),
        // Two amendments agreed late: one without the clause, and one with another threshold.
        Past::Amend(json!({ "validFrom": "2024-02-01" })),
        Past::Close,
        Past::Amend(json!({ "validFrom": "2024-03-01", "ringFence": { "threshold": "800" } })),
        Past::Record(vec![of("C", win("12", "900", "05-10")), of("B", win("13", "850", "05-11"))]),
    ];
    for mode in ["CARRY", "RESET", "PAYABLE_BY_PARTNER"] {
        let mut terms = fenced();
        terms["negative"] = json!({ "mode": mode });
        let (world, contract) = proven(terms, &steps).await;
        world.is_explained(contract).await;
    }
}

/// Agreed for a time that closed without it: what stands against players is what would have stood from the beginning.
#[tokio::test]
async fn a_ring_fence_that_is_agreed_late() {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&facts()).await;
    world.close_next(contract).await;
    let rows = "SELECT CAST(count(*) AS BIGINT) FROM player_accruals";
    assert_eq!(world.app.number(rows).await, 0, "nothing is kept by player where nobody asks for it");
    let draft = VersionDraft { terms: terms(fenced()), replaces: Some(1) };
    let draft = world.admin.draft_contract_version(contract, draft).await.expect("a draft");
    world.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
    world.check_books().await;
    let february = world.month(contract, "2024-02").await;
    assert_eq!(players(&february), [[0, -266_667, 0, 0, -266_667], [300_000, -533_333, 300_000, 0, -233_333]]);
    world.close_next(contract).await;
    // The version that counts them in its place asks for nothing, and so what stands goes on untouched.
    world.amend(contract, json!({ "validFrom": "2024-03-01" })).await;
    world.recorded(&[of("A", stake("9", "100", "03-05"))]).await;
    world.check_books().await;
    let march = world.month(contract, "2024-03").await;
    assert_eq!(players(&march), [[0, -266_667, 0, 0, -266_667], [0, -233_333, 0, 0, -233_333]]);
    assert_eq!(march.total.0, 1_000, "of all that A lost");
}

#[tokio::test]
async fn what_stands_against_players_moves_in_with_a_contract() {
    let world = World::new().await;
    let contract = world.contract("moved", fenced()).await;
    let opening = |players: &[(&str, &str)]| OpeningBalances {
        contract,
        currency: "EUR".to_owned(),
        carried_base: vec![],
        players: players.iter().map(|(player, amount)| ((*player).to_owned(), (*amount).to_owned())).collect(),
        carried_amount: "0".to_owned(),
        year: None,
    };
    let refused = problems(world.admin.set_opening_balances(opening(&[("A", "5"), ("B", "x")])).await);
    assert_eq!(refused, ["BAD_INPUT players.0.amount", "BAD_AMOUNT players.1.amount"]);
    let refused = problems(world.admin.set_opening_balances(opening(&[("A", "-5"), ("A", "-6")])).await);
    assert_eq!(refused, ["BAD_INPUT players.1.player"]);
    world.admin.set_opening_balances(opening(&[("A", "-100"), ("B", "-7.5")])).await.expect("it is set");
    world.recorded(&[of("A", stake("1", "250", "01-05"))]).await;
    world.check_books().await;
    let january = world.month(contract, "2024-01").await;
    assert_eq!(players(&january), [[0, -750, 0, 0, -750], [25_000, -10_000, 10_000, 0, 0]]);
    assert_eq!(january.total.0, 4_500, "30 % of 150");
    world.close_next(contract).await;
    world.recorded(&[of("A", stake("2", "10", "02-05"))]).await;
    let february = world.month(contract, "2024-02").await;
    assert_eq!((february.total.0, players(&february)), (300, vec![[0, -750, 0, 0, -750]]));
}

/// A page of them, by pseudonym.
#[tokio::test]
async fn players_come_in_pages() {
    let world = World::new().await;
    let contract = world.contract("share", fenced()).await;
    world.recorded(&facts()).await;
    let january = world.month(contract, "2024-01").await;
    let first = fenced_page(&january, &PageRequest { first: 1, after: None });
    assert!(first.has_next && first.items[0] == january.fenced[0]);
    let after = Some(first.items[0].player.clone());
    let second = fenced_page(&january, &PageRequest { first: 1, after });
    assert!(!second.has_next && second.items == january.fenced[1..]);
}

/// A partner's user sees players where he may see all transactions that are counted.
#[tokio::test]
async fn a_partners_user_sees_players_as_far_as_transactions() {
    let world = World::new().await;
    let own = world.contract("own", fenced()).await;
    let named =
        json!({ "scope": { "sources": [world.source] }, "role": "PLATFORM", "ringFence": { "threshold": "1" } });
    let named = world.contract("named", named).await;
    let user = world.tenant.member(&world.app, "pia@studio.test", Role::ReadOnly, Some(world.partner)).await;
    let seen = async || {
        let seen = user.players_seen(&[own, named]).await.expect("an answer");
        (seen.contains(&own), seen.contains(&named))
    };
    assert_eq!(seen().await, (true, true));
    let other = partner(&world.admin, "Other").await;
    let mapping = Mapping::parse(CSV).expect("a mapping");
    let new = NewSource { partner: other, name: "other".to_owned(), mapping, calendar: None };
    world.admin.create_source(new).await.expect("a source");
    assert_eq!(seen().await, (false, true), "the other partner's transactions are counted as well");
    let all = world.admin.players_seen(&[own, named]).await.expect("an answer");
    assert_eq!(all.len(), 2, "the tenant's own people see them");
}

#[tokio::test]
async fn a_replay_says_what_the_books_say() {
    let world = World::new().await;
    world.app.clock.move_to(at("2024-04-01T00:00:00Z"));
    let contract = world.contract("share", fenced()).await;
    world.recorded(&facts()).await;
    world.recorded(&[of("A", stake("5", "5000", "02-09"))]).await;
    world.close_next(contract).await;
    for from in ["2024-01-01", "2024-02-01"] {
        let (from, to) = (from.parse().unwrap(), "2024-02-29".parse().unwrap());
        let ask = Ask { contract, version: 1, from, to, currency: None };
        let mut steps = world.admin.simulate_contract_version(ask).await.expect("it begins");
        let mut simulated = None;
        while let Some(step) = steps.next().await {
            match step {
                Step::Done(done) => simulated = Some(done),
                Step::Failed(error) => panic!("{error}"),
                Step::Progress(_) => {}
            }
        }
        let total = simulated.expect("an outcome").total;
        // 8,000 less the 5,333.33 that stood against A.
        assert_eq!((total.settled.0, total.drafted.0), (80_000, 80_000), "from {from}");
    }
}

#[tokio::test]
async fn a_changed_sum_of_a_player_is_found() {
    let world = World::new().await;
    let contract = world.contract("share", fenced()).await;
    world.recorded(&facts()).await;
    let january = world.close_next(contract).await.id;
    world.app.execute("UPDATE player_accruals SET amount = amount + 1 WHERE kind = 'WIN'").await;
    let findings = world.admin.check_books().await.expect("a check").findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].contains(&january.to_string()) && findings[0].contains(", player "), "{findings:?}");
}
