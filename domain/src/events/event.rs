//! What an event is, where one stands among them, and who cares for which.

use uuid::Uuid;

use crate::error::{Code, Problem};
use crate::ids::{CaseId, PartnerId, SettlementId, TenantId};
use crate::secrets::{base64url, from_base64url, sha256};
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A settlement's lines, totals or state are others than before.
    SettlementUpdated,
    /// Risk staff have a case more.
    AnomalyRaised,
    /// What a member or an API key may do, or whether its session stands, is to be looked up again.
    AccessChanged,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::SettlementUpdated, Self::AnomalyRaised, Self::AccessChanged];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SettlementUpdated => "SETTLEMENT_UPDATED",
            Self::AnomalyRaised => "ANOMALY_RAISED",
            Self::AccessChanged => "ACCESS_CHANGED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a change has to tell. It names its subject and carries no state: whoever hears of it reads what is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct News {
    pub kind: Kind,
    pub subject: Uuid,
    /// Whose users may hear of it.
    pub partner: Option<PartnerId>,
}

impl News {
    pub fn settlement(id: SettlementId, partner: PartnerId) -> Self {
        Self { kind: Kind::SettlementUpdated, subject: id.0, partner: Some(partner) }
    }

    pub fn anomaly(id: CaseId) -> Self {
        Self { kind: Kind::AnomalyRaised, subject: id.0, partner: None }
    }

    pub fn is_anomaly(&self) -> bool {
        self.kind == Kind::AnomalyRaised
    }

    pub fn access(actor: Uuid) -> Self {
        Self { kind: Kind::AccessChanged, subject: actor, partner: None }
    }
}

/// News with its place among the tenant's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub sequence: i64,
    pub news: News,
    /// When it was written, just before it was committed.
    pub at: Timestamp,
}

/// What somebody follows. The partner of a partner's user is in it whatever the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    pub kind: Kind,
    pub subject: Option<Uuid>,
    pub partner: Option<PartnerId>,
}

impl Interest {
    pub fn all(kind: Kind) -> Self {
        Self { kind, subject: None, partner: None }
    }

    pub fn takes(&self, news: &News) -> bool {
        self.kind == news.kind
            && self.subject.is_none_or(|id| id == news.subject)
            && self.partner.is_none_or(|partner| news.partner == Some(partner))
    }
}

/// A place among one tenant's events, as clients keep it: opaque, and good for its own tenant only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub i64);

const CHECK_BYTES: usize = 4;

impl Cursor {
    pub fn text(self, tenant: TenantId) -> String {
        let mut bytes = check(tenant).to_vec();
        bytes.extend(self.0.to_be_bytes());
        base64url(&bytes)
    }

    pub fn parse(text: &str, tenant: TenantId) -> Result<Self, Problem> {
        let read = || {
            let bytes = from_base64url(text)?;
            let (own, sequence) = bytes.split_at_checked(CHECK_BYTES)?;
            let sequence = i64::from_be_bytes(sequence.try_into().ok()?);
            (own == check(tenant) && sequence >= 0).then_some(Self(sequence))
        };
        read().ok_or_else(|| Problem::new(Code::BadInput, "after", "this is no cursor of these events"))
    }
}

fn check(tenant: TenantId) -> [u8; CHECK_BYTES] {
    let hash = sha256(format!("events of {tenant}").as_bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_for_its_own_tenant_only() {
        let (own, other) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        for sequence in [0, 1, i64::MAX] {
            let text = Cursor(sequence).text(own);
            assert_eq!(Cursor::parse(&text, own).unwrap(), Cursor(sequence));
            assert!(Cursor::parse(&text, other).is_err());
        }
        for bad in ["", "?", "AAAA", &Cursor(-1).text(own), &format!("{}A", Cursor(1).text(own))] {
            assert!(Cursor::parse(bad, own).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_interest_takes_what_it_names() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let news = News::settlement(SettlementId(one), PartnerId(other));
        let takes = |subject: Option<Uuid>, partner: Option<Uuid>| {
            Interest { subject, partner: partner.map(PartnerId), ..Interest::all(Kind::SettlementUpdated) }.takes(&news)
        };
        assert!(takes(None, None) && takes(Some(one), None) && takes(Some(one), Some(other)));
        assert!(!takes(Some(other), None) && !takes(None, Some(one)) && !takes(Some(one), Some(one)));
        let settlements = Interest::all(Kind::SettlementUpdated);
        assert!(!settlements.takes(&News::access(one)) && !settlements.takes(&News::anomaly(CaseId(one))));
        let cases = Interest::all(Kind::AnomalyRaised);
        assert!(cases.takes(&News::anomaly(CaseId(one))) && !cases.takes(&news));
        let of_partner = Interest { partner: Some(PartnerId(other)), ..cases };
        assert!(!of_partner.takes(&News::anomaly(CaseId(one))), "a partner's user hears of no case");
    }

    #[test]
    fn kinds_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
