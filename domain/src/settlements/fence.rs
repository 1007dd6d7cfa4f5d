//! Step 4, the first part: the high-roller ring-fence. What a player won beyond a threshold in a period that is negative
//! altogether is taken out of it and stands against that player alone: what he loses later is set off against it first.
//!
//! All of it is before any rate, and goes by a player's own base: GGR as the version counts it, over all rate classes and
//! before deductions. Players are told by their pseudonyms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::base::base_of;
use super::clauses::{Clause, Clauses};
use super::formula::{Sheet, Step, StepKind, Value};
use super::line::{Line, LineCode};
use super::settlement::{Accrual, overflow};
use crate::contracts::AccrualKind;
use crate::error::{Code, Problem};
use crate::money::{Minor, MoneyError, Units, split};
use crate::secrets::hex;
use crate::transactions::transaction::Player;

/// What one kind of a player's transactions sums up to under one version of a settlement. Kept for versions with a
/// ring-fence only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerSum {
    pub version: i64,
    pub player: Player,
    pub kind: AccrualKind,
    /// Fed after the settlement had closed.
    pub late: bool,
    pub amount: Units,
}

/// All that a settlement counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts<'a> {
    pub accruals: &'a [Accrual],
    pub players: &'a [PlayerSum],
}

impl<'a> From<&'a [Accrual]> for Counts<'a> {
    fn from(accruals: &'a [Accrual]) -> Self {
        Self { accruals, players: &[] }
    }
}

impl<'a, const N: usize> From<&'a [Accrual; N]> for Counts<'a> {
    fn from(accruals: &'a [Accrual; N]) -> Self {
        Self { accruals, players: &[] }
    }
}

impl<'a> From<&'a Vec<Accrual>> for Counts<'a> {
    fn from(accruals: &'a Vec<Accrual>) -> Self {
        Self { accruals, players: &[] }
    }
}

/// What stands against players, negative, by pseudonym in hexadecimal digits.
pub type CarriedPlayers = BTreeMap<String, Units>;

/// What a settlement makes of one player; only of those against whom something stands, or stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// The pseudonym in hexadecimal digits.
    pub player: String,
    /// His own base in the period.
    pub base: Units,
    /// What stood against him, negative.
    pub carried_in: Units,
    /// What of his base is set off against that.
    pub offset: Units,
    /// What of his negative base is taken out.
    pub taken: Units,
}

impl Fenced {
    /// What stands against him after it, negative.
    pub fn carried_out(&self) -> Result<Units, MoneyError> {
        self.carried_in.checked_add(self.offset)?.checked_sub(self.taken)
    }
}

/// What goes on of these.
pub(super) fn carried(fenced: &[Fenced]) -> Result<CarriedPlayers, MoneyError> {
    let mut players = CarriedPlayers::new();
    for own in fenced {
        let left = own.carried_out()?;
        if left != Units::ZERO {
            players.insert(own.player.clone(), left);
        }
    }
    Ok(players)
}

/// Each player's own base, over all versions that ask for it.
pub(super) type Bases = BTreeMap<String, i128>;

pub(super) fn bases(clauses: &Clauses<'_>, players: &[PlayerSum]) -> Result<Bases, Problem> {
    let mut bases: BTreeMap<Player, i128> = BTreeMap::new();
    for sum in players {
        let clause = clauses.versions.iter().find(|clause| clause.active.version == sum.version).ok_or_else(|| {
            Problem::new(Code::NotFound, "", format!("there is no version {}, which counted players", sum.version))
        })?;
        let base = base_of(&clause.terms().base, [(sum.kind, i128::from(sum.amount.0), 0)], clauses.asset);
        let base = base.map_err(|error| overflow(error, &format!("version {}, a player", sum.version)))?;
        *bases.entry(sum.player).or_default() += i128::from(base.0);
    }
    Ok(bases.into_iter().map(|(player, base)| (hex(&player), base)).collect())
}

/// Those whose base is negative by the threshold at least.
fn high(bases: &Bases, threshold: Units) -> impl Iterator<Item = (&str, i128)> {
    let own = bases.iter().map(|(player, base)| (player.as_str(), *base));
    own.filter(move |(_, base)| *base <= -i128::from(threshold.0))
}

