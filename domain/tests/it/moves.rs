//! A tenant that has lived a while moves to another database, whole or not at all.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use domain::anomalies::CaseFilter;
use domain::anomalies::case::Verdict;
use domain::ids::{ContractId, TenantId};
use domain::moves::{Incoming, Moved, Moving};
use domain::notifications::{Language, MailFrom, MailTransport};
use domain::partners::NewPartner;
use domain::secrets::MasterKey;
use domain::tenants::Invite;
use domain::{Code, Domain, Error, Result, Role};
use serde_json::{Value, json};

use crate::anomalies::{ordinary, wild};
use crate::databases::on_postgres;
use crate::facts::*;
use crate::support::*;

/// A tenant with something of everything: closed and open settlements, late facts, a rollback that waits, records in
/// quarantine, a conflict, a case that holds a line, outcomes under keys, mail that waits, people and keys.
async fn lived_in(app: Arc<TestApp>, slug: &str) -> (World, ContractId) {
    let world = World::in_app(app, slug).await;
    let admin = &world.admin;
    let contract = world.contract("share", json!({})).await;
    world.recorded(&[stake("1", "100", "01-10"), win("2", "20.01", "01-11"), stake("3", "70", "02-10")]).await;
    world.recorded(&ordinary(100)).await;
    world.recorded(&[wild("4", "01-20"), rollback("5", "never came", "02-13")]).await;
    let cases = admin.anomaly_cases(CaseFilter::default(), Default::default()).await.expect("cases").items;
    admin.review_anomaly_case(cases[0].id, Verdict::Confirmed, None).await.expect("reviewed");
    let again = world.record(&[stake("1", "101", "01-10")]).await;
    assert_eq!(all_shown(&again).len(), 1);
    let file = "id,kind,amount,at,product\n7,STAKE,5,2024-01-20 10:00:00,dice\n8,STAKE,many,2024-01-20 10:00:00,dice\n";
    world.tenant.import(world.source, "january.csv", file.as_bytes()).await;
    let quarantined = world.quarantined().await;
    admin.dismiss_quarantined(quarantined[0].id, "a test").await.expect("dismissed");
    world.close_next(contract).await;
    world.recorded(&[stake("9", "30", "01-12")]).await;
    created(&world, "Keyed").await.expect("a partner");
    admin.create_api_key(world.source, "machine").await.expect("a key");
    let invite = Invite {
        email: "kim@acme.test",
        name: "김민지",
        role: Role::Risk,
        partner: None,
        language: Language::Ko,
        send_mail: true,
    };
    admin.invite(invite).await.expect("an invitation");
    world.check_books().await;
    (world, contract)
}

/// Under a key: what is asked again gets the first outcome.
async fn created(world: &World, name: &str) -> Result<domain::partners::Partner> {
    let keyed = world.admin.once("k", "createPartner", [1; 32]).expect("a good key");
    keyed.create_partner(NewPartner { name: name.to_owned(), reference: None }).await
}

async fn exported(domain: &Domain, slug: &str) -> (Vec<u8>, Moved) {
    domain.export_tenant(slug, Vec::new()).await.expect("an export")
}

async fn imported(app: &TestApp, file: &[u8]) -> Result<Moved> {
    app.domain.import_tenant(Incoming::open(std::io::Cursor::new(file.to_vec()))?).await
}

/// Why it is refused; nothing of the tenant is there then.
async fn refusal(app: &TestApp, file: &[u8]) -> String {
    let before = app.number("SELECT count(*) FROM tenants").await;
    let told = imported(app, file).await.expect_err("refused").to_string();
    for table in ["tenants", "partners", "transactions", "transaction_keys", "ledger_legs"] {
        assert_eq!(
            app.number(&format!("SELECT count(*) FROM {table}")).await,
            if table == "tenants" { before } else { 0 }
        );
    }
    told
}

/// The tenant where it is now, signed in with the password it had.
async fn arrived(from: &World, app: &Arc<TestApp>) -> World {
    app.clock.move_to(from.app.clock.now());
    let slug = &from.tenant.tenant.slug;
    let admin = app.bearer(app.sign_in(slug, &format!("ada@{slug}.test")).await.access_token.expose()).await;
    let operator = app.domain.for_caller(app.domain.operator(slug).await.expect("its operator"));
    let (tenant, admin_id) = (from.tenant.tenant.clone(), from.tenant.admin_id);
    let tenant = TestTenant { tenant, admin_id, admin: admin.clone(), operator };
    World { app: app.clone(), tenant, admin, partner: from.partner, source: from.source }
}

