//! Who gets in, and how far.

use domain::ids::{ApiKeyId, MemberId};
use domain::page::PageRequest;
use domain::secrets::Secret;
use domain::tenants::{MemberState, NewTenant};
use domain::{Actor, Code, Permission, Role};

use crate::support::*;

const TEN_MINUTES: i64 = 600;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn new_tenant(slug: &str, password: Option<&str>) -> NewTenant {
    NewTenant {
        slug: slug.to_owned(),
        name: "Acme".to_owned(),
        admin_email: "Ada@Acme.test".to_owned(),
        admin_name: None,
        admin_password: password.map(Secret::new),
    }
}

#[tokio::test]
async fn a_tenant_begins_with_an_administrator_or_an_invitation() {
    let app = TestApp::new().await;
    let created = app.domain.create_tenant(new_tenant("acme", None)).await.unwrap();
    assert_eq!((created.admin.email.as_str(), created.admin.state), ("ada@acme.test", MemberState::Invited));
    let invitation = created.invitation.expect("no password was given");
    assert!(has_code(app.domain.sign_in("acme", "ada@acme.test", "").await, Code::BadCredentials));
    app.domain.accept_token(invitation.token.expose(), PASSWORD).await.unwrap();
    app.sign_in("acme", " ADA@acme.test ").await;

    assert_eq!(problems(app.domain.create_tenant(new_tenant("acme", Some(PASSWORD))).await), ["ALREADY_EXISTS slug"]);
    assert_eq!(app.number("SELECT count(*) FROM members").await, 1, "nothing is left of the one that failed");
    let wrong = NewTenant { name: String::new(), admin_email: "ada".to_owned(), ..new_tenant("A", Some("short")) };
    assert_eq!(
        problems(app.domain.create_tenant(wrong).await),
        ["BAD_INPUT slug", "BAD_INPUT name", "BAD_INPUT adminEmail", "WEAK_PASSWORD adminPassword"]
    );
    assert!(is_not_found(app.domain.operator("nobody").await));
}

#[tokio::test]
async fn every_wrong_sign_in_gets_one_answer() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let bob = acme.member(&app, "bob@acme.test", Role::Risk, None).await;
    acme.admin.disable_member(bob.caller().member().unwrap()).await.unwrap();
    let mut answers = Vec::new();
    for (slug, email, password) in [
        ("nobody", "ada@acme.test", PASSWORD),
        ("acme", "nobody@acme.test", PASSWORD),
        ("acme", "ada@acme.test", "wrong staple battery"),
        ("acme", "ada@acme.test", ""),
        ("acme", "bob@acme.test", PASSWORD),
    ] {
        answers.push(app.domain.sign_in(slug, email, password).await.unwrap_err().to_string());
    }
    answers.dedup();
    assert_eq!(answers, ["tenant, e-mail address or password is wrong"]);
}

#[tokio::test]
async fn one_address_in_two_tenants_is_two_people() {
    let app = TestApp::new().await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    let in_acme = acme.member(&app, "eve@shared.test", Role::Admin, None).await;
    let invited = bolt.admin.invite_member("eve@shared.test", "Eve", Role::ReadOnly, None).await.unwrap();
    app.domain.accept_token(invited.token.token.expose(), OTHER_PASSWORD).await.unwrap();
    assert!(has_code(app.domain.sign_in("bolt", "eve@shared.test", PASSWORD).await, Code::BadCredentials));
    let session = app.domain.sign_in("bolt", "eve@shared.test", OTHER_PASSWORD).await.unwrap();
    let in_bolt = app.bearer(session.access_token.expose()).await;
    assert_eq!((in_acme.tenant(), in_bolt.tenant()), (acme.id(), bolt.id()));
    assert!(is_denied(in_bolt.members(PageRequest::default()).await), "the role is that of its own tenant");

    // Another tenant's things and things that are not there look the same.
    let (foreign, absent) = (invited.member.id, app.clock.id::<MemberId>());
    for id in [foreign, absent] {
        assert!(is_not_found(in_acme.member(id).await));
        assert!(is_not_found(in_acme.set_member_role(id, Role::Risk).await));
        assert!(is_not_found(in_acme.disable_member(id).await));
        assert!(is_not_found(in_acme.reset_password(id).await));
    }
    let emails: Vec<String> =
        in_acme.members(PageRequest::default()).await.unwrap().items.into_iter().map(|member| member.email).collect();
    assert_eq!(emails, ["eve@shared.test", "ada@acme.test"], "newest first, its own only");

    let (_, source) = bolt.bare_partner_and_source(&app, "crash").await;
    assert_eq!(problems(acme.admin.create_api_key(source, "key").await), ["NOT_FOUND sourceId"]);
    let (partner, _) = bolt.bare_partner_and_source(&app, "dice").await;
    let invitation = acme.admin.invite_member("pat@p.test", "Pat", Role::ReadOnly, Some(partner)).await;
    assert_eq!(problems(invitation), ["NOT_FOUND partnerId"]);
}

