//! The tables of tenants, their members and what they sign in with.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use super::api_keys::ApiKey;
use super::member::{Member, MemberState};
use super::{NewMember, Tenant};
use crate::caller::Role;
use crate::db::{AdminTx, Installation, Reach, TenantOwned, TenantTx};
use crate::error::Fault;
use crate::ids::{ApiKeyId, FamilyId, MemberId, OneTimeTokenId, PartnerId, RefreshTokenId, SourceId, TenantId};
use crate::notifications::Language;
use crate::page::{Page, PageRequest};
use crate::paged;
use crate::time::Timestamp;

/// An entity: its table, columns and, for a tenant's own, what a partner's user sees of it.
macro_rules! entity {
    ($module:ident, $table:literal, $kind:ident, { $($(#[$key:meta])? $field:ident: $type:ty,)+ }) => {
        pub(super) mod $module {
            use sea_orm::entity::prelude::*;

            use super::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model { $($(#[$key])? pub $field: $type,)+ }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
            entity!(@$kind);
        }
    };
    (@installation) => { impl Installation for Entity {} };
    (@hidden) => {
        impl TenantOwned for Entity {
            const TENANT: Column = Column::TenantId;
            const REACH: Reach<Column> = Reach::Hidden;
        }
    };
}

entity!(tenant, "tenants", installation, {
    #[sea_orm(primary_key, auto_increment = false)]
    id: TenantId,
    slug: String,
    name: String,
    config_epoch: i64,
    player_key: Vec<u8>,
    created_at: Timestamp,
});

entity!(signing_key, "signing_keys", installation, {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    private_key: Vec<u8>,
    created_at: Timestamp,
});

entity!(member, "members", hidden, {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    id: MemberId,
    email: String,
    name: String,
    role: String,
    partner_id: Option<PartnerId>,
    password_hash: Option<String>,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
    language: String,
});

entity!(one_time_token, "one_time_tokens", hidden, {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    id: OneTimeTokenId,
    member_id: MemberId,
    secret_hash: Vec<u8>,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    created_at: Timestamp,
});

entity!(refresh_token, "refresh_tokens", hidden, {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    id: RefreshTokenId,
    family_id: FamilyId,
    member_id: MemberId,
    secret_hash: Vec<u8>,
    expires_at: Timestamp,
    rotated_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    created_at: Timestamp,
});

entity!(api_key, "api_keys", hidden, {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    id: ApiKeyId,
    source_id: SourceId,
    name: String,
    secret_hash: Vec<u8>,
    revoked_at: Option<Timestamp>,
    created_at: Timestamp,
});

impl From<tenant::Model> for Tenant {
    fn from(row: tenant::Model) -> Self {
        Self { id: row.id, slug: row.slug, name: row.name, created_at: row.created_at }
    }
}

impl TryFrom<member::Model> for Member {
    type Error = Fault;
    fn try_from(row: member::Model) -> Result<Self, Fault> {
        let role =
            Role::parse(&row.role).ok_or_else(|| Fault::Corrupt(format!("{} has the role {}", row.id, row.role)))?;
        let state = match (row.disabled_at, &row.password_hash) {
            (Some(_), _) => MemberState::Disabled,
            (None, None) => MemberState::Invited,
            (None, Some(_)) => MemberState::Active,
        };
        let language = Language::parse(&row.language)
            .ok_or_else(|| Fault::Corrupt(format!("{} reads {}", row.id, row.language)))?;
        let member::Model { id, email, name, partner_id: partner, created_at, .. } = row;
        Ok(Self { id, email, name, role, partner, state, language, created_at })
    }
}

impl From<api_key::Model> for ApiKey {
    fn from(row: api_key::Model) -> Self {
        let api_key::Model { id, source_id: source, name, revoked_at, created_at, .. } = row;
        Self { id, source, name, revoked_at, created_at }
    }
}

pub(super) async fn tenant_by_slug(tx: &AdminTx, slug: &str) -> Result<Option<tenant::Model>, DbErr> {
    tx.one::<tenant::Entity>(|tenants| tenants.filter(tenant::Column::Slug.eq(slug))).await
}

pub(super) async fn tenants(tx: &AdminTx) -> Result<Vec<tenant::Model>, DbErr> {
    tx.all::<tenant::Entity>(|tenants| tenants.order_by_asc(tenant::Column::Id)).await
}

pub(super) async fn tenant_by_id(tx: &AdminTx, id: TenantId) -> Result<Option<tenant::Model>, DbErr> {
    tx.one::<tenant::Entity>(|tenants| tenants.filter(tenant::Column::Id.eq(id))).await
}

/// All signing keys, newest first.
pub(super) async fn signing_keys(tx: &AdminTx) -> Result<Vec<signing_key::Model>, DbErr> {
    tx.all::<signing_key::Entity>(|keys| keys.order_by_desc(signing_key::Column::CreatedAt)).await
}

pub(super) async fn insert_for_installation<M, A>(tx: &AdminTx, row: M) -> Result<(), DbErr>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
    A::Entity: Installation,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    tx.insert(row.into_active_model().reset_all()).await
}

/// Inserts a row of this tenant.
pub(super) async fn insert<M, A>(tx: &TenantTx, row: M) -> Result<(), DbErr>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
    A::Entity: TenantOwned,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    tx.insert(row.into_active_model().reset_all()).await
}

pub(super) fn new_member(
    tx: &TenantTx,
    id: MemberId,
    new: NewMember,
    password: Option<String>,
    now: Timestamp,
) -> member::Model {
    member::Model {
        tenant_id: tx.tenant(),
        id,
        email: new.email,
        name: new.name,
        role: new.role.as_str().to_owned(),
        partner_id: new.partner,
        password_hash: password,
        disabled_at: None,
        created_at: now,
        language: new.language.as_str().to_owned(),
    }
}

pub(super) async fn member_by_id(tx: &TenantTx, id: MemberId) -> Result<Option<member::Model>, DbErr> {
    tx.one::<member::Entity>(|members| members.filter(member::Column::Id.eq(id))).await
}

pub(super) async fn members_by_ids(tx: &TenantTx, ids: &[MemberId]) -> Result<Vec<member::Model>, DbErr> {
    tx.all::<member::Entity>(|members| members.filter(member::Column::Id.is_in(ids.iter().copied()))).await
}

pub(super) async fn member_by_email(tx: &TenantTx, email: &str) -> Result<Option<member::Model>, DbErr> {
    tx.one::<member::Entity>(|members| members.filter(member::Column::Email.eq(email))).await
}

pub(super) async fn members(tx: &TenantTx, request: PageRequest) -> Result<Page<member::Model>, DbErr> {
    let rows = tx.all::<member::Entity>(|members| paged!(members, member::Column::Id, request)).await?;
    Ok(Page::cut(rows, &request))
}

/// Members with this role, oldest first.
pub(super) async fn with_role(tx: &TenantTx, role: Role) -> Result<Vec<member::Model>, DbErr> {
    let wanted = member::Column::Role.eq(role.as_str());
    tx.all::<member::Entity>(|members| members.filter(wanted).order_by_asc(member::Column::Id)).await
}

/// Writes what may change of a member: role, password and whether it is disabled.
pub(super) async fn update_member(tx: &TenantTx, row: &member::Model) -> Result<(), DbErr> {
    let row = row.clone();
    tx.update::<member::Entity>(|members| {
        let changed = member::ActiveModel {
            role: Set(row.role),
            password_hash: Set(row.password_hash),
            disabled_at: Set(row.disabled_at),
            ..Default::default()
        };
        members.set(changed).filter(member::Column::Id.eq(row.id))
    })
    .await
    .map(drop)
}

pub(super) async fn set_language(tx: &TenantTx, id: MemberId, language: Language) -> Result<(), DbErr> {
    tx.update::<member::Entity>(|members| {
        members.col_expr(member::Column::Language, Expr::value(language.as_str())).filter(member::Column::Id.eq(id))
    })
    .await
    .map(drop)
}

pub(super) async fn one_time_token(tx: &TenantTx, id: OneTimeTokenId) -> Result<Option<one_time_token::Model>, DbErr> {
    tx.one::<one_time_token::Entity>(|tokens| tokens.filter(one_time_token::Column::Id.eq(id))).await
}

/// Uses up every one-time token that a member still has.
pub(super) async fn spend_one_time_tokens(tx: &TenantTx, member: MemberId, now: Timestamp) -> Result<(), DbErr> {
    tx.update::<one_time_token::Entity>(|tokens| {
        tokens
            .col_expr(one_time_token::Column::UsedAt, Expr::value(now))
            .filter(one_time_token::Column::MemberId.eq(member))
            .filter(one_time_token::Column::UsedAt.is_null())
    })
    .await
    .map(drop)
}

pub(super) async fn refresh_token(tx: &TenantTx, id: RefreshTokenId) -> Result<Option<refresh_token::Model>, DbErr> {
    tx.one::<refresh_token::Entity>(|tokens| tokens.filter(refresh_token::Column::Id.eq(id))).await
}

pub(super) async fn mark_rotated(tx: &TenantTx, id: RefreshTokenId, now: Timestamp) -> Result<(), DbErr> {
    tx.update::<refresh_token::Entity>(|tokens| {
        tokens.col_expr(refresh_token::Column::RotatedAt, Expr::value(now)).filter(refresh_token::Column::Id.eq(id))
    })
    .await
    .map(drop)
}

/// Whether a session of this member still stands.
pub(super) async fn family_stands(tx: &TenantTx, family: FamilyId, member: MemberId) -> Result<bool, DbErr> {
    let token = tx.one::<refresh_token::Entity>(|tokens| {
        tokens
            .filter(refresh_token::Column::FamilyId.eq(family))
            .filter(refresh_token::Column::MemberId.eq(member))
            .filter(refresh_token::Column::RevokedAt.is_null())
    });
    Ok(token.await?.is_some())
}

pub(super) async fn revoke_family(tx: &TenantTx, family: FamilyId, now: Timestamp) -> Result<(), DbErr> {
    revoke(tx, refresh_token::Column::FamilyId.eq(family), now).await
}

/// Ends every session of a member.
pub(super) async fn revoke_sessions(tx: &TenantTx, member: MemberId, now: Timestamp) -> Result<(), DbErr> {
    revoke(tx, refresh_token::Column::MemberId.eq(member), now).await
}

async fn revoke(tx: &TenantTx, which: sea_orm::sea_query::SimpleExpr, now: Timestamp) -> Result<(), DbErr> {
    tx.update::<refresh_token::Entity>(|tokens| {
        tokens
            .col_expr(refresh_token::Column::RevokedAt, Expr::value(now))
            .filter(which)
            .filter(refresh_token::Column::RevokedAt.is_null())
    })
    .await
    .map(drop)
}

pub(super) async fn api_key(tx: &TenantTx, id: ApiKeyId) -> Result<Option<api_key::Model>, DbErr> {
    tx.one::<api_key::Entity>(|keys| keys.filter(api_key::Column::Id.eq(id))).await
}

pub(super) async fn api_keys(tx: &TenantTx, request: PageRequest) -> Result<Page<ApiKey>, DbErr> {
    let rows = tx.all::<api_key::Entity>(|keys| paged!(keys, api_key::Column::Id, request)).await?;
    Ok(Page::cut(rows, &request).map(ApiKey::from))
}

pub(super) async fn revoke_api_key(tx: &TenantTx, id: ApiKeyId, now: Timestamp) -> Result<(), DbErr> {
    tx.update::<api_key::Entity>(|keys| {
        keys.col_expr(api_key::Column::RevokedAt, Expr::value(now)).filter(api_key::Column::Id.eq(id))
    })
    .await
    .map(drop)
}
