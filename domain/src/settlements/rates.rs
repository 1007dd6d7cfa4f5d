//! Rates on a base: flat, or in tiers; percentages of money, or prices of units. Mirrored: the share of −x is the
//! negative of the share of x.

use super::formula::{Step, StepKind, Value};
use crate::contracts::contract::{RateRow, TierMode, TierPeriod, TierReads, TierStep};
use crate::error::{Code, Problem};
use crate::money::{Asset, MoneyError, Price, Rate, Share, Units};

/// What a row of the rate table pays, with its steps in accounting units.
#[derive(Debug)]
pub(super) struct Rates {
    shape: Shape,
    pub period: TierPeriod,
    pub reads: TierReads,
}

#[derive(Debug)]
enum Shape {
    Flat(Pay),
    /// Steps by their upper edge, which belongs to the lower step; the last one has none.
    Marginal(Vec<(Option<Units>, Pay)>),
    Volume(Vec<(Option<Units>, Pay)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pay {
    Percent(Rate),
    Price(Price),
}

impl Pay {
    fn new(percent: Option<Rate>, price: Option<Price>, class: &str) -> Result<Self, Problem> {
        let missing = || Problem::new(Code::BadInput, "", format!("rate class '{class}' has no rate"));
        price.map(Self::Price).or(percent.map(Self::Percent)).ok_or_else(missing)
    }

    fn of(self, base: Units) -> Share {
        match self {
            Self::Percent(rate) => rate.of(base),
            Self::Price(price) => price.of(base),
        }
    }

    const fn digits(self) -> Rate {
        match self {
            Self::Percent(rate) => rate,
            Self::Price(price) => price.digits(),
        }
    }
}

impl Rates {
    pub fn of(row: &RateRow, asset: &Asset) -> Result<Self, Problem> {
        let Some(tiers) = &row.tiers else {
            let shape = Shape::Flat(Pay::new(row.percent, row.per_unit, &row.code)?);
            return Ok(Self { shape, period: TierPeriod::default(), reads: TierReads::default() });
        };
        let step = |step: &TierStep| {
            let up_to = step.up_to.as_deref().map(|up_to| asset.parse_units(up_to)).transpose();
            let named =
                |error: MoneyError| Problem::new(Code::BadAmount, "", format!("rate class '{}': {error}", row.code));
            Ok((up_to.map_err(named)?, Pay::new(step.percent, step.per_unit, &row.code)?))
        };
        let steps = tiers.steps.iter().map(step).collect::<Result<_, Problem>>()?;
        let shape = match tiers.mode {
            TierMode::Marginal => Shape::Marginal(steps),
            TierMode::Volume => Shape::Volume(steps),
        };
        Ok(Self { shape, period: tiers.period, reads: tiers.reads })
    }

    /// The share of `base`, which is what netting left of `gross`, where `before` of the same class already went
    /// through the tiers.
    pub fn rated(&self, before: Units, gross: Units, base: Units) -> Result<Rated, MoneyError> {
        // What tiers read ends here; what is rated lies below it.
        let end = i128::from(before.0) + i128::from(self.read(gross, base).0);
        match &self.shape {
            Shape::Flat(pay) => Ok(Rated::whole(None, *pay, base)),
            Shape::Volume(steps) => {
                let reached = end.unsigned_abs();
                let within = |up_to: Units| reached <= u128::from(up_to.0.unsigned_abs());
                let mut all = steps.iter().enumerate();
                let step = all.find(|(_, (up_to, _))| up_to.is_none_or(within)).ok_or(MoneyError::Overflow)?;
                Ok(Rated::whole(Some(step.0), step.1.1, base))
            }
            Shape::Marginal(steps) => marginal(steps, end - i128::from(base.0), end),
        }
    }

    #[cfg(test)]
    fn share(&self, before: Units, gross: Units, base: Units) -> Result<(Share, Option<Rate>), MoneyError> {
        self.rated(before, gross, base).map(|rated| (rated.share, rated.rate()))
    }

    /// What the tiers count of a period: the netted base, or the one before netting.
    pub fn read(&self, gross: Units, base: Units) -> Units {
        match self.reads {
            TierReads::AfterCarry => base,
            TierReads::BeforeCarry => gross,
        }
    }
}

/// A base at its rates.
#[derive(Debug)]
pub(super) struct Rated {
    pub share: Share,
    pub stretches: Vec<Stretch>,
}

/// A part of a base at one rate.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Which step of tiers it lies in.
    pub step: Option<usize>,
    pub base: Units,
    pay: Pay,
}

impl Rated {
    fn whole(step: Option<usize>, pay: Pay, base: Units) -> Self {
        Self { share: pay.of(base), stretches: vec![Stretch { step, base, pay }] }
    }

