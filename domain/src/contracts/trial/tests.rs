use serde_json::{Value, json};

use super::*;
use crate::contracts::case::{MOST_FACTS, check};
use crate::contracts::fixtures::active;
use crate::transactions::transaction::Draft;

fn assets() -> HashMap<String, Asset> {
    HashMap::from([("BIT".to_owned(), Asset::new("BIT", 2))])
}

/// A fact at noon of a day of January 2021.
fn fact(id: &str, kind: &str, amount: &str, more: Value) -> Draft {
    let mut draft = Draft {
        external_id: id.to_owned(),
        kind: kind.to_owned(),
        amount: amount.to_owned(),
        currency: "BIT".to_owned(),
        occurred_at: Timestamp::parse_rfc3339("2021-01-15T12:00:00Z"),
        ..Draft::default()
    };
    let text = |name: &str| more[name].as_str().map(str::to_owned);
    (draft.product, draft.player, draft.reverses) = (text("product"), text("player"), text("reverses"));
    if let Some(at) = text("at") {
        draft.occurred_at = Some(Timestamp::parse_rfc3339(&at).expect("a time"));
    }
    draft
}

fn case(facts: Vec<Draft>, total: &str) -> TestCase {
    let expected = Expected { total: total.to_owned(), lines: None };
    TestCase { name: "January".to_owned(), facts, expected, ..TestCase::default() }
}

fn told(case: &TestCase, change: Value) -> String {
    let result = run(case, &active(1, 1, change), &assets());
    if result.passed() { "passed".to_owned() } else { result.told() }
}

fn line(code: &str, class: Option<&str>, amount: &str) -> ExpectedLine {
    let (code, amount) = (code.to_owned(), amount.to_owned());
    ExpectedLine { code, rate_class: class.map(str::to_owned), clause: None, amount }
}

#[test]
fn fees_are_told_apart_where_the_case_does() {
    let terms = json!({ "fees": [
        { "code": "setup", "charge": { "amount": "100" } }, { "code": "rent", "charge": { "amount": "20" } },
    ] });
    let mut january = case(vec![fact("1", "STAKE", "1000", json!({}))], "200");
    let of = |clause: &str, amount: &str| ExpectedLine { clause: Some(clause.to_owned()), ..line("FEE", None, amount) };
    let share = || line("REVENUE_SHARE", Some("all"), "80");
    january.expected.lines = Some(vec![share(), of("setup", "100"), of("rent", "20")]);
    assert_eq!(told(&january, terms.clone()), "passed");
    january.expected.lines = Some(vec![share(), line("FEE", None, "120")]);
    assert_eq!(told(&january, terms.clone()), "passed", "a line without a clause stands for all of them");
    january.expected.lines = Some(vec![share(), of("setup", "100"), line("FEE", None, "20")]);
    assert_eq!(told(&january, terms.clone()), "passed", "or for the others");
    january.expected.lines = Some(vec![share(), of("setup", "20"), of("rent", "100")]);
    assert_eq!(
        told(&january, terms.clone()),
        "'January': FEE rent: expected 100.00, got 20.00; FEE setup: expected 20.00, got 100.00"
    );
    let accepted = accepted(&january, &active(1, 1, terms), &assets()).expect("lines");
    assert_eq!(accepted.lines, Some(vec![share_of("80.00"), of("rent", "20.00"), of("setup", "100.00")]));
}

fn share_of(amount: &str) -> ExpectedLine {
    line("REVENUE_SHARE", Some("all"), amount)
}

#[test]
fn what_was_paid_beforehand_is_part_of_a_case() {
    let mut january = case(vec![fact("1", "STAKE", "1000", json!({}))], "0");
    january.advanced = Some("500".to_owned());
    january.expected.lines = Some(vec![share_of("80"), line("RECOUPED", None, "-80")]);
    assert_eq!(told(&january, json!({ "advance": {} })), "passed");
    january.advanced = Some("30".to_owned());
    january.expected = Expected { total: "50".to_owned(), lines: None };
    assert_eq!(told(&january, json!({ "advance": {} })), "passed");
    (january.advanced, january.credit) = (None, Some("250".to_owned()));
    january.expected = Expected { total: "60".to_owned(), lines: None };
    assert_eq!(told(&january, json!({ "prepaid": {} })), "passed", "750 of 1,000 are beyond the credit");
}

#[test]
fn a_case_passes_where_every_line_is_as_expected_and_says_which_is_not() {
    let facts = || vec![fact("1", "STAKE", "1000", json!({})), fact("2", "WIN", "500", json!({}))];
    let mut january = case(facts(), "40");
    assert_eq!(told(&january, json!({})), "passed");
    january.expected.lines = Some(vec![line("REVENUE_SHARE", Some("all"), "40.00")]);
    assert_eq!(told(&january, json!({})), "passed");
    let nine = json!({ "rateTable": { "rows": [{ "code": "all", "percent": "9" }] } });
    assert_eq!(
        told(&january, nine),
        "'January': REVENUE_SHARE all: expected 40.00, got 45.00; total: expected 40.00, got 45.00"
    );
    let other = json!({ "rateTable": { "rows": [{ "code": "rest", "percent": "8" }] } });
    assert_eq!(
        told(&january, other),
        "'January': REVENUE_SHARE all: expected 40.00, got no such line; REVENUE_SHARE rest: expected no such line, got 40.00"
    );
    // With no lines named, the same total under another class will do.
    january.expected.lines = None;
    assert_eq!(told(&january, json!({ "rateTable": { "rows": [{ "code": "rest", "percent": "8" }] } })), "passed");
}