/// What becomes of the players in a settlement whose classes come to `total`. `threshold` is positive; without one nobody
/// is set off or taken out, and what stands against players goes on.
fn fence(
    total: i128,
    bases: &Bases,
    carried: &CarriedPlayers,
    threshold: Option<Units>,
) -> Result<Vec<Fenced>, MoneyError> {
    let base_of = |player: &str| Units::narrow(bases.get(player).copied().unwrap_or_default());
    let mut fenced: BTreeMap<&str, Fenced> = BTreeMap::new();
    let mut total = total;
    for (player, carried_in) in carried {
        let base = base_of(player)?;
        let offset = match threshold {
            Some(_) => base.max(Units::ZERO).min(carried_in.checked_neg()?.max(Units::ZERO)),
            None => Units::ZERO,
        };
        total -= i128::from(offset.0);
        let own = Fenced { player: player.clone(), base, carried_in: *carried_in, offset, taken: Units::ZERO };
        fenced.insert(player, own);
    }
    if let Some(threshold) = threshold.filter(|_| total < 0) {
        let high = high(bases, threshold).map(|(player, base)| Ok((player, Units::narrow(base)?)));
        let high: Vec<(&str, Units)> = high.collect::<Result<_, MoneyError>>()?;
        let losses: i128 = high.iter().map(|(_, base)| -i128::from(base.0)).sum();
        let taken = Units::narrow(losses.min(-total))?;
        let weights: Vec<u64> = high.iter().map(|(_, base)| base.0.unsigned_abs()).collect();
        // Of equal rests the first pseudonym's goes up, so that it is always the same one.
        for ((player, base), taken) in high.into_iter().zip(split(taken.0, &weights).unwrap_or_default()) {
            let none = || Fenced {
                player: player.to_owned(),
                base,
                carried_in: Units::ZERO,
                offset: Units::ZERO,
                taken: Units::ZERO,
            };
            fenced.entry(player).or_insert_with(none).taken = Units(taken);
        }
    }
    Ok(fenced.into_values().filter(|own| (own.carried_in, own.taken) != (Units::ZERO, Units::ZERO)).collect())
}

/// What the ring-fence of the version that nets does to the total of the classes: its rows, and by how much.
pub(super) struct Outcome {
    pub fenced: Vec<Fenced>,
    pub total: i128,
    pub offset: Units,
    pub taken: Units,
    /// What the players that were set off had lost to the house, and what stood against them.
    sides: (i128, i128),
    /// What the players at the threshold had won.
    losses: i128,
    threshold: Option<Units>,
}

/// `last` is the version that nets; nothing where nobody is at stake.
pub(super) fn outcome(
    clauses: &Clauses<'_>,
    last: Option<&Clause<'_>>,
    total: i128,
    bases: &Bases,
    carried: &CarriedPlayers,
) -> Result<Outcome, Problem> {
    let named = |error| overflow(error, "the ring-fence");
    let threshold = last.and_then(|clause| clause.terms().ring_fence.as_ref());
    let threshold = threshold
        .map(|own| clauses.asset.parse_units(&own.threshold))
        .transpose()
        .map_err(|error| Problem::new(Code::BadAmount, "ringFence.threshold", error.to_string()))?;
    let fenced = fence(total, bases, carried, threshold).map_err(named)?;
    let sum = |of: fn(&Fenced) -> Units| Units::sum(fenced.iter().map(of)).map_err(named);
    let (offset, taken) = (sum(|own| own.offset)?, sum(|own| own.taken)?);
    let set_off = || fenced.iter().filter(|own| own.offset != Units::ZERO);
    let sides =
        (set_off().map(|own| i128::from(own.base.0)).sum(), set_off().map(|own| -i128::from(own.carried_in.0)).sum());
    let losses = threshold.map_or(0, |threshold| high(bases, threshold).map(|(_, base)| -base).sum());
    Ok(Outcome { fenced, total, offset, taken, sides, losses, threshold })
}

impl Outcome {
    /// By how much the classes come to more, or less, than before.
    pub fn shift(&self) -> i128 {
        i128::from(self.taken.0) - i128::from(self.offset.0)
    }

