//! Reports for programs, each read back by a tool that is not ours. `tests/setup.sh` installs those tools.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod made;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetdiag::diagnose::{Comparison, Diagnosis, Kind, Regression, Verdict, compare};
use fleetdiag::model::{Blame, CodeLine, Trouble};
use fleetdiag::report::{Format, Options, comparison, render};
use made::HOSTILE;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

const FLEET: &str = "tests/fixtures/fleet.fdcap";
const PLAIN: Options = Options { width: 100, color: false, unicode: true, top: None, verbose: false, links: None };

/// What a foreign reader understood of `text`; it fails on what is not of the format.
fn read(kind: &str, text: &str, extra: &[&str]) -> Value {
    let mut reader = Command::new("target/tools/python/bin/python")
        .args(["tests/readers/read.py", kind])
        .args(extra)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/setup.sh installs the readers");
    reader.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "{kind} does not read back:\n{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn analyze(format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetdiag")).args(["analyze", FLEET, "-o", format]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn hostile() -> Diagnosis {
    let mut diagnosis = made::fleet(14, 40, HOSTILE);
    let blame = Blame { commit: HOSTILE.into(), date: HOSTILE.into(), author: HOSTILE.into() };
    let line = CodeLine {
        path: Some(HOSTILE.into()),
        text: Some(HOSTILE.into()),
        trouble: Some(Trouble::Unreadable(HOSTILE.into())),
        blame: Some(blame),
    };
    for site in diagnosis.sites.iter().map(|report| &report.site) {
        if let Some(location) = &site.site.location {
            diagnosis.code.insert(site.service.clone(), location.clone(), line.clone());
        }
    }
    diagnosis
}

fn git(directory: &Path, arguments: &[&str]) {
    let day = "2026-03-01T12:00:00Z";
    let status = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"])
        .args(arguments)
        .envs([("GIT_AUTHOR_DATE", day), ("GIT_COMMITTER_DATE", day), ("GIT_CONFIG_GLOBAL", "/dev/null")])
        .status()
        .expect("tests/setup.sh installs git");
    assert!(status.success(), "{arguments:?}");
}

/// A repository with the program of the recorded fleet below a directory, at the lines at which it was when recorded.
fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("services/relay/src/demo/programs.rs");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut lines = vec![String::new(); 117];
    lines[70] = "        tokio::spawn(subscription()); // <b>&".to_owned();
    lines[111] = "    tokio::spawn(std::future::pending::<()>());".to_owned();
    fs::write(&file, lines.join("\n")).unwrap();
    git(directory.path(), &["init", "-q"]);
    git(directory.path(), &["add", "."]);
    git(directory.path(), &["commit", "-q", "-m", "x"]);
    directory
}

#[test]
fn every_report_shows_the_lines_of_a_checkout() {
    let repository = repository();
    let source = repository.path().join("services");
    let report = |extra: &[&str]| {
        let source = source.to_str().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_fleetdiag"))
            .args(["analyze", FLEET, "--source", source, "--blame"])
            .args(extra)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&report(&["-o", "json"])).unwrap();
    let code = |at: usize| json["hotspots"][at]["code"].clone();
    assert_eq!(code(0)["path"], "services/relay/src/demo/programs.rs", "from the root of the repository on");
    assert_eq!(code(0)["text"], "tokio::spawn(subscription()); // <b>&");
    assert_eq!((&code(0)["blame"]["date"], &code(0)["blame"]["author"]), (&"2026-03-01".into(), &"Somebody".into()));
    assert_eq!(code(0)["trouble"], Value::Null);
    assert_eq!((&code(2)["trouble"], &code(2)["text"]), (&"past-end".into(), &Value::Null));
    let sites = json["sites"].as_array().unwrap();
    assert!(sites.iter().any(|site| site["code"]["text"] == code(0)["text"]), "every site has its line");
    read("document", &json.to_string(), &["docs/report.schema.json"]);

    for (format, line) in [
        ("human", "    code     tokio::spawn(subscription()); // <b>&\n    by       "),
        ("human", "    code?    the file ends after 116 lines"),
        ("markdown", "`tokio::spawn(subscription()); // <b>&`  \nby "),
        (
            "html",
            "<pre class=\"code\" tabindex=\"0\"><code>tokio::spawn(subscription()); &#x2f;&#x2f; &lt;b&gt;&amp;</code>",
        ),
        ("github", "file=services/relay/src/demo/programs.rs,line=71,col=9"),
        ("github", "%0Acode: tokio::spawn(subscription()); // <b>&"),
    ] {
        let text = report(&["-o", format]);
        assert!(text.contains(line), "{format}: {line}\n{text}");
    }
    let sarif: Value = serde_json::from_str(&report(&["-o", "sarif"])).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "services/relay/src/demo/programs.rs");
    assert_eq!(place["region"]["snippet"]["text"], code(0)["text"]);
    read("sarif", &sarif.to_string(), &["target/tools/sarif/schema.json"]);
}

