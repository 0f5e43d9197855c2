//! Imports run one way. The table is the architecture; a new room needs a line here.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of `src/`, and the modules that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("source", &[]),
    ("ssh_config", &[]),
    ("inventory", &["model", "source", "ssh_config", "playbook"]),
    ("playbook", &["model", "source"]),
    ("plan", &["model", "source", "inventory"]),
    ("decode", &["model"]),
    ("capture", &["model"]),
    ("collect", &["model", "ssh_config", "plan", "decode", "capture"]),
    ("diagnose", &["model", "playbook", "source"]),
    ("report", &["model", "playbook", "diagnose"]),
    ("demo", &["model", "plan"]),
    ("cli", &["collect", "diagnose", "model", "playbook", "report"]),
    (
        "commands",
        &[
            "model",
            "source",
            "inventory",
            "playbook",
            "plan",
            "decode",
            "capture",
            "collect",
            "diagnose",
            "report",
            "demo",
            "cli",
        ],
    ),
];

/// What `cli` may name of `collect`: its events, nothing that connects.
const EVENTS: &[&str] = &["Event", "Progress"];

/// Crates that only some modules may mention.
const CONFINED: &[(&str, &[&str])] = &[
    ("tokio", &["collect", "demo"]),
    ("openssh", &["collect"]),
    ("tonic", &["collect", "demo"]),
    ("hyper", &["collect"]),
    ("console_api", &["decode", "capture"]),
    ("prost", &["collect", "decode", "capture", "report"]),
    ("console_subscriber", &["demo"]),
    ("clap", &["cli", "commands"]),
    ("indicatif", &["cli"]),
];

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the module it belongs to, tests within files left out.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let module = |path: &PathBuf| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let code = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap();
        product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    files
        .iter()
        .map(|path| (module(path), path.clone(), code(path)))
        .filter(|(module, ..)| module != "lib" && module != "main")
        .collect()
}

/// The identifiers that follow each `prefix::` in `code`, with `{a, b}` taken apart.
fn after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let preceded = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if preceded {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(top_level(list)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

/// The first identifier of each item of a brace list, up to its closing brace.
fn top_level(list: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(identifier(list[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn imports_follow_the_table() {
    let mut wrong = Vec::new();
    let known: BTreeSet<_> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    for (module, path, code) in sources() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: `{module}` is not in the table", path.display()));
            continue;
        };
        for name in after(&code, "crate::") {
            if name != module && known.contains(name) && !allowed.contains(&name) {
                wrong.push(format!("{}: `{module}` imports `{name}`", path.display()));
            }
        }
        if module == "cli" {
            let unexpected = after(&code, "crate::collect::").into_iter().filter(|name| !EVENTS.contains(name));
            wrong.extend(unexpected.map(|name| format!("{}: `cli` uses `collect::{name}`", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_network_and_the_wire_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (krate, rooms) in CONFINED {
            let mentioned = code.match_indices(krate).any(|(at, _)| {
                let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                boundary(code[..at].chars().next_back()) && code[at + krate.len()..].starts_with("::")
            });
            if mentioned && !rooms.contains(&module.as_str()) {
                wrong.push(format!("{}: `{module}` mentions `{krate}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_line_in_the_table_and_no_room_is_a_drawer() {
    const DRAWERS: &[&str] =
        &["utils", "util", "helpers", "common", "types", "errors", "error", "context", "manager", "misc"];
    let modules: BTreeSet<_> = sources().into_iter().map(|(module, ..)| module).collect();
    let table: BTreeSet<_> = MAY_IMPORT.iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(modules, table);
    for (_, path, _) in sources() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!DRAWERS.contains(&name.as_str()), "{} is a drawer", path.display());
    }
}

#[test]
fn the_reader_of_imports_sees_what_it_must() {
    let code = "use crate::{model::{A, B}, plan};\nuse crate::report::Format;\nfn f() { crate::decode::x(); other_crate::cli(); }";
    assert_eq!(after(code, "crate::"), ["model", "plan", "report", "decode"]);
    assert_eq!(after("use crate::collect::{Event, Progress as P};", "crate::collect::"), ["Event", "Progress"]);
}
