//! What is held of a settlement: the amount of lines that are set aside until a person releases them.

use std::collections::BTreeSet;

use super::settlement::{Line, LineCode};
use crate::money::{Minor, MoneyError};

/// The sum of the lines of these rate classes, at most what is to be paid: nobody holds what is not owed.
pub fn held(lines: &[Line], total: Minor, classes: &BTreeSet<String>) -> Result<Minor, MoneyError> {
    let held = lines.iter().filter(|line| is_held(line, classes));
    let sum = Minor::sum(held.map(|line| line.amount))?;
    Ok(sum.min(total).max(Minor::ZERO))
}

/// Whether a line is set aside.
pub fn is_held(line: &Line, classes: &BTreeSet<String>) -> bool {
    let share = matches!(line.code, LineCode::RevenueShare | LineCode::PerUnit | LineCode::Correction);
    share && line.rate_class.as_ref().is_some_and(|class| classes.contains(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(code: LineCode, class: Option<&str>, amount: i64) -> Line {
        Line { rate_class: class.map(str::to_owned), ..Line::plain(code, 1, Minor(amount)) }
    }

    #[test]
    fn lines_of_held_classes_are_held_and_never_more_than_is_owed() {
        let lines = [
            line(LineCode::RevenueShare, Some("night"), 700),
            line(LineCode::RevenueShare, Some("rest"), 300),
            line(LineCode::Correction, Some("night"), -100),
            line(LineCode::CarriedIn, None, 50),
            line(LineCode::Base, Some("night"), 0),
        ];
        let held = |total, classes: &[&str]| {
            held(&lines, Minor(total), &classes.iter().map(|class| (*class).to_owned()).collect())
        };
        assert_eq!(held(950, &["night"]), Ok(Minor(600)));
        assert_eq!(held(950, &[]), Ok(Minor(0)));
        assert_eq!(held(950, &["night", "rest", "gone"]), Ok(Minor(900)));
        assert_eq!(held(400, &["night"]), Ok(Minor(400)));
        assert_eq!(held(-400, &["night"]), Ok(Minor(0)));
    }
}
