//! Explanations: the steps of every line lead to it, and its transactions add up to its base.

use domain::contracts::text;
use domain::ids::ContractId;
use domain::money::{Rounding, Share};
use domain::notifications::Language;
use domain::page::PageRequest;
use domain::settlements::formula::{StepKind, Value};
use domain::settlements::fund::FundKind;
use domain::settlements::settlement::LineCode;
use domain::settlements::{LineExplanation, Settlement};
use domain::{Role, Scoped};
use serde_json::{Value as Json, json};

use crate::facts::*;
use crate::funds::fund;
use crate::replay::{changed, rich, with_a_past};
use crate::support::*;

/// Counts of what was looked at.
#[derive(Debug, Default)]
struct Seen {
    lines: usize,
    closed: usize,
    corrections: usize,
    bases: usize,
    late: usize,
    rollbacks: usize,
    drawn: usize,
    recouped: usize,
}

async fn all_of(world: &World, contract: ContractId, seen: &mut Seen) {
    for settlement in world.settlements(contract).await {
        let statement = world.statement(settlement.id).await;
        let explained = world.admin.explain_lines(settlement.id).await.expect("lines");
        assert_eq!(explained.len(), statement.lines.len());
        for (line, explained) in statement.lines.iter().zip(explained) {
            let explained = explained.unwrap_or_else(|why| panic!("{line:?} of {settlement:?}: {why}"));
            assert_eq!(&explained.line, line);
            assert!(!explained.steps.is_empty() && explained.path.is_some(), "{explained:?}");
            for step in &explained.steps {
                let said = text::step(step, &explained.asset);
                for words in Language::ALL.map(|language| said.in_language(language)) {
                    assert!(!words.starts_with("formula.") && !words.contains(['{', '}']), "{words} of {step:?}");
                }
            }
            seen.lines += 1;
            seen.closed += usize::from(settlement.state == "CLOSED");
            seen.corrections += usize::from(line.code == LineCode::Correction);
            seen.drawn += usize::from(line.code == LineCode::Drawn);
            seen.recouped += usize::from(line.code == LineCode::Recouped);
            transactions_add_up(world, &settlement, &explained, seen).await;
        }
    }
}

/// Over all pages, what transactions add comes to the base that the line begins with.
async fn transactions_add_up(world: &World, settlement: &Settlement, of: &LineExplanation, seen: &mut Seen) {
    let begins = of.steps.iter().find(|step| step.kind == StepKind::Base).map(|step| step.result);
    let base = match begins {
        Some(Value::Units(base) | Value::Count(base)) if of.line.code.is_computed() => Some(base),
        _ if of.line.code == LineCode::Correction && of.line.rate_class.is_some() => None,
        _ => return,
    };
    let (mut sum, mut after, mut count) = (Share::default(), None, 0);
    loop {
        let page = PageRequest { first: 7, after };
        let (page, next) = world.admin.line_transactions(settlement.id, of.position, page).await.expect("transactions");
        assert!(page.items.len() <= 7);
        for fed in &page.items {
            sum = sum.checked_add(fed.adds).expect("a sum");
            count += 1;
            seen.late += usize::from(fed.late);
            seen.rollbacks += usize::from(fed.undoes.is_some());
        }
        after = next.map(|next| next.0);
        if after.is_none() {
            break;
        }
    }
    if let Some(base) = base {
        seen.bases += 1;
        assert_eq!(sum.round_units(Rounding::HalfEven), Ok(base), "{count} transactions of {:?}", of.line);
    }
}

