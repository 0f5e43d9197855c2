//! What the documentation shows is true.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetdiag::inventory::{Inventory, Pattern};
use fleetdiag::model::Route;
use fleetdiag::plan::{Budget, Selection, SshSettings, plan};

/// Every target of an inventory, in a line each.
fn targets(inventory: &str) -> String {
    let inventory = Inventory::load(&[inventory.to_owned()]).unwrap();
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
    plan.targets.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_inventory_says_what_its_comments_say() {
    insta::assert_snapshot!(targets("inventory/example.yaml"));
    assert_eq!(targets("inventory/example.ini"), targets("inventory/example.yaml"), "both describe one fleet");
}

/// Blocks of a guide whose first line is a comment with a file's name are written; in blocks that begin with `$`, what
/// the command prints must be what follows.
#[test]
fn the_guide_to_inventories_shows_what_happens() {
    let guide = fs::read_to_string("docs/guide/inventory.md").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut commands = 0;
    for block in guide.split("```").skip(1).step_by(2) {
        let text = block.split_once('\n').map_or("", |(_, text)| text);
        let first = text.lines().next().unwrap_or_default();
        if let Some(name) = first.strip_prefix("# ").filter(|name| !name.contains(' ')) {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        } else if let Some(command) = first.strip_prefix("$ fleetdiag ") {
            let output = Command::new(env!("CARGO_BIN_EXE_fleetdiag"))
                .args(shlex::split(command).unwrap())
                .current_dir(directory.path())
                .env_remove("CI_NODE_INDEX")
                .output()
                .unwrap();
            let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            let expected: Vec<_> = text.lines().skip(1).collect();
            assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{command}");
            commands += 1;
        } else if first.starts_with("inventory: ") {
            // The settings: each must be one, and make sense.
            fs::write(directory.path().join("settings.yaml"), text).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
            command.args(["inventory", "-i", "web,", "--settings", "settings.yaml"]).current_dir(directory.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            commands += 1;
        }
    }
    assert_eq!(commands, 6);
}

/// A picture of what `analyze` prints of a recorded run, as a terminal shows it.
fn picture() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.args(["analyze", "tests/fixtures/faults.fdcap", "--color", "always", "--width", "96"]);
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
