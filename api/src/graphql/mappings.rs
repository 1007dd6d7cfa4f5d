//! A source's mapping in the shape of its JSON (`docs/mapping.md`), for writing and for reading back.

use async_graphql::{ComplexObject, Enum, InputObject, SimpleObject};
use domain::sources::mapping::{self, Emission, Mapping};
use domain::{Code, Error, Problem};

use super::page::short;

// The values are the words of the JSON, so that a mapping can be pasted as a variable.
/// What a file is written in.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "mapping::Format", rename_items = "lowercase")]
pub enum MappingFormat {
    /// Comma-separated values, or separated by another `delimiter`.
    Csv,
    /// JSON Lines: one object a line.
    Jsonl,
}

/// How records become transactions.
#[derive(InputObject, SimpleObject)]
#[graphql(complex, input_name = "SourceMappingInput", name = "SourceMapping")]
pub struct SourceMapping {
    /// What the file is written in.
    pub format: MappingFormat,
    /// A label of the WHATWG encoding standard; "utf-8" when absent.
    pub encoding: Option<String>,
    /// For times without an offset, such as "Asia/Seoul".
    pub time_zone: Option<String>,
    /// How times are written, such as "%d.%m.%Y %H:%M:%S", or "unixMillis"; RFC 3339 with or without an offset when
    /// absent.
    pub time_format: Option<String>,
    /// Of CSV; a comma when absent.
    pub delimiter: Option<String>,
    /// Of CSV; `"` when absent, empty where quotes mean nothing.
    pub quote: Option<String>,
    /// Rounds digits beyond the accounting unit instead of refusing them.
    pub round_excess: Option<bool>,
    /// The transactions that one record becomes.
    #[graphql(skip_output)]
    pub emit: Vec<MappedTransaction>,
}

/// A transaction that a record becomes. All but a literal `kind` are zen-expressions over the record's fields, which
/// are texts until converted: `number(Bet)`.
#[derive(InputObject, SimpleObject)]
#[graphql(complex, input_name = "MappedTransactionInput", name = "MappedTransaction")]
pub struct MappedTransaction {
    /// Whether the record becomes this transaction; always when absent.
    pub when: Option<String>,
    /// A kind, or an expression that gives one.
    pub kind: String,
    /// The source's own id of the transaction. Required, and unique in the source.
    pub external_id: String,
    /// In major units, never negative but for an adjustment.
    pub amount: String,
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
    /// When it happened, in `timeFormat`.
    pub occurred_at: String,
    /// When it was settled, in `timeFormat`.
    pub settled_at: Option<String>,
    /// When it was reported, in `timeFormat`.
    pub reported_at: Option<String>,
    /// The code of the product.
    pub product: Option<String>,
    /// What the source calls the player; only a pseudonym is kept.
    pub player: Option<String>,
    /// The round of the game.
    pub round: Option<String>,
    /// Whether the round ends with it.
    pub round_closed: Option<String>,
    /// Where it was sold or played.
    pub channel: Option<String>,
    /// Where the player is.
    pub region: Option<String>,
    /// The external id of what a rollback undoes.
    pub reverses: Option<String>,
    /// The base that an adjustment moves.
    pub affects: Option<String>,
    /// Why there is an adjustment.
    pub note: Option<String>,
    /// Whether it is a test: recorded and never settled.
    pub test: Option<String>,
    /// Values beside what Saldo knows, by name.
    #[graphql(skip_output)]
    pub attributes: Option<Vec<MappedAttribute>>,
}

/// A value that the source gives beside what Saldo knows.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "MappedAttributeInput", name = "MappedAttribute")]
pub struct MappedAttribute {
    /// Once in a transaction.
    pub name: String,
    /// A zen-expression over the record's fields.
    pub expression: String,
}

