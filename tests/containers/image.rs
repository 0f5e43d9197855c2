//! Images of our program: one that holds nothing else, and one with a shell beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{FLEETDIAG, run};

/// The images: a name, and the tools beside our program.
pub const IMAGES: &[(&str, &[&str])] = &[("bare", &[]), ("shell", &["sh", "nc", "sleep"])];

/// What runs our program in a container of `image`, with its console at `bind`.
pub fn arguments<'a>(name: &'a str, image: &'a str, bind: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let run = ["run", "--detach", "--interactive", "--name", name];
    [run.as_slice(), options, &[image, "/bin/fleetdiag", "demo-program", "jobs", bind]].concat()
}

/// An archive, below `directory`, of our program with its libraries, and of BusyBox under the names of `tools`.
pub fn archive(directory: &Path, name: &str, tools: &[&str]) -> PathBuf {
    let root = directory.join(name);
    let copy = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    copy(Path::new(FLEETDIAG), "/bin/fleetdiag");
    run(Command::new("strip").arg(root.join("bin/fleetdiag")));
    let libraries = String::from_utf8(run(Command::new("ldd").arg(FLEETDIAG)).stdout).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(&fs::canonicalize(library).unwrap(), library);
    }
    for tool in tools {
        copy(Path::new("/usr/bin/busybox"), "/bin/busybox");
        symlink("busybox", root.join("bin").join(tool)).unwrap();
    }
    let archive = directory.join(format!("{name}.tar"));
    run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."));
    fs::remove_dir_all(&root).unwrap();
    archive
}
