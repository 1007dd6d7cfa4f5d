//! The life of a version: drafts that are saved, tested, approved, put in force, and what was done by whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::case::CaseResult;
use super::contract::{ActiveVersion, Terms};
use super::version::{Approval, ContractVersion, StepKind, VersionDraft, VersionState};
use super::{Contract, activation, cases, check_in, json, refuse, store, version_in, versions_in};
use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, MemberId};
use crate::partners::text;
use crate::time::Timestamp;
use crate::{settlements, tenants};

/// A version as it is after its test cases ran, and what came of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    pub version: ContractVersion,
    /// By name; empty where the contract has no cases.
    pub results: Vec<CaseResult>,
}

/// What was done to a version, when and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub contract: ContractId,
    pub version: i64,
    pub kind: StepKind,
    pub revision: i64,
    pub made_at: Timestamp,
    /// The name of who did it; absent for the operator.
    pub member_name: Option<String>,
    pub note: Option<String>,
}

impl Scoped {
    /// Writes another version of a contract, as a draft. Several may be open at once.
    pub async fn draft_contract_version(
        &self,
        id: ContractId,
        draft: impl Into<VersionDraft>,
    ) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        let draft = draft.into();
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let contract = store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
            check_in(tx, &contract, &draft.terms).await?;
            let versions = store::versions(tx, &[id]).await?;
            check_replaces(&draft, versions.iter().map(|version| version.version))?;
            let last = versions.last().map_or(0, |last| last.version);
            insert_draft(writer, tx, id, last + 1, draft).await
        })
        .await
    }

    /// Saves a draft that was read at this revision. It is neither tested nor approved after.
    pub async fn change_contract_draft(
        &self,
        id: ContractId,
        version: i64,
        revision: i64,
        draft: impl Into<VersionDraft>,
    ) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        let new = draft.into();
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let now = writer.clock().now();
            let (contract, draft) = version_in(tx, id, version, now).await?;
            check_writable_in(tx, &draft, Some(revision)).await?;
            save_in(writer, tx, &contract, draft, new.clone()).await
        })
        .await
    }

    /// Runs the contract's test cases under a draft, which is tested when all of them pass. A version that is in force
    /// is only tried: it stays as it is.
    pub async fn test_contract_version(&self, id: ContractId, version: i64) -> Result<TestRun> {
        self.require(Permission::Configure)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (contract, mut version) = version_in(tx, id, version, writer.clock().now()).await?;
            let results = cases::run_in(tx, &version.clone().active(contract.partner_id)).await?;
            if !version.state.is_fixed() {
                let passed = results.iter().all(CaseResult::passed);
                tested_in(writer, tx, &mut version, passed).await?;
            }
            Ok(TestRun { version, results })
        })
        .await
    }

    /// Approves the tested draft that was read at this revision. Where the policy asks for a second person, nobody who
    /// ever saved it can.
    pub async fn approve_contract_version(
        &self,
        id: ContractId,
        version: i64,
        revision: i64,
        note: Option<String>,
    ) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        let note = note.map(|note| text("note", &note, 1_000)).transpose()?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let now = writer.clock().now();
            let (_, mut draft) = version_in(tx, id, version, now).await?;
            check_writable_in(tx, &draft, Some(revision)).await?;
            let asked = approval_in(tx).await?;
            let writers = writers_in(tx, &draft).await?;
            draft.check_approval(asked, writer.caller().member(), &writers)?;
            if draft.state == VersionState::Approved {
                return Ok(draft);
            }
            (draft.state, draft.approved_at) = (VersionState::Approved, Some(now));
            store::change_version(tx, id, version, store::checked(draft.tested_at, draft.approved_at)).await?;
            step_in(writer, tx, &draft, StepKind::Approved, note.clone()).await?;
            Ok(draft)
        })
        .await
    }

    /// Sends a draft back to its writers, with a word on why. What was tested and approved no longer counts.
    pub async fn reject_contract_version(&self, id: ContractId, version: i64, note: &str) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        let note = text("note", note, 1_000)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (_, mut draft) = version_in(tx, id, version, writer.clock().now()).await?;
            draft.check_open()?;
            (draft.state, draft.tested_at, draft.approved_at) = (VersionState::Draft, None, None);
            store::change_version(tx, id, version, store::checked(None, None)).await?;
            step_in(writer, tx, &draft, StepKind::Rejected, Some(note.clone())).await?;
            Ok(draft)
        })
        .await
    }

    /// Puts a draft in force as it is now; see [`Scoped::activate_contract_revision`].
    pub async fn activate_contract_version(&self, id: ContractId, version: i64) -> Result<ContractVersion> {
        self.activate_contract_revision(id, version, None).await
    }

    /// Puts a draft (of this revision, where one is given) in force from its date on, also for facts that are there
    /// already: closed settlements of those times get corrections. All test cases have to pass, and it has to be
    /// approved where the policy asks. Again is no error and changes nothing.
    pub async fn activate_contract_revision(
        &self,
        id: ContractId,
        version: i64,
        revision: Option<i64>,
    ) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let now = writer.clock().now();
            let (contract, mut draft) = version_in(tx, id, version, now).await?;
            if draft.state.is_fixed() {
                return Ok(draft);
            }
            check_writable_in(tx, &draft, revision).await?;
            draft.check_approved(approval_in(tx).await?)?;
            let new = fits_in(tx, &contract, &draft).await?;
            let results = cases::run_in(tx, &new).await?;
            refuse_failed(&results)?;
            if draft.state == VersionState::Draft {
                tested_in(writer, tx, &mut draft, true).await?;
            }
            (draft.activated_at, draft.activated_by) = (Some(now), writer.caller().member());
            store::change_version(tx, id, version, store::activated(&draft)).await?;
            step_in(writer, tx, &draft, StepKind::Activated, None).await?;
            if let Some(replaces) = draft.replaces {
                replaced_in(writer, tx, &draft, replaces, now).await?;
            }
            tx.bump_epoch(writer.clock()).await?;
            settlements::reprice_in(writer, tx, Some(id)).await?;
            settlements::govern_in(writer, tx, id, draft.valid_from).await?;
            Ok(version_in(tx, id, version, now).await?.1)
        })
        .await
    }

    /// What was done to the versions of these contracts, the latest first. A partner's user sees none of it.
    pub async fn contract_steps(&self, contracts: &[ContractId]) -> Result<Vec<Step>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let rows = store::steps(&tx, contracts).await?;
        let members: BTreeSet<MemberId> = rows.iter().filter_map(|row| row.member_id).collect();
        let names = tenants::member_names_in(&tx, members.into_iter().collect()).await?;
        Ok(rows.into_iter().map(|row| step_of(row, &names)).collect::<Result<_, _>>()?)
    }

    /// What the tenant asks before a version comes into force.
    pub async fn contract_approval(&self) -> Result<Approval> {
        self.require(Permission::Read)?;
        approval_in(&self.read().await?).await
    }

    /// It counts for what is activated from now on.
    pub async fn set_contract_approval(&self, approval: Approval) -> Result<Approval> {
        self.require(Permission::Administer)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (tenant_id, changed_at) = (tx.tenant(), writer.clock().now());
            let row = store::policy::Model { tenant_id, approval: approval.as_str().to_owned(), changed_at };
            store::set_policy(tx, row).await?;
            Ok(approval)
        })
        .await
    }
}

