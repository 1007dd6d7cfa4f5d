//! Parts: what a settlement comes to, shared out between the parties that its terms name. It is the last step: the total
//! is what is paid or owed, and its parts add up to it.

use serde::{Deserialize, Serialize};

use super::clauses::Clauses;
use super::formula::{Step, StepKind, Value};
use crate::contracts::Period;
use crate::contracts::contract::Split;
use crate::error::{Code, Problem};
use crate::ids::PartnerId;
use crate::money::{Minor, MoneyError, Rate, split};

/// What one party has of a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub partner: PartnerId,
    /// As the terms say it.
    pub percent: Rate,
    /// What it is weighed by among the others: along a line of agents, what it has above the one below.
    pub weight: Rate,
    pub amount: Minor,
}

impl Clauses<'_> {
    /// The parts of what a period came to, by the terms in force when it ends; none where the contract's partner has it
    /// all.
    pub fn parts(&self, period: Period, total: Minor) -> Result<Vec<Part>, Problem> {
        let split = self.last_of(period).and_then(|last| last.terms().split.as_ref());
        split.map_or_else(|| Ok(Vec::new()), |split| parts(split, total))
    }
}

/// The parts of a total, in the order of the parties, by largest remainder. A negative one is shared out like its twin.
pub fn parts(of: &Split, total: Minor) -> Result<Vec<Part>, Problem> {
    let weights = of.weights();
    let amounts = split(total.0, &weights.iter().map(|weight| weight.weight()).collect::<Vec<_>>());
    let amounts = amounts.ok_or_else(|| {
        // Terms with such weights are refused, and so is a part beyond what an amount holds.
        Problem::new(Code::Overflow, "", format!("the parts of {}: {}", total.0, MoneyError::Overflow))
    })?;
    let parts = of.parties().iter().zip(weights).zip(amounts);
    Ok(parts
        .map(|((party, weight), amount)| Part {
            partner: party.partner,
            percent: party.percent,
            weight,
            amount: Minor(amount),
        })
        .collect())
}

/// What is held of each part where so much of their sum is: in proportion, and never more than the part. Only of what is
/// owed to the parties anything is held.
pub fn held(parts: &[Part], held: Minor) -> Vec<Minor> {
    let weights: Vec<u64> = parts.iter().map(|part| part.amount.0.max(0).unsigned_abs()).collect();
    let shared = split(held.0.max(0), &weights).unwrap_or_else(|| vec![0; parts.len()]);
    shared.into_iter().map(Minor).collect()
}

/// How each part comes about: the exact one without its fraction, the fraction, and the unit that the largest get.
pub fn working(parts: &[Part], total: Minor) -> Vec<Step> {
    let weights: i128 = parts.iter().map(|part| i128::from(part.weight.weight())).sum();
    let whole = parts.iter().fold(Rate::default(), |sum, part| sum.saturating_add(part.weight));
    let one = |part: &Part| {
        // In lowest terms, so that a fraction is one that people know.
        let weight = i128::from(part.weight.weight());
        let common = common(weight, weights).max(1);
        let (weight, of) = (weight / common, weights / common);
        let product = i128::from(total.0) * weight;
        let (exact, rest) = (product.checked_div(of), product.checked_rem(of));
        let exact = Minor(exact.and_then(|exact| i64::try_from(exact).ok()).unwrap_or_default());
        let values = vec![
            ("total", Value::Minor(total)),
            ("weight", Value::Percent(part.weight)),
            ("weights", Value::Percent(whole)),
            ("whole", Value::Minor(exact)),
            ("rest", Value::Number(rest.unwrap_or_default())),
            ("restOf", Value::Number(of)),
            ("unit", Value::Minor(Minor(part.amount.0.saturating_sub(exact.0)))),
        ];
        Step::new(StepKind::Shared, values, Value::Minor(part.amount)).of("LARGEST_REMAINDER").at("split")
    };
    parts.iter().map(one).collect()
}

