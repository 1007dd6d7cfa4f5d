//! The second wall, on PostgreSQL: what the catalogue must say, and what the server's role runs into.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::databases::{TestDatabase, on_postgres};
use crate::support::*;

/// Whose rows are nobody's in particular.
const INSTALLATION: [&str; 3] = ["seaql_migrations", "signing_keys", "tenants"];
const BOUND: &str = "(tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)";

/// Each question, and what is to be said of each row of its answer. All of them are to have none.
const RULES: [(&str, &str); 12] = [
    (
        "has no row level security, or not for its owner",
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
         AND relname <> ALL ($1) AND NOT (relrowsecurity AND relforcerowsecurity)",
    ),
    (
        "is not protected by exactly the policy of its tenant",
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
         AND relname <> ALL ($1) AND (SELECT coalesce(string_agg(policyname || permissive || cmd || roles::text
         || coalesce(qual, '') || coalesce(with_check, ''), ','), '') FROM pg_policies WHERE tablename = relname)
         <> 'tenantPERMISSIVEALL{public}' || $2 || $2",
    ),
    (
        "has no tenant_id that must be there",
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
         AND relname <> ALL ($1) AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid
         AND attname = 'tenant_id' AND attnotnull AND atttypid = 'uuid'::regtype)",
    ),
    (
        "is a key or index that does not begin with the tenant",
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
         WHERE relnamespace = 'public'::regnamespace AND relname <> ALL ($1)
         AND (SELECT attname FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0]) IS DISTINCT FROM 'tenant_id'",
    ),
    (
        "is a foreign key that does not hold the tenant",
        "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
         AND (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) <> 'tenant_id'",
    ),
    (
        // The tenant is the same on both sides, or it is the tenant itself: what Citus can keep on one machine.
        "is a foreign key to what may be on another machine",
        "SELECT conname::text FROM pg_constraint JOIN pg_class ON pg_class.oid = confrelid
         WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND relname <> 'tenants'
         AND (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]) <> 'tenant_id'",
    ),
    (
        "is a foreign key that would empty the tenant",
        "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
         AND (confdeltype IN ('n', 'd') OR confupdtype IN ('n', 'd', 'c'))",
    ),
    (
        "is a view, a sequence or a foreign table",
        "SELECT relname::text FROM pg_class WHERE relkind IN ('v', 'm', 'S', 'f') AND relnamespace = 'public'::regnamespace",
    ),
    (
        "is a partition that the server can reach past its table",
        "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace
         AND has_table_privilege('saldo_server', pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')",
    ),
    ("is a function", "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"),
    ("is a trigger", "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal"),
    (
        "is a right that the server must not have",
        "SELECT relname || ' ' || privilege FROM pg_class,
         unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
         WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
         AND has_table_privilege('saldo_server', pg_class.oid, privilege)
         AND (privilege NOT IN ('UPDATE', 'DELETE') OR relname = ANY ($1) OR relname = ANY ($3))",
    ),
];

