//! Which version of a contract is in force. There is one answer or a refusal: nothing is picked where two claim the
//! same time.
//!
//! Versions have two times. `valid_from` says from when on one counts; it counts until the next one begins, or its own last
//! day is over: then nothing is in force, and no earlier version comes back. Activation
//! says from when on that was known, and being replaced until when. So the same question for an earlier knowledge
//! gives what was in force then, whatever was agreed since.

use crate::error::{Code, Problem};
use crate::ids::ContractId;
use crate::time::Timestamp;

use super::contract::ActiveVersion;
use super::version::ContractVersion;

/// Two versions of one contract that claim the same time, and neither takes the other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    pub contract: ContractId,
    /// The versions, the one with the smaller number first.
    pub versions: [i64; 2],
    pub valid_from: Timestamp,
}

impl Ambiguous {
    fn of(contract: ContractId, one: i64, other: i64, valid_from: Timestamp) -> Self {
        Self { contract, versions: [one.min(other), one.max(other)], valid_from }
    }
}

impl From<Ambiguous> for Problem {
    fn from(found: Ambiguous) -> Self {
        let Ambiguous { contract, versions: [one, other], valid_from } = found;
        let message = format!(
            "versions {one} and {other} of contract {contract} both count from {valid_from}, and neither replaces the other"
        );
        Self::new(Code::AlreadyExists, "validFrom", message)
    }
}

/// The version of a contract in force at an instant, as it was known at another: of those that were activated and not
/// yet replaced by then, the one that began last, unless its last day is over. Drafts and other contracts' versions do not count, and their order
/// does not matter.
pub fn in_force(
    versions: &[ContractVersion],
    contract: ContractId,
    at: Timestamp,
    known_at: Timestamp,
) -> Result<Option<&ContractVersion>, Ambiguous> {
    let known = |version: &&ContractVersion| {
        version.contract == contract
            && version.activated_at.is_some_and(|activated| activated <= known_at)
            && version.replaced_at.is_none_or(|replaced| replaced > known_at)
    };
    let mut newest: Option<&ContractVersion> = None;
    let mut rival = None;
    for version in versions.iter().filter(known).filter(|version| version.valid_from <= at) {
        match newest {
            Some(other) if other.valid_from > version.valid_from => {}
            // Of several rivals the same two are named in whatever order they come.
            Some(other) if other.valid_from == version.valid_from => {
                let (first, second) = if version.version < other.version { (version, other) } else { (other, version) };
                let second = rival.map_or(second.version, |known: i64| known.min(second.version));
                (newest, rival) = (Some(first), Some(second));
            }
            _ => (newest, rival) = (Some(version), None),
        }
    }
    match (newest, rival) {
        (Some(newest), Some(rival)) => Err(Ambiguous::of(contract, newest.version, rival, newest.valid_from)),
        _ => Ok(newest.filter(|version| version.terms.ends().is_none_or(|ends| at < ends))),
    }
}

/// One contract's versions that count as of now, in the order in which they take over: each until the next one begins or
/// its last day is over.
/// What [`in_force`] says of one instant, for all of them.
pub(super) fn succession(mut versions: Vec<ActiveVersion>) -> Result<Vec<ActiveVersion>, Ambiguous> {
    versions.retain(|version| version.replaced_at.is_none());
    versions.sort_by_key(|version| (version.valid_from, version.version));
    match versions.windows(2).find(|pair| pair[0].valid_from == pair[1].valid_from) {
        Some(pair) => Err(Ambiguous::of(pair[0].contract, pair[0].version, pair[1].version, pair[0].valid_from)),
        None => Ok(versions),
    }
}

#[cfg(test)]
mod tests;
