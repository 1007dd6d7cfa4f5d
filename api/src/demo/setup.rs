//! The demo tenant: who may sign in, what is played, and under which contract. Made once; every step looks first, so
//! that one that was interrupted is finished the next time.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use domain::catalogue::{PlayerFacts, ProductFacts};
use domain::contracts::contract::{Cycle, Every, Terms};
use domain::contracts::{Contract, NewContract};
use domain::ids::{PartnerId, SourceId};
use domain::page::{MAX_PAGE, Page, PageRequest};
use domain::partners::{NewPartner, Partner};
use domain::secrets::{Secret, base64url, random};
use domain::sources::calendar::Calendar;
use domain::sources::mapping::Mapping;
use domain::sources::{NewSource, Source};
use domain::tenants::NewTenant;
use domain::time::Timestamp;
use domain::{Code, Domain, Error, Role, Scoped};
use serde_json::json;

use super::provider::{GAMES, TEST_PLAYER, ZONE};
use crate::cli::Outcome;

pub(super) const TENANT: &str = "demo";
const PARTNER: &str = "lumen";
const SOURCE: &str = "lumen-slots";
const CONTRACT: &str = "Lumen Games, revenue share";

/// Who may sign in, and as what.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub email: &'static str,
    name: &'static str,
    role: Role,
    of_partner: bool,
    pub sees: &'static str,
}

pub(super) const ADMINISTRATOR: User = User {
    email: "ada@demo.test",
    name: "Ada Admin",
    role: Role::Admin,
    of_partner: false,
    sees: "administrator: everything",
};
const INVITED: [User; 2] = [
    User {
        email: "rhea@demo.test",
        name: "Rhea Reader",
        role: Role::ReadOnly,
        of_partner: false,
        sees: "read only: all of the tenant",
    },
    User {
        email: "lumi@demo.test",
        name: "Lumi of Lumen Games",
        role: Role::ReadOnly,
        of_partner: true,
        sees: "partner user: what is Lumen Games' own",
    },
];

/// What the demo runs on.
pub(super) struct Demo {
    pub scoped: Scoped,
    pub source: SourceId,
    /// Where the provider's first record is.
    pub since: Timestamp,
    pub sign_ins: Vec<(User, String)>,
}

pub(super) async fn prepare(domain: &Domain, passwords: &Path) -> Outcome<Demo> {
    let passwords = Passwords::load_or_create(passwords)?;
    make(domain, passwords).await.map_err(|error| format!("the demo tenant: {error}"))
}

async fn make(domain: &Domain, passwords: Passwords) -> domain::Result<Demo> {
    let operator = match domain.operator(TENANT).await {
        Err(Error::NotFound(_)) => {
            domain
                .create_tenant(NewTenant {
                    slug: TENANT.to_owned(),
                    name: "Demo Casino".to_owned(),
                    admin_email: ADMINISTRATOR.email.to_owned(),
                    admin_name: Some(ADMINISTRATOR.name.to_owned()),
                    admin_password: Some(Secret::new(passwords.of(ADMINISTRATOR))),
                })
                .await?;
            domain.operator(TENANT).await?
        }
        found => found?,
    };
    let scoped = domain.for_caller(operator);
    catalogue(&scoped).await?;
    let partner = partner(&scoped).await?;
    let source = source(&scoped, partner).await?;
    contract(&scoped, partner, source.id).await?;
    users(&scoped, partner, &passwords).await?;
    let since = beginning(source.created_at);
    let users = std::iter::once(ADMINISTRATOR).chain(INVITED);
    let sign_ins = users.map(|user| (user, passwords.of(user).to_owned())).collect();
    Ok(Demo { scoped, source: source.id, since, sign_ins })
}

/// The provider began with the month before the one in which the demo was first started: a period to close.
fn beginning(started: Timestamp) -> Timestamp {
    let cycle = Cycle { every: Every::Month, time_zone: ZONE, cut_off_hour: 0, starts_on: None };
    cycle.period(cycle.period(started).start.plus(-1)).start
}

