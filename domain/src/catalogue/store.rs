//! The tables `assets`, `products`, `product_versions` and `player_versions`.

use sea_orm::DbErr;
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::ProductId;
use crate::page::PageRequest;
use crate::paged;
use crate::transactions::transaction::Player;

pub mod asset {
    use super::*;
    use crate::ids::TenantId;
    use crate::time::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "assets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        pub exponent: i64,
        pub accounting_exponent: i64,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Shared);
}

pub mod product {
    use super::*;
    use crate::ids::TenantId;
    use crate::time::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "products")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ProductId,
        pub code: String,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Shared);
}

pub mod product_version {
    use super::*;
    use crate::ids::TenantId;
    use crate::time::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "product_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub product_id: ProductId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub valid_from: Timestamp,
        pub name: String,
        pub category: Option<String>,
        pub studio: Option<String>,
        pub theoretical_rtp: Option<String>,
        pub volatility: Option<String>,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Shared);
}

pub mod player_version {
    use super::*;
    use crate::ids::TenantId;
    use crate::time::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "player_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub player: Vec<u8>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub valid_from: Timestamp,
        pub segment: Option<String>,
        pub tags: String,
        pub test: bool,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

pub async fn asset_by_code(tx: &TenantTx, code: &str) -> Result<Option<asset::Model>, DbErr> {
    tx.one::<asset::Entity>(|q| q.filter(asset::Column::Code.eq(code))).await
}

pub async fn assets_by_codes(tx: &TenantTx, codes: impl Iterator<Item = &str>) -> Result<Vec<asset::Model>, DbErr> {
    tx.all::<asset::Entity>(|q| q.filter(asset::Column::Code.is_in(codes))).await
}

pub async fn assets_page(tx: &TenantTx, page: PageRequest<String>) -> Result<Vec<asset::Model>, DbErr> {
    tx.all::<asset::Entity>(|q| paged!(q, asset::Column::Code, page, ascending)).await
}

pub async fn assets(tx: &TenantTx) -> Result<Vec<asset::Model>, DbErr> {
    tx.all::<asset::Entity>(|q| q).await
}

pub async fn product_by_code(tx: &TenantTx, code: &str) -> Result<Option<product::Model>, DbErr> {
    tx.one::<product::Entity>(|q| q.filter(product::Column::Code.eq(code))).await
}

pub async fn products_by_codes(tx: &TenantTx, codes: &[String]) -> Result<Vec<product::Model>, DbErr> {
    tx.all::<product::Entity>(|q| q.filter(product::Column::Code.is_in(codes.iter().map(String::as_str)))).await
}

pub async fn product_by_id(tx: &TenantTx, id: ProductId) -> Result<Option<product::Model>, DbErr> {
    tx.one::<product::Entity>(|q| q.filter(product::Column::Id.eq(id))).await
}

pub async fn products(tx: &TenantTx, page: PageRequest) -> Result<Vec<product::Model>, DbErr> {
    tx.all::<product::Entity>(|q| paged!(q, product::Column::Id, page)).await
}

pub async fn all_products(tx: &TenantTx) -> Result<Vec<product::Model>, DbErr> {
    tx.all::<product::Entity>(|q| q).await
}

pub async fn product_versions(tx: &TenantTx, ids: &[ProductId]) -> Result<Vec<product_version::Model>, DbErr> {
    use product_version::Column;
    tx.all::<product_version::Entity>(|q| {
        q.filter(Column::ProductId.is_in(ids.iter().copied()))
            .order_by_asc(Column::ProductId)
            .order_by_asc(Column::ValidFrom)
    })
    .await
}

pub async fn all_product_versions(tx: &TenantTx) -> Result<Vec<product_version::Model>, DbErr> {
    tx.all::<product_version::Entity>(|q| q.order_by_asc(product_version::Column::ValidFrom)).await
}

/// The categories that products have or had.
pub async fn categories(tx: &TenantTx) -> Result<Vec<String>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        category: Option<String>,
    }
    use product_version::Column;
    let rows = tx.rows::<product_version::Entity, Row>(|q| q.select_only().column(Column::Category).distinct()).await?;
    Ok(rows.into_iter().filter_map(|row| row.category).collect())
}

/// The segments that players have or had.
pub async fn segments(tx: &TenantTx) -> Result<Vec<String>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        segment: Option<String>,
    }
    use player_version::Column;
    let rows = tx.rows::<player_version::Entity, Row>(|q| q.select_only().column(Column::Segment).distinct()).await?;
    Ok(rows.into_iter().filter_map(|row| row.segment).collect())
}

/// The lists of tags that players have or had, as they are stored.
pub async fn tag_lists(tx: &TenantTx) -> Result<Vec<String>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        tags: String,
    }
    use player_version::Column;
    let rows = tx.rows::<player_version::Entity, Row>(|q| q.select_only().column(Column::Tags).distinct()).await?;
    Ok(rows.into_iter().map(|row| row.tags).collect())
}

/// Adds a version, or replaces the one from the same instant.
pub async fn put_product_version(tx: &TenantTx, version: product_version::Model) -> Result<(), DbErr> {
    use product_version::Column;
    tx.delete::<product_version::Entity>(|q| {
        q.filter(Column::ProductId.eq(version.product_id)).filter(Column::ValidFrom.eq(version.valid_from))
    })
    .await?;
    tx.insert(product_version::ActiveModel::from(version)).await
}

/// Adds a version, or replaces the one from the same instant.
pub async fn put_player_version(tx: &TenantTx, version: player_version::Model) -> Result<(), DbErr> {
    use player_version::Column;
    tx.delete::<player_version::Entity>(|q| {
        q.filter(Column::Player.eq(version.player.clone())).filter(Column::ValidFrom.eq(version.valid_from))
    })
    .await?;
    tx.insert(player_version::ActiveModel::from(version)).await
}

/// The pseudonyms that have versions.
pub async fn players(tx: &TenantTx, page: PageRequest<Vec<u8>>) -> Result<Vec<Vec<u8>>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        player: Vec<u8>,
    }
    use player_version::Column;
    let rows = tx.rows::<player_version::Entity, Row>(|q| {
        paged!(q.select_only().column(Column::Player).distinct(), Column::Player, page, ascending)
    });
    Ok(rows.await?.into_iter().map(|row| row.player).collect())
}

pub async fn player_versions_of(tx: &TenantTx, players: &[Player]) -> Result<Vec<player_version::Model>, DbErr> {
    use player_version::Column;
    let players = players.iter().map(|player| player.to_vec());
    tx.all::<player_version::Entity>(|q| {
        q.filter(Column::Player.is_in(players)).order_by_asc(Column::Player).order_by_asc(Column::ValidFrom)
    })
    .await
}

pub async fn player_versions(tx: &TenantTx) -> Result<Vec<player_version::Model>, DbErr> {
    use player_version::Column;
    tx.all::<player_version::Entity>(|q| q.order_by_asc(Column::Player).order_by_asc(Column::ValidFrom)).await
}
