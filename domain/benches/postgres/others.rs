//! What is measured beside Saldo and is a program of its own: cala-ledger and pgbench.

use std::process::Command;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::Cost;
use crate::measure::{Spent, measured};

/// cala-ledger on a new database, `many` in a batch or at a time, `count` in all; nothing where it was not built.
pub async fn cala(how: &str, (many, count): (usize, usize)) -> Option<Cost> {
    let program = std::env::var("SALDO_BENCH_CALA").ok()?;
    let url = new_database("cala").await;
    let (many, count) = (many.to_string(), count.to_string());
    let told = output(Command::new(program).args([&url, how, &many, &count])).await;
    let numbers: Vec<u64> = told.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let [rows, wall, client, server] = numbers[..] else { panic!("{told}") };
    let [wall, client, server] = [wall, client, server].map(Duration::from_micros);
    Some(Cost { rows: usize::try_from(rows).expect("a count"), spent: Spent { wall, client, server } })
}

/// One bare row an own transaction, from 64 connections.
pub async fn pgbench(count: usize) -> Cost {
    let (url, clients) = (new_database("bare").await, 64);
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let table = "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int, amount bigint, at timestamptz)";
    sqlx::raw_sql(table).execute(&mut connection).await.expect("a table");
    let script = std::env::temp_dir().join(format!("saldo-bench-{}.sql", std::process::id()));
    let text = "\\set account random(1, 1000)\nINSERT INTO bare (account, amount, at) VALUES (:account, 100, now());\n";
    std::fs::write(&script, text).expect("a script");
    let program = std::path::Path::new(&std::env::var("SALDO_POSTGRES_BIN").expect("its programs")).join("pgbench");
    let each = (count / clients).to_string();
    let mut command = Command::new(program);
    command.args(["--no-vacuum", "--protocol=prepared", "--client=64", "--jobs=2", "--transactions", &each, "--file"]);
    let (_, spent) = measured(output(command.arg(&script).arg(&url))).await;
    std::fs::remove_file(script).ok();
    Cost { rows: count / clients * clients, spent }
}

async fn new_database(name: &str) -> String {
    let server = std::env::var("SALDO_TEST_POSTGRES").expect("a server");
    let mut connection = PgConnection::connect(&server).await.expect("the server");
    for sql in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a database");
    }
    let (place, _) = server.rsplit_once('/').expect("a database");
    format!("{place}/{name}")
}

async fn output(command: &mut Command) -> String {
    let command = std::mem::replace(command, Command::new("true"));
    tokio::task::spawn_blocking(move || {
        let mut command = command;
        let done = command.output().expect("the program runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    })
    .await
    .expect("it ends")
}
