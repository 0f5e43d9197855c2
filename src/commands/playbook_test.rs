//! `fleetdiag playbook test`: rules held against captures of which it is known what must be found.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::CommandError;
use super::emit::print;
use super::judge::{judge, open_merged};
use super::playbook::{Judging, read};
use crate::cli::{Cli, JudgeArgs};
use crate::diagnose::{Because, Diagnosis, Finding, Subject, Verdict};
use crate::playbook::{Playbook, Severity, catalogue, of_catalogue};
use crate::source::{Complaint, Complaints, Node, Place, Source, shown};

const KEYS: &[&str] = &["playbook", "capture", "set", "verdict", "expect", "absent", "nothing_else"];
const FINDING: &[&str] = &["rule", "severity", "at", "host", "affected"];

/// What a file expects.
#[derive(Default)]
struct Case {
    /// The file.
    text: String,
    playbook: Vec<String>,
    captures: Vec<PathBuf>,
    set: Vec<String>,
    verdict: Option<String>,
    expect: Vec<Expected>,
    absent: Vec<Expected>,
    /// No warning and nothing critical beyond what is expected.
    nothing_else: bool,
}

/// One finding; what is not said may be anything.
#[derive(Default)]
struct Expected {
    /// Where the file names the rule.
    place: Option<Place>,
    rule: Option<String>,
    severity: Option<Severity>,
    at: Option<String>,
    host: Option<String>,
    affected: Option<u64>,
}

pub(super) fn run(files: &[PathBuf], cli: &Cli) -> Result<ExitCode, CommandError> {
    let (mut failed, mut ran) = (0, 0);
    for path in files {
        let case = load(path).map_err(CommandError::usage)?;
        let wrong = case.run(path).map_err(CommandError::usage)?;
        ran += 1;
        let mut text = String::new();
        if !wrong.is_empty() || !cli.quiet {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}: {}", path.display(), if wrong.is_empty() { "as expected" } else { "FAILED" });
        }
        for line in &wrong {
            let _ = writeln!(text, "  {line}");
        }
        failed += usize::from(!wrong.is_empty());
        print(&text)?;
    }
    if ran > 1 && !cli.quiet {
        print(&format!("{} of {ran} as expected\n", ran - failed))?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

impl Case {
    /// Everything that is not as it should be.
    fn run(&self, path: &Path) -> anyhow::Result<Vec<String>> {
        let beside = |name: &str| path.parent().unwrap_or(Path::new("")).join(name);
        let named = |name: &String| {
            let file = beside(name);
            if file.is_file() { file.to_string_lossy().into_owned() } else { name.clone() }
        };
        let args = JudgeArgs {
            playbook: self.playbook.iter().map(named).collect(),
            set: self.set.clone(),
            fail_on: None,
            max_unreachable: None,
        };
        let captures: Vec<_> = self.captures.iter().map(|capture| beside(&capture.to_string_lossy())).collect();
        let judging = Judging::of(&args)?;
        self.check_rules(path, &judging.playbook)?;
        let diagnosis = judge(&mut open_merged(&captures)?, &judging)?;
        Ok(self.compare(&diagnosis))
    }

    /// A rule that nobody knows is never found, so a misspelt one must not pass for absent.
    fn check_rules(&self, path: &Path, playbook: &Playbook) -> anyhow::Result<()> {
        let known = [playbook.rules.as_slice(), catalogue()].concat();
        let wrong = self.expect.iter().chain(&self.absent).filter_map(|expected| {
            let wrong = of_catalogue(&known, expected.rule.as_ref()?).err()?;
            Some(Complaint { place: expected.place, what: wrong.what, instead: Some(wrong.instead) })
        });
        let wrong: Vec<_> = wrong.collect();
        if wrong.is_empty() { Ok(()) } else { Err(Complaints::of(path, &self.text, wrong).into()) }
    }

    fn compare(&self, diagnosis: &Diagnosis) -> Vec<String> {
        let found: Vec<_> = diagnosis
            .hotspots
            .iter()
            .flat_map(|hotspot| hotspot.findings.iter().map(|finding| (place(&hotspot.subject), finding)))
            .collect();
        // Dry runs do not count for the verdict; whether they find what they should is what they are run for.
        let on_trial = diagnosis.set_aside.iter().filter(|part| part.because == Because::DryRun);
        let on_trial: Vec<_> = on_trial.map(|part| (place(&part.subject), &part.finding)).collect();
        let mut wrong = Vec::new();
        let verdict = match diagnosis.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
        };
        if let Some(expected) = self.verdict.as_ref().filter(|expected| *expected != verdict) {
            wrong.push(format!("the verdict is {verdict}, not {expected}: {}", diagnosis.verdict_reasons.join("; ")));
        }
        let any =
            |expected: &Expected| found.iter().chain(&on_trial).find(|(place, finding)| expected.is(place, finding));
        wrong.extend(
            self.expect
                .iter()
                .filter(|expected| any(expected).is_none())
                .map(|expected| format!("not found: {}", expected.words())),
        );
        for expected in &self.absent {
            if let Some((place, finding)) = any(expected) {
                wrong.push(format!("found, but must not be: {}", words(place, finding)));
            }
        }
        if self.nothing_else {
            let known = |place: &str, finding: &Finding| self.expect.iter().any(|expected| expected.is(place, finding));
            let more =
                found.iter().filter(|(place, finding)| finding.severity > Severity::Info && !known(place, finding));
            wrong.extend(more.map(|(place, finding)| format!("found besides: {}", words(place, finding))));
        }
        wrong
    }
}

