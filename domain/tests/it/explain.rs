//! Explanations: the steps of every line lead to it, and its transactions add up to its base.

use domain::ids::ContractId;
use domain::money::{Rounding, Share};
use domain::page::PageRequest;
use domain::settlements::formula::{StepKind, Value};
use domain::settlements::settlement::LineCode;
use domain::settlements::{LineExplanation, Settlement};
use serde_json::{Value as Json, json};

use crate::facts::*;
use crate::replay::{changed, rich, with_a_past};

/// Counts of what was looked at.
#[derive(Debug, Default)]
struct Seen {
    lines: usize,
    closed: usize,
    corrections: usize,
    bases: usize,
    late: usize,
    rollbacks: usize,
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
            seen.lines += 1;
            seen.closed += usize::from(settlement.state == "CLOSED");
            seen.corrections += usize::from(line.code == LineCode::Correction);
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
    match seed % 4 {
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
        _ => changed(
            terms,
            json!({ "base": { "turnover": { "bonusTreatment": treatment } }, "advance": { "percent": "60" },
                    "minimumPayout": "40", "negative": { "mode": "PAYABLE_BY_PARTNER" } }),
        ),
    }
}

#[tokio::test]
async fn every_line_is_explained_and_its_transactions_add_up_to_its_base() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        let later = (seed % 3 == 0).then(|| changed(variant(seed), json!({ "validFrom": "2024-04-10" })));
        let (world, contract) = with_a_past(seed + 100, variant(seed), later).await;
        all_of(&world, contract, &mut seen).await;
    }
    for seed in 0..6 {
        let later = changed(rich("OCCURRED", "4"), json!({ "validFrom": "2024-02-01" }));
        let (world, contract) = with_a_past(seed + 200, rich("OCCURRED", "9"), Some(later)).await;
        all_of(&world, contract, &mut seen).await;
    }
    assert!(seen.lines >= 1_000 && seen.bases > 200, "{seen:?}");
    assert!(seen.closed > 50 && seen.corrections > 20 && seen.late > 20 && seen.rollbacks > 20, "{seen:?}");
}
