//! The contract.

#[test]
fn schema_graphql_is_what_the_code_serves() {
    let written = include_str!("../../../schema.graphql");
    assert!(written == api::graphql::sdl(), "run: cargo run -p api -- schema > schema.graphql");
}
