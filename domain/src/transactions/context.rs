//! What a tenant's records are checked and priced with: loaded once, kept as long as the tenant's epoch stands.

use std::collections::HashMap;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::contracts::contract::ActiveVersion;
use crate::contracts::{Book, PlayerVersion, ProductVersion};
use crate::ids::SourceId;
use crate::money::Asset;
use crate::secrets::Pseudonyms;
use crate::time::{MICROS_PER_DAY, Timestamp};

use super::transaction::{Known, Player};

/// What is read of the database to make a [`Context`].
#[derive(Serialize, Deserialize)]
pub(super) struct Ingredients {
    pub versions: Vec<ActiveVersion>,
    pub products: Vec<ProductVersion>,
    pub players: Vec<PlayerVersion>,
    pub assets: HashMap<String, Asset>,
    pub zones: HashMap<SourceId, Tz>,
}

pub struct Context {
    pub epoch: i64,
    pub book: Book,
    pub assets: HashMap<String, Asset>,
    pub pseudonyms: Pseudonyms,
    /// The zone in which each source counts its days.
    pub zones: HashMap<SourceId, Tz>,
}

impl Context {
    /// The day that a source's calendar puts an instant in: days since 1970.
    pub fn day(&self, source: SourceId, at: Timestamp) -> i64 {
        let zone = self.zones.get(&source).copied().unwrap_or(Tz::UTC);
        match zone {
            Tz::UTC => at.0.div_euclid(MICROS_PER_DAY),
            zone => at.local(zone).and_utc().timestamp_micros().div_euclid(MICROS_PER_DAY),
        }
    }
}

impl Known for Context {
    fn asset(&self, code: &str) -> Option<Asset> {
        self.assets.get(code).cloned().or_else(|| Asset::iso(code))
    }

    fn has_product(&self, code: &str) -> bool {
        self.book.product_exists(code)
    }

    fn player(&self, name: &str) -> Player {
        self.pseudonyms.player(name)
    }
}
