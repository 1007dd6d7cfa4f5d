//! What the database says of its own tables: whose they are, their columns, keys and references. Whatever concerns all
//! of a tenant's rows goes by this and not by a list, so that a table that is added later is not forgotten.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// In SQLite an id is a BLOB, and a BOOLEAN an INTEGER.
const SQLITE_COLUMNS: &str = "SELECT t.name, c.name, c.type, CAST(c.pk AS INTEGER) \
    FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
const SQLITE_REFERENCES: &str = "SELECT t.name, r.\"table\" \
    FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS r WHERE t.type = 'table'";
/// A partition is a part of its table and none of its own.
const POSTGRES_COLUMNS: &str = "SELECT t.relname::text, c.attname::text, format_type(c.atttypid, c.atttypmod), \
    coalesce((SELECT k.place FROM pg_index, unnest(indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
              WHERE indrelid = t.oid AND indisprimary AND k.attnum = c.attnum), 0) \
    FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid \
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition \
    AND c.attnum > 0 AND NOT c.attisdropped";
const POSTGRES_REFERENCES: &str = "SELECT own.relname::text, other.relname::text FROM pg_constraint \
    JOIN pg_class AS own ON own.oid = conrelid JOIN pg_class AS other ON other.oid = confrelid \
    WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'public'::regnamespace";

/// What PostgreSQL is not told of, because it would cost half of what recording does (`m0007_partitions`).
const UNTOLD: [(&str, &str); 3] =
    [("transactions", "sources"), ("transactions", "ingest_blocks"), ("anomaly_case_transactions", "transactions")];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    Bytes,
    Integer,
    Boolean,
    Text,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "uuid" => Self::Uuid,
            "bytea" | "blob" => Self::Bytes,
            "bigint" | "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "text" => Self::Text,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A table as the database has it. Only the catalogue makes one, so that no name from outside gets into a statement.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: String,
    /// The column that names the tenant; none for a table of the installation.
    tenant: Option<&'static str>,
    /// Without the tenant: those of the primary key in its order, then the others by name. So it is the same table on
    /// both databases, whatever the order in which the columns were added.
    columns: Vec<Column>,
    /// How many columns make the key within a tenant.
    key: usize,
    references: BTreeSet<String>,
}

impl Table {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the columns hold, in the order in which rows have them, and nothing of the difference between databases.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, Holds)> {
        self.columns.iter().map(|column| {
            let holds = match column.kind {
                Kind::Uuid | Kind::Bytes => Holds::Bytes,
                Kind::Integer | Kind::Boolean => Holds::Integer,
                Kind::Text => Holds::Text,
            };
            (column.name.as_str(), holds)
        })
    }

    pub(super) fn tenant(&self) -> Option<&'static str> {
        self.tenant
    }

    pub(super) fn typed_columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn key(&self) -> &[Column] {
        &self.columns[..self.key]
    }
}

/// What a value is on every database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Bytes,
    Integer,
    Text,
}

/// All tables, each after those that it refers to.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Vec<Table>, DbErr> {
    let backend = connection.get_database_backend();
    let (columns, references) = match backend {
        DbBackend::Postgres => (POSTGRES_COLUMNS, POSTGRES_REFERENCES),
        _ => (SQLITE_COLUMNS, SQLITE_REFERENCES),
    };
    let mut tables: BTreeMap<String, Vec<(i64, Column)>> = BTreeMap::new();
    for row in connection.query_all_raw(Statement::from_string(backend, columns)).await? {
        let (table, name, place): (String, String, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(3)?);
        tables.entry(table.clone()).or_default().push((place, column(&table, name, &row)?));
    }
    let mut referred: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, other) in UNTOLD {
        referred.entry(table.to_owned()).or_default().insert(other.to_owned());
    }
    for row in connection.query_all_raw(Statement::from_string(backend, references)).await? {
        referred.entry(row.try_get_by_index(0)?).or_default().insert(row.try_get_by_index(1)?);
    }
    let tables = tables.into_iter().map(|(name, columns)| {
        let references = referred.remove(&name).unwrap_or_default();
        table(name, columns, references)
    });
    in_order(tables.collect())
}

