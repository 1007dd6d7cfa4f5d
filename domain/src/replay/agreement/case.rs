//! Random contracts, with every clause that there is, and random streams for them. All choices come from numbers that
//! proptest draws, where zero is always the plainest choice: so what fails shrinks to little.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{Days, NaiveDate};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::calendar;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::fixtures::active;
use crate::contracts::terms::check;
use crate::contracts::{Period, PlayerVersion, ProductVersion};
use crate::ids::{PartnerId, SourceId};
use crate::money::{Asset, Minor, Units};
use crate::settlements::settlement::Funds;
use crate::time::{MICROS_PER_HOUR, Timestamp};
use crate::transactions::transaction::{Affects, Fact, Kind};

pub struct Dice<'d>(pub &'d [u32]);

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::try_from(*first).expect("a small number") % sides
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.roll(times) == times - 1
    }

    fn number(&mut self, below: usize) -> i64 {
        i64::try_from(self.roll(below)).expect("a small number")
    }
}

/// A contract's life: what was agreed, what was recorded, and the periods that are looked at.
#[derive(Clone)]
pub struct Case {
    pub asset: Asset,
    pub versions: Vec<ActiveVersion>,
    /// Agreed late: it takes the place of the last version, or begins somewhere by itself.
    pub amendment: ActiveVersion,
    pub replaces: bool,
    pub products: Vec<ProductVersion>,
    pub players: Vec<PlayerVersion>,
    pub facts: Vec<Fact>,
    pub opening: Opening,
    pub funds: Funds,
    pub periods: Vec<Period>,
}

/// Short enough to be read.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for version in self.versions.iter().chain([&self.amendment]) {
            let terms = serde_json::to_string(&version.terms).map_err(|_| fmt::Error)?;
            writeln!(f, "version {} {terms}", version.version)?;
        }
        writeln!(f, "replaces {} {:?} {:?} {:?}", self.replaces, self.asset, self.opening, self.funds)?;
        writeln!(f, "{:?}\n{:?}", self.products, self.players)?;
        for fact in &self.facts {
            let Fact { external_id, kind, affects, amount, occurred_at, settled_at, round, round_closed, .. } = fact;
            write!(f, "{external_id} {kind:?} {affects:?} {} at {occurred_at} {settled_at:?} ", amount.0)?;
            write!(f, "{round:?} {round_closed} {:?} {:?} ", fact.product, fact.player.map(|player| player[0]))?;
            write!(f, "{:?} {:?} {:?} {:?}", fact.channel, fact.region, fact.reverses, fact.test)?;
            writeln!(f, "{} {:?}", fact.currency, fact.attributes)?;
        }
        writeln!(f, "{:?}", self.periods)
    }
}

/// Balances with which a contract moved in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    pub base: i64,
    /// Against one player alone, not positive.
    pub fenced: i64,
    pub amount: i64,
    pub recouped: i64,
    pub drawn: i64,
}

/// What all versions of a contract have in common.
struct Frame {
    asset: Asset,
    cycle: Value,
    counts: bool,
    collect: bool,
    /// Most versions have a ring-fence, and what it needs.
    fenced: bool,
    start: NaiveDate,
    days: usize,
}

const PERCENTS: [&str; 8] = ["10", "0", "100", "7.5", "33.33333333", "0.00000001", "12.345", "50"];
const PRICES: [&str; 4] = ["0.05", "1", "0.00333333", "12"];

pub fn cases() -> impl Strategy<Value = Case> {
    let terms = prop::collection::vec(any::<u32>(), 0..600);
    let facts = prop::collection::vec(prop::collection::vec(any::<u32>(), 22), 0..60);
    (terms, facts).prop_map(|(terms, facts)| case(&mut Dice(&terms), &facts)).prop_filter(
        "terms that are refused",
        |case| {
            let accepted = |version: &ActiveVersion| {
                let problems = check(&version.terms, &case.asset);
                problems.iter().all(|problem| problem.message.contains("never") || problem.message.contains("before"))
            };
            case.versions.iter().chain([&case.amendment]).all(accepted)
        },
    )
}

