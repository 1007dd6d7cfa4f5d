//! Mail, from the transaction that decides on it to a server that does not always want it.

use std::time::Duration;

use domain::ids::MemberId;
use domain::notifications::{Language, MailFrom, MailTransport};
use domain::tenants::{Invitation, Invite};
use domain::time::{MICROS_PER_HOUR, MICROS_PER_SECOND};
use domain::{Role, Scoped};
use mail_parser::MessageParser;

use crate::smtp::{Mood, Received, Smtp};
use crate::support::*;

const SENDER: &str = "Saldo <saldo@mail.example>";

pub fn transport(url: &str) -> MailTransport {
    MailTransport::smtp(url, MailFrom::parse(SENDER).expect("a sender")).expect("an URL")
}

/// A core that sends by this server.
async fn app(smtp: &Smtp) -> TestApp {
    let app = TestApp::new().await;
    app.domain.clone().with_mail(transport(&smtp.url())).set_public_url("https://saldo.example/");
    app
}

pub async fn invite(admin: &Scoped, email: &str, language: Language) -> Invitation {
    let name = if language == Language::Ko { "김민지" } else { "Kim" };
    let invite = Invite { email, name, role: Role::Risk, partner: None, language, send_mail: true };
    admin.invite(invite).await.expect("an invitation")
}

fn to(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.to.as_str()).collect()
}

/// `attempts state error` of each mail, by recipient.
async fn outbox(app: &TestApp) -> Vec<String> {
    app.rows(
        "SELECT recipient || ' ' || attempts || ' ' || iif(sent_at IS NOT NULL, 'sent', iif(failed_at IS NOT NULL, 'parked',
         iif(next_at IS NULL, 'lost', 'waits'))) || iif(body IS NULL, ' empty', '') || coalesce(' ' || last_error, '')
         FROM mails ORDER BY recipient",
    )
    .await
}

#[tokio::test]
async fn an_invitation_goes_out_once_in_its_language_with_a_token_that_works() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    let korean = invite(&acme.admin, "ko@acme.test", Language::Ko).await;
    let english = invite(&acme.admin, "en@acme.test", Language::En).await;
    assert_eq!(outbox(&app).await, ["en@acme.test 0 waits", "ko@acme.test 0 waits"]);
    let token = korean.token.token.expose();
    let kept = async |text: &str| {
        let found = format!("instr(body, CAST('{text}' AS BLOB)) > 0 OR instr(subject, '{text}') > 0");
        app.number(&format!("SELECT count(*) FROM mails WHERE {found}")).await
    };
    let kept = [kept(token).await, kept("html").await, kept("acme Ltd").await];
    assert_eq!(kept, [0, 0, 2], "the subject is kept as it is, and a token never");

    assert_eq!(app.domain.deliver_mails().await, None, "nothing is left to do");
    let received = smtp.received();
    assert_eq!(to(&received), ["en@acme.test", "ko@acme.test"]);
    let read: Vec<_> =
        received.iter().map(|mail| MessageParser::default().parse(&mail.data).expect("a message")).collect();
    assert_eq!(read[0].subject(), Some("[Saldo] acme Ltd invites you"));
    assert_eq!(read[1].subject(), Some("[Saldo] acme Ltd에서 초대합니다"));
    for (mail, invitation, words) in [(&read[0], &english, "Hello Kim"), (&read[1], &korean, "김민지님")] {
        for body in [mail.body_text(0).expect("a text"), mail.body_html(0).expect("HTML")] {
            let body = body.replace("&#x2f;", "/");
            for word in [invitation.token.token.expose(), words, "acme Ltd", "https://saldo.example"] {
                assert!(body.contains(word), "{word}: {body}");
            }
            assert!(!body.contains("https://saldo.example/"), "{body}");
        }
    }
    app.domain.accept_token(token, PASSWORD).await.expect("the token of the mail");
    app.domain.deliver_mails().await;
    assert_eq!(smtp.received(), []);
    assert_eq!(outbox(&app).await, ["en@acme.test 1 sent empty", "ko@acme.test 1 sent empty"]);
}

