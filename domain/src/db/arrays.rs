//! How rows go into PostgreSQL: one array a column, which the server unnests, so that a batch is one short statement
//! whatever its length.
//!
//! An array of sea-orm cannot hold a NULL (to bind one panics). A column that is NULL in all rows is left out of the
//! statement; no column has another default. In others a NULL goes as an empty value of its type, and a last array has a
//! number for each row, whose bits say which of its columns are NULL.

use sea_orm::sea_query::ArrayType;
use sea_orm::{DbErr, Value};

use super::bulk::Insert;

/// A number of 64 bits tells the NULLs of this many columns.
const MOST_COLUMNS: usize = 63;

/// Rows turned into columns.
#[derive(Debug, PartialEq)]
pub(super) struct Arrays {
    /// Which columns there are, and their values.
    pub columns: Vec<(usize, Value)>,
    /// For each row those of them that are NULL, where there are any.
    pub nulls: Option<Value>,
}

/// Turns rows, given flat, into columns. A column has one type in all rows.
pub(super) fn turn(width: usize, rows: Vec<Value>) -> Result<Arrays, DbErr> {
    if width > MOST_COLUMNS {
        return Err(DbErr::Custom(format!("{width} columns are more than arrays can bring NULLs for")));
    }
    let count = rows.len() / width;
    let kept: Vec<usize> =
        (0..width).filter(|column| rows.iter().skip(*column).step_by(width).any(Value::is_some)).collect();
    let types: Vec<ArrayType> = kept.iter().map(|column| rows[*column].array_type()).collect();
    let mut columns: Vec<Vec<Value>> = kept.iter().map(|_| Vec::with_capacity(count)).collect();
    let mut places: Vec<Option<usize>> = vec![None; width];
    kept.iter().enumerate().for_each(|(place, column)| places[*column] = Some(place));
    let mut nulls: Vec<i64> = vec![0; count];
    for (number, value) in rows.into_iter().enumerate() {
        let Some(place) = places[number % width] else { continue };
        let is_null = !value.is_some();
        nulls[number / width] |= i64::from(is_null) << place;
        columns[place].push(if is_null { value.dummy_value() } else { value });
    }
    let columns = kept.into_iter().zip(types.into_iter().zip(columns));
    let columns = columns.map(|(column, (of, values))| (column, Value::Array(of, Some(Box::new(values)))));
    let any = nulls.iter().any(|nulls| *nulls != 0);
    let nulls =
        any.then(|| Value::Array(ArrayType::BigInt, Some(Box::new(nulls.into_iter().map(Value::from).collect()))));
    Ok(Arrays { columns: columns.collect(), nulls })
}

pub(super) fn of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Value {
    Value::Array(ArrayType::String, Some(Box::new(texts.map(Value::from).collect())))
}

/// Inserts what [`turn`] made of these columns. The first parameter is the tenant; from `first` on come the columns, and
/// then the NULLs.
pub(super) fn insert_sql(into: &Insert, columns: &[&str], with_nulls: bool, first: usize) -> String {
    let Insert { table, on_conflict, .. } = into;
    let listed = columns.join(", ");
    let arrays = (first..first + columns.len() + usize::from(with_nulls)).map(|number| format!("${number}"));
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    if !with_nulls {
        return format!(
            "INSERT INTO {table} (tenant_id, {listed}) SELECT $1, row.* FROM UNNEST({arrays}) AS row {on_conflict}"
        );
    }
    let chosen = chosen(columns, true);
    format!(
        "INSERT INTO {table} (tenant_id, {listed}) SELECT $1, {chosen} FROM UNNEST({arrays}) AS row ({listed}, nulls) \
         {on_conflict}"
    )
}

/// Takes the next numbers of a tenant's counter: `$2` of them.
pub(super) fn take_sql(counter: &str) -> String {
    format!(
        "INSERT INTO {counter} (tenant_id, sequence, pruned) VALUES ($1, $2, 0) ON CONFLICT (tenant_id) \
         DO UPDATE SET sequence = {counter}.sequence + excluded.sequence RETURNING sequence"
    )
}

