//! The repository's files, and how its modules hang together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::lexer::{lex, places, without_tests};

/// Files by their path from the repository's root, with `/` between folders.
#[derive(Default)]
pub struct Tree(pub BTreeMap<String, String>);

const SKIPPED: [&str; 5] = [".git", "target", "node_modules", "var", "dist"];
/// Crates of workspaces of their own.
const BESIDE: &str = "bench/";
const KEPT: [&str; 4] = ["rs", "toml", "sql", "md"];

impl Tree {
    pub fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.add(root, "");
        tree
    }

    #[cfg(test)]
    pub fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    fn add(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = format!("{prefix}{name}");
            if entry.file_type().expect("its type").is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.add(&entry.path(), &format!("{path}/"));
                }
            } else if KEPT.iter().any(|extension| name.ends_with(&format!(".{extension}"))) {
                self.0.insert(path, std::fs::read_to_string(entry.path()).expect("a text"));
            }
        }
    }

    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub fn text(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// The folders directly under one, `domain/src/` say, by name.
    pub fn folders(&self, under: &str) -> BTreeSet<&str> {
        let below = self.0.keys().filter_map(|path| path.strip_prefix(under));
        below.filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect()
    }

    /// Where compilation begins: each crate's library, binaries, tests, benches and examples.
    fn roots(&self) -> Vec<&str> {
        let is_root = |path: &&str| {
            let Some((_, inside)) = path.strip_prefix(BESIDE).unwrap_or(path).split_once('/') else { return false };
            let parts: Vec<&str> = inside.split('/').collect();
            match parts[..] {
                ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
                ["tests" | "benches" | "examples", file] => file.ends_with(".rs"),
                ["src", "bin", file] => file.ends_with(".rs"),
                ["tests" | "benches" | "examples", _, "main.rs"] | ["src", "bin", _, "main.rs"] => true,
                _ => false,
            }
        };
        self.rust().map(|(path, _)| path).filter(is_root).collect()
    }

    /// Every file that some crate compiles.
    pub fn reachable(&self) -> BTreeSet<String> {
        self.walk(false)
    }

    /// Files that no test is needed to compile.
    pub fn shipped(&self) -> BTreeSet<String> {
        let mut shipped = self.walk(true);
        shipped.retain(|path| !path.contains("/tests/") && !path.contains("/benches/") && !path.starts_with(BESIDE));
        shipped
    }

    fn walk(&self, leave_tests_out: bool) -> BTreeSet<String> {
        let mut left: Vec<String> = self.roots().into_iter().map(str::to_owned).collect();
        let mut seen = BTreeSet::new();
        while let Some(path) = left.pop() {
            let Some(text) = self.0.get(&path) else { continue };
            let tokens = if leave_tests_out { without_tests(&lex(text)) } else { lex(text) };
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let is_folder_root =
                matches!(file, "lib.rs" | "main.rs" | "mod.rs" | "build.rs") || self.roots().contains(&path.as_str());
            let inside =
                if is_folder_root { folder.to_owned() } else { format!("{folder}/{}", file.trim_end_matches(".rs")) };
            for index in places(&tokens, &["mod"]) {
                if tokens.get(index + 2).is_some_and(|token| token.is(";")) {
                    let name = tokens[index + 1].text;
                    left.push(format!("{inside}/{name}.rs"));
                    left.push(format!("{inside}/{name}/mod.rs"));
                }
            }
            seen.insert(path);
        }
        seen
    }
}

/// Files that nothing compiles.
pub fn dead_files(tree: &Tree) -> Vec<String> {
    let reachable = tree.reachable();
    let dead = tree.rust().map(|(path, _)| path).filter(|path| !reachable.contains(*path));
    dead.map(|path| format!("{path}: no module names it; delete it or write `mod …;`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_names_is_dead() {
        let tree = Tree::of([
            ("a/src/lib.rs", "mod b; pub mod c; #[cfg(test)] mod d; // mod e;"),
            ("a/src/b.rs", "mod f;"),
            ("a/src/b/f.rs", ""),
            ("a/src/c/mod.rs", ""),
            ("a/src/d.rs", ""),
            ("a/src/e.rs", ""),
            ("a/tests/it/main.rs", "mod g;"),
            ("a/tests/it/g.rs", ""),
            ("a/tests/it/h.rs", ""),
        ]);
        let dead: Vec<String> = dead_files(&tree);
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead[0].starts_with("a/src/e.rs") && dead[1].starts_with("a/tests/it/h.rs"));
        assert!(tree.shipped().contains("a/src/b/f.rs") && !tree.shipped().contains("a/src/d.rs"));
    }
}
