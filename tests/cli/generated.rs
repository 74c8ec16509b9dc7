//! The generated tables of the documentation, and its links. A block stands between `<!-- generated: NAME -->` and
//! `<!-- end -->`; with `MIXSCOPE_WRITE_DOCS=1` this test rewrites the blocks instead of comparing them.

use crate::support::cli::{mixscope, stdout};
use mixscope::analysis::tables::{self, Table};
use mixscope::app::config::scope_name;
use mixscope::state::input::{Keymap, Scope};
use mixscope::trace::{Dims, HookKind, Policy};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// A block begins on a line of its own.
const START: &str = "\n<!-- generated: ";
const END: &str = "<!-- end -->";

#[test]
fn generated_blocks_say_what_the_program_says() {
    let (mut wrong, mut found) = (Vec::new(), BTreeSet::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let expected = filled(&text, |name, old| {
            found.insert(name.to_owned());
            block(name, old)
        });
        if text != expected {
            match std::env::var_os("MIXSCOPE_WRITE_DOCS") {
                Some(_) => fs::write(&page, expected).unwrap(),
                None => wrong.push(page.display().to_string()),
            }
        }
    }
    assert!(wrong.is_empty(), "run this test with MIXSCOPE_WRITE_DOCS=1 to rewrite the blocks of {}", wrong.join(", "));
    for name in ["keys", "settings", "policies", "hooks", "families"] {
        assert!(found.contains(name), "no page has the block `{name}`");
    }
    for name in tables::all().iter().map(|table| format!("columns of {}", table.name)) {
        assert!(found.contains(&name), "no page has the block `{name}`");
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let leads = if heading.is_empty() {
                target.exists()
            } else {
                fs::read_to_string(&target).is_ok_and(|text| headings(&text).contains(heading))
            };
            if !leads {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn files_have_the_columns_of_their_tables() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let run = |more: &[&str], out: &str| {
        let ids = ["--prompt-ids", "1,357,702,357", "--quiet", "--out"];
        let output = mixscope(more.iter().chain(&ids).copied().chain([at(out).as_str()]));
        assert!(output.status.success(), "{output:?}");
    };
    run(&["run", "--attribution", "--format", "csv,trace"], "run");
    run(&["run", "--precision", "f32", "--format", "trace"], "other");
    run(&["lab", "--steps", "1", "--policies", "f32", "--format", "csv"], "lab");
    run(&["effect", "--edit", "zero L0.attn"], "effect");
    run(&["ablate", "--over", "attn"], "ablate");
    let patch =
        ["patch", "--clean", "one two three", "--corrupt", "one four three", "--over", "heads", "--target", "5"];
    let output = mixscope(patch.into_iter().chain(["--foil", "300", "--out", &at("patch")]));
    assert!(output.status.success(), "{output:?}");
    let texts = at("text.txt");
    fs::write(&texts, "one two three two one").unwrap();
    let output = mixscope(["sweep", &texts, "--format", "csv", "--min-count", "1", "--quiet", "--out", &at("sweep")]);
    assert!(output.status.success(), "{output:?}");
    let (trace, other) = (at("run/trace.safetensors"), at("other/trace.safetensors"));
    for table in tables::all() {
        let file = ["run", "lab", "effect", "ablate", "patch", "sweep"]
            .map(|out| folder.path().join(out).join(table.name))
            .into_iter()
            .find(|p| p.exists());
        let text = file.map(|path| fs::read_to_string(path).unwrap()).unwrap_or_else(|| {
            let of = if table.name.starts_with("sweep.") { at("sweep") } else { trace.clone() };
            let args = ["export", &of, "--view", table.name, "--format", "csv", "-o", "-"];
            let of_two = ["--against", &other]
                .into_iter()
                .filter(|_| ["policy_a", "position_a"].contains(&table.columns[0].name));
            stdout(&mixscope(args.into_iter().chain(of_two))).to_owned()
        });
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(text.lines().next(), Some(names.join(",").as_str()), "{}", table.name);
    }
}

/// The pages for readers.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_folder = |folder: &str| fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let all = in_folder("").chain(in_folder("docs")).chain(in_folder("assets/demo"));
    let mut pages: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The text with every generated block replaced; `block` gets its name and its lines so far.
fn filled(text: &str, mut block: impl FnMut(&str, &str) -> String) -> String {
    let mut parts = text.split(START);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a name and -->");
        let (old, after) = rest.split_once(END).expect("<!-- end -->");
        write!(out, "{START}{name} -->\n{}{END}{after}", block(name, old)).unwrap();
    }
    out
}

fn block(name: &str, old: &str) -> String {
    match name {
        "keys" => keys(),
        "settings" => settings(),
        "policies" => policies(),
        "hooks" => hooks(old),
        "families" => families(old),
        _ => {
            let named = |table: &&&Table| name.strip_prefix("columns of ") == Some(table.name);
            let table = *tables::all().iter().find(named).unwrap_or_else(|| panic!("unknown block `{name}`"));
            format!("{}\n\n{}", table.about, table.markdown())
        }
    }
}

/// A cell of a table in Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(text: &(impl ToString + ?Sized)) -> String {
    format!("`{}`", cell(&text.to_string()))
}