fn case(dice: &mut Dice<'_>, facts: &[Vec<u32>]) -> Case {
    let frame = frame(dice);
    let count = 1 + dice.roll(3);
    let mut dates = BTreeSet::from([frame.start]);
    for _ in 1..count {
        dates.insert(frame.start + Days::new(1 + dice.roll(frame.days) as u64));
    }
    let mut versions: Vec<ActiveVersion> = Vec::new();
    let mut first = Value::Null;
    for (number, date) in (1..).zip(&dates) {
        let mut terms = terms(dice, &frame, *date);
        if first.is_null() {
            first = terms["rateTable"].clone();
        } else if dice.roll(2) == 0 {
            // As most amendments do: then the same classes, and their tiers, go on.
            terms["rateTable"] = first.clone();
        }
        versions.push(active(1, number, terms));
    }
    let replaces = dice.roll(2) == 0;
    let last = *dates.last().expect("one at least");
    let mut date = if replaces { last } else { frame.start + Days::new(1 + dice.roll(frame.days) as u64) };
    while !replaces && dates.contains(&date) {
        date = date + Days::new(1);
    }
    let amendment = active(1, 9, terms(dice, &frame, date));
    let cycle = versions[0].terms.cycle.clone();
    let mut periods = vec![calendar::period_of(&cycle, versions[0].valid_from)];
    // Whatever is counted is counted before this: it settles, or its round closes, some days after it occurred.
    let end = calendar::begins(&cycle, frame.start + Days::new(frame.days as u64 + 8));
    while let Some(last) = periods.last().copied().filter(|last| last.end < end) {
        periods.push(calendar::period_of(&cycle, last.end));
    }
    let sign = if frame.counts { 0 } else { -1 };
    let opening = Opening {
        base: sign * dice.of(&[0, 0, 1, 77_777, 5_000_000]),
        fenced: if frame.fenced { -1 } else { 0 } * dice.of(&[0, 300_000_000, 1]),
        amount: dice.of(&[0, 0, 1, 40]),
        recouped: dice.of(&[0, 0, 10]),
        drawn: dice.of(&[0, 0, 12_345]),
    };
    let funds = Funds {
        advanced: Minor(dice.of(&[0, 1, 1_000, 40_000, 1_000_000])),
        credit: Minor(dice.of(&[0, 1, 500, 9_999, 2_000_000])),
    };
    let (products, players) = (products(dice, &frame), players(dice, &frame));
    let facts = stream(facts, &frame, &cycle);
    let asset = frame.asset;
    Case { asset, versions, amendment, replaces, products, players, facts, opening, funds, periods }
}

fn frame(dice: &mut Dice<'_>) -> Frame {
    let (code, exponent) = dice.of(&[("BIT", 2), ("KRW", 0), ("KWD", 3)]);
    let (every, days) = dice.of(&[("MONTH", 100), ("WEEK", 30), ("HALF_MONTH", 60), ("DAY", 6), ("CUSTOM", 40)]);
    let zone = dice.of(&["UTC", "Asia/Seoul", "America/New_York", "Europe/Rome", "Australia/Lord_Howe"]);
    let mut cycle = json!({ "every": every, "timeZone": zone, "cutOffHour": dice.of(&[0, 6, 2, 23]) });
    if every == "WEEK" {
        cycle["startsOn"] = json!(dice.of(&["MONDAY", "THURSDAY", "SUNDAY"]));
    }
    if every == "CUSTOM" {
        let (unit, lengths) = dice.of(&[
            ("DAY", &[10][..]),
            ("WEEK", &[1, 2]),
            ("DAY", &[1, 9, 4]),
            ("MONTH", &[1]),
            ("WEEK", &[4, 4, 5]),
        ]);
        let from = dice.of(&["2021-12-20", "2022-02-28", "2019-03-04"]);
        cycle["custom"] = json!({ "from": from, "unit": unit, "lengths": lengths });
    }
    // Across a change of the year, or of the clocks.
    let (year, month, day) = dice.of(&[(2022, 1, 1), (2021, 11, 1), (2022, 3, 20)]);
    let near = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
    let start = near - Days::new(dice.roll(days) as u64);
    let counts = dice.once_in(5);
    let collect = dice.once_in(4);
    let fenced = !counts && !collect && dice.once_in(3);
    Frame { asset: Asset::new(code, exponent), cycle, counts, collect, fenced, start, days }
}

