//! Who may name what: arrows between crates, pure rooms, one place for queries, one owner per table.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::{Kind, Token, lex, places, stands, without_tests};
use crate::tree::Tree;

const CORE: &str = "domain/src/";
const QUERIES: &str = "domain/src/db/";

/// Files of the core that wait, read the time or touch the outside. Every other file is pure: it decides, and can be
/// tested without a database. A new file is pure until it is listed here.
const IMPURE: &[&str] = &[
    // What every capability rests on.
    "caller.rs",
    "clock.rs",
    "db/",
    "domain.rs",
    "events/follow.rs",
    "notifications/delivery.rs",
    "notifications/rounds.rs",
    "redis.rs",
    "secrets.rs",
    "worker.rs",
    "replay/extracting.rs",
    "replay/files.rs",
    // Services.
    "*/mod.rs",
    "anomalies/alerts.rs",
    "anomalies/review.rs",
    "anomalies/scoring.rs",
    "anomalies/training.rs",
    "contracts/cases.rs",
    "contracts/lifecycle.rs",
    "contracts/signing.rs",
    "contracts/templates.rs",
    "contracts/tables.rs",
    "settlements/accrue.rs",
    "settlements/check.rs",
    "settlements/close.rs",
    "settlements/counted.rs",
    "settlements/credit.rs",
    "settlements/due.rs",
    "settlements/ending.rs",
    "settlements/explain.rs",
    "settlements/fed.rs",
    "settlements/funds.rs",
    "settlements/govern.rs",
    "settlements/holds.rs",
    "settlements/parties.rs",
    "settlements/players.rs",
    "settlements/statement.rs",
    "sources/days.rs",
    "sources/dry_run.rs",
    "tenants/api_keys.rs",
    "tenants/members.rs",
    "tenants/password.rs",
    "tenants/sessions.rs",
    "tenants/tokens.rs",
    "transactions/conflicts.rs",
    "transactions/extract.rs",
    "transactions/feeds.rs",
    "transactions/lanes.rs",
    "transactions/quarantine.rs",
    "transactions/record.rs",
    "transactions/scan.rs",
    "transactions/tally.rs",
    // Tables.
    "*/store.rs",
    "settlements/tables.rs",
    "transactions/find.rs",
    "transactions/tables.rs",
];

/// What a pure file never says.
const OUTSIDE: &[&str] = &[
    "sea_orm",
    "sqlx",
    "redis",
    "tokio",
    "async",
    "await",
    "Scoped",
    "Domain",
    "TenantTx",
    "AdminTx",
    "Clock",
    "SystemTime",
    "Instant",
    "random",
];
const OUTSIDE_PATHS: &[&[&str]] = &[
    &["Utc", "::", "now"],
    &["Local", "::", "now"],
    &["std", "::", "fs"],
    &["std", "::", "net"],
    &["std", "::", "env"],
    &["std", "::", "process"],
    &["std", "::", "thread"],
];

/// Pure files that say one of these words, and why.
const MAY_SAY: &[(&str, &str)] = &[
    ("error.rs", "sea_orm"), // A fault wraps what the database said.
    ("ids.rs", "sea_orm"),   // Derives that make a newtype a column.
    ("time.rs", "sea_orm"),
    ("money.rs", "sea_orm"),
    ("page.rs", "sea_orm"), // The macro that narrows a select to a page; it runs nothing.
    ("lib.rs", "Domain"),   // Re-exports.
    ("lib.rs", "Scoped"),
    ("lib.rs", "redis"), // The module.
];

/// What only `domain/src/db/` says: everything that runs a statement, or has its text.
const RAW: &[&str] = &[
    "sqlx",
    "from_sql_and_values",
    "find_by_statement",
    "execute_unprepared",
    "execute_raw",
    "query_one_raw",
    "query_all_raw",
    "from_raw_sql",
    "from_string",
    "cust",
    "cust_with_values",
    "DatabaseTransaction",
    "DatabaseConnection",
];

