//! The live example of the ring-fence: two players win much in one period, and one of them loses some of it in the next.

use super::bench::{Bench, CLASS, accrual};
use super::say::{Statement, say};
use crate::contracts::AccrualKind;
use crate::contracts::contract::Base;
use crate::money::{Rounding, Units};
use crate::settlements::settlement::{Carry, Computed, Counts, Funds, PlayerSum};
use crate::transactions::transaction::Player;

const ONE: Player = [1; 16];
const OTHER: Player = [2; 16];

pub fn ring_fence(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| {
        terms.ring_fence.clone_from(&own.ring_fence);
        terms.base = match &own.base {
            Base::Ngr(ngr) => Base::Ggr(ngr.gross()),
            other => other.clone(),
        };
    });
    let threshold = bench.words.asset.parse_units(&bench.version.terms.ring_fence.as_ref()?.threshold).ok()?;
    let tenths = |tenths: i128| Units::narrow(Rounding::Down.divide(i128::from(threshold.0) * tenths, 10)).ok();
    // As in the notes: with a threshold of 5,000 they win 12,000 and 6,000, and all others lose 10,000.
    let (one, other, rest) = (tenths(24)?, tenths(12)?, tenths(20)?);
    let first =
        settled(&bench, &[(ONE, AccrualKind::Win, one), (OTHER, AccrualKind::Win, other)], rest, &Carry::default())?;
    let total = rest.checked_sub(one).ok()?.checked_sub(other).ok()?;
    let lost = tenths(6)?;
    let second = settled(&bench, &[(ONE, AccrualKind::Stake, lost)], Units::ZERO, &first.carry_out)?;
    let shown = |units: Units| bench.shown(units);
    let [of_one, of_other] = first.fenced.as_slice() else { return None };
    let left = total.checked_add(of_one.taken).ok()?.checked_add(of_other.taken).ok()?;
    let again = second.fenced.first()?;
    Some(vec![
        say!(
            "example.ringFence",
            one = shown(one),
            other = shown(other),
            rest = shown(rest),
            total = shown(total),
            left = shown(left),
            first = shown(of_one.taken),
            second = shown(of_other.taken),
        ),
        say!(
            "example.ringFence.next",
            lost = shown(lost),
            offset = shown(again.offset),
            stands = shown(again.carried_out().ok()?.checked_neg().ok()?),
        ),
    ])
}

/// Players, and what all others lost.
fn settled(
    bench: &Bench<'_>,
    players: &[(Player, AccrualKind, Units)],
    rest: Units,
    carry: &Carry,
) -> Option<Computed> {
    let mut accruals = vec![accrual(CLASS, AccrualKind::Stake, rest, 1)];
    accruals.extend(players.iter().map(|(_, kind, amount)| accrual(CLASS, *kind, *amount, 1)));
    let sum = |(player, kind, amount): &(Player, AccrualKind, Units)| PlayerSum {
        version: 1,
        player: *player,
        kind: *kind,
        late: false,
        amount: *amount,
    };
    let players: Vec<PlayerSum> = players.iter().map(sum).collect();
    bench.count(Counts { accruals: &accruals, players: &players }, carry, &Funds::default())
}