async fn catalogue(scoped: &Scoped) -> domain::Result<()> {
    for game in &GAMES {
        let facts = ProductFacts {
            name: game.name.to_owned(),
            category: Some("slots".to_owned()),
            studio: Some("Lumen Games".to_owned()),
            theoretical_rtp: Some(game.theoretical_rtp.to_owned()),
            volatility: Some(game.volatility.to_owned()),
            valid_from: None,
        };
        unless_there(scoped.create_product(game.code, facts).await)?;
    }
    if scoped.players(PageRequest::default()).await?.items.is_empty() {
        let always = Some(Timestamp(0));
        let facts = PlayerFacts { segment: None, tags: Vec::new(), test: true, valid_from: always };
        scoped.set_player(TEST_PLAYER, facts).await?;
    }
    Ok(())
}

/// What a creation gave; `None` when somebody was there before.
fn unless_there<T>(created: domain::Result<T>) -> domain::Result<Option<T>> {
    match created {
        Err(Error::Invalid(problems)) if problems.iter().all(|problem| problem.code == Code::AlreadyExists) => Ok(None),
        other => other.map(Some),
    }
}

/// Looks through all pages of a list.
async fn find<T, F>(
    list: impl Fn(PageRequest) -> F,
    id: impl Fn(&T) -> uuid::Uuid,
    is_it: impl Fn(&T) -> bool,
) -> domain::Result<Option<T>>
where
    F: Future<Output = domain::Result<Page<T>>>,
{
    let mut request = PageRequest { first: MAX_PAGE, after: None };
    loop {
        let page = list(request).await?;
        request.after = page.items.last().map(&id);
        match page.items.into_iter().find(&is_it) {
            None if page.has_next => {}
            found => return Ok(found),
        }
    }
}

async fn partner(scoped: &Scoped) -> domain::Result<PartnerId> {
    let new = NewPartner { name: "Lumen Games".to_owned(), reference: Some(PARTNER.to_owned()) };
    if let Some(partner) = unless_there(scoped.create_partner(new).await)? {
        return Ok(partner.id);
    }
    let is_it = |partner: &Partner| partner.reference == PARTNER;
    let found = find(|page| scoped.partners(page), |partner| partner.id.0, is_it).await?;
    found.map(|partner| partner.id).ok_or(Error::NotFound("partner"))
}

async fn source(scoped: &Scoped, partner: PartnerId) -> domain::Result<Source> {
    if let Some(source) = scoped.source_by_name(SOURCE).await? {
        return Ok(source);
    }
    let from = beginning(scoped.clock().now()).local(ZONE).date();
    let calendar = from_json::<Calendar>(json!({ "timeZone": ZONE, "from": from }))?;
    let new = NewSource { partner, name: SOURCE.to_owned(), mapping: mapping()?, calendar: Some(calendar) };
    scoped.create_source(new).await
}

fn mapping() -> domain::Result<Mapping> {
    let spin = |when: &str, kind: &str, id: &str, amount: &str| {
        json!({
            "when": when, "kind": kind, "externalId": format!("spin + ':{id}'"), "amount": format!("number({amount})"),
            "currency": "'KRW'", "occurredAt": "time", "product": "game", "player": "user", "round": "spin",
            "channel": "device",
        })
    };
    let mut cancel = spin("type == 'CANCEL'", "ROLLBACK", "cancel", "bet");
    cancel["reverses"] = json!("spin + ':bet'");
    from_json(json!({
        "format": "jsonl",
        "timeZone": ZONE,
        "timeFormat": "%Y-%m-%d %H:%M:%S%.f",
        "emit": [
            spin("type == 'SPIN'", "STAKE", "bet", "bet"),
            spin("type == 'SPIN' and win != '0'", "WIN", "win", "win"),
            cancel,
        ],
    }))
}