#[tokio::test]
async fn access_tokens_end_with_their_time_their_session_and_their_member() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let session = app.sign_in("acme", "ada@acme.test").await;
    let token = session.access_token.expose().to_owned();
    let works = async || app.domain.authenticate(&token).await.is_ok();
    assert!(works().await);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let bent = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for bad in ["", "garbage", "a.b.c", head, &bent, session.refresh_token.expose()] {
        assert!(has_code(app.domain.authenticate(bad).await, Code::BadCredentials), "{bad}");
    }
    app.pass_seconds(TEN_MINUTES + 14);
    assert!(works().await, "within the leeway of the clocks");
    app.pass_seconds(1);
    assert!(!works().await, "expired");
    app.pass_seconds(-TEN_MINUTES);
    assert!(works().await);
    app.domain.sign_out(session.refresh_token.expose()).await.unwrap();
    assert!(!works().await, "signed out");
    assert!(has_code(app.domain.refresh(session.refresh_token.expose()).await, Code::BadCredentials));

    let bob = acme.member(&app, "bob@acme.test", Role::Settlement, None).await.caller().member().unwrap();
    let session = app.sign_in("acme", "bob@acme.test").await;
    acme.admin.set_member_role(bob, Role::ReadOnly).await.unwrap();
    let caller = app.domain.authenticate(session.access_token.expose()).await.unwrap();
    assert_eq!(caller.actor(), &Actor::Member { id: bob, role: Role::ReadOnly, partner: None }, "at once");
    acme.admin.disable_member(bob).await.unwrap();
    assert!(app.domain.authenticate(session.access_token.expose()).await.is_err());
    assert!(app.domain.refresh(session.refresh_token.expose()).await.is_err());
    acme.admin.enable_member(bob).await.unwrap();
    assert!(app.domain.authenticate(session.access_token.expose()).await.is_err(), "the old session stays over");
    app.sign_in("acme", "bob@acme.test").await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_ends_its_session_for_good() {
    let app = TestApp::new().await;
    app.tenant("acme").await;
    let other = app.sign_in("acme", "ada@acme.test").await;
    let first = app.sign_in("acme", "ada@acme.test").await;
    let second = app.domain.refresh(first.refresh_token.expose()).await.unwrap();
    let third = app.domain.refresh(second.refresh_token.expose()).await.unwrap();
    assert!(app.domain.authenticate(third.access_token.expose()).await.is_ok());

    assert!(has_code(app.domain.refresh(first.refresh_token.expose()).await, Code::BadCredentials));
    assert!(has_code(app.domain.refresh(third.refresh_token.expose()).await, Code::BadCredentials), "committed");
    assert!(app.domain.authenticate(third.access_token.expose()).await.is_err());
    app.domain.refresh(other.refresh_token.expose()).await.expect("another session goes on");
}

#[tokio::test]
async fn a_session_that_nobody_refreshes_ends_and_one_token_is_won_once() {
    let app = TestApp::new().await;
    app.tenant("acme").await;
    let session = app.sign_in("acme", "ada@acme.test").await;
    app.pass_seconds(14 * DAY - 1);
    let session = app.domain.refresh(session.refresh_token.expose()).await.unwrap();
    app.pass_seconds(14 * DAY);
    assert!(has_code(app.domain.refresh(session.refresh_token.expose()).await, Code::BadCredentials));

    let session = app.sign_in("acme", "ada@acme.test").await;
    let text = session.refresh_token.expose();
    let (a, b) = tokio::join!(app.domain.refresh(text), app.domain.refresh(text));
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|won| **won).count(), 1);
}

