//! What an engine tells about containers, and the ways to a port inside one. Pure.
//!
//! Only the plain array of `inspect` is read, field by field: formats and templates differ between Docker's versions,
//! and between Docker and Podman.

use std::net::IpAddr;

use serde_json::Value;

use super::classify;
use super::listening::{Listening, is_private_to_its_network};
use crate::model::{ContainerState, Failure, Reason};

/// One container, as far as we need to know it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    /// The whole id: hexadecimal digits.
    pub id: String,
    /// Its name, which is safe to hand to a shell and to print.
    pub name: String,
    /// The image as it was named at its creation. Hostile text.
    pub image: String,
    /// The compose service, where it has one. Hostile text.
    pub compose_service: Option<String>,
    /// The main process as its host numbers it.
    pub process: Option<u32>,
    /// What its engine tells about its life.
    pub life: ContainerState,
    state: State,
    network_mode: String,
    /// Where the host publishes ports: port and protocol inside, address and port outside.
    published: Vec<(String, String, u16)>,
    /// Addresses by network, ordered by name.
    addresses: Vec<(String, IpAddr)>,
    /// Place among the replicas of a compose service.
    number: u32,
    /// Whether it was started beside a compose service's replicas, for one command.
    pub is_one_off: bool,
    /// Whether it only holds the network of a pod.
    pub is_infra: bool,
    /// Whether Podman runs it, whatever its command is called: Docker does not name the image beside its digest.
    is_podmans: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Running,
    Paused,
    Other(String),
}

/// One way to a port inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// An address of the container's host.
    Address(String, u16),
    /// A process that joins the container's network, and is otherwise the host's own: needs root.
    NetworkOf(u32),
    /// A process inside the container.
    Inside(String),
}

/// Reads the array that `inspect` prints; entries that are no containers are left out.
pub(super) fn parse(json: &str) -> Vec<Container> {
    let entries: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    let mut containers: Vec<_> = entries.iter().filter_map(container).collect();
    containers.sort_by(|a, b| (a.number, &a.name, &a.id).cmp(&(b.number, &b.name, &b.id)));
    containers.dedup_by(|a, b| a.id == b.id);
    containers
}

