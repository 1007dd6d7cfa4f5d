use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::say::{Value, all};
use super::*;
use crate::calendars::BusinessCalendar;
use crate::contracts::contract::Weekday;
use crate::contracts::fixtures::terms;
use crate::contracts::terms::check;
use crate::ids::PartnerId;
use crate::money::Asset;
use crate::time::Timestamp;

fn say_all(change: Json, asset: &Asset, language: Language) -> Vec<ClauseText> {
    let terms = terms(change);
    let (sources, partners) = (BTreeMap::new(), partners());
    text(&terms, &Words { asset, sources: &sources, partners: &partners, calendars: &[] }, language)
}

/// Partners 1 to 3; nobody may see the third.
fn partner(number: u128) -> PartnerId {
    PartnerId(uuid::Uuid::from_u128(number))
}

fn partners() -> BTreeMap<PartnerId, String> {
    BTreeMap::from([(partner(1), "Studio".to_owned()), (partner(2), "Platform".to_owned())])
}

fn split(kind: &str, percents: &[&str]) -> Json {
    let party = |(number, percent): (u128, &&str)| json!({ "partner": partner(number), "percent": percent });
    json!({ kind: { "parties": (1..).zip(percents).map(party).collect::<Vec<_>>() } })
}

fn shown(clauses: &[ClauseText]) -> String {
    let mut text = String::new();
    for clause in clauses {
        text += &format!("## {}\n", clause.title);
        clause.sentences.iter().for_each(|sentence| text += &format!("{sentence}\n"));
        clause.example.iter().for_each(|sentence| text += &format!("> {sentence}\n"));
    }
    text
}

/// As many clauses as one contract can have.
fn rich() -> Json {
    json!({
        "validFrom": "2021-10-01", "currency": "KRW",
        "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul", "cutOffHour": 6 },
        "scope": { "products": ["crash", "dice"], "regions": ["KR"], "tags": ["vip"] },
        "base": { "ngr": { "bonusTreatment": "INCLUDE", "jackpots": "NONE", "deductions": [
            { "code": "bonus", "take": { "costs": { "of": ["BONUS_WINS"], "percent": "50" } }, "cap": { "percent": "15", "of": "GGR" } },
            { "code": "payment", "take": { "costs": { "of": ["FEES"] } } },
            { "code": "tax", "take": { "percentOf": { "percent": "1.5", "of": "TURNOVER" } } },
            { "code": "platform", "take": { "amount": "100000" } },
        ] } },
        "rateTable": {
            "columns": [{ "reads": "localHour" }, { "reads": "localWeekday" }, { "reads": "product" }, { "reads": "promotion" }],
            "rows": [
                { "code": "night", "cells": ["22..4", "SAT..SUN", "not dice"], "percent": "6" },
                { "code": "xmas", "cells": ["", "", "", "xmas"], "percent": "9" },
                { "code": "mobile", "when": "channel == 'app' and kind != 'WIN'", "percent": "7.5" },
                { "code": "rest", "tiers": { "mode": "VOLUME", "period": "YEAR", "steps": [
                    { "upTo": "10000000", "percent": "15" }, { "upTo": "50000000", "percent": "12" }, { "percent": "10" } ] } },
            ],
        },
        "promotions": [{ "code": "xmas", "from": "2021-12-24T00:00", "until": "2021-12-27T00:00", "products": ["crash"] }],
        "fees": [
            { "code": "hosting", "charge": { "amount": "-300000" } },
            { "code": "rounds", "charge": { "perUnit": { "price": "12", "promotional": "50" } } },
        ],
        "cap": "90000000", "minimumGuarantee": "5000000",
        "advance": { "pool": "studio", "percent": "50" },
        "rounding": "HALF_UP", "minimumPayout": "100000",
        "split": split("parallel", &["60.2", "39.8"]),
    })
}

