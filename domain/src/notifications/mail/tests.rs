use super::*;
use crate::time::MICROS_PER_DAY;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

fn case() -> CaseMail {
    let begin = at("2021-11-20T00:00:00Z");
    CaseMail {
        tenant_name: "Acme".to_owned(),
        title: "Wins far above the usual".to_owned(),
        source: "crash".to_owned(),
        product: Some("Crash".to_owned()),
        player: Some("9865df0c653f7de30c9d6266e309cc4b".to_owned()),
        window: (begin, begin.plus(MICROS_PER_DAY)),
        transactions: 1_234_567,
        reasons: vec!["profit 900 where 10 is usual".to_owned(), "second reason".to_owned()],
        link: Some("https://saldo.example/cases/1".to_owned()),
    }
}

fn invitation(name: &str, language: Language) -> Letter {
    let token = Secret::new("saldo_once_AbC-_9");
    let invitation = InvitationMail {
        tenant_name: "Acme",
        slug: "acme",
        name,
        email: "kim@acme.test",
        token: &token,
        expires_at: at("2024-03-08T09:00:00Z"),
        link: Some("https://saldo.example"),
    };
    invitation_mail(&invitation, language).expect("a letter")
}

/// Text and HTML of a letter, each with all of these.
fn has(letter: &Letter, words: &[&str]) {
    // The engine writes a slash as a reference, too.
    let html = letter.html.as_ref().expect("HTML").replace("&#x2f;", "/");
    for body in [&letter.text, &html] {
        for word in words {
            assert!(body.contains(word), "{word} is missing in\n{body}");
        }
        assert!(!body.contains("{{") && !body.contains("{%"), "{body}");
    }
}

#[test]
fn a_case_is_told_in_full_in_each_language() {
    let fields = [
        "Acme",
        "Wins far above the usual",
        "crash",
        "Crash",
        "9865df0c653f7de30c9d6266e309cc4b",
        "2021-11-20 00:00",
        "2021-11-21 00:00",
        "1,234,567",
        "profit 900 where 10 is usual",
        "second reason",
        "https://saldo.example/cases/1",
    ];
    let english = case_mail(&case(), Language::En).unwrap();
    let korean = case_mail(&case(), Language::Ko).unwrap();
    has(&english, &fields);
    has(&korean, &fields);
    has(&english, &["Why it stands out"]);
    has(&korean, &["이상으로 판단한 이유"]);
    assert_eq!(english.subject, "[Saldo] Acme: Wins far above the usual");
    assert!(!english.text.starts_with('[') && english.text.ends_with("in Saldo.\n"), "{}", english.text);
    let lines: Vec<&str> = english.text.lines().collect();
    assert_eq!(
        lines[2..6],
        ["Tenant:       Acme", "Source:       crash", "Product:      Crash", {
            "Player:       9865df0c653f7de30c9d6266e309cc4b"
        }]
    );
}

#[test]
fn what_a_case_has_not_leaves_no_trace() {
    let bare = CaseMail { product: None, player: None, link: None, reasons: Vec::new(), ..case() };
    for (language, words) in [(Language::En, ["Product", "Player"]), (Language::Ko, ["상품", "플레이어"])] {
        let letter = case_mail(&bare, language).unwrap();
        for body in [&letter.text, letter.html.as_ref().unwrap()] {
            assert!(words.iter().all(|word| !body.contains(word)) && !body.contains("none"), "{body}");
            assert!(!body.contains("href") && !body.contains("http"), "{body}");
        }
    }
}

#[test]
fn many_cases_are_one_mail_that_says_how_many_it_does_not_show() {
    let many: Vec<CaseMail> =
        (1..=DIGEST_CASES + 1_200).map(|n| CaseMail { title: format!("Case <{n}>"), ..case() }).collect();
    let english = digest_mail(&many, Language::En).unwrap();
    assert_eq!(english.subject, "[Saldo] Acme: 1,250 new anomaly cases");
    has(&english, &["1,250", "1,200 more", "profit 900", "https://saldo.example/cases/1", "Crash", "9865df0c"]);
    assert!(english.text.contains("Case <50>") && !english.text.contains("Case <51>"));
    assert!(english.text.contains("9865df0c653f7de30c9d6266e309cc4b\n  2021-11-20 00:00 to"), "{}", english.text);
    let korean = digest_mail(&many[..2], Language::Ko).unwrap();
    assert_eq!(korean.subject, "[Saldo] Acme: 새로운 이상 거래 2건");
    has(&korean, &["2건", "거래 1,234,567건"]);
    assert!(!korean.text.contains("그 밖에"), "nothing is left out: {}", korean.text);
    assert_eq!(digest_mail(&many[..1], Language::En).unwrap(), case_mail(&many[0], Language::En).unwrap());
    assert!(digest_mail(&[], Language::En).is_ok());
}

#[test]
fn an_invitation_has_its_token_and_how_to_sign_in() {
    for (language, subject) in
        [(Language::En, "[Saldo] Acme invites you"), (Language::Ko, "[Saldo] Acme에서 초대합니다")]
    {
        let letter = invitation("김민지", language);
        assert_eq!(letter.subject, subject);
        has(
            &letter,
            &[
                "김민지",
                "saldo_once_AbC-_9",
                "acme",
                "kim@acme.test",
                "2024-03-08 09:00",
                "Acme",
                "https://saldo.example",
            ],
        );
    }
}

