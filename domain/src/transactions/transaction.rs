//! What a transaction is, and when it is one: pure checks on the way in, the hash that tells a replay from a conflict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Problem};
use crate::ids::SourceId;
use crate::money::{Asset, MoneyError, Units};
use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    Stake,
    Win,
    BonusStake,
    BonusWin,
    JackpotContribution,
    JackpotWin,
    Sale,
    Refund,
    Fee,
    Adjustment,
    Rollback,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Stake,
        Self::Win,
        Self::BonusStake,
        Self::BonusWin,
        Self::JackpotContribution,
        Self::JackpotWin,
        Self::Sale,
        Self::Refund,
        Self::Fee,
        Self::Adjustment,
        Self::Rollback,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stake => "STAKE",
            Self::Win => "WIN",
            Self::BonusStake => "BONUS_STAKE",
            Self::BonusWin => "BONUS_WIN",
            Self::JackpotContribution => "JACKPOT_CONTRIBUTION",
            Self::JackpotWin => "JACKPOT_WIN",
            Self::Sale => "SALE",
            Self::Refund => "REFUND",
            Self::Fee => "FEE",
            Self::Adjustment => "ADJUSTMENT",
            Self::Rollback => "ROLLBACK",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The base that an adjustment moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Affects {
    Ggr,
    Turnover,
    Sales,
}

impl Affects {
    pub const ALL: [Self; 3] = [Self::Ggr, Self::Turnover, Self::Sales];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ggr => "GGR",
            Self::Turnover => "TURNOVER",
            Self::Sales => "SALES",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|base| base.as_str() == text)
    }
}

/// A player's pseudonym: the first 16 bytes of a hash keyed by the tenant.
pub type Player = [u8; 16];

/// A pseudonym as people see it, in hexadecimal digits.
pub fn shown_player(player: &[u8]) -> String {
    player.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a source says happened, as texts: out of a mapping, or from a caller. [`check`] makes a [`Fact`] of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Draft {
    pub external_id: String,
    pub kind: String,
    /// A decimal number in major units: `-12.50`.
    pub amount: String,
    pub currency: String,
    /// RFC 3339, or (from a mapping, which knows the zone) already an instant.
    pub occurred_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub reported_at: Option<Timestamp>,
    pub product: Option<String>,
    pub player: Option<String>,
    pub round: Option<String>,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub reverses: Option<String>,
    pub affects: Option<String>,
    pub note: Option<String>,
    pub test: bool,
    /// Round digits beyond the accounting unit instead of refusing them.
    #[serde(skip)]
    pub round_excess: bool,
    pub attributes: BTreeMap<String, String>,
}

/// A transaction as it is kept: checked, in accounting units, the player a pseudonym.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub source: SourceId,
    pub external_id: String,
    pub kind: Kind,
    pub affects: Option<Affects>,
    pub amount: Units,
    pub currency: String,
    pub occurred_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub reported_at: Option<Timestamp>,
    pub product: Option<String>,
    pub player: Option<Player>,
    pub round: Option<String>,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub reverses: Option<String>,
    pub note: Option<String>,
    pub test: bool,
    pub attributes: BTreeMap<String, String>,
}

/// What a check needs to know of the tenant.
pub trait Known {
    fn asset(&self, code: &str) -> Option<Asset>;
    fn has_product(&self, code: &str) -> bool;
    fn player(&self, name: &str) -> Player;
}

const LONGEST_ID: usize = 200;
const LONGEST_NAME: usize = 100;
const LONGEST_NOTE: usize = 1_000;
const MOST_ATTRIBUTES: usize = 32;

