//! Inventory, patterns and settings resolved into what will be done. After this nothing asks for a default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::inventory::{ConsoleSetting, DEFAULT_PORT, DirectTarget, Inventory, Pattern, PatternError, Transport, Vars};
use crate::model::{Endpoint, HostName, InvalidName, Route, Service, SshDestination, Target, TargetId};
use crate::source::Complaints;

/// What a run will do: which targets, how they are reached, and within which bounds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every target, ordered by id, without duplicates.
    pub targets: Vec<Target>,
    /// The bounds of the run.
    pub budget: Budget,
    /// How `ssh` is called.
    pub ssh: SshSettings,
}

/// What we add to the user's own ssh configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// `ssh -F`: used instead of the user's own configuration.
    pub config: Option<PathBuf>,
    /// `ssh -o`, each `Keyword=value`.
    pub options: Vec<String>,
}

/// Every bound of a run. A bound that is hit is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Hosts in flight at once.
    pub forks: usize,
    /// Handshakes at once through one jump host: sshd sheds more than ten unauthenticated ones.
    pub forks_per_jump_host: usize,
    /// Handshakes at once to one server.
    pub forks_per_server: usize,
    /// TCP connection and SSH banner.
    pub connect: Duration,
    /// From the start of `ssh` until it is authenticated.
    pub authenticate: Duration,
    /// From opening the forward to the first byte of the console.
    pub first_byte: Duration,
    /// From subscribing to the first update: a console whose state is too large tries to make it fit, again and again,
    /// before it gives up and joins us to its next tick.
    pub first_update: Duration,
    /// How much of the target's time must lie between the first and the last update; zero takes the first alone.
    pub window: Duration,
    /// Longest silence between updates.
    pub stall: Duration,
    /// Everything for one host.
    pub host_total: Duration,
    /// The whole run.
    pub deadline: Option<Duration>,
    /// Attempts for failures that can heal, the first included.
    pub attempts: u32,
    /// Largest message accepted, in bytes.
    pub max_message_bytes: usize,
    /// Most bytes taken from one target.
    pub max_target_bytes: u64,
    /// Most tasks, resources and async ops kept of one target.
    pub max_entities: usize,
    /// Tasks of one target whose histograms are fetched.
    pub max_details: usize,
    /// Neutral calls per target that make a lagging console catch up; zero turns that off.
    pub max_catch_up_calls: u32,
    /// Whether the server is asked about the program beside its console.
    pub host_context: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            forks: 64,
            forks_per_jump_host: 8,
            forks_per_server: 4,
            connect: Duration::from_secs(10),
            authenticate: Duration::from_secs(15),
            first_byte: Duration::from_secs(5),
            first_update: Duration::from_secs(20),
            window: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            host_total: Duration::from_secs(60),
            deadline: None,
            attempts: 3,
            max_message_bytes: 256 << 20,
            max_target_bytes: 1 << 30,
            max_entities: 2_000_000,
            max_details: 16,
            max_catch_up_calls: 500,
            host_context: true,
        }
    }
}

/// Which hosts of an inventory.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Their union is selected.
    pub patterns: Vec<Pattern>,
    /// Consoles named on the command line, taken as they are beside what the patterns select.
    pub direct: Vec<DirectTarget>,
    /// Each keeps only what it selects too.
    pub limit: Vec<Pattern>,
    /// None of these.
    pub exclude: Vec<Pattern>,
    /// Only so many, spread evenly over the selected.
    pub pick: Option<usize>,
    /// Only this part, as index (from 0) and number of parts, by a stable hash of the host's name.
    pub shard: Option<(u32, u32)>,
    /// Only targets that failed in an earlier run; without patterns and inventory, as they were planned then.
    pub rerun: Option<Vec<Target>>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing was asked for.
    #[error("which hosts? Name some, or `all`{}", if groups.is_empty() { String::new() } else { format!("; groups: {groups}") })]
    NoPattern {
        /// The groups that there are.
        groups: String,
    },
    /// A pattern is wrong or selects nothing.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Without an inventory, a pattern must be a plain name.
    #[error("`{0}` needs an inventory (`-i`); without one, hosts are named as in your ssh config")]
    NeedsInventory(String),
    /// Without an inventory, a name must be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Settings of the selected hosts that cannot be used as they stand.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Unusable(Vec<Complaints>),
    /// All patterns together select no host.
    #[error("no host is left after `--limit`, `--exclude`, `--pick` and `--shard`")]
    NothingLeft,
}

