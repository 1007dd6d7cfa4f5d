//! The second wall: every key of every table begins with the tenant, and every entity is its table.

use std::collections::BTreeMap;

use crate::lexer::{Kind, Token, closing, lex, places, stands};
use crate::rooms::names_table;
use crate::tree::Tree;

/// Tables of the installation: no tenant owns them, and only `AdminTx` reads them.
pub const INSTALLATION: [&str; 2] = ["signing_keys", "tenants"];

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    /// Of primary, unique and foreign keys and of indexes: what it is, and its columns.
    keys: Vec<(String, Vec<String>)>,
    /// Keys written beside a column: they have one column only.
    inline: Vec<String>,
}

/// Tables by name, as the migrations make them.
pub fn tables(tree: &Tree) -> BTreeMap<String, Table> {
    let migrations = tree.0.iter().filter(|(path, _)| path.starts_with("migrations/src/") && path.ends_with(".sql"));
    let mut tables = BTreeMap::new();
    for (_, sql) in migrations {
        let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
        for statement in code.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            read(statement, &mut tables);
        }
    }
    tables
}

fn read(statement: &str, tables: &mut BTreeMap<String, Table>) {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let (head, body) = statement.split_once('(').unwrap_or((statement, ""));
    let body = body.rsplit_once(')').map_or("", |(body, _)| body);
    match words[..] {
        ["CREATE", "TABLE", name, ..] => {
            let mut table = Table::default();
            split_list(body).into_iter().for_each(|item| table.read(&item));
            tables.insert(name.to_owned(), table);
        }
        ["CREATE", "INDEX" | "UNIQUE", ..] => {
            let (what, table) = head.rsplit_once(" ON ").unwrap_or((head, ""));
            let key = (what.trim().to_owned(), split_list(body));
            tables.entry(table.trim().to_owned()).or_default().keys.push(key);
        }
        ["ALTER", "TABLE", table, "ADD", "COLUMN", ..] => {
            let (_, column) = statement.split_once(" ADD COLUMN ").unwrap_or_default();
            tables.entry(table.to_owned()).or_default().read(column);
        }
        _ => {
            let key = (format!("statement '{}'", words.join(" ")), vec!["is not understood".to_owned()]);
            tables.entry("?".to_owned()).or_default().keys.push(key);
        }
    }
}

/// Splits at the commas that are in no brackets.
fn split_list(text: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("one at least").push(letter);
    }
    items.into_iter().map(|item| item.trim().to_owned()).collect()
}

