//! How a line came about: the steps of its formula, each with its values, told by the functions that calculate it.
//!
//! A step says what went in and what came out, exactly. [`check`] adds it all up again from these values alone, so that
//! an explanation that does not lead to its line is found out and never shown.

use crate::money::{Asset, Minor, Rate, Rounding, Share, Units};

use super::line::{Line, LineCode};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// What transactions of one kind add to the base, with the sign that they have in it.
    Counted,
    /// All of that together.
    Base,
    /// What a deduction takes from the class.
    Deduction,
    /// What deductions leave of the base.
    Left,
    /// What other classes and the carried base leave of the base.
    Netted,
    /// What players lose again is set off against what stands against them.
    SetOff,
    /// What players won is taken out of a negative total.
    Fenced,
    /// A base that the period before carries in.
    CarriedBase,
    /// A stretch of the base at its rate.
    Rated,
    /// The sum, rounded once.
    Rounded,
    /// The part of an amount for a period that goes to the days a version governs.
    Part,
    /// What the lines before come to that a cap or guarantee bounds.
    Bounded,
    /// What is above the cap, or missing to the guarantee.
    Bound,
    /// What a closed settlement comes to now, less what it came to and what was corrected since.
    Corrected,
    /// What credit that was paid beforehand pays.
    Drawn,
    /// What is kept back for advances.
    Recouped,
    /// Money from before, below the minimum payout then.
    CarriedIn,
    /// Money that is below the minimum payout.
    CarriedOut,
    /// What a party has of the total.
    Shared,
}

/// A value of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Accounting units of money.
    Units(Units),
    /// Counted units: one is a major unit.
    Count(Units),
    Minor(Minor),
    /// Per cent.
    Percent(Rate),
    /// Major units for one.
    Price(Rate),
    /// Not rounded yet, of money.
    Exact(Share),
    Number(i128),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub kind: StepKind,
    /// Where the version's terms say so, such as `rateTable.rows.0.percent`.
    pub path: Option<String>,
    /// What it is about: a kind of transaction, the code of a deduction, a rate class, how something is rounded.
    pub of: Option<String>,
    pub values: Vec<(&'static str, Value)>,
    pub result: Value,
}

/// The steps of one line, in order.
pub type Working = Vec<Step>;

impl Step {
    pub fn new(kind: StepKind, values: Vec<(&'static str, Value)>, result: Value) -> Self {
        Self { kind, path: None, of: None, values, result }
    }

    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    pub fn of(self, of: impl Into<String>) -> Self {
        Self { of: Some(of.into()), ..self }
    }

    pub fn value(&self, name: &str) -> Option<Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Option<i128> {
        self.value(name).and_then(Value::number)
    }
}

impl Value {
    /// The number in it, but for what is not rounded yet and rates.
    pub fn number(self) -> Option<i128> {
        match self {
            Self::Units(units) | Self::Count(units) => Some(i128::from(units.0)),
            Self::Minor(minor) => Some(i128::from(minor.0)),
            Self::Number(number) => Some(number),
            Self::Percent(_) | Self::Price(_) | Self::Exact(_) => None,
        }
    }

    /// Of what is counted: money that is not rounded yet, or units.
    fn share(self) -> Option<Share> {
        match self {
            Self::Exact(share) => Some(share),
            Self::Count(units) => Some(Share::whole(units.0.into())),
            _ => None,
        }
    }

    /// As a decimal number: money and counted units in major units.
    pub fn shown(self, asset: &Asset) -> String {
        match self {
            Self::Units(units) => asset.format_units(units),
            Self::Count(units) => {
                let text = asset.format_units(units);
                if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
            }
            Self::Minor(minor) => asset.format_minor(minor),
            Self::Percent(rate) | Self::Price(rate) => rate.to_string(),
            Self::Exact(share) => asset.format_share(share),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// How a rounding is called in a step.
pub(super) const fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::HalfEven => "HALF_EVEN",
        Rounding::HalfUp => "HALF_UP",
        Rounding::Down => "DOWN",
        Rounding::Up => "UP",
    }
}

fn rounding_of(name: &str) -> Option<Rounding> {
    [Rounding::HalfEven, Rounding::HalfUp, Rounding::Down, Rounding::Up]
        .into_iter()
        .find(|rounding| rounding_name(*rounding) == name)
}

/// Lines as they come about, and of each its working, where that is asked for.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub lines: Vec<Line>,
    workings: Option<Vec<Working>>,
}

impl Sheet {
    pub fn new(told: bool) -> Self {
        Self { lines: Vec::new(), workings: told.then(Vec::new) }
    }

    pub const fn is_told(&self) -> bool {
        self.workings.is_some()
    }

    /// `working` is made only where it is asked for.
    pub fn push(&mut self, line: Line, working: impl FnOnce() -> Working) {
        self.lines.push(line);
        if let Some(workings) = &mut self.workings {
            workings.push(working());
        }
    }

    pub fn extend(&mut self, other: Self) {
        let mut workings = other.workings.unwrap_or_default().into_iter();
        for line in other.lines {
            self.push(line, || workings.next().unwrap_or_default());
        }
    }

