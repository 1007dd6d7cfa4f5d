//! The steps of a line's formula in words, for whoever asks where a cent comes from.

use super::say::{Statement, Value, say};
use crate::money::Asset;
use crate::settlements::formula::{self, Step, StepKind};
use crate::transactions::transaction::Kind;

/// A step of a line in this asset.
pub fn step(step: &Step, asset: &Asset) -> Statement {
    let (result, of) = (value(step.result, asset), step.of.as_deref().unwrap_or_default());
    let told = |name: &str| step.value(name).map_or_else(|| Value::Number(String::new()), |of| value(of, asset));
    match step.kind {
        StepKind::Counted => counted(step, asset),
        StepKind::Base => say!("formula.BASE", result = result),
        StepKind::Deduction if step.value("cap").is_some() => say!(
            "formula.DEDUCTION.cap",
            code = of,
            result = result,
            asked = told("asked"),
            cap = told("cap"),
            cost = told("cost"),
        ),
        StepKind::Deduction => say!("formula.DEDUCTION", code = of, result = result, cost = told("cost")),
        StepKind::Left => say!("formula.LEFT", result = result),
        StepKind::Netted => say!("formula.NETTED", before = told("before"), result = result),
        StepKind::SetOff | StepKind::Fenced => fence(step, asset),
        StepKind::CarriedBase if of.is_empty() => say!("formula.CARRIED_BASE", result = result),
        StepKind::CarriedBase => say!("formula.CARRIED_BASE.class", class = of, result = result),
        StepKind::Rated => say!("formula.RATED", stretch = told("stretch"), rate = told("rate"), result = result),
        StepKind::Rounded => say!("formula.ROUNDED", exact = told("exact"), result = result),
        StepKind::Part => {
            let (amount, days, all) = (told("amount"), told("days"), told("ofDays"));
            say!("formula.PART", amount = amount, days = days, all = all, result = result)
        }
        StepKind::Bounded => say!("formula.BOUNDED", result = result),
        StepKind::Bound => say!("formula.BOUND", bound = told("bound"), sum = told("sum"), result = result),
        StepKind::Corrected => {
            let (now, then, corrected) = (told("now"), told("then"), told("corrected"));
            say!("formula.CORRECTED", now = now, then = then, corrected = corrected, result = result)
        }
        StepKind::Drawn => {
            let (drawn, before, after) = (told("drawn"), told("before"), told("after"));
            let (played, bought) = (told("played"), told("bought"));
            say!(
                "formula.DRAWN",
                played = played,
                drawn = drawn,
                before = before,
                after = after,
                bought = bought,
                result = result
            )
        }
        StepKind::Recouped => {
            let (percent, due, most, left) = (told("percent"), told("due"), told("most"), told("left"));
            say!("formula.RECOUPED", percent = percent, due = due, most = most, left = left, result = result)
        }
        StepKind::CarriedIn => say!("formula.CARRIED_IN", result = result),
        StepKind::CarriedOut => say!("formula.CARRIED_OUT", due = told("due"), minimum = told("minimumPayout")),
        StepKind::Shared => {
            let (total, weight, weights, whole) = (told("total"), told("weight"), told("weights"), told("whole"));
            let (rest, of, unit) = (told("rest"), told("restOf"), told("unit"));
            say!(
                "formula.SHARED",
                total = total,
                weight = weight,
                weights = weights,
                whole = whole,
                rest = rest,
                of = of,
                unit = unit,
                result = result
            )
        }
    }
}

/// What the ring-fence sets off, or takes out.
fn fence(step: &Step, asset: &Asset) -> Statement {
    let told = |name: &str| step.value(name).map_or_else(|| Value::Number(String::new()), |of| value(of, asset));
    let (players, total, left) = (told("players"), told("total"), told("left"));
    let result = value(step.result, asset);
    match step.kind {
        StepKind::SetOff => {
            let (bases, stood) = (told("bases"), told("stood"));
            let key = "formula.SET_OFF";
            say!(key, players = players, bases = bases, stood = stood, total = total, left = left, result = result)
        }
        _ => {
            let (threshold, losses) = (told("threshold"), told("losses"));
            let key = "formula.FENCED";
            say!(
                key,
                players = players,
                threshold = threshold,
                losses = losses,
                total = total,
                left = left,
                result = result
            )
        }
    }
}

