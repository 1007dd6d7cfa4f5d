use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::contracts::book::{PlayerVersion, ProductVersion};
use crate::contracts::contract::RingFence;
use crate::contracts::fixtures::active;
use crate::ids::{ContractId, SourceId};
use crate::money::Units;
use crate::transactions::transaction::Affects;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

fn source(number: u128) -> SourceId {
    SourceId(uuid::Uuid::from_u128(number))
}

fn contract(number: u128) -> ContractId {
    ContractId(uuid::Uuid::from_u128(number))
}

fn stake(occurred_at: &str) -> Fact {
    Fact {
        source: source(1),
        external_id: "1".to_owned(),
        kind: Kind::Stake,
        affects: None,
        amount: Units(5),
        currency: "BIT".to_owned(),
        occurred_at: at(occurred_at),
        settled_at: None,
        reported_at: None,
        product: Some("crash".to_owned()),
        player: Some([7; 16]),
        round: None,
        round_closed: false,
        channel: None,
        region: None,
        reverses: None,
        note: None,
        test: false,
        attributes: Default::default(),
    }
}

fn rows(rows: Value) -> Value {
    json!({ "rateTable": { "rows": rows } })
}

fn book(versions: Vec<crate::contracts::contract::ActiveVersion>) -> Book {
    Book::new(versions, Vec::new(), Vec::new()).expect("a book")
}

fn price(book: &Book, fact: &Fact) -> Vec<Verdict> {
    price_closed(book, fact, None)
}

fn price_closed(book: &Book, fact: &Fact, closed_at: Option<Timestamp>) -> Vec<Verdict> {
    let mut out = Vec::new();
    Pricer::new(book).price(fact, closed_at, &mut out);
    out
}

/// Version and class of the feeds, or the reasons why not.
fn short(verdicts: &[Verdict]) -> Vec<String> {
    let text = |verdict: &Verdict| match verdict {
        Verdict::Feeds(feed) => format!("v{} {} {}", feed.version, feed.class, &feed.period.start.to_rfc3339()[..10]),
        Verdict::AwaitsRound { .. } => "awaits".to_owned(),
        Verdict::Failed { reason, .. } => reason.as_str().to_owned(),
    };
    verdicts.iter().map(text).collect()
}

#[test]
fn a_book_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Book>();
}

