//! Sets of numbers: stretches of the line, and whether "nothing there" is one of them.

use rust_decimal::Decimal;

/// A place between numbers: just before one, or just after it.
pub(super) type Cut = (Decimal, bool);

/// Stretches in order that neither meet nor touch; no cut means that there is no end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Numbers {
    pub stretches: Vec<(Option<Cut>, Option<Cut>)>,
    pub none: bool,
}

impl Numbers {
    pub fn parse(not: bool, items: &[&str]) -> Result<Self, String> {
        let mut numbers = Self::default();
        for item in items {
            if item.eq_ignore_ascii_case("none") {
                numbers.none = true;
            } else {
                numbers.stretches.push(stretch(item)?);
            }
        }
        numbers.tidy();
        if not {
            numbers = numbers.complement();
        }
        if numbers.stretches.is_empty() && !numbers.none {
            return Err("leaves nothing that could hold".to_owned());
        }
        Ok(numbers)
    }

    pub fn has(&self, number: Option<Decimal>) -> bool {
        let Some(number) = number else { return self.none };
        self.stretches.iter().any(|(from, until)| {
            from.is_none_or(|(cut, after)| if after { number > cut } else { number >= cut })
                && until.is_none_or(|(cut, after)| if after { number <= cut } else { number < cut })
        })
    }

    pub fn is_all(&self) -> bool {
        self.none && self.stretches == [(None, None)]
    }

    /// Puts stretches in order and joins what meets.
    fn tidy(&mut self) {
        // No beginning comes first by itself: `None` is less than any cut.
        self.stretches.sort_unstable();
        let mut joined: Vec<(Option<Cut>, Option<Cut>)> = Vec::with_capacity(self.stretches.len());
        for (from, until) in self.stretches.drain(..) {
            match joined.last_mut() {
                Some((_, end)) if end.is_none_or(|end| from.is_none_or(|from| from <= end)) => {
                    *end = end.zip(until).map(|(end, until)| end.max(until));
                }
                _ => joined.push((from, until)),
            }
        }
        self.stretches = joined;
    }

    fn complement(&self) -> Self {
        let mut stretches = Vec::with_capacity(self.stretches.len() + 1);
        // Where the gap before the next stretch begins; `None` once there is none any more.
        let mut gap: Option<Option<Cut>> = Some(None);
        for (from, until) in &self.stretches {
            if let (Some(begin), Some(from)) = (gap, from) {
                stretches.push((begin, Some(*from)));
            }
            gap = until.map(Some);
        }
        stretches.extend(gap.map(|begin| (begin, None)));
        Self { stretches, none: !self.none }
    }
}

/// `6`, `6..12` (up to but without 12), `>= 6`, `> 6`, `<= 6`, `< 6`.
fn stretch(text: &str) -> Result<(Option<Cut>, Option<Cut>), String> {
    if let Some((from, until)) = text.split_once("..") {
        let (from, until) = (number(from)?, number(until)?);
        if from >= until {
            return Err(format!("'{text}' is from {from} up to but without {until}: no number at all"));
        }
        return Ok((Some((from, false)), Some((until, false))));
    }
    for (operator, after) in [("<=", true), (">=", false), ("<", false), (">", true)] {
        if let Some(rest) = text.strip_prefix(operator) {
            let cut = Some((number(rest)?, after));
            return Ok(if operator.starts_with('<') { (None, cut) } else { (cut, None) });
        }
    }
    let exact = number(text)?;
    Ok((Some((exact, false)), Some((exact, true))))
}

pub(super) fn number(text: &str) -> Result<Decimal, String> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = Decimal::from_str_exact(text).ok().filter(|_| plain && !digits.is_empty());
    number.map(|number| number.normalize()).ok_or_else(|| {
        format!("'{text}' is not a number; this column takes numbers like 6, 0..6 (without 6), >= 6, < 6 and none")
    })
}

/// What a transaction brings, as `number()` of a condition reads it: `2.00E+03` too.
pub(super) fn lenient(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}
