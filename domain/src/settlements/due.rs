//! When what settlements owe is due.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;

use crate::caller::{Permission, Scoped};
use crate::contracts::Period;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, SettlementId};
use crate::{calendars, contracts};

use super::next::at_end;
use super::{Settlement, store};

impl Scoped {
    /// Of closed settlements as it was frozen, of open ones as far as it can be told yet; those with nothing agreed, and
    /// those of which it cannot be told, are left out.
    pub async fn due_dates(&self, ids: &[SettlementId]) -> Result<HashMap<SettlementId, NaiveDate>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let rows = store::by_ids(&tx, ids).await?;
        let (open, closed): (Vec<&Settlement>, Vec<&Settlement>) = rows.iter().partition(|row| row.is_open());
        let mut found = HashMap::new();
        for row in closed {
            found.extend(frozen(row)?.map(|due| (row.id, due)));
        }
        let of: BTreeSet<ContractId> = open.iter().map(|row| row.contract_id).collect();
        let versions = contracts::active_versions_of_in(&tx, &of.into_iter().collect::<Vec<_>>()).await?;
        if versions.iter().all(|version| version.terms.payment.is_none()) {
            return Ok(found);
        }
        let calendars = calendars::all_in(&tx).await?;
        for row in open {
            let period = Period { start: row.period_start, end: row.period_end };
            let version = at_end(&versions, row.contract_id, &row.currency, period.end);
            let due = version.and_then(|version| version.terms.due_on(period, None, &calendars));
            found.extend(due.map(|due| (row.id, due)));
        }
        Ok(found)
    }
}

fn frozen(row: &Settlement) -> Result<Option<NaiveDate>, Fault> {
    let damaged = |text: &str| Fault::Corrupt(format!("{}: due on '{text}'", row.id));
    row.due_on.as_deref().map(|text| text.parse().map_err(|_| damaged(text))).transpose()
}
