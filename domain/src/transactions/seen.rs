//! A fact as pricing looks at it: borrowed, so that a row of a replay's extract is priced by the same code as a fact that
//! comes in, and without one being made of it.

use std::collections::BTreeMap;

use crate::ids::SourceId;
use crate::money::Units;
use crate::time::Timestamp;

use super::transaction::{Affects, Fact, Kind, Player};

/// Exactly what decides where a transaction counts, and with how much.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'f> {
    pub source: SourceId,
    pub kind: Kind,
    pub affects: Option<Affects>,
    pub amount: Units,
    pub currency: &'f str,
    pub occurred_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub product: Option<&'f str>,
    pub player: Option<&'f Player>,
    pub has_round: bool,
    /// Whether its round ends with it.
    pub round_closed: bool,
    pub channel: Option<&'f str>,
    pub region: Option<&'f str>,
    pub test: bool,
    pub attributes: &'f BTreeMap<String, String>,
}

impl Fact {
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            source: self.source,
            kind: self.kind,
            affects: self.affects,
            amount: self.amount,
            currency: &self.currency,
            occurred_at: self.occurred_at,
            settled_at: self.settled_at,
            product: self.product.as_deref(),
            player: self.player.as_ref(),
            has_round: self.round.is_some(),
            round_closed: self.round_closed,
            channel: self.channel.as_deref(),
            region: self.region.as_deref(),
            test: self.test,
            attributes: &self.attributes,
        }
    }
}
