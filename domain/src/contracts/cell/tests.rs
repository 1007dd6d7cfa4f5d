use proptest::prelude::*;

use super::*;

fn reads(text: &str) -> Reads {
    Reads::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn cell(column: &str, text: &str) -> Cell {
    reads(column).cell(text).unwrap_or_else(|error| panic!("{column}: {text}: {error}"))
}

/// The hours that a cell takes.
fn hours_of(text: &str) -> Vec<u8> {
    let cell = cell("localHour", text);
    (0..24).filter(|hour| cell.holds(Value::Bit(*hour))).collect()
}

#[test]
fn a_column_reads_what_a_condition_may_read() {
    for var in Var::ALL {
        assert_eq!(reads(var.name()), Reads::Var(var));
    }
    assert_eq!(reads(" attributes.shop "), Reads::Attribute("shop".into()));
    assert_eq!(reads("number( attributes.level )"), Reads::NumberOf("level".into()));
    for text in ["kind", "attributes.shop", "number(attributes.level)"] {
        assert_eq!(reads(text).name(), text);
    }
    for bad in
        ["", "amount", "attributes", "attributes.", "attributes.a b", "number(product)", "Product", "attributes.1"]
    {
        assert!(Reads::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_empty_cell_and_a_dash_are_anything() {
    for column in ["product", "localHour", "localWeekday", "kind", "tags", "number(attributes.level)"] {
        for text in ["", "  ", "-"] {
            assert_eq!(cell(column, text), Cell::Any, "{column}");
        }
    }
    for (column, text) in
        [("localHour", "0..24"), ("localWeekday", "MON..SUN"), ("number(attributes.n)", "none, < 5, >= 5")]
    {
        assert_eq!(cell(column, text), Cell::Any, "{column}: {text} says nothing");
    }
}

#[test]
fn hours_are_from_up_to_but_without_and_go_round() {
    assert_eq!(hours_of("0..6"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(hours_of("22..2"), [0, 1, 22, 23]);
    assert_eq!(hours_of("22..24"), [22, 23]);
    assert_eq!(hours_of("7, 9..11"), [7, 9, 10]);
    assert_eq!(hours_of("< 2"), [0, 1]);
    assert_eq!(hours_of("<=2"), [0, 1, 2]);
    assert_eq!(hours_of(">= 22"), [22, 23]);
    assert_eq!(hours_of("> 22"), [23]);
    assert_eq!(hours_of("not 2..24"), [0, 1]);
    for bad in ["24", "6..6", "-1", "6..25", "x", "0.5", ">= 24", "not 0..24", "6,", "6 7", "none"] {
        assert!(reads("localHour").cell(bad).is_err(), "{bad}");
    }
}

#[test]
fn days_of_the_week_include_both_ends_and_go_round() {
    let days = |text: &str| -> Vec<u8> {
        let cell = cell("localWeekday", text);
        (0..7).filter(|day| cell.holds(Value::Bit(*day))).collect()
    };
    assert_eq!(days("MON..FRI"), [0, 1, 2, 3, 4]);
    assert_eq!(days("sat, Sunday"), [5, 6]);
    assert_eq!(days("SUN..TUE"), [0, 1, 6]);
    assert_eq!(days("not MON"), [1, 2, 3, 4, 5, 6]);
    assert!(reads("localWeekday").cell("MO").is_err() && reads("localWeekday").cell("MON..").is_err());
}

#[test]
fn names_are_listed_or_left_out() {
    let slots = cell("category", "slots, live");
    assert!(slots.holds(Value::Text(Some("live"))) && !slots.holds(Value::Text(Some("crash"))));
    assert!(!slots.holds(Value::Text(None)));
    let others = cell("category", "not slots, live");
    assert!(!others.holds(Value::Text(Some("live"))) && others.holds(Value::Text(None)));
    assert!(cell("category", "none").holds(Value::Text(None)));
    assert!(!cell("category", "not none, slots").holds(Value::Text(None)));
    assert!(cell("category", "slots, None").holds(Value::Text(None)));
    assert!(cell("product", "\"none\"").holds(Value::Text(Some("none"))));
    assert!(cell("product", "\"a, b\", \"say \"\"hi\"\"\"").holds(Value::Text(Some("say \"hi\""))));
    assert!(cell("product", "\"not x\"").holds(Value::Text(Some("not x"))));
    assert!(cell("product", "Hot Spin 2").holds(Value::Text(Some("Hot Spin 2"))));
    for bad in ["a,,b", ",", "a,", "not", "not not a", "a, not b", "\"a", "\"a\" b", "a, a", "0..6", ">= 6", "NOT"] {
        assert!(reads("product").cell(bad).is_err(), "{bad}");
    }
    let long = "x".repeat(MAX_CELL + 1);
    assert!(reads("product").cell(&long).is_err());
    assert!(reads("kind").cell("ROLLBACK").is_err_and(|error| error.contains("STAKE, WIN")));
    assert!(cell("kind", "stake, WIN").holds(Value::Bit(1)) && !cell("kind", "not WIN").holds(Value::Bit(1)));
}

#[test]
fn tags_hold_when_one_of_them_is_listed() {
    let tags = |tags: &[&str]| -> Vec<String> { tags.iter().map(|tag| (*tag).to_owned()).collect() };
    let holds = |text: &str, own: &[&str]| cell("tags", text).holds(Value::Tags(&tags(own)));
    assert!(holds("vip, new", &["new", "x"]) && !holds("vip", &["x"]) && !holds("vip", &[]));
    assert!(holds("not vip", &["x"]) && !holds("not vip", &["x", "vip"]) && holds("not vip", &[]));
    assert!(holds("none", &[]) && !holds("none", &["x"]) && holds("not none", &["x"]));
}

#[test]
fn numbers_are_exact() {
    let holds = |text: &str, number: &str| {
        cell("number(attributes.n)", text).holds(Value::Number(Decimal::from_str_exact(number).ok()))
    };
    assert!(holds("0..0.3", "0.1") && !holds("0..0.3", "0.3") && holds("0..0.3", "0.0"));
    assert!(holds("> 5", "5.0000001") && !holds("> 5", "5") && holds(">= 5", "5.0") && holds("<= 5", "5"));
    assert!(holds("-5..5", "-5") && holds("-5", "-5") && !holds("not -5", "-5"));
    assert!(holds("not 0..5", "5") && !holds("not 0..5, none", "x") && holds("not 0..5", "x"), "x is nothing there");
    for bad in ["5..5", "6..5", "1e3", "NaN", "", "a", "1,000..", "..5", "1 000", "+5", "not < 5, >= 5, none"] {
        let refused = reads("number(attributes.n)").cell(bad).is_err();
        assert!(refused || bad.is_empty(), "{bad}");
    }
}

proptest! {
    /// A cell of several entries holds where one of them does, and `not` where none does.
    #[test]
    fn a_list_of_numbers_is_any_of_its_entries(
        entries in prop::collection::vec((0_u8..5, -4_i64..8, 1_i64..4), 1..5),
        value in prop::option::of(-10_i64..20),
    ) {
        let text = |(form, from, length): &(u8, i64, i64)| match form {
            0 => format!("{from}"),
            1 => format!("{from}..{}", from + length),
            2 => format!("< {from}"),
            3 => format!(">= {from}"),
            _ => "none".to_owned(),
        };
        let one = |(form, from, length): &(u8, i64, i64)| match (form, value) {
            (0, Some(value)) => value == *from,
            (1, Some(value)) => (*from..from + length).contains(&value),
            (2, Some(value)) => value < *from,
            (3, Some(value)) => value >= *from,
            (4, value) => value.is_none(),
            _ => false,
        };
        let list: Vec<String> = entries.iter().map(text).collect();
        let list = list.join(", ");
        let expected = entries.iter().any(one);
        let value = Value::Number(value.map(Decimal::from));
        prop_assert_eq!(cell("number(attributes.n)", &list).holds(value), expected, "{}", list);
        if let Ok(others) = reads("number(attributes.n)").cell(&format!("not {list}")) {
            prop_assert_eq!(others.holds(value), !expected, "not {}", list);
        }
    }
}