/// Major units with as many decimals as there may be.
fn money(dice: &mut Dice<'_>, frame: &Frame, most: usize) -> String {
    let whole = 1 + dice.roll(most);
    if frame.asset.exponent > 0 && dice.once_in(2) {
        format!("{whole}.{}", dice.of(&[5, 7]))
    } else {
        whole.to_string()
    }
}

fn terms(dice: &mut Dice<'_>, frame: &Frame, date: NaiveDate) -> Value {
    let mut terms = json!({
        "validFrom": date.to_string(), "currency": frame.asset.code, "cycle": frame.cycle,
        "attribution": dice.of(&["OCCURRED", "OCCURRED", "OCCURRED", "SETTLED", "ROUND_CLOSED"]),
        "base": base(dice, frame),
        "negative": {
            "mode": dice.of(&["CARRY", "RESET", "PAYABLE_BY_PARTNER"]),
            "level": if frame.collect { "PER_CLASS" } else { dice.of(&["TOTAL", "PER_CLASS"]) },
        },
        "rateTable": table(dice, frame),
        "rounding": dice.of(&["HALF_EVEN", "HALF_UP", "DOWN", "UP"]),
        "tiersOnChange": dice.of(&["CONTINUE", "RESTART"]),
        "minimumPayout": dice.of(&["0", "0", "1", "1000", "25"]),
    });
    if frame.fenced && dice.roll(5) > 0 {
        terms["ringFence"] = json!({ "threshold": dice.of(&["1", "5", "300", "1200"]) });
        terms["negative"]["level"] = json!("TOTAL");
        if terms["base"].get("ggr").or(terms["base"].get("ngr")).is_none() {
            let bonus = dice.of(&["INCLUDE", "STAKE_ONLY", "EXCLUDE"]);
            terms["base"] = json!({ "ggr": { "bonusTreatment": bonus, "jackpots": dice.of(&["ACCRUAL", "PAYOUT"]) } });
        }
    }
    if dice.once_in(6) {
        terms["validUntil"] = json!((date + Days::new(dice.roll(frame.days) as u64)).to_string());
    }
    if dice.once_in(5) {
        terms["scope"] = scope(dice);
    }
    let mut fees = Vec::new();
    if dice.once_in(3) {
        let sign = dice.of(&["", "", "-"]);
        fees.push(json!({ "code": "fixed", "charge": { "amount": format!("{sign}{}", money(dice, frame, 300)) } }));
    }
    if dice.once_in(3) && !frame.collect {
        let unit = json!({ "price": dice.of(&PRICES), "promotional": dice.of(&["0", "50", "33.33333333"]) });
        fees.push(json!({ "code": "spins", "charge": { "perUnit": unit } }));
    }
    if !fees.is_empty() {
        terms["fees"] = fees.into();
    }
    if dice.once_in(3) {
        terms["cap"] = json!(dice.of(&["700", "90", "5000"]));
    }
    if dice.once_in(4) {
        terms["minimumGuarantee"] = json!(money(dice, frame, 600));
    }
    if dice.once_in(3) {
        terms["advance"] = json!({ "percent": dice.of(&["100", "50", "33.33333333"]) });
    } else if dice.once_in(3) && !frame.collect && !frame.counts {
        terms["prepaid"] = json!({});
    }
    if dice.once_in(2) {
        let day = |days: usize| frame.start + Days::new(days as u64);
        let (from, long) = (dice.roll(frame.days), 1 + dice.roll(20));
        terms["promotions"] = json!([
            { "code": "xmas", "from": format!("{}T03:00", day(from)), "until": format!("{}T00:00:00Z", day(from + long)), "products": ["p1", "p2"] },
            { "code": "other", "from": format!("{}T00:00", day(0)), "until": format!("{}T12:30", day(frame.days)) },
        ]);
    }
    if dice.once_in(4) {
        split(dice, frame, &mut terms);
    }
    terms
}