/// Resolves hosts and settings into targets. Without an inventory, every name is an alias of the user's ssh config.
///
/// # Errors
/// When nothing, or nothing that exists, is selected.
pub fn plan(
    inventory: Option<&Inventory>,
    selection: &Selection,
    budget: Budget,
    ssh: SshSettings,
) -> Result<Plan, PlanError> {
    if let (None, Some(failed), true) = (inventory, &selection.rerun, selection.patterns.is_empty()) {
        let targets = again(failed, selection)?;
        return Ok(Plan { targets, budget, ssh });
    }
    let aliases;
    let inventory = match inventory {
        Some(inventory) => inventory,
        None => {
            aliases = from_aliases(selection)?;
            &aliases
        }
    };
    let hosts = select(inventory, selection)?;
    let mut targets = targets_of(inventory, hosts)?;
    targets.extend(selection.direct.iter().map(direct));
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    targets.dedup_by(|a, b| a.id == b.id);
    if let Some(failed) = &selection.rerun {
        keep_failed(&mut targets, failed);
        if targets.is_empty() {
            return Err(PlanError::NothingLeft);
        }
    }
    Ok(Plan { targets, budget, ssh })
}

/// Failed targets as they were planned, narrowed by what does not need an inventory.
fn again(failed: &[Target], selection: &Selection) -> Result<Vec<Target>, PlanError> {
    let hosts = Inventory::of_hosts(failed.iter().map(|target| target.id.host.clone()));
    let all = Selection { patterns: vec![Pattern::parse("all")?], ..selection.clone() };
    let kept: BTreeSet<_> = select(&hosts, &all)?.into_iter().collect();
    let mut targets: Vec<_> = failed.iter().filter(|target| kept.contains(&target.id.host)).cloned().collect();
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(targets)
}

/// A replica of a container has an id that is not planned: then its host's targets that were not planned so are kept.
fn keep_failed(targets: &mut Vec<Target>, failed: &[Target]) {
    let planned: BTreeSet<_> = targets.iter().map(|target| target.id.clone()).collect();
    let unplanned = |host: &HostName| failed.iter().any(|gone| gone.id.host == *host && !planned.contains(&gone.id));
    targets.retain(|target| failed.iter().any(|gone| gone.id == target.id) || unplanned(&target.id.host));
}

fn targets_of(inventory: &Inventory, hosts: Vec<&HostName>) -> Result<Vec<Target>, PlanError> {
    let (mut found, mut complaints) = (Vec::new(), Vec::new());
    for host in hosts {
        match inventory.vars(host) {
            Ok(vars) => found.extend(targets(host, &vars)),
            Err(wrong) => complaints.extend(wrong),
        }
    }
    // What a group sets is wrong once, not once per host.
    let mut once = Vec::new();
    complaints.into_iter().for_each(|complaint| {
        if !once.contains(&complaint) {
            once.push(complaint)
        }
    });
    if once.is_empty() { Ok(found) } else { Err(PlanError::Unusable(once)) }
}

fn from_aliases(selection: &Selection) -> Result<Inventory, PlanError> {
    let mut names = Vec::new();
    for pattern in &selection.patterns {
        let plain = pattern.plain_names().filter(|names| !names.contains(&"all"));
        for name in plain.ok_or_else(|| PlanError::NeedsInventory(pattern.to_string()))? {
            names.push(name.parse()?);
        }
    }
    Ok(Inventory::of_hosts(names))
}

fn select<'a>(inventory: &'a Inventory, selection: &Selection) -> Result<Vec<&'a HostName>, PlanError> {
    if selection.patterns.is_empty() && !selection.direct.is_empty() {
        return Ok(Vec::new());
    }
    if selection.patterns.is_empty() {
        let groups: Vec<_> = inventory.groups().map(|group| group.as_str()).collect();
        return Err(PlanError::NoPattern { groups: groups.join(", ") });
    }
    let mut selected = BTreeSet::new();
    for pattern in &selection.patterns {
        selected.extend(pattern.select(inventory)?);
    }
    for pattern in &selection.limit {
        let kept = pattern.select(inventory)?;
        selected.retain(|host| kept.contains(host));
    }
    for pattern in &selection.exclude {
        let left_out = pattern.select(inventory)?;
        selected.retain(|host| !left_out.contains(host));
    }
    if let Some((index, of)) = selection.shard {
        selected.retain(|host| shard(host, of) == index);
    }
    let selected: Vec<_> = selected.into_iter().collect();
    let picked = match selection.pick {
        Some(pick) if pick < selected.len() => (0..pick).map(|at| selected[at * selected.len() / pick]).collect(),
        _ => selected,
    };
    // An empty shard of a small fleet is no mistake of whoever asked for it.
    if picked.is_empty() && selection.shard.is_none() { Err(PlanError::NothingLeft) } else { Ok(picked) }
}