/// Every settlement and statement of a contract, to the last figure.
async fn statements(world: &World, contract: ContractId) -> Vec<String> {
    let mut shown = Vec::new();
    for row in world.settlements(contract).await {
        shown.push(format!("{row:?} {:?}", world.statement(row.id).await));
    }
    assert!(shown.len() >= 2, "{shown:?}");
    shown
}

/// What a file says, where it can be read to its end.
fn unpacked(file: &[u8]) -> Option<String> {
    let mut text = String::new();
    zstd::Decoder::new(file).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

fn lines(file: &[u8]) -> Vec<String> {
    unpacked(file).expect("a whole frame").lines().map(str::to_owned).collect()
}

/// A file with other lines in it, whole as far as zstd can say.
fn with_lines(lines: &[String]) -> Vec<u8> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    zstd::encode_all(text.as_bytes(), 1).expect("a frame")
}

fn line_of(lines: &[String], beginning: &str) -> usize {
    lines.iter().position(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no line {beginning}"))
}

/// Without what is sealed, which is never the same twice.
fn unsealed(file: &[u8]) -> Vec<String> {
    let lines = lines(file);
    lines[1..lines.len() - 1].to_vec()
}

#[tokio::test]
async fn a_tenant_moves_with_all_it_has_and_goes_on() {
    let (mut world, contract) = lived_in(Arc::new(TestApp::embedded().await), "acme").await;
    let begin = statements(&world, contract).await;
    let figures = world.figures(contract).await;
    let (first, told) = exported(&world.app.domain, "acme").await;
    let full = told.tables.iter().filter(|(_, figures)| figures.rows > 0).count();
    assert!(full >= 34, "{full} tables have rows: {told:?}");
    let legs = &told.tables.iter().find(|(name, _)| name == "ledger_legs").expect("its legs").1;
    assert!(legs.rows > 0 && legs.money().eq([("amount", 0)]), "debits and credits are equal: {legs:?}");

    // To the database that this run is about, to another one of its kind, and back into a file.
    let mut file = first.clone();
    for app in [TestApp::new().await, TestApp::new().await, TestApp::embedded().await] {
        let app = Arc::new(app);
        let moved = imported(&app, &file).await.expect("it moves in");
        assert_eq!(moved, told);
        file = exported(&app.domain, "acme").await.0;
        assert_eq!(unsealed(&file), unsealed(&first), "what moves out is what moved in");
        world = arrived(&world, &app).await;
        assert_eq!(statements(&world, contract).await, begin);
        world.check_books().await;
    }

    let again = [stake("1", "100", "01-10"), wild("4", "01-20")];
    assert_eq!(all_shown(&world.record(&again).await), ["REPLAYED", "REPLAYED"], "players have the same pseudonyms");
    let keyed = created(&world, "Another").await.expect("the first outcome");
    assert_eq!(keyed.name, "Keyed");
    assert_eq!(world.figures(contract).await, figures);
    world.recorded(&[stake("10", "50", "02-20"), fact("11", "STAKE", "1", "02-20")]).await;
    world.recorded(&[stake("never came", "6", "02-21")]).await;
    assert_eq!(world.close_next(contract).await.state, "CLOSED");
    world.check_books().await;
    let from = MailFrom::parse("Saldo <saldo@mail.example>").expect("a sender");
    let outbox = world.app.folder.join("outbox");
    world.app.domain.clone().with_mail(MailTransport::folder(&outbox, from));
    world.app.domain.deliver_mails().await;
    let sent = world.app.number("SELECT count(*) FROM mails WHERE recipient = 'kim@acme.test' AND sent_at IS NOT NULL");
    assert_eq!(sent.await, 1, "its sealed body opened");
}

#[tokio::test]
async fn tables_that_are_added_later_move_too() {
    let world = World::in_app(Arc::new(TestApp::embedded().await), "acme").await;
    let target = TestApp::new().await;
    let partner = world.partner.0;
    let gifts = |id: &str, blob: &str, integer: &str| {
        format!(
            "CREATE TABLE an_added_one (given {integer} NOT NULL, tenant_id {id} NOT NULL, sum BIGINT, note TEXT,
             body {blob}, partner {id}, id {id} NOT NULL, PRIMARY KEY (tenant_id, id),
             FOREIGN KEY (tenant_id, partner) REFERENCES partners (tenant_id, id));"
        )
    };
    world.app.execute(&gifts("BLOB", "BLOB", "INTEGER")).await;
    let (tenant, partner) = (world.tenant.id().0.simple(), partner.simple());
    world
        .app
        .execute(&format!(
            "INSERT INTO an_added_one (tenant_id, id, partner, given, sum, note, body) VALUES
             (x'{tenant}', x'{partner}', x'{partner}', 1, 9007199254740993, 'a \"line\"' || char(10) || '김', x'00ff'),
             (x'{tenant}', x'{tenant}', NULL, 0, -9223372036854775808, NULL, NULL)"
        ))
        .await;
    let (file, told) = exported(&world.app.domain, "acme").await;
    let place = |table: &str| told.tables.iter().position(|(name, _)| name == table).expect("it is there");
    assert!(place("an_added_one") > place("partners"), "by what it refers to, not by its name");
    let figures = &told.tables[place("an_added_one")].1;
    assert_eq!((figures.rows, figures.sums["sum"]), (2, 9_007_199_254_740_993 - 9_223_372_036_854_775_808));
    assert_eq!(refusal(&target, &file).await, "the table an_added_one of the file is not like that of this database");
    if on_postgres() {
        target.execute(&gifts("UUID", "BYTEA", "BOOLEAN")).await;
        target.execute("GRANT SELECT, INSERT ON an_added_one TO saldo_server").await;
    } else {
        target.execute(&gifts("BLOB", "BLOB", "INTEGER")).await;
    }
    assert_eq!(imported(&target, &file).await.expect("it moves in"), told);
    assert_eq!(target.number("SELECT sum FROM an_added_one WHERE body IS NOT NULL").await, 9_007_199_254_740_993);
    assert_eq!(unsealed(&exported(&target.domain, "acme").await.0), unsealed(&file));
    world.app.execute("DROP TABLE an_added_one").await;
    let (without, _) = exported(&world.app.domain, "acme").await;
    let another = TestApp::embedded().await;
    another.execute(&gifts("BLOB", "BLOB", "INTEGER")).await;
    assert_eq!(refusal(&another, &without).await, "the file lacks the table an_added_one");
}