/// Parties side by side, or a line of agents, for which every row pays the same.
fn split(dice: &mut Dice<'_>, frame: &Frame, terms: &mut Value) {
    let parties = |percents: &[&str]| -> Value {
        let party = |(number, percent): (u128, &&str)| json!({ "partner": PartnerId(uuid::Uuid::from_u128(number)), "percent": percent });
        json!({ "parties": (1..).zip(percents).map(party).collect::<Vec<_>>() })
    };
    if frame.counts || dice.once_in(2) {
        let percents = dice.of(&[
            &["50", "50"][..],
            &["60.2", "39.8"],
            &["33.33333333", "33.33333333", "33.33333334"],
            &["10", "0.00000001", "89.99999999"],
        ]);
        terms["split"] = json!({ "parallel": parties(percents) });
        return;
    }
    let percents = dice.of(&[&["0.8", "1.2"][..], &["1", "3", "33.33333333", "100"]]);
    terms["split"] = json!({ "differential": parties(percents) });
    for row in terms["rateTable"]["rows"].as_array_mut().expect("rows") {
        row.as_object_mut().expect("a row").remove("tiers");
        row["percent"] = json!(percents.last());
    }
}

fn scope(dice: &mut Dice<'_>) -> Value {
    let (name, list) = dice.of(&[
        ("products", &["p1", "p2"][..]),
        ("categories", &["slots"]),
        ("segments", &["vip", "mass"]),
        ("tags", &["new", "old"]),
        ("regions", &["kr"]),
        ("channels", &["web", "app"]),
    ]);
    json!({ (name): list })
}

fn base(dice: &mut Dice<'_>, frame: &Frame) -> Value {
    if frame.counts {
        return json!({ "units": { "promotional": dice.of(&["0", "100", "50", "33.33333333"]) } });
    }
    let bonus = dice.of(&["INCLUDE", "STAKE_ONLY", "EXCLUDE"]);
    match dice.roll(6) {
        0 | 1 => json!({ "ggr": { "bonusTreatment": bonus, "jackpots": dice.of(&["ACCRUAL", "PAYOUT", "NONE"]) } }),
        2 => json!({ "turnover": { "bonusTreatment": bonus } }),
        3 => json!({ "sales": {} }),
        _ => {
            let mut costs = vec!["BONUS_STAKES", "BONUS_WINS", "FEES", "JACKPOT_CONTRIBUTIONS", "JACKPOT_WINS"];
            let of = ["GGR", "RUNNING", "TURNOVER"];
            let count = 1 + dice.roll(4);
            let mut deductions = Vec::new();
            for number in 0..count {
                let take = match dice.roll(3) {
                    0 if !costs.is_empty() => {
                        let cost = costs.remove(dice.roll(costs.len()));
                        json!({ "costs": { "of": [cost], "percent": dice.of(&["100", "60", "33.33333333"]) } })
                    }
                    1 => json!({ "amount": money(dice, frame, 200) }),
                    _ => json!({ "percentOf": { "percent": dice.of(&PERCENTS), "of": dice.of(&of) } }),
                };
                let mut deduction = json!({ "code": format!("d{number}"), "take": take });
                if dice.once_in(2) {
                    deduction["cap"] = json!({ "percent": dice.of(&PERCENTS), "of": dice.of(&of) });
                }
                deductions.push(deduction);
            }
            json!({ "ngr": { "bonusTreatment": bonus, "jackpots": "NONE", "deductions": deductions } })
        }
    }
}

const COLUMNS: [(&str, &[&str]); 12] = [
    ("product", &["", "p1", "p1, p2", "not p1", "none", "not none"]),
    ("localHour", &["-", "6..18", "22..6", "< 12", ">= 20", "5, 7..9", "not 0..6"]),
    ("category", &["", "slots", "not slots", "none", "slots, none"]),
    ("kind", &["", "STAKE, WIN", "not WIN", "SALE, REFUND, STAKE"]),
    ("tags", &["", "new", "new, old", "not new", "none"]),
    ("segment", &["", "vip", "mass, none", "not vip"]),
    ("localWeekday", &["", "SAT, SUN", "MON..FRI", "FRI..MON", "not WED"]),
    ("promotion", &["", "xmas", "none", "not xmas", "xmas, other"]),
    ("attributes.shop", &["", "7", "7, 8", "none", "not 7"]),
    ("number(attributes.level)", &["", "5", "0..10", "< 5", ">= 5", "none", "not 0..10", "<= 0, > 100"]),
    ("channel", &["", "web", "not app"]),
    ("region", &["", "kr", "kr, none"]),
];

