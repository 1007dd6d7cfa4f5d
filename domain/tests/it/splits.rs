//! What a settlement comes to, shared out between parties: parts, the ledger, holds, late facts, who sees what, and the
//! time machine.

use std::collections::BTreeMap;

use domain::Role;
use domain::anomalies::CaseFilter;
use domain::anomalies::case::Verdict;
use domain::ids::{ContractId, PartnerId};
use domain::page::PageRequest;
use domain::settlements::parts::parts;
use domain::settlements::{PartFilter, PartOf, Settlement, State};
use serde_json::{Value, json};

use crate::anomalies::{ordinary, wild};
use crate::facts::*;
use crate::replay::{ask, simulated};
use crate::support::*;

fn split(kind: &str, parties: &[(PartnerId, &str)]) -> Value {
    let party = |(partner, percent): &(PartnerId, &str)| json!({ "partner": partner, "percent": percent });
    json!({ kind: { "parties": parties.iter().map(party).collect::<Vec<_>>() } })
}

struct Shared {
    world: World,
    /// The contract's partner and two more.
    partners: [PartnerId; 3],
}

impl Shared {
    async fn new() -> Self {
        let world = World::new().await;
        let (label, agent) = (partner(&world.admin, "Label").await, partner(&world.admin, "Agent").await);
        Self { partners: [world.partner, label, agent], world }
    }

    fn parallel(&self, percents: [&str; 3]) -> Value {
        let parties: Vec<_> = self.partners.into_iter().zip(percents).collect();
        split("parallel", &parties)
    }

    /// The parts of the settlement of a month, in cents.
    async fn parts(&self, contract: ContractId, month: &str) -> Vec<i64> {
        let row = self.row(contract, month).await;
        let statement = self.world.statement(row.id).await;
        let sum: i64 = statement.parts.iter().map(|part| part.amount.0).sum();
        assert_eq!(sum, statement.total.0, "the parts add up to the total");
        statement.parts.iter().map(|part| part.amount.0).collect()
    }

    async fn row(&self, contract: ContractId, month: &str) -> Settlement {
        let rows = self.world.settlements(contract).await;
        rows.into_iter().find(|row| row.period_start == month_begin(month)).expect("a settlement")
    }

    /// Balances of the partners' accounts, by code and partner's place; those at nothing left out.
    async fn balances(&self) -> BTreeMap<(String, usize), i64> {
        let accounts =
            self.world.admin.accounts(PageRequest { first: 100, after: None }).await.expect("accounts").items;
        let place = |partner| self.partners.iter().position(|own| *own == partner);
        let own = accounts
            .into_iter()
            .filter_map(|account| Some(((account.code, place(account.partner_id)?), account.balance.0)));
        own.filter(|(_, balance)| *balance != 0).collect()
    }

    async fn closed(&self, contract: ContractId) {
        self.world.close_next(contract).await;
        self.world.check_books().await;
    }
}

fn balances(all: &[(&str, usize, i64)]) -> BTreeMap<(String, usize), i64> {
    all.iter().map(|(code, place, balance)| (((*code).to_owned(), *place), *balance)).collect()
}

#[tokio::test]
async fn each_party_is_owed_its_part_and_the_parts_lose_no_cent() {
    let shared = Shared::new().await;
    let terms = json!({ "split": shared.parallel(["33", "45", "22"]), "negative": { "mode": "PAYABLE_BY_PARTNER" } });
    let contract = shared.world.contract("share", terms).await;
    shared.world.recorded(&[stake("1", "1", "01-10"), win("2", "5", "02-10")]).await;
    assert_eq!(shared.parts(contract, "2024-01").await, [3, 5, 2]);
    shared.world.check_books().await;
    shared.closed(contract).await;
    assert_eq!(shared.parts(contract, "2024-01").await, [3, 5, 2]);
    let mut owed = vec![("PAYABLE", 0, -3), ("PAYABLE", 1, -5), ("PAYABLE", 2, -2)];
    assert_eq!(shared.balances().await, balances(&owed));
    // A loss that the partner pays is every party's, mirrored; a late fact is corrected and shared out where it shows.
    assert_eq!(shared.parts(contract, "2024-02").await, [-17, -22, -11]);
    shared.world.recorded(&[stake("3", "1", "01-11")]).await;
    assert_eq!(shared.world.lines(contract, "2024-02").await.last().map(String::as_str), Some("CORRECTION 1 all 10"));
    assert_eq!(shared.parts(contract, "2024-02").await, [-13, -18, -9]);
    assert_eq!(shared.parts(contract, "2024-01").await, [3, 5, 2], "what closed stays as it is");
    shared.closed(contract).await;
    owed.extend([("RECEIVABLE", 0, 13), ("RECEIVABLE", 1, 18), ("RECEIVABLE", 2, 9)]);
    assert_eq!(shared.balances().await, balances(&owed));
}

