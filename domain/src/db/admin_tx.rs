//! A transaction over the rows of the installation: tenants by their slug, and the signing keys. It reaches no
//! tenant's data.

use sea_orm::{ActiveModelTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, Select, UpdateMany};

use super::TenantTx;
use super::tenant_tx::At;
use crate::ids::TenantId;

/// Entities of the installation. A tenant-owned entity must never implement it; the tidy test checks the list.
pub trait Installation: EntityTrait {}

pub struct AdminTx {
    tx: DatabaseTransaction,
    at: At,
}

impl AdminTx {
    pub(super) fn new(tx: DatabaseTransaction, at: At) -> Self {
        Self { tx, at }
    }

    pub async fn all<E: Installation>(
        &self,
        narrow: impl FnOnce(Select<E>) -> Select<E>,
    ) -> Result<Vec<E::Model>, DbErr> {
        self.at.ask(narrow(E::find()).all(&self.tx)).await
    }

    pub async fn one<E: Installation>(
        &self,
        narrow: impl FnOnce(Select<E>) -> Select<E>,
    ) -> Result<Option<E::Model>, DbErr> {
        self.at.ask(narrow(E::find()).one(&self.tx)).await
    }

    pub async fn insert<A>(&self, row: A) -> Result<(), DbErr>
    where
        A: ActiveModelTrait,
        A::Entity: Installation,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
    {
        <A::Entity as EntityTrait>::insert(row).exec_without_returning(&self.tx).await.map(drop)
    }

    pub async fn update<E: Installation>(
        &self,
        narrow: impl FnOnce(UpdateMany<E>) -> UpdateMany<E>,
    ) -> Result<u64, DbErr> {
        Ok(narrow(E::update_many()).exec(&self.tx).await?.rows_affected)
    }

    /// Goes on as a transaction of one tenant: how a new tenant gets its first rows together with its own.
    pub async fn into_tenant(self, tenant: TenantId) -> Result<TenantTx, DbErr> {
        super::bind(&self.tx, tenant).await?;
        Ok(TenantTx::new(self.tx, self.at, tenant, None))
    }

    pub async fn commit(self) -> Result<(), DbErr> {
        self.tx.commit().await
    }
}
