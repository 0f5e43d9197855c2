//! Files that were made to hurt: a clear error or no effect, within bounds.

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetdiag::capture::{Capture, CaptureError, End, Limits, Writer, merge};
use fleetdiag::model::Outcome;
use proptest::prelude::*;

use super::{content, entries, failed, message_of, open, run, write, zip_with};

pub fn read_entry(path: &Path, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn entries_with_other_names_lead_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["!relay-1"]);
    let hostile = directory.path().join("hostile.fdcap");
    let (manifest, outcome) = (read_entry(&good, "manifest.json"), read_entry(&good, "targets/00000/outcome.json"));
    let outside =
        ["../../outside", "/outside", "targets/../../outside", "C:\\outside", "targets/00000/../00001/outcome.json"];
    let mut entries: Vec<(&str, &[u8])> = outside.map(|name| (name, &b"x"[..])).into();
    entries.extend([
        ("manifest.json", &manifest[..]),
        ("targets/00000/outcome.json", &outcome),
        ("end.json", b"{\"interrupted\": false}"),
    ]);
    zip_with(&hostile, &entries);
    assert_eq!(content(&hostile), content(&good));
    let merged = merge(vec![open(&hostile).unwrap()], &directory.path().join("merged.fdcap")).unwrap();
    let archive = zip::ZipArchive::new(fs::File::open(merged).unwrap()).unwrap();
    assert!(archive.file_names().all(|name| !name.unwrap().contains("outside")), "nothing of it is carried on");
}

#[test]
fn an_entry_that_stands_twice_is_held_to_the_same_rules() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["!relay-1"]);
    let twice = directory.path().join("twice.fdcap");
    let manifest = read_entry(&good, "manifest.json");
    for other in [&b"{}"[..], b"not even JSON"] {
        zip_with(&twice, &[("manifest.json", &manifest), ("manifest.jsom", other)]);
        let bytes = fs::read(&twice).unwrap();
        let mut renamed = bytes.clone();
        for at in 0..bytes.len() - 13 {
            if bytes[at..].starts_with(b"manifest.jsom") {
                renamed[at..at + 13].copy_from_slice(b"manifest.json");
            }
        }
        fs::write(&twice, renamed).unwrap();
        if let Err(error) = open(&twice) {
            assert!(error.to_string().contains("twice.fdcap"), "{error}");
        }
    }
}

#[test]
fn more_targets_than_the_limit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory.path().join("a.fdcap"), &["!relay-1", "!relay-2", "!relay-3"]);
    let limits = Limits { targets: 2, ..Limits::default() };
    assert!(matches!(Capture::open(&path, limits), Err(CaptureError::TooLarge { limit: 2, .. })));
}

#[test]
fn targets_out_of_order_or_twice_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["!relay-1", "!relay-2"]);
    let manifest = String::from_utf8(read_entry(&good, "manifest.json")).unwrap();
    let path = directory.path().join("b.fdcap");
    for name in ["relay-1", "relay-0"] {
        zip_with(&path, &[("manifest.json", manifest.replace("relay-2", name).as_bytes())]);
        assert!(message_of(&path).contains("not in order, or one is there twice"), "{}", message_of(&path));
    }
}

