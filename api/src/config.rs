//! Settings: from the environment, else from the file that `--config` names, else the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::notifications::{MailFrom, MailTransport};
use domain::secrets::Secret;
use serde::Deserialize;

use crate::app::Settings;
use crate::connections::Patience;
use crate::http::cors::Origins;
use crate::rates::{self, Budget};
use crate::roles::Roles;

const DATABASE_URL: &str = "sqlite://var/saldo.db";
const LISTEN: &str = "127.0.0.1:8080";
const MAIL_FROM: &str = "Saldo <saldo@localhost>";
/// Saldo's own events, and of its libraries only what is wrong.
const LOG: &str = "info,sqlx=warn,sea_orm_migration=warn,poem=warn";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SALDO_DATABASE_URL`, `database_url`: `sqlite://path/to/file`, or `postgres://user@host/database`.
    pub database_url: Secret,
    /// `SALDO_OWNER_DATABASE_URL`, `owner_database_url`: the same PostgreSQL database as the role that owns its tables,
    /// for `saldo migrate` alone.
    pub owner_database_url: Option<Secret>,
    /// `SALDO_REPLICA_DATABASE_URL`, `replica_database_url`: a standby of the same database, for lists and reports.
    pub replica_database_url: Option<Secret>,
    /// `SALDO_REDIS_URL`, `redis_url`: `redis://` or, over TLS, `rediss://user:password@host/number`.
    pub redis_url: Option<Secret>,
    /// `SALDO_LISTEN`, `listen`: address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `SALDO_MASTER_KEY_FILE`, `master_key_file`: made beside the database when absent.
    pub master_key_file: PathBuf,
    /// `SALDO_LOG`, `log`: a filter like `info,domain=debug`.
    pub log: String,
    /// `SALDO_IDLE_SECONDS`, `idle_seconds`: for how long a connection may ask nothing, and for the head of a request.
    pub idle: Duration,
    /// `SALDO_RATE_CALLER`, `SALDO_RATE_TENANT`, `SALDO_RATE_SIGN_IN`: budgets like `600/60`.
    /// `SALDO_ALLOWED_QUERIES`: a file. `SALDO_ALLOWED_ORIGINS`: origins with commas. `SALDO_ADDRESS_HEADER`: a
    /// header's name. `SALDO_ROLES`: roles with commas. In the file, the same in lower case without `SALDO_`.
    pub requests: Settings,
    /// `SALDO_SMTP_URL`, `SALDO_MAIL_FROM`, `SALDO_PUBLIC_URL`; in the file `smtp_url`, `mail_from`, `public_url`.
    pub mail: Mail,
}