#[tokio::test]
async fn one_time_tokens_work_once_and_in_time() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let invited = acme.admin.invite_member("bob@acme.test", "Bob", Role::Risk, None).await.unwrap();
    let token = invited.token.token.expose();
    let accept = async |token: &str, password: &str| app.domain.accept_token(token, password).await;
    assert_eq!(problems(accept(token, "bob@acme.test").await), ["WEAK_PASSWORD password"]);
    app.pass_seconds(7 * DAY - 1);
    assert_eq!(accept(token, PASSWORD).await.unwrap().state, MemberState::Active);
    assert_eq!(problems(accept(token, OTHER_PASSWORD).await), ["BAD_CREDENTIALS token"]);

    let bob = invited.member.id;
    let session = app.sign_in("acme", "bob@acme.test").await;
    let first = acme.admin.reset_password(bob).await.unwrap().token;
    let second = acme.admin.reset_password(bob).await.unwrap().token;
    assert_eq!(problems(accept(first.token.expose(), OTHER_PASSWORD).await), ["BAD_CREDENTIALS token"], "replaced");
    app.domain.authenticate(session.access_token.expose()).await.expect("nothing has changed yet");
    let text = second.token.expose();
    let (a, b) = tokio::join!(accept(text, OTHER_PASSWORD), accept(text, OTHER_PASSWORD));
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|won| **won).count(), 1);
    assert!(app.domain.authenticate(session.access_token.expose()).await.is_err(), "a reset ends the sessions");
    assert!(app.domain.refresh(session.refresh_token.expose()).await.is_err());
    assert!(app.domain.sign_in("acme", "bob@acme.test", PASSWORD).await.is_err());
    app.domain.sign_in("acme", "bob@acme.test", OTHER_PASSWORD).await.unwrap();

    let late = acme.operator.reset_password(bob).await.unwrap().token;
    app.pass_seconds(HOUR);
    assert_eq!(problems(accept(late.token.expose(), PASSWORD).await), ["BAD_CREDENTIALS token"]);
    let unused = acme.operator.reset_password(bob).await.unwrap().token;
    acme.operator.disable_member(bob).await.unwrap();
    assert_eq!(problems(acme.operator.reset_password(bob).await), ["WRONG_STATE memberId"]);
    acme.operator.enable_member(bob).await.unwrap();
    assert_eq!(problems(accept(unused.token.expose(), PASSWORD).await), ["BAD_CREDENTIALS token"]);
}

#[tokio::test]
async fn roles_reach_as_far_as_they_should() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let (partner, source) = acme.bare_partner_and_source(&app, "crash").await;
    let (_, other) = acme.bare_partner_and_source(&app, "dice").await;
    let key = acme.admin.create_api_key(source, "crash server").await.unwrap();
    let callers = [
        (acme.admin.clone(), "RWCSA"),
        (acme.member(&app, "s@acme.test", Role::Settlement, None).await, "RWCS"),
        (acme.member(&app, "r@acme.test", Role::Risk, None).await, "R"),
        (acme.member(&app, "o@acme.test", Role::ReadOnly, None).await, "R"),
        (acme.member(&app, "p@partner.test", Role::ReadOnly, Some(partner)).await, "R"),
        (app.bearer(key.secret.expose()).await, "W"),
        (acme.operator.clone(), "RWCSA"),
    ];
    let ids = (acme.admin_id, key.key.id);
    for (scoped, expected) in callers {
        let permissions = [
            Permission::Read,
            Permission::Record(source),
            Permission::Configure,
            Permission::Settle,
            Permission::Administer,
        ];
        let granted: String =
            "RWCSA".chars().zip(permissions).filter(|(_, p)| scoped.caller().may(*p)).map(|(c, _)| c).collect();
        assert_eq!(granted, expected, "{:?}", scoped.caller());
        assert_eq!(scoped.viewer().await.unwrap().tenant.id, acme.id());
        if !expected.contains('A') {
            assert!(is_denied(scoped.members(PageRequest::default()).await));
            assert!(is_denied(scoped.member(ids.0).await));
            assert!(is_denied(scoped.invite_member("x@acme.test", "X", Role::Admin, None).await));
            assert!(is_denied(scoped.reset_password(ids.0).await));
            assert!(is_denied(scoped.set_member_role(ids.0, Role::Risk).await));
            assert!(is_denied(scoped.disable_member(ids.0).await));
            assert!(is_denied(scoped.enable_member(ids.0).await));
            assert!(is_denied(scoped.create_api_key(source, "mine").await));
            assert!(is_denied(scoped.revoke_api_key(ids.1).await));
            assert!(is_denied(scoped.api_keys(PageRequest::default()).await));
            assert!(is_denied(scoped.api_key(ids.1).await));
        }
        if let Some(member) = scoped.caller().member() {
            assert_eq!(scoped.member(member).await.unwrap().id, member, "everybody sees itself");
        }
    }
    let machine = app.bearer(key.secret.expose()).await;
    assert!(!machine.caller().may(Permission::Record(other)), "a key is for one source");
}