fn snapshot(name: &str, got: &str, kept: &str) {
    if std::env::var_os("SALDO_WRITE_SNAPSHOTS").is_some() {
        let path = format!("{}/src/contracts/text/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, got).expect("a file");
    } else {
        assert_eq!(got, kept, "{name}");
    }
}

#[test]
fn a_rich_contract_in_both_languages() {
    let asset = Asset::iso("KRW").expect("a currency");
    assert_eq!(check(&terms(rich()), &asset), []);
    let told = |language| shown(&say_all(rich(), &asset, language));
    snapshot("rich.en.txt", &told(Language::En), include_str!("rich.en.txt"));
    snapshot("rich.ko.txt", &told(Language::Ko), include_str!("rich.ko.txt"));
}

fn fenced() -> [Json; 2] {
    let fence = json!({ "threshold": "5000" });
    let deductions = json!([{ "code": "a", "take": { "amount": "5" } }]);
    let ngr = json!({ "ngr": { "bonusTreatment": "EXCLUDE", "deductions": deductions } });
    [json!({ "ringFence": fence }), json!({ "base": ngr, "ringFence": fence })]
}

fn korea() -> BusinessCalendar {
    let weekend = vec![Weekday::Saturday, Weekday::Sunday];
    let (code, name) = ("KR".to_owned(), "Korea".to_owned());
    BusinessCalendar { code, name, weekend, holidays: Vec::new(), revision: 1, changed_at: Timestamp(0) }
}

/// Every form of what terms say about time, and in how many currencies.
fn forms_about_time() -> Vec<Json> {
    let mut forms = vec![json!({ "alsoIn": [
        { "currency": "USD", "minimumPayout": "100" },
        { "currency": "KRW", "minimumPayout": "0", "cycle": { "every": "WEEK" } },
    ] })];
    for (count, from, roll) in [
        ("CALENDAR", "PERIOD_END", "FOLLOWING"),
        ("CALENDAR", "CLOSED", "PRECEDING"),
        ("BUSINESS", "PERIOD_END", "MODIFIED_FOLLOWING"),
        ("BUSINESS", "CLOSED", "NONE"),
    ] {
        let payment = json!({ "days": 5, "count": count, "from": from, "roll": roll, "calendars": ["KR"] });
        forms.push(json!({ "payment": payment }));
    }
    for every in ["DAY", "WEEK", "HALF_MONTH"] {
        forms.push(json!({ "cycle": { "every": every, "timeZone": "UTC" }, "fees": [{ "code": "a", "charge": { "amount": "5" } }] }));
    }
    forms.push(json!({ "validFrom": "2021-01-01", "validUntil": "2021-08-31", "minimumPayout": "5", "lateWindow": { "days": 5 } }));
    for unit in ["DAY", "WEEK", "MONTH"] {
        let custom = json!({ "from": "2021-01-04", "unit": unit, "lengths": [4, 4, 5] });
        forms.push(json!({ "cycle": { "every": "CUSTOM", "timeZone": "UTC", "custom": custom } }));
    }
    forms
}

/// Terms that together have every clause in every form.
fn every_form() -> Vec<Json> {
    let mut forms = vec![json!({}), rich()];
    let pays = json!({ "rows": [{ "code": "all", "percent": "1.2" }] });
    forms.push(json!({ "split": split("differential", &["0.8", "1.2"]), "rateTable": pays }));
    forms.extend(fenced());
    forms.extend(forms_about_time());
    for (attribution, role, rounding, mode) in [
        ("SETTLED", "AGENT", "HALF_EVEN", "RESET"),
        ("ROUND_CLOSED", "PLATFORM", "DOWN", "PAYABLE_BY_PARTNER"),
        ("OCCURRED", "AFFILIATE", "UP", "CARRY"),
        ("OCCURRED", "AGGREGATOR", "UP", "CARRY"),
    ] {
        let negative = json!({ "mode": mode, "level": "PER_CLASS" });
        forms.push(json!({ "attribution": attribution, "role": role, "rounding": rounding, "negative": negative }));
    }
    for base in [
        json!({ "turnover": { "bonusTreatment": "EXCLUDE" } }),
        json!({ "turnover": { "bonusTreatment": "INCLUDE" } }),
        json!({ "sales": {} }),
        json!({ "ggr": { "bonusTreatment": "STAKE_ONLY", "jackpots": "PAYOUT" } }),
        json!({ "ggr": { "bonusTreatment": "EXCLUDE", "jackpots": "ACCRUAL" } }),
        json!({ "ngr": { "bonusTreatment": "EXCLUDE", "jackpots": "NONE", "deductions": [
            { "code": "a", "take": { "costs": { "of": ["BONUS_STAKES", "JACKPOT_CONTRIBUTIONS", "JACKPOT_WINS"] } } },
            { "code": "b", "take": { "percentOf": { "percent": "5", "of": "RUNNING" } } } ] } }),
    ] {
        forms.push(json!({ "base": base }));
    }
    let prices = json!({ "rows": [
        { "code": "a", "when": "kind == 'SALE'", "perUnit": "0.05" },
        { "code": "b", "tiers": { "mode": "MARGINAL", "reads": "BEFORE_CARRY", "steps": [
            { "upTo": "1000", "perUnit": "0.05" }, { "perUnit": "0.04" } ] } } ] });
    forms
        .push(json!({ "base": { "units": { "promotional": "50" } }, "rateTable": prices, "tiersOnChange": "RESTART" }));
    forms.push(json!({ "base": { "units": { "promotional": "0" } }, "rateTable": { "rows": [{ "code": "a", "perUnit": "2" }] } }));
    forms.push(json!({ "prepaid": { "lowBalance": "5000" }, "promotions": [
        { "code": "all", "from": "2021-12-24T00:00", "until": "2021-12-27T00:00:30" } ],
        "fees": [{ "code": "f", "charge": { "perUnit": { "price": "0.05" } } }], "minimumPayout": "0" }));
    let cells = [
        "6",
        "> 6",
        ">= 6",
        "< 6",
        "<= 6",
        "6..9",
        "not 6",
        "none, 1",
        "not 6, 8",
        "not 1..2, 5",
        "not 1, 2..3",
        "not 1..4, none",
        "not none",
        "not < 1, > 6",
        "not <= 1, > 6",
    ];
    let mut rows: Vec<Json> = cells.iter().enumerate()
        .map(|(place, cell)| json!({ "code": format!("n{place}"), "cells": [cell, "vip", "not a, none", "STAKE, FEE, ADJUSTMENT"], "percent": "1" })).collect();
    rows.push(json!({ "code": "rest", "percent": "1" }));
    forms.push(json!({ "negative": { "mode": "CARRY", "level": "PER_CLASS" }, "rateTable": { "match": "COLLECT", "columns": [
        { "reads": "number(attributes.level)" }, { "reads": "tags" }, { "reads": "attributes.shop" }, { "reads": "kind" },
    ], "rows": rows }, "scope": { "categories": ["slots"], "segments": ["vip"], "channels": ["app"] } }));
    let steps = json!([{ "upTo": "10000", "percent": "15" }, { "percent": "12" }]);
    forms.push(json!({ "rateTable": { "columns": [
        { "reads": "category" }, { "reads": "channel" }, { "reads": "region" }, { "reads": "segment" },
    ], "rows": [
        { "code": "a", "cells": ["slots", "app", "KR", "vip"], "tiers": { "mode": "MARGINAL", "steps": steps } },
        { "code": "b", "percent": "1" },
    ] } }));
    forms
}

fn keys(statement: &Statement, found: &mut std::collections::BTreeSet<String>) {
    fn of(value: &Value, found: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Said(statement) => keys(statement, found),
            Value::List(values) => values.iter().for_each(|value| of(value, found)),
            _ => {}
        }
    }
    found.insert(statement.key.clone());
    statement.values.iter().for_each(|(_, value)| of(value, found));
}

