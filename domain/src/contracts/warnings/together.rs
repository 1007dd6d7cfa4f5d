//! Contracts that count the same: what all of them take together, at their highest rates.

use super::rows::dearest;
use super::{Around, Warning, WarningCode};
use crate::contracts::contract::{ActiveVersion, Base, Scope};
use crate::contracts::text::say::say;
use crate::money::Rate;

/// Bases of which percentages can be added up.
fn of(base: &Base) -> Option<&'static str> {
    match base {
        Base::Ggr(_) | Base::Ngr(_) => Some("warning.of.revenue"),
        Base::Turnover(_) => Some("warning.of.turnover"),
        Base::Sales(_) => Some("warning.of.sales"),
        Base::Units(_) => None,
    }
}

/// Takes the dearest of the others that meet in some part of the scope. Where several parts would do, the one is told in
/// which the dearest contract is.
pub fn above_whole(own: &ActiveVersion, overlapping: &[&ActiveVersion], around: &Around<'_>, found: &mut Vec<Warning>) {
    let Some(what) = of(&own.terms.base) else { return };
    let same = overlapping.iter().filter(|other| of(&other.terms.base) == Some(what));
    let mut others: Vec<(&ActiveVersion, Rate)> = same.map(|other| (*other, dearest(&other.terms).0)).collect();
    others.sort_by_key(|(other, rate)| (std::cmp::Reverse(*rate), other.contract));
    let mut total = dearest(&own.terms).0;
    let mut part = own.terms.scope.clone();
    let mut parts = vec![say!("warning.part", percent = total, contract = &around.contract(own.contract))];
    for (other, rate) in others.into_iter().filter(|(_, rate)| *rate > Rate::default()) {
        let Some(smaller) = common(&part, &other.terms.scope) else { continue };
        (part, total) = (smaller, total.saturating_add(rate));
        parts.push(say!("warning.part", percent = rate, contract = &around.contract(other.contract)));
    }
    if parts.len() > 1 && total > Rate::HUNDRED {
        let said = say!("warning.RATES_ABOVE_WHOLE", what = say!(what), total = total, parts = parts);
        found.push(Warning::new(WarningCode::RatesAboveWhole, "rateTable", said));
    }
}

/// What is in both scopes, but for tags: one player has several.
fn common(a: &Scope, b: &Scope) -> Option<Scope> {
    fn both<T: Clone + PartialEq>(a: &[T], b: &[T]) -> Option<Vec<T>> {
        match (a, b) {
            ([], other) | (other, []) => Some(other.to_vec()),
            _ => Some(a.iter().filter(|name| b.contains(name)).cloned().collect::<Vec<T>>())
                .filter(|both| !both.is_empty()),
        }
    }
    Some(Scope {
        sources: both(&a.sources, &b.sources)?,
        products: both(&a.products, &b.products)?,
        categories: both(&a.categories, &b.categories)?,
        segments: both(&a.segments, &b.segments)?,
        tags: Vec::new(),
        regions: both(&a.regions, &b.regions)?,
        channels: both(&a.channels, &b.channels)?,
    })
}