    /// The lines that say so, without an amount.
    pub fn tell(&self, version: i64, sheet: &mut Sheet) {
        let line = |code, base| Line { base: Some(base), ..Line::plain(code, version, Minor::ZERO) };
        let wide = |wide: i128| Units::narrow(wide).map_or(Value::Number(wide), Value::Units);
        let count = |of: fn(&&Fenced) -> bool| {
            let count = self.fenced.iter().filter(of).count();
            ("players", Value::Number(i128::try_from(count).unwrap_or_default()))
        };
        if self.offset != Units::ZERO {
            let base = Units(-self.offset.0);
            sheet.push(line(LineCode::RingFenceOffset, base), || {
                let (lost, stood) = self.sides;
                let values = vec![
                    count(|own| own.offset != Units::ZERO),
                    ("total", wide(self.total)),
                    ("bases", wide(lost)),
                    ("stood", wide(stood)),
                    ("left", wide(self.total - i128::from(self.offset.0))),
                ];
                vec![Step::new(StepKind::SetOff, values, Value::Units(base)).at("ringFence")]
            });
        }
        if self.taken != Units::ZERO {
            sheet.push(line(LineCode::RingFenced, self.taken), || {
                let total = self.total - i128::from(self.offset.0);
                let threshold = self.threshold.unwrap_or_default();
                let values = vec![
                    count(|own| own.taken != Units::ZERO),
                    ("threshold", Value::Units(threshold)),
                    ("total", wide(total)),
                    ("losses", wide(self.losses)),
                    ("left", wide(total + i128::from(self.taken.0))),
                ];
                vec![Step::new(StepKind::Fenced, values, Value::Units(self.taken)).at("ringFence.threshold")]
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bases(of: &[(&str, i64)]) -> Bases {
        of.iter().map(|(player, base)| ((*player).to_owned(), i128::from(*base))).collect()
    }

    fn stands(of: &[(&str, i64)]) -> CarriedPlayers {
        of.iter().map(|(player, base)| ((*player).to_owned(), Units(*base))).collect()
    }

    fn shown(fenced: &[Fenced]) -> Vec<(&str, i64, i64, i64, i64)> {
        fenced
            .iter()
            .map(|own| {
                let out = own.carried_out().expect("a base");
                (own.player.as_str(), own.carried_in.0, own.offset.0, own.taken.0, out.0)
            })
            .collect()
    }

    fn fenced(total: i128, of: &[(&str, i64)], stand: &[(&str, i64)], threshold: i64) -> Vec<Fenced> {
        fence(total, &bases(of), &stands(stand), Some(Units(threshold))).expect("no overflow")
    }

    #[test]
    fn the_example_of_the_notes() {
        let first = fenced(-800_000, &[("a", -1_200_000), ("b", -600_000), ("c", -499_999)], &[], 500_000);
        assert_eq!(shown(&first), [("a", 0, 0, 533_333, -533_333), ("b", 0, 0, 266_667, -266_667)]);
        let stand = carried(&first).expect("no overflow");
        let next = fence(300_000, &bases(&[("a", 300_000)]), &stand, Some(Units(500_000))).expect("no overflow");
        assert_eq!(shown(&next), [("a", -533_333, 300_000, 0, -233_333), ("b", -266_667, 0, 0, -266_667)]);
    }

    #[test]
    fn who_is_at_the_threshold_is_taken_out_and_nobody_where_the_total_is_not_negative() {
        assert_eq!(shown(&fenced(-30, &[("a", -10), ("b", -9)], &[], 10)), [("a", 0, 0, 10, -10)]);
        assert_eq!(fenced(0, &[("a", -10)], &[], 10), []);
        assert_eq!(fenced(-5, &[], &[], 10), []);
    }

    #[test]
    fn what_is_set_off_can_make_the_total_negative_so_that_others_are_taken_out() {
        let both = fenced(20, &[("a", 50), ("b", -40)], &[("a", -80)], 10);
        assert_eq!(shown(&both), [("a", -80, 50, 0, -30), ("b", 0, 0, 30, -30)]);
        let gone = fenced(20, &[("a", 90)], &[("a", -80)], 10);
        assert_eq!(shown(&gone), [("a", -80, 80, 0, 0)]);
        assert_eq!(carried(&gone), Ok(CarriedPlayers::new()), "nothing stands against him any more");
    }

    #[test]
    fn without_a_threshold_what_stands_against_players_goes_on() {
        let same = fence(-5, &bases(&[("a", 50)]), &stands(&[("a", -80)]), None).expect("no overflow");
        assert_eq!(shown(&same), [("a", -80, 0, 0, -80)]);
    }

    #[test]
    fn of_equal_rests_the_first_pseudonym_goes_up() {
        let two = fenced(-3, &[("b", -7), ("a", -7)], &[], 1);
        assert_eq!(shown(&two), [("a", 0, 0, 2, -2), ("b", 0, 0, 1, -1)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made(
            own in prop::collection::btree_map("[a-e]", -1_000_i64..1_000, 0..5),
            stand in prop::collection::btree_map("[a-e]", -1_000_i64..0, 0..5),
            rest in -3_000_i64..3_000, threshold in 1_i64..600,
        ) {
            let total = own.values().sum::<i64>() + rest;
            let bases: Bases = own.iter().map(|(player, base)| (player.clone(), i128::from(*base))).collect();
            let stand: CarriedPlayers = stand.into_iter().map(|(player, base)| (player, Units(base))).collect();
            let rows = fence(total.into(), &bases, &stand, Some(Units(threshold))).expect("no overflow");
            let sum = |of: fn(&Fenced) -> i64| rows.iter().map(of).sum::<i64>();
            let (offset, taken) = (sum(|own| own.offset.0), sum(|own| own.taken.0));
            let before = total - offset;
            prop_assert!(taken == 0 || before + taken <= 0, "no more than brings it to nothing");
            for own in &rows {
                prop_assert!(own.carried_out().expect("small").0 <= 0);
                prop_assert!(own.taken == Units::ZERO || (own.base.0 <= -threshold && own.taken.0 <= -own.base.0));
                prop_assert!(own.offset == Units::ZERO || own.offset.0 <= own.base.0.min(-own.carried_in.0));
            }
            let losses: i64 = own.values().filter(|base| **base <= -threshold).map(|base| -base).sum();
            prop_assert_eq!(taken, if before < 0 { losses.min(-before) } else { 0 });
            let out: i64 = carried(&rows).expect("small").values().map(|base| base.0).sum();
            let stood: i64 = stand.values().map(|base| base.0).sum();
            prop_assert_eq!(out, stood + offset - taken);
        }
    }
}
