//! What is paid beforehand: advances, alone and in pools, prepaid credit, and balances with which contracts move in.

use std::collections::BTreeMap;

use domain::Role;
use domain::ids::ContractId;
use domain::money::Rate;
use domain::notifications::Language;
use domain::page::PageRequest;
use domain::settlements::fund::{CreditState, FundKind};
use domain::settlements::{FundsOf, NewFund, OpeningBalances};
use domain::tenants::Invite;
use serde_json::{Value, json};

use crate::facts::*;
use crate::support::*;

pub fn fund(contract: ContractId, kind: FundKind, amount: &str, percent: Option<&str>) -> NewFund {
    NewFund {
        contract,
        kind,
        amount: amount.to_owned(),
        currency: "EUR".to_owned(),
        percent: percent.map(|percent| Rate::parse(percent).expect("a rate")),
        opening: false,
        happened_on: "2024-01-05".parse().expect("a date"),
        note: "as agreed".to_owned(),
    }
}

impl World {
    async fn funded(&self, new: NewFund) {
        self.admin.record_fund(new).await.expect("it is recorded");
        self.check_books().await;
    }

    async fn funds_of(&self, contract: ContractId) -> FundsOf {
        let mut funds = self.admin.funds(&[contract]).await.expect("funds");
        funds.remove(&contract).and_then(|funds| funds.into_iter().next()).expect("in one currency")
    }

    /// Balances of the ledger's accounts in cents, those at nothing left out.
    async fn balances(&self) -> BTreeMap<String, i64> {
        let accounts = self.admin.accounts(PageRequest { first: 100, after: None }).await.expect("accounts").items;
        let balances = accounts.into_iter().map(|account| (account.code, account.balance.0));
        balances.filter(|(_, balance)| *balance != 0).collect()
    }

    async fn total(&self, contract: ContractId, month: &str) -> i64 {
        let rows = self.settlements(contract).await;
        let row = rows.iter().find(|row| row.period_start == month_begin(month)).expect("a settlement");
        self.statement(row.id).await.total.0
    }
}

fn balances(all: &[(&str, i64)]) -> BTreeMap<String, i64> {
    all.iter().map(|(code, balance)| ((*code).to_owned(), *balance)).collect()
}

#[tokio::test]
async fn an_advance_is_owed_at_once_and_recouped_from_what_is_earned() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "advance": {} })).await;
    world.recorded(&[stake("1", "38000", "01-10"), stake("2", "180000", "02-10")]).await;
    world.funded(fund(contract, FundKind::Advance, "20000", None)).await;
    assert_eq!(world.balances().await, balances(&[("ADVANCE", 2_000_000), ("PAYABLE", -2_000_000)]));
    assert_eq!(world.lines(contract, "2024-01").await, ["REVENUE_SHARE 1 all 380000", "RECOUPED 1 - -380000"]);
    world.close_next(contract).await;
    world.check_books().await;
    let funds = world.funds_of(contract).await;
    // February is open and takes what is left.
    assert_eq!((funds.advanced.0, funds.recouped.0), (2_000_000, 2_000_000));
    assert_eq!(world.total(contract, "2024-02").await, 180_000);
    // A late fact makes January earn more: that is recouped in February, where it shows.
    world.recorded(&[stake("3", "1000", "01-11")]).await;
    assert_eq!(world.total(contract, "2024-02").await, 190_000);
    world.close_next(contract).await;
    world.check_books().await;
    let after = world.balances().await;
    assert_eq!((after.get("ADVANCE"), after["PAYABLE"]), (None, -2_000_000 - 190_000));
}

#[tokio::test]
async fn contracts_of_a_pool_recoup_each_others_advances() {
    let world = World::new().await;
    let pooled = |product: &str| json!({ "advance": { "pool": "artists" }, "scope": { "products": [product] } });
    let (dice, slots) = (world.contract("dice", pooled("dice")).await, world.contract("slots", pooled("slots")).await);
    world
        .recorded(&[
            stake("1", "500", "01-10"),
            domain::transactions::transaction::Draft { product: Some("slots".into()), ..stake("2", "1000", "01-10") },
        ])
        .await;
    world.funded(fund(dice, FundKind::Advance, "70", None)).await;
    // Each could take it all, as long as the other has not closed.
    assert_eq!((world.total(dice, "2024-01").await, world.total(slots, "2024-01").await), (0, 3_000));
    world.close_next(dice).await;
    world.check_books().await;
    assert_eq!(world.total(slots, "2024-01").await, 8_000, "50 of the 70 are recouped by the other");
    world.close_next(slots).await;
    world.check_books().await;
    assert_eq!(world.balances().await.get("ADVANCE"), None);
}

