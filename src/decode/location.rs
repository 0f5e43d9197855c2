//! From whatever path the compiler was given to a location that is equal across machines and builds.
//!
//! `file` on the wire is rustc's own idea of a path: relative for local crates, absolute below
//! `$CARGO_HOME` for dependencies, `/rustc/<hash>/library/…` for the standard library, with backslashes from Windows.

use crate::model::{Origin, SpawnLocation};

/// Normalizes a path and says whose code it is. Applied to its own result it changes nothing.
#[must_use]
pub fn normalize(file: &str, line: u32, column: u32) -> SpawnLocation {
    let file = file.replace('\\', "/");
    let (origin, file) = split_origin(&file);
    SpawnLocation { origin, file: file.to_owned(), line, column }
}

fn split_origin(file: &str) -> (Origin, &str) {
    if let Some(inside) = below_registry(file).or_else(|| below_vendor(file))
        && let Some((krate, version, path)) = crate_directory(inside)
    {
        return (dependency(krate, version), path);
    }
    if let Some(inside) = after(file, "/git/checkouts/") {
        // <repository>-<16 hex>/<revision>/path
        let mut parts = inside.splitn(3, '/');
        if let (Some(repository), Some(revision), Some(path)) = (parts.next(), parts.next(), parts.next()) {
            let name = repository.rsplit_once('-').map_or(repository, |(name, _)| name);
            return (dependency(name, revision), path);
        }
    }
    if let Some(path) = standard_library(file) {
        return (Origin::Std, path);
    }
    (Origin::App, application(file))
}

fn dependency(krate: &str, version: &str) -> Origin {
    if krate == "tokio" {
        Origin::Runtime { version: version.to_owned() }
    } else {
        Origin::Dependency { krate: krate.to_owned(), version: version.to_owned() }
    }
}

fn after<'a>(file: &'a str, marker: &str) -> Option<&'a str> {
    let relative = marker.trim_start_matches('/');
    file.find(marker).map(|at| &file[at + marker.len()..]).or_else(|| file.strip_prefix(relative))
}

/// What follows `registry/src/<index>/`.
fn below_registry(file: &str) -> Option<&str> {
    after(file, "/registry/src/")?.split_once('/').map(|(_, inside)| inside)
}

/// What follows `vendor/`, where `cargo vendor --versioned-dirs` puts crates.
fn below_vendor(file: &str) -> Option<&str> {
    after(file, "/vendor/")
}

/// Splits `hyper-util-0.1.2/src/x.rs` into name, version and path.
fn crate_directory(inside: &str) -> Option<(&str, &str, &str)> {
    let (directory, path) = inside.split_once('/')?;
    let version_at = directory
        .char_indices()
        .filter(|(at, c)| *c == '-' && directory[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
        .find(|(at, _)| directory[at + 1..].split('.').count() >= 3)?
        .0;
    (version_at > 0).then(|| (&directory[..version_at], &directory[version_at + 1..], path))
}

fn standard_library(file: &str) -> Option<&str> {
    if let Some(inside) = file.strip_prefix("/rustc/") {
        return inside.split_once("/library/").map(|(_, path)| path);
    }
    file.find("/lib/rustlib/src/rust/library/").map(|at| &file[at + "/lib/rustlib/src/rust/library/".len()..])
}

/// An application's path from its checkout on: relative ones as they are; of absolute ones, what the build
/// machine's directories leave. `…/crates/net/src/x.rs` keeps `crates/net/src/x.rs`; otherwise the
/// directory of the crate and what is below it are kept, so that two crates of a workspace stay apart.
fn application(file: &str) -> &str {
    let is_drive = file.as_bytes().get(1) == Some(&b':');
    if !file.starts_with('/') && !is_drive {
        return file.trim_start_matches("./");
    }
    for workspace in ["/crates/", "/packages/", "/libs/", "/services/", "/apps/"] {
        if let Some(at) = file.rfind(workspace) {
            return &file[at + 1..];
        }
    }
    let crate_root = ["/src/", "/tests/", "/examples/", "/benches/"].iter().filter_map(|kind| file.rfind(kind)).max();
    match crate_root {
        Some(at) => &file[file[..at].rfind('/').map_or(0, |slash| slash + 1)..],
        None => file.rsplit('/').next().unwrap_or(file),
    }
}