impl Draft {
    /// The fact, or the first thing that is wrong with it.
    pub fn check(&self, source: SourceId, known: &impl Known) -> Result<Fact, Problem> {
        required("externalId", &self.external_id, LONGEST_ID)?;
        let kind = Kind::parse(&self.kind).ok_or_else(|| {
            Problem::new(Code::UnknownKind, "kind", format!("'{}' is no kind of transaction", shown(&self.kind)))
        })?;
        let asset = known.asset(&self.currency).ok_or_else(|| {
            let error = MoneyError::UnknownCurrency(shown(&self.currency));
            Problem::new(Code::UnknownCurrency, "currency", error.to_string())
        })?;
        let amount = amount(&self.amount, &asset, self.round_excess, kind)?;
        let missing_time = || Problem::new(Code::BadTime, "occurredAt", "is missing");
        let occurred_at = self.occurred_at.ok_or_else(missing_time)?;
        self.times()?;
        for (field, text, longest) in [
            ("product", &self.product, LONGEST_NAME),
            ("player", &self.player, LONGEST_ID),
            ("round", &self.round, LONGEST_ID),
            ("channel", &self.channel, LONGEST_NAME),
            ("region", &self.region, LONGEST_NAME),
            ("reverses", &self.reverses, LONGEST_ID),
            ("note", &self.note, LONGEST_NOTE),
        ] {
            if let Some(text) = text {
                required(field, text, longest)?;
            }
        }
        attributes(&self.attributes)?;
        if let Some(product) = &self.product
            && !known.has_product(product)
        {
            let message = format!("no product has the code '{}'; create it, then retry the record", shown(product));
            return Err(Problem::new(Code::UnknownProduct, "product", message));
        }
        let affects = self.affects_of(kind)?;
        self.rollback_of(kind)?;
        Ok(Fact {
            source,
            external_id: self.external_id.clone(),
            kind,
            affects,
            amount,
            currency: self.currency.clone(),
            occurred_at,
            settled_at: self.settled_at,
            reported_at: self.reported_at,
            product: self.product.clone(),
            player: self.player.as_deref().map(|name| known.player(name)),
            round: self.round.clone(),
            round_closed: self.round_closed,
            channel: self.channel.clone(),
            region: self.region.clone(),
            reverses: self.reverses.clone(),
            note: self.note.clone(),
            test: self.test,
            attributes: self.attributes.clone(),
        })
    }

    /// A mapping and a request refuse such times as they read them; a draft that was made in another way comes here.
    fn times(&self) -> Result<(), Problem> {
        let times =
            [("occurredAt", self.occurred_at), ("settledAt", self.settled_at), ("reportedAt", self.reported_at)];
        match times.into_iter().find(|(_, time)| time.is_some_and(|time| !time.in_range())) {
            None => Ok(()),
            Some((field, _)) => {
                let message = format!("lies outside of the years {FIRST_YEAR} to {LAST_YEAR}");
                Err(Problem::new(Code::BadTime, field, message))
            }
        }
    }

    fn affects_of(&self, kind: Kind) -> Result<Option<Affects>, Problem> {
        let bad = |message: &str| Err(Problem::new(Code::BadInput, "affects", message));
        match (kind, self.affects.as_deref()) {
            (Kind::Adjustment, None) => bad("an ADJUSTMENT says which base it affects: GGR, TURNOVER or SALES"),
            (Kind::Adjustment, Some(text)) => {
                if self.note.is_none() {
                    return Err(Problem::new(Code::BadInput, "note", "an ADJUSTMENT needs a note that says why"));
                }
                match Affects::parse(text) {
                    Some(base) => Ok(Some(base)),
                    None => bad("is none of GGR, TURNOVER and SALES"),
                }
            }
            (_, Some(_)) => bad("belongs to an ADJUSTMENT"),
            (_, None) => Ok(None),
        }
    }