#[tokio::test]
async fn credit_is_drawn_by_play_and_its_cost_becomes_expense() {
    let world = World::new().await;
    let terms: Value = json!({
        "prepaid": { "lowBalance": "75000" }, "rateTable": { "rows": [{ "code": "all", "percent": "12" }] },
    });
    let contract = world.contract("credit", terms).await;
    world.recorded(&[stake("1", "30000", "01-10")]).await;
    assert_eq!(world.total(contract, "2024-01").await, 360_000, "nothing was bought yet");
    world.funded(fund(contract, FundKind::Credit, "100000", Some("12"))).await;
    world.funded(fund(contract, FundKind::SupplierBalance, "69990", None)).await;
    assert_eq!(world.total(contract, "2024-01").await, 0);
    let funds = world.funds_of(contract).await;
    let left = funds.left().expect("what is left");
    assert_eq!((funds.asset.format_units(left), funds.credit), ("70000.00".to_owned(), Some(CreditState::Low)));
    assert_eq!(funds.supplier.map(|(said, _)| said.0), Some(6_999_000), "ten less than Saldo counts");
    world.close_next(contract).await;
    world.check_books().await;
    let closed = [("PREPAID", 840_000), ("PAYABLE", -1_200_000), ("SETTLEMENT_RESULT", 360_000)];
    assert_eq!(world.balances().await, balances(&closed));
    // A late win gives credit back, and its cost, as soon as the correction closes.
    world.recorded(&[win("2", "1000", "01-11"), stake("3", "500", "02-10")]).await;
    let funds = world.funds_of(contract).await;
    assert_eq!(funds.asset.format_units(funds.drawn), "29500.00");
    world.close_next(contract).await;
    world.check_books().await;
    assert_eq!(world.balances().await["PREPAID"], 846_000);
}

#[tokio::test]
async fn settlement_staff_are_told_once_when_credit_gets_low_and_once_when_it_is_used_up() {
    let world = World::new().await;
    let invite = Invite {
        email: "sue@acme.test",
        name: "Sue",
        role: Role::Settlement,
        partner: None,
        language: Language::Ko,
        send_mail: false,
    };
    let invited = world.admin.invite(invite).await.expect("an invitation");
    world.app.domain.accept_token(invited.token.token.expose(), PASSWORD).await.expect("a member");
    let told = async || {
        world.app.domain.chores_of(world.tenant.tenant.id).await;
        world.app.rows("SELECT recipient || ' ' || subject FROM mails ORDER BY id").await
    };
    let terms = json!({ "prepaid": { "lowBalance": "20000" } });
    let contract = world.contract("reels", terms).await;
    world.recorded(&[stake("1", "30000", "01-10")]).await;
    assert_eq!(told().await, [""; 0], "nothing was bought");
    world.funded(fund(contract, FundKind::Credit, "100000", Some("12"))).await;
    world.recorded(&[stake("2", "50000", "01-11")]).await;
    assert_eq!(told().await, [""; 0], "20,000 are left, and that is not below");
    world.recorded(&[stake("3", "0.01", "01-11")]).await;
    let low = "sue@acme.test [Saldo] acme Ltd: reels 선불 알 잔액 부족";
    assert_eq!(told().await, [low]);
    world.recorded(&[stake("4", "10", "01-11")]).await;
    assert_eq!(told().await, [low], "told once");
    world.close_next(contract).await;
    world.recorded(&[stake("5", "30000", "02-11")]).await;
    let empty = "sue@acme.test [Saldo] acme Ltd: reels 선불 알 소진";
    assert_eq!(told().await, [low, empty]);
    world.funded(fund(contract, FundKind::Credit, "100000", Some("12"))).await;
    assert_eq!(told().await, [low, empty], "there is enough again");
    world.recorded(&[stake("6", "150000", "02-12")]).await;
    assert_eq!(told().await, [low, empty, empty], "what is used up at once is not told as low");
}

