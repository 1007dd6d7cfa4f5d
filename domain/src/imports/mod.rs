//! tmp
use crate::db::TenantTx;
use crate::error::*;
use crate::ids::*;
use crate::transactions::*;
pub(crate) async fn advance_in(
    _tx: &TenantTx,
    _run: ImportRunId,
    _s: &Submission,
    _o: &[RecordOutcome],
    _now: crate::time::Timestamp,
) -> Result<()> {
    Ok(())
}
