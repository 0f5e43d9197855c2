//! What the documentation shows is true.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetdiag::inventory::{Inventory, Pattern};
use fleetdiag::model::Route;
use fleetdiag::plan::{Budget, Selection, SshSettings, plan};

#[test]
fn the_example_inventory_says_what_its_comments_say() {
    let inventory = Inventory::load(&["inventory/example.yaml".to_owned()]).unwrap();
    let selection = Selection { patterns: vec![Pattern::parse("all").unwrap()], ..Selection::default() };
    let plan = plan(Some(&inventory), &selection, Budget::default(), SshSettings::default()).unwrap();
    let shown = |target: &fleetdiag::model::Target| {
        let route = match &target.route {
            Route::Direct => "direct".to_owned(),
            Route::Ssh(ssh) => {
                let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = ssh.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{user}{}{port} {}", ssh.host, ssh.extra_args.join(" "))
            }
        };
        format!("{} [{}] {} via {}", target.id, target.service.0, target.endpoint, route.trim())
    };
    let targets: Vec<_> = plan.targets.iter().map(shown).collect();
    insta::assert_snapshot!(targets.join("\n"));
}

/// A picture of what `analyze` prints of a recorded run, as a terminal shows it.
fn picture() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.args(["analyze", "tests/fixtures/fleet.fdcap", "--color", "always", "--width", "96"]);
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let prompt = "\u{1b}[1m$\u{1b}[0m fleetdiag snapshot -i hosts.yaml all\n";
    let report = String::from_utf8(output.stdout).unwrap();
    anstyle_svg::Term::new()
        .fg_color(anstyle::AnsiColor::BrightWhite.into())
        .min_width_px(820)
        .render_svg(&format!("{prompt}{report}"))
}

#[test]
fn the_picture_in_the_readme_is_of_this_version() {
    let path = Path::new("docs/report.svg");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        fs::write(path, picture()).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), picture(), "INSTA_UPDATE=always draws it again");
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = fs::read_to_string("README.md").unwrap();
    let lines = readme.lines().filter(|line| line.starts_with("fleetdiag ") || line.starts_with("$ fleetdiag "));
    let mut seen = 0;
    for line in lines {
        let words = shlex::split(line.trim_start_matches("$ ")).unwrap();
        let words: Vec<_> = words.iter().skip(1).take_while(|word| !word.starts_with(['#', '>', '|', '&'])).collect();
        use clap::Parser;
        let parsed = fleetdiag::cli::Cli::try_parse_from(
            std::iter::once("fleetdiag").chain(words.iter().map(|word| word.as_str())),
        );
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        seen += 1;
    }
    assert!(seen >= 5, "{seen} commands found");
}
