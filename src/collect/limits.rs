//! How many handshakes may run at once to one server, and through one jump host: sshd sheds what is more than a few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::sleep;

use super::command::{Limits, run_here};
use super::ssh;
use crate::model::{Failure, Reason, SshDestination};
use crate::plan::{Budget, SshSettings};
use crate::ssh_config::{Configuration, Place};

/// Handshakes at one place do not all begin in the same instant.
const SPREAD: Duration = Duration::from_millis(30);

/// Turns at servers and jump hosts, for all servers of a run.
pub(super) struct Turns {
    per_server: usize,
    per_jump_host: usize,
    /// So few servers that they cannot be too many anywhere, wherever they are.
    few: bool,
    /// As many that need not wait until `ssh` was asked.
    unasked: Semaphore,
    /// The user's configuration, where it is plain.
    plain: OnceLock<Option<Configuration>>,
    /// Whether it was found to say of one destination what `ssh` says.
    holds: OnceCell<bool>,
    queues: Mutex<HashMap<Queue, Line>>,
}

/// Where handshakes wait for their turn.
#[derive(Clone)]
struct Line {
    turns: Arc<Semaphore>,
    places: usize,
}

/// What handshakes of one destination wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Queue {
    /// A server, by what `ssh` connects to.
    Server(String),
    /// A jump host, by what leads to it.
    JumpHost(String),
}

/// The turns that one destination needs.
pub(super) struct Needed(Vec<Line>);

impl Turns {
    /// For a run over so many `servers`.
    pub(super) fn new(budget: &Budget, servers: usize) -> Self {
        let few = budget.forks_per_server.min(budget.forks_per_jump_host);
        Self {
            per_server: budget.forks_per_server,
            per_jump_host: budget.forks_per_jump_host,
            few: servers <= few,
            unasked: Semaphore::new(few),
            plain: OnceLock::new(),
            holds: OnceCell::new(),
            queues: Mutex::default(),
        }
    }

    /// What `destination` has to wait for.
    ///
    /// # Errors
    /// When `ssh` cannot even read its configuration, or is not there.
    pub(super) async fn of(&self, destination: &SshDestination, settings: &SshSettings) -> Result<Needed, Failure> {
        let plain = self.plain.get_or_init(|| Configuration::read(settings.config.as_deref()));
        let ours = plain.as_ref().and_then(|plain| read(plain, destination, settings));
        let queues = match ours {
            Some(ours) if self.unasked.try_acquire().map(SemaphorePermit::forget).is_ok() => ours,
            Some(ours) => {
                let compare = async { described(destination, settings).await.map(|told| told == ours) };
                if *self.holds.get_or_try_init(|| compare).await? {
                    ours
                } else {
                    described(destination, settings).await?
                }
            }
            None if self.few => Vec::new(),
            None => described(destination, settings).await?,
        };
        let mut known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |queue: Queue| {
            let places = match &queue {
                Queue::Server(_) => self.per_server,
                Queue::JumpHost(_) => self.per_jump_host,
            };
            let places = places.max(1);
            let line = || Line { turns: Arc::new(Semaphore::new(places)), places };
            known.entry(queue).or_insert_with(line).clone()
        };
        Ok(Needed(queues.into_iter().map(line).collect()))
    }
}

/// What `ssh -G` says of a destination.
async fn described(destination: &SshDestination, settings: &SshSettings) -> Result<Vec<Queue>, Failure> {
    let argv = ssh::describe_arguments(destination, settings);
    let output = run_here(&argv, Limits::default()).await?;
    if output.code == Some(super::command::NO_SUCH_PROGRAM) {
        return Err(Failure::new(Reason::SshMissing, "`ssh` is not there"));
    }
    // Whatever is wrong with the configuration, connecting will say it better.
    Ok(told(&output.text()))
}

