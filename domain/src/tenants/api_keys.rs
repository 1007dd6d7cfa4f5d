//! Keys of machines. A key may send transactions and files to one source, and nothing else.

use serde::{Deserialize, Serialize};

use super::tokens::{Token, TokenKind};
use super::{member, refused, store};
use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::events::event::News;
use crate::ids::{ApiKeyId, SourceId};
use crate::page::{Page, PageRequest};
use crate::secrets::{Secret, exposed};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub source: SourceId,
    pub name: String,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatedApiKey {
    pub key: ApiKey,
    /// The key itself, to be read this once: only its hash is kept, and for a while, under an idempotency key, the
    /// sealed outcome of the request.
    #[serde(with = "exposed")]
    pub secret: Secret,
}

impl Scoped {
    pub async fn create_api_key(&self, source: SourceId, name: &str) -> Result<CreatedApiKey> {
        self.require(Permission::Administer)?;
        let name = member::check_name(name, "name")?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let id: ApiKeyId = writer.clock().id();
            let token = Token::new(TokenKind::ApiKey, tx.tenant(), id.0)?;
            let row = store::api_key::Model {
                tenant_id: tx.tenant(),
                id,
                source_id: source,
                name,
                secret_hash: token.hash(),
                revoked_at: None,
                created_at: writer.clock().now(),
            };
            let no_source = Problem::new(Code::NotFound, "sourceId", "there is no such source");
            let inserted = store::insert(tx, row.clone()).await;
            inserted.map_err(|error| refused(error, None, Some(no_source)))?;
            Ok(CreatedApiKey { key: row.into(), secret: token.reveal() })
        })
        .await
    }

    /// Revokes a key for good. Again is no error.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        self.require(Permission::Administer)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let mut row = store::api_key(tx, id).await?.ok_or(Error::NotFound("API key"))?;
            if row.revoked_at.is_none() {
                let now = writer.clock().now();
                row.revoked_at = Some(now);
                store::revoke_api_key(tx, id, now).await?;
                tx.announce(News::access(id.0));
            }
            Ok(row.into())
        })
        .await
    }

    pub async fn api_keys(&self, request: PageRequest) -> Result<Page<ApiKey>> {
        self.require(Permission::Administer)?;
        let tx = self.read().await?;
        Ok(store::api_keys(&tx, request).await?)
    }

    pub async fn api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        self.require(Permission::Administer)?;
        let tx = self.read().await?;
        store::api_key(&tx, id).await?.map(ApiKey::from).ok_or(Error::NotFound("API key"))
    }
}
