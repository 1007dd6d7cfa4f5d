//! Templates, and contracts that are made of them or of other contracts.

use super::contract::Terms;
use super::template::{Changes, Template, changed};
use super::{Contract, ContractVersion, cases, check_terms_in, create_in, json, store, version_in};
use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, PartnerId};
use crate::page::{Page, PageRequest};
use crate::partners::text;

impl Scoped {
    /// Keeps terms under a name, in the place of those that had it.
    pub async fn save_contract_template(&self, name: &str, terms: Terms) -> Result<Template> {
        self.require(Permission::Configure)?;
        let name = text("name", name, 200)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            check_terms_in(tx, &terms).await?;
            let template = Template { name: name.clone(), terms: terms.clone(), changed_at: writer.clock().now() };
            let (tenant_id, terms) = (tx.tenant(), json(&template.terms)?);
            let row = store::template::Model { tenant_id, name: name.clone(), terms, changed_at: template.changed_at };
            store::save_template(tx, row).await?;
            Ok(template)
        })
        .await
    }

    /// Contracts that were made of it stay.
    pub async fn delete_contract_template(&self, name: &str) -> Result<String> {
        self.require(Permission::Configure)?;
        let name = name.trim().to_owned();
        self.change(async move |_: &Writer, tx: &TenantTx| match store::delete_template(tx, &name).await? {
            0 => Err(no_template("name")),
            _ => Ok(name.clone()),
        })
        .await
    }

    /// By name. A partner's user sees none.
    pub async fn contract_templates(&self, page: PageRequest<String>) -> Result<Page<Template>> {
        self.require(Permission::Read)?;
        let rows = Page::cut(store::templates(&self.read().await?, &page).await?, &page);
        let items = rows.items.into_iter().map(template_of).collect::<Result<_, _>>()?;
        Ok(Page { items, has_next: rows.has_next })
    }

    /// A contract with the terms of a template, but for some changes, as a draft.
    pub async fn create_contract_from_template(
        &self,
        template: &str,
        partner: PartnerId,
        name: &str,
        changes: Changes,
    ) -> Result<(Contract, ContractVersion)> {
        self.require(Permission::Configure)?;
        let (template, name) = (template.trim().to_owned(), text("name", name, 200)?);
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let row = store::template(tx, &template).await?.ok_or_else(|| no_template("template"))?;
            let terms = changed(template_of(row)?.terms, changes.clone()).map_err(Error::Invalid)?;
            create_in(writer, tx, partner, &name, terms).await
        })
        .await
    }

    /// A contract with the terms of a version of another one, but for some changes, as a draft, and with its test cases.
    pub async fn copy_contract(
        &self,
        from: ContractId,
        version: i64,
        partner: PartnerId,
        name: &str,
        changes: Changes,
    ) -> Result<(Contract, ContractVersion)> {
        self.require(Permission::Configure)?;
        let name = text("name", name, 200)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (_, version) = version_in(tx, from, version, writer.clock().now()).await?;
            let terms = changed(version.terms, changes.clone()).map_err(Error::Invalid)?;
            let (contract, version) = create_in(writer, tx, partner, &name, terms).await?;
            cases::copy_in(tx, from, contract.id).await?;
            Ok((contract, version))
        })
        .await
    }
}

fn no_template(path: &str) -> Error {
    Problem::new(Code::NotFound, path, "there is no template of this name").into()
}

fn template_of(row: store::template::Model) -> Result<Template, Fault> {
    let terms = serde_json::from_str(&row.terms);
    let terms = terms.map_err(|error| Fault::Corrupt(format!("template '{}': {error}", row.name)))?;
    Ok(Template { name: row.name, terms, changed_at: row.changed_at })
}