/// What the catalogue of a database says against it.
async fn findings(database: &TestDatabase) -> Vec<String> {
    let mut connection = PgConnection::connect(&database.owner_url).await.expect("a connection");
    let mut findings = Vec::new();
    for (what, sql) in RULES {
        // Every question takes the same parameters, whether or not it uses them.
        let sql = format!(
            "SELECT * FROM ({sql}) AS found WHERE $1::text[] IS NOT NULL AND $2::text <> '' AND $3::text[] IS NOT NULL"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(INSTALLATION.map(str::to_owned).to_vec());
        let query = query.bind(BOUND).bind(migrations::APPEND_ONLY.map(str::to_owned).to_vec());
        let rows = query.fetch_all(&mut connection).await.expect("an answer");
        findings.extend(rows.iter().map(|row| format!("{} {what}", row.get::<String, _>(0))));
    }
    findings
}

/// Partitions among them.
async fn tables(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
               AND relname NOT IN ('seaql_migrations', 'signing_keys', 'tenants') ORDER BY relname";
    database.rows(sql).await
}

fn skipped() -> bool {
    if !on_postgres() {
        eprintln!("skipped: there are no such walls on SQLite");
    }
    !on_postgres()
}

#[tokio::test]
async fn the_catalogue_keeps_to_the_rules() {
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    assert_eq!(findings(&app.database).await, Vec::<String>::new());
    assert!(tables(&app.database).await.len() > 30);
}

#[tokio::test]
async fn whatever_is_taken_from_the_wall_is_found() {
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    for table in tables(&app.database).await {
        app.execute(&format!("DROP POLICY tenant ON {table}")).await;
        let found = findings(&app.database).await;
        assert_eq!(found, [format!("{table} is not protected by exactly the policy of its tenant")]);
        app.execute(&format!("CREATE POLICY tenant ON {table} USING {BOUND} WITH CHECK {BOUND}")).await;
        app.execute(&format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")).await;
        assert_eq!(findings(&app.database).await, [format!("{table} has no row level security, or not for its owner")]);
        app.execute(&format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY")).await;
    }
    for (damage, repair, found) in [
        ("CREATE POLICY open ON partners USING (true)", "DROP POLICY open ON partners", "partners is not protected"),
        ("CREATE VIEW all_partners AS SELECT * FROM partners", "DROP VIEW all_partners", "all_partners is a view"),
        (
            "CREATE FUNCTION f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT count(*) FROM partners'",
            "DROP FUNCTION f",
            "f is a function",
        ),
        ("CREATE UNIQUE INDEX u ON partners (reference)", "DROP INDEX u", "u is a key or index"),
        (
            "ALTER TABLE products ADD COLUMN x UUID; ALTER TABLE partners ADD UNIQUE (tenant_id, id, name);
             ALTER TABLE products ADD CONSTRAINT k FOREIGN KEY (x, tenant_id) REFERENCES partners (id, tenant_id)",
            "ALTER TABLE products DROP COLUMN x",
            "k is a foreign key",
        ),
        (
            "CREATE TABLE shared (id UUID PRIMARY KEY);
             ALTER TABLE partners ADD CONSTRAINT far FOREIGN KEY (tenant_id) REFERENCES shared (id)",
            "DROP TABLE shared CASCADE",
            "far is a foreign key to what may be on another machine",
        ),
        (
            "ALTER TABLE sources ADD CONSTRAINT emptied FOREIGN KEY (tenant_id, partner_id)
             REFERENCES partners (tenant_id, id) ON DELETE SET NULL",
            "ALTER TABLE sources DROP CONSTRAINT emptied",
            "emptied is a foreign key that would empty the tenant",
        ),
        ("GRANT ALL ON ledger_legs TO saldo_server", "", "ledger_legs UPDATE is a right"),
        ("GRANT SELECT ON transactions_2024_03 TO saldo_server", "", "transactions_2024_03 is a partition"),
    ] {
        app.execute(damage).await;
        let all = findings(&app.database).await;
        assert!(all.iter().any(|finding| finding.starts_with(found)), "{damage}: {all:?}");
        app.execute(repair).await;
    }
}

/// A session of the server's role that has bound a tenant, or none.
async fn session(database: &TestDatabase, tenant: Option<uuid::Uuid>) -> PgConnection {
    let mut connection = PgConnection::connect(&database.url).await.expect("a connection");
    if let Some(tenant) = tenant {
        let bind = format!("SET app.tenant = '{tenant}'");
        sqlx::raw_sql(AssertSqlSafe(bind)).execute(&mut connection).await.expect("bound");
    }
    connection
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(sql).fetch_one(connection).await.expect("a number")
}

/// Why a statement is refused; nothing where it runs.
async fn refusal(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    done.err().map(|error| error.to_string())
}

#[tokio::test]
async fn the_servers_role_sees_and_writes_one_tenants_rows() {
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    for tenant in [&acme, &bolt] {
        tenant.crash_game(&app, "utf-8").await;
    }
    let acme_id = acme.id().0;
    let mut unbound = session(&app.database, None).await;
    let mut bound = session(&app.database, Some(acme_id)).await;
    let mut other = session(&app.database, Some(uuid::Uuid::max())).await;
    for table in tables(&app.database).await {
        if table.starts_with("transactions_2") || table == "transactions_other" {
            let read = format!("SELECT count(*) FROM {table}");
            let why = refusal(&mut bound, &read).await.unwrap_or_default();
            assert!(why.contains("permission denied"), "{read}: {why}");
            continue;
        }
        assert_eq!((count(&mut unbound, &table).await, count(&mut other, &table).await), (0, 0), "{table}");
        let own = app.number(&format!("SELECT count(*) FROM {table} WHERE tenant_id = '{acme_id}'")).await;
        assert_eq!(count(&mut bound, &table).await, own, "{table}");
        for sql in [format!("TRUNCATE {table}"), format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")] {
            assert!(refusal(&mut bound, &sql).await.is_some(), "{sql}");
        }
    }
    assert_eq!(count(&mut bound, "partners").await, 1);
    let bolt_id = bolt.id().0;
    for session in [&mut unbound, &mut bound, &mut other] {
        let insert = format!(
            "INSERT INTO partners (tenant_id, id, reference, name, created_at)
             VALUES ('{bolt_id}', gen_random_uuid(), 'x', 'x', 0)"
        );
        let why = refusal(session, &insert).await.expect("refused");
        assert!(why.contains("row-level security"), "{why}");
        assert_eq!(
            refusal(session, &format!("UPDATE partners SET name = 'x' WHERE tenant_id = '{bolt_id}'")).await,
            None
        );
        assert_eq!(refusal(session, &format!("DELETE FROM source_days WHERE tenant_id = '{bolt_id}'")).await, None);
    }
    assert!(refusal(&mut bound, &format!("UPDATE partners SET tenant_id = '{bolt_id}'")).await.is_some());
    assert_eq!(app.number("SELECT count(*) FROM partners WHERE name = 'x'").await, 0);
    for table in migrations::APPEND_ONLY {
        for sql in [format!("DELETE FROM {table}"), format!("UPDATE {table} SET tenant_id = tenant_id")] {
            let why = refusal(&mut bound, &sql).await.unwrap_or_default();
            assert!(why.contains("permission denied"), "{sql}: {why}");
        }
    }
}

#[tokio::test]
async fn months_are_made_ahead_taken_out_and_put_back() {
    use migrations::partitions;
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    let url = &app.database.owner_url;
    let rows = async |of: &str| app.number(&format!("SELECT count(*) FROM {of}")).await;
    let months = async || -> Vec<String> {
        let listed = partitions::list(url).await.expect("a list").into_iter();
        listed.map(|partition| partition.month.unwrap_or(partition.name)).collect()
    };
    assert_eq!(months().await, ["2024-02", "2024-03", "transactions_other"]);
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "utf-8").await;
    let file =
        "Id,GameID,Username,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate\n1,1,ada,1,NA,NA,NA,2,2024-01-01T00:00:00Z\n";
    assert_eq!(tenant.import(game.source, "a.csv", file.as_bytes()).await.recorded, 1);
    // Ids of one process never go back, and tests share one: what is recorded when is said in SQL.
    let id = |when: &str| uuid::Uuid::from_u128(u128::try_from(at(when).0 / 1_000).expect("since 1970") << 80);
    app.execute(&format!("UPDATE transactions SET id = '{}'", id("2024-02-01T00:00:00Z"))).await;
    assert_eq!(rows("transactions_2024_02").await, 1);
    let record = async |when: &str| {
        let id = id(when);
        let values = format!("(json_populate_record(known, '{{\"id\": \"{id}\"}}')).*");
        let insert = format!("INSERT INTO transactions SELECT {values} FROM transactions AS known LIMIT 1");
        app.execute(&insert).await;
    };
    record("2024-03-31T23:59:59.999Z").await;
    assert_eq!(rows("transactions_2024_03").await, 1);
    // Nobody made April; it is recorded all the same, and moves when somebody does, with what names it.
    record("2024-04-01T00:00:00Z").await;
    let unscored = "INSERT INTO unscored SELECT tenant_id, id, source_id FROM transactions_other WHERE id::text LIKE '018e96f4-a800%'";
    app.execute(unscored).await;
    assert_eq!(rows("unscored").await, 1);
    let others = rows("transactions_other").await;
    assert_eq!(
        partitions::make_from(url, "2024-03", 3).await.unwrap(),
        ["transactions_2024_04", "transactions_2024_05"]
    );
    assert_eq!((rows("transactions_2024_04").await, rows("transactions_other").await), (1, others - 1));
    assert!(partitions::make_from(url, "2024-03", 3).await.unwrap().is_empty());
    assert_eq!(findings(&app.database).await, Vec::<String>::new());
    record("2024-04-30T23:59:59.999Z").await;
    record("2024-05-01T00:00:00Z").await;
    record("2024-05-31T23:59:59.999Z").await;
    assert_eq!((rows("transactions_2024_04").await, rows("transactions_2024_05").await), (2, 2));

    // April has rows without a score, March has none.
    assert!(partitions::detach(url, "2024-04").await.unwrap_err().to_string().contains("foreign key"));
    let all = rows("transactions").await;
    assert_eq!(partitions::detach(url, "2024-03").await.unwrap(), "archive.transactions_2024_03");
    assert_eq!((rows("transactions").await, rows("archive.transactions_2024_03").await), (all - 1, 1));
    assert_eq!(findings(&app.database).await, Vec::<String>::new());
    let mut server = session(&app.database, Some(tenant.id().0)).await;
    assert!(refusal(&mut server, "SELECT count(*) FROM archive.transactions_2024_03").await.is_some());
    assert_eq!(partitions::attach(url, "2024-03").await.unwrap(), "transactions_2024_03");
    assert_eq!(rows("transactions").await, all);
    assert_eq!(findings(&app.database).await, Vec::<String>::new());
    assert!(months().await.contains(&"2024-05".to_owned()));
}

#[tokio::test]
async fn a_month_whose_settlements_are_open_stays() {
    if skipped() {
        return;
    }
    let world = crate::facts::World::new().await;
    world.contract("share", serde_json::json!({})).await;
    world.recorded(&[crate::facts::stake("1", "100", "01-10")]).await;
    let url = &world.app.database.owner_url;
    let refused = migrations::partitions::detach(url, "2024-03").await.unwrap_err().to_string();
    assert!(refused.contains("the tenant acme has 1 open settlements"), "{refused}");
}

/// What a database holds that was there before there were partitions.
#[tokio::test]
async fn a_table_without_partitions_becomes_one_with() {
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    let columns = "tenant_id, id, source_id, external_id, amount, score";
    let all = format!("SELECT row({columns})::text FROM transactions ORDER BY id");
    let tenant = app.tenant("acme").await;
    let game = tenant.crash_game(&app, "utf-8").await;
    tenant.admin.break_detector(true).await;
    let file =
        "Id,GameID,Username,Bet,CashedOut,Bonus,Profit,BustedAt,PlayDate\n1,1,ada,1,NA,NA,NA,2,2024-01-01T00:00:00Z\n";
    tenant.import(game.source, "a.csv", file.as_bytes()).await;
    let before = app.rows(&all).await;
    app.execute(
        "ALTER TABLE unscored DROP CONSTRAINT unscored_tenant_id_transaction_id_fkey;
         ALTER TABLE transactions RENAME TO parted; ALTER TABLE parted RENAME CONSTRAINT transactions_pkey TO parted_pkey;
         CREATE TABLE transactions (LIKE parted, PRIMARY KEY (tenant_id, id));
         INSERT INTO transactions SELECT * FROM parted; DROP TABLE parted;
         ALTER TABLE transactions OWNER TO saldo_owner;
         ALTER TABLE transactions ENABLE ROW LEVEL SECURITY; ALTER TABLE transactions FORCE ROW LEVEL SECURITY;
         CREATE POLICY tenant ON transactions USING (tenant_id = NULLIF(current_setting('app.tenant', true), '')::uuid);
         ALTER TABLE unscored ADD FOREIGN KEY (tenant_id, transaction_id) REFERENCES transactions (tenant_id, id);
         DELETE FROM seaql_migrations WHERE version = 'm0007_partitions'",
    )
    .await;
    assert_eq!(migrations::up(&app.database.owner_url).await.expect("migrated"), 1);
    migrations::grant(&app.database.owner_url, "saldo_server").await.expect("the server's rights");
    assert_eq!(app.rows(&all).await, before);
    assert_eq!(app.number("SELECT count(*) FROM transactions_other").await, 1);
    assert_eq!(app.number("SELECT count(*) FROM unscored").await, 1);
    assert_eq!(findings(&app.database).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_the_wall_does_not_stop_does_not_serve() {
    use domain::db::{Db, DbLock};
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    let superuser = app.database.url.replace("saldo_server", "postgres");
    for (url, why) in [
        (superuser, "the role 'postgres' is a superuser"),
        (app.database.owner_url.clone(), "the role 'saldo_owner' owns tables"),
    ] {
        let opened = Db::open(DbLock::take(&url, "test").expect("a URL")).await;
        let told = opened.err().expect("refused").to_string();
        assert!(told.contains(why), "{told}");
    }
    app.execute("REVOKE INSERT ON accruals FROM saldo_server").await;
    let opened = Db::open(DbLock::take(&app.database.url, "test").expect("a URL")).await;
    let told = opened.err().expect("refused").to_string();
    assert!(told.contains("may not read and add rows in accruals"), "{told}");
}

#[tokio::test]
async fn what_distributes_the_schema_names_each_table_once_in_an_order_that_foreign_keys_allow() {
    use domain::db::{Db, DbLock};
    if skipped() {
        return;
    }
    let app = TestApp::new().await;
    app.execute(
        "CREATE TABLE a_parted (tenant_id UUID NOT NULL, id UUID NOT NULL, PRIMARY KEY (tenant_id, id),
         FOREIGN KEY (tenant_id, id) REFERENCES transactions (tenant_id, id)) PARTITION BY RANGE (id);
         CREATE TABLE a_part PARTITION OF a_parted DEFAULT; GRANT SELECT, INSERT ON a_parted, a_part TO saldo_server",
    )
    .await;
    let db = Db::open(DbLock::take(&app.database.url, "test").expect("a URL")).await.expect("it opens");
    let sql = db.distribution().await.expect("statements");
    let place = |table: &str| sql.find(&format!("_table('{table}'")).unwrap_or_else(|| panic!("{table}: {sql}"));
    for table in
        tables(&app.database).await.iter().filter(|table| *table != "a_part" && !table.starts_with("transactions_"))
    {
        assert_eq!(sql.matches(&format!("create_distributed_table('{table}', 'tenant_id', ")).count(), 1, "{table}");
    }
    assert!(
        !sql.contains("'a_part'") && !sql.contains("'transactions_") && !sql.contains("'seaql_migrations'"),
        "{sql}"
    );
    assert!(
        sql.contains("create_reference_table('tenants')") && sql.contains("create_reference_table('signing_keys')")
    );
    let references = app.rows(
        "SELECT own.relname || ' ' || other.relname FROM pg_constraint JOIN pg_class AS own ON own.oid = conrelid
         JOIN pg_class AS other ON other.oid = confrelid
         WHERE contype = 'f' AND conparentid = 0 AND NOT own.relispartition AND connamespace = 'public'::regnamespace",
    );
    for reference in references.await {
        let (own, other) = reference.split_once(' ').expect("two names");
        assert!(place(other) < place(own), "{own} refers to {other}: {sql}");
    }
    assert_eq!(sql.matches("colocate_with => 'none'").count(), 1);
}
