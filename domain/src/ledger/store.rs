//! The tables `ledger_accounts`, `ledger_books`, `ledger_entries` and `ledger_legs`.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, ExprTrait, FromQueryResult, QueryFilter, QueryOrder, Set, Value};

use crate::clock::Clock;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{AccountId, EntryId, PartnerId, SettlementId, TenantId};
use crate::money::Minor;
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::posting::AccountCode;

pub mod account {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AccountId,
        pub code: String,
        /// [`PartnerId::NONE`] for the tenant's own accounts.
        pub partner_id: PartnerId,
        pub currency: String,
        /// Debit positive.
        pub balance: Minor,
    }

    tenant_owned!(Reach::Partner(Column::PartnerId));
}

pub mod book {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_books")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub settlement_id: SettlementId,
        pub posted: Minor,
        pub closed: bool,
    }

    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

pub mod entry {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_entries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: EntryId,
        pub settlement_id: SettlementId,
        pub reason: String,
        pub posted_at: Timestamp,
    }

    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

pub mod leg {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_legs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub entry_id: EntryId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        pub account_id: AccountId,
        /// Debit positive.
        pub amount: Minor,
    }

    // Reached only through an entry that the caller may see.
    tenant_owned!(Reach::Shared);
}

pub async fn accounts(tx: &TenantTx) -> Result<Vec<account::Model>, DbErr> {
    use account::Column;
    tx.all::<account::Entity>(|q| {
        q.order_by_asc(Column::Code).order_by_asc(Column::PartnerId).order_by_asc(Column::Currency)
    })
    .await
}

pub async fn accounts_page(tx: &TenantTx, page: PageRequest) -> Result<Vec<account::Model>, DbErr> {
    tx.all::<account::Entity>(|q| paged!(q, account::Column::Id, page)).await
}

pub async fn accounts_by_ids(tx: &TenantTx, ids: &[AccountId]) -> Result<Vec<account::Model>, DbErr> {
    tx.all::<account::Entity>(|q| q.filter(account::Column::Id.is_in(ids.iter().copied()))).await
}

/// The account of a partner (or of the tenant) in a currency, opened when it is first needed.
pub async fn account(
    tx: &TenantTx,
    clock: &Clock,
    code: AccountCode,
    partner: PartnerId,
    currency: &str,
) -> Result<AccountId, DbErr> {
    use account::Column;
    let known = tx
        .one::<account::Entity>(|q| {
            q.filter(Column::Code.eq(code.as_str()))
                .filter(Column::PartnerId.eq(partner))
                .filter(Column::Currency.eq(currency))
        })
        .await?;
    if let Some(account) = known {
        return Ok(account.id);
    }
    let id = clock.id();
    let model = account::Model {
        tenant_id: tx.tenant(),
        id,
        code: code.as_str().to_owned(),
        partner_id: partner,
        currency: currency.to_owned(),
        balance: Minor::ZERO,
    };
    tx.insert(account::ActiveModel::from(model)).await?;
    Ok(id)
}

pub async fn add_to(tx: &TenantTx, account: AccountId, amount: Minor) -> Result<(), DbErr> {
    use account::Column;
    let sum = Expr::col(Column::Balance).add(amount.0);
    tx.update::<account::Entity>(|q| q.col_expr(Column::Balance, sum).filter(Column::Id.eq(account))).await.map(drop)
}

pub async fn book(tx: &TenantTx, settlement: SettlementId) -> Result<Option<book::Model>, DbErr> {
    tx.one::<book::Entity>(|q| q.filter(book::Column::SettlementId.eq(settlement))).await
}

pub async fn new_book(tx: &TenantTx, settlement: SettlementId) -> Result<(), DbErr> {
    let model = book::Model { tenant_id: tx.tenant(), settlement_id: settlement, posted: Minor::ZERO, closed: false };
    tx.insert(book::ActiveModel::from(model)).await
}

pub async fn set_posted(tx: &TenantTx, settlement: SettlementId, posted: Minor) -> Result<(), DbErr> {
    let change = book::ActiveModel { posted: Set(posted), ..Default::default() };
    tx.update::<book::Entity>(|q| q.set(change).filter(book::Column::SettlementId.eq(settlement))).await.map(drop)
}

pub async fn close_book(tx: &TenantTx, settlement: SettlementId) -> Result<(), DbErr> {
    let change = book::ActiveModel { closed: Set(true), ..Default::default() };
    tx.update::<book::Entity>(|q| q.set(change).filter(book::Column::SettlementId.eq(settlement))).await.map(drop)
}

