//! What is agreed with each provider: what it offers, how its records are read, and under which contracts they are
//! settled. No two of the contracts have the same clauses.

use chrono::NaiveDate;
use chrono_tz::Tz;
use domain::contracts::contract::{Cycle, Every};
use domain::ids::SourceId;
use domain::time::Timestamp;
use serde_json::{Value as Json, json};

use super::window::{Provider, Window};
use super::{crash, sales, slots};

/// What is played or sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub code: &'static str,
    pub name: &'static str,
    pub category: &'static str,
    pub studio: &'static str,
    /// As the provider states it.
    pub rtp: Option<&'static str>,
    /// Standard deviation of the payout per unit stake, likewise.
    pub volatility: Option<&'static str>,
}

/// How a provider's records arrive.
#[derive(Clone, Copy)]
pub(super) enum Delivery {
    Files(Files),
    /// Transaction by transaction, in small requests, each second.
    Requests,
}

#[derive(Clone, Copy)]
pub(super) struct Files {
    /// Of which files, for their names.
    pub what: &'static str,
    pub extension: &'static str,
    pub every_seconds: i64,
    /// The upload of each file breaks off in the middle of a record, and is resumed.
    pub breaks_off: bool,
    pub content: fn(&Provider, Window) -> Vec<u8>,
}

/// A contract's name, and its terms from a day on.
type Contract = (&'static str, fn(SourceId, NaiveDate) -> Json);

pub(super) struct Agreement {
    /// Reference and name of the partner.
    pub partner: (&'static str, &'static str),
    pub source: &'static str,
    pub zone: Tz,
    /// The local hour at which a day of its contracts begins.
    pub cut_off_hour: u8,
    pub products: &'static [Product],
    pub mapping: fn() -> Json,
    pub contracts: &'static [Contract],
    pub delivery: Delivery,
}

pub(super) const LUMEN: &str = "lumen";

pub(super) const AGREEMENTS: [Agreement; 3] = [
    Agreement {
        partner: (LUMEN, "Lumen Games"),
        source: "lumen-slots",
        zone: slots::ZONE,
        cut_off_hour: 0,
        products: &slots::PRODUCTS,
        mapping: spins,
        contracts: &[("Lumen Games, revenue share", revenue_share)],
        delivery: Delivery::Files(Files {
            what: "spins",
            extension: "jsonl",
            every_seconds: 2,
            breaks_off: false,
            content: slots::file,
        }),
    },
    Agreement {
        partner: ("komet", "Komet Interaktiv"),
        source: "komet-crash",
        zone: crash::ZONE,
        cut_off_hour: 0,
        products: &crash::PRODUCTS,
        mapping: bets,
        contracts: &[("Komet, half-monthly by game", by_game)],
        delivery: Delivery::Files(Files {
            what: "wetten",
            extension: "csv",
            every_seconds: 15,
            breaks_off: true,
            content: crash::file,
        }),
    },
    Agreement {
        partner: ("empire", "Empire Draws"),
        source: "empire-sales",
        zone: sales::ZONE,
        cut_off_hour: 4,
        products: &sales::PRODUCTS,
        mapping: slips,
        contracts: &[("Empire Draws, tickets sold", tickets), ("Empire Draws, betting turnover", betting)],
        delivery: Delivery::Requests,
    },
];

impl Agreement {
    /// The provider began with the month before the one in which the demo was first started: periods to close.
    pub fn beginning(&self, started: Timestamp) -> Timestamp {
        let cycle = Cycle {
            every: Every::Month,
            time_zone: self.zone,
            cut_off_hour: self.cut_off_hour,
            starts_on: None,
            custom: None,
        };
        cycle.period(cycle.period(started).start.plus(-1)).start
    }
}

fn spins() -> Json {
    let spin = |when: &str, kind: &str, id: &str, amount: &str| {
        json!({
            "when": when, "kind": kind, "externalId": format!("spin + ':{id}'"), "amount": format!("number({amount})"),
            "currency": "'KRW'", "occurredAt": "time", "product": "game", "player": "user", "round": "spin",
            "channel": "device",
        })
    };
    let mut cancel = spin("type == 'CANCEL'", "ROLLBACK", "cancel", "bet");
    cancel["reverses"] = json!("spin + ':bet'");
    json!({
        "format": "jsonl",
        "timeZone": slots::ZONE,
        "timeFormat": "%Y-%m-%d %H:%M:%S%.f",
        "emit": [
            spin("type == 'SPIN'", "STAKE", "bet", "bet"),
            spin("type == 'SPIN' and win != '0'", "WIN", "win", "win"),
            spin("type == 'SPIN' and pool != '0'", "JACKPOT_CONTRIBUTION", "pool", "pool"),
            spin("type == 'FREE'", "BONUS_STAKE", "bet", "bet"),
            spin("type == 'FREE' and win != '0'", "BONUS_WIN", "win", "win"),
            spin("type == 'JACKPOT'", "JACKPOT_WIN", "jackpot", "win"),
            cancel,
        ],
    })
}

fn bets() -> Json {
    // A decimal comma becomes a point.
    let number = |field: &str| format!("number(split({field}, ',')[0] + '.' + split({field}, ',')[1])");
    let bet = |when: &str, kind: &str, id: &str, amount: &str| {
        json!({
            "when": when, "kind": kind, "externalId": format!("Wette + ':{id}'"), "amount": number(amount),
            "currency": "$root['Währung']", "occurredAt": "Zeit", "product": "Spiel", "player": "Spieler",
            "round": "Runde", "channel": "$root['Gerät']",
        })
    };
    let played = "Status == 'OK' and Art != 'Jackpot'";
    let mut cancel = bet("Status == 'Storno'", "ROLLBACK", "storno", "Einsatz");
    cancel["reverses"] = json!("Wette + ':einsatz'");
    json!({
        "format": "csv",
        "delimiter": ";",
        "encoding": "windows-1252",
        "timeZone": crash::ZONE,
        "timeFormat": "%d.%m.%Y %H:%M:%S%.f",
        "emit": [
            bet(played, "Art == 'Bonus' ? 'BONUS_STAKE' : 'STAKE'", "einsatz", "Einsatz"),
            bet(&format!("{played} and Auszahlung != '0,00'"), "Art == 'Bonus' ? 'BONUS_WIN' : 'WIN'", "gewinn", "Auszahlung"),
            bet(&format!("{played} and Topf != '0,0000'"), "JACKPOT_CONTRIBUTION", "topf", "Topf"),
            bet("Art == 'Jackpot'", "JACKPOT_WIN", "jackpot", "Auszahlung"),
            cancel,
        ],
    })
}

/// Of a file that replaces requests, should the line to the shops be down.
fn slips() -> Json {
    json!({
        "format": "jsonl",
        "emit": [{
            "kind": "kind", "externalId": "externalId", "amount": "number(amount)", "currency": "currency",
            "occurredAt": "occurredAt", "product": "product", "player": "player", "round": "round",
            "channel": "channel", "region": "region",
        }],
    })
}

fn revenue_share(source: SourceId, from: NaiveDate) -> Json {
    json!({
        "validFrom": from,
        "role": "PROVIDER",
        "scope": { "sources": [source] },
        "currency": "KRW",
        "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": slots::ZONE, "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY", "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [
            { "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "10" },
            { "code": "rest", "tiers": { "mode": "MARGINAL", "steps": [
                { "upTo": "10000000", "percent": "15" }, { "upTo": "100000000", "percent": "13" }, { "percent": "11" },
            ] } },
        ] },
        "minimumPayout": "100000",
    })
}