#[tokio::test]
async fn mail_is_posted_with_its_change_or_not_at_all() {
    let smtp = Smtp::start().await;
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let again = Invite {
        email: "ada@acme.test",
        name: "Ada",
        role: Role::ReadOnly,
        partner: None,
        language: Language::En,
        send_mail: true,
    };
    assert_eq!(problems(acme.admin.invite(again).await), ["ALREADY_EXISTS email"]);
    let of_nobody = Invite { email: "new@acme.test", partner: Some(app.clock.id()), ..again };
    assert_eq!(problems(acme.admin.invite(of_nobody).await), ["NOT_FOUND partnerId"]);
    acme.admin.invite_member("quiet@acme.test", "Q", Role::Risk, None).await.expect("an invitation without a mail");
    assert_eq!(outbox(&app).await, Vec::<String>::new());

    let once = acme.admin.once("key", "inviteMember", [1; 32]).expect("a key");
    for _ in 0..2 {
        invite(&once, "kim@acme.test", Language::En).await;
    }
    app.domain.deliver_mails().await;
    assert_eq!(outbox(&app).await, ["kim@acme.test 0 waits"], "one mail, which waits until there is a way out");
    app.domain.clone().with_mail(transport(&smtp.url()));
    app.domain.deliver_mails().await;
    assert_eq!(to(&smtp.received()), ["kim@acme.test"]);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_parked_and_the_others_go_on() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("b@acme.test", Mood::Refuses);
    for email in ["a@acme.test", "b@acme.test", "c@acme.test", "한글@acme.test"] {
        invite(&acme.admin, email, Language::En).await;
    }
    assert_eq!(app.domain.deliver_mails().await, None);
    assert_eq!(to(&smtp.received()), ["a@acme.test", "c@acme.test"]);
    let outbox = outbox(&app).await;
    assert_eq!(outbox[0], "a@acme.test 1 sent empty");
    assert_eq!(outbox[1], "b@acme.test 1 parked permanent error (550): 5.1.1 no such user");
    assert!(outbox[3].starts_with("한글@acme.test 1 parked") && outbox[3].contains("SMTPUTF8"), "{}", outbox[3]);
    smtp.to("b@acme.test", Mood::Takes);
    app.pass_seconds(7 * 24 * 3_600);
    app.domain.deliver_mails().await;
    assert_eq!(smtp.received(), [], "nobody tries again");
}

#[tokio::test]
async fn a_mail_that_is_put_off_comes_again_when_it_is_due() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("kim@acme.test", Mood::Later);
    invite(&acme.admin, "kim@acme.test", Language::En).await;
    let due = app.domain.deliver_mails().await.expect("it will be tried again");
    assert_eq!(outbox(&app).await, ["kim@acme.test 1 waits transient error (451): 4.7.1 come back later"]);
    smtp.to("kim@acme.test", Mood::Takes);
    app.clock.move_to(due.plus(-1));
    let connections = smtp.greeted();
    assert_eq!(app.domain.deliver_mails().await, Some(due));
    assert_eq!(smtp.greeted(), connections, "it is not due yet");
    app.clock.move_to(due);
    assert_eq!(app.domain.deliver_mails().await, None);
    assert_eq!(to(&smtp.received()), ["kim@acme.test"]);
    assert_eq!(outbox(&app).await, ["kim@acme.test 2 sent empty"]);
}

#[tokio::test]
async fn after_a_day_of_tries_a_mail_is_parked_with_what_was_said() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("kim@acme.test", Mood::Later);
    invite(&acme.admin, "kim@acme.test", Language::En).await;
    let begun = app.clock.now();
    while let Some(due) = app.domain.deliver_mails().await {
        assert!(due > app.clock.now(), "no retry is due at once");
        app.clock.move_to(due);
    }
    assert_eq!(outbox(&app).await, ["kim@acme.test 8 parked transient error (451): 4.7.1 come back later"]);
    assert_eq!(smtp.greeted(), 8);
    let hours = (app.clock.now().0 - begun.0) / MICROS_PER_HOUR;
    assert!((20..28).contains(&hours), "{hours} hours");
}