#[test]
fn a_stake_feeds_its_contract_in_its_period_and_class() {
    let night = rows(
        json!([{ "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "6" }, { "code": "rest", "percent": "8" }]),
    );
    let mut version = active(1, 3, night);
    version.terms.cycle.time_zone = chrono_tz::Asia::Seoul;
    let book = book(vec![version.clone()]);
    // 23:30 UTC is 08:30 of the next day in Seoul; 20:59 is 05:59 there.
    let verdicts = price(&book, &stake("2021-02-28T23:30:00Z"));
    let expected = Feed {
        contract: contract(1),
        partner: version.partner,
        version: 3,
        period: Period { start: at("2021-02-28T15:00:00Z"), end: at("2021-03-31T15:00:00Z") },
        class: "rest".into(),
        kind: AccrualKind::Stake,
        amount: Units(5),
        units: 1,
        player: None,
        again: false,
    };
    assert_eq!(verdicts, [Verdict::Feeds(expected.clone())]);
    // Players are told where the version keeps what it counts by player.
    let own = |fact: Fact| Fact { player: Some([4; 16]), ..fact };
    let verdicts = price(&book, &own(stake("2021-02-28T23:30:00Z")));
    assert_eq!(verdicts, [Verdict::Feeds(expected.clone())]);
    version.terms.ring_fence = Some(RingFence { threshold: "5000".into() });
    let fenced = self::book(vec![version]);
    let verdicts = price(&fenced, &own(stake("2021-02-28T23:30:00Z")));
    assert_eq!(verdicts, [Verdict::Feeds(Feed { player: Some([4; 16]), ..expected })]);
    assert_eq!(short(&price(&book, &stake("2021-02-28T20:59:59Z"))), ["v3 night 2021-02-28"]);
}

#[test]
fn the_clock_of_a_condition_is_the_zones_also_when_it_moves_within_an_hour() {
    let weekend = rows(
        json!([{ "code": "late", "when": "localWeekday == 'SUNDAY' and localHour == 2", "percent": "6" }, { "code": "rest", "percent": "8" }]),
    );
    let mut version = active(1, 1, weekend);
    // On Sunday, 3 October 2021 clocks in Lord Howe went from 02:00 (15:30 UTC) to 02:30.
    version.terms.cycle.time_zone = chrono_tz::Australia::Lord_Howe;
    let book = book(vec![version]);
    for (time, class) in [("15:29:59", "rest"), ("15:30:00", "late"), ("15:59:59", "late"), ("16:00:00", "rest")] {
        let found = short(&price(&book, &stake(&format!("2021-10-02T{time}Z"))));
        assert_eq!(found, [format!("v1 {class} 2021-09-30")], "{time}");
    }
}

#[test]
fn scope_and_currency_decide_whether_a_contract_covers() {
    let covered = |scope: Value, fact: &Fact| {
        let products = vec![ProductVersion {
            code: "crash".into(),
            valid_from: at("2021-05-01T00:00:00Z"),
            category: Some("fast".into()),
        }];
        let tags = vec!["vip".to_owned(), "old".to_owned()];
        let players = vec![PlayerVersion {
            player: [7; 16],
            valid_from: at("2021-05-01T00:00:00Z"),
            segment: Some("gold".into()),
            tags,
            test: false,
        }];
        let book = Book::new(vec![active(1, 1, json!({ "scope": scope }))], products, players).expect("a book");
        !price(&book, fact).is_empty()
    };
    let may = stake("2021-05-01T00:00:00Z");
    let april = stake("2021-04-30T23:59:59Z");
    for (scope, before) in [
        (json!({ "products": ["dice", "crash"] }), true),
        (json!({ "sources": [source(1)] }), true),
        (json!({ "categories": ["fast"] }), false),
        (json!({ "segments": ["gold"] }), false),
        (json!({ "tags": ["new", "vip"] }), false),
    ] {
        assert!(covered(scope.clone(), &may), "{scope}");
        assert_eq!(covered(scope.clone(), &april), before, "{scope} before product and player got their properties");
    }
    for scope in [
        json!({ "products": ["dice"] }),
        json!({ "sources": [source(2)] }),
        json!({ "categories": ["slow"] }),
        json!({ "segments": ["iron"] }),
        json!({ "tags": ["new"] }),
        json!({ "regions": ["KR"] }),
        json!({ "channels": ["web"] }),
    ] {
        assert!(!covered(scope.clone(), &may), "{scope}");
    }
    let seen = Fact { region: Some("KR".into()), channel: Some("web".into()), ..may.clone() };
    assert!(covered(json!({ "regions": ["KR"], "channels": ["app", "web"] }), &seen));
    assert!(!covered(json!({}), &Fact { currency: "KRW".into(), ..may }));
}

#[test]
fn one_fact_feeds_every_contract_that_covers_it_and_the_version_in_force() {
    let second = json!({ "validFrom": "2021-03-10", "rateTable": { "rows": [{ "code": "new", "percent": "7" }] } });
    let book =
        book(vec![active(2, 1, json!({})), active(1, 2, second), active(1, 1, json!({ "validFrom": "2021-02-01" }))]);
    assert_eq!(short(&price(&book, &stake("2021-01-15T00:00:00Z"))), ["v1 all 2021-01-01"], "contract 1 had not begun");
    assert_eq!(short(&price(&book, &stake("2021-03-09T23:59:59Z"))), ["v1 all 2021-03-01", "v1 all 2021-03-01"]);
    assert_eq!(short(&price(&book, &stake("2021-03-10T00:00:00Z"))), ["v2 new 2021-03-01", "v1 all 2021-03-01"]);
    let doubt = vec![active(1, 1, json!({})), active(1, 2, json!({}))];
    assert!(
        Book::new(doubt, Vec::new(), Vec::new())
            .is_err_and(|problem| problem.message.contains(&contract(1).to_string()))
    );
}

#[test]
fn behind_its_last_day_a_version_counts_nothing_and_none_before_it_comes_back() {
    let ends = |attribution: &str| {
        let second = json!({ "validFrom": "2021-03-10", "validUntil": "2021-03-20", "attribution": attribution });
        book(vec![active(1, 1, json!({})), active(1, 2, second), active(1, 3, json!({ "validFrom": "2021-06-01" }))])
    };
    let occurred = ends("OCCURRED");
    assert_eq!(short(&price(&occurred, &stake("2021-03-20T23:59:59Z"))), ["v2 all 2021-03-01"]);
    assert_eq!(short(&price(&occurred, &stake("2021-03-21T00:00:00Z"))), [""; 0]);
    assert_eq!(short(&price(&occurred, &stake("2021-06-01T00:00:00Z"))), ["v3 all 2021-06-01"]);
    // Without a settlement time it would fail, but only while the version counts.
    let settled = ends("SETTLED");
    assert_eq!(short(&price(&settled, &stake("2021-03-20T00:00:00Z"))), ["NO_SETTLED_TIME"]);
    assert_eq!(short(&price(&settled, &stake("2021-03-21T00:00:00Z"))), [""; 0]);
    let late = Fact { settled_at: Some(at("2021-03-21T00:00:00Z")), ..stake("2021-03-20T00:00:00Z") };
    assert_eq!(short(&price(&settled, &late)), [""; 0]);
    let rounds = ends("ROUND_CLOSED");
    let open = |occurred: &str| Fact { round: Some("r".into()), ..stake(occurred) };
    let waits = [Verdict::AwaitsRound { contract: contract(1) }];
    assert_eq!(price(&rounds, &open("2021-03-20T00:00:00Z")), waits);
    // The next version may still come to count it.
    assert_eq!(price_closed(&rounds, &open("2021-03-20T00:00:00Z"), Some(at("2021-03-22T00:00:00Z"))), []);
    assert_eq!(price(&rounds, &open("2021-03-21T00:00:00Z")), []);
}

#[test]
fn each_attribution_takes_its_own_time() {
    let settled = book(vec![active(1, 1, json!({ "attribution": "SETTLED" }))]);
    let fact = stake("2021-01-31T23:00:00Z");
    assert_eq!(short(&price(&settled, &fact)), ["NO_SETTLED_TIME"]);
    let fact = Fact { settled_at: Some(at("2021-02-01T00:00:00Z")), ..fact };
    assert_eq!(short(&price(&settled, &fact)), ["v1 all 2021-02-01"]);

    let rounds = book(vec![active(1, 1, json!({ "attribution": "ROUND_CLOSED" }))]);
    assert!(rounds.needs_rounds() && !settled.needs_rounds());
    assert_eq!(short(&price(&rounds, &fact)), ["NO_ROUND"]);
    let fact = Fact { round: Some("r".into()), ..fact };
    assert_eq!(price(&rounds, &fact), [Verdict::AwaitsRound { contract: contract(1) }]);
    assert_eq!(short(&price_closed(&rounds, &fact, Some(at("2021-03-05T00:00:00Z")))), ["v1 all 2021-03-01"]);
    let closing = Fact { round_closed: true, ..fact };
    assert_eq!(short(&price(&rounds, &closing)), ["v1 all 2021-02-01"], "its own settlement closes the round");
    let closing = Fact { settled_at: None, ..closing };
    assert_eq!(short(&price(&rounds, &closing)), ["v1 all 2021-01-01"], "or else its own occurrence");
}

#[test]
fn a_change_of_attribution_counts_each_fact_once() {
    let book = book(vec![
        active(1, 1, json!({ "attribution": "OCCURRED" })),
        active(
            1,
            2,
            json!({ "validFrom": "2021-03-01", "attribution": "ROUND_CLOSED", "scope": { "segments": ["gold"] } }),
        ),
        active(2, 1, json!({ "attribution": "SETTLED" })),
        active(2, 2, json!({ "validFrom": "2021-03-01" })),
    ]);
    let fact =
        Fact { round: Some("r".into()), settled_at: Some(at("2021-03-02T00:00:00Z")), ..stake("2021-02-28T00:00:00Z") };
    // Version 2 of contract 1 may come to govern it, and then would not cover it: nothing is certain yet.
    assert_eq!(short(&price(&book, &fact)), ["awaits", "v1 all 2021-03-01"]);
    assert_eq!(
        short(&price_closed(&book, &fact, Some(at("2021-02-28T01:00:00Z")))),
        ["v1 all 2021-02-01", "v1 all 2021-03-01"]
    );
    assert_eq!(short(&price_closed(&book, &fact, Some(at("2021-03-01T01:00:00Z")))), ["v1 all 2021-03-01"]);
    let unrelated = Fact { round: None, ..fact };
    assert_eq!(short(&price(&book, &unrelated)), ["v1 all 2021-02-01", "v1 all 2021-03-01"]);
}

#[test]
fn a_condition_that_fails_is_told_and_not_guessed() {
    let number = rows(
        json!([{ "code": "high", "when": "number(attributes.level) > 3", "percent": "1" }, { "code": "rest", "percent": "8" }]),
    );
    let nothing = rows(
        json!([{ "code": "a", "when": "region == 'KR' ? null : kind == 'WIN'", "percent": "1" }, { "code": "rest", "percent": "8" }]),
    );
    let book = book(vec![active(1, 1, number), active(2, 1, nothing)]);
    let fact = Fact { region: Some("KR".into()), ..stake("2021-02-01T00:00:00Z") };
    let verdicts = price(&book, &fact);
    assert_eq!(short(&verdicts), ["CONDITION_FAILED", "CONDITION_FAILED"]);
    assert!(matches!(&verdicts[0], Verdict::Failed { message, .. } if message.contains("'high'")), "{verdicts:?}");
    let level = |level: &str| Fact {
        attributes: [("level".to_owned(), level.to_owned())].into(),
        region: None,
        ..fact.clone()
    };
    assert_eq!(short(&price(&book, &level("4"))), ["v1 high 2021-02-01", "v1 rest 2021-02-01"]);
    assert_eq!(short(&price(&book, &level("x")))[0], "CONDITION_FAILED");
}

#[test]
fn rollbacks_feed_nothing_themselves_and_tests_are_known() {
    let players = vec![PlayerVersion {
        player: [7; 16],
        valid_from: at("2021-05-01T00:00:00Z"),
        segment: None,
        tags: Vec::new(),
        test: true,
    }];
    let products =
        vec![ProductVersion { code: "crash".into(), valid_from: at("2021-05-01T00:00:00Z"), category: None }];
    let book = Book::new(vec![active(1, 1, json!({}))], products, players).expect("a book");
    let fact = stake("2021-05-01T00:00:00Z");
    assert!(price(&book, &Fact { kind: Kind::Rollback, ..fact.clone() }).is_empty());
    let unclear = Fact { kind: Kind::Adjustment, ..fact.clone() };
    assert_eq!(short(&price(&book, &unclear)), ["NO_BASE"]);
    let clear = Fact { affects: Some(Affects::Turnover), ..unclear };
    assert!(matches!(
        &price(&book, &clear)[..],
        [Verdict::Feeds(Feed { kind: AccrualKind::Adjustment(Affects::Turnover), units: 0, .. })]
    ));
    assert!(book.is_test(&fact) && !book.is_test(&stake("2021-04-30T00:00:00Z")));
    assert!(book.is_test(&Fact { test: true, player: None, ..fact }));
    assert!(book.product_exists("crash") && !book.product_exists("dice"));
}

fn facts() -> impl Strategy<Value = Fact> {
    let text = |values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values)).prop_map(|text| text.map(str::to_owned))
    };
    let when = at("2021-02-01T00:00:00Z").0..at("2021-04-30T00:00:00Z").0;
    // Values that would give the same key if they were simply put one after the other.
    let names = || text(&["", "a", "ab", "b"]);
    (prop::sample::select(&Kind::ALL[..9]), when, names(), names(), names(), names(), 6_u8..9).prop_map(
        |(kind, when, product, channel, region, shop, player)| Fact {
            kind,
            occurred_at: Timestamp(when),
            product,
            channel,
            region,
            player: Some([player; 16]),
            attributes: shop.map(|shop| ("shop".to_owned(), shop)).into_iter().collect(),
            ..stake("2021-01-01T00:00:00Z")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What was priced before never changes what comes out: the memory keys by all that matters.
    #[test]
    fn remembering_changes_nothing(facts in prop::collection::vec(facts(), 1..80)) {
        let table = rows(json!([
            { "code": "one", "when": "product == 'a' and channel == 'b' and region != null", "percent": "1" },
            { "code": "two", "when": "localHour < 12 and 'vip' in tags or segment == 'gold'", "percent": "2" },
            { "code": "three", "when": "attributes.shop == 'ab' and localWeekday == 'MONDAY' or category == 'slots'", "percent": "3" },
            { "code": "rest", "percent": "8" },
        ]));
        let mut seoul = active(2, 1, table.clone());
        seoul.terms.cycle.time_zone = chrono_tz::Asia::Seoul;
        seoul.terms.cycle.every = crate::contracts::contract::Every::Day;
        let player = |player, valid_from, segment: Option<&str>, tag: &str| PlayerVersion {
            player: [player; 16], valid_from: at(valid_from), segment: segment.map(str::to_owned), tags: vec![tag.to_owned()], test: false,
        };
        let players = vec![player(7, "2021-01-01T00:00:00Z", Some("gold"), "new"), player(7, "2021-03-01T00:00:00Z", None, "vip"), player(8, "2021-03-15T00:00:00Z", None, "vip")];
        let products = vec![ProductVersion { code: "a".into(), valid_from: at("2021-03-01T00:00:00Z"), category: Some("slots".into()) }];
        let book = Book::new(vec![active(1, 1, table), seoul], products, players).expect("a book");
        let mut warm = Pricer::new(&book);
        for fact in &facts {
            let mut out = Vec::new();
            warm.price(fact, None, &mut out);
            prop_assert_eq!(out, price(&book, fact));
        }
    }
}

#[test]
fn a_table_that_collects_feeds_every_class_that_holds_and_is_counted_once() {
    let per_class = json!({ "mode": "CARRY", "level": "PER_CLASS" });
    let table = json!({
        "match": "COLLECT", "columns": [{ "reads": "promotion" }, { "reads": "localHour" }],
        "rows": [
            { "code": "base", "percent": "8" },
            { "code": "xmas", "cells": ["xmas"], "percent": "2" },
            { "code": "night", "cells": ["", "0..6"], "percent": "1" },
        ],
    });
    let promotions = json!([
        { "code": "xmas", "from": "2021-12-24T00:00", "until": "2021-12-27T00:00", "products": ["crash"] },
    ]);
    let change = json!({ "negative": per_class, "rateTable": table, "promotions": promotions });
    let book = book(vec![active(1, 1, change)]);
    let feeds = |fact: &Fact| -> Vec<(String, bool)> {
        let feed = |verdict: Verdict| match verdict {
            Verdict::Feeds(feed) => (feed.class.to_string(), feed.again),
            other => panic!("{other:?}"),
        };
        price(&book, fact).into_iter().map(feed).collect()
    };
    let classes = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
        list.iter().map(|(class, again)| ((*class).to_owned(), *again)).collect()
    };
    assert_eq!(feeds(&stake("2021-12-01T12:00:00Z")), classes(&[("base", false)]));
    assert_eq!(feeds(&stake("2021-12-25T12:00:00Z")), classes(&[("base", false), ("xmas", true)]));
    let all = [("base", false), ("xmas", true), ("night", true)];
    assert_eq!(feeds(&stake("2021-12-26T05:59:59Z")), classes(&all));
    // The end is out, and other products are not in it; each stands for itself whatever was priced before.
    let mut pricer = Pricer::new(&book);
    let mut out = Vec::new();
    for (at, product, count) in [
        ("2021-12-25T12:00:00Z", "crash", 2),
        ("2021-12-25T12:00:00Z", "dice", 1),
        ("2021-12-27T12:00:00Z", "crash", 1),
        ("2021-12-25T12:00:00Z", "crash", 2),
    ] {
        let fact = Fact { product: Some(product.to_owned()), ..stake(at) };
        pricer.price(&fact, None, &mut out);
        assert_eq!(out.drain(..).count(), count, "{at} {product}");
    }
}

#[test]
fn cells_read_what_conditions_read() {
    let table = json!({
        "columns": [
            { "reads": "kind" }, { "reads": "category" }, { "reads": "segment" }, { "reads": "tags" },
            { "reads": "localWeekday" }, { "reads": "attributes.shop" }, { "reads": "number(attributes.level)" },
        ],
        "rows": [
            { "code": "kind", "cells": ["WIN"], "percent": "1" },
            { "code": "category", "cells": ["", "slots"], "percent": "1" },
            { "code": "segment", "cells": ["", "", "gold"], "percent": "1" },
            { "code": "tags", "cells": ["", "", "", "vip"], "percent": "1" },
            { "code": "weekday", "cells": ["", "", "", "", "SAT..SUN"], "percent": "1" },
            { "code": "shop", "cells": ["", "", "", "", "", "7"], "percent": "1" },
            { "code": "level", "cells": ["", "", "", "", "", "", ">= 10"], "percent": "1" },
            { "code": "rest", "percent": "1" },
        ],
    });
    let player = |segment: Option<&str>, tags: &[&str], from: &str| PlayerVersion {
        player: [7; 16],
        valid_from: at(from),
        segment: segment.map(str::to_owned),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        test: false,
    };
    let products =
        vec![ProductVersion { code: "spin".into(), valid_from: Timestamp(0), category: Some("slots".into()) }];
    let players = vec![
        player(Some("gold"), &[], "2021-02-01T00:00:00Z"),
        player(None, &["new", "vip"], "2021-03-01T00:00:00Z"),
        player(None, &[], "2021-04-01T00:00:00Z"),
    ];
    let book = Book::new(vec![active(1, 1, json!({ "rateTable": table }))], products, players).expect("a book");
    let class = |fact: &Fact| short(&price(&book, fact))[0].split(' ').nth(1).map(str::to_owned);
    let friday = stake("2021-05-07T12:00:00Z");
    let with = |name: &str, value: &str| Fact {
        attributes: [(name.to_owned(), value.to_owned())].into_iter().collect(),
        ..friday.clone()
    };
    assert_eq!(class(&friday).as_deref(), Some("rest"));
    assert_eq!(class(&Fact { kind: Kind::Win, ..friday.clone() }).as_deref(), Some("kind"));
    assert_eq!(class(&Fact { product: Some("spin".into()), ..friday.clone() }).as_deref(), Some("category"));
    assert_eq!(class(&stake("2021-02-05T12:00:00Z")).as_deref(), Some("segment"));
    assert_eq!(class(&stake("2021-03-05T12:00:00Z")).as_deref(), Some("tags"));
    assert_eq!(class(&stake("2021-05-08T12:00:00Z")).as_deref(), Some("weekday"));
    assert_eq!(class(&with("shop", "7")).as_deref(), Some("shop"));
    assert_eq!(class(&with("level", "10.0")).as_deref(), Some("level"));
    assert_eq!(class(&with("level", "1e1")).as_deref(), Some("level"), "as number() reads it");
    assert_eq!(class(&with("level", "9.99")).as_deref(), Some("rest"));
    assert_eq!(short(&price(&book, &with("level", "ten"))), ["CONDITION_FAILED"], "never a guess");
}