    fn rollback_of(&self, kind: Kind) -> Result<(), Problem> {
        let bad = |message: &str| Err(Problem::new(Code::BadRollback, "reverses", message));
        match (kind, &self.reverses) {
            (Kind::Rollback, None) => bad("a ROLLBACK names the external id of what it undoes"),
            (Kind::Rollback, Some(target)) if *target == self.external_id => bad("a ROLLBACK cannot undo itself"),
            (Kind::Rollback, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => bad("belongs to a ROLLBACK"),
        }
    }
}

fn amount(text: &str, asset: &Asset, round: bool, kind: Kind) -> Result<Units, Problem> {
    let problem = |error: MoneyError| {
        let code = match error {
            MoneyError::TooManyDecimals { .. } => Code::TooManyDecimals,
            _ => Code::BadAmount,
        };
        Problem::new(code, "amount", error.to_string())
    };
    let units = match asset.parse_units(text) {
        Err(MoneyError::TooManyDecimals { .. }) if round => {
            let decimal = text.parse().map_err(|_| problem(MoneyError::NotANumber(shown(text))))?;
            asset.units_of(decimal, true)
        }
        other => other,
    };
    let units = units.map_err(problem)?;
    if units.0 < 0 && kind != Kind::Adjustment {
        let message = format!("{} is negative; only an ADJUSTMENT has a sign", shown(text));
        return Err(Problem::new(Code::NegativeAmount, "amount", message));
    }
    // The smallest number has no positive twin, which a rollback would need.
    if units.0 == i64::MIN { Err(problem(MoneyError::TooLarge(shown(text)))) } else { Ok(units) }
}

fn attributes(attributes: &BTreeMap<String, String>) -> Result<(), Problem> {
    if attributes.len() > MOST_ATTRIBUTES {
        let message = format!("has {} entries; at most {MOST_ATTRIBUTES} are kept", attributes.len());
        return Err(Problem::new(Code::BadInput, "attributes", message));
    }
    for (name, value) in attributes {
        required("attributes", name, LONGEST_NAME)?;
        if !value.is_empty() {
            required(&format!("attributes.{name}"), value, LONGEST_NOTE)?;
        }
    }
    Ok(())
}

fn required(field: &str, text: &str, longest: usize) -> Result<(), Problem> {
    let bad = |message: String| Err(Problem::new(Code::BadInput, field, message));
    if text.is_empty() {
        return bad("is empty".into());
    }
    if text.len() > longest {
        return bad(format!("has {} bytes; at most {longest} are kept", text.len()));
    }
    if text.contains('\0') {
        return bad("has a NUL byte in it".into());
    }
    Ok(())
}

/// A value as a message may show it: not longer than a line.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Fact {
    /// SHA-256 over the canonical fields: every field in order, each with its length, so that no two facts share one.
    /// It does not see how the source wrote them, so a mapping may change and a replay stays a replay.
    pub fn payload_hash(&self) -> [u8; 32] {
        let mut canonical = Vec::with_capacity(256);
        let mut put = |bytes: Option<&[u8]>| match bytes {
            None => canonical.push(0),
            Some(bytes) => {
                canonical.push(1);
                canonical.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
                canonical.extend_from_slice(bytes);
            }
        };
        let time = |time: Option<Timestamp>| time.map(|time| time.0.to_be_bytes());
        put(Some(self.external_id.as_bytes()));
        put(Some(self.kind.as_str().as_bytes()));
        put(self.affects.map(|base| base.as_str().as_bytes()));
        put(Some(&self.amount.0.to_be_bytes()));
        put(Some(self.currency.as_bytes()));
        put(Some(&self.occurred_at.0.to_be_bytes()));
        put(time(self.settled_at).as_ref().map(|bytes| bytes.as_slice()));
        put(time(self.reported_at).as_ref().map(|bytes| bytes.as_slice()));
        put(self.player.as_ref().map(|player| player.as_slice()));
        for field in [&self.product, &self.round, &self.channel, &self.region, &self.reverses, &self.note] {
            put(field.as_deref().map(str::as_bytes));
        }
        put(Some(&[u8::from(self.round_closed), u8::from(self.test)]));
        for (name, value) in &self.attributes {
            put(Some(name.as_bytes()));
            put(Some(value.as_bytes()));
        }
        crate::secrets::sha256(&canonical)
    }

    /// What a second delivery under the same external id says otherwise: field, recorded, received.
    pub fn differences(&self, received: &Self) -> Vec<Difference> {
        let (ours, theirs) = (self.fields(), received.fields());
        let changed = ours.into_iter().zip(theirs).filter(|((_, recorded), (_, received))| recorded != received);
        changed
            .map(|((field, recorded), (_, received))| Difference { field: field.to_owned(), recorded, received })
            .collect()
    }

