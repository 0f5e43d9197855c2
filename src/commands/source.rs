//! `--source`: the lines of a local checkout at the places that a report names, with `git blame` on request.
//!
//! The paths come from targets: nothing outside of the checkout is read, whatever they say.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::emit::note;
use crate::cli::ReportArgs;
use crate::diagnose::{Diagnosis, Hotspot, Subject};
use crate::model::{Blame, Code, CodeLine, Origin, Service, SpawnLocation, Trouble};

/// Largest source file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// Longest line that is shown, in characters.
const MAX_LINE: usize = 160;

/// Most files of a checkout that are looked through, and its deepest directory.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 32;

/// Most lines whose author is looked up: each asks git.
const MAX_BLAMES: usize = 100;

/// What no source of an application is in.
const LEFT_OUT: &[&str] = &["target", "node_modules"];

/// A checkout of the application's code.
pub(super) struct Checkout {
    /// Without links.
    root: PathBuf,
    /// The way to it from the root of its repository.
    prefix: PathBuf,
    blame: bool,
    /// Rust files by their name, each relative to the root; read when a path does not lead to a file by itself.
    index: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
}

impl Checkout {
    /// The checkout that was named, if any. Whatever is wrong with it is said here.
    pub(super) fn of(args: &ReportArgs) -> anyhow::Result<Option<Self>> {
        Self::named(args.source.as_deref(), args.blame)
    }

    /// As [`Checkout::of`].
    pub(super) fn named(named: Option<&Path>, blame: bool) -> anyhow::Result<Option<Self>> {
        let Some(named) = named else { return Ok(None) };
        let root = fs::canonicalize(named).with_context(|| format!("`--source {}`", named.display()))?;
        if !root.is_dir() {
            bail!("`--source {}` is no directory; name the root of the checkout", named.display());
        }
        let repository = root.ancestors().find(|directory| directory.join(".git").exists());
        if blame && repository.is_none() {
            bail!("`--blame` needs a git repository, and `{}` is in none", named.display());
        }
        let prefix = repository.and_then(|top| root.strip_prefix(top).ok()).unwrap_or(Path::new("")).to_owned();
        Ok(Some(Self { root, prefix, blame, index: OnceCell::new() }))
    }

    /// Adds to the report the lines of the checkout, if one was named.
    pub(super) fn show(checkout: Option<&Self>, diagnosis: &mut Diagnosis) {
        if let Some(checkout) = checkout {
            diagnosis.code = checkout.read(diagnosis);
        }
    }

    /// Reads the line of every place of the application's code that the report names.
    fn read(&self, diagnosis: &Diagnosis) -> Code {
        let mut code = Code::default();
        let mut file: Option<(PathBuf, Result<String, Trouble>)> = None;
        let blamed: BTreeSet<_> = diagnosis.hotspots.iter().filter_map(place).take(MAX_BLAMES).collect();
        let mut complained = false;
        for (service, location) in places(diagnosis) {
            let mut line = CodeLine::default();
            match self.find(service, location) {
                Err(trouble) => line.trouble = Some(trouble),
                Ok(path) => {
                    if file.as_ref().is_none_or(|(known, _)| *known != path) {
                        file = Some((path.clone(), self.text(&path)));
                    }
                    match file.as_ref().map(|(_, text)| text) {
                        Some(Ok(text)) => take(text, location, &mut line),
                        Some(Err(trouble)) => line.trouble = Some(trouble.clone()),
                        None => {}
                    }
                    if self.blame && line.text.is_some() && blamed.contains(&(service, location)) {
                        match self.blame(&path, location.line) {
                            Ok(blame) => line.blame = Some(blame),
                            Err(error) if !complained => {
                                note(&format!("no author of a line can be told: {error:#}"));
                                complained = true;
                            }
                            Err(_) => {}
                        }
                    }
                    line.path = Some(self.prefix.join(&path).to_string_lossy().into_owned());
                }
            }
            code.insert(service.clone(), location.clone(), line);
        }
        code
    }

