//! Tiers in one cell: `MARGINAL: 15 to 10000; 12 to 50000; 10`. The number after `to` belongs to the step, and the
//! last step has none. `MARGINAL YEAR BEFORE_CARRY:` says what fills them and what they read, and `0.05 each to 1000`
//! is a price for each unit.

use crate::contracts::contract::{TierMode, TierPeriod, TierReads, TierStep, Tiers};
use crate::money::Price;

const FORM: &str =
    "tiers are written like MARGINAL: 15 to 10000; 12 to 50000; 10 (per cent, up to an amount; the last step is open)";
const YEAR: &str = "YEAR";
const BEFORE_CARRY: &str = "BEFORE_CARRY";
const EACH: &str = " each";

pub(super) fn read(text: &str) -> Result<Tiers, String> {
    let (head, steps) = text.split_once(':').ok_or(FORM)?;
    let head = head.trim().to_ascii_uppercase();
    let mut words = head.split_whitespace();
    let mode = match words.next().unwrap_or_default() {
        "MARGINAL" => TierMode::Marginal,
        "VOLUME" => TierMode::Volume,
        other => return Err(format!("'{other}' is neither MARGINAL nor VOLUME; {FORM}")),
    };
    let (mut period, mut reads) = (TierPeriod::Settlement, TierReads::AfterCarry);
    for word in words {
        match word {
            YEAR => period = TierPeriod::Year,
            BEFORE_CARRY => reads = TierReads::BeforeCarry,
            other => return Err(format!("'{other}' is neither {YEAR} nor {BEFORE_CARRY}; {FORM}")),
        }
    }
    Ok(Tiers { mode, period, reads, steps: steps.split(';').map(step).collect::<Result<_, _>>()? })
}

fn step(step: &str) -> Result<TierStep, String> {
    let (rate, up_to) = match step.split_once(" to ") {
        Some((rate, up_to)) => (rate.trim(), Some(up_to.trim().to_owned())),
        None => (step.trim(), None),
    };
    if let Some(price) = rate.strip_suffix(EACH) {
        let price = Price::parse(price.trim()).map_err(|error| format!("{error}; {FORM}"))?;
        return Ok(TierStep { up_to, percent: None, per_unit: Some(price) });
    }
    let percent = super::rate(rate).map_err(|error| format!("{error}; {FORM}"))?;
    Ok(TierStep { up_to, percent: Some(percent), per_unit: None })
}

pub(super) fn write(tiers: &Tiers) -> String {
    let mut head = match tiers.mode {
        TierMode::Marginal => "MARGINAL".to_owned(),
        TierMode::Volume => "VOLUME".to_owned(),
    };
    let said = [(tiers.period == TierPeriod::Year, YEAR), (tiers.reads == TierReads::BeforeCarry, BEFORE_CARRY)];
    for (_, word) in said.into_iter().filter(|(said, _)| *said) {
        head = format!("{head} {word}");
    }
    let steps = tiers.steps.iter().map(|step| {
        let percent = step.percent.map(|percent| percent.to_string());
        let rate = percent.or(step.per_unit.map(|price| format!("{price}{EACH}"))).unwrap_or_default();
        match &step.up_to {
            Some(up_to) => format!("{rate} to {up_to}"),
            None => rate,
        }
    });
    format!("{head}: {}", steps.collect::<Vec<_>>().join("; "))
}
