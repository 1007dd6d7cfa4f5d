//! The text as a page to print and sign: one file without scripts and without anything from elsewhere.

use super::ClauseText;
use super::say::say;
use crate::notifications::Language;

/// What stands above the clauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    pub operator: String,
    pub partner: String,
    pub contract: String,
    pub version: i64,
    pub is_draft: bool,
    /// The SHA-256 of the terms, so that both sides know that they signed the same.
    pub fingerprint: String,
}

const STYLE: &str = "
  @page { size: A4; margin: 20mm 18mm; }
  body { font: 11pt/1.55 'Noto Sans', 'Noto Sans KR', 'Apple SD Gothic Neo', 'Malgun Gothic', sans-serif; color: #111;
    max-width: 46em; margin: 2em auto; padding: 0 1em; word-break: keep-all; overflow-wrap: anywhere; }
  h1 { font-size: 1.5em; margin: 0 0 .6em; }
  h2 { font-size: 1.05em; margin: 1.4em 0 .3em; break-after: avoid; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: .1em 1.2em; margin: 0; }
  dt { color: #555; } dd { margin: 0; }
  p { margin: .25em 0; }
  .example { border-left: 3px solid #999; padding: .1em 0 .1em .8em; margin: .5em 0; color: #333; break-inside: avoid; }
  .example b { font-size: .85em; color: #555; }
  .draft { border: 1px solid #111; padding: .4em .8em; }
  .note { color: #555; font-size: .9em; }
  .sign { display: grid; grid-template-columns: 1fr 1fr; gap: 3em; margin-top: 4em; break-inside: avoid; }
  .sign div { border-top: 1px solid #111; padding-top: .3em; }
  code { font-size: .8em; }
  @media print { body { margin: 0; max-width: none; padding: 0; } }
";

pub fn page(heading: &Heading, clauses: &[ClauseText], language: Language) -> String {
    let word = |key: &str| escaped(&say!(format!("page.{key}")).in_language(language));
    let title = word("title");
    let mut html = format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}: {}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<dl>\n",
        language.as_str().to_ascii_lowercase(),
        escaped(&heading.contract),
    );
    let version = heading.version.to_string();
    let rows = [
        ("operator", &heading.operator),
        ("partner", &heading.partner),
        ("contract", &heading.contract),
        ("version", &version),
    ];
    for (key, value) in rows {
        html += &format!("<dt>{}</dt><dd>{}</dd>\n", word(key), escaped(value));
    }
    html += "</dl>\n";
    if heading.is_draft {
        html += &format!("<p class=\"draft\">{}</p>\n", word("draft"));
    }
    for (place, clause) in clauses.iter().enumerate() {
        html += &section(place + 1, clause, &word("example"));
    }
    html += &format!("<p class=\"note\">{}</p>\n", word("note"));
    html += &format!("<p class=\"note\">{}: <code>{}</code></p>\n", word("fingerprint"), escaped(&heading.fingerprint));
    let signature = word("signature");
    html += &format!(
        "<div class=\"sign\">\n<div>{}<br>{signature}</div>\n<div>{}<br>{signature}</div>\n</div>\n</body>\n</html>\n",
        escaped(&heading.operator),
        escaped(&heading.partner),
    );
    html
}

fn section(place: usize, clause: &ClauseText, example: &str) -> String {
    let mut html = format!("<section>\n<h2>{place}. {}</h2>\n", escaped(&clause.title));
    for sentence in &clause.sentences {
        html += &format!("<p>{}</p>\n", escaped(sentence));
    }
    if !clause.example.is_empty() {
        html += &format!("<div class=\"example\"><b>{example}</b>\n");
        for sentence in &clause.example {
            html += &format!("<p>{}</p>\n", escaped(sentence));
        }
        html += "</div>\n";
    }
    html + "</section>\n"
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}
