//! Stored test cases of contracts.

use std::collections::HashMap;

use super::case::{self, CaseResult, Expected, MOST_CASES, TestCase};
use super::contract::ActiveVersion;
use super::{store, trial, version_in};
use crate::caller::{Permission, Scoped, Writer};
use crate::catalogue;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::ContractId;
use crate::money::Asset;
use crate::partners::text;
use crate::transactions;

impl Scoped {
    /// Saves a case, in the place of the one with its name. With `accept`, it expects from now on what this version
    /// gives.
    pub async fn save_contract_test_case(
        &self,
        id: ContractId,
        mut case: TestCase,
        accept: Option<i64>,
    ) -> Result<TestCase> {
        self.require(Permission::Configure)?;
        case.name = text("name", &case.name, 200)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
            let cases = store::test_cases(tx, &[id]).await?;
            if cases.len() >= MOST_CASES && !cases.iter().any(|row| row.name == case.name) {
                let message = format!("the contract has {MOST_CASES} cases, and more are not allowed");
                return Err(Problem::new(Code::BadInput, "", message).into());
            }
            let mut case = case.clone();
            let assets = catalogue::assets_in(tx).await?;
            let now = writer.clock().now();
            let last = super::versions_in(tx, &[id], now).await?.pop().ok_or(Error::NotFound("contract version"))?;
            if accept.is_some() {
                // Whatever it says it expects.
                case.expected = Expected { total: "0".to_owned(), lines: None };
            }
            let problems = case::check(&case, &asset_of(&assets, &last.terms.currency)?, &assets);
            if !problems.is_empty() {
                return Err(Error::Invalid(problems));
            }
            if let Some(version) = accept {
                let (contract, version) = version_in(tx, id, version, now).await?;
                case.expected = trial::accepted(&case, &version.active(contract.partner_id), &assets)?;
            }
            let body = serde_json::to_string(&case).map_err(|error| Fault::Internal(error.to_string()))?;
            let (tenant_id, name) = (tx.tenant(), case.name.clone());
            let row = store::test_case::Model { tenant_id, contract_id: id, name, body, changed_at: now };
            store::save_test_case(tx, row).await?;
            Ok(case)
        })
        .await
    }

    /// Deletes the case with this name.
    pub async fn delete_contract_test_case(&self, id: ContractId, name: &str) -> Result<ContractId> {
        self.require(Permission::Configure)?;
        let name = name.trim().to_owned();
        self.change(async move |_: &Writer, tx: &TenantTx| {
            store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
            match store::delete_test_case(tx, id, &name).await? {
                0 => Err(Problem::new(Code::NotFound, "name", "the contract has no test case of this name").into()),
                _ => Ok(id),
            }
        })
        .await
    }

    /// The cases of these contracts, by name. A partner's user sees none.
    pub async fn contract_test_cases(&self, contracts: &[ContractId]) -> Result<Vec<(ContractId, TestCase)>> {
        self.require(Permission::Read)?;
        let rows = store::test_cases(&self.read().await?, contracts).await?;
        Ok(rows.into_iter().map(|row| Ok((row.contract_id, case_of(row)?))).collect::<Result<_, Fault>>()?)
    }
}

/// What all cases of its contract give under a version, by name.
pub(super) async fn run_in(tx: &TenantTx, version: &ActiveVersion) -> Result<Vec<CaseResult>> {
    let cases = store::test_cases(tx, &[version.contract]).await?;
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let cases = cases.into_iter().map(case_of).collect::<Result<Vec<_>, _>>()?;
    let (assets, version) = (catalogue::assets_in(tx).await?, version.clone());
    // Two hundred thousand transactions at most.
    transactions::computed(move || cases.iter().map(|case| trial::run(case, &version, &assets)).collect()).await
}

/// Puts all cases of a contract beside those of another, which has none yet.
pub(super) async fn copy_in(tx: &TenantTx, from: ContractId, to: ContractId) -> Result<()> {
    for row in store::test_cases(tx, &[from]).await? {
        store::save_test_case(tx, store::test_case::Model { contract_id: to, ..row }).await?;
    }
    Ok(())
}

fn case_of(row: store::test_case::Model) -> Result<TestCase, Fault> {
    let damaged = |error: serde_json::Error| Fault::Corrupt(format!("test case '{}': {error}", row.name));
    serde_json::from_str(&row.body).map_err(damaged)
}

fn asset_of(assets: &HashMap<String, Asset>, code: &str) -> Result<Asset> {
    let asset = assets.get(code).cloned().or_else(|| Asset::iso(code));
    Ok(asset.ok_or_else(|| Fault::Corrupt(format!("terms in the unknown currency '{code}'")))?)
}
