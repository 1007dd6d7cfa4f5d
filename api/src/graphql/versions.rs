//! The life of a contract's version: what is done to it on its way into force, by whom, and what it says otherwise.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::contracts::{self, case, difference};
use domain::ids::ContractId;
use domain::settlements::settlement;

use super::contracts::{Contract, ContractVersion};
use super::drafting::version_payload;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::lines::LineCode;
use super::loaders;
use super::page::short;
use super::scalars::{DateTime, Decimal};
use super::scoped;

/// What was done to a version.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::StepKind")]
pub enum ContractVersionStepKind {
    /// It was written.
    Created,
    /// The draft was saved. What was tested and approved before no longer counts.
    Saved,
    /// All test cases passed.
    Tested,
    /// A test case failed.
    TestFailed,
    /// It was approved.
    Approved,
    /// It was sent back to its writers.
    Rejected,
    /// It was put in force.
    Activated,
    /// Another version took its place.
    Replaced,
}

/// What was done to a version, when and by whom.
#[derive(SimpleObject)]
pub struct ContractVersionStep {
    /// What was done.
    pub kind: ContractVersionStepKind,
    /// To which revision.
    pub revision: i64,
    /// When.
    pub made_at: DateTime,
    /// The name of the member who did it; null for the operator.
    pub member_name: Option<String>,
    /// What was said about it.
    pub note: Option<String>,
}

impl From<contracts::Step> for ContractVersionStep {
    fn from(step: contracts::Step) -> Self {
        Self {
            kind: step.kind.into(),
            revision: step.revision,
            made_at: step.made_at.into(),
            member_name: step.member_name,
            note: step.note,
        }
    }
}

/// One field that two versions have otherwise.
#[derive(SimpleObject)]
pub struct ContractDifference {
    /// As in the input; a row is named by its code, and a name by itself: `rateTable.rows[night].percent`.
    pub path: String,
    /// What the other version has; null where it has no such field or entry. At most 1000 characters.
    pub before: Option<String>,
    /// What this version has.
    pub after: Option<String>,
}

impl From<difference::Difference> for ContractDifference {
    fn from(found: difference::Difference) -> Self {
        Self { path: found.path, before: found.before, after: found.after }
    }
}

/// What came of a test case.
#[derive(SimpleObject)]
pub struct ContractTestResult {
    /// The name of the case.
    pub name: String,
    /// Whether it gave what it expects.
    pub passed: bool,
    /// What is not as expected, in words; null where it passed.
    pub message: Option<String>,
    /// Each line with an amount, expected or there.
    #[graphql(complexity = "short(child_complexity)")]
    pub lines: Vec<ContractTestedLine>,
    /// The total that it expects, in major units; null where it could not be calculated.
    pub expected_total: Option<Decimal>,
    /// The total that came of it.
    pub total: Option<Decimal>,
}

/// A line that a test case expects or that came of it. Amounts are in major units.
#[derive(SimpleObject)]
pub struct ContractTestedLine {
    /// What kind of line it is; null for one of a kind that is not known.
    pub code: Option<LineCode>,
    /// The code of the rate table's row.
    pub rate_class: Option<String>,
    /// The code of the fee, or the clause that bounds the sum, where lines of it are told apart.
    pub clause: Option<String>,
    /// Null where the case expects no such line, or names no lines.
    pub expected: Option<Decimal>,
    /// Null where there is no such line.
    pub amount: Option<Decimal>,
    /// Whether it is as it should be.
    pub matches: bool,
}

impl From<case::CaseResult> for ContractTestResult {
    fn from(result: case::CaseResult) -> Self {
        let line = |line: case::Compared| ContractTestedLine {
            code: settlement::LineCode::parse(&line.code).map(LineCode::from),
            rate_class: line.rate_class,
            clause: line.clause,
            expected: line.expected.map(Decimal),
            amount: line.got.map(Decimal),
            matches: line.matches,
        };
        Self {
            passed: result.passed(),
            message: (!result.passed()).then(|| result.told()),
            name: result.name,
            lines: result.lines.into_iter().map(line).collect(),
            expected_total: result.total.expected.map(Decimal),
            total: result.total.got.map(Decimal),
        }
    }
}

/// What is asked before a version of a contract comes into force.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::Approval")]
pub enum ContractApproval {
    /// Nothing but that its test cases pass.
    None,
    /// The approval of somebody who did not write it.
    SecondPerson,
}