impl Expected {
    fn is(&self, place: &str, finding: &Finding) -> bool {
        let rule =
            self.rule.as_ref().is_none_or(|rule| *rule == finding.name || rule.eq_ignore_ascii_case(&finding.rule.0));
        let host = |host: &String| {
            finding.targets.keys().any(|target| target.to_string() == *host || target.host.as_str() == host)
        };
        rule && self.severity.is_none_or(|severity| severity == finding.severity)
            && self.at.as_ref().is_none_or(|at| place.contains(at.as_str()))
            && self.host.as_ref().is_none_or(host)
            && self.affected.is_none_or(|affected| affected == finding.affected)
    }

    fn words(&self) -> String {
        let parts = [
            self.severity.map(|severity| severity.as_str().to_owned()),
            self.rule.clone(),
            self.at.as_ref().map(|at| format!("at {at}")),
            self.host.as_ref().map(|host| format!("on {host}")),
            self.affected.map(|affected| format!("of {affected} tasks")),
        ];
        shown(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

fn words(place: &str, finding: &Finding) -> String {
    let hosts: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    let text = format!("{} {} at {place} on {}", finding.severity.as_str(), finding.name, hosts.join(", "));
    text.chars().flat_map(char::escape_debug).collect()
}

fn place(subject: &Subject) -> String {
    let location = match subject {
        Subject::Site(site) => site.site.location.as_ref(),
        Subject::Resource { location, .. } => location.as_ref(),
        Subject::Target { .. } => return "process".to_owned(),
    };
    location.map(ToString::to_string).unwrap_or_default()
}

fn load(path: &Path) -> anyhow::Result<Case> {
    Ok(parse(path, &read(path)?)?)
}

fn parse(path: &Path, text: &str) -> Result<Case, Complaints> {
    let mut source = Source::new(path, text);
    let mut case = Case { text: text.to_owned(), ..Case::default() };
    if let Some(root) = source.parse() {
        source.expect_keys(root.mapping().unwrap_or_default(), KEYS);
        let texts = |key: &str| match root.get(key) {
            Some(node) => node
                .sequence()
                .unwrap_or(std::slice::from_ref(node))
                .iter()
                .filter_map(Node::text)
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        };
        case.playbook = texts("playbook");
        case.captures = texts("capture").into_iter().map(PathBuf::from).collect();
        case.set = texts("set");
        case.verdict = root.get("verdict").and_then(Node::text).map(str::to_owned);
        case.nothing_else = root.get("nothing_else").and_then(Node::text) == Some("true");
        case.expect = findings(&mut source, root.get("expect"));
        case.absent = findings(&mut source, root.get("absent"));
        if case.captures.is_empty() {
            source.complain_with(root.place, "`capture` is missing", "the path of a capture, from this file");
        }
        if let Some(node) =
            root.get("verdict").filter(|node| !matches!(node.text(), Some("pass" | "fail" | "inconclusive")))
        {
            source.complain_with(node.place, "no such verdict", "one of: pass, fail, inconclusive");
        }
        if case.verdict.is_none() && case.expect.is_empty() && case.absent.is_empty() && !case.nothing_else {
            source.complain_with(
                root.place,
                "nothing is expected",
                "add `expect:`, `absent:`, `nothing_else: true` or `verdict:`",
            );
        }
    }
    source.finish(case)
}

fn findings(source: &mut Source<'_>, list: Option<&Node>) -> Vec<Expected> {
    let mut findings = Vec::new();
    for item in list.and_then(Node::sequence).unwrap_or_default() {
        if item.mapping().is_none_or(<[_]>::is_empty) {
            source.complain_with(
                item.place,
                "a finding is a mapping",
                "for example `{rule: lost-waker, at: src/main.rs}`",
            );
            continue;
        }
        source.expect_keys(item.mapping().unwrap_or_default(), FINDING);
        let text = |key: &str| item.get(key).and_then(Node::text).map(str::to_owned);
        let severity =
            text("severity").and_then(|name| Severity::ALL.into_iter().find(|severity| severity.as_str() == name));
        if let (Some(node), None) = (item.get("severity"), severity) {
            source.complain_with(node.place, "no such severity", "one of: info, warning, critical");
        }
        let affected = text("affected").and_then(|number| number.parse().ok());
        if let (Some(node), None) = (item.get("affected"), affected) {
            source.complain(node.place, "this is no number of tasks");
        }
        let place = item.get("rule").map(|node| node.place);
        findings.push(Expected { place, rule: text("rule"), severity, at: text("at"), host: text("host"), affected });
    }
    if let Some(node) = list.filter(|node| node.sequence().is_none()) {
        source.complain(node.place, format!("this must be a list of findings, it is {}", node.kind()));
    }
    findings
}
