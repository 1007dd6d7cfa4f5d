//! What every test here starts from: [`TestApp`], a core on a migrated database of its own with a clock that stands
//! until it is moved, and [`TestTenant`], a tenant in it.

// Each module takes what it needs.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::catalogue::{NewAsset, ProductFacts};
use domain::clock::Clock;
use domain::db::{Db, DbLock};
use domain::ids::{MemberId, PartnerId, SourceId, TenantId};
use domain::imports::ImportRun;
use domain::partners::NewPartner;
use domain::secrets::{MasterKey, Secret};
use domain::sources::NewSource;
use domain::sources::mapping::Mapping;
use domain::tenants::{NewTenant, SignedIn, Tenant};
use domain::time::{MICROS_PER_SECOND, Timestamp};
use domain::{Code, Domain, Error, Role, Scoped};
use futures_util::Stream;

pub use crate::databases::hex;
use crate::databases::{TestDatabase, on_postgres};

pub const PASSWORD: &str = "correct staple battery";
pub const OTHER_PASSWORD: &str = "another staple battery";
/// When every test begins.
pub const START: &str = "2024-03-01T09:00:00Z";

pub const MASTER_KEY: [u8; 32] = [7; 32];

static COUNTER: AtomicU64 = AtomicU64::new(0);

pub struct TestApp {
    pub domain: Domain,
    pub clock: Clock,
    pub folder: PathBuf,
    pub database: TestDatabase,
}

impl TestApp {
    pub async fn new() -> Self {
        let folder = new_folder();
        let database = TestDatabase::new(&folder, "saldo.db").await;
        Self::open(folder, database, Clock::set_to(at(START)), MASTER_KEY).await
    }

    /// One on the embedded database, whatever the others are on.
    pub async fn embedded() -> Self {
        let folder = new_folder();
        let database = TestDatabase::embedded(&folder.join("saldo.db")).await;
        Self::open(folder, database, Clock::set_to(at(START)), MASTER_KEY).await
    }

    /// Another core on a copy of the files as they are now, or on the same database of a server: what a process finds
    /// that starts after this one died.
    pub async fn reopened(&self, master_key: [u8; 32]) -> Self {
        let folder = new_folder();
        if on_postgres() {
            return Self::open(folder, self.database.clone(), self.clock.clone(), master_key).await;
        }
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in ["saldo.db", "saldo.db-wal"] {
            if self.folder.join(name).exists() {
                std::fs::copy(self.folder.join(name), folder.join(name)).expect("a copy");
            }
        }
        let database = TestDatabase::file(&folder.join("saldo.db"));
        Self::open(folder, database, self.clock.clone(), master_key).await
    }

    /// Another process on the same database of a server, with a clock of its own; `None` on an embedded one, which one
    /// process owns.
    pub async fn beside(&self, clock: Clock) -> Option<Self> {
        if !on_postgres() {
            eprintln!("SKIPPED: an embedded database has one process; e2e/with-postgres.sh starts a server");
            return None;
        }
        Some(Self::open(new_folder(), self.database.clone(), clock, MASTER_KEY).await)
    }

    async fn open(folder: PathBuf, database: TestDatabase, clock: Clock, master_key: [u8; 32]) -> Self {
        let lock = DbLock::take(&database.url, "test").expect("the database is ours");
        let db = Db::open(lock).await.expect("the database opens");
        let domain = Domain::new(db, clock.clone(), MasterKey::from_bytes(master_key));
        Self { domain, clock, folder, database }
    }

    /// Moves the clock on.
    pub fn pass_seconds(&self, seconds: i64) {
        self.clock.move_to(self.clock.now().plus(seconds * MICROS_PER_SECOND));
    }

    /// A tenant whose administrator is `ada@<slug>.test` with [`PASSWORD`].
    pub async fn tenant(&self, slug: &str) -> TestTenant {
        let created = self
            .domain
            .create_tenant(NewTenant {
                slug: slug.to_owned(),
                name: format!("{slug} Ltd"),
                admin_email: format!("ada@{slug}.test"),
                admin_name: Some("Ada".to_owned()),
                admin_password: Some(Secret::new(PASSWORD)),
            })
            .await
            .expect("a tenant");
        let operator = self.domain.for_caller(self.domain.operator(slug).await.expect("its operator"));
        let signed_in = self.sign_in(slug, &format!("ada@{slug}.test")).await;
        let admin = self.bearer(signed_in.access_token.expose()).await;
        TestTenant { tenant: created.tenant, admin_id: created.admin.id, admin, operator }
    }

    pub async fn sign_in(&self, slug: &str, email: &str) -> SignedIn {
        self.domain.sign_in(slug, email, PASSWORD).await.expect("the password is right")
    }

    /// The core as the holder of this token sees it.
    pub async fn bearer(&self, token: &str) -> Scoped {
        self.domain.for_caller(self.domain.authenticate(token).await.expect("a good token"))
    }

    /// Runs SQL past the core: to arrange what no service makes, or to do damage.
    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// One column of text out of SQL that goes past the core.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        self.database.rows(sql).await
    }

    /// One integer out of SQL that goes past the core.
    pub async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql).await
    }
}

fn new_folder() -> PathBuf {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("saldo-it-{}-{number}", std::process::id()));
    std::fs::remove_dir_all(&folder).ok();
    folder
}