fn pure(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let shipped = tree.shipped();
    let core = tree.rust().filter(move |(path, _)| shipped.contains(*path));
    core.filter_map(|(path, text)| Some((path.strip_prefix(CORE)?, text))).filter(|(path, _)| !is_impure(path))
}

fn is_impure(path: &str) -> bool {
    IMPURE.iter().any(|room| match room.strip_prefix("*/") {
        Some(file) => path.split_once('/').is_some_and(|(_, rest)| rest == file),
        None => *room == path || (room.ends_with('/') && path.starts_with(room)),
    })
}

/// Pure files that name I/O, the clock, a task or chance.
pub fn leaks(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in pure(tree) {
        let tokens = without_tests(&lex(text));
        for token in tokens.iter().filter(|token| token.kind == Kind::Word && OUTSIDE.contains(&token.text)) {
            if !MAY_SAY.contains(&(path, token.text)) {
                findings.push(format!("{CORE}{path}:{}: a pure file says `{}`", token.line, token.text));
            }
        }
        for wanted in OUTSIDE_PATHS {
            let found = places(&tokens, wanted).into_iter();
            findings.extend(
                found.map(|at| format!("{CORE}{path}:{}: a pure file says `{}`", tokens[at].line, wanted.concat())),
            );
        }
    }
    findings
}

/// Rooms that are declared and not there: the list of impure files is as true as the files.
pub fn empty_rooms(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for room in IMPURE.iter().filter(|room| !room.starts_with("*/")) {
        let path = format!("{CORE}{room}");
        if !tree.rust().any(|(there, _)| there == path || (room.ends_with('/') && there.starts_with(&path))) {
            findings.push(format!("{path} is declared impure and does not exist"));
        }
    }
    for room in IMPURE.iter().filter(|room| room.ends_with(".rs") && !room.starts_with("*/")) {
        let tokens = without_tests(&lex(tree.text(&format!("{CORE}{room}"))));
        let is_outside = |token: &Token<'_>| token.kind == Kind::Word && OUTSIDE.contains(&token.text);
        let names_path = OUTSIDE_PATHS.iter().any(|path| !places(&tokens, path).is_empty());
        if !tokens.is_empty() && !tokens.iter().any(is_outside) && !names_path {
            findings.push(format!("{CORE}{room} is declared impure and is pure: take it off the list"));
        }
    }
    let says = |path: &str, word: &str| {
        lex(tree.text(&format!("{CORE}{path}"))).iter().any(|token| token.kind == Kind::Word && token.text == word)
    };
    let idle = MAY_SAY.iter().filter(|(path, word)| !says(path, word));
    findings.extend(idle.map(|(path, word)| format!("{CORE}{path} may say `{word}` and does not")));
    findings
}

/// Statements outside of `domain/src/db/`.
pub fn raw_queries(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let elsewhere = |path: &str| path.starts_with("domain/src/") || path.starts_with("api/src/");
    for (path, text) in tree.rust().filter(|(path, _)| elsewhere(path) && !path.starts_with(QUERIES)) {
        let words = lex(text).into_iter().filter(|token| token.kind == Kind::Word && RAW.contains(&token.text));
        findings.extend(words.map(|token| {
            format!("{path}:{}: `{}` belongs in {QUERIES}, which binds the tenant", token.line, token.text)
        }));
    }
    findings
}

/// Stores that more than their own capability can see.
pub fn open_stores(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let capabilities = tree.folders(CORE);
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(CORE)) {
        let own = path[CORE.len()..].split_once('/').map_or("", |(folder, _)| folder);
        let tokens = lex(text);
        for index in places(&tokens, &["mod", "store"]) {
            let before = index.checked_sub(1).map(|before| tokens[before]);
            if before.is_some_and(|before| before.is("pub") || before.is(")")) {
                findings.push(format!("{path}:{}: a store is private", tokens[index].line));
            }
        }
        for index in places(&tokens, &["::", "store"]) {
            let owner = index.checked_sub(1).map_or("", |before| tokens[before].text);
            if capabilities.contains(owner) && owner != own {
                findings.push(format!("{path}:{}: `{owner}::store` is private to {owner}", tokens[index].line));
            }
        }
    }
    findings
}

