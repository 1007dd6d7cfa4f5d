//! Netting: what a negative base does to the positive ones, before any rate. Bases are accounting units as `i64`,
//! sums are wide; nothing is lost or made, shares are by largest remainder.

use crate::contracts::contract::NegativeMode;
use crate::money::{MoneyError, Units, split};

/// Nets the bases of one group (all classes together, or one class across the versions of a period) against each
/// other and against what is carried into it, in place. Returns what is carried on: zero or negative.
///
/// The carried base shrinks positive bases like a negative class does. A negative rest is carried, dropped, or, for
/// a partner who pays, left on the negative classes; what earlier terms carried is never made payable, it stays
/// carried.
pub(super) fn net(bases: &mut [i64], carried: Units, mode: NegativeMode) -> Result<Units, MoneyError> {
    let negative: u128 = bases.iter().filter(|base| **base < 0).map(|base| u128::from(base.unsigned_abs())).sum();
    let carried = u128::from(carried.0.min(0).unsigned_abs());
    let positive: u128 = bases.iter().filter(|base| **base > 0).map(|base| u128::from(base.unsigned_abs())).sum();
    let rest = shrink(bases, negative + carried, |base| base > 0)?;
    let left = match mode {
        NegativeMode::PayableByPartner => {
            shrink(bases, positive.min(negative), |base| base < 0)?;
            rest.min(carried)
        }
        NegativeMode::Carry | NegativeMode::Reset => {
            bases.iter_mut().filter(|base| **base < 0).for_each(|base| *base = 0);
            if mode == NegativeMode::Carry { rest } else { 0 }
        }
    };
    negated(left)
}

/// Brings the bases to come to so much more, or less, in all. More makes negative ones smaller, and is no more than they
/// are together. Less comes off the positive ones, then adds to the negative ones, each in proportion; where all are
/// nothing, the first bears it.
pub(super) fn shift(bases: &mut [i64], by: i128) -> Result<(), MoneyError> {
    if by >= 0 {
        return shrink(bases, by.unsigned_abs(), |base| base < 0).map(drop);
    }
    let rest = shrink(bases, by.unsigned_abs(), |base| base > 0)?;
    let mut weights: Vec<u64> = bases.iter().map(|base| base.unsigned_abs()).collect();
    if rest > 0 && weights.iter().all(|weight| *weight == 0) {
        weights.iter_mut().take(1).for_each(|weight| *weight = 1);
    }
    let rest = i64::try_from(rest).map_err(|_| MoneyError::Overflow)?;
    for (base, share) in bases.iter_mut().zip(split(rest, &weights).unwrap_or_default()) {
        *base = base.checked_sub(share).ok_or(MoneyError::Overflow)?;
    }
    Ok(())
}

/// Takes what earlier terms carried for all classes together out of positive bases, after each class was netted by
/// itself; what is left of it.
pub(super) fn net_common(bases: &mut [i64], carried: Units, mode: NegativeMode) -> Result<Units, MoneyError> {
    let rest = shrink(bases, u128::from(carried.0.min(0).unsigned_abs()), |base| base > 0)?;
    negated(if mode == NegativeMode::Reset { 0 } else { rest })
}

fn negated(magnitude: u128) -> Result<Units, MoneyError> {
    i128::try_from(magnitude).map_err(|_| MoneyError::Overflow).and_then(|magnitude| Units::narrow(-magnitude))
}

/// Moves the chosen bases towards zero by `amount` in all, in proportion to their size; what did not fit.
fn shrink(bases: &mut [i64], amount: u128, chosen: impl Fn(i64) -> bool) -> Result<u128, MoneyError> {
    let weights: Vec<u64> = bases.iter().map(|base| if chosen(*base) { base.unsigned_abs() } else { 0 }).collect();
    let room: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let taken = amount.min(room);
    // A share never exceeds its weight, because the whole never exceeds their sum.
    let total = i64::try_from(taken).map_err(|_| MoneyError::Overflow)?;
    for (base, share) in bases.iter_mut().zip(split(total, &weights).unwrap_or_default()) {
        *base -= base.signum() * share;
    }
    Ok(amount - taken)
}

#[cfg(test)]
mod tests {
    use NegativeMode::{Carry, PayableByPartner, Reset};
    use proptest::prelude::*;

    use super::*;