impl Drop for TestApp {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

pub struct TestTenant {
    pub tenant: Tenant,
    pub admin_id: MemberId,
    /// Its first administrator, signed in.
    pub admin: Scoped,
    pub operator: Scoped,
}

impl TestTenant {
    pub fn id(&self) -> TenantId {
        self.tenant.id
    }

    /// A member with this role (and this partner's user, where one is given), signed in.
    pub async fn member(&self, app: &TestApp, email: &str, role: Role, partner: Option<PartnerId>) -> Scoped {
        let invited = self.admin.invite_member(email, email, role, partner).await.expect("an invitation");
        app.domain.accept_token(invited.token.token.expose(), PASSWORD).await.expect("a member");
        app.bearer(app.sign_in(&self.tenant.slug, email).await.access_token.expose()).await
    }

    /// A partner with one source, put there without their services: for tests of what lies below those.
    pub async fn bare_partner_and_source(&self, app: &TestApp, name: &str) -> (PartnerId, SourceId) {
        let (partner, source): (PartnerId, SourceId) = (app.clock.id(), app.clock.id());
        let (tenant, now) = (hex(self.id().0), app.clock.now().0);
        let (partner_hex, source_hex) = (hex(partner.0), hex(source.0));
        app.execute(&format!(
            "INSERT INTO partners (tenant_id, id, reference, name, created_at) VALUES ({tenant}, {partner_hex}, '{name}', '{name}', {now});
             INSERT INTO sources (tenant_id, id, partner_id, name, mapping_version, created_at)
             VALUES ({tenant}, {source_hex}, {partner_hex}, '{name}', 1, {now});"
        ))
        .await;
        (partner, source)
    }
}

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

/// The codes and paths of an invalid request: `["WEAK_PASSWORD password"]`.
pub fn problems<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(problems)) => problems
            .iter()
            .map(|problem| format!("{} {}", problem.code.as_str(), problem.path).trim().to_owned())
            .collect(),
        other => panic!("not an invalid request: {other:?}"),
    }
}

pub fn has_code<T: std::fmt::Debug>(result: Result<T, Error>, code: Code) -> bool {
    problems(result).iter().any(|problem| problem.split(' ').next() == Some(code.as_str()))
}

pub fn is_denied<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Denied(_)))
}

pub fn is_not_found<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound(_)))
}

/// A partner with a source that reads the crash game's file.
#[derive(Clone, Copy)]
pub struct Game {
    pub partner: PartnerId,
    pub source: SourceId,
}

impl TestTenant {
    /// The asset, the product, a partner and the source of the crash game, read in this encoding.
    pub async fn crash_game(&self, _app: &TestApp, encoding: &str) -> Game {
        let admin = &self.admin;
        let asset = NewAsset { code: "BIT".into(), exponent: 2, accounting_exponent: None };
        admin.create_asset(asset).await.expect("an asset");
        admin.create_product("crash", product("Crash")).await.expect("a product");
        let partner = NewPartner { name: "Bustabit".into(), reference: None };
        let partner = admin.create_partner(partner).await.expect("a partner").id;
        let mapping = Mapping::parse(&CRASH_MAPPING.replace("windows-1252", encoding)).expect("a mapping");
        let new = NewSource { partner, name: "crash".into(), mapping, calendar: None };
        let source = admin.create_source(new).await.expect("a source").id;
        Game { partner, source }
    }

    /// Another partner whose contracts may count the same source.
    pub async fn another_partner(&self, game: &Game, name: &str) -> Game {
        let new = NewPartner { name: name.into(), reference: None };
        Game { partner: self.admin.create_partner(new).await.expect("a partner").id, ..*game }
    }

    /// Imports a whole file that arrives in pieces.
    pub async fn import(&self, source: SourceId, name: &str, file: &[u8]) -> ImportRun {
        let run = self.admin.begin_import(source, name, None).await.expect("a run");
        self.admin.import(run.id, 0, pieces(file), true).await.expect("the run ends")
    }
}

/// A file as a network delivers it.
pub fn pieces(file: &[u8]) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
    let pieces: Vec<Bytes> = file.chunks(60_000).map(Bytes::copy_from_slice).collect();
    futures_util::stream::iter(pieces.into_iter().map(Ok))
}

pub fn product(name: &str) -> ProductFacts {
    ProductFacts {
        name: name.into(),
        category: None,
        studio: None,
        theoretical_rtp: None,
        volatility: None,
        valid_from: None,
    }
}

pub const CRASH_MAPPING: &str = r#"{
  "format": "csv", "encoding": "windows-1252", "timeZone": "UTC",
  "emit": [
    { "kind": "STAKE", "externalId": "Id + ':stake'", "amount": "number(Bet)", "currency": "'BIT'",
      "occurredAt": "PlayDate", "product": "'crash'", "player": "Username", "round": "GameID" },
    { "when": "CashedOut != 'NA'", "kind": "WIN", "externalId": "Id + ':win'", "amount": "number(Bet) + number(Profit)",
      "currency": "'BIT'", "occurredAt": "PlayDate", "product": "'crash'", "player": "Username", "round": "GameID" }
  ]
}"#;

/// The real file, kept beside the repository and never in it. Tests that need it say so when it is absent.
pub fn crash_game_file() -> Option<Vec<u8>> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("SALDO_TEST_DATA").map_or(beside, PathBuf::from);
    let file = std::fs::read(folder.join("crash-game-rounds.csv")).ok();
    if file.is_none() {
        eprintln!("SKIPPED: crash-game-rounds.csv is not in {}; SALDO_TEST_DATA names its folder", folder.display());
    }
    file
}