    pub fn into_parts(self) -> (Vec<Line>, Vec<Working>) {
        (self.lines, self.workings.unwrap_or_default())
    }
}

/// Whether the steps lead to the line: each by its own values, one to the next, and the last to what the line says.
/// Says otherwise where they part.
pub fn check(line: &Line, working: &[Step], asset: &Asset) -> Result<(), String> {
    let mut run = Running { asset, base: None, counted: Share::default(), rated: Share::default(), stretch: 0 };
    for (position, step) in working.iter().enumerate() {
        if !run.follows(step).unwrap_or(false) {
            return Err(format!("step {} ({:?}) of {} does not add up", position + 1, step.kind, line.code.as_str()));
        }
    }
    let last = working.last().map(|step| step.result).and_then(Value::number);
    let told = if line.code.is_memo() { line.base.map(|base| i128::from(base.0)) } else { Some(line.amount.0.into()) };
    // What a deduction takes stands in its line with the other sign.
    let told = if line.code == LineCode::Deduction { told.map(|told| -told) } else { told };
    if last.is_none() || last != told {
        return Err(format!("the steps of {} lead to {last:?} and not to {told:?}", line.code.as_str()));
    }
    Ok(())
}

struct Running<'a> {
    asset: &'a Asset,
    /// What is left of the base so far.
    base: Option<i128>,
    counted: Share,
    rated: Share,
    /// The stretches rated so far.
    stretch: i128,
}

impl Running<'_> {
    fn follows(&mut self, step: &Step) -> Option<bool> {
        let result = step.result.number();
        Some(match step.kind {
            StepKind::Counted => {
                let share = step.result.share()?;
                self.counted = self.counted.checked_add(share).ok()?;
                let plain = step.number("amount").zip(step.number("sign")).map(|(amount, sign)| amount * sign);
                plain.is_none_or(|plain| share == Share::whole(plain))
            }
            StepKind::Base => {
                self.base = result;
                i128::from(self.counted.round_units(Rounding::HalfEven).ok()?.0) == result?
            }
            StepKind::Deduction => {
                let (cost, taken) = (step.number("cost")?, result?);
                let asked = step.number("asked")?;
                let (weight, weights) = (step.number("weight")?.max(0), step.number("weights")?);
                self.base = self.base.map(|base| base - taken);
                // A share by largest remainder is the exact one, or the next whole one.
                let exact = (cost * weight).checked_div(weights)?;
                cost == step.number("cap").map_or(asked, |cap| cap.min(asked)) && (exact..=exact + 1).contains(&taken)
            }
            StepKind::Left => self.base == result,
            StepKind::Netted => {
                let before = self.base.replace(result?);
                before == step.number("before")
            }
            StepKind::SetOff | StepKind::Fenced => fence_follows(step)?,
            StepKind::Rated => {
                let slice = step.number("stretch")?;
                let Value::Exact(share) = step.result else { return None };
                let units = Units::narrow(slice).ok()?;
                let product = match step.value("rate")? {
                    Value::Percent(rate) => rate.of(units),
                    Value::Price(rate) => crate::money::Price::of_digits(rate).of(units),
                    _ => return None,
                };
                self.stretch += slice;
                self.rated = self.rated.checked_add(share).ok()?;
                product == share
            }
            StepKind::Rounded => {
                let rounded = self.rated.round(self.asset, rounding_of(step.of.as_deref()?)?).ok()?;
                i128::from(rounded.0) == result? && self.base == Some(self.stretch)
            }
            StepKind::Part => {
                let rounding = rounding_of(step.of.as_deref()?)?;
                rounding.divide(step.number("amount")? * step.number("days")?, step.number("ofDays")?) == result?
            }
            StepKind::Bound => {
                let difference = step.number("bound")? - step.number("sum")?;
                result? == difference && difference != 0
            }
            StepKind::Corrected => step.number("now")? - step.number("then")? - step.number("corrected")? == result?,
            StepKind::Drawn => {
                let (played, owed, drawn) = (step.number("played")?, step.number("owed")?, step.number("drawn")?);
                let paid = Rounding::HalfEven.divide(owed * drawn * played.signum(), played.abs());
                -paid == result? && step.number("before")? + drawn == step.number("after")?
            }
            StepKind::Recouped => {
                let (most, left) = (step.number("most")?, step.number("left")?);
                -most.min(left) == result?
            }
            StepKind::CarriedOut => -step.number("due")? == result?,
            StepKind::Shared => shared(step)?,
            StepKind::Bounded | StepKind::CarriedBase | StepKind::CarriedIn => result.is_some(),
        })
    }
}

/// Whether a party's part follows from its weight: the exact part without its fraction, and at most one unit.
pub(super) fn shared(step: &Step) -> Option<bool> {
    let (Value::Percent(weight), Value::Percent(weights)) = (step.value("weight")?, step.value("weights")?) else {
        return None;
    };
    let product = step.number("total")? * i128::from(weight.weight());
    let (whole, unit) = (step.number("whole")?, step.number("unit")?);
    let exact = product.checked_div(i128::from(weights.weight()))?;
    let rest = unit == 0 || (unit == product.signum() && step.number("rest")? != 0);
    Some(exact == whole && rest && whole + unit == step.result.number()?)
}

/// What players of the ring-fence move the total by: no more than there is of it.
fn fence_follows(step: &Step) -> Option<bool> {
    let (total, left, by) = (step.number("total")?, step.number("left")?, step.result.number()?);
    let most = match step.kind {
        StepKind::SetOff => -by <= step.number("bases")?.min(step.number("stood")?),
        _ => by == step.number("losses")?.min(-total),
    };
    Some(most && left == total + by)
}
