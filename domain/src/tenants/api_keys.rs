//! Keys of machines. A key may send transactions and files to one source, and nothing else.

use super::tokens::{Token, TokenKind};
use super::{member, refused, store};
use crate::caller::{Permission, Scoped};
use crate::error::{Code, Error, Problem, Result};
use crate::events::{self, event::News};
use crate::ids::{ApiKeyId, SourceId};
use crate::page::{Page, PageRequest};
use crate::secrets::Secret;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub source: SourceId,
    pub name: String,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct CreatedApiKey {
    pub key: ApiKey,
    /// The key itself. Only its hash is kept, so that this is the one time to read it.
    pub secret: Secret,
}

impl Scoped {
    pub async fn create_api_key(&self, source: SourceId, name: &str) -> Result<CreatedApiKey> {
        let name = member::check_name(name, "name");
        self.durable(move |writer| async move {
            writer.require(Permission::Administer)?;
            let name = name?;
            let tx = writer.begin().await?;
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
            let inserted = store::insert(&tx, row.clone()).await;
            inserted.map_err(|error| refused(error, None, Some(no_source)))?;
            tx.commit().await?;
            Ok(CreatedApiKey { key: row.into(), secret: token.reveal() })
        })
        .await
    }

    /// Revokes a key for good. Again is no error.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        self.durable(move |writer| async move {
            writer.require(Permission::Administer)?;
            let tx = writer.begin().await?;
            let mut row = store::api_key(&tx, id).await?.ok_or(Error::NotFound("API key"))?;
            if row.revoked_at.is_none() {
                let now = writer.clock().now();
                row.revoked_at = Some(now);
                store::revoke_api_key(&tx, id, now).await?;
                tx.announce(News::access(id.0));
            }
            events::commit(&writer, tx).await?;
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
