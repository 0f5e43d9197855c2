//! Finding containers: with the engine's own command, on the server over its ssh session or on this machine.

use super::classify;
use super::command::{Limits, NO_SUCH_PROGRAM, Output, run_here};
use super::container::{self, Container, Way};
use super::listening::Listening;
use super::ssh::Master;
use crate::model::{ContainerSelector, Endpoint, Engine, Failure, Reason, Target};

/// Most containers that one selector may stand for.
const MOST: usize = 64;

/// Where commands run.
#[derive(Clone, Copy)]
pub(super) enum Shell<'a> {
    /// On the server of this session.
    On(&'a Master),
    /// On this machine.
    Here,
}

impl Shell<'_> {
    pub(super) async fn run(self, argv: &[&str]) -> Result<Output, Failure> {
        self.run_within(argv, Limits::default()).await
    }

    pub(super) async fn run_within(self, argv: &[&str], limits: Limits) -> Result<Output, Failure> {
        match self {
            Self::On(master) => master.run(argv, limits).await,
            Self::Here => run_here(argv, limits).await,
        }
    }

    /// What a command prints when it ends well; otherwise nothing, for questions whose answer only helps.
    pub(super) async fn ask(self, argv: &[&str]) -> Option<String> {
        self.run(argv).await.ok().filter(Output::succeeded).map(|output| output.text())
    }

    /// What listens in the network of the host.
    pub(super) async fn listening(self) -> Option<Listening> {
        // One of the two tables may be missing, and the other then is printed all the same.
        let output = self.run(&["cat", "/proc/net/tcp", "/proc/net/tcp6"]).await.ok()?;
        Listening::parse(&output.text())
    }
}

/// A container that matches, with the ways to the console's port in it, or why there are none.
pub(super) struct Found {
    pub container: Container,
    /// What listens in its network, where that could be seen.
    pub listening: Option<Listening>,
    pub ways: Result<Vec<Way>, Failure>,
}

/// Which containers are meant, and where their consoles listen.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub engine: Engine,
    pub selector: &'a ContainerSelector,
    pub port: u16,
    pub network: Option<&'a str>,
}

/// Finds the containers that are wanted; at least one. A selector other than a name stands only for what runs, as long
/// as anything does.
///
/// # Errors
/// When the engine cannot be asked, or nothing matches.
pub(super) async fn find(shell: Shell<'_>, wanted: Wanted<'_>) -> Result<(Engine, Vec<Found>), Failure> {
    let mut engine = EngineCommand { shell, engine: wanted.engine };
    let mut selected = engine.select(wanted.selector).await;
    // Podman answers to the same questions, and stands where Docker once stood.
    if wanted.engine == Engine::Docker
        && selected.as_ref().is_err_and(|failure| failure.reason == Reason::EngineMissing)
    {
        engine.engine = Engine::Podman;
        selected = match engine.select(wanted.selector).await {
            Err(failure) if failure.reason == Reason::EngineMissing => {
                Err(Failure::new(Reason::EngineMissing, "neither `docker` nor `podman` is there"))
            }
            Err(failure) => {
                let detail = format!("{}; asked `podman`, since there is no `docker`", failure.detail);
                Err(Failure { detail, ..failure })
            }
            Ok(selected) => Ok(selected),
        };
    }
    let mut containers = selected?;
    if containers.iter().any(|container| container.not_running().is_none()) {
        containers.retain(|container| container.not_running().is_none());
    }
    if containers.len() > MOST {
        let detail = format!("`{}` matches {} containers, more than {MOST}", wanted.selector, containers.len());
        return Err(Failure::new(Reason::ContainerAmbiguous, detail));
    }
    let is_root = shell.ask(&["id", "-u"]).await.is_some_and(|id| id.trim() == "0");
    let mut found = Vec::new();
    for container in containers {
        found.push(engine.look_into(container, wanted, is_root).await);
    }
    Ok((engine.engine, found))
}

/// The container that publishes `port` of its host, where Docker knows one. Podman is not asked: it would make itself at
/// home for a user who has never used it.
pub(super) async fn publishes(shell: Shell<'_>, port: u16) -> Option<(Engine, Container)> {
    let engine = Engine::Docker;
    let filter = format!("--filter=publish={port}/tcp");
    let listed = shell.ask(&[engine.command(), "ps", "--quiet", "--no-trunc", &filter]).await?;
    let mut ids = listed.lines().map(str::trim).filter(|line| container::is_id(line));
    let (Some(id), None) = (ids.next(), ids.next()) else { return None };
    let mut containers = EngineCommand { shell, engine }.inspect(&[id]).await.ok()?;
    (!containers.is_empty()).then(|| (engine, containers.remove(0)))
}

impl Found {
    /// The target that stands for it in every report. What is selected by name keeps the planned name.
    pub(super) fn target(&self, planned: &Target) -> Target {
        let mut target = planned.clone();
        let Endpoint::Container { selector, .. } = &mut target.endpoint else { return target };
        if !matches!(selector, ContainerSelector::Name(_)) {
            let name = &self.container.name;
            target.id.console = Some(match &planned.id.console {
                Some(console) => format!("{console}/{name}"),
                None => name.clone(),
            });
            *selector = ContainerSelector::Name(name.clone());
        }
        if target.service.0.is_empty() {
            target.service.0 = self.container.compose_service.clone().unwrap_or_default();
        }
        if !self.container.image.is_empty() {
            target.attributes.entry("image".to_owned()).or_insert_with(|| self.container.image.clone());
        }
        target
    }
}

