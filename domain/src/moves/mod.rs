//! A tenant's move to another database, as a file. Uses `db`, `secrets`, `error`, `ids` and, for what a tenant is called
//! and whether it is there, `tenants`.
//!
//! - `mod.rs`: the order of things. Out: one view of the database, every table that it says has rows of tenants. In: all
//!   of it in one transaction, read back before COMMIT.
//! - `file.rs`: the layout, without a database.
//! - `figures.rs`: counts, sums and hashes, and how they differ.
//!
//! The file is written and read where the work runs, one row at a time: that is a command line's and nobody waits for it.

mod figures;
mod file;

use std::collections::BTreeMap;
use std::io::{Read, Write};

pub use self::figures::Figures;
use self::figures::Tally;
pub use self::file::{Incoming, Moving};
use self::file::{Outgoing, Said, Shape, bad, decode, encode};
use crate::Domain;
use crate::db::{Cell, Table, TenantTx};
use crate::error::{Error, Fault, Result};
use crate::tenants;

/// Rows go into the database in batches of so many, or of so many bytes of file where those are fewer.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 8 << 20;

/// What a file holds, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub tenant: Moving,
    /// By table, in the order of the file: each after those that it refers to.
    pub tables: Vec<(String, Figures)>,
}

impl Domain {
    /// Writes all of a tenant into a file, as it is at one moment. Only the operator's own command line calls this.
    pub async fn export_tenant<W: Write + Send>(&self, slug: &str, file: W) -> Result<(W, Moved)> {
        let scoped = self.for_caller(self.operator(slug).await?);
        let tenant = scoped.viewer().await?.tenant;
        let tenant = Moving { id: tenant.id, slug: tenant.slug, name: tenant.name };
        let tx = self.db().read(tenant.id, None).await?;
        tx.allow_long_statements().await?;
        let mut outgoing = Outgoing::begin(file, self.master_key(), &tenant, tx.schema().await?)?;
        let mut moved = Moved { tenant, tables: Vec::new() };
        for table in tx.tables().await? {
            outgoing.table(&table)?;
            let figures = read_in(&tx, &table, |line| outgoing.row(line)).await?;
            outgoing.end(figures.clone())?;
            moved.tables.push((table.name().to_owned(), figures));
        }
        Ok((outgoing.seal(self.master_key())?, moved))
    }

