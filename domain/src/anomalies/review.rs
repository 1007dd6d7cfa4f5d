//! Verdicts: what a person says of a case, and what follows for the money.

use super::case::Verdict;
use super::{Case, store};
use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::ids::CaseId;
use crate::{settlements, transactions};

const LONGEST_NOTE: usize = 1_000;

impl Scoped {
    /// Says what a case is. A confirmed one sets aside the settlement lines that its transactions feed, until another
    /// verdict releases them. A verdict may be changed; all of them are kept.
    pub async fn review_anomaly_case(&self, id: CaseId, verdict: Verdict, note: Option<String>) -> Result<Case> {
        self.require(Permission::Review)?;
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            let message = format!("is longer than {LONGEST_NOTE} characters");
            return Err(Problem::new(Code::BadInput, "note", message).into());
        }
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let case = store::by_ids(tx, &[id]).await?.pop().ok_or(Error::NotFound("anomaly case"))?;
            let (now, by) = (writer.clock().now(), writer.caller().member());
            let row = store::verdict::Model {
                tenant_id: tx.tenant(),
                case_id: id,
                id: writer.clock().id(),
                verdict: verdict.state().as_str().to_owned(),
                note: note.clone(),
                given_by: by,
                given_at: now,
            };
            store::insert_verdict(tx, row).await?;
            let reviewed = Case {
                state: verdict.state().as_str().to_owned(),
                reviewed_at: Some(now),
                reviewed_by: by,
                note,
                updated_at: now,
                ..case
            };
            store::update(tx, &reviewed).await?;
            match verdict {
                Verdict::Confirmed => {
                    let ids = store::transactions_of(tx, id).await?;
                    let lines = transactions::feeds_of_in(writer, tx, &ids).await?;
                    settlements::hold_in(tx, writer.clock(), id, &lines).await?;
                }
                Verdict::FalseAlarm | Verdict::Unsure => settlements::release_in(tx, writer.clock(), id).await?,
            }
            Ok(reviewed)
        })
        .await
    }
}
