//! Keeps ARCHITECTURE.md true: what it says about the code is checked here, and each check is shown to fail on a few
//! lines that break it, in the module that makes it.

mod lexer;
mod paper;
mod rooms;
mod schema;
mod sizes;
mod tree;

use std::path::Path;

use tree::Tree;

/// What is longer than it should be today. It may only shrink.
const LONG: sizes::Exceptions = &[];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn repository() -> Tree {
    Tree::read(root())
}

#[track_caller]
fn tidy(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    tidy(sizes::too_long(&repository(), LONG));
}

#[test]
fn no_file_is_dead() {
    tidy(tree::dead_files(&repository()));
}

#[test]
fn pure_rooms_import_no_io() {
    let repository = repository();
    tidy(rooms::leaks(&repository));
    tidy(rooms::empty_rooms(&repository));
}

#[test]
fn queries_are_in_one_place_and_stores_are_private() {
    let repository = repository();
    tidy(rooms::raw_queries(&repository));
    tidy(rooms::open_stores(&repository));
    tidy(rooms::shared_tables(&repository, schema::tables(&repository).keys().map(String::as_str)));
}

#[test]
fn arrows_between_crates_point_down() {
    tidy(rooms::wrong_arrows(&repository()));
}

#[test]
fn the_tenant_comes_first_in_every_key_and_entity() {
    let repository = repository();
    let tables = schema::tables(&repository);
    assert!(tables.len() > 30, "the migrations were read");
    tidy(schema::keys_without_tenant(&tables));
    tidy(schema::wrong_entities(&repository, &tables));
    tidy(schema::hand_made_owners(&repository));
}

#[test]
fn the_papers_are_true() {
    let repository = repository();
    tidy(paper::wrong_map(&repository, paper::in_repository(root())));
    tidy(paper::dangling_names(&repository, paper::in_repository(root())));
    tidy(paper::bans_without_reason(repository.text("clippy.toml")));
    tidy(paper::silent_exceptions(&repository));
}
