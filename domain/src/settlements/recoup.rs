//! What was paid beforehand: prepaid credit that play draws down, and advances that are recouped from what is due.
//!
//! Both are cash, so they follow what was frozen: a correction draws credit, or is recouped, in the open settlement that
//! shows it, and closed ones keep what they took.

use super::formula::{Sheet, Step, StepKind, Value};
use super::line::{Line, LineCode};
use super::settlement::{Carry, overflow};
use crate::contracts::contract::Terms;
use crate::error::Problem;
use crate::money::{Asset, Minor, MoneyError, Rounding, Units};

/// What a contract may take from, in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Funds {
    /// All advances of the contract, or of its pool; of a pool less what other contracts recouped.
    pub advanced: Minor,
    /// The face value of all credit bought.
    pub credit: Minor,
}

/// Draws credit for what was played: shares and corrections of shares are paid with it as far as it goes. What is taken
/// back from play goes back to the credit.
pub(super) fn draw(
    asset: &Asset,
    terms: &Terms,
    version: i64,
    funds: &Funds,
    carry: &mut Carry,
    sheet: &mut Sheet,
) -> Result<(), Problem> {
    if terms.prepaid.is_none() {
        return Ok(());
    }
    let named = |error: MoneyError| overflow(error, "drawing prepaid credit");
    let is_played = |line: &&Line| {
        line.code == LineCode::RevenueShare || (line.code == LineCode::Correction && line.rate_class.is_some())
    };
    let played: i128 =
        sheet.lines.iter().filter(is_played).map(|line| i128::from(line.base.unwrap_or_default().0)).sum();
    let owed: i128 = sheet.lines.iter().filter(is_played).map(|line| i128::from(line.amount.0)).sum();
    let bought = i128::from(funds.credit.0) * i128::from(asset.units_per_minor());
    let drawn = i128::from(carry.drawn.0);
    let draw = if played < 0 { played.max(-drawn.max(0)) } else { played.min((bought - drawn).max(0)) };
    if draw == 0 {
        return Ok(());
    }
    // `played` is not zero where something is drawn.
    let paid = Rounding::HalfEven.divide(owed * draw * played.signum(), played.abs());
    let line = Line::plain(LineCode::Drawn, version, Minor::narrow(-paid).map_err(named)?);
    let units = |wide: i128| Units::narrow(wide).map(Value::Units).map_err(named);
    let mut values = vec![("played", units(played)?), ("owed", Value::Minor(Minor::narrow(owed).map_err(named)?))];
    values.extend([("bought", units(bought)?), ("before", units(drawn)?), ("drawn", units(draw)?)]);
    values.push(("after", units(drawn + draw)?));
    let paid = Value::Minor(line.amount);
    sheet.push(Line { base: Some(Units::narrow(draw).map_err(named)?), ..line }, || {
        vec![Step::new(StepKind::Drawn, values, paid).at("prepaid")]
    });
    carry.drawn = Units::narrow(drawn + draw).map_err(named)?;
    Ok(())
}

/// Keeps back what is due, as far as advances are not recouped yet.
pub(super) fn recoup(
    asset: &Asset,
    terms: &Terms,
    version: i64,
    funds: &Funds,
    due: Minor,
    carry: &mut Carry,
    sheet: &mut Sheet,
) -> Result<(), Problem> {
    let Some(advance) = &terms.advance else { return Ok(()) };
    let named = |error: MoneyError| overflow(error, "recouping advances");
    let left = i128::from(funds.advanced.0) - i128::from(carry.recouped.0);
    let whole = Units::narrow(i128::from(due.0.max(0)) * i128::from(asset.units_per_minor())).map_err(named)?;
    let most = advance.percent.of(whole).round(asset, Rounding::Down).map_err(named)?;
    let recouped = i128::from(most.0).min(left).max(0);
    if recouped == 0 {
        return Ok(());
    }
    let recouped = Minor::narrow(recouped).map_err(named)?;
    let before = carry.recouped;
    carry.recouped = before.checked_add(recouped).map_err(named)?;
    let (left, result) = (Minor::narrow(left).map_err(named)?, Minor(-recouped.0));
    sheet.push(Line::plain(LineCode::Recouped, version, result), || {
        let values = [("due", due), ("most", most), ("advanced", funds.advanced), ("before", before), ("left", left)];
        let percent = ("percent", Value::Percent(advance.percent));
        let values = values.into_iter().map(|(name, amount)| (name, Value::Minor(amount))).chain([percent]).collect();
        vec![Step::new(StepKind::Recouped, values, Value::Minor(result)).at("advance")]
    });
    Ok(())
}

/// Credit that was bought: its face value and what that cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    pub face: Minor,
    pub cost: Minor,
}

/// What credit cost up to so much of it drawn, the oldest first. Drawing all of it costs all that it cost.
pub fn cost_of(asset: &Asset, lots: &[Lot], drawn: Units) -> Result<Minor, MoneyError> {
    let mut left = i128::from(drawn.0.max(0));
    let mut cost: i128 = 0;
    for lot in lots {
        let face = i128::from(lot.face.0) * i128::from(asset.units_per_minor());
        let taken = left.min(face);
        if taken > 0 {
            cost += Rounding::HalfEven.divide(i128::from(lot.cost.0) * taken, face);
            left -= taken;
        }
    }
    Minor::narrow(cost)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credit_costs_what_its_oldest_lots_did() {
        let asset = Asset::new("USD", 2);
        let lots = [
            Lot { face: Minor(10_000_000), cost: Minor(1_200_000) },
            Lot { face: Minor(5_000_000), cost: Minor(500_000) },
        ];
        let cost = |major: i64| cost_of(&asset, &lots, Units(major * 1_000_000)).expect("no overflow").0;
        assert_eq!((cost(0), cost(30_000), cost(100_000)), (0, 360_000, 1_200_000));
        assert_eq!((cost(120_000), cost(150_000)), (1_400_000, 1_700_000));
    }

    proptest! {
        #[test]
        fn credit_drawn_whole_costs_all_that_it_did(
            lots in prop::collection::vec((1_i64..1_000_000, 0_i64..1_000_000), 1..6), part in 0_i64..6_000_000,
        ) {
            let asset = Asset::new("USD", 2);
            let lots: Vec<Lot> =
                lots.into_iter().map(|(face, cost)| Lot { face: Minor(face), cost: Minor(cost) }).collect();
            let face: i64 = lots.iter().map(|lot| lot.face.0).sum();
            let whole: i64 = lots.iter().map(|lot| lot.cost.0).sum();
            let cost = |minor: i64| cost_of(&asset, &lots, Units(minor * 10_000)).expect("no overflow").0;
            prop_assert_eq!(cost(face), whole);
            prop_assert!(cost(part) <= whole && cost(part) <= cost(part + 1));
        }
    }
}