#[test]
fn what_the_case_says_of_products_and_players_decides_the_class() {
    let rows = json!({ "rateTable": { "rows": [
        { "code": "vip", "when": "'vip' in tags and segment == 'gold'", "percent": "50" },
        { "code": "slots", "when": "category == 'slot'", "percent": "20" },
        { "code": "rest", "percent": "10" },
    ] } });
    let mut january = case(
        vec![
            fact("1", "STAKE", "100", json!({ "player": "ann" })),
            fact("2", "STAKE", "100", json!({ "player": "bob", "product": "reels" })),
            fact("3", "STAKE", "100", json!({ "player": "nobody", "product": "dice" })),
        ],
        "80",
    );
    january.products.insert("reels".to_owned(), "slot".to_owned());
    let player =
        |segment: &str, tag: &str| CasePlayer { segment: Some(segment.to_owned()), tags: vec![tag.to_owned()] };
    january.players.insert("ann".to_owned(), player("gold", "vip"));
    january.players.insert("bob".to_owned(), player("gold", "new"));
    assert_eq!(told(&january, rows.clone()), "passed");
    let accepted = accepted(&january, &active(1, 1, rows), &assets()).expect("calculated");
    let lines = [("rest", "10.00"), ("slots", "20.00"), ("vip", "50.00")];
    let lines = lines.map(|(class, amount)| line("REVENUE_SHARE", Some(class), amount)).to_vec();
    assert_eq!(accepted, Expected { total: "80.00".to_owned(), lines: Some(lines) });
}

#[test]
fn what_is_carried_in_and_undone_counts() {
    let facts = vec![
        fact("1", "STAKE", "1000", json!({})),
        fact("2", "STAKE", "77", json!({})),
        fact("3", "ROLLBACK", "0", json!({ "reverses": "2" })),
    ];
    let mut january = case(facts, "48.5");
    january.carried_base.insert(String::new(), "-400".to_owned());
    january.carried_amount = Some("0.50".to_owned());
    assert_eq!(told(&january, json!({})), "passed");
    january.facts.push(fact("4", "ROLLBACK", "0", json!({ "reverses": "2" })));
    assert!(told(&january, json!({})).contains("facts.3.reverses"), "undone once");
}

#[test]
fn a_case_that_cannot_be_calculated_fails() {
    let two = case(
        vec![fact("1", "STAKE", "1", json!({})), fact("2", "STAKE", "1", json!({ "at": "2021-02-01T00:00:00Z" }))],
        "0.16",
    );
    assert!(told(&two, json!({})).contains("facts.1: belongs to another period"));
    let one = || case(vec![fact("1", "STAKE", "1", json!({}))], "0.08");
    assert!(told(&one(), json!({ "attribution": "SETTLED" })).contains("facts.0: the contract counts by settlement"));
    let fails = json!({ "rateTable": { "rows": [{ "code": "a", "when": "number(product) > 1", "percent": "8" }, { "code": "b", "percent": "8" }] } });
    assert!(told(&one(), fails).contains("facts.0: the condition of row 'a' failed"));
    // Not covered is no failure: that, too, may be what a case is about.
    assert_eq!(told(&case(one().facts, "0"), json!({ "scope": { "products": ["crash"] } })), "passed");
    assert_eq!(told(&case(one().facts, "0"), json!({ "validFrom": "2021-02-01" })), "passed", "not in force yet");
}

#[test]
fn what_is_wrong_with_a_case_is_told_by_field() {
    let paths = |case: &TestCase| -> Vec<String> {
        check(case, &Asset::new("BIT", 2), &assets()).into_iter().map(|problem| problem.path).collect()
    };
    let good = case(vec![fact("1", "STAKE", "1", json!({}))], "0.08");
    assert_eq!(paths(&good), [""; 0]);
    let with = |change: &dyn Fn(&mut TestCase)| {
        let mut changed = good.clone();
        change(&mut changed);
        paths(&changed)
    };
    assert_eq!(with(&|case| case.facts[0].amount = "x".to_owned()), ["facts.0.amount"]);
    assert_eq!(with(&|case| case.facts[0].currency = "XXX".to_owned()), ["facts.0.currency"]);
    assert_eq!(with(&|case| case.facts = vec![case.facts[0].clone(); MOST_FACTS + 1]), ["facts"]);
    assert_eq!(with(&|case| case.expected.total = "0.001".to_owned()), ["expected.total"]);
    assert_eq!(with(&|case| case.expected.lines = Some(vec![line("TAX", None, "1")])), ["expected.lines.0.code"]);
    assert_eq!(
        with(&|case| case.expected.lines = Some(vec![line("REVENUE_SHARE", None, "x")])),
        ["expected.lines.0.amount"]
    );
    let carried = |amount: &str| with(&|case| drop(case.carried_base.insert("all".to_owned(), amount.to_owned())));
    assert_eq!((carried("-1"), carried("1")), (Vec::new(), vec!["carriedBase".to_owned()]));
    assert_eq!(with(&|case| case.carried_amount = Some("?".to_owned())), ["carriedAmount"]);
    assert_eq!(with(&|case| case.advanced = Some("-1".to_owned())), ["advanced"]);
    assert_eq!(with(&|case| case.credit = Some("1.005".to_owned())), ["credit"]);
}