// What an input may not have: the cost of a list when it is read back.
#[ComplexObject]
impl SourceMapping {
    /// The transactions that one record becomes.
    #[graphql(complexity = "short(child_complexity)")]
    async fn emit(&self) -> &[MappedTransaction] {
        &self.emit
    }
}

#[ComplexObject]
impl MappedTransaction {
    /// Values beside what Saldo knows, by name.
    #[graphql(complexity = "short(child_complexity)")]
    async fn attributes(&self) -> Option<&[MappedAttribute]> {
        self.attributes.as_deref()
    }
}

impl SourceMapping {
    /// The core's mapping; problems have the path of their field in the mapping.
    pub fn core(self) -> Result<Mapping, Error> {
        let mut problems = Vec::new();
        let time_zone = self.time_zone.and_then(|zone| match zone.parse() {
            Ok(zone) => Some(zone),
            Err(_) => {
                problems.push(no_zone("timeZone", &zone));
                None
            }
        });
        let emit = self.emit.into_iter().enumerate().map(|(n, emission)| emission.core(n, &mut problems)).collect();
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        Ok(Mapping {
            format: self.format.into(),
            encoding: self.encoding.unwrap_or_else(|| "utf-8".to_owned()),
            time_zone,
            time_format: self.time_format,
            delimiter: self.delimiter,
            quote: self.quote,
            round_excess: self.round_excess.unwrap_or_default(),
            emit,
        })
    }
}

/// What is wrong with the name of a time zone.
pub fn no_zone(path: &str, zone: &str) -> Problem {
    Problem::new(Code::BadInput, path, format!("'{zone}' is no time zone like Asia/Seoul"))
}

impl MappedTransaction {
    fn core(self, position: usize, problems: &mut Vec<Problem>) -> Emission {
        let mut attributes = std::collections::BTreeMap::new();
        for (n, MappedAttribute { name, expression }) in self.attributes.into_iter().flatten().enumerate() {
            if attributes.contains_key(&name) {
                let path = format!("emit.{position}.attributes.{n}.name");
                problems.push(Problem::new(Code::BadInput, path, format!("'{name}' is there twice")));
            }
            attributes.insert(name, expression);
        }
        Emission {
            when: self.when,
            kind: self.kind,
            external_id: self.external_id,
            amount: self.amount,
            currency: self.currency,
            occurred_at: self.occurred_at,
            settled_at: self.settled_at,
            reported_at: self.reported_at,
            product: self.product,
            player: self.player,
            round: self.round,
            round_closed: self.round_closed,
            channel: self.channel,
            region: self.region,
            reverses: self.reverses,
            affects: self.affects,
            note: self.note,
            test: self.test,
            attributes,
        }
    }
}

impl From<Mapping> for SourceMapping {
    fn from(mapping: Mapping) -> Self {
        Self {
            format: mapping.format.into(),
            encoding: Some(mapping.encoding),
            time_zone: mapping.time_zone.map(|zone| zone.name().to_owned()),
            time_format: mapping.time_format,
            delimiter: mapping.delimiter,
            quote: mapping.quote,
            round_excess: Some(mapping.round_excess),
            emit: mapping.emit.into_iter().map(MappedTransaction::from).collect(),
        }
    }
}

impl From<Emission> for MappedTransaction {
    fn from(emission: Emission) -> Self {
        let attributes = emission.attributes.into_iter();
        Self {
            when: emission.when,
            kind: emission.kind,
            external_id: emission.external_id,
            amount: emission.amount,
            currency: emission.currency,
            occurred_at: emission.occurred_at,
            settled_at: emission.settled_at,
            reported_at: emission.reported_at,
            product: emission.product,
            player: emission.player,
            round: emission.round,
            round_closed: emission.round_closed,
            channel: emission.channel,
            region: emission.region,
            reverses: emission.reverses,
            affects: emission.affects,
            note: emission.note,
            test: emission.test,
            attributes: Some(attributes.map(|(name, expression)| MappedAttribute { name, expression }).collect()),
        }
    }
}