    /// Makes a tenant of a file: all of it, equal to the file in every count, sum and hash, or nothing. Only the
    /// operator's own command line calls this.
    pub async fn import_tenant<R: Read + Send + 'static>(&self, incoming: Incoming<R>) -> Result<Moved> {
        let domain = self.clone();
        // Without the deadline that other changes have: it takes as long as it takes.
        self.run_to_end(async move { domain.receive(incoming).await }).await?
    }

    async fn receive<R: Read + Send>(&self, mut incoming: Incoming<R>) -> Result<Moved> {
        incoming.check_key(self.master_key())?;
        let tenant = incoming.tenant().clone();
        let admin = self.db().admin().await?;
        tenants::check_absent_in(&admin, tenant.id, &tenant.slug).await?;
        let tx = admin.into_tenant(tenant.id).await?;
        tx.allow_long_statements().await?;
        check_schema(incoming.schema(), &tx.schema().await?)?;
        let tables = tx.tables().await?;
        let told = self.write_in(&tx, &tables, &mut incoming).await?;
        let mut differences = Vec::new();
        for table in &tables {
            let found = read_in(&tx, table, |_| Ok(())).await?;
            let expected = told.iter().find(|(name, _)| name == table.name());
            let (_, expected) = expected.ok_or_else(|| bad(format!("the file lacks the table {}", table.name())))?;
            differences.extend(found.differences(table.name(), expected));
        }
        if !differences.is_empty() {
            let what = "what was written does not read back as what is in the file, so nothing was kept";
            return Err(Fault::Corrupt(format!("{what}: {}", differences.join("; "))).into());
        }
        tx.commit().await?;
        Ok(Moved { tenant, tables: told })
    }

    /// Writes what the file has, table by table, and gives what the file says of each.
    async fn write_in<R: Read + Send>(
        &self,
        tx: &TenantTx,
        tables: &[Table],
        incoming: &mut Incoming<R>,
    ) -> Result<Vec<(String, Figures)>> {
        let mut left: BTreeMap<&str, &Table> = tables.iter().map(|table| (table.name(), table)).collect();
        let mut told = Vec::new();
        loop {
            match incoming.next(self.master_key())? {
                Said::Table(shape) => {
                    let table = left.remove(shape.name.as_str());
                    let table = table.filter(|table| Shape::of(table) == shape).ok_or_else(|| {
                        bad(format!("the table {} of the file is not like that of this database", shape.name))
                    })?;
                    let figures = self.write_table_in(tx, table, incoming).await?;
                    told.push((shape.name, figures));
                }
                Said::Sealed => return Ok(told),
                Said::Row(_) | Said::End(_) => return Err(incoming.damaged("a row is in no table")),
            }
        }
    }

    /// The figures are those of the file, and those of the rows that came.
    async fn write_table_in<R: Read + Send>(
        &self,
        tx: &TenantTx,
        table: &Table,
        incoming: &mut Incoming<R>,
    ) -> Result<Figures> {
        let mut tally = Tally::new(table);
        let (mut batch, mut bytes): (Vec<Vec<Cell>>, usize) = (Vec::new(), 0);
        let refused = |error| Fault::Internal(format!("{} does not go in: {error}", table.name()));
        loop {
            match incoming.next(self.master_key())? {
                Said::Row(line) => {
                    let row = decode(&line, table).ok_or_else(|| incoming.damaged("a row is none of the table"))?;
                    tally.add(&row, &line);
                    batch.push(row);
                    bytes += line.len();
                    if batch.len() == BATCH_ROWS || bytes > BATCH_BYTES {
                        tx.put_rows(table, std::mem::take(&mut batch)).await.map_err(refused)?;
                        bytes = 0;
                    }
                }
                Said::End(figures) => {
                    tx.put_rows(table, batch).await.map_err(refused)?;
                    let differences = tally.figures().differences(table.name(), &figures);
                    return if differences.is_empty() {
                        Ok(figures)
                    } else {
                        Err(bad(format!("the file was altered: {}", differences.join("; "))))
                    };
                }
                Said::Table(_) | Said::Sealed => return Err(incoming.damaged("a table has no end")),
            }
        }
    }
}

/// The figures of a table as it is in the database; `each` gets every row as a line of a file.
async fn read_in(tx: &TenantTx, table: &Table, mut each: impl FnMut(&str) -> Result<()>) -> Result<Figures> {
    let mut tally = Tally::new(table);
    let counted = tx.each_row(table, |row| {
        let line = encode(&row)?;
        tally.add(&row, &line);
        each(&line)
    });
    counted.await?;
    Ok(tally.figures())
}

/// Both databases have been through the same changes. This one is this build's, or it would not have been opened.
fn check_schema(theirs: &[String], ours: &[String]) -> Result<(), Error> {
    let lacking = |these: &[String], others: &[String]| {
        others.iter().filter(|change| !these.contains(change)).cloned().collect::<Vec<_>>().join(", ")
    };
    let (newer, older) = (lacking(ours, theirs), lacking(theirs, ours));
    match (newer.as_str(), older.as_str()) {
        ("", "") => Ok(()),
        ("", older) => Err(bad(format!(
            "the file comes from an older Saldo, without {older}: update that one, run `saldo migrate` there, and export \
             again"
        ))),
        (newer, _) => Err(bad(format!(
            "the file comes from a newer Saldo, with {newer}: update this one, run `saldo migrate` here, and import again"
        ))),
    }
}
