//! Where a console listens, as a person says it: `console`, `consoles`, and targets on the command line.

use std::collections::BTreeMap;
use std::path::Path;

use super::vars::{port, text};
use crate::model::{ContainerSelector, Endpoint, Engine, GroupName, HostName, TargetId};
use crate::source::{Node, Source, nearest, shown};

/// The console's port where nothing else is set.
pub(crate) const DEFAULT_PORT: u16 = 6669;

const SHAPES: &str = "a port (6669), an address (127.0.0.1:6670), a socket (unix:/run/app/console.sock) or a container \
                      (docker:NAME, docker:NAME:6670)";

/// Keys of a container, of which exactly one of the first four says which.
pub(super) const CONTAINER_KEYS: &[&str] = &["container", "label", "compose", "image", "port", "network", "engine"];

/// Where a console listens, as the inventory says it.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsoleSetting {
    /// Only a port: on the host's own loopback, or at its address without SSH.
    Port(u16),
    /// A whole endpoint.
    Endpoint(Endpoint),
}

/// A console of a host, with the service that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedConsole {
    /// Where.
    pub setting: ConsoleSetting,
    /// Its program, where that differs from the host's.
    pub service: Option<String>,
}

/// A console that is named on the command line itself and needs neither inventory nor SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectTarget {
    /// Its name in every report.
    pub id: TargetId,
    /// Where it listens.
    pub endpoint: Endpoint,
}

/// Why a text that looks like a direct target is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no console: {why}")]
pub struct DirectTargetError {
    /// What was typed, safe to show.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub why: &'static str,
}

impl DirectTarget {
    /// Reads `http://localhost:6669`, `unix:/run/app.sock` or `docker:NAME[:PORT]`; nothing when `typed` is none of these.
    ///
    /// # Errors
    /// When it begins like one and is none.
    pub fn parse(typed: &str) -> Result<Option<Self>, DirectTargetError> {
        let refuse = |why| DirectTargetError { text: shown(typed), why };
        if typed.starts_with("https://") {
            return Err(refuse("tokio-console speaks plain HTTP/2; write `http://`"));
        }
        if let Some(address) = typed.strip_prefix("http://") {
            return web(address).map(Some).map_err(refuse);
        }
        let local = || "localhost".parse::<HostName>().map_err(|_| refuse("`localhost` is no host name"));
        if let Some(path) = typed.strip_prefix("unix:") {
            let endpoint = socket(path).map_err(refuse)?;
            return Ok(Some(Self { id: TargetId { host: local()?, console: Some(endpoint.to_string()) }, endpoint }));
        }
        let Some(endpoint) = container(typed).transpose().map_err(refuse)? else { return Ok(None) };
        Ok(Some(Self { id: TargetId { host: local()?, console: Some(endpoint.to_string()) }, endpoint }))
    }
}

fn web(address: &str) -> Result<DirectTarget, &'static str> {
    let address = address.strip_suffix('/').unwrap_or(address);
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let with_port = if has_port { address.to_owned() } else { format!("{address}:{DEFAULT_PORT}") };
    let endpoint = tcp(&with_port).ok_or("write `http://HOST:PORT`, for example `http://localhost:6669`")?;
    let Endpoint::Tcp { host, port } = &endpoint else { return Err("write `http://HOST:PORT`") };
    let name = host.parse().map_err(|_| "its host is no host name")?;
    Ok(DirectTarget { id: TargetId { host: name, console: Some(port.to_string()) }, endpoint })
}

/// A path that can be handed to `ssh` and to a socket call.
fn socket(path: &str) -> Result<Endpoint, &'static str> {
    if !Path::new(path).is_absolute() {
        return Err("the socket's path must be absolute, as in `unix:/run/app/console.sock`");
    }
    // 107 bytes are what a socket's address holds.
    if path.len() > 107 || path.contains(char::is_control) {
        return Err("a socket's path has at most 107 bytes, none of them a control character");
    }
    Ok(Endpoint::Unix(path.into()))
}