/// What transactions of a kind, or a rate class, add.
fn counted(step: &Step, asset: &Asset) -> Statement {
    let of = step.of.as_deref().unwrap_or_default();
    // The sums of an adjustment are told apart by what they move.
    let kind = Kind::ALL.into_iter().filter(|kind| of.starts_with(kind.as_str()));
    let of = match kind.max_by_key(|kind| kind.as_str().len()) {
        Some(kind) => Value::from(say!(format!("kind.{}", kind.as_str()))),
        None => Value::from(of),
    };
    let told = |name: &str| step.value(name).map(|of| value(of, asset));
    match (told("amount"), told("units"), step.value("sign").and_then(formula::Value::number)) {
        (Some(amount), _, Some(1)) => say!("formula.COUNTED.added", of = of, amount = amount),
        (Some(amount), _, Some(-1)) => say!("formula.COUNTED.taken", of = of, amount = amount),
        (Some(amount), _, _) => say!("formula.COUNTED.not", of = of, amount = amount),
        (None, Some(units), _) => match told("percent") {
            Some(percent) => {
                let result = value(step.result, asset);
                say!("formula.COUNTED.units", of = of, units = units, percent = percent, result = result)
            }
            None => say!("formula.COUNTED.class", of = of, units = units),
        },
        (None, None, _) => say!("formula.BASE", result = value(step.result, asset)),
    }
}

