//! What is written down is true, and what is let through says why.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lexer::{lex, places};
use crate::tree::Tree;

/// The map of ARCHITECTURE.md: the first word of each line of its first fenced block.
fn map(architecture: &str) -> Vec<&str> {
    let block = architecture.split("```").nth(1).unwrap_or_default();
    let lines = block.lines().skip(1).filter(|line| !line.starts_with(' '));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

/// Where the map and the folders differ: each crate, each capability, and nothing that is not there.
pub fn wrong_map(tree: &Tree, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let architecture = tree.text("ARCHITECTURE.md");
    let mapped = map(architecture);
    let mut findings: Vec<String> = mapped
        .iter()
        .filter(|path| !exists(path))
        .map(|path| format!("ARCHITECTURE.md: the map shows {path}, which is not there"))
        .collect();
    let crates = tree.0.keys().filter_map(|path| path.strip_suffix("/Cargo.toml")).map(|name| format!("{name}/"));
    let capabilities = tree.folders("domain/src/").into_iter().map(|name| format!("domain/src/{name}/"));
    // `pricing/tests.rs` and its like make folders too, which are no capabilities: those have a service.
    let capabilities = capabilities.filter(|path| tree.0.contains_key(&format!("{path}mod.rs")));
    for path in crates.chain(capabilities).filter(|path| !mapped.contains(&path.as_str())) {
        findings.push(format!("ARCHITECTURE.md: the map does not show {path}"));
    }
    let twice: BTreeSet<&&str> = mapped.iter().collect();
    if twice.len() != mapped.len() {
        findings.push("ARCHITECTURE.md: the map shows something twice".to_owned());
    }
    findings
}

/// Files and folders that a document names (in backticks, with a slash) and that are not there.
pub fn dangling_names(tree: &Tree, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let ours = ["api/", "docs/", "domain/", "e2e/", "migrations/", "ml/", ".ci/"];
    let mut findings = Vec::new();
    for (document, text) in tree.0.iter().filter(|(path, _)| path.ends_with(".md")) {
        let outside_of_blocks: String = text.split("```").step_by(2).collect();
        for name in outside_of_blocks.split('`').skip(1).step_by(2) {
            let is_path =
                ours.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(['*', ' ', '…', '<', ':']);
            if is_path && !exists(name) {
                findings.push(format!("{document}: `{name}` is not there"));
            }
        }
    }
    findings
}

/// Entries of clippy.toml without a reason.
pub fn bans_without_reason(clippy: &str) -> Vec<String> {
    let bans = clippy.lines().filter(|line| line.contains("path ="));
    let without = bans.filter(|line| {
        line.split_once("reason =")
            .is_none_or(|(_, reason)| reason.trim().trim_matches(['"', ' ', '}', ',']).is_empty())
    });
    without.map(|line| format!("clippy.toml: no reason in {}", line.trim())).collect()
}

/// `#[allow]` and `#[expect]` that do not say why, by a reason or a comment on the line before.
pub fn silent_exceptions(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let (tokens, lines) = (lex(text), text.lines().collect::<Vec<_>>());
        for lint in ["allow", "expect"] {
            for at in places(&tokens, &["[", lint, "("]) {
                let line = tokens[at].line;
                let end = crate::lexer::closing(&tokens, at);
                let has_reason = tokens[at..end].iter().any(|token| token.is("reason"));
                let before = line.checked_sub(2).and_then(|before| lines.get(before)).map_or("", |line| line.trim());
                let is_comment = before.starts_with("//") && !before.starts_with("//!");
                if !has_reason && !is_comment {
                    findings.push(format!("{path}:{line}: #[{lint}] does not say why"));
                }
            }
        }
    }
    findings
}

/// Whether a name of the map or a document is a file or folder of the repository.
pub fn in_repository(root: &Path) -> impl Fn(&str) -> bool {
    let root = root.to_owned();
    move |path| root.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_shows_every_capability_and_nothing_else() {
        let tree = |map: &str| {
            let architecture = format!("# A\n```text\n{map}\n```\n");
            Tree::of([
                ("ARCHITECTURE.md", architecture.as_str()),
                ("domain/Cargo.toml", ""),
                ("domain/src/taxes/mod.rs", ""),
                ("domain/src/pricing/tests.rs", ""),
            ])
        };
        let exists = |path: &str| path != "gone/";
        let good = "domain/  core\n         more of it\ndomain/src/taxes/  taxes";
        assert_eq!(wrong_map(&tree(good), exists), Vec::<String>::new());
        assert_eq!(wrong_map(&tree("domain/ core"), exists).len(), 1, "a capability is missing");
        assert_eq!(wrong_map(&tree(&format!("{good}\ngone/ x")), exists).len(), 1, "something is not there");
        assert_eq!(wrong_map(&tree(&format!("{good}\ndomain/ x")), exists).len(), 1, "twice");
    }

    #[test]
    fn documents_name_what_is_there() {
        let tree = Tree::of([("README.md", "`docs/a.md`, `docs/b.md`, `x/y`\n```\n`docs/c.md`\n```\n")]);
        assert_eq!(dangling_names(&tree, |path| path == "docs/a.md"), ["README.md: `docs/b.md` is not there"]);
    }

    #[test]
    fn bans_and_exceptions_say_why() {
        assert!(bans_without_reason("  { path = \"a::b\", reason = \"c\" },").is_empty());
        assert_eq!(bans_without_reason("  { path = \"a::b\" },\n  { path = \"a\", reason = \"\" },").len(), 2);
        let tree = |text: &str| Tree::of([("a/src/lib.rs", text)]);
        assert_eq!(silent_exceptions(&tree("//! Doc.\n#![allow(dead_code)]")).len(), 1);
        assert!(silent_exceptions(&tree("// Because.\n#![allow(dead_code)]")).is_empty());
        assert!(silent_exceptions(&tree("#[expect(dead_code, reason = \"x\")]")).is_empty());
    }
}
