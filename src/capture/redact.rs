//! A capture that may leave the house: hosts, users and paths of build machines become stand-ins.
//!
//! Within one file a name always becomes the same stand-in, so hosts, sites and builds can still be told apart.
//! Code locations inside crates stay, since they are what a diagnosis is about; so do crate names and versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use console_api::field::Value;
use console_api::instrument::Update;
use console_api::{Field, Location, Metadata};
use prost::Message;
use regex::Regex;

use super::{Capture, CaptureError, End, MergeError, OutcomeFile, Run, Writer};
use crate::model::{
    ContainerSelector, Ended, Endpoint, Failure, Frame, HostContext, HostName, InvalidName, Outcome, Route, Stream,
    Target,
};

/// Writes a copy of `capture` to `path` in which nothing names a host, a user or a build machine's directories.
///
/// # Errors
/// When the capture cannot be read or the copy not be written.
pub fn redact(capture: &mut Capture, path: &Path) -> Result<PathBuf, MergeError> {
    let mut names = StandIns::new(capture.run());
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
                    spool.push(&names.frame(frame?)).map_err(failed)?;
                }
                Some(spool)
            }
        };
        let target = writer.run().targets[place].id.to_string();
        let context = file.context.as_ref().map(context);
        let outcome = outcome(&file.outcome);
        let redacted = OutcomeFile { target, finished: file.finished, found: None, outcome, context };
        writer.add_target(place, spool, &redacted).map_err(failed)?;
    }
    Ok(writer.finish(End { interrupted })?)
}

fn redacted_run(run: &Run, names: &mut StandIns) -> Result<Run, InvalidName> {
    let targets = run.targets.iter().map(|target| redacted_target(target, names)).collect::<Result<Vec<_>, _>>()?;
    Ok(Run { patterns: vec!["redacted".to_owned()], targets, ..run.clone() })
}

fn redacted_target(target: &Target, names: &mut StandIns) -> Result<Target, InvalidName> {
    let host: HostName = names.host(target.id.host.as_str()).parse()?;
    let mut target = target.clone();
    target.id.host = host.clone();
    target.id.console = target.id.console.map(|console| names.words(&console));
    target.service.0 = names.words(&target.service.0);
    if let Route::Ssh(destination) = &mut target.route {
        destination.host = host;
        destination.user = None;
        destination.port = None;
        destination.identity_file = None;
        destination.extra_args.clear();
    }
    target.endpoint = match target.endpoint {
        Endpoint::Tcp { host, port } => Endpoint::Tcp { host: names.words(&host), port },
        Endpoint::Unix(_) => Endpoint::Unix(PathBuf::from("/redacted.sock")),
        Endpoint::Container { engine, port, .. } => {
            let selector = ContainerSelector::Name("redacted".to_owned());
            Endpoint::Container { engine, selector, port, network: None }
        }
    };
    target.health_url = target.health_url.map(|_| "http://redacted/".to_owned());
    target.log = None;
    target.attributes = target.attributes.into_iter().map(|(key, value)| (key, names.attribute(&value))).collect();
    Ok(target)
}

/// The detail of a failure is free text of `ssh` and servers, so it goes; stage and reason tell enough.
fn outcome(outcome: &Outcome) -> Outcome {
    let bare = |failure: &Failure| Failure { detail: String::new(), ..failure.clone() };
    match outcome {
        Outcome::Failed(failure) => Outcome::Failed(bare(failure)),
        Outcome::Observed(observation) => {
            let mut observation = observation.clone();
            if let Ended::Broken(failure) = &observation.ended {
                observation.ended = Ended::Broken(bare(failure));
            }
            Outcome::Observed(observation)
        }
    }
}

/// Figures stay. Names, numbers of processes, URLs, lines of logs and complaints go.
fn context(context: &HostContext) -> HostContext {
    let mut context = context.clone();
    let redacted = || "redacted".to_owned();
    if let Some(container) = &mut context.container {
        (container.name, container.started) = (redacted(), None);
    }
    if let Some(process) = &mut context.process {
        (process.pid, process.name) = (0, redacted());
    }
    if let Some(health) = &mut context.health {
        health.url = "http://redacted/".to_owned();
        health.error = health.error.as_ref().map(|_| redacted());
    }
    if let Some(log) = &mut context.log {
        log.source = redacted();
        log.last_errors.clear();
    }
    for unseen in &mut context.unseen {
        unseen.why = redacted();
    }
    context
}