/// What the configuration itself says of a destination, where that is plain.
fn read(plain: &Configuration, destination: &SshDestination, settings: &SshSettings) -> Option<Vec<Queue>> {
    let port = destination.port.map(|port| format!("Port={port}"));
    let mut options: Vec<&str> = settings.options.iter().map(String::as_str).chain(port.as_deref()).collect();
    let jump;
    match destination.extra_args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["-J", to] => {
            jump = format!("ProxyJump={to}");
            options.push(&jump);
        }
        ref words if words.len() % 2 == 0 && words.chunks(2).all(|pair| pair[0] == "-o") => {
            options.extend(words.chunks(2).map(|pair| pair[1]));
        }
        _ => return None,
    }
    plain.place(destination.host.as_str(), options.into_iter()).map(queues)
}

impl Needed {
    /// Waits until it is our turn everywhere; always in the same order, so that nobody waits for each other.
    ///
    /// # Errors
    /// None; it has the shape of what can be stopped.
    pub(super) async fn take(&self) -> Result<Vec<OwnedSemaphorePermit>, Failure> {
        let mut permits = Vec::new();
        let mut alone = true;
        for Line { turns, places } in &self.0 {
            alone &= turns.available_permits() == *places;
            // Nobody closes these.
            permits.extend(Arc::clone(turns).acquire_owned().await);
        }
        if !alone {
            let pause = rand::rng().random_range(Duration::ZERO..SPREAD);
            sleep(pause).await;
        }
        Ok(permits)
    }
}