async fn contract(scoped: &Scoped, partner: PartnerId, source: SourceId) -> domain::Result<()> {
    let terms: Terms = from_json(json!({
        "validFrom": beginning(scoped.clock().now()).local(ZONE).date(),
        "role": "PROVIDER",
        "scope": { "sources": [source] },
        "currency": "KRW",
        "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": ZONE, "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY", "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [
            { "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "10" },
            { "code": "rest", "tiers": { "mode": "MARGINAL", "steps": [
                { "upTo": "10000000", "percent": "15" }, { "upTo": "100000000", "percent": "13" }, { "percent": "11" },
            ] } },
        ] },
        "minimumPayout": "100000",
    }))?;
    let new = NewContract { partner, name: CONTRACT.to_owned(), terms };
    if let Some((contract, version)) = unless_there(scoped.create_contract(new).await)? {
        scoped.activate_contract_version(contract.id, version.version).await?;
        return Ok(());
    }
    let is_it = |contract: &Contract| contract.partner_id == partner && contract.name == CONTRACT;
    let found = find(|page| scoped.contracts(page), |contract| contract.id.0, is_it).await?;
    let found = found.ok_or(Error::NotFound("contract"))?;
    // Again is no change.
    scoped.activate_contract_version(found.id, 1).await.map(drop)
}

async fn users(scoped: &Scoped, partner: PartnerId, passwords: &Passwords) -> domain::Result<()> {
    for user in INVITED {
        let partner = user.of_partner.then_some(partner);
        if let Some(invitation) = unless_there(scoped.invite_member(user.email, user.name, user.role, partner).await)? {
            scoped.accept_token(invitation.token.token.expose(), passwords.of(user)).await?;
        }
    }
    if !passwords.are_new {
        return Ok(());
    }
    // The file of an earlier start is gone, or that start was interrupted: what it holds now becomes true.
    for user in std::iter::once(ADMINISTRATOR).chain(INVITED) {
        let is_it = |member: &domain::tenants::Member| member.email == user.email;
        if let Some(member) = find(|page| scoped.members(page), |member| member.id.0, is_it).await? {
            let reset = scoped.reset_password(member.id).await?;
            scoped.accept_token(reset.token.token.expose(), passwords.of(user)).await?;
        }
    }
    Ok(())
}

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> domain::Result<T> {
    // Written above, and read by a test.
    serde_json::from_value(json).map_err(|error| domain::Fault::Internal(error.to_string()).into())
}

/// The demo's passwords by address, drawn when it was first started. Only their owner may read the file.
struct Passwords {
    by_email: BTreeMap<String, String>,
    are_new: bool,
}

impl Passwords {
    fn load_or_create(path: &Path) -> Outcome<Self> {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&text)
                .ok_or_else(|| format!("{} is damaged; delete it, and the demo gets new passwords", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let passwords = Self::draw()?;
                passwords.write(path).map_err(named)?;
                Ok(passwords)
            }
            Err(error) => Err(named(error)),
        }
    }

    fn draw() -> Outcome<Self> {
        let users = std::iter::once(ADMINISTRATOR).chain(INVITED);
        let drawn = users.map(|user| {
            let bytes: [u8; 12] = random().map_err(|error| error.to_string())?;
            Ok((user.email.to_owned(), base64url(&bytes)))
        });
        Ok(Self { by_email: drawn.collect::<Outcome<_>>()?, are_new: true })
    }

    fn read(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs =
            lines.map(|line| line.split_once(' ').map(|(email, password)| (email.to_owned(), password.to_owned())));
        let by_email: BTreeMap<String, String> = pairs.collect::<Option<_>>()?;
        let all = std::iter::once(ADMINISTRATOR).chain(INVITED).all(|user| by_email.contains_key(user.email));
        all.then_some(Self { by_email, are_new: false })
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

    fn of(&self, user: User) -> &str {
        self.by_email.get(user.email).map_or("", String::as_str)
    }
}