/// What stands for what.
struct StandIns {
    hosts: BTreeMap<String, String>,
    users: BTreeMap<String, String>,
    roots: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    address: Option<Regex>,
    secret_words: Vec<(String, String)>,
}

fn stand_in(map: &mut BTreeMap<String, String>, name: &str, prefix: &str) -> String {
    let number = map.len() + 1;
    map.entry(name.to_owned()).or_insert_with(|| format!("{prefix}{number}")).clone()
}

impl StandIns {
    fn new(run: &Run) -> Self {
        let mut names = Self {
            hosts: BTreeMap::new(),
            users: BTreeMap::new(),
            roots: BTreeMap::new(),
            attributes: BTreeMap::new(),
            address: Regex::new(r"\b\d{1,3}(\.\d{1,3}){3}\b|\b[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{0,4}){3,7}\b").ok(),
            secret_words: Vec::new(),
        };
        for target in &run.targets {
            let host = stand_in(&mut names.hosts, target.id.host.as_str(), "host-");
            if let Route::Ssh(destination) = &target.route {
                names.hosts.insert(destination.host.to_string(), host);
                if let Some(user) = &destination.user {
                    stand_in(&mut names.users, user.as_str(), "user-");
                }
            }
        }
        let words = names.hosts.iter().chain(&names.users).map(|(name, stand)| (name.clone(), stand.clone()));
        names.secret_words = words.collect();
        // Longer names first, so that `relay-10` is not taken for `relay-1` and a zero.
        names.secret_words.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names
    }

    fn host(&mut self, name: &str) -> String {
        stand_in(&mut self.hosts, name, "host-")
    }

    fn attribute(&mut self, value: &str) -> String {
        stand_in(&mut self.attributes, value, "value-")
    }

