//! The golden figures of the crash game: 50,000 real records through the whole core.

use domain::contracts::NewContract;
use domain::contracts::contract::Terms;
use domain::ids::{ContractId, SettlementId, SourceId};
use domain::imports::ImportRun;
use domain::page::PageRequest;
use domain::settlements::{Settlement, SettlementFilter};
use domain::transactions::quarantine::QuarantineFilter;
use domain::{Code, Scoped};

use crate::support::{Game, TestApp, TestTenant, at, crash_game_file, has_code};

/// Digits between the accounting unit of a bit (10⁻⁶) and its minor unit (10⁻²).
const UNITS_PER_MINOR: i64 = 10_000;

struct Golden {
    month: &'static str,
    stakes: i64,
    wins: i64,
    winning: i64,
    records: i64,
}

const UTC: [Golden; 3] = [
    Golden { month: "2021-10", records: 451, stakes: 116_316_900, wins: 92_851_345, winning: 258 },
    Golden { month: "2021-11", records: 37_415, stakes: 10_459_861_300, wins: 10_695_969_578, winning: 22_283 },
    Golden { month: "2021-12", records: 12_134, stakes: 4_100_076_700, wins: 4_116_145_804, winning: 6_193 },
];

const SEOUL: [Golden; 2] = [
    Golden { month: "2021-11", records: 37_352, stakes: 10_330_074_800, wins: 10_622_035_763, winning: 22_284 },
    Golden { month: "2021-12", records: 12_648, stakes: 4_346_180_100, wins: 4_282_930_964, winning: 6_450 },
];

/// Flat 8 % of GGR, a settlement a month.
fn eight_percent(source: SourceId, zone: &str, mode: &str) -> Terms {
    serde_json::from_value(serde_json::json!({
        "validFrom": "2021-10-01", "role": "PROVIDER", "scope": { "sources": [source] },
        "currency": "BIT", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": zone, "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": mode, "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [{ "code": "all", "percent": "8" }] },
        "rounding": "HALF_EVEN", "minimumPayout": "0"
    }))
    .expect("terms")
}

async fn settlements(scoped: &Scoped, contract: ContractId) -> Vec<Settlement> {
    let filter = SettlementFilter { contract: Some(contract), ..SettlementFilter::default() };
    let mut rows = scoped.settlements(&filter, PageRequest::default()).await.expect("settlements").items;
    rows.sort_by_key(|row| row.period_start);
    rows
}

async fn total(scoped: &Scoped, id: SettlementId) -> (i64, i64) {
    let statement = &scoped.statements(&[id]).await.expect("a statement")[&id];
    let carried: i64 = statement.carry_out.base.values().map(|base| base.0).sum();
    assert_eq!(carried % UNITS_PER_MINOR, 0);
    (statement.total.0, carried / UNITS_PER_MINOR)
}

async fn golden_months(app: &TestApp, scoped: &Scoped, contract: ContractId, zone: &str, golden: &[Golden]) {
    let rows = settlements(scoped, contract).await;
    assert_eq!(rows.len(), golden.len());
    for (row, golden) in rows.iter().zip(golden) {
        let offset = if zone == "UTC" { "+00:00" } else { "+09:00" };
        assert_eq!(row.period_start, at(&format!("{}-01T00:00:00{offset}", golden.month)));
        let sum = async |kind: &str, column: &str| {
            let id = crate::support::hex(row.id.0);
            app.number(&format!("SELECT sum({column}) FROM accruals WHERE settlement_id = {id} AND kind = '{kind}'"))
                .await
        };
        let found = (sum("STAKE", "transactions").await, sum("STAKE", "amount").await / UNITS_PER_MINOR);
        assert_eq!(found, (golden.records, golden.stakes), "{zone} {}", golden.month);
        let found = (sum("WIN", "transactions").await, sum("WIN", "amount").await / UNITS_PER_MINOR);
        assert_eq!(found, (golden.winning, golden.wins), "{zone} {}", golden.month);
    }
}

fn counts(run: &ImportRun) -> [i64; 7] {
    [run.records, run.emitted, run.ignored, run.quarantined, run.recorded, run.replayed, run.conflicting]
}

async fn contract(tenant: &TestTenant, game: &Game, name: &str, terms: Terms) -> ContractId {
    let new = NewContract { partner: game.partner, name: name.into(), terms };
    let (contract, version) = tenant.admin.create_contract(new).await.expect("a contract");
    tenant.admin.activate_contract_version(contract.id, version.version).await.expect("an active version");
    contract.id
}

#[tokio::test]
async fn the_crash_game_meets_its_golden_figures_by_month_in_two_zones() {
    let Some(file) = crash_game_file() else { return };
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "windows-1252").await;
    // One contract before the import and, for another partner, one after it: the late one counts what is there.
    let utc = contract(&tenant, &game, "utc", eight_percent(game.source, "UTC", "RESET")).await;
    let run = tenant.import(game.source, "crash.csv", &file).await;
    assert_eq!((run.state.as_str(), counts(&run)), ("COMPLETED", [50_000, 50_000, 0, 0, 78_734, 0, 0]));
    golden_months(&app, &tenant.admin, utc, "UTC", &UTC).await;
    let other = tenant.another_partner(&game, "affiliate").await;
    let seoul = contract(&tenant, &other, "seoul", eight_percent(game.source, "Asia/Seoul", "CARRY")).await;
    golden_months(&app, &tenant.admin, seoul, "Asia/Seoul", &SEOUL).await;

    let again = tenant.import(game.source, "crash.csv", &file).await;
    assert_eq!(counts(&again), [50_000, 50_000, 0, 0, 0, 78_734, 0], "every row is a replay");
    golden_months(&app, &tenant.admin, seoul, "Asia/Seoul", &SEOUL).await;

    let changed = change_ten_wins(&file);
    let run = tenant.import(game.source, "changed.csv", &changed).await;
    assert_eq!(counts(&run), [50_000, 50_000, 0, 0, 0, 78_724, 10], "exactly ten conflicts");
    assert_eq!(tenant.admin.conflicts(None, PageRequest::default()).await.expect("conflicts").items.len(), 10);
    golden_months(&app, &tenant.admin, utc, "UTC", &UTC).await;
    assert_eq!(tenant.admin.check_books().await.expect("a check").findings, Vec::<String>::new());
}

