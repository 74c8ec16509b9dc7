//! Circles of files: two files of one room that need each other, directly or through others.

use crate::source::{Crate, Module};
use std::collections::{BTreeMap, BTreeSet};

/// Circles that are accepted: the room, its files, and what ties them.
const ACCEPTED: &[(&str, &[&str], &str)] = &[];

type Edges = BTreeMap<String, BTreeSet<String>>;

/// File → files of the same room that it needs. A module may use its parents, and name its children: only a child that
/// its module really uses counts.
fn edges(source: &Crate) -> Edges {
    let needs = |module: &Module| {
        let imports = module.imports.iter().filter(|import| !import.is_reexport).map(|import| &import.path);
        let holders = imports.chain(&module.mentions).filter_map(|path| source.holder(module, path));
        let inside = holders.filter(|other| other.path.first() == module.path.first());
        let others = inside.filter(|other| !module.path.starts_with(&other.path));
        others.map(|other| other.file.clone()).collect()
    };
    let in_rooms = source.modules.values().filter(|module| module.file.contains('/'));
    in_rooms.map(|module| (module.file.clone(), needs(module))).collect()
}

fn reached<'a>(edges: &'a Edges, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in edges.get(file).into_iter().flatten() {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

/// Files that reach each other.
fn circles(edges: &Edges) -> BTreeSet<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (&**file, reached(edges, file))).collect();
    let mut found = BTreeSet::new();
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(**file)) {
        let comes_back = |other: &&str| reached.get(other).is_some_and(|back| back.contains(file));
        found.insert(others.iter().copied().filter(comes_back).collect());
    }
    found
}

#[test]
fn files_of_a_room_form_no_circle() {
    let edges = edges(&Crate::read());
    let mut wrong = Vec::new();
    for circle in circles(&edges) {
        let inside = |file: &str, room: &str, files: &[&str]| {
            file.strip_prefix(room).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| files.contains(&rest))
        };
        if !ACCEPTED
            .iter()
            .any(|(room, files, _)| circle.len() == files.len() && circle.iter().all(|file| inside(file, room, files)))
        {
            let line = |file: &&str| {
                let to: Vec<&str> = edges[*file].iter().map(String::as_str).filter(|to| circle.contains(to)).collect();
                format!("    {file} → {}", to.join(", "))
            };
            wrong.push(format!(
                "  {} files:\n{}",
                circle.len(),
                circle.iter().map(line).collect::<Vec<_>>().join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "circles of files; a missing leaf would break them:\n{}", wrong.join("\n"));
}

#[test]
fn circles_are_found_through_reexports_and_children() {
    let files = [
        ("lib.rs", "mod room;"),
        ("room/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub struct Shared;"),
        // Back to the parent, which defines `Shared`: natural. To b through the parent: an edge.
        ("room/a.rs", "use super::{B, Shared};\npub struct A(B);"),
        ("room/b.rs", "mod inner;\nfn f() { inner::g() }"),
        ("room/b/inner.rs", "fn g(_: crate::room::A) {}"),
        ("room/c.rs", "use super::a::A;\n#[cfg(test)]\nmod tests {\n    use super::super::d;\n}"),
    ];
    let own = |(file, text): (&str, &str)| (file.to_owned(), text.to_owned());
    let with_b = files.map(own).map(|(file, text)| match file.as_str() {
        "room/mod.rs" => (file, text + "\nuse b::B;"),
        "room/b.rs" => (file, text + "\npub struct B;"),
        _ => (file, text),
    });
    let edges = edges(&Crate::of(with_b));
    assert_eq!(circles(&edges), BTreeSet::from([vec!["room/a.rs", "room/b.rs", "room/b/inner.rs"]]));
    assert_eq!(edges["room/c.rs"], BTreeSet::from(["room/a.rs".to_owned()]));
}
