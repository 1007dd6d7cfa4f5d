//! Terms for tests: the plainest ones that are right, with what a test changes.

use serde_json::{Value, json};

use super::contract::{ActiveVersion, Terms};
use crate::ids::{ContractId, PartnerId};

/// 8 % of GGR, monthly in UTC, in BIT; `change` replaces top-level fields.
pub(crate) fn terms(change: Value) -> Terms {
    let mut terms = json!({
        "validFrom": "2021-01-01", "role": "PROVIDER", "currency": "BIT", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": "UTC" },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY", "level": "TOTAL" },
        "rateTable": { "rows": [{ "code": "all", "percent": "8" }] },
        "minimumPayout": "0",
    });
    for (name, value) in change.as_object().expect("an object of changes") {
        terms[name] = value.clone();
    }
    serde_json::from_value(terms).expect("readable terms")
}

/// An active version of contract `contract` (of a partner with the same number).
pub(crate) fn active(contract: u128, version: i64, change: Value) -> ActiveVersion {
    let terms = terms(change);
    ActiveVersion {
        contract: ContractId(uuid::Uuid::from_u128(contract)),
        partner: PartnerId(uuid::Uuid::from_u128(contract)),
        version,
        valid_from: terms.cycle.start_of(terms.valid_from),
        replaced_at: None,
        terms,
    }
}