/// Tables that more than one capability, or none, names as its own.
pub fn shared_tables<'a>(tree: &Tree, tables: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = tables.map(|table| (table, BTreeSet::new())).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(CORE) && !path.starts_with(QUERIES)) {
        let own = path[CORE.len()..].split_once('/').map_or("", |(folder, _)| folder);
        let tokens = lex(text);
        for table in tokens.iter().enumerate().filter(|(index, _)| names_table(&tokens, *index)).map(|(_, table)| table)
        {
            match owners.get_mut(table.text) {
                Some(owners) => drop(owners.insert(own)),
                None => findings.push(format!("{path}:{}: no migration makes a table '{}'", table.line, table.text)),
            }
        }
    }
    for (table, owners) in owners.into_iter().filter(|(_, owners)| owners.len() != 1) {
        findings.push(format!("table '{table}' has {} owners: {owners:?}", owners.len()));
    }
    findings
}

/// Whether a string names the table of an entity or of a bulk insert.
pub fn names_table(tokens: &[Token<'_>], index: usize) -> bool {
    let Some(before) = index.checked_sub(2) else { return false };
    tokens[index].kind == Kind::Text
        && (stands(tokens, before, &["table_name", "="])
            || stands(tokens, before, &["table", ":"])
            || (index >= 5 && stands(tokens, index - 5, &["entity", "!", "("]) && tokens[index - 1].is(",")))
}

/// Arrows between crates that must not be there.
pub fn wrong_arrows(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let no_crate_of_ours: &[&str] = &["api", "domain", "e2e", "migrations", "ml"];
    let rules: [(&str, &[&str]); 3] = [
        ("ml", no_crate_of_ours),
        ("migrations", no_crate_of_ours),
        ("domain", &["api", "e2e", "async-graphql", "poem", "http", "hyper", "reqwest", "axum"]),
    ];
    for (name, banned) in rules {
        let manifest = tree.text(&format!("{name}/Cargo.toml"));
        for dependency in dependencies(manifest).filter(|dependency| banned.contains(dependency)) {
            findings.push(format!("{name}/Cargo.toml: {name} never depends on {dependency}"));
        }
    }
    let io: &[&str] = &["sea-orm", "sqlx", "tokio", "redis", "chrono", "uuid", "futures-util", "poem", "reqwest"];
    for dependency in dependencies(tree.text("ml/Cargo.toml")).filter(|dependency| io.contains(dependency)) {
        findings.push(format!("ml/Cargo.toml: ml knows no I/O, clock, tenant or async, and so no {dependency}"));
    }
    let banned = ["async_graphql", "poem", "http", "hyper", "reqwest"];
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(CORE)) {
        for token in lex(text).iter().filter(|token| token.kind == Kind::Word && banned.contains(&token.text)) {
            findings.push(format!("{path}:{}: the core knows no `{}`", token.line, token.text));
        }
    }
    findings
}