    /// Text in which names of hosts and users, and addresses, are replaced.
    fn words(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, stand) in &self.secret_words {
            if text.contains(name.as_str()) {
                text = text.replace(name.as_str(), stand);
            }
        }
        match &self.address {
            Some(address) => address.replace_all(&text, "[address]").into_owned(),
            None => text,
        }
    }

    /// A source path in which the directories of the machine that built it are replaced.
    fn path(&mut self, file: &str) -> String {
        let unified = file.replace('\\', "/");
        let absolute = unified.starts_with('/') || unified.as_bytes().get(1) == Some(&b':');
        if !absolute || unified.starts_with("/rustc/") {
            return file.to_owned();
        }
        for known in ["/registry/src/", "/git/checkouts/", "/lib/rustlib/src/"] {
            if let Some(at) = unified.find(known) {
                let root = stand_in(&mut self.roots, &unified[..at], "/root-");
                return format!("{root}{}", &unified[at..]);
            }
        }
        // The last directory before `src` is the crate's own name; what is above it is the machine's.
        let above = unified.rfind("/src/").or_else(|| unified.rfind('/')).unwrap_or(0);
        let split = unified[..above].rfind('/').unwrap_or(0);
        let root = stand_in(&mut self.roots, &unified[..split], "/root-");
        format!("{root}{}", &unified[split..])
    }

    fn frame(&mut self, frame: Frame) -> Frame {
        let bytes = match frame.stream {
            Stream::Updates => match Update::decode(frame.bytes.clone()) {
                Ok(mut update) => {
                    self.update(&mut update);
                    Bytes::from(update.encode_to_vec())
                }
                // What cannot be read cannot be redacted either, so nothing of it is passed on.
                Err(_) => Bytes::new(),
            },
            // These hold numbers only.
            Stream::State | Stream::Details(_) => frame.bytes,
        };
        Frame { bytes, ..frame }
    }

    fn update(&mut self, update: &mut Update) {
        let metadata = update.new_metadata.iter_mut().flat_map(|new| &mut new.metadata);
        for metadata in metadata.filter_map(|new| new.metadata.as_mut()) {
            self.metadata(metadata);
        }
        if let Some(tasks) = &mut update.task_update {
            for task in &mut tasks.new_tasks {
                self.location(&mut task.location);
                task.fields.iter_mut().for_each(|field| self.field(field));
            }
        }
        if let Some(resources) = &mut update.resource_update {
            for resource in &mut resources.new_resources {
                self.location(&mut resource.location);
                resource.concrete_type = self.words(&resource.concrete_type);
            }
            let attributes = resources.stats_update.values_mut().flat_map(|stats| &mut stats.attributes);
            attributes.filter_map(|attribute| attribute.field.as_mut()).for_each(|field| self.field(field));
        }
        if let Some(ops) = &mut update.async_op_update {
            let attributes = ops.stats_update.values_mut().flat_map(|stats| &mut stats.attributes);
            attributes.filter_map(|attribute| attribute.field.as_mut()).for_each(|field| self.field(field));
        }
    }

    fn metadata(&mut self, metadata: &mut Metadata) {
        self.location(&mut metadata.location);
        metadata.name = self.words(&metadata.name);
    }

    fn location(&mut self, location: &mut Option<Location>) {
        if let Some(file) = location.as_mut().and_then(|location| location.file.as_mut()) {
            *file = self.path(file);
        }
    }

    fn field(&mut self, field: &mut Field) {
        if let Some(Value::DebugVal(text) | Value::StrVal(text)) = &mut field.value {
            *text = self.words(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, StandIns, context};
    use crate::model::{ContainerState, Health, HostContext, LogTail, ProcessState, Unseen};
    use std::time::Duration;

    fn names() -> StandIns {
        StandIns::new(&Run {
            started: jiff::Timestamp::UNIX_EPOCH,
            collected_by: String::new(),
            patterns: Vec::new(),
            window: Duration::ZERO,
            targets: Vec::new(),
        })
    }

    #[test]
    fn paths_lose_their_machine_and_keep_their_crate() {
        let mut names = names();
        let cases = [
            ("src/main.rs", "src/main.rs"),
            ("/rustc/abc/library/std/src/thread.rs", "/rustc/abc/library/std/src/thread.rs"),
            (
                "/home/kim/.cargo/registry/src/index-1/hyper-1.2.3/src/a.rs",
                "/root-1/registry/src/index-1/hyper-1.2.3/src/a.rs",
            ),
            (
                "/home/kim/.cargo/registry/src/index-1/h2-0.4.0/src/b.rs",
                "/root-1/registry/src/index-1/h2-0.4.0/src/b.rs",
            ),
            ("/home/kim/code/relay/src/net/conn.rs", "/root-2/relay/src/net/conn.rs"),
            ("C:\\Users\\kim\\relay\\src\\main.rs", "/root-3/relay/src/main.rs"),
        ];
        for (file, expected) in cases {
            assert_eq!(names.path(file), expected);
        }
    }

    #[test]
    fn addresses_in_names_are_replaced_and_clock_times_are_not() {
        let names = names();
        assert_eq!(names.words("conn 10.0.0.7:443"), "conn [address]:443");
        assert_eq!(names.words("conn fe80:0:0:1::7"), "conn [address]");
        assert_eq!(names.words("at 12:30:11, v1.2.3"), "at 12:30:11, v1.2.3");
    }
    #[test]
    fn of_a_host_context_only_figures_are_left() {
        let secret = || "kim@relay-7 /srv/kim 10.0.0.7".to_owned();
        let full = HostContext {
            container: Some(ContainerState {
                name: secret(),
                restarts: Some(3),
                started: Some(secret()),
                ..Default::default()
            }),
            process: Some(ProcessState { pid: 4711, name: secret(), fds: Some(9), ..Default::default() }),
            health: Some(Health { url: secret(), error: Some(secret()), ..Default::default() }),
            log: Some(LogTail { source: secret(), errors: 2, last_errors: vec![secret()], ..Default::default() }),
            unseen: vec![Unseen { what: "log".to_owned(), why: secret() }],
            ..HostContext::default()
        };
        let redacted = context(&full);
        let text = serde_json::to_string(&redacted).unwrap();
        for word in ["kim", "relay-7", "/srv", "10.0.0.7", "4711"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(redacted.process.unwrap().fds, Some(9));
        assert_eq!((redacted.container.unwrap().restarts, redacted.log.unwrap().errors), (Some(3), 2));
    }
}