#[tokio::test]
async fn a_file_that_is_damaged_or_cut_leaves_nothing() {
    let (world, _) = lived_in(Arc::new(TestApp::embedded().await), "acme").await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let target = TestApp::new().await;
    let whole = unpacked(&file).expect("a whole frame");
    let mut damaged = 0;
    for part in 0..40 {
        let place = part * (file.len() - 1) / 39;
        let mut flipped = file.clone();
        flipped[place] ^= 0x10;
        // A bit may decide from which of two equal places text is copied: then nothing of it is damaged.
        if unpacked(&flipped).is_none_or(|text| text != whole) {
            damaged += 1;
            let told = refusal(&target, &flipped).await;
            // Most are found where they are, some by what they make of a row, and all by the checksum at the end.
            assert!(told.contains("the file") || told.contains(" does not go in: "), "byte {place}: {told}");
        }
        let told = refusal(&target, &file[..place]).await;
        assert!(told.starts_with("the file is "), "cut to {place}: {told}");
    }
    assert!(damaged > 30, "{damaged} of 40");
    let all = lines(&file);
    let legs = line_of(&all, r#"{"table":{"name":"ledger_legs""#);
    let told = refusal(&target, &with_lines(&all[..legs + 2])).await;
    let place = format!("after line {} (table ledger_legs): it ends here", legs + 2);
    assert_eq!(told, format!("the file is damaged or not whole, {place}"));
    let told = refusal(&target, &with_lines(&all[..all.len() - 1])).await;
    assert!(told.contains("it ends here"), "without its seal: {told}");
    let longer = [&file[..], b"more"].concat();
    assert!(refusal(&target, &longer).await.contains("damaged or not whole"), "something after its end");
    assert!(imported(&target, &file).await.is_ok());
}

/// What one line of a file becomes.
fn changed(lines: &[String], place: usize, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut lines = lines.to_vec();
    let mut value = serde_json::from_str(&lines[place]).expect("JSON");
    change(&mut value);
    lines[place] = value.to_string();
    lines
}

#[tokio::test]
async fn a_file_that_was_altered_is_refused_by_what_does_not_match() {
    let (world, _) = lived_in(Arc::new(TestApp::embedded().await), "acme").await;
    let lines = lines(&exported(&world.app.domain, "acme").await.0);
    let target = TestApp::new().await;
    let legs = line_of(&lines, r#"{"table":{"name":"ledger_legs""#);
    let end = legs + line_of(&lines[legs..], r#"{"end""#);
    let amount = {
        let shape: Value = serde_json::from_str(&lines[legs]).expect("JSON");
        let columns = shape["table"]["columns"].as_array().expect("columns").clone();
        columns.iter().position(|column| column[0] == "amount").expect("an amount")
    };
    let more = |row: &mut Value| row[amount] = json!(row[amount].as_i64().expect("an amount") + 1);
    let one_more = changed(&lines, legs + 1, more);
    let told = refusal(&target, &with_lines(&one_more)).await;
    assert!(told.starts_with("the file was altered: ledger_legs: the sum of amount is 1 instead of 0; "), "{told}");
    let mut one_less = lines.clone();
    one_less.remove(legs + 1);
    let told = refusal(&target, &with_lines(&one_less)).await;
    assert!(told.starts_with("the file was altered: ledger_legs: "), "{told}");
    assert!(told.contains(" rows instead of "), "{told}");
    // Somebody who knows the format puts the figures right as well; the key to the seal is not in the file.
    let figures = imported(&TestApp::new().await, &with_lines(&lines)).await.expect("it moves in");
    assert!(figures.tables.iter().any(|(name, _)| name == "ledger_legs"));
    let mut rehashed = domain::secrets::Hasher::default();
    one_more[legs + 1..end].iter().for_each(|line| rehashed.update(format!("{line}\n").as_bytes()));
    let hash = domain::secrets::hex(&rehashed.finish());
    let forged = changed(&one_more, end, |figures| {
        figures["end"]["sums"]["amount"] = json!("1");
        figures["end"]["sha256"] = json!(hash);
    });
    let told = refusal(&target, &with_lines(&forged)).await;
    assert_eq!(told, "the file was altered: its seal is not that of what is in it");
    let (table, rest) = (lines[..legs].to_vec(), lines[end + 1..].to_vec());
    let told = refusal(&target, &with_lines(&[table, rest].concat())).await;
    assert_eq!(told, "the file was altered: its seal is not that of what is in it", "a table is gone");
    let other_tenant = changed(&lines, 0, |header| header["header"]["tenant"]["id"] = json!(TenantId::NONE));
    assert!(refusal(&target, &with_lines(&other_tenant)).await.contains("another master key"));
    let renamed = changed(&lines, 0, |header| header["header"]["tenant"]["slug"] = json!("bolt"));
    assert!(refusal(&target, &with_lines(&renamed)).await.contains("its seal is not that"));
    let later = changed(&lines, 0, |header| header["header"]["format"] = json!(2));
    assert!(refusal(&target, &with_lines(&later)).await.contains("its format is 2 and not 1"));
    for nothing in [&b""[..], b"PK\x03\x04", &with_lines(&["{}".to_owned()])] {
        assert!(refusal(&target, nothing).await.starts_with("the file is no export of a tenant"), "{nothing:?}");
    }
}

#[tokio::test]
async fn what_does_not_read_back_is_not_kept() {
    let (world, _) = lived_in(Arc::new(TestApp::embedded().await), "acme").await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let target = TestApp::embedded().await;
    target
        .execute(
            "CREATE TRIGGER t AFTER INSERT ON settlement_lines WHEN NEW.position = 1 BEGIN
             UPDATE settlement_lines SET amount = amount + 1 WHERE tenant_id = NEW.tenant_id
             AND settlement_id = NEW.settlement_id AND position = NEW.position; END",
        )
        .await;
    let told = refusal(&target, &file).await;
    assert!(told.contains("does not read back") && told.contains("settlement_lines: the sum of amount is "), "{told}");
    target.execute("DROP TRIGGER t").await;
    imported(&target, &file).await.expect("it moves in");
}

#[tokio::test]
async fn a_tenant_that_is_here_is_not_moved_over() {
    let (world, _) = lived_in(Arc::new(TestApp::embedded().await), "acme").await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let target = TestApp::new().await;
    target.tenant("bolt").await;
    imported(&target, &file).await.expect("it moves in");
    let before = exported(&target.domain, "acme").await.0;
    for app in [&target, &*world.app] {
        let told = imported(app, &file).await;
        let told = told.expect_err("refused");
        assert!(matches!(&told, Error::Invalid(problems) if problems[0].code == Code::AlreadyExists), "{told}");
        assert!(told.to_string().starts_with("the tenant 'acme' (ten_"), "{told}");
    }
    assert_eq!(unsealed(&exported(&target.domain, "acme").await.0), unsealed(&before));
    let taken = TestApp::new().await;
    taken.tenant("acme").await;
    let told = imported(&taken, &file).await.expect_err("refused").to_string();
    assert_eq!(told, "another tenant is called 'acme' here");
    assert!(is_not_found(world.app.domain.export_tenant("nobody", Vec::new()).await));
}

#[tokio::test]
async fn other_tenants_stay_where_they_are() {
    let app = Arc::new(TestApp::new().await);
    let (_acme, _) = lived_in(app.clone(), "acme").await;
    let (bolt, _) = lived_in(app.clone(), "bolt").await;
    let (file, _) = exported(&app.domain, "acme").await;
    let all = lines(&file).join("\n");
    let bolts = [bolt.tenant.id().to_string(), "bolt".to_owned(), base64(bolt.tenant.id().0), base64(bolt.partner.0)];
    for of_bolt in &bolts {
        assert!(!all.contains(of_bolt), "{of_bolt}");
    }
    let target = Arc::new(TestApp::embedded().await);
    let (there, contract) = lived_in(target.clone(), "bolt").await;
    let before = (exported(&target.domain, "bolt").await.0, statements(&there, contract).await);
    imported(&target, &file).await.expect("it moves in");
    let after = (exported(&target.domain, "bolt").await.0, statements(&there, contract).await);
    assert_eq!((unsealed(&after.0), after.1), (unsealed(&before.0), before.1));
}

fn base64(id: uuid::Uuid) -> String {
    domain::secrets::base64url(id.as_bytes())
}

#[tokio::test]
async fn another_master_key_is_noticed_first() {
    let world = World::new().await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let other = world.app.reopened([8; 32]).await;
    let told = imported(&other, &file).await.expect_err("refused").to_string();
    assert!(told.contains("another master key"), "{told}");
    let incoming = Incoming::open(std::io::Cursor::new(file)).expect("a header");
    assert!(incoming.check_key(&MasterKey::from_bytes([8; 32])).is_err());
    assert!(incoming.check_key(&MasterKey::from_bytes(MASTER_KEY)).is_ok());
    let Moving { id, slug, name } = incoming.tenant().clone();
    assert_eq!((id, slug.as_str(), name.as_str()), (world.tenant.id(), "acme", "acme Ltd"));
}

#[tokio::test]
async fn both_sides_have_one_schema() {
    let world = World::new().await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let target = TestApp::embedded().await;
    target.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await;
    let told = refusal(&target, &file).await;
    assert!(told.starts_with("the file comes from an older Saldo, without m9999_later: "), "{told}");
    world.app.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9998_other', 0)").await;
    let (file, _) = exported(&world.app.domain, "acme").await;
    let told = refusal(&target, &file).await;
    assert!(told.starts_with("the file comes from a newer Saldo, with m9998_other: "), "{told}");
}

/// A file that holds its writer up at the first byte until it is told to go on.
struct Held {
    begun: Option<Sender<()>>,
    go_on: Receiver<()>,
    bytes: Vec<u8>,
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).expect("somebody waits");
            // Lets go of the worker, so that what waits for its turn on it runs elsewhere.
            tokio::task::block_in_place(|| self.go_on.recv()).expect("somebody goes on");
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_export_is_of_one_moment() {
    let (world, contract) = lived_in(Arc::new(TestApp::new().await), "acme").await;
    // Blocks that do not compress are written before the transactions, which refer to them, are read.
    let mut file = String::from("id,kind,amount,at,product\n");
    for number in 0..12_000 {
        let id = domain::secrets::base64url(&domain::secrets::sha256(format!("{number}").as_bytes()));
        file.push_str(&format!("{id},STAKE,1,2024-02-20 10:00:00,dice\n"));
    }
    world.tenant.import(world.source, "many.csv", file.as_bytes()).await;
    let before = statements(&world, contract).await;
    let ((begun, begins), (go_on, goes_on)) = (channel(), channel());
    let domain = world.app.domain.clone();
    let held = Held { begun: Some(begun), go_on: goes_on, bytes: Vec::new() };
    let exporting = tokio::spawn(async move { domain.export_tenant("acme", held).await.expect("an export") });
    tokio::task::spawn_blocking(move || begins.recv()).await.expect("a task").expect("it has begun");
    world.recorded(&[stake("meanwhile", "1000", "02-21")]).await;
    go_on.send(()).expect("it waits");
    let (held, _) = exporting.await.expect("an export");
    let target = Arc::new(TestApp::embedded().await);
    imported(&target, &held.bytes).await.expect("it moves in");
    let there = arrived(&world, &target).await;
    there.check_books().await;
    assert_eq!(statements(&there, contract).await, before);
    assert_eq!(all_shown(&there.record(&[stake("meanwhile", "1000", "02-21")]).await), ["RECORDED"]);
}
