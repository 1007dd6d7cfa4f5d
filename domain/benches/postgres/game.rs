//! The crash game that is measured: two contracts over it, and made-up records of it.

use std::fmt::Write as _;

use domain::contracts::NewContract;
use domain::contracts::contract::Terms;

use crate::support::{Game, TestTenant};

/// A contract with a class by the local hour and one in tiers.
pub async fn contract(tenant: &TestTenant, game: Game, name: &str) {
    let terms: Terms = serde_json::from_value(serde_json::json!({
        "validFrom": "2021-10-01", "role": "PROVIDER", "scope": { "sources": [game.source] },
        "currency": "BIT", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul", "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY", "level": "TOTAL" },
        "rateTable": { "rows": [
            { "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "6" },
            { "code": "rest", "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": "20000000", "percent": "8" }, { "percent": "7" }] } }
        ] },
        "minimumPayout": "0"
    }))
    .expect("terms");
    let new = NewContract { partner: game.partner, name: name.into(), terms };
    let (contract, version) = tenant.admin.create_contract(new).await.expect("a contract");
    tenant.admin.activate_contract_version(contract.id, version.version).await.expect("an active version");
}

/// Rounds of a crash game: most lose, some win, in the order of time over six weeks.
pub fn records(count: u32) -> Vec<u8> {
    records_from(20_000_000, count)
}

/// The same with other ids.
pub fn records_from(first: u32, count: u32) -> Vec<u8> {
    let mut text = String::from("Id,GameID,Username,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate\n");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for id in 0..u64::from(count) {
        let second = id * 3_456_000 / u64::from(count);
        let (day, rest) = (second / 86_400, second % 86_400);
        let (month, day) = if day < 30 { (11, day + 1) } else { (12, day - 29) };
        let time = format!("2021-{month}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60);
        let (bet, player) = (1 + next(500), next(3_000));
        let outcome = match next(100) {
            0..57 => format!("1.{:02},0,{}.{:02}", next(100), next(bet), next(100)),
            _ => "NA,NA,NA".to_owned(),
        };
        let _ = writeln!(
            text,
            "{},{},p{player:010x},{bet},{outcome},2.5,{time}",
            u64::from(first) + id,
            3_000_000 + id / 3
        );
    }
    text.into_bytes()
}
