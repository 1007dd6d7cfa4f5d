//! Business calendars: on which days people work, by country or bank. Contracts say by them when what is owed is due.
//!
//! Uses contracts for the days of the week.

pub mod calendar;
mod store;

pub use calendar::{BusinessCalendar, Holiday, NewCalendar};

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Error, Fault, Result};
use crate::page::{Page, PageRequest};

impl Scoped {
    /// Keeps a calendar under its code, as a new one or in the place of the one that was read at this revision. Due
    /// dates of settlements that are closed stay.
    pub async fn set_business_calendar(&self, new: NewCalendar) -> Result<BusinessCalendar> {
        self.require(Permission::Configure)?;
        let problems = new.problems();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let before = store::by_code(tx, &new.code).await?.map(read).transpose()?;
            let saved = new.clone().after(before.as_ref(), writer.clock().now())?;
            let json = |error: serde_json::Error| Fault::Internal(error.to_string());
            let row = store::Model {
                tenant_id: tx.tenant(),
                code: saved.code.clone(),
                name: saved.name.clone(),
                weekend: serde_json::to_string(&saved.weekend).map_err(json)?,
                holidays: serde_json::to_string(&saved.holidays).map_err(json)?,
                revision: saved.revision,
                changed_at: saved.changed_at,
                changed_by: writer.caller().member(),
            };
            store::save(tx, row).await?;
            Ok(saved)
        })
        .await
    }

    /// By code.
    pub async fn business_calendars(&self, page: PageRequest<String>) -> Result<Page<BusinessCalendar>> {
        self.require(Permission::Read)?;
        let rows = Page::cut(store::page(&self.read().await?, &page).await?, &page);
        let items = rows.items.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { items, has_next: rows.has_next })
    }
}

/// All calendars of the tenant, by code.
pub(crate) async fn all_in(tx: &TenantTx) -> Result<Vec<BusinessCalendar>> {
    Ok(store::all(tx).await?.into_iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: store::Model) -> Result<BusinessCalendar, Fault> {
    let damaged = |error: serde_json::Error| Fault::Corrupt(format!("calendar '{}': {error}", row.code));
    Ok(BusinessCalendar {
        weekend: serde_json::from_str(&row.weekend).map_err(damaged)?,
        holidays: serde_json::from_str(&row.holidays).map_err(damaged)?,
        code: row.code.clone(),
        name: row.name,
        revision: row.revision,
        changed_at: row.changed_at,
    })
}
