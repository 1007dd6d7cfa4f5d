//! Partners: the parties that are owed or owe money.

mod store;

use std::collections::BTreeMap;

use sea_orm::Set;

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::PartnerId;
use crate::page::{Page, PageRequest};

pub use store::Model as Partner;

pub struct NewPartner {
    pub name: String,
    /// The tenant's own short name for it, unique; made from the name when absent.
    pub reference: Option<String>,
}

impl Scoped {
    pub async fn create_partner(&self, new: NewPartner) -> Result<Partner> {
        self.require(Permission::Configure)?;
        let name = text("name", &new.name, 200)?;
        let reference = match &new.reference {
            Some(reference) => text("reference", reference, 60)?,
            None => name.chars().take(60).collect(),
        };
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            if store::by_reference(tx, &reference).await?.is_some() {
                let message = format!("another partner has the reference '{reference}'");
                return Err(Problem::new(Code::AlreadyExists, "reference", message).into());
            }
            let now = writer.clock().now();
            let partner = Partner { tenant_id: tx.tenant(), id: writer.clock().id(), reference, name, created_at: now };
            tx.insert(store::ActiveModel::from(partner.clone())).await?;
            Ok(partner)
        })
        .await
    }

    pub async fn rename_partner(&self, id: PartnerId, name: &str) -> Result<Partner> {
        self.require(Permission::Configure)?;
        let name = text("name", name, 200)?;
        self.change(async move |_: &Writer, tx: &TenantTx| {
            store::change(tx, id, store::ActiveModel { name: Set(name), ..Default::default() }).await?;
            let partner = store::by_id(tx, id).await?.ok_or(Error::NotFound("partner"))?;
            Ok(partner)
        })
        .await
    }

    pub async fn partners(&self, page: PageRequest) -> Result<Page<Partner>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read().await?, page).await?, &page))
    }

    pub async fn partners_by_ids(&self, ids: &[PartnerId]) -> Result<Vec<Partner>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }
}

pub(crate) async fn exists_in(tx: &TenantTx, id: PartnerId) -> Result<bool> {
    Ok(store::by_id(tx, id).await?.is_some())
}

/// The names of those partners that there are, and that the caller may see.
pub(crate) async fn names_in(tx: &TenantTx, ids: &[PartnerId]) -> Result<BTreeMap<PartnerId, String>> {
    Ok(store::by_ids(tx, ids).await?.into_iter().map(|partner| (partner.id, partner.name)).collect())
}

/// A name or code that a person typed: trimmed, not empty, no control characters, not too long.
pub(crate) fn text(field: &str, value: &str, longest: usize) -> Result<String, Problem> {
    let value = value.trim();
    let length = value.chars().count();
    if length == 0 || length > longest {
        return Err(Problem::new(Code::BadInput, field, format!("takes 1 to {longest} characters, not {length}")));
    }
    if value.chars().any(char::is_control) {
        return Err(Problem::new(Code::BadInput, field, "has a control character in it"));
    }
    Ok(value.to_owned())
}