/// The command of one engine, in one place.
#[derive(Clone, Copy)]
struct EngineCommand<'a> {
    shell: Shell<'a>,
    engine: Engine,
}

impl EngineCommand<'_> {
    async fn select(self, selector: &ContainerSelector) -> Result<Vec<Container>, Failure> {
        let none = || Failure::new(Reason::ContainerNotFound, format!("`{selector}`"));
        if let ContainerSelector::Name(name) = selector {
            let containers = self.inspect(&[name.as_str()]).await?;
            return if containers.is_empty() { Err(none()) } else { Ok(containers) };
        }
        let filters = match selector {
            ContainerSelector::Image(image) => self.image_filters(image).await,
            selector => filters(selector),
        };
        let filters: Vec<String> = filters.iter().map(|filter| format!("--filter={filter}")).collect();
        let mut argv = vec![self.engine.command(), "ps", "--all", "--quiet", "--no-trunc"];
        argv.extend(filters.iter().map(String::as_str));
        let listed = self.shell.run(&argv).await?;
        if !listed.succeeded() {
            return Err(refusal(self.engine.command(), &listed));
        }
        let listed = listed.text();
        // Whatever else is there did not come from an engine.
        let ids: Vec<_> = listed.lines().map(str::trim).filter(|line| container::is_id(line)).collect();
        if ids.is_empty() {
            return Err(none());
        }
        if ids.len() > 4 * MOST {
            return Err(Failure::new(Reason::ContainerAmbiguous, format!("`{selector}` matches {}", ids.len())));
        }
        let mut containers = self.inspect(&ids).await?;
        // Asked of `ps`, those without the label would be left out: podman-compose sets none.
        let only_replicas = matches!(selector, ContainerSelector::Compose { .. });
        containers.retain(|container| !(container.is_infra || only_replicas && container.is_one_off));
        if containers.is_empty() { Err(none()) } else { Ok(containers) }
    }

    /// What `ps` is asked for where an image is wanted. Podman, also where it is called `docker`, compares whole names only.
    async fn image_filters(self, image: &str) -> Vec<String> {
        let told = self.shell.ask(&[self.engine.command(), "image", "inspect", "--", image]).await;
        let mut names = container::names_of_image(&told.unwrap_or_default(), image);
        names.push(image.to_owned());
        names.iter().map(|name| format!("ancestor={name}")).collect()
    }

    /// Those of `names` that exist: the engine prints them even when it complains of others.
    async fn inspect(self, names: &[&str]) -> Result<Vec<Container>, Failure> {
        let mut argv = vec![self.engine.command(), "inspect", "--type", "container", "--"];
        argv.extend(names);
        let output = self.shell.run(&argv).await?;
        let containers = container::parse(&output.text());
        if containers.is_empty() && !output.succeeded() {
            let failure = refusal(self.engine.command(), &output);
            return if failure.reason == Reason::ContainerNotFound { Ok(Vec::new()) } else { Err(failure) };
        }
        Ok(containers)
    }

    /// Finds the ways to the port in one container.
    async fn look_into(self, container: Container, wanted: Wanted<'_>, is_root: bool) -> Found {
        if let Some(failure) = container.not_running() {
            return Found { container, listening: None, ways: Err(failure) };
        }
        let container = match container.network_of() {
            None => container,
            Some(other) => match self.inspect(&[other]).await {
                Ok(mut others) if !others.is_empty() => container.within(others.remove(0)),
                _ => container,
            },
        };
        let listening = self.listening(&container).await;
        let ways = container.ways(wanted.port, wanted.network, listening.as_ref(), is_root);
        Found { container, listening, ways }
    }

    /// What listens in the network of a container. Its engine may run in a virtual machine, where process numbers are
    /// others; so the process must be one whose control groups name the container.
    async fn listening(self, container: &Container) -> Option<Listening> {
        let process = container.process?;
        let files = ["cgroup", "net/tcp", "net/tcp6"].map(|file| format!("/proc/{process}/{file}"));
        let output = self.shell.run(&["cat", &files[0], &files[1], &files[2]]).await.ok()?;
        let text = output.text();
        text.contains(&container.id).then(|| Listening::parse(&text)).flatten()
    }
}

/// What `ps` is asked for.
fn filters(selector: &ContainerSelector) -> Vec<String> {
    match selector {
        ContainerSelector::Name(name) => vec![format!("name=^/?{name}$")],
        ContainerSelector::Label(label) => vec![format!("label={label}")],
        ContainerSelector::Image(image) => vec![format!("ancestor={image}")],
        ContainerSelector::Compose { project, service } => {
            let mut filters = vec![format!("label=com.docker.compose.service={service}")];
            filters.extend(project.as_ref().map(|project| format!("label=com.docker.compose.project={project}")));
            filters
        }
    }
}

fn refusal(program: &str, output: &Output) -> Failure {
    let complaint = output.complaint();
    if output.code == Some(NO_SUCH_PROGRAM) {
        return Failure::new(Reason::EngineMissing, format!("`{program}` is not there"));
    }
    classify::engine(&complaint)
}

#[cfg(test)]
mod tests {
    use super::filters;
    use crate::model::ContainerSelector;

    #[test]
    fn a_compose_service_and_a_label_are_asked_for_by_their_labels() {
        let compose = ContainerSelector::Compose { project: Some("shop".into()), service: "relay".into() };
        let expected = ["service=relay", "project=shop"].map(|end| format!("label=com.docker.compose.{end}"));
        assert_eq!(filters(&compose), expected);
        assert_eq!(filters(&ContainerSelector::Label("tier=front".into())), ["label=tier=front"]);
    }
}