/// `docker:NAME[:PORT]` or `podman:NAME[:PORT]`; nothing when `text` begins with neither.
fn container(text: &str) -> Option<Result<Endpoint, &'static str>> {
    let (engine, rest) = text.split_once(':')?;
    let engine = [Engine::Docker, Engine::Podman].into_iter().find(|known| known.command() == engine)?;
    let (name, port) = match rest.split_once(':') {
        None => (rest, Some(DEFAULT_PORT)),
        Some((name, port)) => (name, number(port)),
    };
    Some(match port {
        _ if !is_container_name(name) => Err("a container's name or id follows, as in `docker:groups_relay:6669`"),
        None => Err("its port is no number from 1 to 65535"),
        Some(port) => {
            Ok(Endpoint::Container { engine, selector: ContainerSelector::Name(name.to_owned()), port, network: None })
        }
    })
}

/// What Docker and Podman accept as the name of a container or a network.
fn is_container_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 255
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A label or an image: one word that no command takes for an option.
fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 512
        && !word.starts_with('-')
        && !word.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// Reads the variable `console`.
pub(super) fn console(source: &mut Source<'_>, value: &Node) -> Option<ConsoleSetting> {
    if let Some(fields) = value.mapping() {
        source.expect_keys(fields, CONTAINER_KEYS);
        return container_fields(source, value);
    }
    let text = text(source, value)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return port(source, value).map(ConsoleSetting::Port);
    }
    let endpoint = match text.strip_prefix("unix:") {
        Some(path) => socket(path),
        None => container(&text).unwrap_or_else(|| tcp(&text).ok_or(SHAPES)),
    };
    match endpoint {
        Ok(endpoint) => Some(ConsoleSetting::Endpoint(endpoint)),
        Err(instead) => {
            source.complain_with(value.place, format!("`{}` is no console", shown(&text)), instead);
            None
        }
    }
}

fn tcp(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let host: HostName = host.parse().ok()?;
    Some(Endpoint::Tcp { host: host.as_str().to_owned(), port: number(port)? })
}

/// A container by one of its properties; keys were checked by the caller.
fn container_fields(source: &mut Source<'_>, value: &Node) -> Option<ConsoleSetting> {
    let selectors: Vec<_> = CONTAINER_KEYS[..4].iter().filter_map(|key| Some((*key, value.get(key)?))).collect();
    let selector = match selectors.as_slice() {
        [("container", at)] => word(source, at, "name or id", is_container_name).map(ContainerSelector::Name),
        [("label", at)] => word(source, at, "label (`key` or `key=value`)", is_word).map(ContainerSelector::Label),
        [("compose", at)] => compose(source, at),
        [(_, at)] => word(source, at, "image", is_word).map(ContainerSelector::Image),
        [] => {
            let instead = "one of `container: NAME`, `label: KEY=VALUE`, `compose: PROJECT/SERVICE`, `image: IMAGE`";
            source.complain_with(value.place, "this does not say which container", instead);
            None
        }
        [_, (key, at), ..] => {
            let what = format!("`{key}` is one way too many to say which container");
            source.complain_with(at.place, what, "keep one of `container`, `label`, `compose`, `image`");
            None
        }
    };
    let port = value.get("port").map_or(Some(DEFAULT_PORT), |at| port(source, at));
    let network = value.get("network").map(|at| word(source, at, "network", is_container_name));
    let engine = value.get("engine").map_or(Some(Engine::Docker), |at| engine(source, at));
    let network = network.map_or(Some(None), |network| network.map(Some));
    let endpoint = Endpoint::Container { engine: engine?, selector: selector?, port: port?, network: network? };
    Some(ConsoleSetting::Endpoint(endpoint))
}

fn word(source: &mut Source<'_>, value: &Node, what: &str, is_one: fn(&str) -> bool) -> Option<String> {
    let text = text(source, value)?;
    if !is_one(&text) {
        source.complain(value.place, format!("`{}` is no {what} of a container", shown(&text)));
        return None;
    }
    Some(text)
}

fn engine(source: &mut Source<'_>, value: &Node) -> Option<Engine> {
    let text = text(source, value)?;
    let found = [Engine::Docker, Engine::Podman].into_iter().find(|engine| engine.command() == text);
    if found.is_none() {
        let instead = nearest(&text, ["docker", "podman"])
            .map_or("`docker` or `podman`".to_owned(), |near| format!("did you mean `{near}`?"));
        source.complain_with(value.place, format!("no container engine `{}`", shown(&text)), instead);
    }
    found
}

