//! Access tokens: JSON Web Tokens as RFC 8725 wants them. The algorithm is fixed by the key and never by the header,
//! the key is picked by `kid` from the list in memory, issuer and audience are required, and a token lives for ten
//! minutes. It says who signed in and in which session; what the member may do is read when it is used.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::ids::{FamilyId, MemberId, TenantId};
use crate::secrets::Secret;
use crate::time::{MICROS_PER_SECOND, Timestamp};

const ISSUER: &str = "saldo";
const AUDIENCE: &str = "saldo-api";
const LIFETIME_SECONDS: i64 = 600;
/// How far the clocks of two nodes may be apart.
const LEEWAY_SECONDS: i64 = 15;

/// The session that an access token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) tenant: TenantId,
    pub(super) member: MemberId,
    pub(super) family: FamilyId,
}

/// Everything in it is required: a token that lacks a claim does not read.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: String,
    session: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A key that signs access tokens, or did.
pub(super) struct SigningKey {
    id: String,
    signs: EncodingKey,
    verifies: DecodingKey,
}

impl SigningKey {
    /// A new key as PKCS#8.
    pub(super) fn generate() -> Result<Vec<u8>, Fault> {
        let failed = |_| Fault::Internal("no signing key could be made".to_owned());
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        Ok(pair.to_pkcs8().map_err(failed)?.as_ref().to_vec())
    }

    pub(super) fn from_pkcs8(id: String, pkcs8: &[u8]) -> Result<Self, Fault> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Fault::Corrupt(format!("signing key {id}")))?;
        let verifies = DecodingKey::from_ed_der(pair.public_key().as_ref());
        Ok(Self { id, signs: EncodingKey::from_ed_der(pkcs8), verifies })
    }
}

/// The keys of this installation, newest first: the first one signs, all of them verify.
pub(super) struct Keyring {
    keys: Vec<SigningKey>,
    read_at: Timestamp,
}

impl Keyring {
    pub(super) fn new(newest_first: Vec<SigningKey>, read_at: Timestamp) -> Self {
        Self { keys: newest_first, read_at }
    }

    /// Whether a token may be signed by a key that another process has made since these were read. Anybody can write a
    /// token that looks so, so it is asked of the database once a second at most.
    pub(super) fn may_be_outdated_by(&self, token: &str, now: Timestamp) -> bool {
        let kid = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        kid.is_some_and(|kid| self.keys.iter().all(|key| key.id != kid))
            && (now.0 - self.read_at.0).abs() >= MICROS_PER_SECOND
    }

    /// A token for this session and when it expires.
    pub(super) fn sign(&self, session: Session, now: Timestamp) -> Result<(Secret, Timestamp), Fault> {
        let key = self.keys.first().ok_or_else(|| Fault::Internal("there is no signing key".to_owned()))?;
        let now = now.0.div_euclid(MICROS_PER_SECOND);
        let expires = now + LIFETIME_SECONDS;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: session.member.to_string(),
            tenant: session.tenant.to_string(),
            session: session.family.to_string(),
            iat: now,
            nbf: now,
            exp: expires,
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &key.signs)
            .map_err(|error| Fault::Internal(format!("signing an access token: {error}")))?;
        Ok((Secret::new(token), Timestamp(expires * MICROS_PER_SECOND)))
    }

    /// The session of a token that one of our keys signed and that is valid now, and when it expires.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Option<(Session, Timestamp)> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = self.keys.iter().find(|key| key.id == kid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifies, &validation()).ok()?.claims;
        let now = now.0.div_euclid(MICROS_PER_SECOND);
        if claims.nbf > now + LEEWAY_SECONDS || claims.exp <= now - LEEWAY_SECONDS {
            return None;
        }
        let session = Session {
            tenant: TenantId::parse(&claims.tenant)?,
            member: MemberId::parse(&claims.sub)?,
            family: FamilyId::parse(&claims.session)?,
        };
        Some((session, Timestamp(claims.exp.saturating_mul(MICROS_PER_SECOND))))
    }
}