#[test]
fn every_statement_has_a_sentence_and_every_value_a_place() {
    let asset = Asset::new("BIT", 2);
    let (sources, partners) = (BTreeMap::new(), partners());
    let mut found = std::collections::BTreeSet::new();
    for form in every_form() {
        let asset = if form["currency"] == "KRW" { Asset::new("KRW", 0) } else { asset.clone() };
        let words = Words { asset: &asset, sources: &sources, partners: &partners, calendars: &[korea()] };
        for told in told(&terms(form), &words) {
            for statement in told.sentences.iter().chain(&told.example) {
                keys(statement, &mut found);
                for language in Language::ALL {
                    let sentence = all(language).get(statement.key.as_str());
                    let sentence = sentence.unwrap_or_else(|| panic!("{} in {language:?}", statement.key));
                    for (name, _) in &statement.values {
                        assert!(sentence.contains(&format!("{{{name}}}")), "{} has no {name}", statement.key);
                    }
                    let text = statement.in_language(language);
                    assert!(!text.contains(['{', '}']), "{text}");
                }
            }
        }
    }
    let other = [
        "section.",
        "formula.",
        "page.",
        "warning.",
        "weekday.",
        "scope.sources",
        "line.UNITS",
        "line.CAP",
        "line.GUARANTEE",
        "line.CARRIED_OUT",
    ];
    let unsaid: Vec<_> = all(Language::En)
        .keys()
        .filter(|key| !found.contains(**key) && !other.iter().any(|own| key.starts_with(own)))
        .collect();
    assert!(unsaid.is_empty(), "no terms of this test say {unsaid:?}");
    assert!(found.iter().all(|key| all(Language::En).contains_key(key.as_str())), "{found:?}");
}

