//! A transaction that belongs to one tenant.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnAcquireErr, ConnectionTrait, DatabaseTransaction, DbErr, DeleteMany,
    EntityTrait, FromQueryResult, IntoActiveModel, PaginatorTrait, QueryFilter, QueryResult, Select, Statement,
    StreamTrait, UpdateMany,
};
use tokio_util::sync::CancellationToken;

use super::bulk::Waiting;
use crate::error::Fault;
use crate::events::event::News;
use crate::ids::{PartnerId, TenantId};

/// An entity whose rows belong to tenants. Every entity of the core implements it; those of the installation
/// (`tenants`, `signing_keys`) do not, and only [`super::AdminTx`] reads them.
pub trait TenantOwned: EntityTrait {
    const TENANT: Self::Column;
    /// What a partner's own user gets to see of it.
    const REACH: Reach<Self::Column>;
}

#[derive(Clone, Copy)]
pub enum Reach<C> {
    /// Everybody in the tenant: products, assets.
    Shared,
    /// Rows of its partner, named by this column.
    Partner(C),
    /// Rows of its partner's sources, named by this column.
    Source(C),
    /// Rows of its partner's contracts, named by this column.
    Contract(C),
    /// Rows of its partner's settlements, named by this column.
    Settlement(C),
    /// Nothing: members, keys, the ledger.
    Hidden,
}

/// A transaction of one tenant, and the only thing that runs a query for it.
///
/// It is no connection: what has not come through its methods, which add the tenant, does not compile.
///
/// ```compile_fail,E0277
/// async fn forgets_the_tenant<E: domain::db::TenantOwned>(tx: &domain::db::TenantTx) {
///     E::find().all(tx).await.ok();
/// }
/// ```
///
/// ```
/// async fn has_the_tenant<E: domain::db::TenantOwned>(tx: &domain::db::TenantTx) {
///     tx.all::<E>(|select| select).await.ok();
/// }
/// ```
pub struct TenantTx {
    tx: DatabaseTransaction,
    tenant: TenantId,
    partner: Option<PartnerId>,
    announced: Mutex<BTreeSet<News>>,
    /// Whether there is mail for the outbox among the changes.
    posted: AtomicBool,
    /// Rows that go in with the next statement.
    waiting: Mutex<Vec<Waiting>>,
    /// Of which server this is, where there are several.
    at: At,
}

/// The server at which a transaction is.
#[derive(Clone, Default)]
pub(super) struct At {
    /// Whether a COMMIT waits for another server.
    pub waits: bool,
    /// Cancelled when another server takes the writes: what is asked here may never be answered.
    pub gone: CancellationToken,
}

impl At {
    /// What comes of this, unless the server is gone before.
    pub async fn ask<T>(&self, question: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        tokio::select! {
            answer = question => answer,
            () = self.gone.cancelled() => Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)),
        }
    }
}

impl TenantTx {
    pub(super) fn new(tx: DatabaseTransaction, at: At, tenant: TenantId, partner: Option<PartnerId>) -> Self {
        let (announced, posted, waiting) = (Mutex::default(), AtomicBool::default(), Mutex::default());
        Self { tx, tenant, partner, announced, posted, waiting, at }
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Keeps news for the end of the change, which gives them their places. The same news twice are told once.
    pub(crate) fn announce(&self, news: News) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(news);
    }

    pub(crate) fn announced(&self) -> Vec<News> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Has whoever ends the change wake the delivery of mail after COMMIT.
    pub(crate) fn mark_posted(&self) {
        self.posted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_posted(&self) -> bool {
        self.posted.load(Ordering::Relaxed)
    }

    /// Durable when it comes back. A reply that got lost on the way is [`Fault::Unanswered`].
    pub async fn commit(self) -> Result<(), Fault> {
        self.settle().await?;
        if self.at.waits {
            self.tx.execute_unprepared(super::postgres::WAIT_FOR_IT).await?;
        }
        self.tx.commit().await.map_err(|error| match super::is_passing(&error) {
            true => Fault::Unanswered,
            false => error.into(),
        })
    }

    /// Gives the transaction up now. Dropping it does the same, later.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.tx.rollback().await
    }

    pub async fn all<E: TenantOwned>(
        &self,
        narrow: impl FnOnce(Select<E>) -> Select<E>,
    ) -> Result<Vec<E::Model>, DbErr> {
        let connection = self.connection().await?;
        self.at.ask(narrow(self.select::<E>()).all(connection)).await
    }

