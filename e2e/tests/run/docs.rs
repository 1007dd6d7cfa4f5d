//! `docs/api.md` is true: its commands run as they stand there, in one shell, and answer what stands below them.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::saldo::Saldo;

const DOCUMENT: &str = include_str!("../../../docs/api.md");
/// Between the output of one block and that of the next.
const END: &str = "--- the end of a block ---";

/// The commands of a block, and what it answers with its language.
struct Example {
    commands: String,
    answer: Option<(String, String)>,
}

/// Each `sh` block, with the `json` or `text` block that follows it.
fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in document.split("```").skip(1).step_by(2) {
        let (language, content) = block.split_once('\n').expect("a block has a first line");
        match language {
            "sh" => examples.push(Example { commands: content.to_owned(), answer: None }),
            "json" | "text" => {
                let example = examples.last_mut().expect("commands before their answer");
                assert!(example.answer.is_none(), "two answers to one block:\n{content}");
                example.answer = Some((language.to_owned(), content.to_owned()));
            }
            _ => {}
        }
    }
    examples
}

/// Whether a text is as written, where `…` stands for anything.
fn is_like(written: &str, seen: &str) -> bool {
    let mut parts = written.split('…');
    let Some(mut rest) = parts.next().and_then(|first| seen.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() {
            rest.ends_with(part).then(|| rest.len() - part.len())
        } else {
            rest.find(part)
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

fn is_like_json(written: &Value, seen: &Value) -> bool {
    match (written, seen) {
        (Value::String(written), Value::String(seen)) => is_like(written, seen),
        (Value::Array(written), Value::Array(seen)) => {
            written.len() == seen.len() && written.iter().zip(seen).all(|(written, seen)| is_like_json(written, seen))
        }
        (Value::Object(written), Value::Object(seen)) => {
            let same = |(name, value): (&String, &Value)| seen.get(name).is_some_and(|seen| is_like_json(value, seen));
            written.len() == seen.len() && written.iter().all(same)
        }
        _ => written == seen,
    }
}

/// The values that stand one after the other in a text.
fn values(text: &str) -> Result<Vec<Value>, serde_json::Error> {
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

fn answers(example: &Example, seen: &str) -> bool {
    match &example.answer {
        None => seen.trim().is_empty(),
        Some((language, written)) if language == "json" => {
            let (written, seen) = (values(written).expect("JSON in the document"), values(seen).unwrap_or_default());
            written.len() == seen.len() && written.iter().zip(&seen).all(|(written, seen)| is_like_json(written, seen))
        }
        Some((_, written)) => is_like(written.trim(), seen.trim()),
    }
}

#[tokio::test]
async fn what_the_api_s_document_shows_is_what_happens() {
    for program in ["bash", "curl", "sed", "grep", "tr", "tee"] {
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        assert!(there.is_ok(), "docs/api.md is run with {program}, which is not installed");
    }
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let examples = examples(DOCUMENT);
    let shown = examples.iter().filter(|example| example.answer.is_some()).count();
    assert!(shown > 10, "{shown} examples were found");
    let script: String = examples.iter().map(|example| format!("{}\necho '{END}'\n", example.commands)).collect();
    let run = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&saldo.folder)
        .env("SALDO", saldo.url(""))
        .env_remove("TOKEN")
        .stdin(Stdio::null())
        .output();
    let output = run.await.expect("bash runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let seen: Vec<&str> = out.split(&format!("{END}\n")).collect();
    assert_eq!(seen.len(), examples.len() + 1, "not every block ended:\n{out}\n{err}");
    let wrong = examples.iter().zip(&seen).filter(|(example, seen)| !answers(example, seen));
    let wrong: Vec<String> = wrong.map(|(example, seen)| format!("{}answers\n{seen}", example.commands)).collect();
    assert!(wrong.is_empty(), "docs/api.md shows something else:\n{}\n{err}", wrong.join("\n"));
}

#[test]
fn an_answer_is_compared_but_for_what_differs_each_time() {
    for (written, seen) in [("a…c", "abc"), ("…", ""), ("a", "a"), ("…b…", "abc"), ("…b", "abab")] {
        assert!(is_like(written, seen), "{written} {seen}");
    }
    for (written, seen) in [("a…c", "abd"), ("a", "ab"), ("", "a"), ("a…b…", "ac"), ("ab…b", "ab")] {
        assert!(!is_like(written, seen), "{written} {seen}");
    }
    let example = |answer: &str| examples(&format!("```sh\nx\n```\n```json\n{answer}\n```")).remove(0);
    assert!(answers(&example(r#"{"id":"set_…","n":[1]} {}"#), r#"{"n":[1],"id":"set_12"}{}"#));
    for seen in [r#"{"id":"set_12"}"#, r#"{"id":"set_12","n":[1]} {} {}"#, r#"{"id":"x","n":[1]} {}"#, "nonsense", ""] {
        assert!(!answers(&example(r#"{"id":"set_…","n":[1]} {}"#), seen), "{seen}");
    }
}