#[tokio::test]
async fn an_agent_and_the_one_above_share_the_difference_of_their_rates() {
    let shared = Shared::new().await;
    let [_, parent, child] = shared.partners;
    let terms = json!({
        "role": "AGENT", "base": { "turnover": { "bonusTreatment": "INCLUDE" } },
        "rateTable": { "rows": [{ "code": "all", "percent": "1.2" }] },
        "split": split("differential", &[(child, "0.8"), (parent, "1.2")]),
    });
    let contract = shared.world.contract("agents", terms).await;
    shared.world.recorded(&[stake("1", "1000000", "01-10")]).await;
    assert_eq!(shared.parts(contract, "2024-01").await, [800_000, 400_000]);
    shared.closed(contract).await;
    let owed = [("PAYABLE", 1, -400_000), ("PAYABLE", 2, -800_000)];
    assert_eq!(shared.balances().await, balances(&owed), "the contract's partner keeps the books and has no part");
}

/// What is carried, advanced and recouped stays the contract's partner's; the version at the end of a period decides.
#[tokio::test]
async fn what_is_not_due_yet_is_not_split() {
    let shared = Shared::new().await;
    let terms = json!({ "split": shared.parallel(["50", "30", "20"]), "minimumPayout": "50" });
    let contract = shared.world.contract("share", terms.clone()).await;
    shared.world.recorded(&[stake("1", "400", "01-10"), stake("2", "400", "02-10")]).await;
    assert_eq!(shared.parts(contract, "2024-01").await, [0, 0, 0]);
    shared.closed(contract).await;
    assert_eq!(shared.balances().await, balances(&[("CARRIED", 0, -4_000)]));
    let mut later = terms;
    (later["validFrom"], later["split"]) = (json!("2024-02-20"), shared.parallel(["10", "10", "80"]));
    shared.world.amend(contract, later).await;
    assert_eq!(shared.parts(contract, "2024-01").await, [0, 0, 0]);
    assert_eq!(shared.parts(contract, "2024-02").await, [800, 800, 6_400]);
    shared.closed(contract).await;
    let owed = [("PAYABLE", 0, -800), ("PAYABLE", 1, -800), ("PAYABLE", 2, -6_400)];
    assert_eq!(shared.balances().await, balances(&owed));
}

