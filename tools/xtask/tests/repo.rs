//! The repository keeps its own rules.

use xtask::{layers, tidy, tree, Offence};

fn none(result: Result<Vec<Offence>, String>) {
    let offences = result.expect("checked");
    let lines: Vec<String> = offences.iter().map(Offence::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn tidy() {
    none(tidy::check(&tree::root()));
}

#[test]
fn layers() {
    none(layers::check(&tree::root()));
}