fn common(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { common(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contracts::fixtures::terms;
    use crate::money::Asset;

    /// Partners 1, 2, … with these percentages.
    fn of(kind: &str, percents: &[String]) -> Split {
        let party = |(number, percent): (u128, &String)| json!({ "partner": PartnerId(uuid::Uuid::from_u128(number)), "percent": percent });
        let parties: Vec<_> = (1..).zip(percents).map(party).collect();
        terms(json!({ "split": { kind: { "parties": parties } } })).split.expect("a split")
    }

    fn amounts(kind: &str, percents: &[&str], total: i64) -> Vec<i64> {
        let percents: Vec<String> = percents.iter().map(|percent| (*percent).to_owned()).collect();
        parts(&of(kind, &percents), Minor(total)).expect("parts").iter().map(|part| part.amount.0).collect()
    }

    #[test]
    fn the_worked_examples() {
        assert_eq!(amounts("parallel", &["33", "45", "22"], 10), [3, 5, 2]);
        assert_eq!(amounts("parallel", &["33", "45", "22"], -10), [-3, -5, -2]);
        assert_eq!(amounts("parallel", &["60.2", "39.8"], 10), [6, 4]);
        assert_eq!(amounts("parallel", &["50", "50"], 1), [1, 0], "of equal ones the earlier");
        assert_eq!(amounts("parallel", &["50", "30", "20"], 0), [0, 0, 0]);
        // 1.2 % of 1,000,000 with a child at 0.8 %.
        assert_eq!(amounts("differential", &["0.8", "1.2"], 1_200_000), [800_000, 400_000]);
        assert_eq!(amounts("parallel", &["50", "50"], i64::MIN), [i64::MIN / 2; 2]);
    }

    #[test]
    fn of_each_part_so_much_is_held_as_of_the_whole() {
        let of = of("parallel", &["33".to_owned(), "45".to_owned(), "22".to_owned()]);
        let all = |total, amount| {
            let parts = parts(&of, Minor(total)).expect("parts");
            held(&parts, Minor(amount)).into_iter().map(|held| held.0).collect::<Vec<_>>()
        };
        assert_eq!(all(1_000, 100), [33, 45, 22]);
        assert_eq!(all(1_000, 1_000), [330, 450, 220]);
        assert_eq!((all(1_000, 0), all(-1_000, 0), all(0, 0)), (vec![0; 3], vec![0; 3], vec![0; 3]));
    }

    #[test]
    fn a_part_is_told_with_its_fraction_and_the_unit_it_got() {
        let of = of("differential", &["1".to_owned(), "3".to_owned()]);
        let parts = parts(&of, Minor(-200)).expect("parts");
        let steps = working(&parts, Minor(-200));
        let asset = Asset::new("USD", 2);
        let told = |step: &Step| {
            step.values.iter().map(|(name, value)| format!("{name} {}", value.shown(&asset))).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&steps[0]),
            ["total -2.00", "weight 1", "weights 3", "whole -0.66", "rest -2", "restOf 3", "unit -0.01"]
        );
        assert_eq!(
            told(&steps[1]),
            ["total -2.00", "weight 2", "weights 3", "whole -1.33", "rest -1", "restOf 3", "unit 0.00"]
        );
        assert_eq!(steps[0].result, Value::Minor(Minor(-67)));
    }

    /// Percentages that add up to a hundred, as they can be written.
    fn percents() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(1_u64..=1_000_000, 2..=50).prop_map(|weights| {
            let sum: u64 = weights.iter().sum();
            let mut left = 10_000_000_000_u64;
            let last = weights.len() - 1;
            let share = |(place, weight): (usize, &u64)| {
                let own = if place == last { left } else { (10_000_000_000 * weight / sum).max(1) };
                left -= own;
                format!("{}.{:08}", own / 100_000_000, own % 100_000_000)
            };
            weights.iter().enumerate().map(share).collect()
        })
    }

    proptest! {
        #[test]
        fn parts_are_exact_in_sum_and_off_by_less_than_a_unit(total: i64, percents in percents(), thousandths in 0_i64..=1_000) {
            let of = of("parallel", &percents);
            let parts = parts(&of, Minor(total)).expect("parts");
            prop_assert!(working(&parts, Minor(total)).iter().all(|step| super::super::formula::shared(step) == Some(true)));
            prop_assert_eq!(parts.iter().map(|part| i128::from(part.amount.0)).sum::<i128>(), i128::from(total));
            let whole: i128 = parts.iter().map(|part| i128::from(part.weight.weight())).sum();
            for (place, part) in parts.iter().enumerate() {
                let gap = i128::from(part.amount.0) * whole - i128::from(total) * i128::from(part.weight.weight());
                prop_assert!(gap.abs() < whole);
                for (later, other) in parts.iter().enumerate().skip(place + 1) {
                    let (own, his) = (part.amount.0.unsigned_abs(), other.amount.0.unsigned_abs());
                    // Who has more in the terms has no less, and of equal ones the earlier has no less.
                    let right = if part.weight < other.weight { own <= his } else { own >= his };
                    prop_assert!(right, "{place} {later}");
                }
            }
            if total != i64::MIN {
                let turned: Vec<i64> = super::parts(&of, Minor(-total)).expect("parts").iter().map(|part| -part.amount.0).collect();
                prop_assert_eq!(turned, parts.iter().map(|part| part.amount.0).collect::<Vec<_>>());
            }
            // Held in proportion, and never more than there is.
            let some = i128::from(total.max(0)) * i128::from(thousandths) / 1_000;
            let some = Minor::narrow(some).expect("a part");
            let held = held(&parts, some);
            prop_assert_eq!(held.iter().map(|held| i128::from(held.0)).sum::<i128>(), i128::from(some.0));
            prop_assert!(held.iter().zip(&parts).all(|(held, part)| 0 <= held.0 && held.0 <= part.amount.0.max(0)));
        }
    }
}
