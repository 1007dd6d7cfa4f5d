//! What mails say: templates in each language, compiled into the binary, and what is filled into them.
//!
//! The first line of a text template is the subject. Whatever is filled in is one line without control characters, so
//! that no name can add a line to a text or a header to a mail; in HTML it is escaped.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::language::Language;
use crate::error::Fault;
use crate::secrets::Secret;
use crate::time::Timestamp;

/// Cases that a digest shows; of the others it says how many there are.
pub const DIGEST_CASES: usize = 50;
const MAX_LINE: usize = 500;
/// Longer ones are cut off by many readers.
const MAX_SUBJECT: usize = 200;

/// A mail's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// An anomaly case as a mail shows it. Texts are in the language of the mail.
#[derive(Clone, Debug)]
pub struct CaseMail {
    pub tenant_name: String,
    pub title: String,
    pub source: String,
    pub product: Option<String>,
    /// The pseudonym.
    pub player: Option<String>,
    /// Begin and end, shown in UTC.
    pub window: (Timestamp, Timestamp),
    pub transactions: u64,
    pub reasons: Vec<String>,
    /// Where to look at it: `http://` or `https://`, else it is left out.
    pub link: Option<String>,
}

/// An invitation with its token.
pub struct InvitationMail<'a> {
    pub tenant_name: &'a str,
    /// The short name to sign in with.
    pub slug: &'a str,
    pub name: &'a str,
    pub email: &'a str,
    pub token: &'a Secret,
    pub expires_at: Timestamp,
    pub link: Option<&'a str>,
}

/// Prepaid credit that gets low or is used up; amounts in major units.
#[derive(Clone, Debug)]
pub struct CreditMail {
    pub tenant_name: String,
    pub contract: String,
    pub currency: String,
    /// Nothing is left, or less.
    pub empty: bool,
    pub left: String,
    pub low: Option<String>,
    pub bought: String,
}

/// The mail about credit of one contract.
pub(crate) fn credit_mail(credit: &CreditMail, language: Language) -> Result<Letter, Fault> {
    let value = context! {
        tenant => line(&credit.tenant_name),
        contract => line(&credit.contract),
        currency => line(&credit.currency),
        empty => credit.empty,
        left => line(&credit.left),
        low => credit.low.as_deref().map(line),
        bought => line(&credit.bought),
    };
    letter("credit", language, &value)
}

/// The mail about one case.
pub fn case_mail(case: &CaseMail, language: Language) -> Result<Letter, Fault> {
    letter("case", language, &case_value(case))
}

/// One mail about many cases of one tenant, in the order given; about a single one it is that case's own mail.
pub fn digest_mail(cases: &[CaseMail], language: Language) -> Result<Letter, Fault> {
    if let [only] = cases {
        return case_mail(only, language);
    }
    let shown: Vec<Value> = cases.iter().take(DIGEST_CASES).map(case_value).collect();
    let value = context! {
        tenant => line(cases.first().map_or("", |case| &case.tenant_name)),
        count => grouped(count(cases.len())),
        more => (cases.len() > shown.len()).then(|| grouped(count(cases.len() - shown.len()))),
        cases => shown,
    };
    letter("digest", language, &value)
}

pub(crate) fn invitation_mail(invitation: &InvitationMail<'_>, language: Language) -> Result<Letter, Fault> {
    let value = context! {
        tenant => line(invitation.tenant_name),
        slug => line(invitation.slug),
        name => line(invitation.name),
        email => line(invitation.email),
        token => invitation.token.expose(),
        until => minute(invitation.expires_at),
        link => invitation.link.and_then(link),
    };
    letter("invitation", language, &value)
}

fn case_value(case: &CaseMail) -> Value {
    context! {
        tenant => line(&case.tenant_name),
        title => line(&case.title),
        source => line(&case.source),
        product => case.product.as_deref().map(line),
        player => case.player.as_deref().map(line),
        from => minute(case.window.0),
        until => minute(case.window.1),
        transactions => grouped(case.transactions),
        reasons => case.reasons.iter().map(|reason| line(reason)).collect::<Vec<_>>(),
        link => case.link.as_deref().and_then(link),
    }
}

/// Text in one line, without what would begin another one or turn its direction around.
pub(super) fn line(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    cut(&plain.split_whitespace().collect::<Vec<_>>().join(" "), MAX_LINE)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Only what a browser opens as a page: no link runs a script.
fn link(text: &str) -> Option<String> {
    let is_page = text.starts_with("https://") || text.starts_with("http://");
    (is_page && !text.contains(|c: char| c.is_whitespace() || c.is_control())).then(|| text.to_owned())
}

fn minute(time: Timestamp) -> String {
    time.utc().format("%Y-%m-%d %H:%M").to_string()
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// `1234567` as `1,234,567`, as both languages write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// By name; the last part of it says the format.
const TEMPLATES: [(&str, &str); 16] = [
    ("case.en.txt", include_str!("templates/case.en.txt")),
    ("case.en.html", include_str!("templates/case.en.html")),
    ("case.ko.txt", include_str!("templates/case.ko.txt")),
    ("case.ko.html", include_str!("templates/case.ko.html")),
    ("credit.en.txt", include_str!("templates/credit.en.txt")),
    ("credit.en.html", include_str!("templates/credit.en.html")),
    ("credit.ko.txt", include_str!("templates/credit.ko.txt")),
    ("credit.ko.html", include_str!("templates/credit.ko.html")),
    ("digest.en.txt", include_str!("templates/digest.en.txt")),
    ("digest.en.html", include_str!("templates/digest.en.html")),
    ("digest.ko.txt", include_str!("templates/digest.ko.txt")),
    ("digest.ko.html", include_str!("templates/digest.ko.html")),
    ("invitation.en.txt", include_str!("templates/invitation.en.txt")),
    ("invitation.en.html", include_str!("templates/invitation.en.html")),
    ("invitation.ko.txt", include_str!("templates/invitation.ko.txt")),
    ("invitation.ko.html", include_str!("templates/invitation.ko.html")),
];

/// `.html` is escaped by its name; a field that is not there is an error and no gap.
static ENGINE: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    for (name, source) in TEMPLATES {
        engine.add_template(name, source)?;
    }
    Ok(engine)
});

fn letter(name: &str, language: Language, value: &Value) -> Result<Letter, Fault> {
    let render = |format: &str, value: Value| -> Result<String, Fault> {
        let name = format!("{name}.{}.{format}", language.as_str().to_lowercase());
        let broken = |error: &minijinja::Error| Fault::Internal(format!("the template {name}: {error:#}"));
        let engine = ENGINE.as_ref().map_err(broken)?;
        engine.get_template(&name).and_then(|template| template.render(value)).map_err(|error| broken(&error))
    };
    let text = render("txt", value.clone())?;
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    let subject = cut(subject.trim(), MAX_SUBJECT);
    let html = render("html", context! { subject => &subject, ..value.clone() })?;
    Ok(Letter { text: format!("{}\n", text.trim()), html: Some(html), subject })
}

#[cfg(test)]
mod tests;
