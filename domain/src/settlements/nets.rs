//! Steps 3 and 4: what rate classes, the ring-fence and the carried base leave of each other, before any rate.

use super::clauses::{Clause, Clauses};
use super::fence::{self, CarriedPlayers, Fenced, PlayerSum};
use super::formula::{Sheet, Step, StepKind, Value};
use super::line::{Line, LineCode};
use super::netting;
use super::settlement::{COUNTED, CarriedBase, Carry, Class, overflow};
use crate::contracts::contract::{Base, Level};
use crate::error::Problem;
use crate::money::{Minor, Units};

/// What goes on into the next period, and what became of players.
pub(super) struct Netted {
    pub base: CarriedBase,
    pub fenced: Vec<Fenced>,
    pub players: CarriedPlayers,
}

/// What is left of each class's base, and what is carried on.
pub(super) fn net(
    clauses: &Clauses<'_>,
    classes: &mut [Class<'_>],
    players: &[PlayerSum],
    carried_in: &Carry,
    sheet: &mut Sheet,
) -> Result<Netted, Problem> {
    let last = classes.last().map(|class| class.clause);
    let total = classes.iter().map(|class| i128::from(class.netted)).sum();
    let outcome = fence::outcome(clauses, last, total, &fence::bases(clauses, players)?, &carried_in.players)?;
    let base = match last {
        Some(last) => net_classes(classes, last, &outcome, &carried_in.base, sheet)?,
        None => carried_in.base.clone(),
    };
    let players = fence::carried(&outcome.fenced).map_err(|error| overflow(error, "what stands against players"))?;
    Ok(Netted { base, fenced: outcome.fenced, players })
}

fn net_classes(
    classes: &mut [Class<'_>],
    last: &Clause<'_>,
    fence: &fence::Outcome,
    carried_in: &CarriedBase,
    sheet: &mut Sheet,
) -> Result<CarriedBase, Problem> {
    let counts = matches!(last.terms().base, Base::Units(_));
    let prefix = if counts { COUNTED } else { "" };
    // Money and counted units do not meet: what the other base carried stays carried.
    let (own, other): (CarriedBase, CarriedBase) =
        carried_in.clone().into_iter().partition(|(name, _)| name.starts_with(COUNTED) == counts);
    let own: CarriedBase = own.into_iter().map(|(name, base)| (name[prefix.len()..].to_owned(), base)).collect();
    let negative = last.terms().negative;
    let overflow = |error| overflow(error, "netting the rate classes");
    let carried = match negative.level {
        Level::Total => {
            let carried = Units::sum(own.values().copied()).map_err(overflow)?;
            let mut bases: Vec<i64> = classes.iter().map(|class| class.netted).collect();
            netting::shift(&mut bases, fence.shift()).map_err(overflow)?;
            let left = netting::net(&mut bases, carried, negative.mode).map_err(overflow)?;
            classes.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
            CarriedBase::from([(String::new(), left)])
        }
        Level::PerClass => net_per_class(classes, &own, last)?,
    };
    let (before, carried_code) = match counts {
        true => (LineCode::Units, LineCode::CarriedUnits),
        false => (LineCode::Base, LineCode::CarriedBase),
    };
    let amount = |base: i64| if counts { Value::Count(Units(base)) } else { Value::Units(Units(base)) };
    for class in classes.iter_mut().filter(|class| class.netted != class.base.0) {
        sheet.push(class.line(before, class.base, None, Minor::ZERO), || {
            let left = Step::new(StepKind::Left, Vec::new(), amount(class.base.0)).at("base");
            class.working.iter().flatten().cloned().chain([left]).collect()
        });
        let (base, netted) = (class.base.0, class.netted);
        class.tell(|| Step::new(StepKind::Netted, vec![("before", amount(base))], amount(netted)).at("negative"));
    }
    fence.tell(last.active.version, sheet);
    for (class, base) in own.iter().filter(|(_, base)| **base != Units::ZERO) {
        let rate_class = (!class.is_empty()).then(|| class.clone());
        let line = Line::plain(carried_code, last.active.version, Minor::ZERO);
        let of = class.clone();
        sheet.push(Line { base: Some(*base), rate_class, ..line }, || {
            vec![Step::new(StepKind::CarriedBase, Vec::new(), amount(base.0)).of(of).at("negative")]
        });
    }
    let named = carried.into_iter().map(|(name, base)| (format!("{prefix}{name}"), base));
    Ok(named.chain(other).filter(|(_, base)| *base != Units::ZERO).collect())
}

/// Step 3, each class by itself across the versions of the period.
fn net_per_class(
    classes: &mut [Class<'_>],
    carried_in: &CarriedBase,
    last: &Clause<'_>,
) -> Result<CarriedBase, Problem> {
    let mode = last.terms().negative.mode;
    let mut carried = carried_in.clone();
    let mut codes: Vec<&str> = classes.iter().map(|class| class.code).collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        let mut own: Vec<&mut Class<'_>> = classes.iter_mut().filter(|class| class.code == code).collect();
        let mut bases: Vec<i64> = own.iter().map(|class| class.netted).collect();
        let into = carried.get(code).copied().unwrap_or_default();
        let left =
            netting::net(&mut bases, into, mode).map_err(|error| overflow(error, &format!("rate class '{code}'")))?;
        own.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
        carried.insert(code.to_owned(), left);
    }
    // What terms with one total carried before belongs to no class.
    if let Some(common) = carried.get("").copied() {
        let mut bases: Vec<i64> = classes.iter().map(|class| class.netted).collect();
        let left =
            netting::net_common(&mut bases, common, mode).map_err(|error| overflow(error, "the carried base"))?;
        classes.iter_mut().zip(bases).for_each(|(class, netted)| class.netted = netted);
        carried.insert(String::new(), left);
    }
    Ok(carried)
}