#[tokio::test]
async fn of_each_part_so_much_is_held_as_of_the_whole() {
    let shared = Shared::new().await;
    let (world, ordinary) = (&shared.world, ordinary(300));
    let rows =
        json!([{ "code": "dice", "when": "product == 'dice'", "percent": "10" }, { "code": "rest", "percent": "5" }]);
    let terms = json!({ "rateTable": { "rows": rows }, "split": shared.parallel(["33", "45", "22"]) });
    let contract = world.contract("share", terms).await;
    for piece in ordinary.chunks(100) {
        world.recorded(piece).await;
    }
    let slots =
        domain::transactions::transaction::Draft { product: Some("slots".into()), ..stake("s", "77.77", "01-10") };
    world.recorded(&[slots, wild("wild", "01-20")]).await;
    let all = PageRequest { first: 100, after: None };
    let case = world.admin.anomaly_cases(CaseFilter::default(), all).await.expect("cases").items.remove(0).id;
    let reviewed = async |verdict| {
        world.admin.review_anomaly_case(case, verdict, None).await.expect("reviewed");
        world.check_books().await;
    };
    reviewed(Verdict::Confirmed).await;
    world.app.clock.move_to(at("2024-03-01T00:00:00Z"));
    shared.closed(contract).await;
    let statement = world.statement(shared.row(contract, "2024-01").await.id).await;
    let held: i64 = statement
        .lines
        .iter()
        .filter(|line| line.rate_class.as_deref() == Some("dice"))
        .map(|line| line.amount.0)
        .sum();
    assert!(0 < held && held < statement.total.0);
    let listed =
        world.admin.settlement_parts(&PartFilter::default(), PageRequest::default()).await.expect("parts").items;
    let own: Vec<_> =
        listed.iter().filter(|(part, _)| part.settlement.state == "CLOSED").map(|(part, _)| part).collect();
    assert_eq!(own.iter().map(|part| part.held.0).sum::<i64>(), held);
    for (place, part) in own.iter().enumerate() {
        assert!(0 < part.held.0 && part.held < part.part.amount);
        let ledger = shared.balances().await;
        let of = |code: &str| ledger.get(&(code.to_owned(), place)).copied().unwrap_or_default();
        assert_eq!((of("HELD"), of("PAYABLE")), (-part.held.0, part.held.0 - part.part.amount.0), "party {place}");
    }
    reviewed(Verdict::FalseAlarm).await;
    assert!(shared.balances().await.keys().all(|(code, _)| code != "HELD"));
    reviewed(Verdict::Confirmed).await;
}

fn told((part, name): &(PartOf, String)) -> String {
    format!(
        "{name} {} {}: {} of {}",
        part.settlement.period_start, part.settlement.state, part.part.amount.0, part.total.0
    )
}

/// A user of a party sees its parts, and nothing else of another partner's contract.
#[tokio::test]
async fn a_partys_user_sees_its_part_and_not_the_books() {
    let shared = Shared::new().await;
    let (world, [studio, label, agent]) = (&shared.world, shared.partners);
    let terms = json!({ "split": split("parallel", &[(studio, "70"), (label, "30")]) });
    let contract = world.contract("share", terms).await;
    world.recorded(&[stake("1", "1000", "01-10"), stake("2", "3000", "02-10")]).await;
    shared.closed(contract).await;
    let user = async |name: &str, partner| {
        world.tenant.member(&world.app, &format!("{name}@acme.test"), Role::ReadOnly, Some(partner)).await
    };
    let (studio_user, label_user, agent_user) =
        (user("studio", studio).await, user("label", label).await, user("agent", agent).await);
    let seen = async |scoped: &domain::Scoped, filter: PartFilter| -> Vec<String> {
        scoped.settlement_parts(&filter, PageRequest::default()).await.expect("parts").items.iter().map(told).collect()
    };
    let any = PartFilter::default;
    let (january, february) = (month_begin("2024-01"), month_begin("2024-02"));
    let labels = [format!("share {february} OPEN: 9000 of 30000"), format!("share {january} CLOSED: 3000 of 10000")];
    let studios = [format!("share {february} OPEN: 21000 of 30000"), format!("share {january} CLOSED: 7000 of 10000")];
    let all = [0, 1].map(|place| [studios[place].clone(), labels[place].clone()]).concat();
    assert_eq!(seen(&label_user, any()).await, labels);
    assert_eq!(seen(&studio_user, any()).await, studios);
    assert_eq!(seen(&agent_user, any()).await, [""; 0]);
    assert_eq!(seen(&label_user, PartFilter { partner: Some(studio), ..any() }).await, [""; 0], "nobody else's");
    assert_eq!(seen(&label_user, PartFilter { state: Some(State::Open), ..any() }).await, labels[..1]);
    assert_eq!(seen(&label_user, PartFilter { state: Some(State::Closed), ..any() }).await, labels[1..]);
    assert_eq!(seen(&label_user, PartFilter { currency: Some("USD".into()), ..any() }).await, [""; 0]);
    assert_eq!(seen(&label_user, PartFilter { contract: Some(contract), ..any() }).await, labels);
    assert_eq!(seen(&world.admin, any()).await, all);
    // One after the other, in pages of one.
    let (mut after, mut paged) = (None, Vec::new());
    loop {
        let page = world.admin.settlement_parts(&any(), PageRequest { first: 1, after }).await.expect("a page");
        assert_eq!(page.items.len(), 1);
        paged.extend(page.items.iter().map(told));
        after = page.items.last().map(|(part, _)| part.key());
        if !page.has_next {
            break;
        }
    }
    assert_eq!(paged, all);
    // All else of the contract is not there for it.
    let rows = shared.world.settlements(contract).await;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(label_user.settlements_by_ids(&ids).await.expect("none"), []);
    assert!(label_user.statements(&ids).await.expect("none").is_empty());
    assert_eq!(label_user.contracts_by_ids(&[contract]).await.expect("none"), []);
    let accounts = label_user.accounts(PageRequest { first: 100, after: None }).await.expect("accounts").items;
    let own: Vec<_> =
        accounts.iter().map(|account| (account.code.as_str(), account.partner_id, account.balance.0)).collect();
    assert_eq!(own, [("PAYABLE", label, -3_000)]);
    // Another tenant has none of it.
    let twin = world.twin("umbra").await;
    assert_eq!(
        seen(&twin.admin, PartFilter { contract: Some(contract), partner: Some(label), ..any() }).await,
        [""; 0]
    );
}