const WHENS: [&str; 9] = [
    "product == 'p1'",
    "localHour >= 6 and localHour < 18",
    "kind == 'WIN' or kind == 'BONUS_WIN'",
    "attributes.shop == '7'",
    "segment == 'vip'",
    "category == 'slots' or channel == 'web'",
    "promotion == 'xmas'",
    "localWeekday == 'SATURDAY'",
    "'new' in tags",
];

fn table(dice: &mut Dice<'_>, frame: &Frame) -> Value {
    let mut columns: Vec<(&str, &[&str])> = Vec::new();
    for _ in 0..dice.roll(4) {
        let column = dice.of(&COLUMNS);
        if !columns.iter().any(|(reads, _)| *reads == column.0) {
            columns.push(column);
        }
    }
    let mut codes = vec!["a", "b", "c", "d"];
    let mut rows = Vec::new();
    for _ in 0..dice.roll(4) {
        let code = codes.remove(dice.roll(codes.len()));
        let cells: Vec<&str> = columns.iter().map(|(_, cells)| dice.of(cells)).collect();
        let mut row = rates(dice, frame);
        (row["code"], row["cells"]) = (json!(code), json!(cells));
        if cells.iter().all(|cell| matches!(*cell, "" | "-")) || dice.once_in(4) {
            row["when"] = json!(dice.of(&WHENS));
        }
        rows.push(row);
    }
    let mut rest = rates(dice, frame);
    rest["code"] = json!("rest");
    rows.push(rest);
    let columns: Vec<Value> = columns.iter().map(|(reads, _)| json!({ "reads": reads })).collect();
    json!({ "match": if frame.collect { "COLLECT" } else { "FIRST" }, "columns": columns, "rows": rows })
}

fn rates(dice: &mut Dice<'_>, frame: &Frame) -> Value {
    let pay = |dice: &mut Dice<'_>| {
        if frame.counts { json!({ "perUnit": dice.of(&PRICES) }) } else { json!({ "percent": dice.of(&PERCENTS) }) }
    };
    if dice.roll(2) == 0 {
        return pay(dice);
    }
    let mut steps = Vec::new();
    let mut edge = 0;
    for _ in 0..dice.roll(4) {
        edge += 1 + dice.roll(if frame.counts { 6 } else { 800 });
        let mut step = pay(dice);
        step["upTo"] = json!(edge.to_string());
        steps.push(step);
    }
    steps.push(pay(dice));
    json!({ "tiers": {
        "mode": dice.of(&["MARGINAL", "VOLUME"]), "period": dice.of(&["SETTLEMENT", "YEAR"]),
        "reads": dice.of(&["AFTER_CARRY", "BEFORE_CARRY"]), "steps": steps,
    } })
}

fn at_day(frame: &Frame, day: usize) -> Timestamp {
    Timestamp::from_utc((frame.start + Days::new(day as u64)).and_time(chrono::NaiveTime::MIN).and_utc())
}

fn products(dice: &mut Dice<'_>, frame: &Frame) -> Vec<ProductVersion> {
    let mut versions = Vec::new();
    for code in ["p1", "p2", "p3"] {
        let category = dice.of(&[Some("slots"), Some("live"), None]).map(str::to_owned);
        let valid_from = at_day(frame, 0).plus(-1_000 * MICROS_PER_HOUR);
        versions.push(ProductVersion { code: code.to_owned(), valid_from, category });
        if dice.once_in(3) {
            let valid_from = at_day(frame, dice.roll(frame.days)).plus(7 * MICROS_PER_HOUR);
            versions.push(ProductVersion { code: code.to_owned(), valid_from, category: Some("slots".to_owned()) });
        }
    }
    versions
}