/// The part that a host belongs to: FNV-1a of its name, 64 bits, modulo the number of parts. Never changes.
fn shard(host: &HostName, of: u32) -> u32 {
    let hash = host
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u32::try_from(hash % u64::from(of.max(1))).unwrap_or(0)
}

fn targets(host: &HostName, vars: &Vars) -> Vec<Target> {
    let direct = vars.transport == Some(Transport::Direct);
    let address = vars.ansible_host.as_ref().unwrap_or(host);
    let route = if direct { Route::Direct } else { Route::Ssh(destination(address, vars)) };
    let endpoint = |setting: &ConsoleSetting| match setting {
        ConsoleSetting::Endpoint(endpoint) => endpoint.clone(),
        ConsoleSetting::Port(port) => {
            let host = if direct { address.to_string() } else { "127.0.0.1".to_owned() };
            Endpoint::Tcp { host, port: *port }
        }
    };
    let target = |console: Option<&String>, service: Option<&String>, setting: &ConsoleSetting| Target {
        id: TargetId { host: host.clone(), console: console.cloned() },
        service: Service(service.or(vars.service.as_ref()).cloned().unwrap_or_default()),
        route: route.clone(),
        endpoint: endpoint(setting),
        attributes: vars.attributes.clone(),
        thresholds: vars.thresholds.clone(),
        health_url: vars.health_url.clone(),
        log: vars.log.clone(),
    };
    match &vars.consoles {
        Some(consoles) => consoles
            .iter()
            .map(|(name, console)| target(Some(name), console.service.as_ref(), &console.setting))
            .collect(),
        None => vec![target(None, None, vars.console.as_ref().unwrap_or(&ConsoleSetting::Port(DEFAULT_PORT)))],
    }
}

fn direct(named: &DirectTarget) -> Target {
    Target {
        id: named.id.clone(),
        service: Service::default(),
        route: Route::Direct,
        endpoint: named.endpoint.clone(),
        attributes: BTreeMap::new(),
        thresholds: BTreeMap::new(),
        health_url: None,
        log: None,
    }
}