/// What `image inspect` calls an image: its id, and whole names of which `image` is a short one.
pub(super) fn names_of_image(json: &str, image: &str) -> Vec<String> {
    let entries: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    let is_bare = !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
    let end = format!("/{image}{}", if is_bare { ":latest" } else { "" });
    let mut names = Vec::new();
    for entry in &entries {
        names.extend(entry["Id"].as_str().filter(|id| is_id(id)).map(str::to_owned));
        let tags = entry["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.extend(tags.filter(|tag| tag.ends_with(&end)).map(str::to_owned));
    }
    names
}

/// Whether `text` is an id, and nothing that a shell or an engine could take for something else.
pub(super) fn is_id(text: &str) -> bool {
    (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 255
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn container(entry: &Value) -> Option<Container> {
    let text = |at: &Value| at.as_str().map(str::to_owned);
    let id = text(&entry["Id"]).filter(|id| is_id(id))?;
    let name = entry["Name"].as_str().map(|name| name.trim_start_matches('/').to_owned());
    let (state, config) = (&entry["State"], &entry["Config"]);
    let labels = &config["Labels"];
    let label = |key: &str| text(&labels[key]).map(|value| classify::detail(&value)).filter(|value| !value.is_empty());
    let status = state["Status"].as_str().unwrap_or_default();
    let name = name.filter(|name| is_name(name)).unwrap_or_else(|| id[..12].to_owned());
    Some(Container {
        life: life(entry, &name),
        name,
        image: classify::detail(config["Image"].as_str().or(entry["ImageName"].as_str()).unwrap_or_default()),
        compose_service: label("com.docker.compose.service"),
        process: state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        state: match (state["Paused"].as_bool(), state["Running"].as_bool()) {
            (Some(true), _) => State::Paused,
            (_, Some(true)) => State::Running,
            _ => State::Other(classify::detail(if status.is_empty() { "not running" } else { status })),
        },
        network_mode: text(&entry["HostConfig"]["NetworkMode"]).unwrap_or_default(),
        published: published(&entry["NetworkSettings"]["Ports"]),
        addresses: addresses(&entry["NetworkSettings"]),
        number: label("com.docker.compose.container-number").and_then(|number| number.parse().ok()).unwrap_or(0),
        is_one_off: label("com.docker.compose.oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        is_podmans: entry["ImageName"].is_string(),
        is_infra: entry["IsInfra"].as_bool() == Some(true),
        id,
    })
}

/// What is told of a container's life; Podman calls one thing differently. Zero stands for "no limit".
fn life(entry: &Value, name: &str) -> ContainerState {
    let (state, limits) = (&entry["State"], &entry["HostConfig"]);
    let word = |at: &Value| at.as_str().map(classify::detail).filter(|text| !text.is_empty());
    let above_zero = |at: &Value| at.as_f64().filter(|number| *number > 0.0);
    let health = if state["Health"].is_object() { &state["Health"] } else { &state["Healthcheck"] };
    let quota = || Some(above_zero(&limits["CpuQuota"])? / above_zero(&limits["CpuPeriod"]).unwrap_or(100_000.0));
    ContainerState {
        name: name.to_owned(),
        status: word(&state["Status"]).unwrap_or_default(),
        restarts: entry["RestartCount"].as_u64(),
        oom_killed: state["OOMKilled"].as_bool(),
        exit_code: state["ExitCode"].as_i64().filter(|_| state["Running"].as_bool() == Some(false)),
        health: word(&health["Status"]).filter(|health| health != "none"),
        started: word(&state["StartedAt"]).filter(|started| !started.starts_with("0001")),
        memory_limit_bytes: limits["Memory"].as_u64().filter(|limit| *limit > 0),
        cpu_limit: above_zero(&limits["NanoCpus"]).map(|nanos| nanos / 1e9).or_else(quota),
    }
}

/// `{"6669/tcp": [{"HostIp": "0.0.0.0", "HostPort": "6669"}], "80/tcp": null}`; an empty list in old Podman.
fn published(ports: &Value) -> Vec<(String, String, u16)> {
    let mut published = Vec::new();
    for (inside, bindings) in ports.as_object().into_iter().flatten() {
        for binding in bindings.as_array().into_iter().flatten() {
            let port = &binding["HostPort"];
            let port =
                port.as_str().and_then(|port| port.parse().ok()).or(port.as_u64().and_then(|p| p.try_into().ok()));
            if let Some(port @ 1..) = port {
                published.push((inside.clone(), binding["HostIp"].as_str().unwrap_or_default().to_owned(), port));
            }
        }
    }
    published
}

fn addresses(settings: &Value) -> Vec<(String, IpAddr)> {
    let mut addresses: Vec<_> = Vec::new();
    for (name, network) in settings["Networks"].as_object().into_iter().flatten() {
        let address =
            ["IPAddress", "GlobalIPv6Address"].iter().find_map(|key| network[*key].as_str()?.parse::<IpAddr>().ok());
        addresses.extend(address.map(|address| (name.clone(), address)));
    }
    if addresses.is_empty() {
        addresses
            .extend(settings["IPAddress"].as_str().and_then(|text| text.parse().ok()).map(|ip| (String::new(), ip)));
    }
    addresses.sort();
    addresses
}

impl Container {
    /// Why nothing inside it can answer, where it does not run.
    pub(super) fn not_running(&self) -> Option<Failure> {
        match &self.state {
            State::Running => None,
            State::Paused => Some(Failure::new(Reason::ContainerPaused, format!("`{}`", self.name))),
            State::Other(state) => {
                Some(Failure::new(Reason::ContainerNotRunning, format!("`{}` is {state}", self.name)))
            }
        }
    }

    /// What the engine calls its state.
    pub(super) fn state(&self) -> String {
        match &self.state {
            State::Running => "running".to_owned(),
            State::Paused => "paused".to_owned(),
            State::Other(state) => state.clone(),
        }
    }

    pub(super) fn is_on_host_network(&self) -> bool {
        self.network_mode == "host"
    }

    /// Every address of the host at which `port` is published.
    pub(super) fn published_for(&self, port: u16) -> Vec<String> {
        let inside = format!("{port}/tcp");
        let here = self.published.iter().filter(|(published, ..)| *published == inside);
        let every = |address: &str| if address.is_empty() { "0.0.0.0".to_owned() } else { address.to_owned() };
        here.filter_map(|(_, address, port)| every(address).parse::<IpAddr>().ok().map(|ip| (ip, *port)))
            .map(|(ip, port)| std::net::SocketAddr::new(ip, port).to_string())
            .collect()
    }

    /// An address at which its host reaches it.
    pub(super) fn host_address(&self) -> String {
        self.address(None).map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string())
    }

    /// The container whose network it shares, where it does.
    pub(super) fn network_of(&self) -> Option<&str> {
        self.network_mode.strip_prefix("container:")
    }

    /// The same container with the ports and addresses of `other`, whose network it shares.
    pub(super) fn within(mut self, other: Self) -> Self {
        self.published = other.published;
        self.addresses = other.addresses;
        self.network_mode = other.network_mode;
        self
    }

    /// The ways to `port`, best first. `listening` is what listens in its network, where that could be seen; then what
    /// cannot work is left out. `network` limits the addresses that are tried to the one on that network.
    ///
    /// # Errors
    /// When nothing in the container listens on the port.
    pub(super) fn ways(
        &self,
        port: u16,
        network: Option<&str>,
        listening: Option<&Listening>,
        is_root: bool,
    ) -> Result<Vec<Way>, Failure> {
        let bound = listening.map(|listening| listening.on(port));
        if let (Some(bound), Some(listening)) = (&bound, listening)
            && bound.is_empty()
        {
            let detail =
                format!("in container `{}` nothing listens on {port}; {} does", self.name, listening.describe());
            return Err(Failure::new(Reason::NothingListening, detail));
        }
        if self.is_on_host_network() {
            let bound = bound.unwrap_or_default();
            let host = match bound.iter().find(|address| address.is_unspecified() || address.is_loopback()) {
                Some(IpAddr::V6(address)) if address.is_loopback() => "::1".to_owned(),
                None if !bound.is_empty() => bound[0].to_string(),
                _ => "127.0.0.1".to_owned(),
            };
            return Ok(vec![Way::Address(host, port)]);
        }
        let mut ways = Vec::new();
        let open = bound.as_ref().is_none_or(|bound| !bound.iter().all(is_private_to_its_network));
        if open {
            ways.extend(self.published_at(port));
            // The networks of a user's own Podman are not the host's, where the same address may be somebody else.
            if is_root || !self.is_podmans {
                ways.extend(self.address(network).map(|address| Way::Address(address.to_string(), port)));
            }
        }
        // Seeing what listens is how we know that the process is really the container's.
        if let (true, Some(_), Some(process)) = (is_root, listening, self.process) {
            ways.push(Way::NetworkOf(process));
        }
        ways.push(Way::Inside(self.id.clone()));
        Ok(ways)
    }

    /// Where the host takes connections for `port`: IPv4 before IPv6.
    fn published_at(&self, port: u16) -> Option<Way> {
        let inside = format!("{port}/tcp");
        let here = self.published.iter().filter(|(published, ..)| *published == inside);
        let mut found: Vec<_> = here
            .map(|(_, address, port)| match address.as_str() {
                "" | "0.0.0.0" => ("127.0.0.1".to_owned(), *port),
                "::" => ("::1".to_owned(), *port),
                other => (other.to_owned(), *port),
            })
            .filter(|(address, _)| address.parse::<IpAddr>().is_ok())
            .collect();
        found.sort_by_key(|(address, _)| address.contains(':'));
        found.into_iter().next().map(|(address, port)| Way::Address(address, port))
    }

    fn address(&self, network: Option<&str>) -> Option<IpAddr> {
        let wanted = |name: &str| network.is_none_or(|network| network == name);
        self.addresses.iter().find(|(name, _)| wanted(name)).map(|(_, address)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::{Container, Way, is_id, names_of_image, parse};
    use crate::collect::listening::Listening;
    use crate::model::Reason;

    const ID: &str = "1212f04b8870c38fcf99fdf961e6548962146a3de58f328ee8c13213edf84c93";

    fn one(settings: &str, mode: &str) -> Container {
        let json = format!(
            r#"[{{"Id": "{ID}", "Name": "/app", "State": {{"Status": "running", "Running": true, "Paused": false, "Pid": 77}},
                "Config": {{"Image": "relay:1", "Labels": null}}, "HostConfig": {{"NetworkMode": "{mode}"}}, "NetworkSettings": {settings}}}]"#
        );
        parse(&json).remove(0)
    }

    fn listening(address: &str) -> Listening {
        Listening::parse(&format!("  sl  local_address rem\n   0: {address}:1A0D 00000000:0000 0A\n")).unwrap()
    }

    fn address(host: &str, port: u16) -> Way {
        Way::Address(host.to_owned(), port)
    }

    #[test]
    fn each_form_of_a_published_port_becomes_an_address_of_the_host() {
        let table = [
            (r#"[{"HostIp": "0.0.0.0", "HostPort": "7000"}]"#, "127.0.0.1"),
            (r#"[{"HostIp": "", "HostPort": "7000"}]"#, "127.0.0.1"),
            (r#"[{"HostIp": "::", "HostPort": "7000"}, {"HostIp": "0.0.0.0", "HostPort": "7000"}]"#, "127.0.0.1"),
            (r#"[{"HostIp": "::", "HostPort": "7000"}]"#, "::1"),
            (r#"[{"HostIp": "127.0.0.5", "HostPort": "7000"}]"#, "127.0.0.5"),
            (r#"[{"HostIp": "", "HostPort": 7000}]"#, "127.0.0.1"),
        ];
        for (bindings, host) in table {
            let container = one(&format!(r#"{{"Ports": {{"6669/tcp": {bindings}, "80/tcp": null}}}}"#), "bridge");
            let ways = container.ways(6669, None, None, false).unwrap();
            assert_eq!(ways, [address(host, 7000), Way::Inside(ID.into())], "{bindings}");
        }
        let hostile = one(r#"{"Ports": {"6669/tcp": [{"HostIp": "$(id)", "HostPort": "7000"}]}}"#, "bridge");
        assert_eq!(hostile.ways(6669, None, None, false).unwrap(), [Way::Inside(ID.into())]);
    }

    #[test]
    fn an_unpublished_port_is_reached_at_the_containers_address() {
        let settings = r#"{"Ports": [], "IPAddress": "", "Networks": {"b": {"IPAddress": "172.18.0.3"}, "a": {"IPAddress": ""},
            "c": {"IPAddress": "172.19.0.3"}}}"#;
        let container = one(settings, "b");
        let first = |network| container.ways(6669, network, None, false).unwrap().remove(0);
        assert_eq!(first(None), address("172.18.0.3", 6669));
        assert_eq!(first(Some("c")), address("172.19.0.3", 6669));
        assert_eq!(first(Some("none")), Way::Inside(ID.into()));
        assert_eq!(one(r#"{"IPAddress": "172.17.0.9"}"#, "").ways(6669, None, None, false).unwrap().len(), 2);
    }

    #[test]
    fn the_networks_of_a_users_own_podman_are_not_the_hosts() {
        let mut container = one(r#"{"Networks": {"b": {"IPAddress": "10.89.0.3"}}}"#, "bridge");
        assert!(container.ways(6669, None, None, false).unwrap().contains(&address("10.89.0.3", 6669)), "Docker's are");
        container.is_podmans = true;
        assert_eq!(container.ways(6669, None, None, false).unwrap(), [Way::Inside(ID.into())]);
        assert!(container.ways(6669, None, None, true).unwrap().contains(&address("10.89.0.3", 6669)));
    }

    #[test]
    fn what_listens_decides_which_ways_there_are() {
        let settings = r#"{"Ports": {"6669/tcp": [{"HostIp": "", "HostPort": "6669"}]}, "Networks": {"b": {"IPAddress": "172.18.0.3"}}}"#;
        let container = one(settings, "b");
        let any = container.ways(6669, None, Some(&listening("00000000")), true).unwrap();
        assert_eq!(
            any,
            [address("127.0.0.1", 6669), address("172.18.0.3", 6669), Way::NetworkOf(77), Way::Inside(ID.into())]
        );
        let loopback = Some(listening("0100007F"));
        assert_eq!(
            container.ways(6669, None, loopback.as_ref(), true).unwrap(),
            [Way::NetworkOf(77), Way::Inside(ID.into())]
        );
        assert_eq!(container.ways(6669, None, loopback.as_ref(), false).unwrap(), [Way::Inside(ID.into())]);
        let nothing = container.ways(7000, None, loopback.as_ref(), true).unwrap_err();
        assert_eq!(nothing.reason, Reason::NothingListening);
        assert!(nothing.detail.contains("127.0.0.1:6669"), "{}", nothing.detail);
    }

    #[test]
    fn the_hosts_own_network_is_the_hosts_loopback() {
        let container = one("{}", "host");
        assert_eq!(container.ways(6669, None, None, true).unwrap(), [address("127.0.0.1", 6669)]);
        let elsewhere = container.ways(6669, None, Some(&listening("0500000A")), true).unwrap();
        assert_eq!(elsewhere, [address("10.0.0.5", 6669)]);
    }

    #[test]
    fn an_image_has_the_whole_names_that_end_in_its_short_one() {
        let json = format!(
            r#"[{{"Id": "{ID}", "RepoTags": ["localhost/lab/relay:latest", "localhost/lab/relay:1", "localhost/other/relay:2"]}}, {{"Id": "-x"}}]"#
        );
        assert_eq!(names_of_image(&json, "relay:1"), [ID, "localhost/lab/relay:1"]);
        assert_eq!(names_of_image(&json, "lab/relay"), [ID, "localhost/lab/relay:latest"]);
        assert_eq!(names_of_image(&json, "elay:1"), [ID]);
        assert!(names_of_image("no such image", "relay").is_empty());
    }

    #[test]
    fn replicas_come_in_their_order_and_odd_entries_are_left_out() {
        let entry = |id: char, number: u8, state: &str| {
            format!(
                r#"{{"Id": "{}", "Name": "/p-relay-{number}", "State": {state}, "Config": {{"Labels":
                    {{"com.docker.compose.service": "relay", "com.docker.compose.container-number": "{number}",
                      "com.docker.compose.oneoff": "{}"}}}}}}"#,
                id.to_string().repeat(64),
                if number == 3 { "True" } else { "False" }
            )
        };
        let json = format!(
            r#"[{}, {}, {{"Id": "-rf"}}, 7, {}]"#,
            entry('a', 2, r#"{"Running": true, "Paused": true}"#),
            entry('b', 1, r#"{"Running": true}"#),
            entry('c', 3, r#"{"Running": false, "Status": "exited"}"#),
        );
        let containers = parse(&json);
        let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["p-relay-1", "p-relay-2", "p-relay-3"]);
        assert_eq!(containers.iter().map(|container| container.is_one_off).collect::<Vec<_>>(), [false, false, true]);
        let reasons: Vec<_> = containers.iter().map(|c| c.not_running().map(|failure| failure.reason)).collect();
        assert_eq!(reasons, [None, Some(Reason::ContainerPaused), Some(Reason::ContainerNotRunning)]);
        assert_eq!(containers[0].compose_service.as_deref(), Some("relay"));
        assert!(parse("Error: no such container").is_empty());
        assert!(!is_id("1212F04B8870") && !is_id("1212") && !is_id("1212f04b8870;") && is_id(ID));
    }
}
