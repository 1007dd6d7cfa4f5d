//! G1 and G2: a file through the whole pipeline, beside inserting the rows that came of it raw, and beside cala-ledger's
//! batches of a thousand.

use domain::ids::SourceId;

use crate::databases::TestDatabase;
use crate::game::{contract, records};
use crate::measure::measured;
use crate::support::{TestApp, TestTenant};
use crate::{Cost, ROUNDS, Ratios, others, raw};

const RECORDS: u32 = 100_000;
const CALA: (usize, usize) = (1_000, 6_000);

pub async fn run() {
    let file = records(RECORDS);
    println!("bulk: {RECORDS} CSV records in {} MB, whole pipeline under two contracts", file.len() >> 20);
    let (mut g1, mut g2, mut scoring) = (Ratios::default(), Ratios::default(), Ratios::default());
    for round in 1..=ROUNDS {
        let (unscored, _) = pipeline(&file, false).await;
        let (scored, database) = pipeline(&file, true).await;
        let raw = raw::insert(&database).await;
        println!("  round {round}: pipeline {scored} | unscored {unscored} | raw UNNEST {raw}");
        assert_eq!(raw.rows, scored.rows);
        g1.add(scored, raw);
        scoring.add(unscored, scored);
        if let Some(cala) = others::cala("batch", CALA).await {
            println!("  round {round}: cala post_transactions of {} {cala}", CALA.0);
            g2.add(scored, cala);
        }
    }
    g1.tell("G1 pipeline ÷ raw UNNEST");
    scoring.tell("the same without scoring ÷ with");
    g2.tell("G2 pipeline ÷ cala post_transactions");
}

async fn pipeline(file: &[u8], scored: bool) -> (Cost, TestDatabase) {
    let app = TestApp::new().await;
    let tenant = app.tenant("bench").await;
    if !scored {
        tenant.admin.turn_detector_off().await;
    }
    let source = settled_game(&app, &tenant).await;
    let (run, spent) = measured(tenant.import(source, "bench.csv", file)).await;
    let rows = usize::try_from(run.recorded).expect("a count");
    app.domain.shut_down().await;
    (Cost { rows, spent }, app.database.clone())
}

/// The source of a crash game that two contracts count.
pub async fn settled_game(app: &TestApp, tenant: &TestTenant) -> SourceId {
    let game = tenant.crash_game(app, "utf-8").await;
    contract(tenant, game, "provider").await;
    let affiliate = tenant.another_partner(&game, "affiliate").await;
    contract(tenant, affiliate, "affiliate").await;
    game.source
}