#[tokio::test]
async fn the_time_machine_tells_who_would_get_what() {
    let shared = Shared::new().await;
    let (world, [studio, label, agent]) = (&shared.world, shared.partners);
    let terms = json!({ "split": split("parallel", &[(studio, "70"), (label, "30")]) });
    let contract = world.contract("share", terms).await;
    world.recorded(&[stake("1", "1000", "01-10"), stake("2", "10.10", "02-10")]).await;
    world.app.clock.move_to(at("2024-04-01T00:00:00Z"));
    let draft = json!({ "validFrom": "2024-02-01", "split": shared.parallel(["50", "25", "25"]) });
    world.admin.draft_contract_version(contract, crate::facts::terms(draft)).await.expect("a draft");
    let found = simulated(&world.admin, ask(contract, 2, "2024-01-01", "2024-02-29")).await;
    let partners: BTreeMap<_, _> =
        found.partners.iter().map(|row| (row.partner, (row.total.settled.0, row.total.drafted.0))).collect();
    // The draft is reckoned with for all of it: of 101 in the second month 51, 25 and 25 instead of 71 and 30.
    let expected = [(studio, (7_071, 5_051)), (label, (3_030, 2_525)), (agent, (0, 2_525))];
    assert_eq!(partners, BTreeMap::from(expected));
    assert_eq!(found.total.difference().0, 0);
}

#[tokio::test]
async fn parties_are_partners_of_the_tenant() {
    let shared = Shared::new().await;
    let twin = shared.world.twin("umbra").await;
    let terms = |parties: &[(PartnerId, &str)]| terms(json!({ "split": split("parallel", parties) }));
    let new = |terms| domain::contracts::NewContract { partner: shared.partners[0], name: "share".to_owned(), terms };
    let unknown = terms(&[(shared.partners[1], "50"), (twin.partner, "50")]);
    let refused = problems(shared.world.admin.create_contract(new(unknown.clone())).await);
    assert_eq!(refused, ["NOT_FOUND terms.split.parallel.parties.1.partner"]);
    let refused = shared.world.admin.save_contract_template("shared", unknown).await;
    assert_eq!(problems(refused), ["NOT_FOUND terms.split.parallel.parties.1.partner"]);
    let good = terms(&[(shared.partners[1], "50"), (shared.partners[2], "50")]);
    assert_eq!(parts(good.split.as_ref().expect("a split"), domain::money::Minor(1)).expect("parts").len(), 2);
    shared.world.admin.create_contract(new(good)).await.expect("a contract");
}
