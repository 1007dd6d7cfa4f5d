use mail_parser::MessageParser;
use uuid::Uuid;

use super::*;

fn from() -> MailFrom {
    MailFrom::parse("Saldo <saldo@mail.example>").expect("a sender")
}

fn outgoing(name: &str, subject: &str) -> Outgoing {
    Outgoing {
        id: MailId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001)),
        recipient: "kim@acme.test".to_owned(),
        name: name.to_owned(),
        letter: Letter {
            subject: subject.to_owned(),
            text: format!("{}\n.\n.. dots\n", "긴 줄 ".repeat(300)),
            html: Some("<p>안녕하세요 &amp;</p>".to_owned()),
        },
        written_at: Timestamp::parse_rfc3339("2024-03-01T09:00:00Z").expect("a time"),
    }
}

fn bytes(mail: &Outgoing) -> Vec<u8> {
    MailTransport::folder("unused", from()).message(mail).expect("a message").formatted()
}

#[test]
fn a_mail_reads_back_as_it_was_written() {
    let mail =
        outgoing("김민지, \"Min\" <x>", "[Saldo] 한국: 새로운 이상 거래 12건 — \u{1F3B2} and much more of the same");
    let bytes = bytes(&mail);
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or_else(|| {
            assert!(line.is_empty(), "every line ends with CR LF");
            line
        });
        assert!(line.len() <= 76 + 2 && line.is_ascii() && !line.contains(&b'\r'), "{line:?}");
    }
    let read = MessageParser::default().parse(&bytes).expect("a message");
    assert_eq!(read.subject(), Some(mail.letter.subject.as_str()));
    let to = read.to().and_then(|to| to.first()).expect("a recipient");
    assert_eq!((to.name(), to.address()), (Some(mail.name.as_str()), Some("kim@acme.test")));
    let sender = read.from().and_then(|from| from.first()).expect("a sender");
    assert_eq!((sender.name(), sender.address()), (Some("Saldo"), Some("saldo@mail.example")));
    assert_eq!(read.message_id(), Some("mai_01990000000070008000000000000001@mail.example"));
    assert_eq!(read.date().expect("a date").to_rfc3339(), "2024-03-01T09:00:00Z");
    assert_eq!(read.header("Auto-Submitted").and_then(|value| value.as_text()), Some("auto-generated"));
    let text = read.body_text(0).expect("a text").replace("\r\n", "\n");
    assert_eq!(text.trim_end(), mail.letter.text.trim_end());
    assert_eq!(read.body_html(0).expect("HTML").trim_end(), "<p>안녕하세요 &amp;</p>");
    assert_eq!((read.text_body_count(), read.html_body_count(), read.attachment_count()), (1, 1, 0));
}

#[test]
fn the_same_mail_is_the_same_bytes() {
    assert_eq!(bytes(&outgoing("Kim", "Hello")), bytes(&outgoing("Kim", "Hello")));
}

#[test]
fn a_text_alone_is_no_multipart() {
    let mut mail = outgoing("", "Hello");
    mail.letter.html = None;
    let bytes = bytes(&mail);
    let read = MessageParser::default().parse(&bytes).expect("a message");
    assert!(!String::from_utf8_lossy(&bytes).contains("multipart"));
    assert_eq!(read.to().and_then(|to| to.first()).expect("a recipient").name(), None);
}

#[test]
fn names_and_subjects_add_no_header() {
    let bad = "Kim\r\nBcc: eve@evil.test\r\n\r\nInjected";
    let bytes = bytes(&outgoing(bad, bad));
    let read = MessageParser::default().parse(&bytes).expect("a message");
    assert!(read.bcc().is_none() && read.to().expect("a recipient").as_list().is_some_and(|to| to.len() == 1));
    assert_eq!(read.subject(), Some("Kim Bcc: eve@evil.test Injected"));
    let names: Vec<&str> = read.headers().iter().map(|header| header.name.as_str()).collect();
    assert_eq!(
        names,
        ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"],
        "and no other"
    );
    for address in ["kim@acme.test\r\nRCPT TO:<eve@evil.test>", "kim@acme.test> <eve@evil.test", "kim"] {
        let mail = Outgoing { recipient: address.to_owned(), ..outgoing("Kim", "Hello") };
        assert!(MailTransport::folder("unused", from()).message(&mail).is_err(), "{address}");
    }
}

#[tokio::test]
async fn an_url_is_taken_with_tls_wherever_it_has_a_password() {
    let smtp = |url: &str| MailTransport::smtp(url, from()).err();
    for good in [
        "smtp://localhost:25",
        "smtp://mail.example.com",
        "smtp://mail.example.com/saldo.example?tls=opportunistic",
        "smtps://user:pass@mail.example.com",
        "smtps://user:p%40ss@mail.example.com:465/saldo.example",
        "smtp://user:pass@mail.example.com:587?tls=required",
        "smtp://user:pass@localhost:2525",
        "smtp://user:pass@127.0.0.1:2525",
        "smtp://user:pass@[::1]:2525",
    ] {
        assert_eq!(smtp(good), None, "{good}");
    }
    for open in [
        "smtp://user:pass@mail.example.com",
        "smtp://user:pass@mail.example.com:587?tls=opportunistic",
        "smtp://localhost:pass@mail.example.com",
        "smtp://user:tls=required@mail.example.com",
        "smtp://user:pass@localhost.example.com",
        "smtp://user:pass@10.0.0.1/tls=required",
    ] {
        assert_eq!(smtp(open), Some(SmtpUrlError::PasswordInTheOpen), "{open}");
    }
    for bad in ["", "mail.example.com", "http://mail.example.com", "smtp://", "smtps://user:hunter2@", "smtp://a?tls=x"]
    {
        assert_eq!(smtp(bad), Some(SmtpUrlError::Malformed), "{bad}");
    }
    for good in
        ["Saldo <saldo@localhost>", "saldo@example.com", "\"Acme, Risk\" <risk@acme.test>", "정산 <saldo@acme.test>"]
    {
        assert!(MailFrom::parse(good).is_some(), "{good}");
    }
    for bad in ["", "Saldo", "Saldo <>", "saldo@", "a@b.test, c@d.test", "x\r\nBcc: eve@evil.test <a@b.test>"] {
        assert!(MailFrom::parse(bad).is_none(), "{bad}");
    }
}

#[tokio::test]
async fn without_a_server_a_mail_is_a_file_for_its_owner_alone() {
    let folder = std::env::temp_dir().join(format!("saldo-outbox-{}", std::process::id()));
    std::fs::remove_dir_all(&folder).ok();
    let transport = MailTransport::folder(folder.join("deep"), from());
    for _ in 0..2 {
        transport.send(outgoing("Kim", "Hello")).await.expect("it is written");
    }
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("deep")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [folder.join("deep/mai_01990000000070008000000000000001.eml")], "the same mail is one file");
    assert_eq!(std::fs::read(&files[0]).unwrap(), bytes(&outgoing("Kim", "Hello")));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let blocked = MailTransport::folder(files[0].join("below"), from());
    let failure = blocked.send(outgoing("Kim", "Hello")).await.expect_err("a file is no folder");
    assert!(!failure.lasting && failure.down, "{failure:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}