/// How mail goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The server, with user and password where it wants them; absent, mail goes into files.
    pub smtp_url: Option<Secret>,
    pub from: MailFrom,
    /// For the files: beside the database.
    pub outbox: PathBuf,
    /// Where people find this Saldo, for links; absent, where it listens.
    pub public_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    database_url: Option<String>,
    owner_database_url: Option<String>,
    replica_database_url: Option<String>,
    redis_url: Option<String>,
    roles: Option<String>,
    listen: Option<String>,
    master_key_file: Option<String>,
    log: Option<String>,
    idle_seconds: Option<u64>,
    rate_caller: Option<String>,
    rate_tenant: Option<String>,
    rate_sign_in: Option<String>,
    allowed_queries: Option<String>,
    allowed_origins: Option<String>,
    address_header: Option<String>,
    smtp_url: Option<String>,
    mail_from: Option<String>,
    public_url: Option<String>,
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
        let owner_database_url = setting("SALDO_OWNER_DATABASE_URL", file.owner_database_url).map(Secret::new);
        let replica_database_url = setting("SALDO_REPLICA_DATABASE_URL", file.replica_database_url).map(Secret::new);
        let redis_url = setting("SALDO_REDIS_URL", file.redis_url).map(Secret::new);
        let listen = setting("SALDO_LISTEN", file.listen).unwrap_or_else(|| LISTEN.to_owned());
        let listen = listen.parse().map_err(|_| format!("SALDO_LISTEN: '{listen}' is no address like {LISTEN}"))?;
        let roles = match setting("SALDO_ROLES", file.roles) {
            None => Roles::default(),
            Some(text) => text.parse().map_err(|error| format!("SALDO_ROLES: {error}"))?,
        };
        let embedded = database_url.strip_prefix("sqlite://").unwrap_or("var/saldo.db");
        let beside = || Path::new(embedded).with_extension("key");
        let key = setting("SALDO_MASTER_KEY_FILE", file.master_key_file);
        let master_key_file = key.map_or_else(beside, PathBuf::from);
        let log = setting("SALDO_LOG", file.log).unwrap_or_else(|| LOG.to_owned());
        let idle = match setting("SALDO_IDLE_SECONDS", file.idle_seconds.map(|seconds| seconds.to_string())) {
            None => Patience::default().idle,
            Some(text) => read_idle(&text)?,
        };
        let budget = |name, in_file, default| match setting(name, in_file) {
            None => Ok(default),
            Some(text) => read_budget(name, &text),
        };
        let default = rates::Settings::default();
        let rates = rates::Settings {
            caller: budget("SALDO_RATE_CALLER", file.rate_caller, default.caller)?,
            tenant: budget("SALDO_RATE_TENANT", file.rate_tenant, default.tenant)?,
            sign_in: budget("SALDO_RATE_SIGN_IN", file.rate_sign_in, default.sign_in)?,
        };
        let origins = setting("SALDO_ALLOWED_ORIGINS", file.allowed_origins).unwrap_or_default();
        let allowed_origins = Origins::parse(&origins).map_err(|error| format!("SALDO_ALLOWED_ORIGINS: {error}"))?;
        let allowed_queries = setting("SALDO_ALLOWED_QUERIES", file.allowed_queries).map(PathBuf::from);
        let address_header = setting("SALDO_ADDRESS_HEADER", file.address_header);
        let form_tenant = None;
        let requests = Settings { rates, allowed_queries, allowed_origins, address_header, form_tenant, roles };
        let mail = Mail::read(
            setting("SALDO_SMTP_URL", file.smtp_url),
            setting("SALDO_MAIL_FROM", file.mail_from),
            setting("SALDO_PUBLIC_URL", file.public_url),
            beside().with_file_name("outbox"),
        )?;
        let database_url = Secret::new(database_url);
        Ok(Self {
            database_url,
            owner_database_url,
            replica_database_url,
            redis_url,
            listen,
            master_key_file,
            log,
            idle,
            requests,
            mail,
        })
    }
}

impl Mail {
    fn read(
        smtp_url: Option<String>,
        from: Option<String>,
        public_url: Option<String>,
        outbox: PathBuf,
    ) -> Result<Self, String> {
        let from = from.unwrap_or_else(|| MAIL_FROM.to_owned());
        let parsed = MailFrom::parse(&from);
        let from = parsed.ok_or_else(|| format!("SALDO_MAIL_FROM: '{from}' is no sender like {MAIL_FROM}"))?;
        let is_page = |url: &String| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
        };
        if let Some(url) = public_url.as_ref().filter(|url| !is_page(url)) {
            return Err(format!("SALDO_PUBLIC_URL: '{url}' is no address like https://saldo.example.com"));
        }
        let mail = Self { smtp_url: smtp_url.map(Secret::new), from, outbox, public_url };
        mail.transport().map(|_| mail)
    }

    /// The error says what is wrong with the URL without showing it.
    pub fn transport(&self) -> Result<MailTransport, String> {
        match &self.smtp_url {
            None => Ok(MailTransport::folder(&self.outbox, self.from.clone())),
            Some(url) => {
                MailTransport::smtp(url.expose(), self.from.clone()).map_err(|error| format!("SALDO_SMTP_URL: {error}"))
            }
        }
    }
}

fn read_budget(name: &str, text: &str) -> Result<Budget, String> {
    text.parse().map_err(|()| format!("{name}: '{text}' is no budget like 600/60 (points/seconds)"))
}

