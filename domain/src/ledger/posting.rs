//! Entries of the double-entry ledger, as pure arithmetic: what a settlement posts while it accrues and when it closes.
//!
//! Amounts are minor units, a debit positive and a credit negative; every entry sums to zero. The partner's side is a
//! liability, so that what we owe has a credit balance.

use crate::ids::PartnerId;
use crate::money::{Minor, MoneyError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountCode {
    /// The tenant's own result: expense to partners, or income from them.
    SettlementResult,
    /// Earned by a partner in settlements that are still open.
    Accrued,
    /// Owed to a partner by closed settlements.
    Payable,
    /// Owed by a partner.
    Receivable,
    /// Owed to a partner, but below the minimum payout: waits for the next settlement.
    Carried,
    /// Owed to a partner, and set aside until a person releases it.
    Held,
    /// Paid to a partner beforehand, and not recouped yet.
    Advance,
    /// What prepaid credit cost that is not drawn yet.
    Prepaid,
    /// What contracts moved in with: the tenant's own counterpart.
    Opening,
}

impl AccountCode {
    pub const ALL: [Self; 9] = [
        Self::SettlementResult,
        Self::Accrued,
        Self::Payable,
        Self::Receivable,
        Self::Carried,
        Self::Held,
        Self::Advance,
        Self::Prepaid,
        Self::Opening,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SettlementResult => "SETTLEMENT_RESULT",
            Self::Accrued => "ACCRUED",
            Self::Payable => "PAYABLE",
            Self::Receivable => "RECEIVABLE",
            Self::Carried => "CARRIED",
            Self::Held => "HELD",
            Self::Advance => "ADVANCE",
            Self::Prepaid => "PREPAID",
            Self::Opening => "OPENING",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The tenant's own accounts have no partner.
    pub const fn is_tenants(self) -> bool {
        matches!(self, Self::SettlementResult | Self::Opening)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    TrueUp,
    Close,
    Hold,
    Release,
    /// An advance, or credit, became owed to the partner.
    Fund,
    /// Credit was drawn: what it cost became expense.
    Draw,
    /// A contract moved in.
    Opening,
}

impl Reason {
    pub const ALL: [Self; 7] =
        [Self::TrueUp, Self::Close, Self::Hold, Self::Release, Self::Fund, Self::Draw, Self::Opening];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrueUp => "TRUE_UP",
            Self::Close => "CLOSE",
            Self::Hold => "HOLD",
            Self::Release => "RELEASE",
            Self::Fund => "FUND",
            Self::Draw => "DRAW",
            Self::Opening => "OPENING",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One side of an entry.
pub type Leg = (AccountCode, Minor);

/// Brings what is accrued from what was posted up to what the settlement has earned by now. Nothing when it is there.
pub fn true_up(posted: Minor, earned: Minor) -> Result<Vec<Leg>, MoneyError> {
    let delta = earned.checked_sub(posted)?;
    entry([(AccountCode::SettlementResult, delta), (AccountCode::Accrued, delta.checked_neg()?)])
}

/// What a settlement comes to when it closes: `earned + carried_in − recouped − carried_out = total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    pub earned: Minor,
    pub carried_in: Minor,
    pub recouped: Minor,
    pub carried_out: Minor,
    pub total: Minor,
}

/// Moves what was accrued to where it is paid from, or carried.
pub fn close(closing: Closing) -> Result<Vec<Leg>, MoneyError> {
    let settled = settle(closing)?;
    entry(settled.into_iter().chain([due(closing.total)?]))
}

/// The same where what is due is shared out: each party's part is in its own account, all else the book's partner's.
pub fn close_shared(
    partner: PartnerId,
    closing: Closing,
    parts: &[(PartnerId, Minor)],
) -> Result<Vec<(PartnerId, Leg)>, MoneyError> {
    let own = entry(settle(closing)?)?.into_iter().map(|leg| (partner, leg));
    let mut legs: Vec<(PartnerId, Leg)> = own.collect();
    for (party, part) in parts {
        legs.extend(entry([due(*part)?])?.into_iter().map(|leg| (*party, leg)));
    }
    Ok(legs)
}

fn settle(closing: Closing) -> Result<[Leg; 3], MoneyError> {
    let Closing { earned, carried_in, recouped, carried_out, .. } = closing;
    Ok([
        (AccountCode::Accrued, earned),
        (AccountCode::Carried, carried_in.checked_sub(carried_out)?),
        (AccountCode::Advance, recouped.checked_neg()?),
    ])
}

fn due(amount: Minor) -> Result<Leg, MoneyError> {
    let account = if amount > Minor::ZERO { AccountCode::Payable } else { AccountCode::Receivable };
    Ok((account, amount.checked_neg()?))
}

/// What is paid beforehand, and owed to the partner for it; what was paid before Saldo was there is nobody's debt any
/// more.
pub fn fund(account: AccountCode, cost: Minor, opening: bool) -> Result<Vec<Leg>, MoneyError> {
    let from = if opening { AccountCode::Opening } else { AccountCode::Payable };
    entry([(account, cost), (from, cost.checked_neg()?)])
}

/// What drawn credit cost.
pub fn draw(cost: Minor) -> Result<Vec<Leg>, MoneyError> {
    entry([(AccountCode::SettlementResult, cost), (AccountCode::Prepaid, cost.checked_neg()?)])
}

/// Money that was carried when a contract moved in, as far as it differs from what was posted before.
pub fn opening(before: Minor, after: Minor) -> Result<Vec<Leg>, MoneyError> {
    let more = after.checked_sub(before)?;
    entry([(AccountCode::Opening, more), (AccountCode::Carried, more.checked_neg()?)])
}

/// Moves what is payable aside, or back, until so much is held. Nothing when it is.
pub fn hold(before: Minor, after: Minor) -> Result<Vec<Leg>, MoneyError> {
    let more = after.checked_sub(before)?;
    entry([(AccountCode::Payable, more), (AccountCode::Held, more.checked_neg()?)])
}

fn entry(legs: impl IntoIterator<Item = Leg>) -> Result<Vec<Leg>, MoneyError> {
    Ok(legs.into_iter().filter(|(_, amount)| *amount != Minor::ZERO).collect())
}

pub fn is_balanced(legs: &[Leg]) -> bool {
    legs.iter().map(|(_, amount)| i128::from(amount.0)).sum::<i128>() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minor(amount: i64) -> Minor {
        Minor(amount)
    }

    #[test]
    fn a_payout_below_the_minimum_is_carried_and_paid_later() {
        let first = Closing {
            earned: minor(80),
            carried_in: minor(0),
            recouped: minor(0),
            carried_out: minor(80),
            total: minor(0),
        };
        assert_eq!(close(first), Ok(vec![(AccountCode::Accrued, minor(80)), (AccountCode::Carried, minor(-80))]));
        let second = Closing {
            earned: minor(50),
            carried_in: minor(80),
            recouped: minor(0),
            carried_out: minor(0),
            total: minor(130),
        };
        let legs = vec![
            (AccountCode::Accrued, minor(50)),
            (AccountCode::Carried, minor(80)),
            (AccountCode::Payable, minor(-130)),
        ];
        assert_eq!(close(second), Ok(legs));
    }

    #[test]
    fn a_negative_total_is_owed_by_the_partner() {
        let closing = Closing {
            earned: minor(-300),
            carried_in: minor(0),
            recouped: minor(0),
            carried_out: minor(0),
            total: minor(-300),
        };
        assert_eq!(
            close(closing),
            Ok(vec![(AccountCode::Accrued, minor(-300)), (AccountCode::Receivable, minor(300))])
        );
    }

    #[test]
    fn each_party_has_its_part_in_its_own_account() {
        let partner = |number| PartnerId(uuid::Uuid::from_u128(number));
        let closing = |total| Closing {
            earned: minor(total + 20),
            carried_in: minor(5),
            recouped: minor(25),
            carried_out: minor(0),
            total: minor(total),
        };
        let parts = [(partner(1), minor(70)), (partner(2), minor(30)), (partner(3), minor(0))];
        let expected = [
            (partner(9), (AccountCode::Accrued, minor(120))),
            (partner(9), (AccountCode::Carried, minor(5))),
            (partner(9), (AccountCode::Advance, minor(-25))),
            (partner(1), (AccountCode::Payable, minor(-70))),
            (partner(2), (AccountCode::Payable, minor(-30))),
        ];
        let legs = close_shared(partner(9), closing(100), &parts).expect("small numbers");
        assert_eq!(legs, expected);
        let owed = close_shared(partner(9), closing(-100), &parts.map(|(partner, part)| (partner, minor(-part.0))));
        let owed = owed.expect("small numbers");
        assert_eq!(
            owed[3..],
            [(partner(1), (AccountCode::Receivable, minor(70))), (partner(2), (AccountCode::Receivable, minor(30)))]
        );
        for legs in [legs, owed] {
            assert!(is_balanced(&legs.into_iter().map(|(_, leg)| leg).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn what_is_held_is_payable_again_when_it_is_released() {
        let legs = |amount| vec![(AccountCode::Payable, minor(amount)), (AccountCode::Held, minor(-amount))];
        assert_eq!(hold(minor(0), minor(70)), Ok(legs(70)));
        assert_eq!(hold(minor(70), minor(0)), Ok(legs(-70)));
        assert_eq!(hold(minor(70), minor(70)), Ok(vec![]));
    }

    #[test]
    fn what_is_paid_beforehand_is_owed_until_it_is_paid_and_recouped_or_drawn() {
        let advance = fund(AccountCode::Advance, minor(200), false).expect("small numbers");
        assert_eq!(advance, [(AccountCode::Advance, minor(200)), (AccountCode::Payable, minor(-200))]);
        let moved = fund(AccountCode::Prepaid, minor(200), true).expect("small numbers");
        assert_eq!(moved, [(AccountCode::Prepaid, minor(200)), (AccountCode::Opening, minor(-200))]);
        assert_eq!(
            draw(minor(36)),
            Ok(vec![(AccountCode::SettlementResult, minor(36)), (AccountCode::Prepaid, minor(-36))])
        );
        assert_eq!(
            opening(minor(5), minor(8)),
            Ok(vec![(AccountCode::Opening, minor(3)), (AccountCode::Carried, minor(-3))])
        );
    }

    #[test]
    fn nothing_is_posted_when_nothing_changed() {
        assert_eq!(true_up(minor(7), minor(7)), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn every_entry_balances_and_accruals_return_to_zero(
            steps in prop::collection::vec(-1_000_000_i64..1_000_000, 1..20), carried_in in 0_i64..1_000, minimum in 0_i64..500_000,
        ) {
            let (mut posted, mut accrued) = (Minor::ZERO, 0_i64);
            for earned in &steps {
                let legs = true_up(posted, minor(*earned)).expect("small numbers");
                prop_assert!(is_balanced(&legs));
                accrued += legs.iter().filter(|(code, _)| *code == AccountCode::Accrued).map(|(_, amount)| amount.0).sum::<i64>();
                posted = minor(*earned);
            }
            let recouped = (posted.0 + carried_in).max(0) / 3;
            let due = posted.0 + carried_in - recouped;
            let carried_out = if due > 0 && due < minimum { due } else { 0 };
            let closing = Closing { earned: posted, carried_in: minor(carried_in), recouped: minor(recouped), carried_out: minor(carried_out), total: minor(due - carried_out) };
            let legs = close(closing).expect("small numbers");
            prop_assert!(is_balanced(&legs));
            accrued += legs.iter().filter(|(code, _)| *code == AccountCode::Accrued).map(|(_, amount)| amount.0).sum::<i64>();
            prop_assert_eq!(accrued, 0);
        }
    }
}
