//! The check of the books finds what was changed behind the core, and names it.

use domain::ids::SettlementId;
use serde_json::json;

use crate::facts::*;
use crate::support::*;

/// A closed month with a late fact in it, and an open one.
async fn world() -> (World, SettlementId) {
    let world = World::new().await;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10"), stake("2", "70", "02-10"), win("3", "20", "02-11")]).await;
    let january = world.close_next(contract).await.id;
    world.recorded(&[stake("4", "30", "01-11")]).await;
    world.check_books().await;
    (world, january)
}

/// One finding that names all of this; sound again once it is undone.
async fn found(world: &World, damage: &str, repair: &str, names: &[&str]) {
    world.app.execute(damage).await;
    let findings = world.admin.check_books().await.expect("a check").findings;
    assert!(
        findings.iter().any(|finding| names.iter().all(|name| finding.contains(name))),
        "{damage}: {findings:?} does not name {names:?}"
    );
    world.app.execute(repair).await;
    world.check_books().await;
}

#[tokio::test]
async fn every_changed_figure_is_found_and_named() {
    let (world, january) = world().await;
    let id = january.to_string();
    let january = hex(january.0);
    for column in ["amount", "units", "transactions"] {
        for late in [false, true] {
            let change = |by: &str| {
                format!(
                    "UPDATE accruals SET {column} = {column} {by} WHERE settlement_id = {january} AND late = {late}"
                )
            };
            found(&world, &change("+ 1"), &change("- 1"), &[&id, "version 1", "rate class 'all'", "STAKE", " by "])
                .await;
        }
    }
    let line = |by: &str| format!("UPDATE settlement_lines SET amount = amount {by} WHERE settlement_id = {january}");
    found(&world, &line("+ 1"), &line("- 1"), &[&id, "1000", "1001"]).await;
    let total = |by: &str| format!("UPDATE settlements SET total = total {by} WHERE id = {january}");
    found(&world, &total("- 1"), &total("+ 1"), &[&id, "999", "1000"]).await;
    for account in world.admin.accounts(Default::default()).await.unwrap().items {
        let balance =
            |by: &str| format!("UPDATE ledger_accounts SET balance = balance {by} WHERE id = {}", hex(account.id.0));
        found(&world, &balance("+ 1"), &balance("- 1"), &[&account.id.to_string()]).await;
    }
    let settlement = domain::ids::SettlementId::parse(&id).unwrap();
    let mut entries = world.admin.entries(&[settlement], Default::default()).await.unwrap();
    let entries = entries.remove(&settlement).expect("it was posted").items;
    assert_eq!(entries.len(), 2);
    for (entry, _) in &entries {
        let leg = |by: &str| {
            format!("UPDATE ledger_legs SET amount = amount {by} WHERE entry_id = {} AND position = 0", hex(entry.id.0))
        };
        found(&world, &leg("+ 1"), &leg("- 1"), &[&entry.id.to_string(), "does not balance"]).await;
    }
    for transaction in world.admin.transactions(&Default::default(), Default::default()).await.unwrap().items {
        let own = format!("WHERE id = {}", hex(transaction.id.0));
        let set = |column: &str, by: &str| format!("UPDATE transactions SET {column} = {column} {by} {own}");
        let name = transaction.id.to_string();
        found(&world, &set("amount", "+ 1"), &set("amount", "- 1"), &[&name]).await;
        // Also what moves no total: a second later is in the same month.
        found(&world, &set("occurred_at", "+ 1000000"), &set("occurred_at", "- 1000000"), &[&name]).await;
        found(
            &world,
            &set("external_id", "|| 'x'"),
            &format!("UPDATE transactions SET external_id = '{}' {own}", transaction.external_id),
            &[&name],
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_gone_or_was_put_in_is_found() {
    let (world, january) = world().await;
    let id = january.to_string();
    let january = hex(january.0);
    world
        .app
        .execute(&format!("CREATE TABLE kept AS SELECT * FROM accruals WHERE settlement_id = {january} AND late"))
        .await;
    let gone = format!("DELETE FROM accruals WHERE settlement_id = {january} AND late");
    found(&world, &gone, "INSERT INTO accruals SELECT * FROM kept", &[&id, "-30000000", "-1 transactions"]).await;
    let listed = format!(
        "INSERT INTO unpriced SELECT tenant_id, id, {}, source_id, 'NO_CONTRACT', '' FROM transactions WHERE external_id = '1'",
        hex(uuid::Uuid::nil())
    );
    found(&world, &listed, "DELETE FROM unpriced", &["txn_", "is listed", "NO_CONTRACT"]).await;
    let put = "INSERT INTO accruals SELECT tenant_id, settlement_id, version, rate_class, 'WIN', late, amount, units, transactions FROM kept";
    let taken = format!("DELETE FROM accruals WHERE settlement_id = {january} AND kind = 'WIN'");
    found(&world, put, &taken, &[&id, "WIN"]).await;
    world.app.execute("CREATE TABLE lines AS SELECT * FROM settlement_lines").await;
    found(
        &world,
        "DELETE FROM settlement_lines",
        "INSERT INTO settlement_lines SELECT * FROM lines",
        &[&id, "sum to 0"],
    )
    .await;
    world.app.execute("CREATE TABLE legs AS SELECT * FROM ledger_legs").await;
    found(
        &world,
        "DELETE FROM ledger_legs WHERE position = 1",
        "INSERT INTO ledger_legs SELECT * FROM legs WHERE position = 1",
        &["does not balance"],
    )
    .await;
}

#[tokio::test]
async fn facts_that_are_away_are_counted_for_nothing_and_never_as_if_they_had_not_been() {
    let (world, january) = world().await;
    // As a month is that was taken into an archive.
    world.app.execute("CREATE TABLE away AS SELECT * FROM transactions; DELETE FROM unscored; DELETE FROM anomaly_case_transactions; DELETE FROM transactions WHERE external_id = '1'").await;
    let findings = world.admin.check_books().await.expect("a check").findings;
    assert!(findings.contains(&"1 transactions were recorded and are not there".to_owned()), "{findings:?}");
    let contract = world.admin.settlements_by_ids(&[january]).await.unwrap()[0].contract_id;
    let lines = world.lines(contract, "2024-02").await;
    let draft = world
        .admin
        .draft_contract_version(contract, terms(json!({ "validFrom": "2024-02-01" })))
        .await
        .expect("a draft");
    let refused = world.admin.activate_contract_version(contract, draft.version).await;
    assert_eq!(problems(refused), ["WRONG_STATE"]);
    assert_eq!(world.lines(contract, "2024-02").await, lines);
    world.app.execute("INSERT INTO transactions SELECT * FROM away WHERE external_id = '1'").await;
    world.admin.activate_contract_version(contract, draft.version).await.expect("it is in force");
    world.check_books().await;
}
