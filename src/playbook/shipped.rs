//! The playbooks that come with the program.

use std::path::Path;
use std::sync::LazyLock;

use super::{Playbook, Rule, load};

/// The playbook that is used when none is named.
const DEFAULT: &str = "default.yaml";

/// Where a file stands in the repository, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../../playbooks/", $path)))),+] };
}

/// The catalogue: every rule stands in one of these, once.
const RULES: &[File] = files![
    "rules/lints.yaml",
    "rules/polls.yaml",
    "rules/tasks.yaml",
    "rules/locks.yaml",
    "rules/process.yaml",
    "rules/surroundings.yaml"
];

/// Playbooks that use the catalogue.
const PLAYBOOKS: &[File] = files![
    "default.yaml",
    "server-hang.yaml",
    "stuck-running.yaml",
    "lost-wakers.yaml",
    "high-poll-count.yaml",
    "performance.yaml",
    "contention.yaml",
    "task-count.yaml",
    "tokio-console.yaml",
    "pre-deploy.yaml",
    "sweep.yaml"
];

static CATALOGUE: LazyLock<Vec<Rule>> = LazyLock::new(|| RULES.iter().flat_map(|file| read(file, &[]).rules).collect());

static SHIPPED: LazyLock<Vec<Playbook>> =
    LazyLock::new(|| PLAYBOOKS.iter().map(|file| read(file, &CATALOGUE)).collect());

/// Every rule that comes with the program, by id.
#[must_use]
pub fn catalogue() -> &'static [Rule] {
    &CATALOGUE
}

/// Every playbook that comes with the program.
#[must_use]
pub fn shipped() -> &'static [Playbook] {
    &SHIPPED
}

/// The file of the playbook `name`, where one comes with the program.
#[must_use]
pub fn shipped_text(name: &str) -> Option<&'static str> {
    let index = SHIPPED.iter().position(|playbook| playbook.name == name)?;
    PLAYBOOKS.get(index).map(|(_, text)| *text)
}

/// The default playbook.
#[must_use]
pub fn built_in() -> Playbook {
    PLAYBOOKS.iter().find(|(path, _)| *path == DEFAULT).map(|file| read(file, &CATALOGUE)).unwrap_or_default()
}

/// A test rules out that this panics.
#[allow(clippy::panic)]
fn read((path, text): &File, catalogue: &[Rule]) -> Playbook {
    load(Path::new(path), text, catalogue)
        .unwrap_or_else(|complaints| panic!("a built-in playbook is wrong: {complaints}"))
}