    pub async fn one<E: TenantOwned>(
        &self,
        narrow: impl FnOnce(Select<E>) -> Select<E>,
    ) -> Result<Option<E::Model>, DbErr> {
        let connection = self.connection().await?;
        self.at.ask(narrow(self.select::<E>()).one(connection)).await
    }

    pub async fn count<E>(&self, narrow: impl FnOnce(Select<E>) -> Select<E>) -> Result<u64, DbErr>
    where
        E: TenantOwned,
        E::Model: FromQueryResult + Sized + Send + Sync,
    {
        let connection = self.connection().await?;
        self.at.ask(narrow(self.select::<E>()).count(connection)).await
    }

    /// Rows of another shape than the entity's: aggregates, a few columns.
    pub async fn rows<E: TenantOwned, R: FromQueryResult>(
        &self,
        narrow: impl FnOnce(Select<E>) -> Select<E>,
    ) -> Result<Vec<R>, DbErr> {
        let connection = self.connection().await?;
        self.at.ask(narrow(self.select::<E>()).into_model::<R>().all(connection)).await
    }

    /// Inserts one row of this tenant, whatever tenant the model names.
    pub async fn insert<A>(&self, row: A) -> Result<(), DbErr>
    where
        A: ActiveModelTrait,
        A::Entity: TenantOwned,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
    {
        self.insert_all([row]).await
    }

    /// Inserts some rows; for thousands use [`TenantTx::bulk_insert`].
    pub async fn insert_all<A>(&self, rows: impl IntoIterator<Item = A>) -> Result<(), DbErr>
    where
        A: ActiveModelTrait,
        A::Entity: TenantOwned,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
    {
        let stamped: Vec<A> = rows
            .into_iter()
            .map(|mut row| {
                row.set(<A::Entity as TenantOwned>::TENANT, self.tenant.into());
                row
            })
            .collect();
        if stamped.is_empty() {
            return Ok(());
        }
        <A::Entity as EntityTrait>::insert_many(stamped)
            .exec_without_returning(self.connection().await?)
            .await
            .map(drop)
    }

    /// Changes this tenant's rows that `narrow` picks; how many there were.
    pub async fn update<E: TenantOwned>(
        &self,
        narrow: impl FnOnce(UpdateMany<E>) -> UpdateMany<E>,
    ) -> Result<u64, DbErr> {
        let update = E::update_many().filter(E::TENANT.eq(self.tenant));
        Ok(narrow(update).exec(self.connection().await?).await?.rows_affected)
    }

    pub async fn delete<E: TenantOwned>(
        &self,
        narrow: impl FnOnce(DeleteMany<E>) -> DeleteMany<E>,
    ) -> Result<u64, DbErr> {
        let delete = E::delete_many().filter(E::TENANT.eq(self.tenant));
        Ok(narrow(delete).exec(self.connection().await?).await?.rows_affected)
    }

    /// For what is written out here and binds the tenant itself. What waited to be inserted is in by now.
    pub(super) async fn connection(&self) -> Result<&DatabaseTransaction, DbErr> {
        self.settle().await?;
        Ok(&self.tx)
    }

    /// The same for what has settled it or asks nothing.
    pub(super) fn settled(&self) -> &DatabaseTransaction {
        &self.tx
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_postgres(&self) -> bool {
        super::is_postgres(&self.tx)
    }

    /// The same for what does not fit into memory: rows as the database finds them.
    pub(super) async fn stream(
        &self,
        statement: Statement,
    ) -> Result<impl Stream<Item = Result<QueryResult, DbErr>> + Send, DbErr> {
        self.tx.stream_raw(statement).await
    }

    fn select<E: TenantOwned>(&self) -> Select<E> {
        let select = E::find().filter(E::TENANT.eq(self.tenant));
        let Some(partner) = self.partner else { return select };
        let own = |table: &'static str| {
            Query::select()
                .column(Alias::new("id"))
                .from(Alias::new(table))
                .and_where(Expr::col(Alias::new("tenant_id")).eq(self.tenant))
                .and_where(Expr::col(Alias::new("partner_id")).eq(partner))
                .to_owned()
        };
        match E::REACH {
            Reach::Shared => select,
            Reach::Partner(column) => select.filter(column.eq(partner)),
            Reach::Source(column) => select.filter(column.in_subquery(own("sources"))),
            Reach::Contract(column) => select.filter(column.in_subquery(own("contracts"))),
            Reach::Settlement(column) => select.filter(column.in_subquery(own("settlements"))),
            Reach::Hidden => select.filter(Expr::val(1).eq(0)),
        }
    }
}