fn keys() -> String {
    let keymap = Keymap::default();
    let mut sections = Vec::new();
    for scope in Scope::ALL {
        let title = scope.title();
        let title = title[..1].to_uppercase() + &title[1..];
        let table = ["keys", &scope_name(scope)].join(".");
        let mut text = format!("## {title}: `[{}]`\n\n", table.trim_end_matches('.'));
        text += "| keys | action | meaning |\n|---|---|---|\n";
        for entry in keymap.of(scope) {
            let keys = entry.keys.iter().map(code).collect::<Vec<_>>().join(" ");
            writeln!(text, "| {keys} | {} | {} |", code(&entry.action), cell(entry.help)).unwrap();
        }
        sections.push(text);
    }
    sections.join("\n")
}

/// Reads `--print-config`: a comment says what the setting below it means, and one that is not set is a comment too.
fn settings() -> String {
    let output = mixscope(["--print-config"]);
    let (mut sections, mut help) = (Vec::<String>::new(), "");
    for line in stdout(&output).lines().take_while(|line| !line.contains("[keys]")) {
        if line.starts_with('[') {
            sections.push(format!("### `{line}`\n\n| key | default | meaning |\n|---|---|---|\n"));
        } else if let Some(section) = sections.last_mut() {
            let comment = line.strip_prefix("# ");
            match (comment.unwrap_or(line).split_once(" = "), comment) {
                (Some((key, value)), None) => {
                    writeln!(section, "| {} | {} | {} |", code(&key), code(&value), cell(help)).unwrap();
                }
                (Some((key, value)), Some(_)) if key.chars().all(|c| c == '_' || c.is_alphanumeric()) => {
                    writeln!(section, "| {} | not set, e.g. {} | {} |", code(&key), code(&value), cell(help)).unwrap();
                }
                (_, comment) => help = comment.unwrap_or_default(),
            }
        }
    }
    assert!(sections.len() > 2, "{sections:?}");
    sections.join("\n")
}

fn policies() -> String {
    let row = |policy: Policy| format!("| {} | {} |\n", code(&policy), cell(policy.about()));
    format!("| policy | values are |\n|---|---|\n{}", Policy::all().map(row).collect::<String>())
}

/// The families that can be read, and what the page says of each.
fn families(old: &str) -> String {
    let mut text = String::from("| family | config.json | GGUF | verified |\n|---|---|---|---|\n");
    for (title, model_type, class) in mixscope::model::families() {
        let start = format!("| {title} | `{model_type}`, `{class}` | ");
        let own = old.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or("WHAT | HOW |");
        writeln!(text, "{start}{own}").unwrap();
    }
    assert!(!text.contains("WHAT"), "the page does not say how a family is verified:\n{text}");
    text
}

/// Names and shapes are the program's; the meanings are the page's own.
fn hooks(old: &str) -> String {
    // Every size is another number, so that it identifies its name.
    let names: [&str; 9] = ["d_model", "1", "vocab", "heads", "kv_heads", "d_head", "experts", "k", "pos"];
    let d = Dims {
        d_model: 0,
        vocab: 2,
        heads: 3,
        kv_heads: 4,
        d_head: 5,
        experts: 6,
        top_k: 7,
        layers: 1,
        d_ff: 9,
        context: 8,
        window: None,
        ..Dims::default()
    };
    let mut kinds: Vec<HookKind> = HookKind::all().collect();
    kinds.sort_by_key(|kind| kind.at(0).order());
    let mut text = String::from("| name | shape | meaning |\n|---|---|---|\n");
    for kind in kinds {
        let name = if kind.is_global() { kind.suffix().to_owned() } else { format!("blocks.{{l}}.{}", kind.suffix()) };
        let shape = kind.shape(d, 8).into_iter().map(|size| names[size]).collect::<Vec<_>>().join(", ");
        let shape = shape.replace("pos, pos", "query, key");
        let line = old.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let meaning = line.and_then(|line| line.trim_end_matches(" |").rsplit_once(" | ")).map(|(_, meaning)| meaning);
        writeln!(text, "| `{name}` | [{shape}] | {} |", meaning.unwrap_or("MEANING")).unwrap();
    }
    assert!(!text.contains("MEANING"), "the page does not say what a hook means:\n{text}");
    text
}

/// The text without fenced code.
fn prose(text: &str) -> String {
    let parts = text.split("\n```").enumerate();
    parts.filter(|(i, _)| i % 2 == 0).map(|(_, part)| part).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let titles = text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    titles.map(anchor).collect()
}
