//! A capture that may leave the house: whatever names somebody or something becomes a stand-in.
//!
//! Within one file a name always becomes the same stand-in, so hosts, sites and builds can still be told apart, and a
//! diagnosis finds the same at the same (renamed) places. What stays, and why, is in `docs/capture-format.md`.

mod message;
mod path;
mod stand_ins;
mod surroundings;
mod words;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use self::stand_ins::{Names, StandIns};
use self::words::is_attribute;
use super::{Capture, CaptureError, End, MergeError, OutcomeFile, Run, Writer};
use crate::model::{
    ContainerSelector, Ended, Endpoint, Failure, HostName, InvalidName, Outcome, Route, Service, Target,
};

/// Writes a copy of `capture` to `path` in which nothing names a host, a user, a build machine's directories, or what the
/// program calls its own.
///
/// # Errors
/// When the capture cannot be read or the copy not be written.
pub fn redact(capture: &mut Capture, path: &Path) -> Result<PathBuf, MergeError> {
    let mut names = of_run(capture.run());
    let run = redacted_run(capture.run(), &mut names).map_err(|error| CaptureError::Damaged {
        path: capture.path().to_owned(),
        entry: "manifest.json".to_owned(),
        why: error.to_string(),
    })?;
    let interrupted = capture.interrupted();
    let outcomes = capture.outcome_files().to_vec();
    let failed = |source| MergeError::Write { path: path.to_owned(), source };

    // Numbers follow the old order of targets; the file wants its own.
    let mut order: Vec<usize> = (0..run.targets.len()).collect();
    order.sort_by(|a, b| run.targets[*a].id.cmp(&run.targets[*b].id));
    let targets = order.iter().map(|&index| run.targets[index].clone()).collect();
    let mut writer = Writer::create(path, &Run { targets, ..run })?;
    for (place, &index) in order.iter().enumerate() {
        let file = &outcomes[index];
        let spool = match file.outcome {
            Outcome::Failed(_) => None,
            Outcome::Observed(_) => {
                let mut spool = writer.spool().map_err(failed)?;
                for frame in capture.frames(index)? {
                    spool.push(&message::frame(frame?, &mut names)).map_err(failed)?;
                }
                Some(spool)
            }
        };
        let target = writer.run().targets[place].id.to_string();
        let context = file.context.as_ref().map(surroundings::context);
        let outcome = outcome(&file.outcome, &mut names);
        let redacted = OutcomeFile { target, finished: file.finished, found: None, outcome, context };
        writer.add_target(place, spool, &redacted).map_err(failed)?;
    }
    Ok(writer.finish(End { interrupted })?)
}

fn of_run(run: &Run) -> StandIns {
    let targets = || run.targets.iter();
    let mut names = StandIns::default();
    names.hosts = Names::in_order(targets().map(|target| target.id.host.as_str()));
    names.services = Names::in_order(targets().map(|target| target.service.0.as_str()).filter(|name| !name.is_empty()));
    names.consoles = Names::in_order(targets().filter_map(|target| target.id.console.as_deref()));
    names.attributes = Names::in_order(targets().flat_map(|target| target.attributes.keys().map(String::as_str)));
    names.values = Names::in_order(targets().flat_map(|target| target.attributes.values().map(String::as_str)));
    let users = targets().filter_map(|target| match &target.route {
        Route::Direct => None,
        Route::Ssh(destination) => destination.user.as_ref(),
    });
    for user in users {
        names.users.number(user.as_str());
    }
    names
}

fn redacted_run(run: &Run, names: &mut StandIns) -> Result<Run, InvalidName> {
    let targets = run.targets.iter().map(|target| redacted_target(target, names)).collect::<Result<Vec<_>, _>>()?;
    let is_version = |c: char| c.is_ascii_digit() || c == '.';
    let collected_by = run.collected_by.chars().take_while(|c| is_version(*c)).collect();
    Ok(Run { patterns: vec!["redacted".to_owned()], targets, collected_by, ..run.clone() })
}

fn redacted_target(target: &Target, names: &mut StandIns) -> Result<Target, InvalidName> {
    let host: HostName = names.hosts.stand_in(target.id.host.as_str(), "host").parse()?;
    let mut target = target.clone();
    target.id.host = host.clone();
    target.id.console = target.id.console.map(|console| names.consoles.stand_in(&console, "console"));
    if !target.service.0.is_empty() {
        target.service = Service(names.services.stand_in(&target.service.0, "service"));
    }
    if let Route::Ssh(destination) = &mut target.route {
        destination.host = host;
        destination.user = None;
        destination.port = None;
        destination.identity_file = None;
        destination.extra_args.clear();
    }
    target.endpoint = endpoint(target.endpoint, names);
    target.health_url = target.health_url.map(|_| "http://redacted/".to_owned());
    target.log = None;
    let attributes = target.attributes.iter().map(|(name, value)| {
        let name = if is_attribute(name) { name.clone() } else { names.attributes.stand_in(name, "attribute") };
        (name, names.values.stand_in(value, "value"))
    });
    target.attributes = attributes.collect();
    Ok(target)
}

