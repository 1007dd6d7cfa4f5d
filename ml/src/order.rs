//! Order statistics of many values in little room: where a new value would stand among them.

use serde::{Deserialize, Serialize};

/// How many values are kept.
const KNOTS: usize = 448;
/// How many of these are the smallest ones, and how many the largest: that is where it matters.
const ENDS: usize = 96;

/// Some of the values, in order, each with its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    knots: Vec<f32>,
    /// The place of each knot, from 1.
    places: Vec<u32>,
    count: u32,
}

impl Order {
    /// Of what is a number.
    pub fn of(values: &[f64]) -> Self {
        let mut values: Vec<f32> = values.iter().filter(|value| !value.is_nan()).map(|value| narrow(*value)).collect();
        values.sort_by(f32::total_cmp);
        let count = values.len();
        let kept: Vec<usize> = if count <= KNOTS {
            (0..count).collect()
        } else {
            let inner = KNOTS - 2 * ENDS;
            let middle = (0..inner).map(|knot| ENDS + (knot * (count - 2 * ENDS)) / inner);
            (0..ENDS).chain(middle).chain(count - ENDS..count).collect()
        };
        let limit = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Self {
            knots: kept.iter().map(|index| values[*index]).collect(),
            places: kept.iter().map(|index| limit(index + 1)).collect(),
            count: limit(count),
        }
    }

    pub fn count(&self) -> f64 {
        f64::from(self.count)
    }

    /// How many are at most as large, and how many at least.
    pub fn sides(&self, value: f64) -> (f64, f64) {
        let value = narrow(value);
        let first = self.knots.partition_point(|knot| *knot < value);
        let below = self.before(first, value);
        // Most values lie between two knots, and then one search is enough.
        let at_most = match self.knots.get(first) {
            Some(knot) if *knot == value => {
                let next = first + self.knots[first..].partition_point(|knot| *knot <= value);
                self.before(next, value)
            }
            _ => below,
        };
        (at_most, self.count() - below)
    }

    pub fn at_least(&self, value: f64) -> f64 {
        self.sides(value).1
    }

    /// The value below which this part of all lies, of 0 to 1; `None` of nothing.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let place = (part * self.count()).max(1.0);
        let knot = self.places.partition_point(|at| f64::from(*at) < place);
        self.knots.get(knot).or(self.knots.last()).map(|value| f64::from(*value))
    }

    /// How far beyond the greatest (or least) of all a value lies, in steps after each of which an exponential tail has
    /// a third left; nothing within them. The length of a step is taken from the outermost hundredth.
    pub fn beyond(&self, value: f64) -> f64 {
        let (Some(least), Some(greatest)) = (self.quantile(0.0), self.quantile(1.0)) else { return 0.0 };
        let (end, rare) = if value > greatest {
            (greatest, self.quantile(0.99))
        } else if value < least {
            (least, self.quantile(0.01))
        } else {
            return 0.0;
        };
        // Of n exponential excesses, the greatest lies ln n of their means above where they begin.
        let steps = (0.01 * self.count()).max(1.0).ln().max(1.0);
        let step = ((end - rare.unwrap_or(end)).abs() / steps).max(1e-3);
        ((value - end).abs() / step).min(1e3)
    }

    /// How many come before a knot; between two knots by the distance.
    fn before(&self, knot: usize, value: f32) -> f64 {
        if knot == 0 {
            return 0.0;
        }
        let before = f64::from(self.places[knot - 1]);
        let (Some(next), Some(after)) = (self.knots.get(knot), self.places.get(knot)) else { return before };
        let between = f64::from(*after) - before - 1.0;
        let (low, high) = (f64::from(self.knots[knot - 1]), f64::from(*next));
        if between <= 0.0 || high <= low {
            return before;
        }
        before + between * ((f64::from(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    pub fn is_sound(&self) -> bool {
        self.knots.len() == self.places.len()
            && self.knots.is_sorted_by(|one, next| one <= next)
            && self.places.is_sorted_by(|one, next| one < next)
            && self.places.last().copied().unwrap_or_default() == self.count
    }
}

fn narrow(value: f64) -> f32 {
    let limit = f64::from(f32::MAX);
    // Zero has one sign: the two are equal and would be ordered.
    value.clamp(-limit, limit) as f32 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_between_what_is_kept_are_close() {
        let order = Order::of(&(0..9_999).map(f64::from).collect::<Vec<_>>());
        assert!(order.is_sound());
        for value in [0.0, 3.0, 95.0, 96.0, 500.0, 4_999.0, 9_000.0, 9_998.0] {
            let (at_most, at_least) = order.sides(value);
            assert!((at_most - value - 1.0).abs() <= 1.0, "{value}: {at_most}");
            assert!((at_least - 9_999.0 + value).abs() <= 1.0, "{value}: {at_least}");
        }
        assert_eq!((order.sides(-1.0).0, order.at_least(9_999.0)), (0.0, 0.0));
        let median = order.quantile(0.5).expect("a median");
        assert!((median - 5_000.0).abs() < 40.0, "{median}");
    }

    #[test]
    fn values_that_are_alike_have_one_place() {
        let order = Order::of(&[0.0, -0.0, 0.0, 1.0, f64::NAN]);
        assert_eq!((order.sides(-0.0), order.sides(1.0)), ((3.0, 4.0), (4.0, 1.0)));
        assert_eq!(order.sides(0.5), (3.0, 1.0));
        let nothing = Order::of(&[]);
        assert_eq!((nothing.sides(1.0), nothing.quantile(0.5)), ((0.0, 0.0), None));
        assert_eq!(nothing.beyond(1.0), 0.0);
        let some = Order::of(&(0..100).map(f64::from).collect::<Vec<_>>());
        assert_eq!((some.beyond(50.0), some.beyond(1e308), some.beyond(-f64::INFINITY)), (0.0, 1e3, 1e3));
        assert!(some.beyond(101.0) < some.beyond(102.0) && some.beyond(-5.0) > 1.0);
        let far = Order::of(&[f64::INFINITY, 1e308]);
        assert_eq!(far.at_least(1e39), 2.0);
    }
}