#[tokio::test]
async fn a_partners_user_is_bound_to_its_partner_and_only_reads() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let (partner, _) = acme.bare_partner_and_source(&app, "crash").await;
    let invited = acme.admin.invite_member("p@partner.test", "Pat", Role::Settlement, Some(partner)).await;
    assert_eq!(problems(invited), ["BAD_INPUT role"]);
    let pat = acme.member(&app, "p@partner.test", Role::ReadOnly, Some(partner)).await;
    assert_eq!(pat.caller().partner(), Some(partner));
    assert_eq!(pat.viewer().await.unwrap().member.unwrap().partner, Some(partner));
    let promoted = acme.admin.set_member_role(pat.caller().member().unwrap(), Role::Admin).await;
    assert_eq!(problems(promoted), ["BAD_INPUT role"]);
}

#[tokio::test]
async fn a_tenant_keeps_an_administrator() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    acme.admin.invite_member("late@acme.test", "Late", Role::Admin, None).await.unwrap();
    for refused in
        [acme.admin.disable_member(acme.admin_id).await, acme.admin.set_member_role(acme.admin_id, Role::Risk).await]
    {
        assert_eq!(problems(refused), ["LAST_ADMINISTRATOR memberId"]);
    }
    let bob = acme.member(&app, "bob@acme.test", Role::Admin, None).await;
    let (one, two) = tokio::join!(
        acme.admin.disable_member(bob.caller().member().unwrap()),
        bob.set_member_role(acme.admin_id, Role::Risk)
    );
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {two:?}");
    assert_eq!(problems(acme.operator.invite_member("BOB@acme.test", "", Role::Risk, None).await), ["BAD_INPUT name"]);
    assert_eq!(
        problems(acme.operator.invite_member("BOB@acme.test", "B", Role::Risk, None).await),
        ["ALREADY_EXISTS email"]
    );
}

#[tokio::test]
async fn api_keys_work_until_revoked_and_keep_no_secret() {
    let app = TestApp::new().await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    let (_, source) = acme.bare_partner_and_source(&app, "crash").await;
    let created = acme.admin.create_api_key(source, " crash server ").await.unwrap();
    let caller = app.domain.authenticate(created.secret.expose()).await.unwrap();
    assert_eq!((caller.tenant(), caller.actor()), (acme.id(), &Actor::ApiKey { id: created.key.id, source }));
    let mut bent = created.secret.expose().to_owned();
    let last = if bent.pop() == Some('A') { 'Q' } else { 'A' };
    bent.push(last);
    assert!(has_code(app.domain.authenticate(&bent).await, Code::BadCredentials));

    assert_eq!(acme.admin.api_keys(PageRequest::default()).await.unwrap().items, std::slice::from_ref(&created.key));
    assert_eq!(created.key.name, "crash server");
    assert!(bolt.admin.api_keys(PageRequest::default()).await.unwrap().items.is_empty());
    for id in [created.key.id, app.clock.id::<ApiKeyId>()] {
        assert!(is_not_found(bolt.admin.revoke_api_key(id).await));
        assert!(is_not_found(bolt.admin.api_key(id).await));
    }
    let revoked = acme.admin.revoke_api_key(created.key.id).await.unwrap();
    app.pass_seconds(1);
    assert_eq!(acme.admin.revoke_api_key(created.key.id).await.unwrap(), revoked, "again changes nothing");
    assert!(has_code(app.domain.authenticate(created.secret.expose()).await, Code::BadCredentials));
    assert_eq!(problems(acme.admin.create_api_key(source, "").await), ["BAD_INPUT name"]);
}

#[tokio::test]
async fn signing_keys_outlive_the_process_and_need_its_master_key() {
    let app = TestApp::new().await;
    app.tenant("acme").await;
    let token = app.sign_in("acme", "ada@acme.test").await.access_token;
    let after = app.reopened(MASTER_KEY).await;
    assert!(after.domain.authenticate(token.expose()).await.is_ok());
    after.sign_in("acme", "ada@acme.test").await;
    let wrong = app.reopened([8; 32]).await;
    assert!(
        wrong.domain.load_signing_keys().await.unwrap_err().to_string().contains("does not open with this master key")
    );
    assert!(wrong.domain.authenticate(token.expose()).await.is_err());
}

#[tokio::test]
async fn a_schema_says_how_it_stands_to_this_build() {
    use migrations::Status;
    let app = TestApp::new().await;
    let url = app.database.owner_url.clone();
    assert_eq!(migrations::status(&url).await.unwrap(), Status::Current);
    assert_eq!(migrations::up(&url).await.unwrap(), 0, "again changes nothing");
    app.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await;
    assert_eq!(migrations::status(&url).await.unwrap(), Status::Newer);
    assert!(migrations::up(&url).await.is_err());
    let absent = app.folder.join("absent.db");
    assert_eq!(migrations::status(&format!("sqlite://{}", absent.display())).await.unwrap(), Status::Older);
    assert!(!absent.exists(), "asking makes no file");
}
