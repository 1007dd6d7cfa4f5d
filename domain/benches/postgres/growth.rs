//! G10, and what must not grow: the cost of a transaction with the rows that are there, with open periods and with
//! tenants; the cost of a close with its transactions.

use std::time::Instant;

use domain::page::PageRequest;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::game::records_from;
use crate::measure::measured;
use crate::single::{Teller, stake, stake_at, tellers};
use crate::support::{TestApp, TestTenant};
use crate::{Cost, ROUNDS, bulk::settled_game, median};

/// Records of the two histories; five transactions come of three records.
const HISTORIES: [u32; 2] = [320_000, 640_000];
const FILE: u32 = 40_000;

/// Two histories, one twice as long as the other: what one more file costs on top, and what a close costs beside adding
/// the transactions up.
pub async fn close() {
    println!("close: periods of two histories, one twice as long");
    let (mut closes, mut files) = (Vec::new(), Vec::new());
    let fresh = TestApp::new().await;
    let fresh_tenant = fresh.tenant("bench").await;
    let fresh_source = settled_game(&fresh, &fresh_tenant).await;
    fresh_tenant.import(fresh_source, "warm.csv", &records_from(1_000_000, FILE)).await;
    for (number, count) in HISTORIES.into_iter().enumerate() {
        let app = TestApp::new().await;
        let tenant = app.tenant("bench").await;
        let source = settled_game(&app, &tenant).await;
        tenant.import(source, "history.csv", &records_from(20_000_000, count)).await;
        let rows = app.number("SELECT count(*) FROM transactions").await;
        let mut ratios = Vec::new();
        for round in 0..u32::try_from(ROUNDS).expect("few") {
            let file = records_from(40_000_000 + round * FILE, FILE);
            let here = imported(&tenant, source, &file).await;
            let other = imported(
                &fresh_tenant,
                fresh_source,
                &records_from(60_000_000 + (number as u32 * 10 + round) * FILE, FILE),
            )
            .await;
            println!("  on top of {rows} transactions {here} | of few {other}");
            ratios.push(here.cpu() / other.cpu());
        }
        files.push(median(&mut ratios));
        let scan = scanned(&app).await;
        let close = closed(&tenant).await;
        println!("  {rows} transactions: a close {close:.1} ms, adding up what it settles {scan:.1} ms");
        println!("=> G10 adding up ÷ close: {:.0}", scan / close);
        closes.push(close);
        app.domain.shut_down().await;
    }
    fresh.domain.shut_down().await;
    println!("=> growth: a close with twice the transactions: {:.2}", closes[1] / closes[0]);
    println!("=> growth: a transaction on top of a million ÷ of few: {:.2} by CPU", files[1]);
}

async fn imported(tenant: &TestTenant, source: domain::ids::SourceId, file: &[u8]) -> Cost {
    let (run, spent) = measured(tenant.import(source, "more.csv", file)).await;
    Cost { rows: usize::try_from(run.recorded).expect("a count"), spent }
}

/// How long the server takes to add up by kind what the largest settlement counts, the middle of some tries.
async fn scanned(app: &TestApp) -> f64 {
    let url = app.database.url.replace("saldo_server", "postgres");
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql("ANALYZE transactions").execute(&mut connection).await.expect("statistics");
    let sql = "SELECT kind, sum(amount)::text FROM transactions, (SELECT tenant_id AS of_tenant, period_start, period_end FROM settlements \
               ORDER BY (SELECT sum(transactions) FROM accruals WHERE settlement_id = settlements.id) DESC NULLS LAST LIMIT 1) AS wanted \
               WHERE tenant_id = of_tenant AND occurred_at >= period_start AND occurred_at < period_end GROUP BY kind";
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("sums");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

/// How long the closes of all settlements take, in their order, the middle of them.
async fn closed(tenant: &TestTenant) -> f64 {
    let mut times = Vec::new();
    // Closing opens the next period; what is there now is closed.
    let page = PageRequest { first: 20, after: None };
    let mut open = tenant.admin.settlements(&Default::default(), page).await.expect("settlements").items;
    open.sort_by_key(|row| row.period_start);
    for row in open.into_iter().filter(|row| row.state == "OPEN") {
        let began = Instant::now();
        tenant.admin.close_settlement(row.id).await.expect("closed");
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

/// Open periods, and tenants.
pub async fn growth() {
    println!("growth: open periods and tenants, requests of a thousand transactions, one after the other");
    let app = TestApp::new().await;
    let tellers = tellers(&app, 102).await;
    let (few, many) = (&tellers[..1], &tellers[1..2]);
    for month in 0..24 {
        let (scoped, source) = &many[0];
        let when = format!("{}-{:02}-05T12:00:00Z", 2022 + month / 12, month % 12 + 1);
        scoped.record_transactions(*source, vec![stake_at(month, &when)]).await.expect("recorded");
    }
    let (mut periods, mut tenants) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (one, four_and_twenty) = (requests(few, 20).await, requests(many, 20).await);
        let (ten, hundred) = (requests(&tellers[2..12], 100).await, requests(&tellers[2..], 100).await);
        // The first of them loads what is remembered of each tenant.
        if round > 0 {
            println!("  round {round}: one open period {one} | 25 {four_and_twenty}");
            println!("  round {round}: ten tenants {ten} | a hundred {hundred}");
            periods.push(four_and_twenty.cpu() / one.cpu());
            tenants.push(hundred.cpu() / ten.cpu());
        }
    }
    println!("=> growth: 25 ÷ 1 open periods: {:.2} by CPU", median(&mut periods));
    println!("=> growth: 100 ÷ 10 tenants: {:.2} by CPU", median(&mut tenants));
    app.domain.shut_down().await;
}

async fn requests(tellers: &[Teller], count: usize) -> Cost {
    let requests: Vec<Vec<_>> = (0..count).map(|_| (0..1_000).map(|_| stake()).collect()).collect();
    let ((), spent) = measured(async {
        for (number, drafts) in requests.into_iter().enumerate() {
            let (scoped, source) = &tellers[number % tellers.len()];
            scoped.record_transactions(*source, drafts).await.expect("recorded");
        }
    })
    .await;
    Cost { rows: count * 1_000, spent }
}
