//! Balances with which a contract moves in: what is carried into its first settlement.

use std::collections::BTreeSet;

use super::settlement::{CarriedBase, CarriedPlayers, Carry, YearTiers};
use crate::error::{Code, Fault, Problem};
use crate::ids::ContractId;
use crate::money::{Asset, Minor, Units};
use crate::partners::text;
use crate::secrets::{Pseudonyms, hex};

/// What is carried into the first settlement of a contract that moves in; amounts in major units.
#[derive(Clone)]
pub struct OpeningBalances {
    pub contract: ContractId,
    pub currency: String,
    /// Negative bases by rate class, or under the empty name for all classes together.
    pub carried_base: Vec<(String, String)>,
    /// Negative bases that stand against players alone: whom, and how much.
    pub players: Vec<(String, String)>,
    /// Earned, and below the minimum payout.
    pub carried_amount: String,
    /// What filled the tiers of a year, by rate class.
    pub year: Option<(i32, Vec<(String, String)>)>,
}

/// The players by their pseudonyms, instead of by what their source calls them.
pub(super) fn pseudonymous(
    players: Vec<(String, String)>,
    pseudonyms: &Pseudonyms,
) -> Result<Vec<(String, String)>, Problem> {
    let mut seen = BTreeSet::new();
    let mut known = Vec::with_capacity(players.len());
    for (position, (name, amount)) in players.into_iter().enumerate() {
        let path = format!("players.{position}.player");
        let player = hex(&pseudonyms.player(&text(&path, &name, 200)?));
        if !seen.insert(player.clone()) {
            return Err(Problem::new(Code::BadInput, path, "is there twice"));
        }
        known.push((player, amount));
    }
    Ok(known)
}

/// What they are in units; every amount that makes no sense, by its path.
pub(super) fn carry(new: &OpeningBalances, asset: &Asset) -> Result<Carry, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut units = |path: String, text: &str, negative: bool| -> Units {
        match asset.parse_units(text) {
            Err(error) => problems.push(Problem::new(Code::BadAmount, path, error.to_string())),
            Ok(amount) if amount != Units::ZERO && (amount > Units::ZERO) == negative => {
                let message = if negative { "is positive: only losses are carried" } else { "is negative" };
                problems.push(Problem::new(Code::BadInput, path, message));
            }
            Ok(amount) => return amount,
        }
        Units::ZERO
    };
    let mut base = CarriedBase::new();
    for (position, (class, amount)) in new.carried_base.iter().enumerate() {
        base.insert(class.clone(), units(format!("carriedBase.{position}.amount"), amount, true));
    }
    let mut players = CarriedPlayers::new();
    for (position, (player, amount)) in new.players.iter().enumerate() {
        players.insert(player.clone(), units(format!("players.{position}.amount"), amount, true));
    }
    players.retain(|_, base| *base != Units::ZERO);
    let mut tiers = YearTiers::default();
    if let Some((year, counted)) = &new.year {
        tiers.year = *year;
        for (position, (class, amount)) in counted.iter().enumerate() {
            tiers.counted.insert(class.clone(), units(format!("tiers.counted.{position}.amount"), amount, false));
        }
    }
    let amount = asset.parse_minor(&new.carried_amount);
    match &amount {
        Err(error) => problems.push(Problem::new(Code::BadAmount, "carriedAmount", error.to_string())),
        Ok(amount) if *amount < Minor::ZERO => {
            problems.push(Problem::new(Code::NegativeAmount, "carriedAmount", "is negative"));
        }
        Ok(_) => {}
    }
    match amount {
        Ok(amount) if problems.is_empty() => Ok(Carry { base, players, tiers, amount, ..Carry::default() }),
        _ => Err(problems),
    }
}

/// As it was stored.
pub(super) fn read(json: &str) -> Result<Carry, Fault> {
    serde_json::from_str(json).map_err(|error| Fault::Corrupt(format!("an opening balance: {error}")))
}