pub(super) async fn insert_draft(
    writer: &Writer,
    tx: &TenantTx,
    contract: ContractId,
    version: i64,
    draft: VersionDraft,
) -> Result<ContractVersion> {
    let (now, member) = (writer.clock().now(), writer.caller().member());
    let terms: &Terms = &draft.terms;
    let row = store::version::Model {
        tenant_id: tx.tenant(),
        contract_id: contract,
        version,
        state: VersionState::Draft.as_str().to_owned(),
        valid_from: terms.cycle.start_of(terms.valid_from),
        terms: json(terms)?,
        created_at: now,
        activated_at: None,
        activated_by: None,
        revision: 1,
        changed_at: Some(now),
        changed_by: member,
        tested_at: None,
        approved_at: None,
        replaces: draft.replaces,
        replaced_at: None,
        replaced_by: None,
    };
    store::insert_version(tx, row.clone()).await?;
    let version = ContractVersion::try_from(row)?;
    step_in(writer, tx, &version, StepKind::Created, None).await?;
    Ok(version)
}

/// That a draft names another version of its contract, where it names one.
fn check_replaces(draft: &VersionDraft, mut others: impl Iterator<Item = i64>) -> Result<()> {
    match draft.replaces {
        Some(replaces) if !others.any(|other| other == replaces) => {
            let message = format!("the contract has no other version {replaces}");
            Err(Problem::new(Code::NotFound, "replaces", message).into())
        }
        _ => Ok(()),
    }
}

/// Puts other terms in the place of a draft's. It is neither tested nor approved after.
pub(super) async fn save_in(
    writer: &Writer,
    tx: &TenantTx,
    contract: &Contract,
    mut draft: ContractVersion,
    new: VersionDraft,
) -> Result<ContractVersion> {
    check_in(tx, contract, &new.terms).await?;
    let versions = store::versions(tx, &[draft.contract]).await?;
    let others = versions.iter().map(|other| other.version).filter(|other| *other != draft.version);
    check_replaces(&new, others)?;
    (draft.terms, draft.replaces) = (new.terms, new.replaces);
    draft.valid_from = draft.terms.cycle.start_of(draft.terms.valid_from);
    draft.revision += 1;
    (draft.changed_at, draft.changed_by) = (Some(writer.clock().now()), writer.caller().member());
    (draft.state, draft.tested_at, draft.approved_at) = (VersionState::Draft, None, None);
    let change = store::saved(&draft, json(&draft.terms)?);
    store::change_version(tx, draft.contract, draft.version, change).await?;
    step_in(writer, tx, &draft, StepKind::Saved, None).await?;
    Ok(draft)
}