/// How the tenant goes about contracts.
#[derive(SimpleObject)]
pub struct ContractPolicy {
    /// What is asked before a version of a contract comes into force.
    pub approval: ContractApproval,
}

#[derive(Default)]
pub struct VersionsQuery;

#[Object]
impl VersionsQuery {
    /// How the tenant goes about contracts.
    async fn contract_policy(&self, ctx: &Context<'_>) -> Result<ContractPolicy, Failure> {
        Ok(ContractPolicy { approval: scoped(ctx)?.contract_approval().await?.into() })
    }
}

/// What `testContractVersion` takes.
#[derive(InputObject)]
pub struct TestContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// The number of the version.
    version: i64,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `approveContractVersion` takes.
#[derive(InputObject)]
pub struct ApproveContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// The number of the version.
    version: i64,
    /// The revision that was read. Where somebody saved another one since, nothing is approved.
    revision: i64,
    /// A word on it.
    note: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `rejectContractVersion` takes.
#[derive(InputObject)]
pub struct RejectContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// The number of the version.
    version: i64,
    /// Why.
    note: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `updateContractPolicy` takes.
#[derive(InputObject)]
pub struct UpdateContractPolicyInput {
    /// What is asked before a version of a contract comes into force, from now on.
    approval: ContractApproval,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

version_payload!(
    /// What `approveContractVersion` did.
    ApproveContractVersionPayload
);
version_payload!(
    /// What `rejectContractVersion` did.
    RejectContractVersionPayload
);

/// What `testContractVersion` did.
#[derive(SimpleObject)]
pub struct TestContractVersionPayload {
    /// The version as it is now: a draft is `TESTED` when all cases passed, or when there are none.
    pub contract_version: Option<ContractVersion>,
    /// What came of each case, by name.
    #[graphql(complexity = "short(child_complexity)")]
    pub results: Vec<ContractTestResult>,
    /// What should have been done otherwise; empty when it is done, also where cases failed.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `updateContractPolicy` did.
#[derive(SimpleObject)]
pub struct UpdateContractPolicyPayload {
    /// As it is now.
    pub contract_policy: Option<ContractPolicy>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct VersionsMutation;

#[Object]
impl VersionsMutation {
    /// Runs the contract's test cases under a version. One that is in force is only tried.
    async fn test_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: TestContractVersionInput,
    ) -> Result<TestContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let run = once(ctx, input.idempotency_key, async |scoped| {
            scoped.test_contract_version(contract, input.version).await
        });
        let (run, user_errors) = outcome(run.await?.map_err(Failure::from))?;
        let (version, results) = run.map(|run| (run.version, run.results)).unzip();
        Ok(TestContractVersionPayload {
            contract_version: version.map(ContractVersion::from),
            results: results.into_iter().flatten().map(ContractTestResult::from).collect(),
            user_errors,
        })
    }

    /// Approves a tested draft as it was read. Where `contractPolicy` asks for a second person, nobody who ever saved
    /// the draft can.
    async fn approve_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ApproveContractVersionInput,
    ) -> Result<ApproveContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let approved = once(ctx, input.idempotency_key, async |scoped| {
            scoped.approve_contract_version(contract, input.version, input.revision, input.note).await
        });
        ApproveContractVersionPayload::of(approved.await?)
    }

    /// Sends a draft back to its writers. What was tested and approved no longer counts.
    async fn reject_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: RejectContractVersionInput,
    ) -> Result<RejectContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let rejected = once(ctx, input.idempotency_key, async |scoped| {
            scoped.reject_contract_version(contract, input.version, &input.note).await
        });
        RejectContractVersionPayload::of(rejected.await?)
    }

    /// Says how the tenant goes about contracts from now on. For administrators.
    async fn update_contract_policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: UpdateContractPolicyInput,
    ) -> Result<UpdateContractPolicyPayload, Failure> {
        let set =
            once(ctx, input.idempotency_key, async |scoped| scoped.set_contract_approval(input.approval.into()).await);
        let (approval, user_errors) = outcome(set.await?.map_err(Failure::from))?;
        let contract_policy = approval.map(|approval| ContractPolicy { approval: approval.into() });
        Ok(UpdateContractPolicyPayload { contract_policy, user_errors })
    }
}