fn column(table: &str, name: String, row: &QueryResult) -> Result<Column, DbErr> {
    let text: String = row.try_get_by_index(2)?;
    // What the migrations' library keeps for itself is of no tenant and of its own types.
    let kind = Kind::of(&text).or((table == "seaql_migrations").then_some(Kind::Text));
    let kind = kind.ok_or_else(|| DbErr::Type(format!("{table}.{name} is of the type {text}, which is not known")))?;
    Ok(Column { name, kind })
}

fn table(name: String, mut columns: Vec<(i64, Column)>, references: BTreeSet<String>) -> Table {
    let wanted = if name == "tenants" { "id" } else { "tenant_id" };
    let tenant = columns.iter().any(|(_, column)| column.name == wanted).then_some(wanted);
    columns.retain(|(_, column)| tenant.is_none_or(|tenant| column.name != tenant));
    // Columns outside of the key have the place 0 and come last.
    columns.sort_by(|(a, first), (b, second)| ((*a == 0), a, &first.name).cmp(&((*b == 0), b, &second.name)));
    let key = columns.iter().filter(|(place, _)| *place > 0).count();
    Table { name, tenant, columns: columns.into_iter().map(|(_, column)| column).collect(), key, references }
}

/// Each table after those that it refers to, and by name where that leaves a choice.
fn in_order(mut left: Vec<Table>) -> Result<Vec<Table>, DbErr> {
    left.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut ordered, mut done) = (Vec::with_capacity(left.len()), BTreeSet::new());
    while !left.is_empty() {
        let Some(next) = left.iter().position(|table| table.references.is_subset(&done)) else {
            let names: Vec<&str> = left.iter().map(Table::name).collect();
            return Err(DbErr::Custom(format!("tables refer to each other in a circle: {}", names.join(", "))));
        };
        let table = left.remove(next);
        done.insert(table.name.clone());
        ordered.push(table);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, columns: &[(i64, &str)], references: &[&str]) -> Table {
        let column = |name: &str| Column { name: name.to_owned(), kind: Kind::Integer };
        let columns = columns.iter().map(|(place, name)| (*place, column(name))).collect();
        table(name.to_owned(), columns, references.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn columns_have_one_order_whatever_the_database_says_first() {
        let names = |table: &Table| table.columns().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let lines = made("lines", &[(0, "note"), (3, "a"), (1, "tenant_id"), (0, "base"), (2, "z")], &[]);
        assert_eq!(
            (names(&lines), lines.key().len(), lines.tenant()),
            (["z", "a", "base", "note"].map(str::to_owned).to_vec(), 2, Some("tenant_id"))
        );
        let tenants = made("tenants", &[(1, "id"), (0, "slug")], &[]);
        assert_eq!((names(&tenants), tenants.key().len(), tenants.tenant()), (vec!["slug".to_owned()], 0, Some("id")));
        assert_eq!(made("signing_keys", &[(1, "id")], &[]).tenant(), None);
    }

    #[test]
    fn a_table_comes_after_those_that_it_refers_to() {
        let tables = ["c", "a", "d", "b"].map(|name| {
            let references: &[&str] = match name {
                "a" => &["d"],
                "b" => &["a", "c"],
                _ => &[],
            };
            made(name, &[(1, "tenant_id")], references)
        });
        let ordered = in_order(tables.to_vec()).expect("an order");
        assert_eq!(ordered.iter().map(Table::name).collect::<Vec<_>>(), ["c", "d", "a", "b"]);
        let circle = in_order(vec![made("a", &[], &["b"]), made("b", &[], &["a"]), made("c", &[], &[])]);
        assert!(circle.expect_err("no order").to_string().contains("in a circle: a, b"));
    }
}
