//! Passwords: which ones are taken, and the slow hash that is kept of them. Hashing takes tens of milliseconds of
//! processor and 19 MiB of memory on purpose, so it runs beside the async threads and only a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{Code, Fault, Problem, Result};
use crate::secrets;

const MIN_CHARS: usize = 12;
/// A longer one is no password; hashing it would be work for nothing.
const MAX_BYTES: usize = 1024;
const MIN_DISTINCT_CHARS: usize = 5;
/// Hashes at a time: sign-ins must not take all processors from everything else.
const AT_ONCE: usize = 2;

/// The commonest ones that the other rules let through.
const COMMON: &[&str] = &[
    "1q2w3e4r5t6y",
    "administrator",
    "changeme1234",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "letmein12345",
    "password1234",
    "password12345",
    "passwordpassword",
    "qwerty123456",
    "qwertyuiop12",
    "qwertyuiop123",
    "welcome12345",
    "123456789012",
    "1234567890ab",
    "1qaz2wsx3edc",
];

/// A hash of nothing with the same cost as a real one, for addresses that are not there.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsZG8tbm9ib2R5ISE$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Says why `password` is refused for somebody with this address in this tenant.
pub(super) fn check(password: &str, email: &str, slug: &str, path: &str) -> Option<Problem> {
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    let chars = distinct.len();
    distinct.sort_unstable();
    distinct.dedup();
    let own = [email, email.split('@').next().unwrap_or_default(), slug];
    let message = if chars < MIN_CHARS {
        format!("a password has at least {MIN_CHARS} characters")
    } else if password.len() > MAX_BYTES {
        format!("a password has at most {MAX_BYTES} bytes")
    } else if own.iter().any(|name| lower == name.to_lowercase()) {
        "a password is neither the e-mail address nor the tenant's name".to_owned()
    } else if distinct.len() < MIN_DISTINCT_CHARS || COMMON.contains(&lower.as_str()) {
        "this password is among the first that anybody would try".to_owned()
    } else {
        return None;
    };
    Some(Problem::new(Code::WeakPassword, path, message))
}

/// Hashes passwords, a few at a time.
pub(super) struct Hasher(Arc<Semaphore>);

impl Default for Hasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Hasher {
    /// The text that is kept: algorithm, costs, salt and hash.
    pub(super) async fn hash(&self, password: String) -> Result<String> {
        self.run(move || {
            let salt: [u8; 16] = secrets::random()?;
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| Fault::Internal(format!("argon2: {error}")))
        })
        .await
    }

    /// Whether the password is the one kept. With nothing kept it is not, after as long a time.
    pub(super) async fn verify(&self, password: String, kept: Option<String>) -> Result<bool> {
        self.run(move || {
            let real = kept.is_some() && password.len() <= MAX_BYTES;
            let kept = if real { kept.unwrap_or_default() } else { NOBODY.to_owned() };
            let kept = PasswordHash::new(&kept).map_err(|error| Fault::Corrupt(format!("a password hash: {error}")))?;
            let tried = if real { password.as_bytes() } else { b"" };
            Ok(Argon2::default().verify_password(tried, &kept).is_ok() && real)
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T> {
        let closed = |_| Fault::Internal("password hashing has shut down".to_owned());
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(closed)?;
        // The permit goes along, because the work goes on when its caller hangs up.
        let done = tokio::task::spawn_blocking(move || (work(), permit).0).await;
        Ok(done.map_err(|error| Fault::Internal(format!("password hashing: {error}")))??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused() {
        let refused =
            |password: &str| check(password, "ada.lovelace@acme.test", "acme-settlement", "password").is_some();
        for weak in [
            "",
            "elevenchars",
            "passwordpassword",
            "PasswordPassword",
            "aaaaaaaaaaaa",
            "ababababababab",
            "Ada.Lovelace@acme.test",
            "ada.lovelace",
            "Acme-Settlement",
            &"long enough ".repeat(100),
        ] {
            assert!(refused(weak), "{weak:?}");
        }
        assert!(!refused("twelve chars"));
        assert!(!refused("열두 글자가 넘는 비밀번호"));
    }

    #[tokio::test]
    async fn a_hash_takes_its_password_only_and_nobody_has_one() {
        let hasher = Hasher::default();
        let kept = hasher.hash("analytical engine".to_owned()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(kept, hasher.hash("analytical engine".to_owned()).await.unwrap(), "salted");
        assert!(hasher.verify("analytical engine".to_owned(), Some(kept.clone())).await.unwrap());
        assert!(!hasher.verify("analytical engines".to_owned(), Some(kept)).await.unwrap());
        assert!(!hasher.verify(String::new(), None).await.unwrap());
        assert!(hasher.verify("x".to_owned(), Some("damaged".to_owned())).await.is_err());
    }

    #[test]
    fn the_hash_of_nobody_costs_what_a_real_one_does() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let real = Argon2::default().hash_password_with_salt(b"x", &[1; 16]).unwrap();
        assert_eq!((nobody.algorithm, nobody.version, nobody.params), (real.algorithm, real.version, real.params));
        assert_eq!(nobody.hash.map(|hash| hash.len()), real.hash.map(|hash| hash.len()));
    }
}