pub async fn insert_entry(
    tx: &TenantTx,
    id: EntryId,
    settlement: SettlementId,
    reason: &str,
    posted_at: Timestamp,
) -> Result<(), DbErr> {
    let model =
        entry::Model { tenant_id: tx.tenant(), id, settlement_id: settlement, reason: reason.to_owned(), posted_at };
    tx.insert(entry::ActiveModel::from(model)).await
}

pub async fn insert_leg(
    tx: &TenantTx,
    entry: EntryId,
    position: i64,
    account: AccountId,
    amount: Minor,
) -> Result<(), DbErr> {
    let model = leg::Model { tenant_id: tx.tenant(), entry_id: entry, position, account_id: account, amount };
    tx.insert(leg::ActiveModel::from(model)).await
}

/// One page, and one row more, of the entries of each settlement, latest first.
///
/// The first statement says which; it reads no more of a settlement than its page, however much was posted for it. The
/// second one is held to what the caller may see.
pub async fn entries_of(
    tx: &TenantTx,
    settlements: &[SettlementId],
    page: PageRequest,
) -> Result<Vec<entry::Model>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        id: EntryId,
    }
    if settlements.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = vec!["?"; settlements.len()].join(", ");
    let sql = format!(
        "WITH wanted AS (SELECT tenant_id, id FROM settlements WHERE tenant_id = ? AND id IN ({wanted})) \
         SELECT entry.id FROM wanted JOIN ledger_entries AS entry \
         ON entry.tenant_id = wanted.tenant_id AND entry.id IN \
         (SELECT id FROM ledger_entries WHERE tenant_id = wanted.tenant_id AND settlement_id = wanted.id \
         AND id < ? ORDER BY id DESC LIMIT ?)"
    );
    let mut parameters: Vec<Value> = settlements.iter().map(|id| (*id).into()).collect();
    parameters.push(page.after.unwrap_or(Uuid::max()).into());
    parameters.push(i64::try_from(page.first + 1).unwrap_or(i64::MAX).into());
    let ids: Vec<EntryId> = tx.bulk_query::<Row>(&sql, parameters).await?.into_iter().map(|row| row.id).collect();
    tx.all::<entry::Entity>(|q| q.filter(entry::Column::Id.is_in(ids)).order_by_desc(entry::Column::Id)).await
}

/// What is held of a settlement, by partner: the credit of its legs on the account for that.
pub async fn held(tx: &TenantTx, settlement: SettlementId) -> Result<BTreeMap<PartnerId, Minor>, DbErr> {
    #[derive(FromQueryResult)]
    struct Sum {
        partner: PartnerId,
        held: Option<i64>,
    }
    let sql = "SELECT account.partner_id AS partner, CAST(sum(-leg.amount) AS BIGINT) AS held \
               FROM ledger_entries AS entry \
               JOIN ledger_legs AS leg ON leg.tenant_id = entry.tenant_id AND leg.entry_id = entry.id \
               JOIN ledger_accounts AS account ON account.tenant_id = leg.tenant_id AND account.id = leg.account_id \
               WHERE entry.tenant_id = ? AND entry.settlement_id = ? AND account.code = ? GROUP BY account.partner_id";
    let parameters = vec![settlement.into(), AccountCode::Held.as_str().into()];
    let rows = tx.bulk_query::<Sum>(sql, parameters).await?;
    Ok(rows.into_iter().map(|row| (row.partner, Minor(row.held.unwrap_or_default()))).collect())
}

pub async fn entry_by_id(tx: &TenantTx, id: EntryId) -> Result<Option<entry::Model>, DbErr> {
    tx.one::<entry::Entity>(|q| q.filter(entry::Column::Id.eq(id))).await
}

pub async fn legs_of(tx: &TenantTx, entries: impl Iterator<Item = EntryId>) -> Result<Vec<leg::Model>, DbErr> {
    use leg::Column;
    tx.all::<leg::Entity>(|q| {
        q.filter(Column::EntryId.is_in(entries)).order_by_asc(Column::EntryId).order_by_asc(Column::Position)
    })
    .await
}

pub async fn all_entries(tx: &TenantTx) -> Result<Vec<entry::Model>, DbErr> {
    tx.all::<entry::Entity>(|q| q).await
}

pub async fn all_legs(tx: &TenantTx) -> Result<Vec<leg::Model>, DbErr> {
    tx.all::<leg::Entity>(|q| q).await
}

pub async fn all_books(tx: &TenantTx) -> Result<Vec<book::Model>, DbErr> {
    tx.all::<book::Entity>(|q| q).await
}
