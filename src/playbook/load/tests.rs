use super::load;
use crate::playbook::{Detector, Playbook, Severity, catalogue, shipped};
use std::path::Path;
use std::time::Duration;

const REST: &str = "why: w\n    remedy: r\n    outcomes: [{severity: info, message: m}]\n";

fn playbook(rules: &str) -> String {
    format!("apiVersion: fleetdiag/v1\nkind: Playbook\nname: x\n{rules}")
}

fn rule(what: &str) -> String {
    playbook(&format!("rules:\n  - id: A1\n    name: n\n    {what}\n    {REST}"))
}

fn loaded(text: &str) -> Playbook {
    load(Path::new("x.yaml"), text, catalogue()).unwrap_or_else(|complaints| panic!("{complaints}"))
}

fn complaints(text: &str) -> String {
    load(Path::new("x.yaml"), text, catalogue()).unwrap_err().to_string()
}

#[test]
fn the_lints_are_tokio_consoles() {
    let lints = shipped().iter().find(|playbook| playbook.name == "tokio-console").unwrap();
    let detectors: Vec<_> = lints.rules.iter().map(|rule| (rule.name.as_str(), rule.detector().unwrap())).collect();
    let expected = [
        ("self-wakes", Detector::SelfWakes { self_wake_percent: 50, wakes: 1 }),
        ("lost-waker", Detector::LostWaker),
        ("never-yielded", Detector::NeverYielded { busy: Duration::from_secs(1) }),
        ("auto-boxed-future", Detector::AutoBoxedFuture),
        ("large-future", Detector::LargeFuture { size_bytes: 1024 }),
    ];
    assert_eq!(detectors, expected);
}

#[test]
fn thresholds_can_be_changed() {
    let busy = |playbook: &Playbook| playbook.rules[0].detector().unwrap();
    let millis = |busy| Detector::NeverYielded { busy: Duration::from_millis(busy) };
    assert_eq!(busy(&loaded(&rule("detect: never-yielded\n    thresholds: {busy: 250ms}"))), millis(250));
    let used = playbook("use: [{rule: never-yielded, thresholds: {busy: 20ms}, dry_run: true, because: of that}]\n");
    let mut used = loaded(&used);
    assert_eq!((busy(&used), used.rules[0].dry_run), (millis(20), true));
    assert_eq!(used.because[&used.rules[0].id], "of that");
    used.set("FD003.busy=30ms").unwrap();
    assert_eq!(busy(&used), millis(30));
    used.set("never-yielded.busy = 40ms").unwrap();
    assert_eq!(busy(&used), millis(40));
    for (setting, error) in [
        ("never-yielded.buzy=1s", "did you mean `busy`?"),
        ("never-yieled.busy=1s", "did you mean `never-yielded`?"),
        ("never-yielded.busy=5", "another kind"),
        ("never-yielded.busy=0s", "impossible"),
        ("busy", "for example"),
    ] {
        assert!(used.set(setting).unwrap_err().contains(error), "{setting}");
    }
}

#[test]
fn the_first_outcome_that_applies_is_taken() {
    let text = playbook(
        "use:\n  - rule: FD002\n    outcomes:\n      - {severity: critical, when: 'share > 10', message: '{share} lost'}\n      \
         - {severity: info, message: '{affected} lost'}\n",
    );
    let rule = &loaded(&text).rules[0];
    let outcome = |share: Option<f64>| {
        let facts = |name: &str| match name {
            "share" => share.map(crate::playbook::Fact::Number),
            "affected" => Some(crate::playbook::Fact::Number(3.0)),
            _ => None,
        };
        let chosen = rule.outcome(&facts).unwrap();
        (chosen.outcome.severity, rule.message(chosen.outcome, &facts), chosen.missing)
    };
    assert_eq!(outcome(Some(11.0)), (Severity::Critical, "11% lost".to_owned(), vec![]));
    assert_eq!(outcome(Some(10.0)), (Severity::Info, "3 lost".to_owned(), vec![]));
    assert_eq!(outcome(None), (Severity::Info, "3 lost".to_owned(), vec!["share"]), "not silently");
}