/// Times are checked against our own clock. `exp` and `nbf` are required by [`Claims`] rather than here: the library
/// cannot read a number at all where `serde_json` keeps numbers exactly, as it does for our decimals.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["iss", "aud", "sub"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000 * MICROS_PER_SECOND);

    fn key(id: &str) -> SigningKey {
        SigningKey::from_pkcs8(id.to_owned(), &SigningKey::generate().unwrap()).unwrap()
    }

    fn session() -> Session {
        let id = Uuid::from_u128(5);
        Session { tenant: TenantId(id), member: MemberId(id), family: FamilyId(id) }
    }

    fn claims() -> Value {
        let session = session();
        json!({
            "iss": "saldo", "aud": "saldo-api", "sub": session.member.to_string(), "tenant": session.tenant.to_string(),
            "session": session.family.to_string(), "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_000_600,
        })
    }

    fn signed(key: &SigningKey, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &key.signs).unwrap()
    }

    #[test]
    fn a_token_is_valid_for_ten_minutes_under_every_key_of_the_ring() {
        let old = key("old");
        let token = signed(&old, Some("old"), &claims());
        let ring = Keyring::new(vec![key("new"), old], NOW);
        assert_eq!(ring.verify(&token, NOW), Some((session(), NOW.plus(600 * MICROS_PER_SECOND))));
        let (fresh, expires) = ring.sign(session(), NOW).unwrap();
        assert_eq!(expires, NOW.plus(600 * MICROS_PER_SECOND));
        assert_eq!(jsonwebtoken::decode_header(fresh.expose()).unwrap().kid.as_deref(), Some("new"));
        let at = |seconds: i64| ring.verify(fresh.expose(), NOW.plus(seconds * MICROS_PER_SECOND)).is_some();
        assert!(at(0) && at(614) && at(-15));
        assert!(!at(615) && !at(-16));
    }

    #[test]
    fn an_unknown_key_may_be_a_new_one_once_a_second() {
        let (known, other) = (key("known"), key("other"));
        let tokens = [signed(&known, Some("known"), &claims()), signed(&other, Some("other"), &claims())];
        let ring = Keyring::new(vec![known], NOW);
        let outdated = |token: &str, millis: i64| ring.may_be_outdated_by(token, NOW.plus(millis * 1_000));
        assert!(!outdated(&tokens[0], 1_000) && !outdated("nonsense", 1_000), "known, and no token at all");
        assert!(outdated(&tokens[1], 1_000) && !outdated(&tokens[1], 999));
    }

    #[test]
    fn issuer_audience_algorithm_key_and_every_claim_are_required() {
        let (key, other) = (key("k"), key("k"));
        let accepts = |token: &str| {
            Keyring::new(vec![SigningKey { id: "k".to_owned(), ..clone(&key) }], NOW)
                .verify(token, NOW)
                .map(|(session, _)| session)
        };
        assert_eq!(accepts(&signed(&key, Some("k"), &claims())), Some(session()));
        for (claim, wrong) in [("iss", json!("other")), ("aud", json!("other")), ("aud", json!(["saldo-api"]))] {
            let mut bent = claims();
            bent[claim] = wrong;
            assert_eq!(accepts(&signed(&key, Some("k"), &bent)), None, "{claim}");
        }
        for claim in ["iss", "aud", "sub", "tenant", "session", "iat", "nbf", "exp"] {
            let mut bent = claims();
            bent.as_object_mut().unwrap().remove(claim);
            assert_eq!(accepts(&signed(&key, Some("k"), &bent)), None, "without {claim}");
        }
        assert_eq!(accepts(&signed(&key, Some("other"), &claims())), None, "an unknown key");
        assert_eq!(accepts(&signed(&key, None, &claims())), None, "no key named");
        assert_eq!(accepts(&signed(&other, Some("k"), &claims())), None, "another key under the name of ours");
        // The public key as an HMAC secret: what a verifier that believes the header falls for.
        let public = key.verifies.try_get_as_bytes().unwrap();
        let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
        let confused = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(public)).unwrap();
        assert_eq!(accepts(&confused), None);
        let body = signed(&key, Some("k"), &claims());
        let (_, rest) = body.split_once('.').unwrap();
        let none = crate::secrets::base64url(br#"{"alg":"none","kid":"k"}"#);
        assert_eq!(accepts(&format!("{none}.{rest}")), None);
    }

    fn clone(key: &SigningKey) -> SigningKey {
        SigningKey { id: key.id.clone(), signs: key.signs.clone(), verifies: key.verifies.clone() }
    }
}