/// Reads what `ssh -G` printed.
fn told(description: &str) -> Vec<Queue> {
    let value = |key: &str| {
        let line = description.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let Some(host_name) = value("hostname") else { return Vec::new() };
    queues(Place {
        host_name,
        port: value("port"),
        proxy_jump: value("proxyjump"),
        proxy_command: value("proxycommand"),
    })
}

/// Where handshakes with a place wait. The jump host comes last: a turn there is scarcer than one at a server.
fn queues(place: Place) -> Vec<Queue> {
    let server = format!("{}:{}", place.host_name.to_ascii_lowercase(), place.port.as_deref().unwrap_or("22"));
    let used = |proxy: Option<String>| proxy.filter(|proxy| proxy != "none");
    if let Some(jump) = used(place.proxy_jump) {
        let hops: Vec<_> = jump.split(',').map(hop).collect();
        // The hops are ordered as they are passed; the first is where all handshakes arrive.
        let first = hops.first().copied().unwrap_or_default().to_owned();
        return vec![Queue::Server(format!("{server} through {}", hops.join(","))), Queue::JumpHost(first)];
    }
    match used(place.proxy_command) {
        None => vec![Queue::Server(server)],
        // The older way to write a jump host.
        Some(command) if is_jump(&command) => {
            vec![Queue::Server(format!("{server} through {command}")), Queue::JumpHost(command)]
        }
        // Where another command leads, only it knows.
        Some(_) => Vec::new(),
    }
}

/// A hop without what may be left out.
fn hop(text: &str) -> &str {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    text.strip_suffix(":22").unwrap_or(text)
}

fn is_jump(command: &str) -> bool {
    let mut words = command.trim_start_matches("exec ").split_whitespace();
    words.next().is_some_and(|program| program == "ssh" || program.ends_with("/ssh"))
        && words.any(|word| word.starts_with("-W") || word == "nc")
}

#[cfg(test)]
mod tests {
    use super::{Queue, read, ssh, told};
    use crate::model::SshDestination;
    use crate::plan::SshSettings;
    use crate::ssh_config::Configuration;
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn servers_and_jump_hosts_are_told_from_what_ssh_says() {
        let server = |name: &str| Queue::Server(name.to_owned());
        let jump = |name: &str| Queue::JumpHost(name.to_owned());
        let table = [
            ("user deploy\nhostname 10.0.0.1\nport 2222\n", vec![server("10.0.0.1:2222")]),
            ("hostname a\nport 22\nproxycommand none\n", vec![server("a:22")]),
            (
                "hostname a\nport 22\nproxyjump deploy@gate:22,inner\n",
                vec![server("a:22 through deploy@gate,inner"), jump("deploy@gate")],
            ),
            (
                "hostname a\nport 22\nproxycommand ssh -q -W %h:%p gate\n",
                vec![server("a:22 through ssh -q -W %h:%p gate"), jump("ssh -q -W %h:%p gate")],
            ),
            ("hostname a\nport 22\nproxycommand tunnel --to %h\n", vec![]),
            ("", vec![]),
        ];
        for (description, expected) in table {
            assert_eq!(told(description), expected, "{description}");
        }
    }

    fn destination(host: &str, extra_args: &[&str]) -> SshDestination {
        SshDestination {
            host: host.parse().unwrap(),
            user: None,
            port: None,
            identity_file: None,
            extra_args: extra_args.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    /// What the configuration says of a host by our own reading, where that is plain, and what `ssh` says.
    fn both(config: &str, destination: &SshDestination, options: &[&str]) -> (Option<Vec<Queue>>, Vec<Queue>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let included = directory.path().join("included");
        fs::write(&included, "Port 77\nHost web-1\n HostName included-%h\nHost *\n ProxyJump from-include\n").unwrap();
        fs::write(&path, config.replace("INCLUDED", &included.display().to_string())).unwrap();
        let settings =
            SshSettings { config: Some(path.clone()), options: options.iter().map(|&text| text.to_owned()).collect() };
        let plain = Configuration::read(Some(&path));
        let read = plain.and_then(|plain| read(&plain, destination, &settings));
        let argv = ssh::describe_arguments(destination, &settings);
        let output = std::process::Command::new(&argv[0]).args(&argv[1..]).output().unwrap();
        (read, told(&String::from_utf8(output.stdout).unwrap()))
    }

    #[test]
    fn what_is_plain_is_read_as_ssh_reads_it() {
        let configs = [
            "",
            "Host web-*\n  HostName %h.example.com\n  Port 2200\nHost *\n  ProxyJump gate:22\n",
            "# one\nPort=2222\nhost = web-1 db !db\nhostname=10.0.0.1\nHOST *\nHostName 10.0.0.2\n",
            "Host web-? !web-2\n ProxyCommand ssh -W %h:%p gate\nHost *\n ProxyJump late\n",
            "Host web-1\n ProxyCommand none\nHost *\n ProxyJump gate\n ProxyCommand ssh gate nc %h %p\n",
            "Host db\n Include INCLUDED\nHost *\n Port 5\n",
            "Include INCLUDED\nHost *\n Port 5\n HostName WWW.example.com\n",
            "Host *\n Include INCLUDED /nowhere/*.conf\nHost db\n HostName after\n",
        ];
        for config in configs {
            for host in ["web-1", "web-2", "db"] {
                for (arguments, options) in [
                    (&[][..], &[][..]),
                    (&["-J", "ssh://me@outer:22,inner"], &["Port 9"]),
                    (&["-o", "ProxyCommand=none", "-o", "HostName=x-%h"], &[]),
                ] {
                    let (read, told) = both(config, &destination(host, arguments), options);
                    assert_eq!(read, Some(told), "{host} {arguments:?} {options:?} of\n{config}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_ssh() {
        let plain = "Host *\n  Port 2\n";
        for config in [
            "Match host web-1\n  Port 3\n",
            "Host \"web-1\"\n",
            "CanonicalizeHostname yes\n",
            "HostName %n.a\n",
            "Include %d/x\n",
        ] {
            assert_eq!(both(config, &destination("web-1", &[]), &[]).0, None, "{config}");
        }
        assert_eq!(both(plain, &destination("web-1", &["-4"]), &[]).0, None);
        assert_eq!(both(plain, &destination("web-1", &[]), &["Match=all"]).0, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_configuration_is_read_otherwise_than_by_ssh(lines in proptest::collection::vec(prop_oneof![
            "Host( !?(web-1|web-\\*|\\*|db|\\?\\?|w\\*1)){1,3}",
            "(HostName|hostname =) (a|b|%h\\.c|10\\.0\\.0\\.1)",
            "Port [1-9][0-9]{0,3}",
            "ProxyJump (none|gate|me@gate:22|a,b:2)",
            "ProxyCommand (none|ssh -W %h:%p gate|other %h)",
            Just("Include INCLUDED".to_owned()),
            Just("User somebody".to_owned()),
        ], 0..8), host in "(web-1|db|other)") {
            let config = lines.join("\n");
            let (read, told) = both(&config, &destination(&host, &[]), &[]);
            prop_assert!(read.is_none() || read == Some(told), "{}", config);
        }
    }
}