    /// The file that a location means, relative to the root.
    fn find(&self, service: &Service, location: &SpawnLocation) -> Result<PathBuf, Trouble> {
        let wanted = Path::new(&location.file);
        let is_within = |file: &str| !file.is_empty() && !file.contains('\0');
        if !is_within(&location.file) || !wanted.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Trouble::Outside);
        }
        if fs::symlink_metadata(self.root.join(wanted)).is_ok() {
            return Ok(wanted.to_owned());
        }
        let name = wanted.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = self.index().get(&name).map_or(&[][..], Vec::as_slice);
        let ending: Vec<_> = named.iter().filter(|path| path.ends_with(wanted)).collect();
        match ending[..] {
            [only] => Ok(only.clone()),
            [] => self.below_its_own_name(wanted),
            // The directory that is called like the service.
            _ => {
                let is_of_service = |path: &&&PathBuf| path.iter().any(|part| part.to_str() == Some(&service.0));
                let mut of_service = ending.iter().filter(is_of_service);
                match (of_service.next(), of_service.next()) {
                    (Some(only), None) => Ok((*only).clone()),
                    _ => Err(Trouble::Several(ending.len())),
                }
            }
        }
    }

    /// `relay/src/main.rs`, where the checkout is the directory `relay`.
    fn below_its_own_name(&self, wanted: &Path) -> Result<PathBuf, Trouble> {
        let mut parts = wanted.components();
        while let Some(part) = parts.next() {
            let rest = parts.as_path();
            let is_here = self.root.file_name() == Some(part.as_os_str()) && rest.components().count() > 0;
            if is_here && fs::symlink_metadata(self.root.join(rest)).is_ok() {
                return Ok(rest.to_owned());
            }
        }
        Err(Trouble::NoFile)
    }

    fn index(&self) -> &BTreeMap<String, Vec<PathBuf>> {
        self.index.get_or_init(|| {
            let mut index: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            let mut left = MAX_FILES;
            self.walk(Path::new(""), 0, &mut left, &mut index);
            if left == 0 {
                note(&format!("`--source`: only {MAX_FILES} files were looked through; name a directory below"));
            }
            // The order of a directory is nobody's.
            index.values_mut().for_each(|paths| paths.sort());
            index
        })
    }

    fn walk(&self, below: &Path, depth: usize, left: &mut usize, index: &mut BTreeMap<String, Vec<PathBuf>>) {
        let Ok(entries) = fs::read_dir(self.root.join(below)) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Links are not followed: they can lead anywhere.
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') || *left == 0 {
                continue;
            }
            if kind.is_dir() && depth < MAX_DEPTH && !LEFT_OUT.contains(&name.as_str()) {
                self.walk(&below.join(&name), depth + 1, left, index);
            } else if kind.is_file() {
                *left -= 1;
                if Path::new(&name).extension().is_some_and(|ending| ending == "rs") {
                    index.entry(name.clone()).or_default().push(below.join(&name));
                }
            }
        }
    }

    fn text(&self, path: &Path) -> Result<String, Trouble> {
        let unreadable = |error: std::io::Error| Trouble::Unreadable(error.to_string());
        let whole = fs::canonicalize(self.root.join(path)).map_err(unreadable)?;
        if !whole.starts_with(&self.root) {
            return Err(Trouble::Outside);
        }
        let metadata = fs::metadata(&whole).map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(Trouble::Unreadable("it is no file of a usual size".to_owned()));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(&whole).map_err(unreadable)?;
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn blame(&self, path: &Path, line: u32) -> anyhow::Result<Blame> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.root)
            .args(["-c", "core.fsmonitor=false", "--no-pager", "blame", "--porcelain"])
            .arg(format!("-L{line},{line}"))
            .arg("--")
            .arg(path)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .output()
            .context("cannot run `git`")?;
        let told =
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().escape_debug().to_string();
        if !output.status.success() {
            bail!("`git blame` says: {told}");
        }
        blamed(&String::from_utf8_lossy(&output.stdout)).context("`git blame` said nothing that is understood")
    }
}

/// Reads `git blame --porcelain` of one line.
fn blamed(text: &str) -> Option<Blame> {
    let commit = text.split_whitespace().next().filter(|id| id.len() >= 10 && id.is_ascii())?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let time = jiff::Timestamp::from_second(field("author-time")?.parse().ok()?).ok()?;
    Some(Blame {
        commit: commit[..10].to_owned(),
        date: time.strftime("%Y-%m-%d").to_string(),
        author: field("author")?.chars().take(100).collect(),
    })
}

/// Every place of the application's own code in the report.
fn places(diagnosis: &Diagnosis) -> BTreeSet<(&Service, &SpawnLocation)> {
    let hotspots = diagnosis.hotspots.iter().filter_map(place);
    let aside = diagnosis.set_aside.iter().filter_map(|part| at(&part.subject));
    let sites = diagnosis.sites.iter().map(|report| (&report.site.service, report.site.site.location.as_ref()));
    let waits = diagnosis.waits.iter().map(|wait| (&wait.service, wait.location.as_ref()));
    let rest = sites.chain(waits).filter_map(|(service, location)| Some((service, location?)));
    hotspots.chain(aside).chain(rest).filter(|(_, location)| location.origin == Origin::App).collect()
}

fn place(hotspot: &Hotspot) -> Option<(&Service, &SpawnLocation)> {
    at(&hotspot.subject)
}

fn at(subject: &Subject) -> Option<(&Service, &SpawnLocation)> {
    Some((subject.service(), subject.location()?))
}

/// Takes the line of a location out of its file.
fn take(text: &str, location: &SpawnLocation, into: &mut CodeLine) {
    // The target did not say which line.
    let Some(index) = (location.line as usize).checked_sub(1) else { return };
    let Some(line) = text.lines().nth(index) else {
        into.trouble = Some(Trouble::PastEnd { lines: text.lines().count() });
        return;
    };
    if !can_call(line, location.column) {
        into.trouble = Some(Trouble::NotACall);
    }
    let trimmed = line.trim().replace('\t', " ");
    let mut shown: String = trimmed.chars().take(MAX_LINE).collect();
    if trimmed.chars().nth(MAX_LINE).is_some() {
        shown.push('…');
    }
    into.text = Some(shown);
}

