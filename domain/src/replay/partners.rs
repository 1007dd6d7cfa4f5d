//! Who would get what: the contract's partner, and the parties where what is paid is split.

use std::collections::BTreeMap;

use super::difference::{Both, Side, most_first, narrow};
use crate::error::Problem;
use crate::ids::PartnerId;
use crate::money::Minor;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerDifference {
    pub partner: PartnerId,
    pub total: Both<Minor>,
}

/// What each gets under both; the contract's partner is always among them.
pub(super) fn of(partner: PartnerId, sides: &[Side; 2]) -> Result<Vec<PartnerDifference>, Problem> {
    let mut sums: BTreeMap<PartnerId, Both<i128>> = BTreeMap::from([(partner, Both::default())]);
    for (side, drafted) in sides.iter().zip([false, true]) {
        for (period, computed) in &side.settlements {
            let parts = side.shared.get(period).into_iter().flatten().map(|part| (part.partner, part.amount));
            let whole = (!side.shared.contains_key(period)).then_some((partner, computed.total));
            for (partner, amount) in parts.chain(whole) {
                *sums.entry(partner).or_default().of(drafted) += i128::from(amount.0);
            }
        }
    }
    let row = |(partner, total)| Ok(PartnerDifference { partner, total: narrow(total)? });
    let mut rows = sums.into_iter().map(row).collect::<Result<Vec<_>, Problem>>()?;
    most_first(&mut rows, |row| row.total);
    Ok(rows)
}
