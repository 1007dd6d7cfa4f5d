//! Who belongs to a tenant, and what may be said about them: names, addresses, and the rule that somebody is always
//! left to administer.

use serde::{Deserialize, Serialize};

use crate::caller::Role;
use crate::error::{Code, Problem};
use crate::ids::{MemberId, PartnerId};
use crate::notifications::Language;
use crate::time::Timestamp;

const MAX_NAME: usize = 200;
/// RFC 5321.
const MAX_EMAIL: usize = 254;
const SLUG: std::ops::RangeInclusive<usize> = 2..=40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// Has not chosen a password yet.
    Invited,
    Active,
    Disabled,
}

/// A person who may sign in to one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: MemberId,
    /// Lower case, once in a tenant.
    pub email: String,
    pub name: String,
    pub role: Role,
    /// The one partner whose things a partner's user sees.
    pub partner: Option<PartnerId>,
    pub state: MemberState,
    /// What it is written to in. Outcomes that were kept before there was one have none.
    #[serde(default)]
    pub language: Language,
    pub created_at: Timestamp,
}

impl Member {
    /// Administers the tenant, or will once the invitation is accepted.
    pub(super) fn administers(&self) -> bool {
        self.role == Role::Admin && self.partner.is_none() && self.state != MemberState::Disabled
    }
}

/// Whether a tenant whose administrators are `admins` still has one without `member`. Somebody who has only been
/// invited cannot help a tenant out, unless the one who goes could not either.
pub(super) fn another_administers(admins: &[Member], member: &Member) -> bool {
    let enough = |other: &Member| other.state == MemberState::Active || member.state != MemberState::Active;
    !member.administers() || admins.iter().any(|other| other.id != member.id && other.administers() && enough(other))
}

/// A partner's user reads; giving it another role would promise what it never gets.
pub(super) fn check_role(role: Role, partner: Option<PartnerId>) -> Option<Problem> {
    (partner.is_some() && role != Role::ReadOnly)
        .then(|| Problem::new(Code::BadInput, "role", "a partner's user can only have the role READ_ONLY"))
}

/// The address as it is kept, in lower case.
pub(super) fn check_email(text: &str, path: &str) -> Result<String, Problem> {
    let email = text.trim().to_lowercase();
    let valid = email.len() <= MAX_EMAIL
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.contains('@') && !host.is_empty() && host.split('.').all(|part| !part.is_empty())
        });
    if valid { Ok(email) } else { Err(Problem::new(Code::BadInput, path, "this is no e-mail address")) }
}

pub(super) fn check_name(text: &str, path: &str) -> Result<String, Problem> {
    let name = text.trim();
    let valid = !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
    let problem = || Problem::new(Code::BadInput, path, format!("a name has 1 to {MAX_NAME} characters in one line"));
    valid.then(|| name.to_owned()).ok_or_else(problem)
}

/// A tenant's short name: what people type when they sign in.
pub(super) fn check_slug(text: &str, path: &str) -> Result<String, Problem> {
    let valid = SLUG.contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--");
    let rule =
        "2 to 40 lower-case letters, digits and single hyphens, beginning with a letter, ending without a hyphen";
    if valid { Ok(text.to_owned()) } else { Err(Problem::new(Code::BadInput, path, rule)) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn member(id: u128, role: Role, state: MemberState) -> Member {
        Member {
            id: MemberId(Uuid::from_u128(id)),
            email: format!("{id}@acme.test"),
            name: "A".to_owned(),
            role,
            partner: None,
            state,
            language: Language::En,
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn somebody_who_can_sign_in_is_left_to_administer() {
        use MemberState::{Active, Disabled, Invited};
        let [ada, bob] = [member(1, Role::Admin, Active), member(2, Role::Admin, Active)];
        let [invited, disabled] = [member(3, Role::Admin, Invited), member(4, Role::Admin, Disabled)];
        let of_partner = Member { partner: Some(PartnerId::NONE), ..member(5, Role::Admin, Active) };
        let left = |others: &[&Member], gone: &Member| {
            another_administers(&others.iter().map(|other| (*other).clone()).collect::<Vec<_>>(), gone)
        };
        assert!(left(&[&ada, &bob], &ada));
        assert!(!left(&[&ada], &ada));
        assert!(!left(&[&ada, &invited, &disabled, &of_partner], &ada));
        assert!(left(&[&ada, &invited], &invited));
        assert!(!left(&[&invited, &disabled], &invited));
        assert!(left(&[&ada], &member(6, Role::Risk, Active)));
        assert!(left(&[&ada], &disabled));
    }

    #[test]
    fn slugs_emails_and_names() {
        for good in ["acme", "a1", "acme-east-2"] {
            assert_eq!(check_slug(good, "slug").unwrap(), good);
        }
        let long = "a".repeat(41);
        for bad in ["", "a", "Acme", "1acme", "-acme", "acme-", "ac--me", "ac_me", "ac me", "äcme", "acme\n", &long] {
            assert!(check_slug(bad, "slug").is_err(), "{bad:?}");
        }
        assert_eq!(check_email(" Ada@Acme.Test ", "email").unwrap(), "ada@acme.test");
        for bad in ["", "ada", "@acme.test", "ada@", "a@b@c", "a da@acme.test", "ada@acme..test", "ada\0@acme.test"] {
            assert!(check_email(bad, "email").is_err(), "{bad:?}");
        }
        assert_eq!(check_name("  Ada  ", "name").unwrap(), "Ada");
        for bad in ["", "  ", "A\nB", &"a".repeat(201)] {
            assert!(check_name(bad, "name").is_err(), "{bad:?}");
        }
    }
}
