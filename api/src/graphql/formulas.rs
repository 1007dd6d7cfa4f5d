//! The steps of a formula, with their values.

use async_graphql::{Enum, SimpleObject};
use domain::contracts::text;
use domain::money::Asset;
use domain::notifications;
use domain::settlements::formula::{self, Value};

use super::page::short;
use super::scalars::Decimal;

/// What a step of a formula does.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "FormulaStepKind", remote = "formula::StepKind")]
pub enum FormulaStepKind {
    /// What transactions of one kind add to the base: `amount` times `sign`, or `units` at `percent`.
    Counted,
    /// All of that together.
    Base,
    /// What a deduction takes: `asked`, at most `cap`, is the `cost` of which the class bears `weight` of `weights`.
    Deduction,
    /// What deductions leave of the base.
    Left,
    /// What other classes and the carried base leave of `before`.
    Netted,
    /// What `players` lost again, off the `total`: no more than `stood` against them, of the `bases` that they have now.
    SetOff,
    /// What `players` at the `threshold` won, out of a negative `total`: no more than brings it to nothing, of `losses` in
    /// all.
    Fenced,
    /// A base that the period before carries in.
    CarriedBase,
    /// A `stretch` of the base at its `rate`, exactly.
    Rated,
    /// The `exact` sum, rounded once as `of` says.
    Rounded,
    /// The part of an `amount` that goes to `days` of `ofDays`.
    Part,
    /// What the lines come to that a cap or guarantee bounds.
    Bounded,
    /// What the `bound` differs from the `sum` by.
    Bound,
    /// What a closed settlement comes to `now`, less `then`, less what was `corrected` since.
    Corrected,
    /// What credit pays: it was `drawn` down from `before` to `after`.
    Drawn,
    /// What is kept back for advances: `most` of what is due, and no more than is `left`.
    Recouped,
    /// Earned before, and below the minimum payout then.
    CarriedIn,
    /// All that is `due`, because it is below the `minimumPayout`.
    CarriedOut,
    /// What a party has of the `total`: `weight` of `weights` is the `whole` with `rest` of `restOf` of a minor unit over,
    /// and a `unit` more for those with the most over.
    Shared,
}

/// What a value of a formula is measured in.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum FormulaUnit {
    /// Major units of the settlement's currency.
    Money,
    /// Counted units.
    Units,
    /// Per cent.
    Percent,
    /// Major units for one unit.
    Price,
    /// A plain number: a sign, days, transactions, a weight.
    Number,
}

/// A value of a formula.
#[derive(SimpleObject)]
pub struct FormulaValue {
    /// What it is called in the step; `result` of the outcome.
    pub name: String,
    /// What it is measured in.
    pub unit: FormulaUnit,
    /// Exactly.
    pub value: Decimal,
}

impl FormulaValue {
    fn new(name: &str, value: Value, asset: &Asset) -> Self {
        let unit = match value {
            Value::Units(_) | Value::Minor(_) | Value::Exact(_) => FormulaUnit::Money,
            Value::Count(_) => FormulaUnit::Units,
            Value::Percent(_) => FormulaUnit::Percent,
            Value::Price(_) => FormulaUnit::Price,
            Value::Number(_) => FormulaUnit::Number,
        };
        Self { name: name.to_owned(), unit, value: Decimal(value.shown(asset)) }
    }
}

/// One step of a formula.
#[derive(SimpleObject)]
pub struct FormulaStep {
    /// What it does.
    pub kind: FormulaStepKind,
    /// The step in words.
    pub text: String,
    /// Where the version's terms say so, such as `rateTable.rows.0.percent`.
    pub path: Option<String>,
    /// What it is about: a kind of transaction, the code of a deduction, a rate class, a rounding.
    pub of: Option<String>,
    /// What goes in, by name.
    #[graphql(complexity = "short(child_complexity)")]
    pub values: Vec<FormulaValue>,
    /// What comes out.
    pub result: FormulaValue,
}

impl FormulaStep {
    pub fn new(step: &formula::Step, asset: &Asset, language: notifications::Language) -> Self {
        let values: Vec<FormulaValue> =
            step.values.iter().map(|(name, value)| FormulaValue::new(name, *value, asset)).collect();
        let result = FormulaValue::new("result", step.result, asset);
        let of = step.of.as_deref().filter(|of| !of.is_empty());
        let text = text::step(step, asset).in_language(language);
        Self { kind: step.kind.into(), text, path: step.path.clone(), of: of.map(str::to_owned), values, result }
    }
}