impl Table {
    fn read(&mut self, item: &str) {
        let columns = |text: &str| {
            let (_, from) = text.split_once('(').unwrap_or_default();
            split_list(from.split(')').next().unwrap_or_default())
        };
        if item.starts_with("PRIMARY KEY") || item.starts_with("UNIQUE") {
            self.keys.push((item.to_owned(), columns(item)));
        } else if let Some((own, other)) = item.split_once("REFERENCES").filter(|_| item.starts_with("FOREIGN KEY")) {
            self.keys.push((item.to_owned(), columns(own)));
            let target = other.split('(').next().unwrap_or_default().trim().to_owned();
            // The tenants themselves have no tenant.
            if target != "tenants" {
                self.keys.push((item.to_owned(), columns(other)));
            }
        } else {
            self.columns.push(item.split_whitespace().next().unwrap_or_default().to_owned());
            if ["PRIMARY KEY", "UNIQUE", "REFERENCES"].iter().any(|key| item.contains(key)) {
                self.inline.push(item.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
}

/// Keys and indexes that do not begin with the tenant.
pub fn keys_without_tenant(tables: &BTreeMap<String, Table>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, table) in tables.iter().filter(|(name, _)| !INSTALLATION.contains(&name.as_str())) {
        findings.extend(table.inline.iter().map(|item| format!("{name}: '{item}' is a key without the tenant")));
        let first = |columns: &[String]| columns.first().is_some_and(|column| column == "tenant_id");
        let wrong = table.keys.iter().filter(|(_, columns)| !first(columns));
        findings.extend(wrong.map(|(key, _)| format!("{name}: '{key}' does not begin with tenant_id")));
        if !table.keys.iter().any(|(key, _)| key.starts_with("PRIMARY KEY")) {
            findings.push(format!("{name} has no primary key"));
        }
    }
    findings
}

#[derive(Debug, PartialEq, Eq)]
struct Entity {
    path: String,
    table: String,
    fields: Vec<String>,
    /// Made with the store's macro as one of the installation.
    installation: bool,
}

/// Entities of the core: `#[sea_orm(table_name = "…")] struct Model { … }`, or `entity!(…, "…", kind, { … })`.
fn entities(tree: &Tree) -> Vec<Entity> {
    let mut entities = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("domain/src/")) {
        let tokens = lex(text);
        for index in (0..tokens.len()).filter(|index| names_table(&tokens, *index)) {
            let in_macro = tokens[index - 1].is(",");
            // A bulk insert names a table too; what follows it is no body of fields.
            if !in_macro && !tokens[index - 1].is("=") {
                continue;
            }
            let body = (index..tokens.len()).find(|at| tokens[*at].is("{")).unwrap_or(tokens.len() - 1);
            entities.push(Entity {
                path: path.to_owned(),
                table: tokens[index].text.to_owned(),
                fields: fields(&tokens[body + 1..closing(&tokens, body)]),
                installation: in_macro && stands(&tokens, index + 2, &["installation"]),
            });
        }
    }
    entities
}

fn fields(tokens: &[Token<'_>]) -> Vec<String> {
    let (mut fields, mut at, mut angles) = (Vec::new(), 0, 0_usize);
    while at < tokens.len() {
        match tokens[at].text {
            "[" | "(" | "{" if tokens[at].kind == Kind::Mark => at = closing(tokens, at),
            "<" => angles += 1,
            ">" => angles = angles.saturating_sub(1),
            ":" if angles == 0 && tokens[at].kind == Kind::Mark => fields.push(tokens[at - 1].text.to_owned()),
            _ => {}
        }
        at += 1;
    }
    fields
}

/// Entities that are not their table, column by column, or whose tenant is not the first.
pub fn wrong_entities(tree: &Tree, tables: &BTreeMap<String, Table>) -> Vec<String> {
    let mut findings = Vec::new();
    for Entity { path, table, fields, installation } in entities(tree) {
        // Models with a parameter for the fields are the macro itself.
        let Some(made) = tables.get(&table) else {
            findings.push(format!("{path}: no migration makes a table '{table}'"));
            continue;
        };
        let mut differing: Vec<&String> = fields.iter().filter(|field| !made.columns.contains(field)).collect();
        differing.extend(made.columns.iter().filter(|column| !fields.contains(column)));
        if !differing.is_empty() {
            findings.push(format!("{path}: the entity of '{table}' and the table differ in {differing:?}"));
        }
        if installation != INSTALLATION.contains(&table.as_str()) {
            findings.push(format!("{path}: '{table}' is of the installation for one of entity and tidy test only"));
        }
        if !installation && fields.first().is_none_or(|first| first != "tenant_id") {
            findings.push(format!("{path}: the entity of '{table}' does not begin with tenant_id"));
        }
    }
    findings
}

/// Where `Installation` and `TenantOwned` are given out: each in its macro, and nowhere by hand.
pub fn hand_made_owners(tree: &Tree) -> Vec<String> {
    let allowed = [
        ("domain/src/tenants/store.rs", "Installation", 1),
        ("domain/src/tenants/store.rs", "TenantOwned", 1),
        ("domain/src/db/mod.rs", "TenantOwned", 1),
    ];
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| !path.starts_with("e2e/")) {
        let tokens = lex(text);
        for name in ["Installation", "TenantOwned"] {
            let count = places(&tokens, &[name, "for"]).len();
            let most = allowed.iter().find(|(file, what, _)| *file == path && *what == name).map_or(0, |rule| rule.2);
            if count > most {
                findings.push(format!("{path}: `impl {name}` by hand; {most} are allowed here and there are {count}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(sql: &str) -> BTreeMap<String, Table> {
        tables(&Tree::of([("migrations/src/m1.sql", sql)]))
    }

    #[test]
    fn every_key_begins_with_the_tenant() {
        let good = "CREATE TABLE a ( -- b;\n tenant_id UUID NOT NULL, id UUID,\n PRIMARY KEY (tenant_id, id),\n \
                    FOREIGN KEY (tenant_id) REFERENCES tenants (id),\n UNIQUE (tenant_id, id)\n);\n\
                    CREATE INDEX a_i ON a (tenant_id, id);\nCREATE TABLE tenants (id UUID PRIMARY KEY);";
        assert_eq!(keys_without_tenant(&sql(good)), Vec::<String>::new());
        assert_eq!(sql(good)["a"].columns, ["tenant_id", "id"]);
        let grown = sql(&format!("{good} ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT 'B';"));
        assert_eq!(grown["a"].columns, ["tenant_id", "id", "b"]);
        assert_eq!(keys_without_tenant(&grown), Vec::<String>::new());
        for bad in [
            "CREATE TABLE a (tenant_id UUID, id UUID, PRIMARY KEY (id, tenant_id));",
            "CREATE TABLE a (tenant_id UUID, id UUID UNIQUE, PRIMARY KEY (tenant_id, id));",
            "CREATE TABLE a (tenant_id UUID, id UUID, PRIMARY KEY (tenant_id, id), UNIQUE (id));",
            "CREATE TABLE a (tenant_id UUID, id UUID, PRIMARY KEY (tenant_id), FOREIGN KEY (id) REFERENCES b (tenant_id));",
            "CREATE TABLE a (tenant_id UUID, PRIMARY KEY (tenant_id), FOREIGN KEY (tenant_id) REFERENCES b (id));",
            "CREATE TABLE a (tenant_id UUID, id UUID, PRIMARY KEY (tenant_id)); CREATE INDEX i ON a (id);",
            "CREATE TABLE a (tenant_id UUID);",
            "CREATE TABLE a (tenant_id UUID, PRIMARY KEY (tenant_id)); ALTER TABLE a ADD COLUMN b UUID UNIQUE;",
            "CREATE TABLE a (tenant_id UUID, PRIMARY KEY (tenant_id)); CREATE TRIGGER t;",
        ] {
            assert!(!keys_without_tenant(&sql(bad)).is_empty(), "{bad}");
        }
    }

    fn wrong(entity: &str) -> usize {
        let tables = sql("CREATE TABLE a (tenant_id UUID, id UUID, PRIMARY KEY (tenant_id, id));");
        wrong_entities(&Tree::of([("domain/src/a/store.rs", entity)]), &tables).len()
    }

    #[test]
    fn an_entity_is_its_table() {
        let model = |table: &str, fields: &str| {
            format!("#[sea_orm(table_name = \"{table}\")] pub struct Model {{ #[sea_orm(primary_key)] {fields} }}")
        };
        assert_eq!(wrong(&model("a", "pub tenant_id: TenantId, pub id: Vec<a::B>,")), 0);
        assert_eq!(wrong("entity!(a, \"a\", hidden, { tenant_id: TenantId, id: Id, });"), 0);
        assert_eq!(wrong(&model("b", "pub tenant_id: TenantId, pub id: Id,")), 1, "no such table");
        assert_eq!(wrong(&model("a", "pub id: Id, pub tenant_id: TenantId,")), 1, "the tenant is not first");
        assert_eq!(wrong(&model("a", "pub tenant_id: TenantId,")), 1, "a column is missing");
        assert_eq!(wrong("entity!(a, \"a\", installation, { tenant_id: TenantId, id: Id, });"), 1);
    }

    #[test]
    fn only_the_macros_say_whose_an_entity_is() {
        let by_hand = "impl crate::db::Installation for Entity {}";
        assert_eq!(hand_made_owners(&Tree::of([("domain/src/a/store.rs", by_hand)])).len(), 1);
        assert_eq!(
            hand_made_owners(&Tree::of([("domain/src/a/store.rs", "impl Display for Installation {}")])).len(),
            0
        );
    }
}