#[tokio::test]
async fn a_contract_moves_in_with_its_balances() {
    let world = World::new().await;
    let steps = json!([{ "upTo": "1000", "percent": "15" }, { "percent": "10" }]);
    let tiers = json!({ "mode": "MARGINAL", "period": "YEAR", "steps": steps });
    let terms =
        json!({ "minimumPayout": "50", "advance": {}, "rateTable": { "rows": [{ "code": "all", "tiers": tiers }] } });
    let contract = world.contract("moved", terms).await;
    let opening = |year: i32| OpeningBalances {
        contract,
        currency: "EUR".to_owned(),
        carried_base: vec![(String::new(), "-100".to_owned())],
        players: vec![],
        carried_amount: "20".to_owned(),
        year: Some((year, vec![("all".to_owned(), "900".to_owned())])),
    };
    world.admin.set_opening_balances(opening(2023)).await.expect("it is set");
    world.check_books().await;
    world.recorded(&[stake("1", "400", "01-10")]).await;
    // 15 % of 300, and 20 carried in, from the first step because the year is another one.
    assert_eq!(world.total(contract, "2024-01").await, 4_500 + 2_000);
    world.admin.set_opening_balances(opening(2024)).await.expect("it is set again");
    world.check_books().await;
    // 100 at 15 % and 200 at 10 %.
    assert_eq!(world.total(contract, "2024-01").await, 1_500 + 2_000 + 2_000);
    let moved = NewFund { opening: true, ..fund(contract, FundKind::Advance, "10", None) };
    world.funded(moved).await;
    assert_eq!(world.total(contract, "2024-01").await, 0, "45 are left, below what is paid out");
    assert_eq!(world.balances().await["OPENING"], 2_000 - 1_000);
    world.close_next(contract).await;
    world.check_books().await;
    let refused = problems(world.admin.set_opening_balances(opening(2024)).await);
    assert_eq!(refused, ["WRONG_STATE contractId"], "a settlement is closed");
}

/// What was carried in at the beginning is used up once, also where a settlement after it came to nothing at all.
#[tokio::test]
async fn what_a_contract_moved_in_with_does_not_come_again() {
    let world = World::new().await;
    let contract = world.contract("moved", json!({ "minimumPayout": "5" })).await;
    let opening = OpeningBalances {
        contract,
        currency: "EUR".to_owned(),
        carried_base: vec![(String::new(), "-100".to_owned())],
        players: vec![],
        carried_amount: "2".to_owned(),
        year: None,
    };
    world.admin.set_opening_balances(opening).await.expect("it is set");
    world.recorded(&[stake("1", "400", "01-10")]).await;
    assert_eq!(world.total(contract, "2024-01").await, 3_000 + 200);
    world.close_next(contract).await;
    // Nothing happens in February, so that its close freezes nothing.
    world.close_next(contract).await;
    world.recorded(&[stake("2", "400", "03-10")]).await;
    assert_eq!(world.total(contract, "2024-03").await, 4_000);
    world.check_books().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_path() {
    let world = World::new().await;
    let plain = world.contract("share", json!({})).await;
    let refused = problems(world.admin.record_fund(fund(plain, FundKind::Advance, "x", Some("1"))).await);
    assert_eq!(refused, ["WRONG_STATE contractId", "BAD_AMOUNT amount", "BAD_INPUT percent"]);
    let positive = OpeningBalances {
        contract: plain,
        currency: "EUR".to_owned(),
        carried_base: vec![(String::new(), "5".to_owned())],
        players: vec![],
        carried_amount: "-1".to_owned(),
        year: None,
    };
    let refused = problems(world.admin.set_opening_balances(positive).await);
    assert_eq!(refused, ["BAD_INPUT carriedBase.0.amount", "NEGATIVE_AMOUNT carriedAmount"]);
    let elsewhere = NewFund { currency: "USD".to_owned(), ..fund(plain, FundKind::Advance, "1", None) };
    assert_eq!(problems(world.admin.record_fund(elsewhere).await), ["WRONG_STATE contractId"]);
}