fn by_game(source: SourceId, from: NaiveDate) -> Json {
    json!({
        "validFrom": from,
        "role": "PROVIDER",
        "scope": { "sources": [source] },
        "currency": "EUR",
        "attribution": "OCCURRED",
        "cycle": { "every": "HALF_MONTH", "timeZone": crash::ZONE, "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "EXCLUDE", "jackpots": "PAYOUT" } },
        "negative": { "mode": "RESET", "level": "PER_CLASS" },
        "rateTable": { "match": "FIRST", "rows": [
            { "code": "crash", "when": "category == 'crash'", "percent": "18" },
            { "code": "dice", "percent": "12.5" },
        ] },
        "minimumPayout": "50",
    })
}

fn tickets(source: SourceId, from: NaiveDate) -> Json {
    json!({
        "validFrom": from,
        "role": "AGENT",
        "scope": { "sources": [source], "products": [sales::DRAW.code, sales::SCRATCH.code] },
        "currency": "USD",
        "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": sales::ZONE, "cutOffHour": 4 },
        "base": { "sales": {} },
        "negative": { "mode": "PAYABLE_BY_PARTNER", "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [
            { "code": "scratch", "when": format!("product == '{}'", sales::SCRATCH.code), "percent": "5" },
            { "code": "draw", "tiers": { "mode": "VOLUME", "steps": [
                { "upTo": "50000", "percent": "6" }, { "upTo": "250000", "percent": "6.5" }, { "percent": "7" },
            ] } },
        ] },
        "rounding": "HALF_UP",
        "minimumPayout": "0",
    })
}

fn betting(source: SourceId, from: NaiveDate) -> Json {
    json!({
        "validFrom": from,
        "role": "PROVIDER",
        "scope": { "sources": [source], "products": [sales::TENNIS.code] },
        "currency": "USD",
        "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": sales::ZONE, "cutOffHour": 4 },
        "base": { "turnover": { "bonusTreatment": "EXCLUDE" } },
        "negative": { "mode": "RESET", "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [ { "code": "bets", "percent": "1.25" } ] },
        "minimumPayout": "25",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::contracts::contract::Terms;
    use domain::sources::mapping::Mapping;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_agreed_can_be_read_and_providers_differ() {
        let mut seen: [BTreeSet<String>; 4] = Default::default();
        for agreement in &AGREEMENTS {
            let mapping: Mapping = serde_json::from_value((agreement.mapping)()).expect("a mapping");
            for (name, terms) in agreement.contracts {
                let from = NaiveDate::from_ymd_opt(2026, 10, 1).expect("a day");
                let terms: Terms = serde_json::from_value(terms(SourceId::NONE, from)).expect("terms");
                assert_eq!(terms.cycle.time_zone, agreement.zone, "{name}");
                assert_eq!(terms.cycle.cut_off_hour, agreement.cut_off_hour, "{name}: or its first hours are nobody's");
                seen[0].insert(terms.currency);
                seen[1].insert(format!("{:?} {:?} {:?}", terms.base, terms.negative, terms.rate_table));
            }
            seen[2].insert(agreement.zone.to_string());
            seen[3].insert(format!("{:?} {}", mapping.format, mapping.encoding));
        }
        let clauses: usize = AGREEMENTS.iter().map(|agreement| agreement.contracts.len()).sum();
        assert_eq!(seen.map(|set| set.len()), [AGREEMENTS.len(), clauses, AGREEMENTS.len(), 2]);
    }
}