fn destination(address: &HostName, vars: &Vars) -> SshDestination {
    let words = [&vars.common_args, &vars.extra_args];
    SshDestination {
        host: address.clone(),
        user: vars.ansible_user.clone(),
        port: vars.ansible_port,
        identity_file: vars.private_key_file.clone(),
        extra_args: words.into_iter().flatten().flatten().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Plan, PlanError, Selection, SshSettings, plan, shard};
    use crate::inventory::{DirectTarget, Inventory, Pattern};
    use crate::model::Route;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn planned(inventory: Option<&Inventory>, selection: &Selection) -> Result<Plan, PlanError> {
        plan(inventory, selection, Budget::default(), SshSettings::default())
    }

    fn ids(plan: &Plan) -> Vec<String> {
        plan.targets.iter().map(|target| target.id.to_string()).collect()
    }

    fn fleet() -> Inventory {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        let text = "
web:
  hosts: {'web[1:6]': {}, web7: {transport: direct, ansible_host: 10.0.0.7}}
  vars: {console: 6670, ansible_user: deploy}
db:
  hosts: {db1: {consoles: {api: 7000, jobs: {console: '10.1.1.1:7001', service: jobs}}, service: db, region: eu}}
";
        std::fs::write(file.path(), text).unwrap();
        Inventory::load(&[file.path().display().to_string()]).unwrap()
    }

    #[test]
    fn without_an_inventory_names_are_ssh_aliases() {
        let plan =
            planned(None, &Selection { patterns: patterns(&["relay-2", "communities"]), ..Selection::default() })
                .unwrap();
        assert_eq!(ids(&plan), ["communities", "relay-2"]);
        assert_eq!(plan.targets[1].endpoint.to_string(), "127.0.0.1:6669");
        assert!(matches!(&plan.targets[1].route, Route::Ssh(destination) if destination.host.as_str() == "relay-2"));
        for needs in ["web*", "all", "a:!b"] {
            let refused =
                planned(None, &Selection { patterns: patterns(&[needs]), ..Selection::default() }).unwrap_err();
            assert_eq!(refused, PlanError::NeedsInventory(needs.into()));
        }
    }

    #[test]
    fn settings_become_routes_and_endpoints() {
        let fleet = fleet();
        let plan = planned(Some(&fleet), &Selection { patterns: patterns(&["all"]), ..Selection::default() }).unwrap();
        let target = |id: &str| plan.targets.iter().find(|target| target.id.to_string() == id).unwrap();
        assert_eq!(target("web1").endpoint.to_string(), "127.0.0.1:6670");
        assert!(matches!(&target("web1").route, Route::Ssh(ssh) if ssh.user.as_ref().unwrap().as_str() == "deploy"));
        assert_eq!(
            (target("web7").endpoint.to_string(), &target("web7").route),
            ("10.0.0.7:6670".into(), &Route::Direct)
        );
        assert_eq!((target("db1/api").service.0.as_str(), target("db1/jobs").service.0.as_str()), ("db", "jobs"));
        assert_eq!(target("db1/api").attributes["region"], "eu");
        assert_eq!(target("db1/api").route, target("db1/jobs").route, "they share a session");
    }

    #[test]
    fn consoles_of_the_command_line_need_no_inventory() {
        let direct = |texts: &[&str]| {
            let direct = texts.iter().map(|text| DirectTarget::parse(text).unwrap().unwrap()).collect();
            Selection { direct, ..Selection::default() }
        };
        let alone = planned(None, &direct(&["http://localhost:6669", "docker:app", "http://localhost:6669"])).unwrap();
        assert_eq!(ids(&alone), ["localhost/6669", "localhost/docker:app:6669"]);
        assert!(alone.targets.iter().all(|target| target.route == Route::Direct));
        let mut beside = direct(&["unix:/run/app.sock"]);
        beside.patterns = patterns(&["db"]);
        let beside = planned(Some(&fleet()), &beside).unwrap();
        assert_eq!(ids(&beside), ["db1/api", "db1/jobs", "localhost/unix:/run/app.sock"]);
    }

    #[test]
    fn containers_are_on_the_server_or_on_this_machine() {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        let text = "all: {hosts: {web1: {console: 'docker:app'}, here: {console: 'docker:app', transport: direct}}}";
        std::fs::write(file.path(), text).unwrap();
        let inventory = Inventory::load(&[file.path().display().to_string()]).unwrap();
        let all = Selection { patterns: patterns(&["all"]), ..Selection::default() };
        let plan = planned(Some(&inventory), &all).unwrap();
        assert_eq!(ids(&plan), ["here", "web1"]);
        assert_eq!(plan.targets[0].endpoint, plan.targets[1].endpoint);
        assert_eq!(plan.targets[0].route, Route::Direct);
        assert!(matches!(plan.targets[1].route, Route::Ssh(_)));
    }

    #[test]
    fn selections_narrow() {
        let fleet = fleet();
        let some = |change: &dyn Fn(&mut Selection)| {
            let mut selection = Selection { patterns: patterns(&["web"]), ..Selection::default() };
            change(&mut selection);
            planned(Some(&fleet), &selection).map(|plan| ids(&plan))
        };
        assert_eq!(some(&|s| s.limit = patterns(&["web1,web2,db1"])).unwrap(), ["web1", "web2"]);
        assert_eq!(some(&|s| s.exclude = patterns(&["web[1:6]"])).unwrap(), ["web1"], "a subscript counts hosts");
        assert_eq!(some(&|s| s.pick = Some(2)).unwrap(), ["web1", "web4"]);
        assert_eq!(some(&|s| s.limit = patterns(&["db"])), Err(PlanError::NothingLeft));
        assert_eq!(some(&|s| s.patterns.clear()), Err(PlanError::NoPattern { groups: "db, web".into() }));
        let mut parts: Vec<_> = (0..3).flat_map(|index| some(&|s| s.shard = Some((index, 3))).unwrap()).collect();
        parts.sort();
        assert_eq!(parts, some(&|_| {}).unwrap(), "every host is in exactly one shard");
    }

    #[test]
    fn shards_never_move() {
        let shards: Vec<_> =
            ["relay-1", "relay-2", "db"].iter().map(|host| shard(&host.parse().unwrap(), 1000)).collect();
        assert_eq!(shards, [524, 157, 371]);
    }
}
