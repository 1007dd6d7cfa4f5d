//! The opaque tokens: refresh tokens, one-time tokens and API keys. Each names its tenant and its row, so that
//! looking it up is one read by primary key, and carries 32 random bytes of which only the hash is kept.

use uuid::Uuid;

use crate::error::Fault;
use crate::ids::TenantId;
use crate::secrets::{self, Secret};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Refresh,
    OneTime,
    ApiKey,
}

impl TokenKind {
    /// A prefix that scanners for leaked secrets can know.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "saldo_refresh_",
            Self::OneTime => "saldo_once_",
            Self::ApiKey => "saldo_key_",
        }
    }
}

/// An opaque token as its holder presents it. Nothing about it is verified yet.
pub(super) struct Token {
    kind: TokenKind,
    pub(super) tenant: TenantId,
    id: Uuid,
    secret: [u8; 32],
}

impl Token {
    pub(super) fn new(kind: TokenKind, tenant: TenantId, id: impl Into<Uuid>) -> Result<Self, Fault> {
        Ok(Self { kind, tenant, id: id.into(), secret: secrets::random()? })
    }

    pub(super) fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let bytes: [u8; 64] = secrets::from_base64url(text.trim().strip_prefix(kind.prefix())?)?.try_into().ok()?;
        let (tenant, rest) = bytes.split_first_chunk::<16>()?;
        let (id, secret) = rest.split_first_chunk::<16>()?;
        let secret = <[u8; 32]>::try_from(secret).ok()?;
        Some(Self { kind, tenant: TenantId(Uuid::from_bytes(*tenant)), id: Uuid::from_bytes(*id), secret })
    }

    pub(super) fn id<I: From<Uuid>>(&self) -> I {
        self.id.into()
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> Vec<u8> {
        secrets::hash_secret(&self.secret)
    }

    /// Whether it is the token whose hash is kept.
    pub(super) fn matches(&self, hash: &[u8]) -> bool {
        secrets::secret_matches(&self.secret, hash)
    }

    /// The text for its holder.
    pub(super) fn reveal(&self) -> Secret {
        let bytes = [&self.tenant.0.as_bytes()[..], self.id.as_bytes(), &self.secret].concat();
        Secret::new(format!("{}{}", self.kind.prefix(), secrets::base64url(&bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_only_as_its_own_kind_and_matches_its_own_hash() {
        let tenant = TenantId(Uuid::from_u128(7));
        let token = Token::new(TokenKind::ApiKey, tenant, Uuid::from_u128(9)).unwrap();
        let text = token.reveal();
        let read = Token::parse(TokenKind::ApiKey, text.expose()).expect("its own text");
        assert_eq!((read.tenant, read.id::<Uuid>()), (tenant, Uuid::from_u128(9)));
        assert!(read.matches(&token.hash()));
        let other = Token::new(TokenKind::ApiKey, tenant, Uuid::from_u128(9)).unwrap();
        assert!(!read.matches(&other.hash()));
        assert!(Token::parse(TokenKind::Refresh, text.expose()).is_none());
        for malformed in ["", "saldo_key_", "saldo_key_AAAA", &text.expose()[..80], &format!("{}A", text.expose())] {
            assert!(Token::parse(TokenKind::ApiKey, malformed).is_none(), "{malformed}");
        }
    }
}
