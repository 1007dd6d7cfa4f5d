//! The tables of facts and of what is known about them.

use sea_orm::entity::prelude::*;

use crate::db::{Reach, tenant_owned};
use crate::error::Fault;
use crate::ids::{BlockId, ContractId, ModelId, SourceId, TenantId, TransactionId};
use crate::money::Units;
use crate::time::Timestamp;

use super::transaction::{Affects, Fact, Kind, Player};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transactions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TransactionId,
    pub source_id: SourceId,
    pub external_id: String,
    pub kind: String,
    pub affects: Option<String>,
    pub amount: Units,
    pub currency: String,
    pub occurred_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub reported_at: Option<Timestamp>,
    pub recorded_at: Timestamp,
    pub product: Option<String>,
    pub player: Option<Vec<u8>>,
    pub round: Option<String>,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub reverses: Option<String>,
    pub attributes: Option<String>,
    pub note: Option<String>,
    pub test: bool,
    pub payload_hash: Vec<u8>,
    pub block_id: BlockId,
    pub block_offset: i64,
    pub block_length: i64,
    /// Thousandths of a natural logarithm: how odd the detector finds it. Not part of the fact: one that was recorded
    /// without gets it later.
    pub score: Option<i64>,
    pub model_id: Option<ModelId>,
}

tenant_owned!(Reach::Source(Column::SourceId));

pub mod block {
    use super::*;
    use crate::ids::ImportRunId;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ingest_blocks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: BlockId,
        pub source_id: SourceId,
        pub import_run_id: Option<ImportRunId>,
        pub file_offset: i64,
        pub raw_length: i64,
        pub sha256: Vec<u8>,
        pub body: Vec<u8>,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod unpriced {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "unpriced")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub transaction_id: TransactionId,
        /// [`ContractId::NONE`] when no contract covers the transaction.
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        pub source_id: SourceId,
        pub reason: String,
        pub message: String,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod rollback {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "rollbacks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub reverses: String,
        pub transaction_id: TransactionId,
        pub matched: bool,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod round {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "rounds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub round: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub player: Vec<u8>,
        pub closed_at: Timestamp,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod waiting {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "waiting")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub round: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub player: Vec<u8>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub transaction_id: TransactionId,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

impl Model {
    /// The fact as the decisions read it.
    pub fn fact(self) -> Result<Fact, Fault> {
        let corrupt = |what: &str| Fault::Corrupt(format!("transaction {}: {what}", self.id));
        let kind = Kind::parse(&self.kind).ok_or_else(|| corrupt("kind"))?;
        let affects =
            self.affects.as_deref().map(|base| Affects::parse(base).ok_or_else(|| corrupt("affects"))).transpose()?;
        let player =
            self.player.as_deref().map(|bytes| Player::try_from(bytes).map_err(|_| corrupt("player"))).transpose()?;
        let attributes =
            self.attributes.as_deref().map(serde_json::from_str).transpose().map_err(|_| corrupt("attributes"))?;
        Ok(Fact {
            source: self.source_id,
            external_id: self.external_id,
            kind,
            affects,
            amount: self.amount,
            currency: self.currency,
            occurred_at: self.occurred_at,
            settled_at: self.settled_at,
            reported_at: self.reported_at,
            product: self.product,
            player,
            round: self.round,
            round_closed: self.round_closed,
            channel: self.channel,
            region: self.region,
            reverses: self.reverses,
            note: self.note,
            test: self.test,
            attributes: attributes.unwrap_or_default(),
        })
    }
}