#[tokio::test]
async fn a_server_that_takes_nothing_costs_no_mail_and_few_attempts() {
    for mood in [Mood::Down, Mood::Closed, Mood::KnowsNobody] {
        let smtp = Smtp::start().await;
        let app = TestApp::new().await;
        let user = if mood == Mood::KnowsNobody { "//saldo:secret@" } else { "//" };
        app.domain.clone().with_mail(transport(&smtp.url().replace("//", user)));
        let acme = app.tenant("acme").await;
        smtp.everybody(mood);
        for email in ["a@acme.test", "b@acme.test", "c@acme.test"] {
            invite(&acme.admin, email, Language::En).await;
        }
        let due = app.domain.deliver_mails().await.expect("something waits");
        let seen = outbox(&app).await;
        assert!(seen[0].starts_with("a@acme.test 1 waits") && !seen[0].contains("secret"), "{mood:?}: {seen:?}");
        assert_eq!(seen[1..], ["b@acme.test 0 waits", "c@acme.test 0 waits"], "one mail found out for all: {mood:?}");
        assert!(due <= app.clock.now(), "the others are still due");
        if mood == Mood::KnowsNobody {
            // The password of the URL stays wrong.
            continue;
        }
        smtp.everybody(Mood::Takes);
        app.pass_seconds(5);
        assert_eq!(app.domain.deliver_mails().await, None);
        assert_eq!(to(&smtp.received()), ["a@acme.test", "b@acme.test", "c@acme.test"], "one copy of each: {mood:?}");
        let seen = outbox(&app).await;
        assert_eq!(seen[0], "a@acme.test 2 sent empty");
    }
}

#[tokio::test]
async fn a_recipient_on_whom_the_server_hangs_holds_up_nobody_for_long() {
    let smtp = Smtp::start().await;
    let app = TestApp::new().await;
    app.domain.clone().with_mail(transport(&smtp.url()).with_patience(Duration::from_secs(2)));
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    smtp.to("a@acme.test", Mood::Hangs);
    for (admin, email) in [(&acme.admin, "a@acme.test"), (&acme.admin, "b@acme.test"), (&bolt.admin, "c@bolt.test")] {
        invite(admin, email, Language::En).await;
    }
    let due = app.domain.deliver_mails().await.expect("the first one will be tried again");
    assert_eq!(to(&smtp.received()), ["b@acme.test", "c@bolt.test"]);
    assert_eq!(outbox(&app).await[0], "a@acme.test 1 waits no answer within 2000 ms");
    smtp.to("a@acme.test", Mood::Takes);
    app.clock.move_to(due);
    app.domain.deliver_mails().await;
    assert_eq!(to(&smtp.received()), ["a@acme.test"]);
}

#[tokio::test]
async fn a_mail_whose_receipt_was_lost_comes_again_as_the_same_mail() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("kim@acme.test", Mood::HangsUp);
    invite(&acme.admin, "kim@acme.test", Language::Ko).await;
    let due = app.domain.deliver_mails().await.expect("nobody said that it was taken");
    smtp.to("kim@acme.test", Mood::Takes);
    app.clock.move_to(due);
    assert_eq!(app.domain.deliver_mails().await, None);
    let received = smtp.received();
    assert_eq!(received.len(), 2, "at least once");
    assert_eq!(received[0], received[1], "the same bytes");
    let read = MessageParser::default().parse(&received[0].data).expect("a message");
    let id = read.message_id().expect("an id").to_owned();
    assert!(id.starts_with("mai_") && id.ends_with("@mail.example"), "{id}");
}

