//! Everything that has a global id, found by it.

use async_graphql::{Context, ID, Interface, Object};
use domain::ids::{
    AccountId, ApiKeyId, CaseId, ConflictId, ContractId, EntryId, FundId, ImportRunId, MemberId, PartnerId, ProductId,
    QuarantineId, SettlementId, SourceId, TransactionId,
};
use domain::{Error, Scoped};

use super::access::Member;
use super::anomalies::AnomalyCase;
use super::api_keys::ApiKey;
use super::catalogue::Product;
use super::contracts::Contract;
use super::errors::{Failure, or_null};
use super::funds::FundEntry;
use super::imports::ImportRun;
use super::ledger::{LedgerAccount, LedgerEntry};
use super::partners::Partner;
use super::quarantine::{Conflict, QuarantinedRecord};
use super::scoped;
use super::settlements::Settlement;
use super::sources::Source;
use super::transactions::Transaction;

// Its types are `SimpleObject`s with a field `id`; a field that takes a query is in a `ComplexObject` beside it.
/// Something with a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "Of this thing, for `node` and for inputs that name it."))]
pub enum Node {
    Member(Member),
    ApiKey(ApiKey),
    Partner(Partner),
    Product(Product),
    Source(Source),
    Contract(Contract),
    Transaction(Transaction),
    ImportRun(ImportRun),
    QuarantinedRecord(QuarantinedRecord),
    Conflict(Conflict),
    Settlement(Settlement),
    LedgerAccount(LedgerAccount),
    LedgerEntry(LedgerEntry),
    AnomalyCase(AnomalyCase),
    FundEntry(FundEntry),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Whatever has this id; null when nothing has, or nothing that you may see.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An `id` of any type.")] id: ID,
    ) -> Result<Option<Node>, Failure> {
        match or_null(find(scoped(ctx)?, &id).await) {
            // Who may not see such things learns no more than of things that are not there.
            Err(Failure::Core(Error::Denied(_))) => Ok(None),
            found => found,
        }
    }
}

/// One arm for each type of [`Node`]; a text that no type knows is nothing.
async fn find(scoped: &Scoped, text: &str) -> domain::Result<Node> {
    if let Some(id) = MemberId::parse(text) {
        return Ok(Node::Member(scoped.member(id).await?.into()));
    }
    if let Some(id) = ApiKeyId::parse(text) {
        return Ok(Node::ApiKey(scoped.api_key(id).await?.into()));
    }
    if let Some(id) = PartnerId::parse(text) {
        return first(scoped.partners_by_ids(&[id]).await?, Node::Partner);
    }
    if let Some(id) = ProductId::parse(text) {
        return first(scoped.product(id).await?, Node::Product);
    }
    if let Some(id) = SourceId::parse(text) {
        return first(scoped.source(id).await?, Node::Source);
    }
    if let Some(id) = ContractId::parse(text) {
        return first(scoped.contract(id).await?, Node::Contract);
    }
    if let Some(id) = TransactionId::parse(text) {
        return first(scoped.transactions_by_ids(&[id]).await?, Node::Transaction);
    }
    if let Some(id) = ImportRunId::parse(text) {
        return first(scoped.import_run(id).await?, Node::ImportRun);
    }
    if let Some(id) = QuarantineId::parse(text) {
        return first(scoped.quarantined_record(id).await?, Node::QuarantinedRecord);
    }
    if let Some(id) = ConflictId::parse(text) {
        return first(scoped.conflict(id).await?, Node::Conflict);
    }
    if let Some(id) = SettlementId::parse(text) {
        return first(scoped.settlements_by_ids(&[id]).await?, Node::Settlement);
    }
    if let Some(id) = AccountId::parse(text) {
        return first(scoped.accounts_by_ids(&[id]).await?, Node::LedgerAccount);
    }
    if let Some(id) = EntryId::parse(text) {
        return first(scoped.entry(id).await?, Node::LedgerEntry);
    }
    if let Some(id) = CaseId::parse(text) {
        return first(scoped.anomaly_cases_by_ids(&[id]).await?, Node::AnomalyCase);
    }
    if let Some(id) = FundId::parse(text) {
        return first(scoped.fund_entry(id).await?, Node::FundEntry);
    }
    Err(Error::NotFound("node"))
}

/// The one row that an id found.
fn first<R, N: From<R>>(rows: impl IntoIterator<Item = R>, node: fn(N) -> Node) -> domain::Result<Node> {
    rows.into_iter().next().map(|row| node(row.into())).ok_or(Error::NotFound("node"))
}
