//! Conditions that give no answer on some values: a division by zero, an attribute that is not there. Each is tried on
//! values that may come: all hours, days and kinds, and of the rest one that is there and none.

use rust_decimal::Decimal;
use zen_expression::vm::VM;
use zen_expression::{Scope, Variable};

use super::{Finding, FindingKind, MAX_TOLD, Parsed, condition_of};
use crate::contracts::cell::KINDS;
use crate::contracts::condition::{ATTRIBUTES, Condition, Needs, Var};
use crate::contracts::contract::{Promotion, RateTable, Weekday};

/// Trials of all conditions of a table.
const MAX_TRIALS: usize = 200_000;
/// Combinations of hours, days and kinds: 24 × 7 × 10.
const ALL_COMBINATIONS: usize = 1_680;

/// Only what cannot be read at all.
pub(super) fn syntax(table: &RateTable, found: &mut Vec<Finding>) {
    for (row, when) in table.rows.iter().enumerate().filter_map(|(row, text)| Some((row, text.when.as_deref()?))) {
        condition_of(row, when, found);
    }
}

pub(super) fn check(parsed: &Parsed<'_>, promotions: &[Promotion], found: &mut Vec<Finding>) {
    let (mut vm, mut trials, mut told) = (VM::new(), 0, 0);
    for (row, when) in parsed.whens.iter().enumerate().filter_map(|(row, when)| Some((row, (*when)?))) {
        let Some(condition) = condition_of(row, when, found) else { continue };
        if trials > MAX_TRIALS || told >= MAX_TOLD {
            continue;
        }
        let Some((values, error)) = failure(&condition, promotions, &mut vm, &mut trials) else { continue };
        told += 1;
        let code = &parsed.rows[row].code;
        let hint = "; such a transaction has no rate, or a wrong one";
        let message = format!("the condition of row '{code}' gives no answer {values}: {error}{hint}");
        let path = format!("rateTable.rows.{row}.when");
        // Hours, days and kinds are sure to come.
        let finding = if reads_certain_things(&condition.needs) {
            Finding::error(FindingKind::MayFail, path, message)
        } else {
            Finding::warning(FindingKind::MayFail, path, message)
        };
        found.push(finding.at(row, None));
    }
    if trials > MAX_TRIALS {
        let message = "there are too many conditions to try all of them on values that may come";
        found.push(Finding::warning(FindingKind::NotProven, "rateTable.rows", message));
    }
}

const CERTAIN: [Var; 3] = [Var::Kind, Var::LocalHour, Var::LocalWeekday];

fn reads_certain_things(needs: &Needs) -> bool {
    needs.attributes.is_empty() && Var::ALL.into_iter().all(|var| !needs.has(var) || CERTAIN.contains(&var))
}

/// A variable or attribute, and the values it is tried with; the first is the ordinary one.
struct Tried {
    name: String,
    var: Option<Var>,
    values: Vec<Variable>,
}

/// The first values on which the condition fails, and how.
fn failure(
    condition: &Condition,
    promotions: &[Promotion],
    vm: &mut VM,
    trials: &mut usize,
) -> Option<(String, String)> {
    let tried = tried(&condition.needs, promotions);
    let combinations = tried.iter().map(|tried| tried.values.len()).product::<usize>();
    let everything = reads_certain_things(&condition.needs) && combinations <= ALL_COMBINATIONS;
    let strict = condition.strict();
    let mut try_on = |picks: &[usize]| {
        *trials += 1;
        let scope = scope(&tried, picks);
        let failed = condition.holds(&scope, vm).err();
        let divided = strict.as_ref().filter(|_| failed.is_none()).and_then(|strict| strict.holds(&scope, vm).err());
        let error = match (failed, divided) {
            (Some(error), _) if strict.is_some() => format!("{error} (does it divide by zero?)"),
            (Some(error), _) => error,
            (None, divided) => divided.map(|_| "it divides by zero, which gives nothing".to_owned())?,
        };
        let shown = tried.iter().zip(picks).map(|(tried, pick)| match &tried.values[*pick] {
            Variable::Null => format!("{} is not there", tried.name),
            Variable::Array(list) if list.borrow().is_empty() => format!("there are no {}", tried.name),
            Variable::Array(_) => format!("there are {}", tried.name),
            Variable::Number(number) => format!("{} is {number}", tried.name),
            other => format!("{} is {}", tried.name, other.as_str().unwrap_or_default()),
        });
        let shown: Vec<String> = shown.collect();
        Some((format!("when {}", shown.join(" and ")), error))
    };
    let ordinary = vec![0; tried.len()];
    if let Some(failed) = try_on(&ordinary) {
        return Some(failed);
    }
    if everything {
        return (1..combinations).find_map(|mut number| {
            let picks: Vec<usize> = tried
                .iter()
                .map(|tried| {
                    let pick = number % tried.values.len();
                    number /= tried.values.len();
                    pick
                })
                .collect();
            try_on(&picks)
        });
    }
    // One after the other, beside ordinary ones.
    (0..tried.len()).find_map(|place| {
        (1..tried[place].values.len()).find_map(|pick| {
            let mut picks = ordinary.clone();
            picks[place] = pick;
            try_on(&picks)
        })
    })
}

fn tried(needs: &Needs, promotions: &[Promotion]) -> Vec<Tried> {
    let text = |text: &str| Variable::String(text.into());
    let values = |var: Var| match var {
        Var::Kind => KINDS.iter().map(|kind| text(kind.as_str())).collect(),
        Var::LocalHour => (0..24).rev().map(|hour| Variable::Number(Decimal::from(hour))).collect(),
        Var::LocalWeekday => Weekday::ALL.iter().map(|day| text(day.as_str())).collect(),
        Var::Tags => vec![Variable::from_array(vec![text("1")]), Variable::from_array(Vec::new())],
        Var::Promotion => {
            let codes = promotions.iter().take(1).map(|promotion| text(&promotion.code));
            codes.chain([Variable::Null]).collect()
        }
        _ => vec![text("1"), text("0"), Variable::Null],
    };
    let vars = Var::ALL.into_iter().filter(|var| needs.has(*var));
    let vars = vars.map(|var| Tried { name: var.name().to_owned(), var: Some(var), values: values(var) });
    let attributes = needs.attributes.iter().map(|name| Tried {
        name: format!("{ATTRIBUTES}.{name}"),
        var: None,
        values: vec![text("1"), text("0"), Variable::Null],
    });
    vars.chain(attributes).collect()
}

fn scope(tried: &[Tried], picks: &[usize]) -> Scope {
    let mut scope = Scope::default();
    let attributes = Variable::empty_object();
    for (tried, pick) in tried.iter().zip(picks) {
        let value = tried.values[*pick].clone();
        match (tried.var, &attributes) {
            (Some(var), _) => scope.set_local(var.name().into(), value),
            (None, Variable::Object(object)) => {
                let name = tried.name.strip_prefix("attributes.").unwrap_or_default();
                object.borrow_mut().insert(Variable::key(name), value);
            }
            (None, _) => {}
        }
    }
    scope.set_local(ATTRIBUTES.into(), attributes);
    scope
}
