//! Keys, hashes and randomness: the only place that calls the cryptographic library for them.
//!
//! The [`MasterKey`] comes from a file beside the database and never goes into it. What the database holds of other
//! keys is sealed with it (AES-256-GCM), each bound to its purpose, so that a sealed value moved to another row or
//! tenant does not open.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::error::Fault;
use crate::transactions::transaction::Player;

pub const KEY_BYTES: usize = 32;
/// The first byte of a sealed value; another algorithm or master key will be another number.
const SEAL_VERSION: u8 = 1;

/// A text that nobody logs by accident: a token on its way to the one who asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// For a field that is written down only where it is sealed: `#[serde(with = "exposed")]`. A [`Secret`] by itself
/// does not serialize.
pub(crate) mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[derive(Debug, Error)]
pub enum KeyFileError {
    #[error("master key file {0}: {1}")]
    File(String, std::io::Error),
    #[error(
        "master key file {0} does not hold 32 bytes in base64url; restore it from a backup, or nothing sealed opens"
    )]
    Damaged(String),
}

/// The key that seals all other keys.
pub struct MasterKey {
    seals: LessSafeKey,
    names: hmac::Key,
}

impl MasterKey {
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        // Any 32 bytes are an AES-256 key, so the only error there is (a wrong length) cannot arise.
        let key = UnboundKey::new(&AES_256_GCM, &bytes).unwrap_or_else(|_| unreachable!("32 bytes are an AES-256 key"));
        Self { seals: LessSafeKey::new(key), names: hmac::Key::new(hmac::HMAC_SHA256, &sha256(&bytes)) }
    }

    /// A name that whoever has this key gives the same thing, and nobody else.
    pub fn name(&self, thing: &str) -> String {
        base64url(&hmac::sign(&self.names, thing.as_bytes()).as_ref()[..12])
    }

    /// Reads the key file; nothing where there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyFileError> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
                let key = bytes.map(Self::from_bytes);
                key.map(Some).ok_or_else(|| KeyFileError::Damaged(path.display().to_string()))
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(KeyFileError::Damaged(path.display().to_string()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyFileError::File(path.display().to_string(), error)),
        }
    }

    /// Reads the key file, or makes one that only its owner can read.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let named = |error| KeyFileError::File(path.display().to_string(), error);
        match Self::load(path)? {
            Some(key) => Ok(key),
            None => {
                let bytes = random().map_err(|fault| named(std::io::Error::other(fault)))?;
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(named)?;
                }
                create_private(path, &format!("{}\n", URL_SAFE_NO_PAD.encode(bytes))).map_err(named)?;
                Ok(Self::from_bytes(bytes))
            }
        }
    }

    /// Encrypts `plaintext` for one purpose; only the same purpose opens it.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Vec<u8>, Fault> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut body = plaintext.to_vec();
        self.seals
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut body)
            .map_err(|_| Fault::Internal("sealing failed".to_owned()))?;
        Ok([&[SEAL_VERSION], &nonce[..], &body].concat())
    }

    /// What [`MasterKey::seal`] was given; a fault when the value, the purpose or the master key is another one.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let damaged = || Fault::Corrupt(format!("{purpose} does not open with this master key"));
        let (nonce, body) = match sealed {
            [SEAL_VERSION, rest @ ..] => rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?,
            _ => return Err(damaged()),
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut body = body.to_vec();
        let plaintext = self.seals.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| damaged())?;
        Ok(plaintext.to_vec())
    }
}

/// Writes a new file that only its owner can read. It appears whole or not at all, and never replaces one.
fn create_private(path: &Path, text: &str) -> std::io::Result<()> {
    let parts = path.with_added_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&parts)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&parts, path));
    std::fs::remove_file(&parts)?;
    linked
}

pub fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Fault::Internal("the system gives no random bytes".to_owned()))?;
    Ok(bytes)
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// SHA-256 of what comes bit by bit.
#[derive(Clone)]
pub struct Hasher(digest::Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is kept of a random secret. It is no password: 32 random bytes need no slow hash.
pub fn hash_secret(secret: &[u8]) -> Vec<u8> {
    sha256(secret).to_vec()
}

/// Whether a secret is the one whose hash is kept, in a time that does not tell how nearly.
pub fn secret_matches(secret: &[u8], hash: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(&sha256(secret), hash).is_ok()
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Turns players' names into pseudonyms, with the key of one tenant: the same name is another pseudonym elsewhere.
#[derive(Clone)]
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    pub fn player(&self, name: &str) -> Player {
        let mut player = Player::default();
        let tag = hmac::sign(&self.0, name.as_bytes());
        let kept = player.len();
        player.copy_from_slice(&tag.as_ref()[..kept]);
        player
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_whole_with_its_key_and_purpose() {
        let key = MasterKey::from_bytes([7; 32]);
        let sealed = key.seal("player key of ten_1", b"hidden").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"hidden"));
        assert_ne!(sealed, key.seal("player key of ten_1", b"hidden").unwrap(), "a nonce is used once");
        assert_eq!(key.open("player key of ten_1", &sealed).unwrap(), b"hidden");
        assert!(key.open("player key of ten_2", &sealed).is_err());
        assert!(MasterKey::from_bytes([8; 32]).open("player key of ten_1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(key.open("player key of ten_1", &bent).is_err(), "byte {at}");
            assert!(key.open("player key of ten_1", &sealed[..at]).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_alone_and_never_replaced() {
        let folder = std::env::temp_dir().join(format!("saldo-key-{}", base64url(&random::<9>().unwrap())));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("master.key");
        let sealed = MasterKey::load_or_create(&path).unwrap().seal("p", b"x").unwrap();
        assert_eq!(MasterKey::load_or_create(&path).unwrap().open("p", &sealed).unwrap(), b"x");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        assert!(create_private(&path, "other").is_err());
        for damaged in [&b"short"[..], b"", b"\xff\xfe"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(MasterKey::load_or_create(&path), Err(KeyFileError::Damaged(_))));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn hashes_are_those_of_the_standards() {
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(secret_matches(b"abc", &hash_secret(b"abc")));
        assert!(!secret_matches(b"abd", &hash_secret(b"abc")));
        assert!(!secret_matches(b"abc", &[]));
        let players = Pseudonyms::new([0xaa; 32]);
        assert_eq!(hex(&players.player("ada")), "9865df0c653f7de30c9d6266e309cc4b");
        assert_ne!(players.player("ada"), players.player("Ada"));
        assert_ne!(players.player("ada"), Pseudonyms::new([0xab; 32]).player("ada"));
    }

    #[test]
    fn a_secret_does_not_show_in_logs() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
