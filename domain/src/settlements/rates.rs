//! Rates on a base: flat, or in tiers. Mirrored: the share of −x is the negative of the share of x.

use crate::contracts::contract::{RateRow, TierMode};
use crate::error::{Code, Problem};
use crate::money::{Asset, MoneyError, Rate, Share, Units};

/// What a row of the rate table pays, with its steps in accounting units.
#[derive(Debug)]
pub(super) enum Rates {
    Flat(Rate),
    /// Steps by their upper edge, which belongs to the lower step; the last one has none.
    Marginal(Vec<(Option<Units>, Rate)>),
    Volume(Vec<(Option<Units>, Rate)>),
}

impl Rates {
    pub fn of(row: &RateRow, asset: &Asset) -> Result<Self, Problem> {
        let Some(tiers) = &row.tiers else {
            let missing = || Problem::new(Code::BadInput, "", format!("rate class '{}' has no rate", row.code));
            return row.percent.map(Self::Flat).ok_or_else(missing);
        };
        let step = |step: &crate::contracts::contract::TierStep| {
            let up_to = step.up_to.as_deref().map(|up_to| asset.parse_units(up_to)).transpose();
            let named =
                |error: MoneyError| Problem::new(Code::BadAmount, "", format!("rate class '{}': {error}", row.code));
            Ok((up_to.map_err(named)?, step.percent))
        };
        let steps = tiers.steps.iter().map(step).collect::<Result<_, Problem>>()?;
        Ok(match tiers.mode {
            TierMode::Marginal => Self::Marginal(steps),
            TierMode::Volume => Self::Volume(steps),
        })
    }

    /// The share of `base`, where `before` of the same class already went through the tiers; and the rate, where
    /// there is only one.
    pub fn share(&self, before: Units, base: Units) -> Result<(Share, Option<Rate>), MoneyError> {
        match self {
            Self::Flat(rate) => Ok((rate.of(base), Some(*rate))),
            Self::Volume(steps) => {
                let reached = magnitude(before) + magnitude(base);
                let step = steps.iter().find(|(up_to, _)| up_to.is_none_or(|up_to| reached <= i128::from(up_to.0)));
                let rate = step.map(|(_, rate)| *rate).ok_or(MoneyError::Overflow)?;
                Ok((rate.of(base), Some(rate)))
            }
            Self::Marginal(steps) => marginal(steps, before, base),
        }
    }
}

fn magnitude(base: Units) -> i128 {
    i128::from(base.0.unsigned_abs())
}

/// The slices of the stretch from `before` to `before + base` at the rates of the steps they lie in.
fn marginal(steps: &[(Option<Units>, Rate)], before: Units, base: Units) -> Result<(Share, Option<Rate>), MoneyError> {
    let (start, end) = (magnitude(before), magnitude(before) + magnitude(base));
    let mut share = Share::default();
    let mut used: Vec<Rate> = Vec::new();
    let mut low = 0;
    for (up_to, rate) in steps {
        let high = up_to.map_or(i128::MAX, |up_to| i128::from(up_to.0));
        let slice = end.min(high) - start.max(low);
        if slice > 0 {
            share = share.checked_add(rate.of(Units::narrow(slice * i128::from(base.0.signum()))?))?;
            used.push(*rate);
        }
        low = high;
    }
    Ok((share, if let [only] = used[..] { Some(only) } else { None }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::money::{Minor, Rounding};

    fn usd() -> Asset {
        Asset::iso("USD").expect("a currency")
    }

    /// 15 % to 10k, 12 % to 50k, 10 % above.
    fn tiers(mode: &str) -> Rates {
        let steps =
            json!([{ "upTo": "10000", "percent": "15" }, { "upTo": "50000", "percent": "12" }, { "percent": "10" }]);
        let row =
            serde_json::from_value(json!({ "code": "a", "tiers": { "mode": mode, "steps": steps } })).expect("a row");
        Rates::of(&row, &usd()).expect("rates")
    }

    fn pay(rates: &Rates, base: &str) -> String {
        let (share, _) = rates.share(Units::ZERO, usd().parse_units(base).expect("an amount")).expect("a share");
        usd().format_minor(share.round(&usd(), Rounding::HalfEven).expect("an amount"))
    }

    #[test]
    fn the_worked_tiers() {
        let (marginal, volume) = (tiers("MARGINAL"), tiers("VOLUME"));
        assert_eq!(pay(&marginal, "65000"), "7800.00");
        assert_eq!(pay(&volume, "65000"), "6500.00");
        assert_eq!(pay(&volume, "50000"), "6000.00", "the edge belongs to the lower step");
        assert_eq!(pay(&volume, "50001"), "5000.10");
        assert_eq!(pay(&marginal, "50000"), "6300.00");
        assert_eq!(pay(&marginal, "-65000"), "-7800.00");
        assert_eq!(pay(&volume, "-50001"), "-5000.10");
        assert_eq!(pay(&volume, "0"), "0.00");
    }

    #[test]
    fn a_rate_is_named_where_there_is_one() {
        let rate = |rates: &Rates, before: i64, base: i64| {
            let units = |major: i64| Units(major * 1_000_000);
            rates.share(units(before), units(base)).expect("a share").1.map(|rate| rate.to_string())
        };
        assert_eq!(rate(&tiers("MARGINAL"), 0, 10_000), Some("15".to_owned()));
        assert_eq!(rate(&tiers("MARGINAL"), 0, 10_001), None);
        assert_eq!(rate(&tiers("MARGINAL"), 10_000, 40_000), Some("12".to_owned()));
        assert_eq!(rate(&tiers("VOLUME"), 0, 10_001), Some("12".to_owned()));
        assert_eq!(rate(&tiers("VOLUME"), 10_000, 40_001), Some("10".to_owned()), "the volume before counts");
    }

    proptest! {
        #[test]
        fn marginal_tiers_continue_without_a_seam(first in 0_i64..100_000_000_000, second in 0_i64..100_000_000_000) {
            let tiers = tiers("MARGINAL");
            let share = |before, base| tiers.share(Units(before), Units(base)).expect("a share").0;
            let parts = share(0, first).checked_add(share(first, second)).expect("no overflow");
            prop_assert_eq!(parts, share(0, first + second));
            let mirrored = share(0, -first).checked_add(share(0, first)).expect("no overflow");
            prop_assert_eq!(mirrored.round(&usd(), Rounding::Up), Ok(Minor::ZERO));
        }
    }
}