#[test]
fn outcomes_are_small_one_by_one_and_together() {
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<_> = (10..60).map(|number| format!("relay-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut writer = Writer::create(&directory.path().join("a.fdcap"), &run(&names)).unwrap();
    let Outcome::Failed(mut failure) = failed() else { panic!() };
    failure.detail = "x".repeat(10_000);
    (0..names.len()).for_each(|index| writer.finish_target(index, None, &Outcome::Failed(failure.clone())).unwrap());
    let path = writer.finish(End { interrupted: false }).unwrap();
    assert_eq!(open(&path).unwrap().targets().len(), 50);
    let together = Limits { all_json_bytes: 400_000, ..Limits::default() };
    assert!(matches!(Capture::open(&path, together), Err(CaptureError::TooLarge { limit: 400_000, .. })));
    let each = Limits { json_bytes: 9_000, ..Limits::default() };
    assert!(matches!(Capture::open(&path, each), Err(CaptureError::TooLarge { limit: 9_000, .. })));
}

/// `fleetdiag analyze` in so much memory: its exit code, and what it says.
fn analyze_within(kibibytes: u32, path: &Path) -> (Option<i32>, String) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -v {kibibytes}; exec \"$0\" analyze \"$1\""), env!("CARGO_BIN_EXE_fleetdiag")])
        .arg(path);
    let output = shell.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_bomb_is_refused_by_the_program_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["relay-1"]);
    let bomb = directory.path().join("bomb.fdcap");
    zip_with(&bomb, &[("manifest.json", &vec![b' '; 100 << 20])]);
    let (code, said) = analyze_within(1 << 20, &bomb);
    assert!(code == Some(2) && said.contains("manifest.json is larger than the limit"), "{code:?} {said}");

    // A record that claims a terabyte, and one that brings more than a message may have.
    let manifest = read_entry(&good, "manifest.json");
    let outcome = read_entry(&good, "targets/00000/outcome.json");
    let mut claim = vec![0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    claim.resize(1 << 20, 0);
    let entries = [
        ("manifest.json", &manifest[..]),
        ("targets/00000/evidence.pb", &claim),
        ("targets/00000/outcome.json", &outcome),
    ];
    zip_with(&bomb, &entries);
    let (code, said) = analyze_within(1 << 20, &bomb);
    assert!(code == Some(2) && said.contains("evidence.pb is larger than the limit"), "{code:?} {said}");
}

/// Bytes of the real inputs of one entry point.
fn seeds(of: &str) -> Vec<Vec<u8>> {
    let evidence = |name: &str| {
        let mut capture = open(Path::new(name)).unwrap();
        let index = capture.targets().position(|(_, outcome)| matches!(outcome, Outcome::Observed(_))).unwrap();
        let frames: Vec<_> = capture.frames(index).unwrap().map(|frame| frame.unwrap().bytes.to_vec()).collect();
        frames
    };
    let kept: Vec<_> = fs::read_dir("tests/fixtures/captures").unwrap().map(|entry| entry.unwrap().path()).collect();
    match of {
        "capture" => kept.iter().map(|path| fs::read(path).unwrap()).collect(),
        "stream" => kept.iter().map(|path| evidence(path.to_str().unwrap()).join(entries::BETWEEN)).collect(),
        "inventory" => ["yaml.yaml", "json.json", "ini/hosts", "priority.yaml"]
            .map(|name| fs::read(Path::new("tests/inventories").join(name)).unwrap())
            .into(),
        "server" => vec![process_facts()],
        _ => vec![fs::read("playbooks/default.yaml").unwrap()],
    }
}

/// What the script for processes prints about one of this machine.
fn process_facts() -> Vec<u8> {
    let script = "src/collect/scripts/process.sh";
    Command::new("sh").args([script, "pid", "1", "0"]).output().unwrap().stdout
}

/// A few bytes changed, doubled or cut out, here and there.
fn spoiled() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 0..12)
}

fn spoil(bytes: &[u8], how: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, way, value) in how {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match way {
            0 => bytes[at] = *value,
            1 => bytes[at] ^= 1 << (value % 8),
            2 => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + usize::from(*value));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]
    #[test]
    fn no_entry_point_panics_on_what_is_nearly_right(which in 0..6usize, seed: prop::sample::Index, how in spoiled()) {
        type Entry = (&'static str, fn(&[u8]));
        const ENTRIES: [Entry; 6] = [
            ("stream", entries::updates), ("stream", entries::details), ("capture", entries::capture),
            ("inventory", entries::inventory), ("playbook", entries::playbook), ("server", entries::server),
        ];
        let (of, entry) = ENTRIES[which];
        let seeds = seeds(of);
        entry(&spoil(&seeds[seed.index(seeds.len())], &how));
    }

    #[test]
    fn no_entry_point_panics_on_anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for entry in
            [entries::updates, entries::details, entries::capture, entries::inventory, entries::playbook, entries::server]
        {
            entry(&bytes);
        }
    }
}

/// Few in a test run; `tests/fuzz.sh` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}