/// Adds one bit to `Profit` in ten winning records.
fn change_ten_wins(file: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(file.len() + 64);
    let mut left = 10;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
        let wins = left > 0 && fields.len() == 9 && fields[4] != b"NA" && fields[4] != b"CashedOut";
        if !wins {
            changed.extend_from_slice(line);
            continue;
        }
        left -= 1;
        let profit = String::from_utf8_lossy(fields[6]).parse::<rust_decimal::Decimal>().expect("a number");
        let profit = (profit + rust_decimal::Decimal::ONE).to_string();
        let fields: Vec<&[u8]> =
            fields.iter().enumerate().map(|(i, field)| if i == 6 { profit.as_bytes() } else { field }).collect();
        changed.extend_from_slice(&fields.join(&b','));
    }
    changed
}

#[tokio::test]
async fn negative_months_are_carried_reset_or_payable_to_the_unit() {
    let Some(file) = crash_game_file() else { return };
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "windows-1252").await;
    let mut contracts = Vec::new();
    for (mode, november, december) in [
        ("CARRY", (0, -291_960_963), (0, -228_711_827)),
        ("RESET", (0, 0), (5_059_931, 0)),
        ("PAYABLE_BY_PARTNER", (-23_356_877, 0), (5_059_931, 0)),
    ] {
        let partner = tenant.another_partner(&game, mode).await;
        let id = contract(&tenant, &partner, mode, eight_percent(game.source, "Asia/Seoul", mode)).await;
        contracts.push((id, november, december));
    }
    tenant.import(game.source, "crash.csv", &file).await;
    for (contract, november, december) in contracts {
        let open = settlements(&tenant.admin, contract).await;
        assert_eq!(total(&tenant.admin, open[0].id).await, november, "as it grows");
        assert_eq!(total(&tenant.admin, open[1].id).await, december, "as it grows");
        assert!(has_code(tenant.admin.close_settlement(open[1].id).await, Code::Blocked), "November comes first");
        let closed = tenant.admin.close_settlement(open[0].id).await.expect("November closes");
        assert_eq!(tenant.admin.close_settlement(open[0].id).await.expect("again"), closed);
        assert_eq!(closed.transaction_count, Some(59_636));
        assert_eq!(total(&tenant.admin, open[0].id).await, november);
        tenant.admin.close_settlement(open[1].id).await.expect("December closes");
        assert_eq!(total(&tenant.admin, open[1].id).await, december);
        assert_eq!(settlements(&tenant.admin, contract).await.len(), 3, "January is open");
    }
    assert_eq!(tenant.admin.check_books().await.expect("a check").findings, Vec::<String>::new());
}

#[tokio::test]
async fn two_records_that_are_not_utf_8_are_quarantined_corrected_and_counted() {
    let Some(file) = crash_game_file() else { return };
    let app = TestApp::new().await;
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "utf-8").await;
    let contract = contract(&tenant, &game, "utc", eight_percent(game.source, "UTC", "PAYABLE_BY_PARTNER")).await;
    let run = tenant.import(game.source, "crash.csv", &file).await;
    assert_eq!((run.records, run.quarantined), (50_000, 2));
    let ggr = async || {
        let november = settlements(&tenant.admin, contract).await[1].id;
        let statement = &tenant.admin.statements(&[november]).await.expect("a statement")[&november];
        statement.lines.iter().filter_map(|line| line.base).map(|base| base.0).sum::<i64>() / UNITS_PER_MINOR
    };
    assert_eq!(ggr().await, -236_106_910);
    let october = settlements(&tenant.admin, contract).await[0].id;
    assert!(has_code(tenant.admin.close_settlement(october).await, Code::Blocked), "two records are in quarantine");

    let records = tenant.admin.quarantine(QuarantineFilter::default(), PageRequest::default()).await.expect("records");
    let mut ids = Vec::new();
    for record in records.items {
        assert_eq!(record.code, "BAD_ENCODING");
        let (text, _, _) = encoding_rs::WINDOWS_1252.decode(&record.raw);
        ids.push(text.split(',').next().expect("an id").to_owned());
        tenant.admin.retry_quarantined(record.id, Some(text.into_owned())).await.expect("it is taken");
    }
    ids.sort();
    assert_eq!(ids, ["13365839", "903830"]);
    assert_eq!(ggr().await, -236_108_278);
    let again = tenant.import(game.source, "crash.csv", &file).await;
    assert_eq!(counts(&again), [50_000, 50_000, 0, 0, 0, 78_734, 0], "the corrected records are replays too");
    tenant.admin.close_settlement(october).await.expect("nothing is in the way");
    assert_eq!(tenant.admin.check_books().await.expect("a check").findings, Vec::<String>::new());
}
