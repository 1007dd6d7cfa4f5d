//! Settings: from the environment, else from the file that `--config` names, else the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const DATABASE_URL: &str = "sqlite://var/saldo.db";
const LISTEN: &str = "127.0.0.1:8080";
/// Saldo's own events, and of its libraries only what is wrong.
const LOG: &str = "info,sqlx=warn,sea_orm_migration=warn,poem=warn";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SALDO_DATABASE_URL`, `database_url`: `sqlite://path/to/file`.
    pub database_url: String,
    /// `SALDO_LISTEN`, `listen`: address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `SALDO_MASTER_KEY_FILE`, `master_key_file`: made beside the database when absent.
    pub master_key_file: PathBuf,
    /// `SALDO_LOG`, `log`: a filter like `info,domain=debug`.
    pub log: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database_url: Option<String>,
    listen: Option<String>,
    master_key_file: Option<String>,
    log: Option<String>,
}

impl Config {
    /// Reads the settings; the error says which one is wrong and where it came from.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let file = match file {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let setting = |name, in_file| environment(name).filter(|text| !text.is_empty()).or(in_file);
        let database_url = setting("SALDO_DATABASE_URL", file.database_url).unwrap_or_else(|| DATABASE_URL.to_owned());
        let listen = setting("SALDO_LISTEN", file.listen).unwrap_or_else(|| LISTEN.to_owned());
        let listen = listen.parse().map_err(|_| format!("SALDO_LISTEN: '{listen}' is no address like {LISTEN}"))?;
        let beside = || Path::new(database_url.trim_start_matches("sqlite://")).with_extension("key");
        let key = setting("SALDO_MASTER_KEY_FILE", file.master_key_file);
        let master_key_file = key.map_or_else(beside, PathBuf::from);
        let log = setting("SALDO_LOG", file.log).unwrap_or_else(|| LOG.to_owned());
        Ok(Self { database_url, listen, master_key_file, log })
    }
}

fn read(path: &Path) -> Result<File, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {}", path.display(), error.to_string().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let defaults = Config::load(None, nothing).unwrap();
        assert_eq!(defaults.database_url, "sqlite://var/saldo.db");
        assert_eq!(defaults.master_key_file, Path::new("var/saldo.key"));
        assert_eq!(defaults.listen.to_string(), "127.0.0.1:8080");

        let path = std::env::temp_dir().join(format!("saldo-config-{}.toml", std::process::id()));
        std::fs::write(&path, "database_url = 'sqlite://data/a.db'\nlisten = '0.0.0.0:9000'\n").unwrap();
        let environment = |name: &str| (name == "SALDO_LISTEN").then(|| "127.0.0.1:0".to_owned());
        let config = Config::load(Some(&path), environment).unwrap();
        assert_eq!(config.database_url, "sqlite://data/a.db");
        assert_eq!(config.master_key_file, Path::new("data/a.key"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:0");

        std::fs::write(&path, "listne = 'x'").unwrap();
        assert!(Config::load(Some(&path), nothing).unwrap_err().contains("listne"));
        std::fs::remove_file(&path).unwrap();
        assert!(Config::load(Some(&path), nothing).is_err());
        assert!(Config::load(None, |_| Some("8080".to_owned())).unwrap_err().starts_with("SALDO_LISTEN"));
    }
}