fn value(of: formula::Value, asset: &Asset) -> Value {
    let text = of.shown(asset);
    match of {
        formula::Value::Units(_) | formula::Value::Minor(_) | formula::Value::Exact(_) | formula::Value::Price(_) => {
            Value::Money(text, asset.code.clone())
        }
        formula::Value::Percent(rate) => Value::Percent(rate),
        formula::Value::Count(_) | formula::Value::Number(_) => Value::Number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::say::all;
    use super::*;
    use crate::money::{Minor, Rate, Share, Units};
    use crate::notifications::Language;
    use crate::settlements::formula::Value as Of;

    fn said(kind: StepKind, of: &str, values: &[(&'static str, Of)], result: Of) -> [String; 2] {
        let statement = step(&Step::new(kind, values.to_vec(), result).of(of), &Asset::new("KRW", 0));
        Language::ALL.map(|language| {
            let sentence = all(language).get(statement.key.as_str()).expect("a sentence");
            for (name, _) in &statement.values {
                assert!(sentence.contains(&format!("{{{name}}}")), "{} has no {name}", statement.key);
            }
            let text = statement.in_language(language);
            assert!(!text.contains(['{', '}']), "{text}");
            text
        })
    }

    #[test]
    fn a_share_is_told_from_its_transactions_to_its_amount() {
        let money = |won: i64| Of::Units(Units(won * 10_000));
        let sign = |sign: i128| ("sign", Of::Number(sign));
        let percent = |text: &str| Of::Percent(Rate::parse(text).expect("a rate"));
        let exact = |won: i64| Of::Exact(Share::whole(i128::from(won) * 10_000));
        use StepKind::*;
        let steps = [
            said(Counted, "STAKE", &[("amount", money(1_000)), sign(1)], exact(1_000)),
            said(Counted, "BONUS_WIN", &[("amount", money(30)), sign(-1)], exact(-30)),
            said(Counted, "ADJUSTMENT_GGR", &[("amount", money(30)), sign(0)], exact(0)),
            said(Base, "", &[], money(970)),
            said(Rated, "", &[("stretch", money(970)), ("rate", percent("7.5"))], exact(73)),
            said(Rounded, "HALF_EVEN", &[("exact", exact(73))], Of::Minor(Minor(73))),
        ];
        let english = steps.clone().map(|[english, _]| english);
        assert_eq!(
            english,
            [
                "stakes: 1,000 KRW is added.",
                "bonus wins: 30 KRW is taken off.",
                "adjustments: 30 KRW does not count.",
                "Together the base is 970 KRW.",
                "970 KRW at 7.5 % is 73 KRW.",
                "73 KRW is rounded once, to 73 KRW.",
            ]
        );
        let korean = steps.map(|[_, korean]| korean);
        assert_eq!(
            korean,
            [
                "베팅: 1,000원을 더한다.",
                "보너스 당첨: 30원을 뺀다.",
                "조정: 30원은 계산에 넣지 않는다.",
                "합계인 정산 기준은 970원.",
                "970원에 7.5%를 적용하면 73원.",
                "73원을 한 번 단수 처리하여 73원.",
            ]
        );
    }

    #[test]
    fn every_kind_of_step_has_its_words() {
        use StepKind::*;
        let count = Of::Count(Units(10_000));
        let units = said(Counted, "BONUS_STAKE", &[("units", count), ("percent", Of::Percent(Rate::HUNDRED))], count);
        assert_eq!(units[0], "bonus stakes: 1, each counted as 100 %: 1.");
        assert_eq!(said(Counted, "slots", &[("units", count)], count)[0], "Rate class ‘slots’: 1 counted.");
        let won = |won: i64| Of::Minor(Minor(won));
        let taken = [("asked", won(7)), ("cost", won(5)), ("weight", Of::Number(1)), ("weights", Of::Number(2))];
        let capped: Vec<_> = taken.into_iter().chain([("cap", won(5))]).collect();
        assert!(said(Deduction, "tax", &taken, won(3))[1].contains("5원 중 이 요율 구간의 몫 3원"));
        assert!(
            said(Deduction, "tax", &capped, won(3))[0].starts_with("Deduction ‘tax’: 7 KRW, but no more than 5 KRW")
        );
        let days = [("amount", won(31)), ("days", Of::Number(7)), ("ofDays", Of::Number(31))];
        assert_eq!(
            said(Part, "HALF_EVEN", &days, won(7))[0],
            "Of 31 KRW for the whole period, 7 of 31 days are 7 KRW."
        );
        for (kind, of, values) in [
            (Left, "", &[][..]),
            (Netted, "", &[("before", won(1))]),
            (CarriedBase, "", &[]),
            (CarriedBase, "slots", &[]),
            (Bounded, "", &[]),
            (Bound, "", &[("bound", won(1)), ("sum", won(2))]),
            (Corrected, "", &[("now", won(1)), ("then", won(2)), ("corrected", won(3))]),
            (
                Drawn,
                "",
                &[("played", won(1)), ("drawn", won(2)), ("before", won(3)), ("after", won(4)), ("bought", won(5))],
            ),
            (
                Recouped,
                "",
                &[("percent", Of::Percent(Rate::HUNDRED)), ("due", won(1)), ("most", won(2)), ("left", won(3))],
            ),
            (CarriedIn, "", &[]),
            (CarriedOut, "", &[("due", won(1)), ("minimumPayout", won(2))]),
        ] {
            for text in said(kind, of, values, won(77)) {
                assert!(text.contains("77") || kind == CarriedOut, "{text}");
            }
        }
    }

    #[test]
    fn players_and_parties_are_told_with_what_they_share() {
        use StepKind::*;
        let won = |won: i64| Of::Minor(Minor(won));
        for (kind, of, values) in [
            (
                SetOff,
                "",
                &[
                    ("players", Of::Number(2)),
                    ("bases", won(1)),
                    ("stood", won(2)),
                    ("total", won(4)),
                    ("left", won(3)),
                ][..],
            ),
            (
                Fenced,
                "",
                &[
                    ("players", Of::Number(2)),
                    ("threshold", won(1)),
                    ("losses", won(2)),
                    ("total", won(3)),
                    ("left", won(4)),
                ],
            ),
            (
                Shared,
                "LARGEST_REMAINDER",
                &[
                    ("total", won(230)),
                    ("weight", Of::Percent(Rate::HUNDRED)),
                    ("weights", Of::Percent(Rate::HUNDRED)),
                    ("whole", won(76)),
                    ("rest", Of::Number(2)),
                    ("restOf", Of::Number(3)),
                    ("unit", won(1)),
                ],
            ),
        ] {
            for text in said(kind, of, values, won(77)) {
                assert!(text.contains("77"), "{text}");
            }
        }
    }
}