/// That a version may still change, and is as the caller read it.
pub(super) async fn check_writable_in(tx: &TenantTx, draft: &ContractVersion, revision: Option<i64>) -> Result<()> {
    draft.check_open()?;
    let Some(read) = revision.filter(|read| *read != draft.revision) else { return Ok(()) };
    let names = tenants::member_names_in(tx, draft.changed_by.into_iter().collect()).await?;
    Ok(draft.check_revision(read, draft.changed_by.and_then(|member| names.get(&member)).map(String::as_str))?)
}

/// The version as it would be in force, once nothing is in its way.
async fn fits_in(tx: &TenantTx, contract: &Contract, draft: &ContractVersion) -> Result<ActiveVersion> {
    let active = check_in(tx, contract, &draft.terms).await?;
    let new = draft.clone().active(contract.partner_id);
    let active = activation::without_replaced(&new, draft.replaces, active)?;
    let mut problems = activation::check(&new, &active);
    problems.extend(activation::recuts(&new, &active, &settlements::periods_in(tx, contract.id).await?));
    refuse(problems)?;
    Ok(new)
}

fn refuse_failed(results: &[CaseResult]) -> Result<()> {
    let failed = results.iter().enumerate().filter(|(_, result)| !result.passed());
    let problems: Vec<Problem> = failed
        .map(|(position, result)| Problem::new(Code::TestCaseFailed, format!("testCases.{position}"), result.told()))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

/// A draft that fails is no longer what somebody approved.
async fn tested_in(writer: &Writer, tx: &TenantTx, draft: &mut ContractVersion, passed: bool) -> Result<()> {
    let now = writer.clock().now();
    draft.tested_at = passed.then_some(now);
    draft.approved_at = draft.approved_at.filter(|_| passed);
    draft.state = match (passed, draft.approved_at) {
        (false, _) => VersionState::Draft,
        (true, None) => VersionState::Tested,
        (true, Some(_)) => VersionState::Approved,
    };
    let change = store::checked(draft.tested_at, draft.approved_at);
    store::change_version(tx, draft.contract, draft.version, change).await?;
    step_in(writer, tx, draft, if passed { StepKind::Tested } else { StepKind::TestFailed }, None).await
}

async fn replaced_in(
    writer: &Writer,
    tx: &TenantTx,
    new: &ContractVersion,
    replaces: i64,
    now: Timestamp,
) -> Result<()> {
    store::change_version(tx, new.contract, replaces, store::replaced(now, new.version)).await?;
    let versions = versions_in(tx, &[new.contract], now).await?;
    match versions.iter().find(|version| version.version == replaces) {
        Some(old) => step_in(writer, tx, old, StepKind::Replaced, None).await,
        None => Err(Fault::Internal(format!("{} has no version {replaces}", new.contract)).into()),
    }
}

async fn step_in(
    writer: &Writer,
    tx: &TenantTx,
    version: &ContractVersion,
    kind: StepKind,
    note: Option<String>,
) -> Result<()> {
    let step = store::step::Model {
        tenant_id: tx.tenant(),
        id: writer.clock().id(),
        contract_id: version.contract,
        version: version.version,
        kind: kind.as_str().to_owned(),
        revision: version.revision,
        member_id: writer.caller().member(),
        made_at: writer.clock().now(),
        note,
    };
    Ok(store::insert_step(tx, step).await?)
}

/// Everybody who wrote at this version. Of versions that are older than their steps, the last one who did is known.
async fn writers_in(tx: &TenantTx, version: &ContractVersion) -> Result<BTreeSet<MemberId>> {
    let kinds = [StepKind::Created, StepKind::Saved];
    let steps = store::steps_of(tx, version.contract, version.version, &kinds).await?;
    Ok(steps.into_iter().filter_map(|step| step.member_id).chain(version.changed_by).collect())
}

async fn approval_in(tx: &TenantTx) -> Result<Approval> {
    let Some(row) = store::policy(tx).await? else { return Ok(Approval::default()) };
    Ok(Approval::parse(&row.approval).ok_or_else(|| Fault::Corrupt(format!("the approval '{}'", row.approval)))?)
}

fn step_of(row: store::step::Model, names: &BTreeMap<MemberId, String>) -> Result<Step, Fault> {
    let kind = StepKind::parse(&row.kind).ok_or_else(|| Fault::Corrupt(format!("the step '{}'", row.kind)))?;
    Ok(Step {
        contract: row.contract_id,
        version: row.version,
        kind,
        revision: row.revision,
        made_at: row.made_at,
        member_name: row.member_id.and_then(|member| names.get(&member).cloned()),
        note: row.note,
    })
}
