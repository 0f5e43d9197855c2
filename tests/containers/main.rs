//! Consoles in containers, on real engines that these tests start for themselves: their own data, sockets and networks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docker;
#[path = "../harness/mod.rs"]
mod harness;
mod image;
mod podman;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use harness::{Lab, target};

/// A directory for `PATH` with only some programs in it.
fn programs(lab: &Lab, name: &str, programs: &[&str]) -> PathBuf {
    let directory = lab.path(name);
    fs::create_dir(&directory).unwrap();
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|path| path.join(program))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("no {program}: run tests/setup.sh"));
        symlink(found, directory.join(program)).unwrap();
    }
    directory
}

/// `stage/reason`, or that something was seen.
fn ended(report: &serde_json::Value, id: &str) -> String {
    let target = target(report, id);
    match target["status"].as_str().unwrap() {
        "failed" => format!("{}/{}", target["stage"].as_str().unwrap(), target["reason"].as_str().unwrap()),
        _ => "seen".to_owned(),
    }
}