/// Terms with every clause that makes a line.
fn variant(seed: u64) -> Json {
    let attribution = ["OCCURRED", "SETTLED"][seed as usize % 2];
    let terms = rich(attribution, "9.125");
    let treatment = ["INCLUDE", "STAKE_ONLY", "EXCLUDE"][seed as usize % 3];
    let deductions = json!([
        { "code": "bonus", "take": { "costs": { "of": ["BONUS_STAKES", "BONUS_WINS"], "percent": "70" } },
          "cap": { "percent": "15", "of": "GGR" } },
        { "code": "tax", "take": { "percentOf": { "percent": "3.5", "of": "TURNOVER" } } },
        { "code": "platform", "take": { "amount": "33.33" } },
        { "code": "rest", "take": { "percentOf": { "percent": "1", "of": "RUNNING" } } },
    ]);
    match seed % 6 {
        0 => changed(
            terms,
            json!({ "base": { "ngr": { "bonusTreatment": treatment, "deductions": deductions } }, "cap": "90",
                    "negative": { "mode": "CARRY", "level": "PER_CLASS" }, "rounding": "HALF_UP" }),
        ),
        1 => changed(
            terms,
            json!({ "base": { "ngr": { "bonusTreatment": treatment, "deductions": deductions } },
                    "fees": [{ "code": "rent", "charge": { "amount": "12.5" } },
                             { "code": "clicks", "charge": { "perUnit": { "price": "0.25", "promotional": "33" } } }],
                    "minimumGuarantee": "150" }),
        ),
        2 => changed(
            terms,
            json!({ "base": { "units": { "promotional": "50" } }, "rateTable": { "rows": [
                { "code": "dice", "when": "product == 'dice'", "tiers": { "mode": "MARGINAL", "period": "YEAR",
                  "steps": [{ "upTo": "10", "perUnit": "1.5" }, { "perUnit": "0.75" }] } },
                { "code": "rest", "perUnit": "0.3333" }] } }),
        ),
        3 => changed(
            terms,
            json!({ "base": { "turnover": { "bonusTreatment": treatment } }, "advance": { "percent": "60" },
                    "minimumPayout": "40", "negative": { "mode": "PAYABLE_BY_PARTNER" } }),
        ),
        4 => changed(terms, json!({ "prepaid": { "lowBalance": "100" } })),
        _ => changed(
            terms,
            json!({ "negative": { "mode": "CARRY", "level": "PER_CLASS" }, "rateTable": { "match": "COLLECT", "rows": [
                { "code": "all", "percent": "7.5" },
                { "code": "dice", "when": "product == 'dice'", "percent": "2" },
                { "code": "vip", "when": "localHour >= 6 and localHour < 18", "percent": "1.25" }] } }),
        ),
    }
}

#[tokio::test]
async fn every_line_is_explained_and_its_transactions_add_up_to_its_base() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        let later = (seed % 3 == 0).then(|| changed(variant(seed), json!({ "validFrom": "2024-04-10" })));
        let (world, contract) = with_a_past(seed + 100, variant(seed), later).await;
        // Open settlements take from it.
        match seed % 6 {
            3 => drop(world.admin.record_fund(fund(contract, FundKind::Advance, "25.50", None)).await.expect("a fund")),
            4 => drop(
                world.admin.record_fund(fund(contract, FundKind::Credit, "300", Some("12"))).await.expect("a fund"),
            ),
            _ => {}
        }
        all_of(&world, contract, &mut seen).await;
    }
    for seed in 0..6 {
        let later = changed(rich("OCCURRED", "4"), json!({ "validFrom": "2024-02-01" }));
        let (world, contract) = with_a_past(seed + 200, rich("OCCURRED", "9"), Some(later)).await;
        all_of(&world, contract, &mut seen).await;
    }
    assert!(seen.lines >= 1_000 && seen.bases > 200, "{seen:?}");
    assert!(seen.drawn > 0 && seen.recouped > 0, "{seen:?}");
    assert!(seen.closed > 50 && seen.corrections > 20 && seen.late > 20 && seen.rollbacks > 20, "{seen:?}");
}

#[tokio::test]
async fn a_partners_user_is_told_of_its_own_lines_and_transactions_only() {
    let world = World::new().await;
    let contract = world.contract("share", json!({ "scope": { "sources": [world.source] } })).await;
    let other_partner = partner(&world.admin, "Other games").await;
    let other = world.contract_with(other_partner, "other", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10"), win("2", "30", "01-11")]).await;
    let own = world.settlements(contract).await.remove(0);
    let others = world.settlements(other).await.remove(0);
    let user = world.tenant.member(&world.app, "pia@acme.test", Role::ReadOnly, Some(world.partner)).await;
    let explained = user.explain_line(own.id, 1).await.expect("its own line");
    assert_eq!(explained.line, world.statement(own.id).await.lines[0]);
    let page = || PageRequest { first: 10, after: None };
    let (rows, _) = user.line_transactions(own.id, 1, page()).await.expect("its transactions");
    assert_eq!(rows.items.len(), 2);
    assert!(is_not_found(user.explain_line(others.id, 1).await), "another partner's line");
    assert!(is_not_found(user.line_transactions(others.id, 1, page()).await));
    let id = rows.items[0].transaction.id;
    let of = async |scoped: &Scoped| -> Vec<ContractId> {
        let page = PageRequest { first: 10, after: None };
        let told = scoped.explain_transaction(id, page).await.expect("contracts").items;
        told.iter().map(|one| one.considered.contract).collect()
    };
    assert_eq!(of(&world.admin).await.len(), 2);
    let contracts = of(&user).await;
    assert_eq!(contracts, [contract], "and nothing of what the other's contract makes of it");
}
