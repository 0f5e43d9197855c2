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
    if let Some((krate, version, path)) = after(file, "/registry/src/").and_then(|inside| below_index(inside)) {
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
    if let Some((krate, version, path)) = after(file, "/vendor/").and_then(vendored).or_else(|| remapped(file)) {
        return (dependency(krate, version), path);
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

/// What is below `registry/src/`: the index, with a hash that differs between versions of cargo, then the crate.
fn below_index(inside: &str) -> Option<(&str, &str, &str)> {
    crate_directory(inside.split_once('/')?.1)
}

/// Below `vendor/` stands the crate, with its version only where two versions of it are needed, or all are asked for.
fn vendored(inside: &str) -> Option<(&str, &str, &str)> {
    let (krate, path) = inside.split_once('/')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let bare = || (!krate.is_empty() && krate.chars().all(is_name) && in_crate(path)).then_some((krate, "", path));
    crate_directory(inside).or_else(bare)
}

/// `--remap-path-prefix` and trimmed paths leave `<crate>-<version>/src/…`, with or without something in front.
fn remapped(file: &str) -> Option<(&str, &str, &str)> {
    let places = std::iter::once(0).chain(file.match_indices('/').map(|(at, _)| at + 1));
    let (krate, version, path) =
        places.filter_map(|at| crate_directory(&file[at..])).find(|(_, _, path)| in_crate(path))?;
    // Bazel puts the name of a repository in front: `external/crates__tokio-1.54.1/src/…`.
    let is_external = after(file, "/external/").is_some();
    let krate = krate.rsplit("__").next().filter(|_| is_external).unwrap_or(krate);
    (!krate.is_empty()).then_some((krate, version, path))
}

/// Whether a path looks like one inside a crate.
fn in_crate(path: &str) -> bool {
    ["src/", "tests/", "examples/", "benches/"].iter().any(|kind| path.starts_with(kind))
}

/// Splits `hyper-util-0.1.2/src/x.rs` into name, version and path.
fn crate_directory(inside: &str) -> Option<(&str, &str, &str)> {
    let (directory, path) = inside.split_once('/')?;
    let is_version = |text: &str| {
        let mut numbers = text.splitn(3, '.');
        let mut is_number = || numbers.next().is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        is_number() && is_number() && is_number()
    };
    let (at, _) = directory.match_indices('-').find(|(at, _)| is_version(&directory[at + 1..]))?;
    (at > 0).then(|| (&directory[..at], &directory[at + 1..], path))
}

fn standard_library(file: &str) -> Option<&str> {
    if let Some(inside) = after(file, "/rustc/") {
        return inside.split_once("/library/").map(|(_, path)| path);
    }
    after(file, "/lib/rustlib/src/rust/library/")
}

/// An application's path from its checkout on: relative ones as they are; of absolute ones, what the build
/// machine's directories leave. `…/crates/net/src/x.rs` keeps `crates/net/src/x.rs`; otherwise the
/// directory of the crate and what is below it are kept, so that two crates of a workspace stay apart.
fn application(file: &str) -> &str {
    let is_drive = file.as_bytes().get(1) == Some(&b':');
    if !file.starts_with('/') && !is_drive {
        let mut file = file;
        while let Some(inside) = file.strip_prefix("./") {
            file = inside.trim_start_matches('/');
        }
        return file;
    }
    for workspace in ["/crates/", "/packages/", "/libs/", "/services/", "/apps/"] {
        if let Some(at) = file.find(workspace) {
            return &file[at + 1..];
        }
    }
    let crate_root = ["/src/", "/tests/", "/examples/", "/benches/"].iter().filter_map(|kind| file.rfind(kind)).max();
    match crate_root {
        Some(at) => &file[file[..at].rfind('/').map_or(0, |slash| slash + 1)..],
        None => file.rsplit('/').next().unwrap_or(file),
    }
}

#[cfg(test)]
mod tests {
    use super::normalize;
    use crate::model::Origin;
    use proptest::prelude::*;

    #[test]
    fn whose_code_it_is() {
        let cases = [
            ("/app/vendor/serde/src/lib.rs", "serde/src/lib.rs"),
            ("/app/vendor/hyper-util-0.1.2/src/rt.rs", "hyper-util-0.1.2/src/rt.rs"),
            ("vendor/tokio/src/task/spawn.rs", "tokio/src/task/spawn.rs"),
            ("/remapped/hyper-util-0.1.2/src/rt.rs", "hyper-util-0.1.2/src/rt.rs"),
            ("tokio-1.54.1/src/task/spawn.rs", "tokio-1.54.1/src/task/spawn.rs"),
            ("/deps/h2-0.4.0-alpha.1/src/client.rs", "h2-0.4.0-alpha.1/src/client.rs"),
            ("./src/main.rs", "src/main.rs"),
            ("D:\\mono\\services\\relay\\src\\net.rs", "services/relay/src/net.rs"),
            ("/src/crates/net/src/crates/x.rs", "crates/net/src/crates/x.rs"),
            ("/release-1.2.3/relay.rs", "relay.rs"),
            ("external/crates__hyper-util-0.1.2/src/rt.rs", "hyper-util-0.1.2/src/rt.rs"),
            ("/x/external/rules_rust++crate+crates__tokio-1.54.1/src/task/spawn.rs", "tokio-1.54.1/src/task/spawn.rs"),
            (
                "/root/.rustup/toolchains/stable-x86_64/lib/rustlib/src/rust/library/std/src/thread.rs",
                "std/std/src/thread.rs",
            ),
            ("C:\\rustc\\abc\\library\\core\\src\\x.rs", "std/core/src/x.rs"),
        ];
        for (file, expected) in cases {
            assert_eq!(normalize(file, 0, 0).to_string(), expected, "{file}");
        }
        assert_eq!(normalize("vendor/tokio/src/a.rs", 0, 0).origin, Origin::Runtime { version: String::new() });
    }

    /// Paths of one file as three machines give them to the compiler.
    fn of_three_machines() -> impl Strategy<Value = [String; 3]> {
        let name = "[a-z][a-z0-9_]{0,6}";
        let inside = proptest::collection::vec(name, 1..3).prop_map(|parts| format!("src/{}.rs", parts.join("/")));
        let version = "[0-9]\\.[0-9]{1,2}\\.[0-9](-rc\\.[0-9])?";
        let whose = prop_oneof![
            (name, version).prop_map(|(krate, version)| Whose::Registry(format!("{krate}-{version}"))),
            (name, "[0-9a-f]{7}").prop_map(|(krate, rev)| Whose::Git(format!("{krate}-00ff00ff00ff00ff/{rev}"))),
            name.prop_map(|krate| Whose::Workspace(format!("crates/{krate}"))),
            name.prop_map(Whose::Crate),
            "[0-9a-f]{8}".prop_map(Whose::Std),
        ];
        (whose, inside).prop_map(|(whose, inside)| whose.on_three_machines(&inside))
    }

    #[derive(Clone, Debug)]
    enum Whose {
        Registry(String),
        Git(String),
        Workspace(String),
        Crate(String),
        Std(String),
    }

    impl Whose {
        fn on_three_machines(&self, inside: &str) -> [String; 3] {
            let (linux, mac, windows) = match self {
                Self::Registry(krate) => (
                    format!("/usr/local/cargo/registry/src/index-6f17d22bba15001f/{krate}/{inside}"),
                    format!("/Users/build/.cargo/registry/src/index-1949cf8c6b5b557f/{krate}/{inside}"),
                    format!("C:/Users/build/.cargo/registry/src/github.com-1ecc6299db9ec823/{krate}/{inside}"),
                ),
                Self::Git(checkout) => (
                    format!("/root/.cargo/git/checkouts/{checkout}/{inside}"),
                    format!("/Users/build/.cargo/git/checkouts/{checkout}/{inside}"),
                    format!("D:/cargo/git/checkouts/{checkout}/{inside}"),
                ),
                Self::Workspace(path) | Self::Crate(path) => (
                    format!("/build/{path}/{inside}"),
                    format!("/Users/build/code/{path}/{inside}"),
                    format!("C:/Users/build/{path}/{inside}"),
                ),
                Self::Std(hash) => (
                    format!("/rustc/{hash}/library/{inside}"),
                    format!("/Users/build/.rustup/toolchains/x/lib/rustlib/src/rust/library/{inside}"),
                    format!("C:/Users/build/.rustup/toolchains/x/lib/rustlib/src/rust/library/{inside}"),
                ),
            };
            [linux, mac, windows.replace('/', "\\")]
        }
    }

    proptest! {
        #[test]
        fn one_file_is_one_location_wherever_it_was_built([linux, mac, windows] in of_three_machines()) {
            let expected = normalize(&linux, 7, 5);
            prop_assert_eq!(&normalize(&mac, 7, 5), &expected);
            prop_assert_eq!(&normalize(&windows, 7, 5), &expected);
            let again = normalize(&expected.file, 7, 5);
            prop_assert_eq!(again.file, expected.file);
        }

        #[test]
        fn what_is_normalized_stays_as_it_is(file in "([A-Z]:)?([/\\\\.]{0,2}(src|crates|vendor|registry|git|checkouts|rustc|library|[a-z]-1\\.0\\.0|[a-z]{1,3}|\\PC)){0,8}") {
            let once = normalize(&file, 1, 1);
            // What is left of another's code says no more whose it is.
            if once.origin == Origin::App {
                prop_assert_eq!(normalize(&once.file, 1, 1), once);
            }
        }
    }
}