/// Whether a call can begin at this column, counted in characters from 1: not in a comment, nor beside the code.
fn can_call(line: &str, column: u32) -> bool {
    let code = line.trim_start();
    if code.is_empty() || code.starts_with("//") {
        return false;
    }
    let Some(index) = (column as usize).checked_sub(1) else { return true };
    line.chars().nth(index).is_some_and(|c| !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::normalize;

    fn checkout(files: &[(&str, &str)]) -> (tempfile::TempDir, Checkout) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("relay");
        fs::create_dir(&root).unwrap();
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let checkout = Checkout::named(Some(&root), false).unwrap().unwrap();
        (directory, checkout)
    }

    fn found(checkout: &Checkout, service: &str, file: &str) -> Result<String, &'static str> {
        let location = SpawnLocation { origin: Origin::App, file: file.to_owned(), line: 1, column: 1 };
        let found = checkout.find(&Service(service.to_owned()), &location);
        let text = found.and_then(|path| checkout.text(&path));
        text.map_err(|trouble| trouble.kind())
    }

    #[test]
    fn locations_lead_to_files_of_the_checkout() {
        let (_directory, checkout) = checkout(&[
            ("src/main.rs", "root"),
            ("services/web/src/api.rs", "web"),
            ("services/jobs/src/api.rs", "jobs"),
            ("crates/net/src/net.rs", "net"),
            ("target/debug/build/out.rs", "built"),
        ]);
        let found = |service, file| found(&checkout, service, file);
        assert_eq!(found("", "src/main.rs").as_deref(), Ok("root"));
        assert_eq!(found("", "relay/src/main.rs").as_deref(), Ok("root"), "the checkout is the crate");
        assert_eq!(found("", "src/net.rs").as_deref(), Ok("net"), "only one ends so");
        assert_eq!(found("", "src/api.rs"), Err("several-files"));
        assert_eq!(found("jobs", "src/api.rs").as_deref(), Ok("jobs"), "the service tells which");
        assert_eq!(found("", "web/src/api.rs").as_deref(), Ok("web"));
        for missing in ["src/gone.rs", "pi.rs", "other/src/main.rs", "out.rs"] {
            assert_eq!(found("", missing), Err("no-file"), "{missing}");
        }
        let windows = normalize("C:\\build\\services\\web\\src\\api.rs", 1, 1);
        assert_eq!(found("", &windows.file).as_deref(), Ok("web"));
    }

    #[test]
    fn nothing_outside_of_the_checkout_is_read() {
        let (directory, checkout) = checkout(&[("src/main.rs", "root")]);
        let secret = directory.path().join("secret.rs");
        fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, checkout.root.join("src/link.rs")).unwrap();
        std::os::unix::fs::symlink(directory.path(), checkout.root.join("up")).unwrap();
        let fifo = checkout.root.join("src");
        for path in ["../secret.rs", "src/../../secret.rs", "/etc/passwd", "src/link.rs", "up/secret.rs", "", "a\0b"] {
            let refused = found(&checkout, "", path).unwrap_err();
            assert!(["outside", "no-file"].contains(&refused), "{path:?}: {refused}");
        }
        assert_eq!(found(&checkout, "", "src/link.rs"), Err("outside"));
        assert_eq!(found(&checkout, "", "secret.rs"), Err("no-file"), "links are not looked through");
        assert_eq!(found(&checkout, "", "src"), Err("unreadable"), "{} is a directory", fifo.display());
    }

    #[test]
    fn a_line_is_shown_and_what_cannot_be_it_is_said() {
        let text = format!("fn main() {{\n\n    // a remark\n    tokio::spawn(run());\n\t{}\n}}\n", "x".repeat(300));
        let taken = |line, column| {
            let location = SpawnLocation { origin: Origin::App, file: "src/main.rs".into(), line, column };
            let mut into = CodeLine::default();
            take(&text, &location, &mut into);
            (into.text, into.trouble.map(|trouble| trouble.kind()))
        };
        assert_eq!(taken(4, 5), (Some("tokio::spawn(run());".to_owned()), None));
        assert_eq!(taken(4, 0).1, None, "the column is not known");
        for (line, column) in [(2, 1), (3, 8), (4, 2), (4, 90)] {
            assert_eq!(taken(line, column).1, Some("not-a-call"), "{line}:{column}");
        }
        assert_eq!(taken(7, 1), (None, Some("past-end")));
        assert_eq!(taken(0, 0), (None, None));
        let long = taken(5, 2).0.unwrap();
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_LINE + 1, true));
    }

    #[test]
    fn the_words_of_git_are_read() {
        let text = "4d0c4e15a1f0b7c2d3e4f5061728394a5b6c7d8e 4 4 1\nauthor A. N. Author\nauthor-mail <a@b>\n\
                    author-time 1764028800\nauthor-tz +0100\nsummary x\nfilename src/main.rs\n\ttokio::spawn(run());\n";
        let blame = blamed(text).unwrap();
        assert_eq!(blame.to_string(), "4d0c4e15a1 2025-11-25 A. N. Author");
        assert_eq!(blamed("fatal: no such path"), None);
    }
}