#[test]
fn what_is_filled_in_is_no_markup() {
    let bad = "<script>alert(1)</script>\"'&";
    let marked = CaseMail {
        tenant_name: bad.to_owned(),
        title: bad.to_owned(),
        source: bad.to_owned(),
        product: Some(bad.to_owned()),
        player: Some(bad.to_owned()),
        reasons: vec![bad.to_owned()],
        link: Some("https://x.test/\"onmouseover=\"alert(1)".to_owned()),
        ..case()
    };
    for language in Language::ALL {
        for letter in [
            case_mail(&marked, language).unwrap(),
            digest_mail(&[marked.clone(), marked.clone()], language).unwrap(),
            invitation(bad, language),
        ] {
            let html = letter.html.unwrap();
            assert!(!html.contains("<script") && !html.contains("\"onmouseover"), "{html}");
            assert!(html.contains("&lt;script&gt;"), "{html}");
            assert!(letter.text.contains("<script>"), "a text has no markup to escape: {}", letter.text);
        }
    }
    for script in ["javascript:alert(1)", "data:text/html,x", "HTTPS://x.test", "https://x.test/ onclick=1", ""] {
        let letter = case_mail(&CaseMail { link: Some(script.to_owned()), ..case() }, Language::En).unwrap();
        assert!(!letter.html.unwrap().contains("href") && !letter.text.contains("real:"), "{script}");
    }
}

#[test]
fn what_is_filled_in_adds_no_line_and_no_header() {
    let bad = "Acme\r\nBcc: eve@evil.test\n\n.\r\nMAIL\u{2028}FROM\u{202e}x\0\u{85}y\tz";
    let joined = "Acme Bcc: eve@evil.test . MAIL FROM x y z";
    assert_eq!(line(bad), joined);
    let plain = CaseMail { link: None, ..case() };
    let lines = case_mail(&plain, Language::En).unwrap().text.lines().count();
    let broken = CaseMail {
        tenant_name: bad.to_owned(),
        title: bad.to_owned(),
        source: bad.to_owned(),
        product: Some(bad.to_owned()),
        player: Some(bad.to_owned()),
        reasons: vec![bad.to_owned(); 2],
        ..plain
    };
    let letter = case_mail(&broken, Language::En).unwrap();
    assert_eq!(letter.subject, format!("[Saldo] {joined}: {joined}"));
    assert_eq!(letter.text.lines().count(), lines, "{}", letter.text);
    assert!(!invitation(bad, Language::Ko).text.lines().any(|line| line.starts_with("Bcc")));
    let long = case_mail(&CaseMail { title: "가".repeat(10_000), ..case() }, Language::En).unwrap();
    assert_eq!(long.subject.chars().count(), MAX_SUBJECT);
    assert!(long.text.len() < 3 * 2 * MAX_LINE, "{}", long.text.len());
}

#[test]
fn each_template_is_there_in_each_language_and_format() {
    for name in ["case", "digest", "invitation"] {
        for language in ["en", "ko"] {
            for format in ["txt", "html"] {
                let name = format!("{name}.{language}.{format}");
                assert_eq!(TEMPLATES.iter().filter(|(known, _)| **known == name).count(), 1, "{name}");
            }
        }
    }
    assert_eq!(grouped(0), "0");
    assert_eq!([999, 1_000, 1_000_000].map(grouped), ["999", "1,000", "1,000,000"]);
}

#[test]
fn credit_that_runs_out_is_told_in_each_language() {
    let low = CreditMail {
        tenant_name: "Acme".to_owned(),
        contract: "Reels <credit>".to_owned(),
        currency: "EUR".to_owned(),
        empty: false,
        left: "9999.50".to_owned(),
        low: Some("10000.00".to_owned()),
        bought: "100000.00".to_owned(),
    };
    let empty = CreditMail { empty: true, left: "-0.50".to_owned(), low: None, ..low.clone() };
    let letters = |mail: &CreditMail| Language::ALL.map(|language| credit_mail(mail, language).expect("a letter"));
    let [english, korean] = letters(&low);
    assert_eq!(english.subject, "[Saldo] Acme: prepaid credit of Reels <credit> is low");
    assert_eq!(korean.subject, "[Saldo] Acme: Reels <credit> 선불 알 잔액 부족");
    for letter in [&english, &korean] {
        has(letter, &["9999.50 EUR", "10000.00 EUR", "100000.00 EUR", "recordFund"]);
        assert!(letter.html.as_ref().is_some_and(|html| html.contains("Reels &lt;credit&gt;")));
    }
    let [english, korean] = letters(&empty);
    assert_eq!(english.subject, "[Saldo] Acme: prepaid credit of Reels <credit> is used up");
    assert_eq!(korean.subject, "[Saldo] Acme: Reels <credit> 선불 알 소진");
    for letter in [&english, &korean] {
        has(letter, &["-0.50 EUR"]);
        assert!(!letter.text.contains("10000.00 EUR\n") || !letter.text.contains("Low at"), "{}", letter.text);
    }
}