fn read_idle(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|seconds| (1..=3_600).contains(seconds));
    let wrong = || format!("SALDO_IDLE_SECONDS: '{text}' is no number of seconds from 1 to 3600");
    seconds.map(Duration::from_secs).ok_or_else(wrong)
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
        assert_eq!(defaults.database_url.expose(), "sqlite://var/saldo.db");
        let asked =
            |name: &str| name.ends_with("DATABASE_URL").then(|| "postgres://saldo:hunter2@db.test/saldo".to_owned());
        let on_postgres = Config::load(None, asked).unwrap();
        assert!(!format!("{on_postgres:?}").contains("hunter2"));
        assert_eq!(on_postgres.master_key_file, Path::new("var/saldo.key"));
        assert_eq!(defaults.master_key_file, Path::new("var/saldo.key"));
        assert_eq!(defaults.listen.to_string(), "127.0.0.1:8080");

        let path = std::env::temp_dir().join(format!("saldo-config-{}.toml", std::process::id()));
        std::fs::write(&path, "database_url = 'sqlite://data/a.db'\nlisten = '0.0.0.0:9000'\n").unwrap();
        let environment = |name: &str| (name == "SALDO_LISTEN").then(|| "127.0.0.1:0".to_owned());
        let config = Config::load(Some(&path), environment).unwrap();
        assert_eq!(config.database_url.expose(), "sqlite://data/a.db");
        assert_eq!(config.master_key_file, Path::new("data/a.key"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:0");
        assert_eq!(config.idle, Patience::default().idle);

        std::fs::write(&path, "idle_seconds = 20").unwrap();
        assert_eq!(Config::load(Some(&path), nothing).unwrap().idle, Duration::from_secs(20));
        for wrong in ["0", "3601", "-1", "1.5", "a"] {
            let environment = |name: &str| (name == "SALDO_IDLE_SECONDS").then(|| wrong.to_owned());
            assert!(Config::load(Some(&path), environment).unwrap_err().starts_with("SALDO_IDLE_SECONDS"), "{wrong}");
        }
        std::fs::write(&path, "listne = 'x'").unwrap();
        assert!(Config::load(Some(&path), nothing).unwrap_err().contains("listne"));
        std::fs::remove_file(&path).unwrap();
        assert!(Config::load(Some(&path), nothing).is_err());
        assert!(Config::load(None, |_| Some("8080".to_owned())).unwrap_err().starts_with("SALDO_LISTEN"));
    }

    #[test]
    fn what_concerns_requests_is_checked_when_it_is_read() {
        let one = |name: &'static str, value: &'static str| {
            Config::load(None, move |asked| (asked == name).then(|| value.to_owned())).map(|config| config.requests)
        };
        assert_eq!(one("", ""), Ok(Settings::default()));
        let rates = one("SALDO_RATE_SIGN_IN", "3/60").unwrap().rates;
        assert_eq!((rates.sign_in.points.get(), rates.sign_in.seconds.get()), (3, 60));
        assert_eq!(rates.caller, rates::Settings::default().caller);
        for name in ["SALDO_RATE_CALLER", "SALDO_RATE_TENANT", "SALDO_RATE_SIGN_IN"] {
            assert!(one(name, "0/60").unwrap_err().starts_with(name));
        }
        assert!(!one("SALDO_ROLES", "worker").unwrap().roles.api);
        assert!(one("SALDO_ROLES", "boss").unwrap_err().starts_with("SALDO_ROLES"));
        assert!(one("SALDO_ALLOWED_ORIGINS", "*").unwrap_err().starts_with("SALDO_ALLOWED_ORIGINS"));
    }

    #[test]
    fn mail_goes_into_files_beside_the_database_until_there_is_a_server() {
        let one = |name: &'static str, value: &'static str| {
            Config::load(None, move |asked| (asked == name).then(|| value.to_owned())).map(|config| config.mail)
        };
        let mail = one("SALDO_DATABASE_URL", "sqlite://data/a.db").unwrap();
        assert_eq!((mail.smtp_url.is_none(), mail.outbox.as_path()), (true, Path::new("data/outbox")));
        assert_eq!(Some(mail.from), MailFrom::parse("Saldo <saldo@localhost>"));
        let mail = one("SALDO_SMTP_URL", "smtps://saldo:hunter2@mail.example.com").unwrap();
        assert!(!format!("{mail:?}").contains("hunter2"), "{mail:?}");
        assert_eq!(
            one("SALDO_PUBLIC_URL", "https://saldo.example").unwrap().public_url.unwrap(),
            "https://saldo.example"
        );
        for (name, bad) in [
            ("SALDO_SMTP_URL", "smtp://saldo:hunter2@mail.example.com"),
            ("SALDO_SMTP_URL", "smtps://saldo:hunter2@"),
            ("SALDO_SMTP_URL", "saldo:hunter2@mail.example.com"),
            ("SALDO_MAIL_FROM", "nobody"),
            ("SALDO_PUBLIC_URL", "saldo.example"),
            ("SALDO_PUBLIC_URL", "javascript:alert(1)"),
            ("SALDO_PUBLIC_URL", "https://"),
        ] {
            let error = one(name, bad).unwrap_err();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
        }
    }
}
