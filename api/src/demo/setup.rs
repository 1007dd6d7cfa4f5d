//! The demo tenant: who may sign in, what is played, and under which contracts. Made once; every step looks first, so
//! that one that was interrupted is finished the next time.

use std::path::Path;

use domain::catalogue::{PlayerFacts, ProductFacts};
use domain::contracts::contract::Terms;
use domain::contracts::{Contract, NewContract};
use domain::ids::{PartnerId, SourceId};
use domain::page::{MAX_PAGE, Page, PageRequest};
use domain::partners::{NewPartner, Partner};
use domain::secrets::Secret;
use domain::sources::calendar::Calendar;
use domain::sources::{NewSource, Source};
use domain::tenants::NewTenant;
use domain::time::Timestamp;
use domain::{Code, Domain, Error, Role, Scoped};
use serde_json::json;

use super::agreements::{AGREEMENTS, Agreement, LUMEN};
use super::passwords::Passwords;
use super::slots::TEST_PLAYER;
use super::window::Provider;
use crate::cli::Outcome;

pub(super) const TENANT: &str = "demo";
/// One demo is like another.
const SEED: u64 = 0x5A1D0;

/// Who may sign in, and as what.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub email: &'static str,
    name: &'static str,
    role: Role,
    /// The reference of the one partner whose things it sees.
    of_partner: Option<&'static str>,
    pub sees: &'static str,
}

pub(super) const ADMINISTRATOR: User = User {
    email: "ada@demo.test",
    name: "Ada Admin",
    role: Role::Admin,
    of_partner: None,
    sees: "administrator: everything",
};
const INVITED: [User; 3] = [
    User {
        email: "rita@demo.test",
        name: "Rita Risk",
        role: Role::Risk,
        of_partner: None,
        sees: "risk: reviews cases",
    },
    User {
        email: "rhea@demo.test",
        name: "Rhea Reader",
        role: Role::ReadOnly,
        of_partner: None,
        sees: "read only: all of the tenant",
    },
    User {
        email: "lumi@demo.test",
        name: "Lumi of Lumen Games",
        role: Role::ReadOnly,
        of_partner: Some(LUMEN),
        sees: "partner user: what is Lumen Games' own",
    },
];

pub(super) fn users() -> impl Iterator<Item = User> {
    std::iter::once(ADMINISTRATOR).chain(INVITED)
}

/// A provider and the source through which it sends.
pub(super) struct Supply {
    pub agreement: &'static Agreement,
    pub source: SourceId,
    pub provider: Provider,
}

/// What the demo runs on.
pub(super) struct Demo {
    pub scoped: Scoped,
    pub supplies: [Supply; AGREEMENTS.len()],
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
    test_player(&scoped).await?;
    let [slots, crash, sales] = &AGREEMENTS;
    let supplies = [supply(&scoped, slots).await?, supply(&scoped, crash).await?, supply(&scoped, sales).await?];
    invite(&scoped, &passwords).await?;
    let sign_ins = users().map(|user| (user, passwords.of(user).to_owned())).collect();
    Ok(Demo { scoped, supplies, sign_ins })
}

async fn test_player(scoped: &Scoped) -> domain::Result<()> {
    if scoped.players(PageRequest::default()).await?.items.is_empty() {
        let always = Some(Timestamp(0));
        let facts = PlayerFacts { segment: None, tags: Vec::new(), test: true, valid_from: always };
        scoped.set_player(TEST_PLAYER, facts).await?;
    }
    Ok(())
}

