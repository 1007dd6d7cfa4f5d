//! The limit: the rows that the pipeline made, inserted into a bare table with the same two keys by UNNEST.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Row};
use uuid::Uuid;

use crate::Cost;
use crate::databases::TestDatabase;
use crate::measure::measured;

const BATCH: i64 = 8_192;

/// The columns of `transactions`, by type.
const UUIDS: [&str; 4] = ["tenant_id", "id", "source_id", "block_id"];
const TEXTS: [&str; 11] = [
    "external_id",
    "kind",
    "affects",
    "currency",
    "product",
    "round",
    "channel",
    "region",
    "reverses",
    "attributes",
    "note",
];
const NUMBERS: [&str; 8] =
    ["amount", "occurred_at", "settled_at", "reported_at", "recorded_at", "block_offset", "block_length", "score"];
const FLAGS: [&str; 2] = ["round_closed", "test"];
const BYTES: [&str; 2] = ["player", "payload_hash"];

struct Rows {
    count: usize,
    uuids: Vec<Vec<Option<Uuid>>>,
    texts: Vec<Vec<Option<String>>>,
    numbers: Vec<Vec<Option<i64>>>,
    flags: Vec<Vec<Option<bool>>>,
    bytes: Vec<Vec<Option<Vec<u8>>>>,
}

pub async fn insert(database: &TestDatabase) -> Cost {
    // Past row level security, to read all of them.
    let url = database.url.replace("saldo_server", "postgres");
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let listed = listed().join(", ");
    let mut batches = Vec::new();
    loop {
        let from = i64::try_from(batches.len()).expect("few") * BATCH;
        let sql = format!("SELECT {listed} FROM transactions ORDER BY tenant_id, id LIMIT {BATCH} OFFSET {from}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("rows");
        if rows.is_empty() {
            break;
        }
        batches.push(Rows::of(&rows));
    }
    let schema = format!(
        "CREATE TABLE raw AS SELECT {listed} FROM transactions WHERE false; ALTER TABLE raw ADD PRIMARY KEY (tenant_id, id);
         CREATE UNIQUE INDEX raw_key ON raw (tenant_id, source_id, external_id); CHECKPOINT"
    );
    for statement in schema.split(';') {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("a table");
    }
    let arrays: Vec<String> = (1..=listed.split(", ").count()).map(|number| format!("${number}")).collect();
    let sql = format!("INSERT INTO raw SELECT * FROM UNNEST({}) ON CONFLICT DO NOTHING", arrays.join(", "));
    let rows = batches.iter().map(|batch| batch.count).sum();
    let ((), spent) = measured(async {
        for batch in &batches {
            let mut tx = connection.begin().await.expect("a transaction");
            batch.bound(sqlx::query(AssertSqlSafe(sql.clone()))).execute(&mut *tx).await.expect("rows");
            tx.commit().await.expect("durable");
        }
    })
    .await;
    Cost { rows, spent }
}

fn listed() -> Vec<&'static str> {
    [&UUIDS[..], &TEXTS, &NUMBERS, &FLAGS, &BYTES].concat()
}

impl Rows {
    fn of(rows: &[sqlx::postgres::PgRow]) -> Self {
        fn columns<'r, T>(rows: &'r [sqlx::postgres::PgRow], names: &[&str]) -> Vec<Vec<Option<T>>>
        where
            T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
        {
            names.iter().map(|name| rows.iter().map(|row| row.get(*name)).collect()).collect()
        }
        Self {
            count: rows.len(),
            uuids: columns(rows, &UUIDS),
            texts: columns(rows, &TEXTS),
            numbers: columns(rows, &NUMBERS),
            flags: columns(rows, &FLAGS),
            bytes: columns(rows, &BYTES),
        }
    }

    fn bound<'q>(&'q self, mut query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        query = self.uuids.iter().fold(query, |query, column| query.bind(column));
        query = self.texts.iter().fold(query, |query, column| query.bind(column));
        query = self.numbers.iter().fold(query, |query, column| query.bind(column));
        query = self.flags.iter().fold(query, |query, column| query.bind(column));
        self.bytes.iter().fold(query, |query, column| query.bind(column))
    }
}