/// The worked examples of the notes, as a reader finds them in the text.
#[test]
fn examples_are_what_settlements_would_come_to() {
    let usd = Asset::new("BIT", 2);
    let tiers = |mode: &str| {
        let steps =
            json!([{ "upTo": "10000", "percent": "15" }, { "upTo": "50000", "percent": "12" }, { "percent": "10" }]);
        json!({ "rateTable": { "rows": [{ "code": "a", "tiers": { "mode": mode, "steps": steps } }] } })
    };
    let examples = |change: Json, section: Section| -> Vec<String> {
        let all = say_all(change, &usd, Language::En);
        all.into_iter().find(|clause| clause.section == section).expect("the section").example
    };
    assert_eq!(
        examples(tiers("MARGINAL"), Section::Rates),
        [
            "‘a’: a base of 10,000.00 BIT comes to 1,500.00 BIT.",
            "‘a’: a base of 50,000.00 BIT comes to 6,300.00 BIT.",
            "‘a’: a base of 75,000.00 BIT comes to 8,800.00 BIT.",
        ]
    );
    assert_eq!(examples(tiers("VOLUME"), Section::Rates)[2], "‘a’: a base of 75,000.00 BIT comes to 7,500.00 BIT.");
    let thirty = |mode: &str| json!({ "negative": { "mode": mode }, "rateTable": { "rows": [{ "code": "a", "percent": "30" }] } });
    assert_eq!(
        examples(thirty("CARRY"), Section::Negative),
        [
            "A period with a base of −10,000.00 BIT comes to 0.00 BIT, and −10,000.00 BIT is carried over; the next one with 15,000.00 BIT comes to 1,500.00 BIT."
        ]
    );
    assert_eq!(
        examples(thirty("RESET"), Section::Negative),
        [
            "A period with a base of −10,000.00 BIT comes to 0.00 BIT; the next one with 15,000.00 BIT comes to 4,500.00 BIT."
        ]
    );
    assert_eq!(
        examples(thirty("PAYABLE_BY_PARTNER"), Section::Negative),
        [
            "A period with a base of −10,000.00 BIT comes to −3,000.00 BIT; the next one with 15,000.00 BIT comes to 4,500.00 BIT."
        ]
    );
    assert_eq!(
        examples(json!({ "minimumGuarantee": "5000" }), Section::Guarantee),
        ["Where shares and fees come to 3,750.00 BIT, 1,250.00 BIT is added, and 5,000.00 BIT is paid."]
    );
    let parallel = json!({ "split": split("parallel", &["33", "45", "22"]) });
    assert_eq!(
        examples(parallel, Section::Split),
        ["10,000.01 BIT is split: ‘Studio’ 3,300.00 BIT, ‘Platform’ 4,500.01 BIT, ‘…’ 2,200.00 BIT."]
    );
    let pays = json!({ "rows": [{ "code": "all", "percent": "1.2" }] });
    let line = json!({ "split": split("differential", &["0.8", "1.2"]), "rateTable": pays });
    assert_eq!(
        examples(line, Section::Split),
        [
            "A base of 1,000,000.00 BIT comes to 12,000.00 BIT, which is split: ‘Studio’ 8,000.00 BIT, ‘Platform’ 4,000.00 BIT."
        ]
    );
    assert_eq!(
        examples(json!({ "ringFence": { "threshold": "5000" } }), Section::RingFence),
        [
            "One player wins 12,000.00 BIT, another 6,000.00 BIT, and all others lose 10,000.00 BIT: the base of −8,000.00 BIT becomes 0.00 BIT, and 5,333.333333 BIT stands against the one and 2,666.666667 BIT against the other.",
            "Where the first of them loses 3,000.00 BIT in the next period, 3,000.00 BIT is set off, and 2,333.333333 BIT still stands against him."
        ]
    );
    assert_eq!(
        examples(json!({}), Section::Rounding),
        ["12.345 BIT becomes 12.34 BIT.", "12.355 BIT becomes 12.36 BIT."]
    );
}

#[test]
fn a_page_is_whole_and_escapes_what_people_typed() {
    let evil = "<script>alert('&')</script>";
    let clauses = say_all(json!({ "scope": { "products": [evil] } }), &Asset::new("BIT", 2), Language::Ko);
    let heading = Heading {
        operator: evil.to_owned(),
        partner: "P & Q".to_owned(),
        contract: evil.to_owned(),
        version: 3,
        is_draft: true,
        fingerprint: "ab".to_owned(),
    };
    let html = page(&heading, &clauses, Language::Ko);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(&#39;&amp;&#39;)"), "{html}");
    assert!(
        html.starts_with("<!doctype html>\n<html lang=\"ko\">") && html.contains("P &amp; Q") && html.contains("초안")
    );
    assert!(!html.contains("http") && !html.contains("src="), "nothing from elsewhere");
    let active = page(&Heading { is_draft: false, ..heading }, &clauses, Language::En);
    assert!(!active.contains("class=\"draft\""));
}