/// The same as [`insert_sql`] for rows whose first column gets the numbers that the part `taken` has taken. Parameter
/// `first` is their count.
pub(super) fn numbered_sql(into: &Insert, columns: &[&str], with_nulls: bool, first: usize, taken: &str) -> String {
    let (listed, number) = (columns.join(", "), into.columns[0]);
    let last = first + columns.len() + usize::from(with_nulls);
    let arrays = (first + 1..=last).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
    let nulls = if with_nulls { ", nulls" } else { "" };
    let chosen = chosen(columns, with_nulls);
    format!(
        "INSERT INTO {} (tenant_id, {number}, {listed}) SELECT $1, {taken}.sequence - ${first} + row.place, {chosen} \
         FROM {taken}, UNNEST({arrays}) WITH ORDINALITY AS row ({listed}{nulls}, place)",
        into.table
    )
}

/// The columns of a row, those that its number says are NULL without a value.
fn chosen(columns: &[&str], with_nulls: bool) -> String {
    let column = |(number, name): (usize, &&str)| {
        let bit = 1_i64 << number;
        if with_nulls { format!("CASE WHEN row.nulls & {bit} = 0 THEN row.{name} END") } else { format!("row.{name}") }
    };
    columns.iter().enumerate().map(column).collect::<Vec<_>>().join(", ")
}

/// Several inserts into different tables as one statement: one round trip.
pub(super) fn together(mut inserts: Vec<String>) -> Option<String> {
    let last = inserts.pop()?;
    if inserts.is_empty() {
        return Some(last);
    }
    let parts = inserts.iter().enumerate().map(|(number, insert)| format!("part_{number} AS ({insert})"));
    Some(format!("WITH {} {last}", parts.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: Vec<Value>) -> Value {
        Value::Array(values[0].array_type(), Some(Box::new(values)))
    }

    #[test]
    fn rows_become_columns_and_nulls_become_bits() {
        let none = || Value::from(None::<&str>);
        let rows: Vec<Value> =
            vec![none(), 1_i64.into(), "a".into(), None::<bool>.into(), none(), 2_i64.into(), none(), true.into()];
        let turned = turn(4, rows).expect("columns");
        assert_eq!(
            turned,
            Arrays {
                columns: vec![
                    (1, array(vec![1_i64.into(), 2_i64.into()])),
                    (2, array(vec!["a".into(), "".into()])),
                    (3, array(vec![false.into(), true.into()])),
                ],
                nulls: Some(array(vec![0b100_i64.into(), 0b010_i64.into()])),
            }
        );
        assert_eq!(
            turn(2, vec![7_i64.into(), none()]).expect("columns"),
            Arrays { columns: vec![(0, array(vec![7_i64.into()]))], nulls: None }
        );
        assert!(turn(64, vec![]).is_err());
    }

    #[test]
    fn the_statement_is_as_short_for_many_rows_as_for_one() {
        let into = Insert { table: "t", columns: &["a", "b"], on_conflict: "ON CONFLICT DO NOTHING" };
        let one = insert_sql(&into, &["a", "b"], false, 2);
        assert_eq!(
            one,
            "INSERT INTO t (tenant_id, a, b) SELECT $1, row.* FROM UNNEST($2, $3) AS row ON CONFLICT DO NOTHING"
        );
        let other = insert_sql(&Insert { on_conflict: "", ..into }, &["a", "b"], true, 4);
        assert_eq!(
            other,
            "INSERT INTO t (tenant_id, a, b) SELECT $1, CASE WHEN row.nulls & 1 = 0 THEN row.a END, \
             CASE WHEN row.nulls & 2 = 0 THEN row.b END FROM UNNEST($4, $5, $6) AS row (a, b, nulls) "
        );
        assert_eq!(together(vec![one.clone(), other.clone()]), Some(format!("WITH part_0 AS ({one}) {other}")));
        assert_eq!(together(vec![one.clone()]), Some(one));
        assert_eq!(together(vec![]), None);
    }
}