#[tokio::test]
async fn an_attempt_counts_before_it_begins() {
    let mut smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("kim@acme.test", Mood::Hangs);
    invite(&acme.admin, "kim@acme.test", Language::En).await;
    // The process dies while the server has the recipient.
    tokio::select! {
        _ = app.domain.deliver_mails() => panic!("the server does not answer"),
        news = smtp.news() => assert_eq!(news, "waits kim@acme.test"),
    }
    let next = app.reopened(MASTER_KEY).await;
    next.domain.clone().with_mail(transport(&smtp.url()));
    smtp.to("kim@acme.test", Mood::Takes);
    assert_eq!(outbox(&next).await, ["kim@acme.test 1 waits"]);
    let due = next.domain.deliver_mails().await.expect("it is not lost");
    assert_eq!(smtp.received(), [], "it may still be under way");
    app.clock.move_to(due);
    assert_eq!(next.domain.deliver_mails().await, None);
    assert_eq!(to(&smtp.received()), ["kim@acme.test"]);

    // The last one, on which it dies again: nobody tries for ever.
    invite(&acme.admin, "poison@acme.test", Language::En).await;
    app.execute(
        "UPDATE mails SET attempts = 8 WHERE recipient = 'poison@acme.test'; DELETE FROM mails WHERE attempts < 8",
    )
    .await;
    assert_eq!(app.domain.deliver_mails().await, None);
    assert_eq!(outbox(&app).await, ["poison@acme.test 8 parked the last attempt did not come to an end"]);
    assert_eq!(smtp.received(), []);
}

#[tokio::test]
async fn two_rounds_at_once_send_one_copy() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    for number in 0..10 {
        invite(&acme.admin, &format!("{number}@acme.test"), Language::En).await;
    }
    let rounds = (0..4).map(|_| app.domain.deliver_mails());
    futures_util::future::join_all(rounds).await;
    app.domain.deliver_mails().await;
    let received = smtp.received();
    assert_eq!(to(&received), (0..10).map(|number| format!("{number}@acme.test")).collect::<Vec<_>>());
}

#[tokio::test]
async fn mail_of_one_tenant_is_out_of_reach_of_another() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let (acme, bolt) = (app.tenant("acme").await, app.tenant("bolt").await);
    let token = |invitation: &Invitation| invitation.token.token.expose().to_owned();
    let in_acme = token(&invite(&acme.admin, "eve@shared.test", Language::En).await);
    let in_bolt = token(&invite(&bolt.admin, "eve@shared.test", Language::En).await);
    app.domain.deliver_mails().await;
    let received = smtp.received();
    assert_eq!(received.len(), 2);
    for (own, tenant, other) in [(&in_acme, "acme", "bolt"), (&in_bolt, "bolt", "acme")] {
        let texts = received.iter().map(|mail| {
            let read = MessageParser::default().parse(&mail.data).expect("a message");
            [read.body_text(0), read.body_html(0), read.subject().map(Into::into)].map(Option::unwrap).join("\n")
        });
        let mine: Vec<String> = texts.filter(|text| text.contains(own)).collect();
        assert_eq!(mine.len(), 1);
        assert!(mine[0].contains(tenant) && !mine[0].contains(other), "{}", mine[0]);
    }

    // A body that somebody moves into another tenant's row opens for nobody.
    invite(&acme.admin, "kim@acme.test", Language::En).await;
    invite(&bolt.admin, "kim@bolt.test", Language::En).await;
    app.execute(
        "UPDATE mails SET body = (SELECT body FROM mails WHERE recipient = 'kim@acme.test') WHERE recipient = 'kim@bolt.test'",
    )
    .await;
    app.domain.deliver_mails().await;
    assert_eq!(to(&smtp.received()), ["kim@acme.test"]);
    let kept = outbox(&app).await;
    let bolt = kept.iter().find(|row| row.starts_with("kim@bolt.test")).expect("its mail");
    assert!(bolt.starts_with("kim@bolt.test 1 parked") && bolt.contains("does not open"), "{bolt}");
}