async fn supply(scoped: &Scoped, agreement: &'static Agreement) -> domain::Result<Supply> {
    for product in agreement.products {
        let facts = ProductFacts {
            name: product.name.to_owned(),
            category: Some(product.category.to_owned()),
            studio: Some(product.studio.to_owned()),
            theoretical_rtp: product.rtp.map(str::to_owned),
            volatility: product.volatility.map(str::to_owned),
            valid_from: None,
        };
        unless_there(scoped.create_product(product.code, facts).await)?;
    }
    let (reference, name) = agreement.partner;
    let partner = partner(scoped, reference, name).await?;
    let source = source(scoped, agreement, partner).await?;
    let opened = agreement.beginning(source.created_at);
    let from = opened.local(agreement.zone).date();
    for (name, terms) in agreement.contracts {
        contract(scoped, partner, name, from_json(terms(source.id, from))?).await?;
    }
    // What happens to one provider says nothing of another.
    let seed = reference.bytes().fold(SEED, |seed, byte| seed.rotate_left(9) ^ u64::from(byte));
    Ok(Supply { agreement, source: source.id, provider: Provider { seed, opened } })
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

async fn partner(scoped: &Scoped, reference: &str, name: &str) -> domain::Result<PartnerId> {
    let new = NewPartner { name: name.to_owned(), reference: Some(reference.to_owned()) };
    if let Some(partner) = unless_there(scoped.create_partner(new).await)? {
        return Ok(partner.id);
    }
    partner_called(scoped, reference).await
}

async fn partner_called(scoped: &Scoped, reference: &str) -> domain::Result<PartnerId> {
    let is_it = |partner: &Partner| partner.reference == reference;
    let found = find(|page| scoped.partners(page), |partner| partner.id.0, is_it).await?;
    found.map(|partner| partner.id).ok_or(Error::NotFound("partner"))
}

async fn source(scoped: &Scoped, agreement: &Agreement, partner: PartnerId) -> domain::Result<Source> {
    let mapping = from_json((agreement.mapping)())?;
    if let Some(source) = scoped.source_by_name(agreement.source).await? {
        // A newer build's provider writes records that the older one's mapping does not know.
        return scoped.update_mapping(source.id, &mapping).await;
    }
    let zone = agreement.zone;
    let from = agreement.beginning(scoped.clock().now()).local(zone).date();
    let calendar = from_json::<Calendar>(json!({ "timeZone": zone, "from": from }))?;
    let new = NewSource { partner, name: agreement.source.to_owned(), mapping, calendar: Some(calendar) };
    scoped.create_source(new).await
}

async fn contract(scoped: &Scoped, partner: PartnerId, name: &str, terms: Terms) -> domain::Result<()> {
    let new = NewContract { partner, name: name.to_owned(), terms };
    if let Some((contract, version)) = unless_there(scoped.create_contract(new).await)? {
        scoped.activate_contract_version(contract.id, version.version).await?;
        return Ok(());
    }
    let is_it = |contract: &Contract| contract.partner_id == partner && contract.name == name;
    let found = find(|page| scoped.contracts(page), |contract| contract.id.0, is_it).await?;
    let found = found.ok_or(Error::NotFound("contract"))?;
    // Again is no change.
    scoped.activate_contract_version(found.id, 1).await.map(drop)
}

async fn invite(scoped: &Scoped, passwords: &Passwords) -> domain::Result<()> {
    for user in INVITED {
        let partner = match user.of_partner {
            Some(reference) => Some(partner_called(scoped, reference).await?),
            None => None,
        };
        if let Some(invitation) = unless_there(scoped.invite_member(user.email, user.name, user.role, partner).await)? {
            scoped.accept_token(invitation.token.token.expose(), passwords.of(user)).await?;
        }
    }
    if !passwords.are_new {
        return Ok(());
    }
    // The file of an earlier start is gone, or that start was interrupted: what it holds now becomes true.
    for user in users() {
        let is_it = |member: &domain::tenants::Member| member.email == user.email;
        if let Some(member) = find(|page| scoped.members(page), |member| member.id.0, is_it).await? {
            let reset = scoped.reset_password(member.id).await?;
            scoped.accept_token(reset.token.token.expose(), passwords.of(user)).await?;
        }
    }
    Ok(())
}

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> domain::Result<T> {
    // Written in `agreements.rs`, and read by a test.
    serde_json::from_value(json).map_err(|error| domain::Fault::Internal(error.to_string()).into())
}
