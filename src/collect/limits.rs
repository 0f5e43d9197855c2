//! How many handshakes may run at once to one server, and through one jump host: sshd sheds what is more than a few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::command::{Limits, run_here};
use super::ssh;
use crate::model::{Failure, Reason, SshDestination};
use crate::plan::{Budget, SshSettings};

/// Handshakes at one place do not all begin in the same instant.
const SPREAD: Duration = Duration::from_millis(30);

/// Turns at servers and jump hosts, for all servers of a run.
pub(super) struct Turns {
    per_server: usize,
    per_jump_host: usize,
    /// So few servers that they cannot be too many anywhere, wherever they are.
    few: bool,
    queues: Mutex<HashMap<Queue, Place>>,
}

/// Where handshakes wait for their turn.
#[derive(Clone)]
struct Place {
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
pub(super) struct Needed(Vec<Place>);

impl Turns {
    /// For a run over so many `servers`.
    pub(super) fn new(budget: &Budget, servers: usize) -> Self {
        Self {
            per_server: budget.forks_per_server,
            per_jump_host: budget.forks_per_jump_host,
            few: servers <= budget.forks_per_server.min(budget.forks_per_jump_host),
            queues: Mutex::default(),
        }
    }

    /// What `destination` has to wait for, as `ssh -G` tells; nothing, without asking, in a small run.
    ///
    /// # Errors
    /// When `ssh` cannot even read its configuration, or is not there.
    pub(super) async fn of(&self, destination: &SshDestination, settings: &SshSettings) -> Result<Needed, Failure> {
        if self.few {
            return Ok(Needed(Vec::new()));
        }
        let argv = ssh::describe_arguments(destination, settings);
        let output = run_here(&argv, Limits::default()).await?;
        if output.code == Some(super::command::NO_SUCH_PROGRAM) {
            return Err(Failure::new(Reason::SshMissing, "`ssh` is not there"));
        }
        // Whatever is wrong with the configuration, connecting will say it better.
        let queues = queues(&output.text());
        let mut known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |queue: Queue| {
            let places = match &queue {
                Queue::Server(_) => self.per_server,
                Queue::JumpHost(_) => self.per_jump_host,
            };
            let places = places.max(1);
            let place = || Place { turns: Arc::new(Semaphore::new(places)), places };
            known.entry(queue).or_insert_with(place).clone()
        };
        Ok(Needed(queues.into_iter().map(place).collect()))
    }
}

impl Needed {
    /// Waits until it is our turn everywhere; always in the same order, so that nobody waits for each other.
    ///
    /// # Errors
    /// None; it has the shape of what can be stopped.
    pub(super) async fn take(&self) -> Result<Vec<OwnedSemaphorePermit>, Failure> {
        let mut permits = Vec::new();
        let mut alone = true;
        for Place { turns, places } in &self.0 {
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

/// Reads what `ssh -G` printed. The jump host comes last: a place there is scarcer than one at a server.
pub(super) fn queues(description: &str) -> Vec<Queue> {
    let value = |key: &str| {
        let line = description.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.map(str::trim).filter(|value| !value.is_empty() && *value != "none")
    };
    let Some(host) = value("hostname") else { return Vec::new() };
    let server = format!("{host}:{}", value("port").unwrap_or("22"));
    if let Some(jump) = value("proxyjump") {
        // The hops are ordered as they are passed; the first is where all handshakes arrive.
        let first = jump.split(',').next().unwrap_or(jump);
        return vec![Queue::Server(format!("{server} through {jump}")), Queue::JumpHost(first.to_owned())];
    }
    match value("proxycommand") {
        None => vec![Queue::Server(server)],
        // The older way to write a jump host.
        Some(command) if is_jump(command) => {
            vec![Queue::Server(format!("{server} through {command}")), Queue::JumpHost(command.to_owned())]
        }
        // Where another command leads, only it knows.
        Some(_) => Vec::new(),
    }
}

fn is_jump(command: &str) -> bool {
    let mut words = command.trim_start_matches("exec ").split_whitespace();
    words.next().is_some_and(|program| program == "ssh" || program.ends_with("/ssh"))
        && words.any(|word| word.starts_with("-W") || word == "nc")
}

#[cfg(test)]
mod tests {
    use super::{Queue, queues};

    #[test]
    fn servers_and_jump_hosts_are_told_from_what_ssh_says() {
        let server = |name: &str| Queue::Server(name.to_owned());
        let jump = |name: &str| Queue::JumpHost(name.to_owned());
        let table = [
            ("user deploy\nhostname 10.0.0.1\nport 2222\n", vec![server("10.0.0.1:2222")]),
            ("hostname a\nport 22\nproxycommand none\n", vec![server("a:22")]),
            (
                "hostname a\nport 22\nproxyjump deploy@gate:22,inner\n",
                vec![server("a:22 through deploy@gate:22,inner"), jump("deploy@gate:22")],
            ),
            (
                "hostname a\nport 22\nproxycommand ssh -q -W %h:%p gate\n",
                vec![server("a:22 through ssh -q -W %h:%p gate"), jump("ssh -q -W %h:%p gate")],
            ),
            ("hostname a\nport 22\nproxycommand tunnel --to %h\n", vec![]),
            ("", vec![]),
        ];
        for (description, expected) in table {
            assert_eq!(queues(description), expected, "{description}");
        }
    }
}