#[tokio::test]
async fn the_worker_sends_what_is_posted_at_once_and_what_was_left_when_it_begins() {
    let mut smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    invite(&acme.admin, "before@acme.test", Language::En).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let domain = app.domain.clone();
    let worker = tokio::spawn(async move { domain.work(async { drop(stopped.await) }).await });
    assert_eq!(smtp.news().await, "took before@acme.test");
    // Its clock stands still: no look is due any more, and only the hint can tell.
    invite(&acme.admin, "after@acme.test", Language::En).await;
    let news = tokio::time::timeout(Duration::from_secs(30), smtp.news()).await;
    assert_eq!(news.expect("before the look of each minute"), "took after@acme.test");
    drop(stop);
    worker.await.expect("it stops");
    app.domain.shut_down().await;
    assert_eq!(outbox(&app).await, ["after@acme.test 1 sent empty", "before@acme.test 1 sent empty"]);
}

#[tokio::test]
async fn risk_staff_are_told_of_what_is_odd_and_administrators_where_there_is_none() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let (partner, _) = acme.bare_partner_and_source(&app, "bustabit").await;
    let told = async || {
        let told = acme.admin.alert_recipients().await.expect("a list");
        told.into_iter().map(|to| format!("{} {}", to.email, to.language.as_str())).collect::<Vec<_>>()
    };
    acme.member(&app, "partner@acme.test", Role::ReadOnly, Some(partner)).await;
    acme.admin.invite_member("invited@acme.test", "I", Role::Risk, None).await.expect("an invitation");
    assert_eq!(told().await, ["ada@acme.test EN"], "nobody of risk can sign in yet");
    let risk = acme.member(&app, "risk@acme.test", Role::Risk, None).await;
    risk.set_language(Language::Ko).await.expect("its own language");
    let other = acme.member(&app, "other@acme.test", Role::Risk, None).await;
    assert_eq!(told().await, ["risk@acme.test KO", "other@acme.test EN"]);
    acme.admin.disable_member(other.caller().member().expect("a member")).await.expect("it is disabled");
    assert_eq!(told().await, ["risk@acme.test KO"]);
    assert!(is_denied(risk.alert_recipients().await));
    app.tenant("bolt").await;
    assert_eq!(told().await, ["risk@acme.test KO"], "its own people only");
}

#[tokio::test]
async fn everybody_chooses_the_own_language_and_nobody_elses() {
    let app = TestApp::new().await;
    let acme = app.tenant("acme").await;
    let (partner, source) = acme.bare_partner_and_source(&app, "bustabit").await;
    let user = acme.member(&app, "partner@acme.test", Role::ReadOnly, Some(partner)).await;
    let languages = async || app.rows("SELECT email || ' ' || language FROM members ORDER BY email").await;
    assert_eq!(languages().await, ["ada@acme.test EN", "partner@acme.test EN"]);
    let changed = user.set_language(Language::Ko).await.expect("a partner's user has one, too");
    assert_eq!((changed.language, changed.email.as_str()), (Language::Ko, "partner@acme.test"));
    assert_eq!(languages().await, ["ada@acme.test EN", "partner@acme.test KO"]);
    let own: MemberId = user.caller().member().expect("a member");
    assert_eq!(user.member(own).await.expect("itself").language, Language::Ko);
    let key = acme.admin.create_api_key(source, "feed").await.expect("a key").secret;
    assert!(is_denied(app.bearer(key.expose()).await.set_language(Language::Ko).await));
    assert!(is_denied(acme.operator.set_language(Language::Ko).await));
}

#[tokio::test]
async fn what_is_done_is_forgotten_after_a_month_and_what_waits_is_not() {
    let smtp = Smtp::start().await;
    let app = app(&smtp).await;
    let acme = app.tenant("acme").await;
    smtp.to("parked@acme.test", Mood::Refuses);
    for email in ["sent@acme.test", "parked@acme.test"] {
        invite(&acme.admin, email, Language::En).await;
    }
    app.domain.deliver_mails().await;
    invite(&acme.admin, "waits@acme.test", Language::En).await;
    app.pass_seconds(30 * 24 * 3_600);
    app.domain.prune().await;
    assert_eq!(outbox(&app).await.len(), 3, "a month is not over yet");
    app.clock.move_to(app.clock.now().plus(MICROS_PER_SECOND));
    app.domain.prune().await;
    assert_eq!(outbox(&app).await, ["waits@acme.test 0 waits"]);
}