fn players(dice: &mut Dice<'_>, frame: &Frame) -> Vec<PlayerVersion> {
    let mut versions = Vec::new();
    for player in 0..3_u8 {
        for number in 0..dice.roll(3) {
            let valid_from = at_day(frame, dice.roll(frame.days)).plus(-300 * MICROS_PER_HOUR);
            let valid_from = valid_from.plus(i64::try_from(number).expect("small") * 25 * MICROS_PER_HOUR * 40);
            let tags = dice.of(&[&[][..], &["new"], &["new", "old"], &["old"]]);
            versions.push(PlayerVersion {
                player: [player; 16],
                valid_from,
                segment: dice.of(&[None, Some("vip"), Some("mass")]).map(str::to_owned),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                test: dice.once_in(12),
            });
        }
    }
    versions.dedup_by_key(|row| (row.player, row.valid_from));
    versions
}

/// Facts with all that may decide about them. Of a round one fact at most says that it ends.
fn stream(rolls: &[Vec<u32>], frame: &Frame, cycle: &crate::contracts::contract::Cycle) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut closed = BTreeSet::new();
    for (number, rolls) in rolls.iter().enumerate() {
        let dice = &mut Dice(rolls);
        let mut fact = fact(dice, frame, cycle);
        fact.external_id = format!("t{number}");
        if fact.round_closed {
            fact.round_closed = closed.insert((fact.source, fact.round.clone(), fact.player));
        }
        if dice.once_in(7) {
            // What it undoes may come later, or never, or be undone already.
            fact.kind = Kind::Rollback;
            fact.affects = None;
            fact.reverses = Some(format!("t{}", dice.roll(rolls.len() + 20)));
            fact.round_closed = false;
        }
        facts.push(fact);
    }
    facts
}

fn fact(dice: &mut Dice<'_>, frame: &Frame, cycle: &crate::contracts::contract::Cycle) -> Fact {
    let kind = dice.of(&[
        Kind::Stake,
        Kind::Win,
        Kind::Stake,
        Kind::BonusStake,
        Kind::BonusWin,
        Kind::JackpotContribution,
        Kind::JackpotWin,
        Kind::Sale,
        Kind::Refund,
        Kind::Fee,
        Kind::Adjustment,
        Kind::Win,
    ]);
    // So that units that are taken back are more than those that count now and then.
    let kind = if frame.counts && dice.once_in(3) { Kind::Refund } else { kind };
    let amount = match dice.roll(5) {
        0 => dice.number(2_000) * 1_000_000,
        1 => dice.number(50_000) * 10_000,
        2 => dice.number(3_000_000),
        3 => 5_000 * dice.number(50),
        _ => 0,
    };
    let day = frame.start + Days::new(dice.roll(frame.days + 4) as u64);
    let begins = calendar::begins(cycle, day).plus(-2 * 24 * MICROS_PER_HOUR);
    let occurred_at = match dice.roll(4) {
        0 => begins,
        1 => begins.plus(-1),
        _ => begins.plus(dice.number(24 * 60) * MICROS_PER_HOUR / 60),
    };
    let settled_at = (!dice.once_in(6)).then(|| occurred_at.plus(dice.number(100) * MICROS_PER_HOUR));
    let affects = dice.of(&Affects::ALL);
    let sign = if kind == Kind::Adjustment && dice.once_in(2) { -1 } else { 1 };
    let round = (!dice.once_in(4)).then(|| format!("r{}", dice.roll(6)));
    let text = |value: Option<&str>| value.map(str::to_owned);
    let attributes = [
        ("shop", dice.of(&[None, Some("7"), Some("8")])),
        ("level", dice.of(&[None, Some("5"), Some("10"), Some("-3"), Some("200"), Some("ten")])),
    ];
    Fact {
        source: SourceId(Uuid::from_u128(1)),
        external_id: String::new(),
        kind,
        affects: (kind == Kind::Adjustment).then_some(affects),
        amount: Units(sign * amount),
        currency: if dice.once_in(20) { "EUR".to_owned() } else { frame.asset.code.clone() },
        occurred_at,
        settled_at,
        reported_at: None,
        product: text(dice.of(&[Some("p1"), Some("p2"), Some("p3"), None])),
        player: dice.of(&[None, Some(0), Some(1), Some(2)]).map(|player: u8| [player; 16]),
        round_closed: round.is_some() && dice.once_in(3),
        round,
        channel: text(dice.of(&[None, Some("web"), Some("app")])),
        region: text(dice.of(&[None, Some("kr"), Some("jp")])),
        reverses: None,
        note: None,
        test: dice.once_in(20),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect(),
    }
}