    fn netted(bases: &[i64], carried: i64, mode: NegativeMode) -> (Vec<i64>, i64) {
        let mut bases = bases.to_vec();
        let left = net(&mut bases, Units(carried), mode).expect("no overflow");
        (bases, left.0)
    }

    #[test]
    fn negative_and_carried_bases_shrink_the_positive_ones_in_proportion() {
        assert_eq!(netted(&[60, -30, 40], 0, Carry), (vec![42, 0, 28], 0));
        assert_eq!(netted(&[60, -30, 40], -30, Carry), (vec![24, 0, 16], 0));
        assert_eq!(netted(&[60, -30, 40], -100, Carry), (vec![0, 0, 0], -30));
        assert_eq!(netted(&[60, -30, 40], -100, Reset), (vec![0, 0, 0], 0));
        assert_eq!(
            netted(&[10, 10, 10, -1], 0, Reset),
            (vec![9, 10, 10, 0], 0),
            "a unit goes to the earlier of equals"
        );
        assert_eq!(netted(&[0, 0], -7, Carry), (vec![0, 0], -7));
    }

    #[test]
    fn a_partner_who_pays_keeps_the_negative_rest_on_its_classes() {
        assert_eq!(netted(&[-60, 30, -40], 0, PayableByPartner), (vec![-42, 0, -28], 0));
        assert_eq!(
            netted(&[-60, 30, -40], -5, PayableByPartner),
            (vec![-42, 0, -28], -5),
            "older carry is not payable"
        );
        assert_eq!(netted(&[60, -30], -50, PayableByPartner), (vec![0, 0], -20));
        assert_eq!(netted(&[60, -30], -10, PayableByPartner), (vec![20, 0], 0));
    }

    #[test]
    fn the_common_carry_of_earlier_terms_takes_what_is_left_positive() {
        let mut bases = [30, -5, 10];
        assert_eq!(net_common(&mut bases, Units(-20), PayableByPartner), Ok(Units::ZERO));
        assert_eq!(bases, [15, -5, 5]);
        assert_eq!(net_common(&mut bases, Units(-50), Carry), Ok(Units(-30)));
        assert_eq!(net_common(&mut [1], Units(-50), Reset), Ok(Units::ZERO));
    }

    #[test]
    fn bases_are_brought_to_less_or_more_in_all() {
        let shifted = |bases: &[i64], by: i128| {
            let mut bases = bases.to_vec();
            shift(&mut bases, by).expect("no overflow");
            bases
        };
        assert_eq!(shifted(&[-60, 30, -40], 50), [-30, 30, -20], "more makes losses smaller");
        assert_eq!(shifted(&[60, -30, 40], -50), [30, -30, 20], "less comes off what is positive");
        assert_eq!(shifted(&[60, -30, -10, 40], -140), [0, -60, -20, 0], "and then adds to losses");
        assert_eq!(shifted(&[0, 0], -7), [-7, 0], "the first bears it where all are nothing");
        assert_eq!(shifted(&[5], -7), [-2]);
        assert!(shifted(&[], -7).is_empty());
        assert_eq!(shift(&mut [i64::MIN], -1), Err(MoneyError::Overflow));
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_never_wraps() {
        assert_eq!(net(&mut [i64::MIN, i64::MIN], Units::ZERO, Carry), Err(MoneyError::Overflow));
        assert_eq!(net(&mut [i64::MIN], Units::ZERO, Carry), Ok(Units(i64::MIN)));
    }

    proptest! {
        #[test]
        fn netting_neither_loses_nor_makes_a_unit(
            bases in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 0..8),
            carried in -3_000_000_000_i64..=0,
        ) {
            let sum = bases.iter().sum::<i64>() + carried;
            let (carry, left) = netted(&bases, carried, Carry);
            prop_assert_eq!(carry.iter().sum::<i64>() + left, sum);
            prop_assert!(carry.iter().zip(&bases).all(|(net, base)| 0 <= *net && *net <= (*base).max(0)));
            prop_assert!(left == 0 || carry.iter().all(|base| *base == 0));
            prop_assert_eq!(netted(&bases, carried, Reset), (carry, 0));
            let (payable, left) = netted(&bases, carried, PayableByPartner);
            prop_assert_eq!(payable.iter().sum::<i64>() + left, sum);
            prop_assert!(carried <= left && left <= 0);
            prop_assert!(payable.iter().all(|base| *base >= 0) || payable.iter().all(|base| *base <= 0));
        }
    }
}