#[test]
fn a_checkout_that_cannot_be_used_is_refused_before_anything_else() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_fleetdiag")).args(["analyze", FLEET]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--source", "/nowhere"]).contains("`--source /nowhere`"));
    assert!(refused(&["--source", FLEET]).contains("is no directory"));
    assert!(refused(&["--source", directory.path().to_str().unwrap(), "--blame"]).contains("needs a git repository"));
    assert!(refused(&["--blame"]).contains("--source"));
}

#[test]
fn no_format_lets_control_characters_through() {
    let diagnosis = hostile();
    for name in Format::names() {
        let text = render(name.parse().unwrap(), &diagnosis, &PLAIN);
        let bad = text.chars().find(|&c| (c.is_control() && c != '\n') || matches!(c, '\u{200b}' | '\u{202e}'));
        assert_eq!(bad, None, "{name}: {text}");
        let text = comparison::render(name.parse().unwrap(), &compared(), &PLAIN);
        let bad = text.chars().find(|&c| (c.is_control() && c != '\n') || matches!(c, '\u{200b}' | '\u{202e}'));
        assert_eq!(bad, None, "{name} of a comparison: {text}");
    }
}

/// Something of every kind but moved: three places are new, two gone, findings came to others and left others.
fn compared() -> Comparison {
    let (mut before, mut after) = (hostile(), hostile());
    for target in before.targets.iter_mut().chain(&mut after.targets) {
        target.service = fleetdiag::model::Service("relay".into());
    }
    let place = |at: usize| hostile().hotspots[at].subject.clone();
    for (side, lacks) in [(&mut before, 0..3), (&mut after, 3..5)] {
        for at in lacks {
            let place = place(at);
            side.hotspots.retain(|hotspot| hotspot.subject != place);
            side.sites.retain(|site| fleetdiag::diagnose::Subject::Site(site.site.clone()) != place);
        }
    }
    for (side, lacks) in [(&mut before, 5..9), (&mut after, 9..12)] {
        for at in lacks {
            let place = place(at);
            side.hotspots.retain(|hotspot| hotspot.subject != place);
        }
    }
    let mut comparison = compare(&before, &after);
    comparison.fail_on = vec![Regression::New];
    let kinds = [Kind::New, Kind::Gone, Kind::Worse, Kind::Better];
    assert_eq!(kinds.map(|kind| comparison.count(kind)), [3, 2, 4, 3]);
    comparison
}

