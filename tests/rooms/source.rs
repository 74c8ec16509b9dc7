//! Source files as modules: what each imports, defines and names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// `crate::trace::Dims` as `["trace", "Dims"]`.
pub type ModulePath = Vec<String>;

/// One name that a `use` brings into a module.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The name in the module; `*` for everything.
    pub name: String,
    /// The path as it is written, without the crate's own name.
    pub path: Vec<String>,
    /// Whether the module passes it on and does not need it itself.
    pub is_reexport: bool,
}

/// A source file without comments, tests and `use` lines.
pub struct Module {
    /// `state/lens.rs`.
    pub file: String,
    /// `["state", "lens"]`.
    pub path: ModulePath,
    pub imports: Vec<Import>,
    /// The paths in its code that begin with a module's name, `crate`, `self` or `super`.
    pub mentions: Vec<Vec<String>>,
    /// Items that it defines.
    defines: BTreeSet<String>,
}

/// All modules of the crate.
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// Reads `src`.
    pub fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = rust_files(&src).into_iter().map(|path| {
            let file = path.strip_prefix(&src).unwrap().display().to_string();
            (file, fs::read_to_string(&path).unwrap())
        });
        Self::of(files.filter(|(file, _)| file != "main.rs" && !file.ends_with("tests.rs")))
    }

    /// The crate of these files: names below `src`, and texts.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let modules = files.into_iter().map(|(file, text)| {
            let module = Module::parse(file, &text);
            (module.path.clone(), module)
        });
        Self { modules: modules.collect() }
    }

    /// The module that holds what `written` names in `module`; `None` for other crates and local names.
    pub fn holder(&self, module: &Module, written: &[String]) -> Option<&Module> {
        self.find(&self.absolute(module, written)?, 0)
    }

    fn absolute(&self, module: &Module, written: &[String]) -> Option<ModulePath> {
        let supers = written.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match written.first()?.as_str() {
            "crate" => (ModulePath::new(), &written[1..]),
            "self" => (module.path.clone(), &written[1..]),
            "super" => (module.path[..module.path.len().checked_sub(supers)?].to_vec(), &written[supers..]),
            first => {
                let child = [&module.path[..], &[first.to_owned()]].concat();
                let is_child = self.modules.contains_key(&child);
                (is_child.then(|| module.path.clone())?, written)
            }
        };
        Some([base, rest.to_vec()].concat())
    }

    /// Follows re-exports from the root of the crate.
    fn find(&self, path: &[String], depth: usize) -> Option<&Module> {
        // Re-exports in a ring would be an error of the compiler; this is for globs.
        if depth > 8 {
            return None;
        }
        let mut at = self.modules.get(&ModulePath::new())?;
        for (i, segment) in path.iter().enumerate() {
            let inner = [&at.path[..], std::slice::from_ref(segment)].concat();
            if let Some(child) = self.modules.get(&inner) {
                at = child;
                continue;
            }
            if at.defines.contains(segment) {
                return Some(at);
            }
            let rest = &path[i + 1..];
            if let Some(import) = at.imports.iter().find(|import| import.name == *segment) {
                let target = self.absolute(at, &import.path)?;
                return self.find(&[&target, rest].concat(), depth + 1);
            }
            let globs = at.imports.iter().filter(|import| import.name == "*");
            let found = globs.filter_map(|glob| {
                let target = self.absolute(at, &glob.path)?;
                self.find(&[&target[..], &path[i..]].concat(), depth + 1)
            });
            // A name without a definition comes from a macro or an inner module.
            return found.into_iter().find(|module| module.defines.contains(segment)).or(Some(at));
        }
        Some(at)
    }
}

impl Module {
    fn parse(file: String, text: &str) -> Self {
        let mut path: ModulePath = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|last| last == "mod" || last == "lib") {
            path.pop();
        }
        let code = without_tests(text);
        let (uses, rest) = split_uses(&code);
        let imports = uses.iter().flat_map(|(tree, is_reexport)| expand(tree, *is_reexport)).collect();
        Self { file, path, imports, mentions: paths(&rest), defines: defined(&rest) }
    }
}