/// `SERVICE`, `PROJECT/SERVICE`, or a mapping with `service` and perhaps `project`.
fn compose(source: &mut Source<'_>, value: &Node) -> Option<ContainerSelector> {
    let (project, service) = match value.mapping() {
        Some(fields) => {
            source.expect_keys(fields, &["project", "service"]);
            let Some(service) = value.get("service") else {
                source.complain_with(value.place, "`service` is missing", "add `service: NAME`");
                return None;
            };
            let project = value.get("project").map(|at| text(source, at));
            (project.map_or(Some(None), |project| project.map(Some))?, text(source, service)?)
        }
        None => {
            let text = text(source, value)?;
            match text.split_once('/') {
                Some((project, service)) => (Some(project.to_owned()), service.to_owned()),
                None => (None, text),
            }
        }
    };
    if !is_container_name(&service) || project.as_deref().is_some_and(|project| !is_container_name(project)) {
        source.complain_with(value.place, "this is no compose service", "`SERVICE` or `PROJECT/SERVICE`");
        return None;
    }
    Some(ContainerSelector::Compose { project, service })
}

/// Reads the variable `consoles`: consoles by name, each as for `console`, or a mapping that adds its `service`.
pub(super) fn consoles(source: &mut Source<'_>, value: &Node) -> Option<BTreeMap<String, NamedConsole>> {
    let Some(entries) = value.mapping() else {
        let what = format!("`consoles` must be a mapping of names to consoles, and is {}", value.kind());
        source.complain_with(value.place, what, "for a single one, write `console: 6669`");
        return None;
    };
    let mut consoles = BTreeMap::new();
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        if let Err(why) = name.parse::<GroupName>() {
            source.complain(key.place, format!("{why}"));
            continue;
        }
        consoles.extend(named_console(source, value).map(|console| (name.to_owned(), console)));
    }
    Some(consoles)
}

fn named_console(source: &mut Source<'_>, value: &Node) -> Option<NamedConsole> {
    let Some(fields) = value.mapping() else {
        return console(source, value).map(|setting| NamedConsole { setting, service: None });
    };
    let service = value.get("service").and_then(|service| text(source, service));
    let setting = match value.get("console") {
        Some(at) => {
            source.expect_keys(fields, &["console", "service"]);
            console(source, at)
        }
        None => {
            source.expect_keys(fields, &[CONTAINER_KEYS, &["console", "service"]].concat());
            if fields.iter().all(|(key, _)| key.text() == Some("service")) {
                source.complain_with(value.place, "`console` is missing", "add `console: 6669`");
                return None;
            }
            container_fields(source, value)
        }
    };
    setting.map(|setting| NamedConsole { setting, service })
}

#[cfg(test)]
mod tests {
    use super::{ConsoleSetting, DirectTarget, console, consoles};
    use crate::model::{ContainerSelector, Endpoint, Engine};
    use crate::source::Source;
    use std::path::Path;

    fn read<T>(text: &str, reader: fn(&mut Source<'_>, &crate::source::Node) -> Option<T>) -> Result<T, String> {
        let mut source = Source::new(Path::new("hosts.yaml"), text);
        let node = source.parse().unwrap();
        let read = reader(&mut source, &node);
        source.finish(()).map_err(|complaints| complaints.to_string())?;
        Ok(read.unwrap())
    }

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        match read(text, console)? {
            ConsoleSetting::Port(port) => Err(format!("only the port {port}")),
            ConsoleSetting::Endpoint(endpoint) => Ok(endpoint),
        }
    }