#[test]
fn sarif_is_valid_and_its_fingerprints_outlive_moved_lines() {
    let schema = ["target/tools/sarif/schema.json"];
    let recorded = read("sarif", &analyze("sarif"), &schema);
    assert_eq!(recorded["rules"], serde_json::json!([]), "every result's rule is described");
    assert_eq!(recorded["uris"][0], "src/demo/programs.rs");

    let mut moved = hostile();
    let before = read("sarif", &render(Format::Sarif, &moved, &PLAIN), &schema);
    for hotspot in &mut moved.hotspots {
        if let fleetdiag::diagnose::Subject::Site(site) = &mut hotspot.subject {
            site.site.location.as_mut().unwrap().line += 7;
        }
    }
    let after = read("sarif", &render(Format::Sarif, &moved, &PLAIN), &schema);
    assert_eq!(before["fingerprints"], after["fingerprints"]);
    let unique: BTreeSet<_> = before["fingerprints"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(unique.len(), moved.hotspots.len());
}

#[test]
fn junit_has_a_suite_per_host_and_tells_unseen_from_failed() {
    let recorded = read("junit", &analyze("junit"), &[]);
    assert_eq!(recorded["suites"].as_object().unwrap().len(), 12);
    // Three hosts with lost wakers, one with a poll that never ends, by two rules; two were not seen.
    assert_eq!((&recorded["failures"], &recorded["errors"]), (&5.into(), &2.into()));
    // Nine rules are about what surrounds a program, which was not read of the ten that were seen.
    assert_eq!(recorded["skipped"], 90);

    let hostile = read("junit", &render(Format::Junit, &hostile(), &PLAIN), &[]);
    assert!(hostile["texts"].to_string().contains("<script>alert(1)</script>"), "the text survives, as text");
}

#[test]
fn rules_that_found_nothing_on_a_host_seen_in_part_are_skipped() {
    let mut diagnosis = made::fleet(3, 1, "x");
    diagnosis.hotspots.clear();
    let read = read("junit", &render(Format::Junit, &diagnosis, &PLAIN), &[]);
    assert_eq!((&read["skipped"], &read["failures"], &read["errors"]), (&4.into(), &0.into(), &1.into()));
}

#[test]
fn rules_that_could_not_be_judged_are_said_in_every_format_that_people_read() {
    let mut diagnosis = hostile();
    diagnosis.unjudged.push(fleetdiag::diagnose::Unjudged {
        rule: diagnosis.rules[0].id.clone(),
        name: "rule-1".to_owned(),
        worst: fleetdiag::playbook::Severity::Warning,
        of_surroundings: false,
        dry_run: false,
        missing: vec!["site.poll_p99".to_owned()],
        targets: vec![diagnosis.targets[3].id.clone()],
    });
    for format in [Format::Human, Format::Html, Format::Markdown] {
        let text = render(format, &diagnosis, &PLAIN).replace('\\', "");
        assert!(text.contains("Rules that could not be judged"), "{format:?}");
        assert!(text.contains("the evidence does not tell site.poll_p99, on relay-003"), "{format:?}: {text}");
    }
}

#[test]
fn places_are_links_on_a_terminal_that_follows_them() {
    let format = "https://git.example/app/{path}#L{line}";
    let link = "\u{1b}]8;id=";
    let analyze = ["analyze", FLEET, "--no-suppressions", "--color", "never", "--hyperlink-format", format];
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fleetdiag")).args(analyze).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, linked) = (run(&[]), run(&["--hyperlink", "always"]));
    assert!(!plain.contains('\u{1b}'), "a pipe follows no links");
    let place = "https://git.example/app/src/demo/programs.rs#L71\u{1b}\\src/demo/programs.rs:71:9\u{1b}]8;;\u{1b}\\";
    assert!(linked.contains(place), "{linked}");
    let codes = regex::Regex::new("\u{1b}\\]8;[^\u{1b}]*\u{1b}\\\\").unwrap();
    assert_eq!(codes.replace_all(&linked, ""), plain, "a link takes no room");

    for (term, when, links) in [("xterm", "auto", true), ("dumb", "auto", false), ("xterm", "never", false)] {
        let words = [env!("CARGO_BIN_EXE_fleetdiag")].into_iter().chain(analyze).chain(["--hyperlink", when]);
        let line = words.map(|word| shlex::try_quote(word).unwrap().into_owned()).collect::<Vec<_>>().join(" ");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).env("TERM", term).stdin(Stdio::null());
        let shown = String::from_utf8(terminal.output().expect("script is in bsdutils").stdout).unwrap();
        assert!(shown.contains("programs.rs:71:9"), "{shown}");
        assert_eq!(shown.contains(link), links, "{term} {when}: {shown}");
    }
    for wrong in ["no-url", "https://x/{path}{host}"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
        command.args(["analyze", FLEET, "--hyperlink-format", wrong]);
        assert_eq!(command.output().unwrap().status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn openmetrics_reads_back_with_few_series() {
    let samples = read("openmetrics", &analyze("openmetrics"), &[]);
    let value = |name: &str, label: &str| {
        let found = samples
            .as_array()
            .unwrap()
            .iter()
            .find(|sample| sample[0] == name && sample[1].to_string().contains(label));
        found.unwrap_or_else(|| panic!("no {name} with {label}"))[2].as_f64().unwrap()
    };
    assert_eq!(value("fleetdiag_host_up", "web-04").to_bits(), 0_f64.to_bits());
    assert_eq!(value("fleetdiag_host_up", "web-03").to_bits(), 1_f64.to_bits());
    assert_eq!(value("fleetdiag_affected_tasks", "lost-waker").to_bits(), 9_f64.to_bits());
    assert_eq!(value("fleetdiag_findings", "auto-boxed-future").to_bits(), 0_f64.to_bits());

    let (small, large) = (made::fleet(20, 10, HOSTILE), made::fleet(20, 400, HOSTILE));
    let series =
        |diagnosis| read("openmetrics", &render(Format::Openmetrics, diagnosis, &PLAIN), &[]).as_array().unwrap().len();
    assert_eq!(series(&small), series(&large), "sites make no series");
}

#[test]
fn markdown_shows_hostile_text_as_text() {
    for (diagnosis, rows) in [(hostile(), 40 + 1 + 1 + 1 + 6), (made::fleet(14, 40, "plain"), 40 + 1 + 1 + 1 + 6)] {
        let read = read("markdown", &render(Format::Markdown, &diagnosis, &PLAIN), &[]);
        let kinds = read["kinds"].to_string();
        for kind in ["html_block", "html_inline", "link_open", "image", "s_open", "em_open", "fence", "blockquote"] {
            assert!(!kinds.contains(&format!("\"{kind}\"")), "{kind} in {kinds}");
        }
        assert_eq!((&read["rows"], &read["columns"]), (&rows.into(), &serde_json::json!([3, 4, 5])));
    }
}

#[test]
fn github_gets_no_more_annotations_than_it_shows_and_the_rest_is_in_the_summary() {
    let text = render(Format::Github, &hostile(), &PLAIN);
    let commands: Vec<_> = text.lines().filter(|line| line.starts_with("::")).collect();
    for kind in ["::error ", "::warning ", "::notice "] {
        assert_eq!(commands.iter().filter(|line| line.starts_with(kind)).count(), 10, "{kind}");
    }
    assert_eq!(commands.len(), 30, "nothing in a message begins a command of its own");
    assert!(text.contains("11 more annotations than GitHub shows"), "the rest is counted");

    let directory = tempfile::tempdir().unwrap();
    let summary = directory.path().join("summary.md");
    fs::write(&summary, "from the step before\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.args(["analyze", FLEET, "-o", "github"]).env("GITHUB_STEP_SUMMARY", &summary);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let summary = fs::read_to_string(&summary).unwrap();
    assert!(summary.starts_with("from the step before\n## fleetdiag: fail"), "{summary}");
}

#[test]
fn nagios_gets_one_line_whose_state_is_the_verdict() {
    let line = analyze("nagios");
    assert!(line.starts_with("FLEETDIAG CRITICAL - 3 findings are critical"), "{line}");
    assert!(line.contains("| hosts_complete=10;;;0;12 "), "{line}");
    let mut diagnosis = hostile();
    for (verdict, state) in [(Verdict::Fail, "CRITICAL"), (Verdict::Pass, "OK"), (Verdict::Inconclusive, "UNKNOWN")] {
        diagnosis.verdict = verdict;
        let line = render(Format::Nagios, &diagnosis, &PLAIN);
        assert!(line.starts_with(&format!("FLEETDIAG {state} - ")), "{line}");
        assert_eq!((line.lines().count(), line.matches('|').count()), (1, 1), "{line}");
    }
}

#[test]
fn the_human_report_has_every_section_and_fits_its_columns() {
    for diagnosis in [hostile(), made::fleet(200, 30, "site")] {
        for width in [60, 80, 100, 200] {
            for unicode in [true, false] {
                let text = render(Format::Human, &diagnosis, &Options { width, unicode, ..PLAIN });
                for line in text.lines() {
                    assert!(line.width() <= width, "{width}: {line}");
                    assert!(unicode || line.is_ascii(), "{line}");
                }
                for section in
                    ["Contention", "Hosts that differ from their peers", "\nHosts\n", "Limits of what was seen"]
                {
                    assert!(text.contains(section), "{section}");
                }
            }
        }
    }
    let lines = render(Format::Human, &made::fleet(200, 1, "site"), &PLAIN).lines().count();
    assert!(lines < 75, "195 healthy hosts are one line, not {lines}");
}

#[test]
fn json_follows_the_shipped_schema() {
    let schema = ["docs/report.schema.json"];
    for text in [analyze("json"), render(Format::Json, &hostile(), &PLAIN)] {
        assert_eq!(read("document", &text, &schema)["errors"], serde_json::json!([]));
    }
    // The schema is not one that accepts anything.
    let mut document: Value = serde_json::from_str(&render(Format::Json, &hostile(), &PLAIN)).unwrap();
    document["verdict"] = "maybe".into();
    document["coverage"].as_object_mut().unwrap().remove("failed");
    document["sites"][0]["figures"]["alive"] = "many".into();
    let errors = read("document", &document.to_string(), &schema)["errors"].to_string();
    for place in ["$.verdict", "$.coverage", "$.sites[0].figures.alive"] {
        assert!(errors.contains(place), "{place}: {errors}");
    }
}

#[test]
fn comparisons_are_read_back_in_every_format() {
    let comparison = compared();
    let text = |format| comparison::render(format, &comparison, &PLAIN);
    assert_eq!(
        read("document", &text(Format::Json), &["docs/comparison.schema.json"])["errors"],
        serde_json::json!([])
    );

    let lines: Vec<Value> = text(Format::Ndjson).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events.len(), events[13]), ("comparison", 14, "summary"));
    assert_eq!((&lines[13]["failing"], &lines[13]["changes"]["gone"]), (&7.into(), &2.into()));

    let junit = read("junit", &text(Format::Junit), &[]);
    assert_eq!(
        (&junit["failures"], &junit["errors"]),
        (&7.into(), &0.into()),
        "what is new fails, what is better does not"
    );
    let cases: u64 = junit["suites"].as_object().unwrap().values().map(|cases| cases.as_u64().unwrap()).sum();
    assert_eq!(cases, 1 + 12);

    let sarif = read("sarif", &text(Format::Sarif), &["target/tools/sarif/schema.json"]);
    assert_eq!(sarif["rules"], serde_json::json!([]), "every result's rule is described");
    let states: Vec<_> = sarif["states"].as_array().unwrap().iter().map(|state| state.as_str().unwrap()).collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    assert_eq!((count("new"), count("absent")), (7, 5), "{states:?}");
    let whole = read("sarif", &render(Format::Sarif, &hostile(), &PLAIN), &["target/tools/sarif/schema.json"]);
    let known: BTreeSet<_> = whole["fingerprints"].as_array().unwrap().iter().map(Value::to_string).collect();
    let same = sarif["fingerprints"].as_array().unwrap().iter().filter(|print| known.contains(&print.to_string()));
    assert!(same.count() >= 9, "a finding has the fingerprint that it has in a report");

    let samples = read("openmetrics", &text(Format::Openmetrics), &[]).to_string();
    assert!(samples.contains(r#"["fleetdiag_changed_places",{"kind":"gone"},2]"#), "{samples}");
    assert!(samples.contains(r#"["fleetdiag_failing_changes",{},7]"#), "{samples}");

    let markdown = read("markdown", &text(Format::Markdown), &[]);
    assert_eq!((&markdown["rows"], &markdown["columns"]), (&13.into(), &serde_json::json!([3])));
    assert!(!markdown["kinds"].to_string().contains("html"), "{markdown}");

    let github = text(Format::Github);
    assert_eq!(github.lines().filter(|line| line.starts_with("::error ")).count(), 7, "{github}");
    assert_eq!(github.lines().filter(|line| line.starts_with("::notice ")).count(), 5, "{github}");
    let nagios = text(Format::Nagios);
    assert!(nagios.starts_with("FLEETDIAG CRITICAL - 4 worse, 3 new, 3 better, 2 gone, "), "{nagios}");
    assert_eq!((nagios.lines().count(), nagios.matches('|').count()), (1, 1), "{nagios}");
}

#[test]
fn json_lines_are_documents_and_end_with_the_summary() {
    let text = analyze("ndjson");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let targets = lines.iter().filter(|line| line["event"] == "target").count();
    assert_eq!((targets, &lines[0]["event"]), (12, &"run".into()));
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["verdict"], &last["exit_code"]), (&"summary".into(), &"fail".into(), &1.into()));
}

#[test]
fn several_outputs_come_from_one_run_and_others_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let output = |name: &str| format!("{name}={}", path(name).display());
    let names: Vec<_> = Format::names().filter(|name| *name != "github").collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.args(["analyze", FLEET]);
    for name in &names {
        command.args(["-o", &output(name)]);
    }
    let done = command.output().unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0));
    for name in names {
        let metadata = fs::metadata(path(name)).unwrap();
        assert!(metadata.len() > 100 || name == "nagios");
        assert_eq!(metadata.permissions().mode() & 0o044, 0o044, "{name}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), Format::names().count() - 1, "nothing temporary stays");
    assert!(Path::new(FLEET).exists());
}

#[test]
fn json_lines_tell_of_a_host_while_another_is_still_observed() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let inventory = directory.path().join("hosts.yaml");
    let port = silent.local_addr().unwrap().port();
    let hosts = format!(
        "all:\n  vars: {{transport: direct}}\n  hosts:\n    closed: {{console: '127.0.0.1:1'}}\n    silent: {{console: '127.0.0.1:{port}'}}\n"
    );
    fs::write(&inventory, hosts).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_fleetdiag"))
        .args(["snapshot", "all", "--no-save", "--quiet", "-o", "ndjson", "-i"])
        .arg(&inventory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!((&first["event"], &first["id"]), (&"ended".into(), &"closed".into()));
    assert_eq!(first["reason"], "nothing-listening");
    // Only now can the other one end, and it ends because of this.
    drop(silent);
    let second = next();
    assert_eq!(
        (&second["event"], &second["id"], &second["status"]),
        (&"ended".into(), &"silent".into(), &"failed".into())
    );
    assert_ne!(second["reason"], "deadline-exceeded");
    assert_eq!(next()["event"], "run");
    assert_eq!(run.wait().unwrap().code(), Some(3));
}

fn export(arguments: &[&str], to: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    let done = command.args(["export", "-o"]).arg(to).args(arguments).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn exported_rows_answer_the_recipes_of_the_guide_in_both_formats() {
    let directory = tempfile::tempdir().unwrap();
    let [lines, columns] = ["sites.ndjson", "sites.parquet"].map(|name| directory.path().join(name));
    export(&[FLEET, FLEET], &lines);
    export(&[FLEET, FLEET, "--format", "parquet"], &columns);
    let guide = fs::read_to_string("docs/guide/export.md").unwrap();
    let read = read("recipes", &guide, &[lines.to_str().unwrap(), columns.to_str().unwrap()]);
    assert!(read["rows"].as_u64().unwrap() > 40, "{}", read["rows"]);
    assert_eq!(read["differing"], serde_json::json!([]), "the formats hold the same rows");
    for found in read["found"].as_array().unwrap() {
        let answers = found["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 5);
        for answer in answers {
            assert!(!answer["rows"].as_array().unwrap().is_empty(), "{answer}");
        }
        // The task that never yields takes a core of its own; the lost wakers are on three hosts.
        assert!(answers[0]["rows"].to_string().contains("src/demo/programs.rs:112:5"), "{}", answers[0]);
        assert!(!answers[0].to_string().contains("worker.rs"), "{}", answers[0]);
        let lost = answers[4]["rows"].as_array().unwrap().iter().find(|row| row[0] == "lost-waker").unwrap();
        assert_eq!((&lost[1], &lost[2], &lost[3]), (&"relay".into(), &"src/demo/programs.rs:71:9".into(), &"3".into()));
        // Every column is in the guide.
        for column in found["columns"].as_object().unwrap().keys() {
            assert!(guide.contains(&format!("`{column}`")), "{column}");
        }
    }
    let typed = &read["found"][1]["columns"];
    for (column, of) in [
        ("run", "TIMESTAMP WITH TIME ZONE"),
        ("busy_ns", "BIGINT"),
        ("partial", "BOOLEAN"),
        ("line", "BIGINT"),
        ("rules", "VARCHAR[]"),
    ] {
        assert_eq!(typed[column], of, "{column}");
    }
}

#[test]
fn hostile_names_and_whole_fleets_are_the_same_rows_in_both_formats() {
    use fleetdiag::report::export::{ParquetRows, lines};
    let directory = tempfile::tempdir().unwrap();
    let diagnosis = made::fleet(20, 30, HOSTILE);
    let paths = ["sites.ndjson", "sites.parquet"].map(|name| directory.path().join(name));
    fs::write(&paths[0], lines(&diagnosis)).unwrap();
    let mut rows = ParquetRows::new().unwrap();
    rows.add(&diagnosis).unwrap();
    rows.add(&Diagnosis { sites: Vec::new(), ..diagnosis }).unwrap();
    fs::write(&paths[1], rows.finish().unwrap()).unwrap();
    let read = read("recipes", "", &paths.each_ref().map(|path| path.to_str().unwrap()));
    assert_eq!(read["differing"], serde_json::json!([]));
    assert_eq!(read["rows"], diagnosis.sites.iter().map(|site| site.by_target.len()).sum::<usize>());
}

/// What Go's pprof prints of a profile.
fn pprof(profile: &Path, arguments: &[&str]) -> String {
    let mut go = Command::new("go");
    let home = profile.parent().unwrap();
    go.args(["tool", "pprof", "-symbolize=none"]).args(arguments).arg(profile).env("HOME", home);
    let done = go.output().expect("tests/setup.sh installs Go");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn go_reads_the_profile_and_shows_the_sites_by_host() {
    use fleetdiag::report::export::Pprof;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sites.pb.gz");
    export(&[FLEET, "--format", "pprof"], &path);
    let busy = pprof(&path, &["-top", "-nodecount=1"]);
    assert!(busy.contains("Type: busy"), "{busy}");
    assert!(busy.lines().last().unwrap().contains("src/demo/programs.rs:112:5"), "the task that never yields:\n{busy}");
    let tasks = pprof(&path, &["-top", "-lines", "-sample_index=tasks", "-tagfocus=host=relay-03"]);
    assert!(tasks.contains("src/demo/programs.rs:71:9 src/demo/programs.rs:71"), "{tasks}");
    let tags = pprof(&path, &["-tags", "-sample_index=tasks"]);
    for label in ["host: ", "service: ", "kind: ", "web-01", "relay"] {
        assert!(tags.contains(label), "{label}: {tags}");
    }
    assert!(!tags.contains("web-04"), "what was not seen has no samples");
    assert!(pprof(&path, &["-comments"]).contains("10 of 12 hosts seen whole"));

    let mut profile = Pprof::new();
    profile.add(&hostile());
    fs::write(&path, profile.finish().unwrap()).unwrap();
    let raw = pprof(&path, &["-raw"]);
    assert!(raw.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')), "{raw}");
}