/// All `.rs` files below a folder.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text without comment lines.
pub fn without_comments(text: &str) -> String {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// The code without what is compiled for tests only; by rustfmt's indentation.
fn without_tests(text: &str) -> String {
    let code = without_comments(text);
    let mut kept = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(item) = lines.by_ref().find(|line| !line.trim_start().starts_with("#[")) else { break };
        if !item.ends_with([';', '}']) {
            lines.by_ref().find(|line| *line == format!("{indent}}}"));
        }
    }
    kept.join("\n")
}

/// The trees of `use` items, each with whether it is a re-export, and the code without them.
fn split_uses(code: &str) -> (Vec<(String, bool)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let tree = trimmed.strip_prefix("use ").map(|tree| (tree, false)).or_else(|| {
            let tree = trimmed.strip_prefix("pub")?.trim_start_matches(|c| c != ' ').strip_prefix(" use ")?;
            Some((tree, true))
        });
        let Some((tree, is_reexport)) = tree else {
            rest += line;
            rest += "\n";
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            let Some(more) = lines.next() else { break };
            tree += more.trim();
        }
        uses.push((tree.trim_end_matches(';').to_owned(), is_reexport));
    }
    (uses, rest)
}

/// Every name of a tree: `a::{b, c as d}` brings `b` and `d`.
pub fn expand(tree: &str, is_reexport: bool) -> Vec<Import> {
    let mut found = Vec::new();
    branches(tree.trim(), &[], &mut |path, alias| {
        let mut path = path.to_vec();
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let last = path.last().cloned().unwrap_or_default();
        let name = alias.map_or(last, str::to_owned);
        if name == "*" {
            path.pop();
        }
        found.push(Import { name, path, is_reexport });
    });
    found
}

fn branches(tree: &str, before: &[String], take: &mut impl FnMut(&[String], Option<&str>)) {
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, group.strip_suffix('}')),
        None => (tree, None),
    };
    let (head, alias) = head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias.trim())));
    let segments = head.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned);
    let path: Vec<String> = before.iter().cloned().chain(segments).collect();
    let Some(group) = group else { return take(&path, alias) };
    let (mut depth, mut start) = (0, 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches(group[start..i].trim(), &path, take);
                start = i + 1;
            }
            _ => {}
        }
    }
    if !group[start..].trim().is_empty() {
        branches(group[start..].trim(), &path, take);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path of two or more segments.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = BTreeSet::new();
    for piece in code.split(|c: char| !is_word(c) && c != ':') {
        let piece = piece.trim_matches(':');
        if piece.contains("::") {
            found.insert(piece.split("::").map(str::to_owned).collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}

/// Names of the items that some code defines.
fn defined(code: &str) -> BTreeSet<String> {
    const KINDS: [&str; 9] = ["struct", "enum", "trait", "fn", "const", "static", "type", "union", "mod"];
    let mut names = BTreeSet::new();
    for line in code.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kind = words.iter().take(5).position(|word| KINDS.contains(word));
        // `const fn f` is a function.
        let kind = kind.map(|at| if words.get(at + 1) == Some(&"fn") { at + 1 } else { at });
        if let Some(name) = kind.and_then(|at| words.get(at + 1)) {
            names.insert(name.chars().take_while(|c| is_word(*c)).collect());
        }
    }
    names
}

#[test]
fn trees_of_names_are_expanded() {
    let names = |tree: &str| {
        let imports = expand(tree, false).into_iter();
        imports.map(|import| format!("{} = {}", import.name, import.path.join("::"))).collect::<Vec<_>>()
    };
    let all = names("super::{a::{self, B as C}, d::*, E}");
    assert_eq!(all, ["a = super::a", "C = super::a::B", "* = super::d", "E = super::E"]);
    assert_eq!(names("crate::x::Y"), ["Y = crate::x::Y"]);
}