    /// The rate, where there is only one.
    pub fn rate(&self) -> Option<Rate> {
        if let [only] = &self.stretches[..] { Some(only.pay.digits()) } else { None }
    }
}

impl Stretch {
    /// How it comes about; `row` is the path of the rate table's row.
    pub fn working(&self, row: &str) -> Step {
        let (rate, base, name) = match self.pay {
            Pay::Percent(rate) => (Value::Percent(rate), Value::Units(self.base), "percent"),
            Pay::Price(price) => (Value::Price(price.digits()), Value::Count(self.base), "perUnit"),
        };
        let path = match self.step {
            Some(step) => format!("{row}.tiers.steps.{step}"),
            None => format!("{row}.{name}"),
        };
        let values = vec![("stretch", base), ("rate", rate)];
        Step::new(StepKind::Rated, values, Value::Exact(self.pay.of(self.base))).at(path)
    }
}

/// The slices of the stretch from `start` to `end` at the rates of the steps they lie in, on both sides of zero.
fn marginal(steps: &[(Option<Units>, Pay)], start: i128, end: i128) -> Result<Rated, MoneyError> {
    let (from, until) = (start.min(end), start.max(end));
    let direction = (end - start).signum();
    let mut rated = Rated { share: Share::default(), stretches: Vec::new() };
    let mut low = 0;
    for (step, (up_to, pay)) in steps.iter().enumerate() {
        let high = up_to.map_or(i128::MAX, |up_to| i128::from(up_to.0));
        let above = until.min(high) - from.max(low);
        let below = until.min(-low) - from.max(-high);
        let slice = above.max(0) + below.max(0);
        if slice > 0 {
            let base = Units::narrow(slice * direction)?;
            rated.share = rated.share.checked_add(pay.of(base))?;
            rated.stretches.push(Stretch { step: Some(step), base, pay: *pay });
        }
        low = high;
    }
    Ok(rated)
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

    fn share(rates: &Rates, before: i64, base: Units) -> (Share, Option<Rate>) {
        rates.share(Units(before), base, base).expect("a share")
    }

    fn pay(rates: &Rates, base: &str) -> String {
        let (share, _) = share(rates, 0, usd().parse_units(base).expect("an amount"));
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
            share(rates, units(before).0, units(base)).1.map(|rate| rate.to_string())
        };
        assert_eq!(rate(&tiers("MARGINAL"), 0, 10_000), Some("15".to_owned()));
        assert_eq!(rate(&tiers("MARGINAL"), 0, 10_001), None);
        assert_eq!(rate(&tiers("MARGINAL"), 10_000, 40_000), Some("12".to_owned()));
        assert_eq!(rate(&tiers("VOLUME"), 0, 10_001), Some("12".to_owned()));
        assert_eq!(rate(&tiers("VOLUME"), 10_000, 40_001), Some("10".to_owned()), "the volume before counts");
    }

    #[test]
    fn tiers_that_read_before_the_carry_put_the_loss_into_the_lowest_steps() {
        let units = |major: i64| Units(major * 1_000_000);
        let mut marginal = tiers("MARGINAL");
        let mut volume = tiers("VOLUME");
        (marginal.reads, volume.reads) = (TierReads::BeforeCarry, TierReads::BeforeCarry);
        let pay = |rates: &Rates, gross: i64, base: i64| {
            let (share, _) = rates.share(Units::ZERO, units(gross), units(base)).expect("a share");
            usd().format_minor(share.round(&usd(), Rounding::HalfEven).expect("an amount"))
        };
        // 65,000 less a carried loss of 20,000: 30,000 at 12 % and 15,000 at 10 %.
        assert_eq!(pay(&marginal, 65_000, 45_000), "5100.00");
        assert_eq!(pay(&volume, 65_000, 45_000), "4500.00");
        assert_eq!(pay(&tiers("VOLUME"), 65_000, 45_000), "5400.00");
    }

    #[test]
    fn a_loss_within_a_year_goes_back_down_the_steps() {
        let marginal = tiers("MARGINAL");
        let units = |major: i64| Units(major * 1_000_000);
        let there = share(&marginal, 0, units(60_000)).0;
        let back = share(&marginal, units(60_000).0, units(-75_000)).0;
        let rest = share(&marginal, 0, units(-15_000)).0;
        assert_eq!(there.checked_add(back), Ok(rest));
    }

    #[test]
    fn prices_are_for_units() {
        let row = json!({ "code": "a", "tiers": { "mode": "MARGINAL", "steps": [
            { "upTo": "1000", "perUnit": "0.05" }, { "perUnit": "0.035" },
        ] } });
        let rates = Rates::of(&serde_json::from_value(row).expect("a row"), &usd()).expect("rates");
        assert_eq!(pay(&rates, "1500"), "67.50");
        let flat = serde_json::from_value(json!({ "code": "a", "perUnit": "0.0125" })).expect("a row");
        assert_eq!(pay(&Rates::of(&flat, &usd()).expect("rates"), "3"), "0.04");
    }

    proptest! {
        #[test]
        fn marginal_tiers_continue_without_a_seam(first in 0_i64..100_000_000_000, second in 0_i64..100_000_000_000) {
            let tiers = tiers("MARGINAL");
            let share = |before, base| share(&tiers, before, Units(base)).0;
            let parts = share(0, first).checked_add(share(first, second)).expect("no overflow");
            prop_assert_eq!(parts, share(0, first + second));
            let mirrored = share(0, -first).checked_add(share(0, first)).expect("no overflow");
            prop_assert_eq!(mirrored.round(&usd(), Rounding::Up), Ok(Minor::ZERO));
        }
    }
}