    fn fields(&self) -> Vec<(&'static str, Option<String>)> {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
        vec![
            ("kind", Some(self.kind.as_str().to_owned())),
            ("affects", self.affects.map(|base| base.as_str().to_owned())),
            // In accounting units: the store does not know the asset, and the difference is what matters.
            ("amountUnits", Some(self.amount.0.to_string())),
            ("currency", Some(self.currency.clone())),
            ("occurredAt", time(Some(self.occurred_at))),
            ("settledAt", time(self.settled_at)),
            ("reportedAt", time(self.reported_at)),
            ("product", self.product.clone()),
            ("player", self.player.map(|player| player.iter().map(|byte| format!("{byte:02x}")).collect())),
            ("round", self.round.clone()),
            ("roundClosed", Some(self.round_closed.to_string())),
            ("channel", self.channel.clone()),
            ("region", self.region.clone()),
            ("reverses", self.reverses.clone()),
            ("note", self.note.clone()),
            ("test", Some(self.test.to_string())),
            ("attributes", serde_json::to_string(&self.attributes).ok()),
        ]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub field: String,
    pub recorded: Option<String>,
    pub received: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Everything;

    impl Known for Everything {
        fn asset(&self, code: &str) -> Option<Asset> {
            if code == "BIT" { Some(Asset::new("BIT", 2)) } else { Asset::iso(code) }
        }
        fn has_product(&self, code: &str) -> bool {
            code == "crash"
        }
        fn player(&self, name: &str) -> Player {
            let mut player = Player::default();
            player[0] = u8::try_from(name.len()).unwrap_or(u8::MAX);
            player
        }
    }

    fn draft() -> Draft {
        Draft {
            external_id: "1:stake".into(),
            kind: "STAKE".into(),
            amount: "12.5".into(),
            currency: "BIT".into(),
            occurred_at: Some(Timestamp(1_637_437_459_000_000)),
            product: Some("crash".into()),
            ..Draft::default()
        }
    }

    fn refused(change: impl FnOnce(&mut Draft)) -> (Code, String) {
        let mut draft = draft();
        change(&mut draft);
        let problem = draft.check(SourceId::NONE, &Everything).expect_err("a problem");
        (problem.code, problem.path)
    }

    #[test]
    fn a_wrong_field_is_named() {
        let named = |code: Code, field: &str| (code, field.to_owned());
        assert!(draft().check(SourceId::NONE, &Everything).is_ok());
        assert_eq!(refused(|d| d.external_id = String::new()), named(Code::BadInput, "externalId"));
        assert_eq!(refused(|d| d.external_id = "a\0b".into()), named(Code::BadInput, "externalId"));
        assert_eq!(refused(|d| d.kind = "GIFT".into()), named(Code::UnknownKind, "kind"));
        assert_eq!(refused(|d| d.currency = "ABC".into()), named(Code::UnknownCurrency, "currency"));
        assert_eq!(refused(|d| d.product = Some("roulette".into())), named(Code::UnknownProduct, "product"));
        assert_eq!(refused(|d| d.occurred_at = None), named(Code::BadTime, "occurredAt"));
        assert_eq!(refused(|d| d.amount = "-1".into()), named(Code::NegativeAmount, "amount"));
        assert_eq!(refused(|d| d.amount = "1.0000001".into()), named(Code::TooManyDecimals, "amount"));
        for amount in ["NaN", "1e400", "", "--1", "9223372036854775808"] {
            assert_eq!(refused(|d| d.amount = amount.into()), named(Code::BadAmount, "amount"), "{amount}");
        }
        assert_eq!(refused(|d| d.kind = "ROLLBACK".into()), named(Code::BadRollback, "reverses"));
        assert_eq!(refused(|d| d.reverses = Some("2".into())), named(Code::BadRollback, "reverses"));
        assert_eq!(refused(|d| d.kind = "ADJUSTMENT".into()), named(Code::BadInput, "affects"));
        let adjustment = |d: &mut Draft| {
            d.kind = "ADJUSTMENT".into();
            d.affects = Some("GGR".into());
        };
        assert_eq!(refused(adjustment), named(Code::BadInput, "note"));
    }

    #[test]
    fn digits_beyond_the_accounting_unit_are_rounded_only_where_the_mapping_says_so() {
        let rounded = Draft { amount: "1.00000050000001".into(), round_excess: true, ..draft() };
        assert_eq!(rounded.check(SourceId::NONE, &Everything).map(|fact| fact.amount), Ok(Units(1_000_001)));
    }

    #[test]
    fn a_rollback_cannot_undo_itself() {
        let change = |d: &mut Draft| {
            d.kind = "ROLLBACK".into();
            d.reverses = Some(d.external_id.clone());
        };
        assert_eq!(refused(change).0, Code::BadRollback);
    }

    proptest! {
        #[test]
        fn the_hash_tells_any_two_contents_apart(
            a in ("[a-c]{1,3}", prop::option::of("[a-c]{1,3}"), prop::option::of("[a-c]{1,3}"), 0_i64..3),
            b in ("[a-c]{1,3}", prop::option::of("[a-c]{1,3}"), prop::option::of("[a-c]{1,3}"), 0_i64..3),
        ) {
            let fact = |(id, round, channel, amount): (String, Option<String>, Option<String>, i64)| {
                let draft = Draft { external_id: id, round, channel, amount: amount.to_string(), ..draft() };
                draft.check(SourceId::NONE, &Everything).expect("a fact")
            };
            let (a, b) = (fact(a), fact(b));
            prop_assert_eq!(a == b, a.payload_hash() == b.payload_hash());
            prop_assert_eq!(a.external_id == b.external_id && a != b, a.external_id == b.external_id && !a.differences(&b).is_empty());
        }
    }
}