    #[test]
    fn a_container_is_named_in_each_of_the_ways() {
        let by = |selector, port| Endpoint::Container { engine: Engine::Docker, selector, port, network: None };
        let name = |name: &str| ContainerSelector::Name(name.to_owned());
        assert_eq!(endpoint("docker:groups_relay").unwrap(), by(name("groups_relay"), 6669));
        assert_eq!(endpoint("docker:4f2a:7000").unwrap(), by(name("4f2a"), 7000));
        assert_eq!(endpoint("{container: app, port: 7000}").unwrap(), by(name("app"), 7000));
        assert_eq!(endpoint("{label: app=relay}").unwrap(), by(ContainerSelector::Label("app=relay".into()), 6669));
        assert_eq!(
            endpoint("image: ghcr.io/x/relay:1.4@sha256:ab").unwrap(),
            by(ContainerSelector::Image("ghcr.io/x/relay:1.4@sha256:ab".into()), 6669)
        );
        let compose = |project: Option<&str>| ContainerSelector::Compose {
            project: project.map(str::to_owned),
            service: "api".to_owned(),
        };
        assert_eq!(endpoint("compose: api").unwrap(), by(compose(None), 6669));
        assert_eq!(endpoint("compose: shop/api").unwrap(), by(compose(Some("shop")), 6669));
        assert_eq!(endpoint("compose: {project: shop, service: api}").unwrap(), by(compose(Some("shop")), 6669));
        assert_eq!(
            endpoint("{container: app, engine: podman, network: back}").unwrap(),
            Endpoint::Container {
                engine: Engine::Podman,
                selector: name("app"),
                port: 6669,
                network: Some("back".to_owned())
            }
        );
        let several = read("{a: {compose: api, service: x}, b: 'podman:app'}", consoles).unwrap();
        assert_eq!(several["a"].service.as_deref(), Some("x"));
        assert_eq!(several["b"].setting, ConsoleSetting::Endpoint(endpoint("podman:app").unwrap()));
    }

    #[test]
    fn what_is_no_console_is_refused_with_its_place_and_what_to_write() {
        for (text, what, instead) in [
            ("'docker:'", "1:1: `docker:` is no console", "docker:groups_relay"),
            ("docker:-rm", "1:1: `docker:-rm` is no console", "docker:groups_relay"),
            ("docker:a;b", "is no console", "docker:groups_relay"),
            ("docker:app:0", "is no console", "1 to 65535"),
            ("dokcer:app", "is no console", "docker:NAME"),
            ("unix:run/x.sock", "is no console", "absolute"),
            ("99999", "1:1: this is no port", "65535"),
            ("{container: app, imgae: x}", "1:18: unknown key `imgae`", "`image`"),
            ("{container: app, image: x}", "one way too many", "keep one"),
            ("{port: 7000}", "which container", "compose"),
            ("{container: app, port: x}", "this is no port", "65535"),
            ("{label: '-f x'}", "is no label", ""),
            ("{container: app, engine: dokcer}", "1:26: no container engine `dokcer`", "`docker`"),
            ("{compose: a/b/c}", "no compose service", "PROJECT/SERVICE"),
            ("{compose: {project: a}}", "`service` is missing", "service: NAME"),
        ] {
            let refused = endpoint(text).unwrap_err();
            assert!(refused.contains(what) && refused.contains(instead), "{text}\n{refused}");
        }
        assert!(read("{a: {service: x}}", consoles).unwrap_err().contains("`console` is missing"));
        assert!(read("{a: {console: 1, port: 2}}", consoles).unwrap_err().contains("unknown key `port`"));
    }

    #[test]
    fn a_console_can_be_named_on_the_command_line() {
        let read = |text| DirectTarget::parse(text).unwrap().map(|target| target.id.to_string());
        assert_eq!(read("http://localhost:6669").unwrap(), "localhost/6669");
        assert_eq!(read("http://10.0.0.7/").unwrap(), "10.0.0.7/6669");
        assert_eq!(read("http://[::1]:7000").unwrap(), "::1/7000");
        assert_eq!(read("http://[::1]").unwrap(), "::1/6669");
        assert_eq!(read("unix:/run/app.sock").unwrap(), "localhost/unix:/run/app.sock");
        assert_eq!(read("docker:app").unwrap(), "localhost/docker:app:6669");
        for pattern in ["web", "web:db", "web[1:3]", "~http", "dockers:x"] {
            assert_eq!(read(pattern), None, "{pattern}");
        }
        for (bad, why) in [
            ("https://localhost", "http://"),
            ("http://", "http://HOST:PORT"),
            ("http://x:99999", "http://HOST:PORT"),
            ("http://x/path", "http://HOST:PORT"),
            ("unix:app.sock", "absolute"),
            ("docker:a b", "groups_relay"),
            ("podman:", "groups_relay"),
        ] {
            assert!(DirectTarget::parse(bad).unwrap_err().to_string().contains(why), "{bad}");
        }
    }
}