#[test]
fn later_playbooks_replace_rules_and_settings() {
    let first = loaded(&playbook("observe: {window: 3s}\ngate: {fail_on: warning}\nuse: [FD001, FD003]\n"));
    let later = playbook("name: y\ngate: {max_unreachable: 2}\nuse: [{rule: FD003, thresholds: {busy: 9s}}, FD002]\n");
    let both = first.followed_by(loaded(&later.replacen("name: x\n", "", 1)));
    let ids: Vec<_> = both.rules.iter().map(|rule| rule.id.0.as_str()).collect();
    assert_eq!((both.name.as_str(), ids), ("x y", vec!["FD001", "FD003", "FD002"]));
    assert_eq!(
        both.rule("never-yielded").unwrap().detector(),
        Some(Detector::NeverYielded { busy: Duration::from_secs(9) })
    );
    assert_eq!((both.window, both.gate.max_unreachable.unwrap().raw), (Some(Duration::from_secs(3)), 2));
    assert_eq!(both.gate.fail_on, Some(Some(Severity::Warning)));
}

#[test]
fn every_problem_is_told_with_its_place_at_once() {
    let many = playbook(
        "observe: {widnow: 5s}
gate: {fail_on: fatal, max_unreachable: -1}
use:
  - FD999
  - {rule: lost-waker, thresholds: {busy: 1s}}
  - {rule: never-yielded, thresholds: {busy: 1KiB}}
  - {rule: large-future, thresholds: {size_bytes: 0}}
rules:
  - id: A1
    name: a
    detect: lost-wakr
    why: w
    remedy: r
    colour: red
    outcomes: []
  - id: A2
    name: b
    when: site.alvie > 100 && site.busy > 5
    why: w
    remedy: r
    outcomes:
      - {severity: fatal, message: m}
      - {severity: info, when: 'share > 200', message: '{site.alvie} of {host.alive}'}
  - id: FD002
    name: c
    detect: lost-waker
    when: site.alive > 1
    next_checks: [{a: b}]
    dry_run: perhaps
",
    );
    insta::assert_snapshot!(complaints(&many));
}

#[test]
fn what_is_no_playbook_is_said() {
    assert!(complaints("kind: Playbook\nname: x\nrules: []\n").contains("`apiVersion` is missing"));
    assert!(complaints("").contains("no playbook"));
    assert!(complaints("just text").contains("no playbook"));
    assert!(complaints("a: [").contains("no YAML"));
    assert!(complaints(&playbook("")).contains("has no rules"));
    assert!(complaints(&rule("thresholds: {}")).contains("needs `detect`"));
    let twice = playbook(&format!(
        "rules:\n  - id: A1\n    name: n\n    detect: lost-waker\n    {REST}  - id: A1\n    name: m\n    detect: lost-waker\n    {REST}"
    ));
    assert!(complaints(&twice).contains("the id `A1` is taken, in line 5"));
    assert!(complaints(&playbook("use: [FD001, self-wakes]\n")).contains("the id `FD001` is taken, in line 4"));
}

#[test]
fn the_columns_of_a_condition_are_those_of_the_file() {
    let text = complaints(&rule("when: site.alive > 1 && site.bron > 1"));
    assert!(text.contains("x.yaml:7:29: no metric `site.bron`"), "{text}");
    let quoted = complaints(&rule("when: 'site.alive > 1 && site.bron > 1'"));
    assert!(quoted.contains("x.yaml:7:30: no metric `site.bron`"), "{quoted}");
    let folded = complaints(&rule("when: >-\n      site.alive > 1 &&\n      site.bron > 1"));
    assert!(folded.contains("no metric `site.bron`"), "{folded}");
}
