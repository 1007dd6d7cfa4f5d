//! The ring-fence of players who win much: the clause, and what it makes of them in a settlement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::dataloader::Loader;
use async_graphql::{InputObject, SimpleObject};
use domain::Error;
use domain::contracts::contract;
use domain::ids::ContractId;
use domain::money::{Asset, MoneyError};
use domain::page::PageRequest;
use domain::settlements::{self, Statement, settlement};

use super::errors::Failure;
use super::loaders::Rows;
use super::money::of_units;
use super::page::{self, Cursor};
use super::scalars::{Decimal, Money};

/// Where the base of all rate classes is negative, players who won much are taken out of it, at most so far that it comes
/// to nothing. What is taken out stands against each of them alone, and what that player loses later is set off against it.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "RingFenceClauseInput", name = "RingFenceClause")]
pub struct RingFence {
    /// In major units, such as "5000": what a player has to have won in a period.
    pub threshold: Decimal,
}

impl From<RingFence> for contract::RingFence {
    fn from(fence: RingFence) -> Self {
        Self { threshold: fence.threshold.0 }
    }
}

impl From<contract::RingFence> for RingFence {
    fn from(fence: contract::RingFence) -> Self {
        Self { threshold: Decimal(fence.threshold) }
    }
}

/// What a settlement makes of one player.
#[derive(SimpleObject)]
pub struct RingFencedPlayer {
    /// The pseudonym, in hexadecimal digits.
    pub player: String,
    /// The player's own base in the period, negative where the player won.
    pub base: Money,
    /// What stood against the player, not positive.
    pub carried_in: Money,
    /// What of the base is set off against it.
    pub offset: Money,
    /// What of a negative base is taken out.
    pub taken: Money,
    /// What stands against the player from now on, not positive.
    pub carried_out: Money,
}

impl RingFencedPlayer {
    fn new(own: &settlement::Fenced, asset: &Asset) -> Result<Self, MoneyError> {
        Ok(Self {
            player: own.player.clone(),
            base: of_units(asset, own.base),
            carried_in: of_units(asset, own.carried_in),
            offset: of_units(asset, own.offset),
            taken: of_units(asset, own.taken),
            carried_out: of_units(asset, own.carried_out()?),
        })
    }

    pub fn page(statement: &Statement, request: &PageRequest<String>) -> Result<Connection<Cursor, Self>, Failure> {
        let page = settlements::fenced_page(statement, request);
        let mut connection = Connection::new(false, page.has_next);
        for own in page.items {
            let row = Self::new(&own, &statement.asset)
                .map_err(|error| Error::from(domain::Problem::new(domain::Code::Overflow, "", error.to_string())))?;
            connection.edges.push(Edge::new(page::cursor(own.player), row));
        }
        Ok(connection)
    }
}

/// Whether the players of a contract may be seen; nothing where they may not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlayersSeenOf(pub ContractId);

impl Loader<PlayersSeenOf> for Rows {
    type Value = ();
    type Error = Arc<Error>;

    async fn load(&self, keys: &[PlayersSeenOf]) -> Result<HashMap<PlayersSeenOf, Self::Value>, Self::Error> {
        let contracts: Vec<ContractId> = keys.iter().map(|key| key.0).collect();
        let seen = self.0.players_seen(&contracts).await.map_err(Arc::new)?;
        Ok(seen.into_iter().map(|contract| (PlayersSeenOf(contract), ())).collect())
    }
}
