//! The demo's passwords: drawn once, kept beside the database.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use domain::secrets::{base64url, random};

use super::setup::{User, users};
use crate::cli::Outcome;

/// By address. Only their owner may read the file.
pub(super) struct Passwords {
    by_email: BTreeMap<String, String>,
    /// Some were drawn just now: what the file holds has to become true.
    pub are_new: bool,
}

impl Passwords {
    pub fn load_or_create(path: &Path) -> Outcome<Self> {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut passwords = match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&text)
                .ok_or_else(|| format!("{} is damaged; delete it, and the demo gets new passwords", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self { by_email: BTreeMap::new(), are_new: false }
            }
            Err(error) => return Err(named(error)),
        };
        passwords.draw()?;
        if passwords.are_new {
            passwords.write(path).map_err(named)?;
        }
        Ok(passwords)
    }

    /// For everybody who has none yet: the file may be of an earlier build, whose demo had fewer people.
    fn draw(&mut self) -> Outcome {
        for user in users() {
            if !self.by_email.contains_key(user.email) {
                let bytes: [u8; 12] = random().map_err(|error| error.to_string())?;
                self.by_email.insert(user.email.to_owned(), base64url(&bytes));
                self.are_new = true;
            }
        }
        Ok(())
    }

    fn read(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs =
            lines.map(|line| line.split_once(' ').map(|(email, password)| (email.to_owned(), password.to_owned())));
        Some(Self { by_email: pairs.collect::<Option<_>>()?, are_new: false })
    }

    /// Whole or not at all: it is written beside its place and moved there.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = "# Sign-ins of the demo tenant.\n".to_owned();
        for (email, password) in &self.by_email {
            text.push_str(&format!("{email} {password}\n"));
        }
        let beside: PathBuf = path.with_added_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    }

    pub fn of(&self, user: User) -> &str {
        self.by_email.get(user.email).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_new_gets_a_password_and_the_others_keep_theirs() {
        let path = std::env::temp_dir().join(format!("saldo-demo-passwords-{}", std::process::id()));
        let first = Passwords::load_or_create(&path).unwrap();
        assert!(first.are_new);
        let again = Passwords::load_or_create(&path).unwrap();
        assert!(!again.are_new && again.by_email == first.by_email);
        let [first_user, others @ ..] = &*users().collect::<Vec<_>>() else { panic!("somebody") };
        std::fs::write(&path, format!("# Of an earlier build.\n{} {}\n", first_user.email, first.of(*first_user)))
            .unwrap();
        let more = Passwords::load_or_create(&path).unwrap();
        assert!(more.are_new && more.of(*first_user) == first.of(*first_user));
        assert!(others.iter().all(|user| more.of(*user).len() > 12));
        std::fs::write(&path, "damaged").unwrap();
        assert!(Passwords::load_or_create(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