/// Names under `[dependencies]` and its like, those for tests excepted: they do not ship.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if let Some(section) = line.trim().strip_prefix('[') {
            inside = section.ends_with("dependencies]") && !section.contains("dev-");
            return None;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        (inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(path: &str, text: &str) -> Tree {
        let names: Vec<String> = path.split('/').map(|part| part.trim_end_matches(".rs").to_owned()).collect();
        let full = format!("{CORE}{path}");
        let mut files = BTreeMap::from([(full, text.to_owned())]);
        files.insert(format!("{CORE}lib.rs"), format!("mod {};", names[0]));
        if let [folder, file] = &names[..]
            && file != "mod"
        {
            files.insert(format!("{CORE}{folder}/mod.rs"), format!("mod {file};"));
        }
        Tree(files)
    }

    #[test]
    fn a_pure_file_neither_waits_nor_asks_the_time() {
        for bad in [
            "use sea_orm::DbErr;",
            "async fn f() {}",
            "fn f() { chrono::Utc::now(); }",
            "fn f(tx: &TenantTx) {}",
            "use std::fs::File;",
        ] {
            assert_eq!(leaks(&core("taxes/tax.rs", bad)).len(), 1, "{bad}");
            assert!(leaks(&core("taxes/mod.rs", bad)).is_empty(), "a service may: {bad}");
        }
        let fine = "/// async\nfn f() -> &'static str { \"tokio\" }\n#[cfg(test)]\nmod tests { async fn t() {} }";
        assert!(leaks(&core("taxes/tax.rs", fine)).is_empty());
    }

    #[test]
    fn a_room_is_impure_only_while_it_has_to_be() {
        let about = |tree: &Tree| empty_rooms(tree).into_iter().filter(|finding| finding.contains("lanes.rs")).count();
        assert_eq!(about(&core("transactions/lanes.rs", "use tokio::sync::oneshot;")), 0);
        assert_eq!(about(&core("transactions/lanes.rs", "fn f() {}")), 1, "it is pure now");
        assert_eq!(about(&core("transactions/mod.rs", "")), 1, "it is gone");
    }

    #[test]
    fn queries_are_written_in_one_place() {
        for bad in
            ["use sqlx::query;", "fn f() { Statement::from_sql_and_values(a, b, c); }", "fn f() { Expr::cust(\"1\"); }"]
        {
            assert_eq!(raw_queries(&core("taxes/store.rs", bad)).len(), 1, "{bad}");
            assert!(raw_queries(&core("db/bulk.rs", bad)).is_empty());
        }
    }

    #[test]
    fn a_store_is_its_capabilitys_own() {
        assert_eq!(open_stores(&core("taxes/mod.rs", "pub(crate) mod store;")).len(), 1);
        assert!(open_stores(&core("taxes/mod.rs", "mod store; pub use self::store::Model;")).is_empty());
        let mut tree = core("taxes/mod.rs", "use crate::ledger::store;");
        tree.0.insert(format!("{CORE}ledger/mod.rs"), "mod store; use super::ledger::store;".to_owned());
        assert_eq!(open_stores(&tree).len(), 1);
    }

    #[test]
    fn a_table_has_one_owner() {
        let mut tree = core("taxes/store.rs", "#[sea_orm(table_name = \"rates\")] struct Model {}");
        assert!(shared_tables(&tree, ["rates"].into_iter()).is_empty());
        assert_eq!(shared_tables(&tree, ["rates", "other"].into_iter()).len(), 1, "nobody's");
        assert_eq!(shared_tables(&tree, [].into_iter()).len(), 1, "no table");
        tree.0.insert(format!("{CORE}fx/store.rs"), "entity!(rate, \"rates\", hidden, {});".to_owned());
        assert_eq!(shared_tables(&tree, ["rates"].into_iter()).len(), 1, "two owners");
    }

    #[test]
    fn arrows_point_down() {
        let manifest = |text: &str, path: &str| Tree(BTreeMap::from([(path.to_owned(), text.to_owned())]));
        assert_eq!(wrong_arrows(&manifest("[dependencies]\ndomain = { path = \"..\" }", "ml/Cargo.toml")).len(), 1);
        assert_eq!(wrong_arrows(&manifest("[dependencies]\ntokio.workspace = true", "ml/Cargo.toml")).len(), 1);
        assert_eq!(wrong_arrows(&manifest("[dependencies]\npoem.workspace = true", "domain/Cargo.toml")).len(), 1);
        assert!(wrong_arrows(&manifest("[dev-dependencies]\napi.path = \"..\"", "domain/Cargo.toml")).is_empty());
        assert_eq!(wrong_arrows(&core("taxes/mod.rs", "use poem::Request;")).len(), 1);
    }
}
