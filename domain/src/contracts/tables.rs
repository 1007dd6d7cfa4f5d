//! Rate tables as things of their own: what is to be said about them, and their way into and out of spreadsheets.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::contract::Terms;
use super::findings::{self, Finding, Known, Others, Severity};
use super::lifecycle::{check_writable_in, save_in};
use super::sheet::{self, Format, Layout};
use super::{ContractVersion, VersionDraft, version_in, versions_in};
use crate::caller::{Permission, Scoped, Writer};
use crate::catalogue;
use crate::db::TenantTx;
use crate::error::{Error, Fault, Problem, Result};
use crate::ids::ContractId;

/// What became of a sheet.
pub struct Imported {
    pub version: ContractVersion,
    /// What somebody should look at, each with its cell, such as `Rates!C7`.
    pub findings: Vec<(String, Finding)>,
}

impl Scoped {
    /// What is to be said about the tables of these versions as they are saved: what keeps the same from being saved once
    /// more, because something is not there any more, and warnings. Whoever may not see players hears nothing of their
    /// segments. Versions that are not there are left out.
    pub async fn findings_of(
        &self,
        versions: &[(ContractId, i64)],
    ) -> Result<HashMap<(ContractId, i64), Vec<Finding>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let contracts: BTreeSet<ContractId> = versions.iter().map(|(contract, _)| *contract).collect();
        let mut terms = Vec::new();
        let contracts: Vec<ContractId> = contracts.into_iter().collect();
        for version in versions_in(&tx, &contracts, self.clock().now()).await? {
            if versions.contains(&(version.contract, version.version)) {
                terms.push(((version.contract, version.version), version.terms));
            }
        }
        findings_in(&tx, terms, self.caller().partner().is_none()).await
    }

    /// The rate table of a version as a file, and the revision that it is of.
    pub async fn export_rate_table(&self, id: ContractId, version: i64, format: Format) -> Result<(Vec<u8>, i64)> {
        self.require(Permission::Read)?;
        let (_, version) = version_in(&self.read().await?, id, version, self.clock().now()).await?;
        let revision = version.revision;
        let written = on_a_thread(move || sheet::write(format, &version.terms.rate_table)).await?;
        Ok((written.map_err(Fault::Internal)?, revision))
    }

    /// Puts the rows and columns of a file in the place of a draft's, which has to be at this revision where one is given.
    /// What is wrong is told with the cell as its path.
    pub async fn import_rate_table(
        &self,
        id: ContractId,
        version: i64,
        revision: Option<i64>,
        format: Format,
        bytes: Vec<u8>,
    ) -> Result<Imported> {
        self.require(Permission::Configure)?;
        // Nobody waits for a file to be read who asks for a contract that is not there.
        version_in(&self.read().await?, id, version, self.clock().now()).await?.1.check_open()?;
        let read = on_a_thread(move || sheet::read(format, &bytes)).await?;
        let (columns, rows, layout) = read.map_err(Error::Invalid)?;
        let change = async move |writer: &Writer, tx: &TenantTx| {
            let (contract, draft) = version_in(tx, id, version, writer.clock().now()).await?;
            check_writable_in(tx, &draft, revision).await?;
            let mut terms = draft.terms.clone();
            (terms.rate_table.columns, terms.rate_table.rows) = (columns.clone(), rows.clone());
            let new = VersionDraft { terms, replaces: draft.replaces };
            save_in(writer, tx, &contract, draft, new).await
        };
        let version = self.change(change).await.map_err(|error| placed(error, &layout))?;
        let terms = vec![((id, version.version), version.terms.clone())];
        let found = findings_in(&self.read().await?, terms, true).await?.into_values().flatten();
        let findings = found.map(|finding| (layout.cell_of(&finding.path), finding)).collect();
        Ok(Imported { version, findings })
    }
}

/// Problems of terms as problems of the sheet that they came from.
fn placed(error: Error, layout: &Layout) -> Error {
    let Error::Invalid(problems) = error else { return error };
    let placed = problems.into_iter().map(|problem| Problem { path: layout.cell_of(&problem.path), ..problem });
    Error::Invalid(placed.collect())
}

/// A large file takes tenths of a second, in which its thread would answer nobody else.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Fault::Internal(error.to_string()))?)
}

async fn findings_in<K: Eq + Hash + Send + 'static>(
    tx: &TenantTx,
    all: Vec<(K, Terms)>,
    sees_players: bool,
) -> Result<HashMap<K, Vec<Finding>>> {
    let mut known = known_in(tx, all.iter().map(|(_, terms)| terms)).await?;
    if sees_players {
        let catalogue::Words { categories, segments, tags } = catalogue::words_in(tx).await?;
        known.others = Some(Others { categories, segments, tags });
    }
    let said = move |terms: &Terms| {
        let mut found = findings::check(terms);
        found.extend(findings::unknown(terms, &known));
        found.sort_by_key(|finding| finding.severity);
        found
    };
    on_a_thread(move || all.into_iter().map(|(key, terms)| (key, said(&terms))).collect()).await
}

/// Names in terms that are not there and have to be.
pub(super) async fn unknown_in(tx: &TenantTx, terms: &Terms) -> Result<Vec<Problem>> {
    let found = findings::unknown(terms, &known_in(tx, std::iter::once(terms)).await?).into_iter();
    Ok(found.filter(|finding| finding.severity == Severity::Error).map(Finding::problem).collect())
}

async fn known_in(tx: &TenantTx, all: impl Iterator<Item = &Terms>) -> Result<Known> {
    let named: BTreeSet<String> = all.flat_map(findings::named_products).collect();
    let products = catalogue::products_in(tx, &named.into_iter().collect::<Vec<_>>()).await?;
    Ok(Known { products, others: None })
}
