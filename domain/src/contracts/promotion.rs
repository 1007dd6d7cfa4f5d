//! Promotions: which one is on at an instant for a product.

use std::sync::Arc;

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::contract::{Cycle, Promotion};
use crate::time::Timestamp;

/// The promotions of a version, in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Promotions(Vec<Window>);

#[derive(Clone, Debug)]
struct Window {
    code: Arc<str>,
    from: Timestamp,
    until: Timestamp,
    /// Sorted; none means all.
    products: Vec<Box<str>>,
}

impl Promotions {
    /// What is no time is on at no time: saving refused it.
    pub fn new(promotions: &[Promotion], cycle: &Cycle) -> Self {
        let window = |promotion: &Promotion| {
            let mut products: Vec<Box<str>> =
                promotion.products.iter().map(|product| product.as_str().into()).collect();
            products.sort_unstable();
            Some(Window {
                code: promotion.code.as_str().into(),
                from: moment(&promotion.from, cycle.time_zone)?,
                until: moment(&promotion.until, cycle.time_zone)?,
                products,
            })
        };
        Self(promotions.iter().filter_map(window).collect())
    }

    /// The first promotion that is on. The end belongs to what comes after it.
    pub fn at(&self, at: Timestamp, product: Option<&str>) -> Option<&str> {
        let is_on = |window: &&Window| window.from <= at && at < window.until && window.takes(product);
        self.0.iter().find(is_on).map(|window| &*window.code)
    }

    /// Pairs of different codes of which both are on for one product: the first of each hides the second.
    pub fn overlaps(&self) -> Vec<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|position| self.0[*position].from);
        let mut pairs = Vec::new();
        for (place, first) in order.iter().enumerate() {
            let began = order[place + 1..].iter().take_while(|next| self.0[**next].from < self.0[*first].until);
            for second in began.filter(|second| self.0[*first].meets(&self.0[**second])) {
                pairs.push((*first.min(second), *first.max(second)));
            }
            // A hundred say enough.
            if pairs.len() > 100 {
                break;
            }
        }
        pairs.sort_unstable();
        pairs
    }
}

impl Window {
    fn takes(&self, product: Option<&str>) -> bool {
        let has = |product: &str| self.products.binary_search_by(|own| (**own).cmp(product)).is_ok();
        self.products.is_empty() || product.is_some_and(has)
    }

    /// Whether both are on for some product, when their times meet.
    fn meets(&self, other: &Self) -> bool {
        self.code != other.code
            && (self.products.is_empty()
                || other.products.is_empty()
                || other.products.iter().any(|product| self.takes(Some(product))))
    }
}

/// An instant with an offset, or a time on a zone's clocks.
pub(super) fn moment(text: &str, zone: Tz) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(instant) = Timestamp::parse_rfc3339(text) {
        return Some(instant);
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    let moment = Timestamp::from_local(local, zone);
    moment.in_range().then_some(moment)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::terms;

    fn promotions(list: Value) -> Promotions {
        let terms = terms(json!({
            "promotions": list, "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul" },
        }));
        Promotions::new(&terms.promotions, &terms.cycle)
    }

    fn on(promotions: &Promotions, at: &str, product: Option<&str>) -> Option<String> {
        let at = Timestamp::parse_rfc3339(at).expect("a time");
        promotions.at(at, product).map(str::to_owned)
    }

    #[test]
    fn a_promotion_is_on_from_its_beginning_up_to_its_end_for_its_products() {
        let xmas = promotions(json!([
            { "code": "xmas", "from": "2021-12-24T00:00", "until": "2021-12-27 00:00", "products": ["crash", "dice"] },
            { "code": "year", "from": "2021-12-01T00:00:00Z", "until": "2022-01-01T00:00:00Z" },
        ]));
        let crash = Some("crash");
        assert_eq!(on(&xmas, "2021-12-23T15:00:00Z", crash).as_deref(), Some("xmas"), "midnight in Seoul");
        assert_eq!(on(&xmas, "2021-12-23T14:59:59.999999Z", crash).as_deref(), Some("year"));
        assert_eq!(on(&xmas, "2021-12-26T15:00:00Z", crash).as_deref(), Some("year"), "its end is out");
        assert_eq!(on(&xmas, "2021-12-25T00:00:00Z", Some("slots")).as_deref(), Some("year"));
        assert_eq!(on(&xmas, "2021-12-25T00:00:00Z", None).as_deref(), Some("year"));
        assert_eq!(on(&xmas, "2022-01-01T00:00:00Z", crash), None);
    }

    #[test]
    fn promotions_overlap_when_times_and_products_meet() {
        let window = |code: &str, from: u32, until: u32, products: &[&str]| {
            let day = |day: u32| format!("2021-12-{day:02}T00:00");
            json!({ "code": code, "from": day(from), "until": day(until), "products": products })
        };
        let list = promotions(json!([
            window("a", 1, 10, &[]),
            window("b", 10, 20, &["crash"]),
            window("c", 5, 12, &["dice"]),
            window("d", 11, 15, &["crash", "slots"]),
            window("b", 12, 13, &["crash"]),
        ]));
        assert_eq!(list.overlaps(), [(0, 2), (1, 3), (3, 4)]);
    }

    #[test]
    fn a_moment_is_an_instant_or_a_local_time() {
        let seoul = chrono_tz::Asia::Seoul;
        let read = |text: &str| moment(text, seoul).map(Timestamp::to_rfc3339);
        assert_eq!(read("2021-12-24T00:00").as_deref(), Some("2021-12-23T15:00:00Z"));
        assert_eq!(read("2021-12-24T00:00:30+01:00").as_deref(), Some("2021-12-23T23:00:30Z"));
        for bad in ["", "2021-12-24", "24.12.2021 00:00", "2021-13-01T00:00", "0001-01-01T00:00", "now"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
