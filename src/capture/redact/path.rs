//! Which part of a source path is about the code, and which about the machine that built it.

use std::sync::LazyLock;

use regex::Regex;

/// What of a path stays.
pub(super) struct Kept<'a> {
    /// Where it begins; what is before it is the machine's.
    pub from: usize,
    /// A directory in it that names a registry or a build of the compiler, and what stands before it.
    pub hash: Option<(&'static str, &'a str)>,
}

/// Below these come crates, each in a directory of its own, or the standard library.
const KNOWN: [&str; 4] = ["/registry/src/", "/git/checkouts/", "/lib/rustlib/src/rust/library/", "/vendor/"];
const WORKSPACES: [&str; 5] = ["/crates/", "/packages/", "/libs/", "/services/", "/apps/"];
const CRATE_ROOTS: [&str; 4] = ["/src/", "/tests/", "/examples/", "/benches/"];

static CRATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|/)[^/]+-\d[^/.]*\.\d[^/.]*\.\d[^/]*/(?:src|tests|examples|benches)/").ok());

/// Nothing for what is no Rust source file.
pub(super) fn kept(file: &str) -> Option<Kept<'_>> {
    if !file.ends_with(".rs") {
        return None;
    }
    for (before, below) in [("registry/src/", ""), ("rustc/", "library/")] {
        let Some(at) = begin(file, before) else { continue };
        let inside = &file[at + before.len()..];
        if let Some((name, rest)) = inside.split_once('/')
            && rest.starts_with(below)
        {
            return Some(Kept { from: at.saturating_sub(1), hash: Some((before, name)) });
        }
    }
    Some(Kept { from: without_hash(file), hash: None })
}

/// Where a directory begins that stands at the front or behind a slash.
fn begin(file: &str, directory: &str) -> Option<usize> {
    if file.starts_with(directory) {
        return Some(0);
    }
    file.find(&format!("/{directory}")).map(|at| at + 1)
}

fn without_hash(file: &str) -> usize {
    // A path that climbs leads to wherever its machine has the code.
    let above = file.rfind("../").map(|up| up + 2);
    let is_absolute = file.starts_with('/') || file.as_bytes().get(1) == Some(&b':');
    if !is_absolute && above.is_none() {
        return 0;
    }
    below_machine(file).max(above.unwrap_or(0))
}

fn below_machine(file: &str) -> usize {
    if let Some(at) = KNOWN.iter().find_map(|known| file.find(known)) {
        return at;
    }
    if let Some(found) = CRATE.as_ref().and_then(|form| form.find(file)) {
        return found.start();
    }
    if let Some(at) = WORKSPACES.iter().find_map(|workspace| file.find(workspace)) {
        return at;
    }
    let above = CRATE_ROOTS.iter().filter_map(|root| file.rfind(root)).max();
    file[..above.unwrap_or(file.len())].rfind('/').unwrap_or(0)
}

/// The user in whose home the path is.
pub(super) fn user(file: &str) -> Option<&str> {
    let mut parts = file.split('/');
    parts.find(|part| matches!(*part, "home" | "Users"))?;
    parts.next()
}

/// Directories that every program has.
pub(super) fn is_structure(part: &str) -> bool {
    const NAMES: [&str; 16] = [
        "src",
        "tests",
        "examples",
        "benches",
        "crates",
        "packages",
        "libs",
        "services",
        "apps",
        "registry",
        "git",
        "checkouts",
        "vendor",
        "rustc",
        "library",
        "lib",
    ];
    NAMES.contains(&part)
}