/// Whether it is this machine's own alone stays, since that is judged.
fn endpoint(endpoint: Endpoint, names: &mut StandIns) -> Endpoint {
    let mut place = |name: &str| names.places.stand_in(name, "place");
    match endpoint {
        Endpoint::Tcp { host, port } => {
            let is_everybodys = host == "localhost"
                || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified());
            Endpoint::Tcp { host: if is_everybodys { host } else { place(&host) }, port }
        }
        Endpoint::Unix(path) => Endpoint::Unix(PathBuf::from(format!("/{}", place(&path.to_string_lossy())))),
        Endpoint::Container { engine, selector, port, network } => {
            let selector = match selector {
                ContainerSelector::Name(name) => ContainerSelector::Name(place(&name)),
                ContainerSelector::Label(label) => ContainerSelector::Label(place(&label)),
                ContainerSelector::Image(image) => ContainerSelector::Image(place(&image)),
                ContainerSelector::Compose { project, service } => ContainerSelector::Compose {
                    project: project.map(|project| place(&project)),
                    service: place(&service),
                },
            };
            Endpoint::Container { engine, selector, port, network: network.map(|network| place(&network)) }
        }
    }
}

/// The detail of a failure is free text of `ssh` and servers, so it goes; stage and reason tell enough.
fn outcome(outcome: &Outcome, names: &mut StandIns) -> Outcome {
    let bare = |failure: &Failure| Failure { detail: String::new(), ..failure.clone() };
    match outcome {
        Outcome::Failed(failure) => Outcome::Failed(bare(failure)),
        Outcome::Observed(observation) => {
            let mut observation = observation.clone();
            observation.ended = match observation.ended {
                Ended::WindowOver => Ended::WindowOver,
                Ended::Broken(failure) => Ended::Broken(bare(&failure)),
                Ended::BoundHit { bound } if is_ours(&bound) => Ended::BoundHit { bound },
                Ended::BoundHit { bound } => Ended::BoundHit { bound: names.words(&bound) },
            };
            Outcome::Observed(observation)
        }
    }
}

/// Whether these are the words of our own bounds.
fn is_ours(bound: &str) -> bool {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(\d+ (bytes from|entities of) one target|[\d.]+[mµn]?s for one host)$").ok());
    FORM.as_ref().is_some_and(|form| form.is_match(bound))
}

#[cfg(test)]
mod tests {
    use super::stand_ins::{Names, StandIns};

    #[test]
    fn paths_lose_their_machine_and_keep_their_crate() {
        let mut names = StandIns::default();
        names.users = Names::in_order(["deploy"]);
        let cases = [
            ("src/main.rs", "src/main.rs"),
            ("relay/src/main.rs", "relay/src/main.rs"),
            ("home/kim/relay/src/main.rs", "home/user-2/relay/src/main.rs"),
            ("/rustc/abc/library/std/src/thread.rs", "/rustc/x-1/library/std/src/thread.rs"),
            (
                "/home/kim/.cargo/registry/src/corp-1/hyper-1.2.3/src/a.rs",
                "/root-1/registry/src/x-2/hyper-1.2.3/src/a.rs",
            ),
            ("/home/kim/.cargo/registry/src/corp-1/h2-0.4.0/src/b.rs", "/root-1/registry/src/x-2/h2-0.4.0/src/b.rs"),
            ("/home/kim/code/relay/src/net/conn.rs", "/root-2/relay/src/net/conn.rs"),
            ("/home/kim/src/main.rs", "/root-3/user-2/src/main.rs"),
            ("C:\\Users\\kim\\relay\\src\\main.rs", "/root-4/relay/src/main.rs"),
            ("../../deploy/relay/src/main.rs", "root-5/relay/src/main.rs"),
            ("/srv/acme/target/out/gen.rs", "/root-6/gen.rs"),
            ("/rustc/acme/main.rs", "/root-7/main.rs"),
            ("acme/secret", "xa/xb"),
        ];
        for (file, expected) in cases {
            assert_eq!(names.path(file), expected);
        }
    }

    #[test]
    fn words_are_told_apart_and_grouped_as_they_were() {
        let mut names = StandIns::default();
        let cases = [
            ("conn-17 of kim", "xa-1 xb xc"),
            ("conn-18 of kim", "xa-2 xb xc"),
            ("10.1.17.3", "3.4.1.5"),
            ("Semaphore::acquire", "Semaphore::acquire"),
            ("acme::Mutex<Kim>", "xd::Mutex<xe>"),
            ("événement\u{2192}", "xf?"),
        ];
        for (text, expected) in cases {
            assert_eq!(names.words(text), expected);
        }
        assert_eq!(names.place("\"/home/kim/relay/src/net.rs:17:5\""), "/root-1/relay/src/net.rs:17:5");
        assert_eq!(names.place("kim/conn 17"), "xc/xa 1");
    }
}
