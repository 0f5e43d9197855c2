//! Docker, with a daemon of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{self, FLEETDIAG, Lab, closed_port, report, run, target};
use crate::image::{self, IMAGES};
use crate::{assert_ends, assert_holds_open, ids, programs, serves, step, with_inventory};

/// The user that everybody may become and that may nothing.
const NOBODY: u32 = 65534;

/// An engine with our images.
struct Engine {
    directory: TempDir,
    daemon: Child,
}

impl Engine {
    fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "an engine needs root");
        let directory = tempfile::Builder::new().prefix("engine").tempdir_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("daemon.json"), "{}").unwrap();
        let log = fs::File::create(path("log")).unwrap();
        // The engine tells a service manager when it is ready; here that is us.
        let ready = UnixDatagram::bind(path("ready.sock")).unwrap();
        let mut daemon = Command::new("dockerd");
        daemon
            .args(["--bridge", "none", "--iptables=false", "--ip-masq=false", "--storage-driver", "vfs"])
            .arg("--config-file")
            .arg(path("daemon.json"))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path("engine.sock").display()))
            .env("NOTIFY_SOCKET", path("ready.sock"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let daemon = daemon.spawn().unwrap_or_else(|error| panic!("dockerd: {error}: run tests/setup.sh"));
        ready.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let mut said = String::new();
        while !said.contains("READY=1") {
            let mut buffer = [0; 256];
            let read = ready.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("the engine does not come up: {error}: {}", fs::read_to_string(path("log")).unwrap())
            });
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let engine = Self { directory, daemon };
        engine.docker(&["network", "create", "--subnet", "10.213.77.0/24", "lab"]);
        for (name, tools) in IMAGES {
            let archive = image::archive(engine.directory.path(), name, tools);
            engine.docker(&["import", archive.to_str().unwrap(), &format!("lab/{name}:1")]);
        }
        engine
    }

    fn socket(&self) -> String {
        format!("unix://{}/engine.sock", self.directory.path().display())
    }

    fn docker(&self, args: &[&str]) -> String {
        let output = run(Command::new("docker").args(args).env("DOCKER_HOST", self.socket()));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs our program in a container, with its console at `bind`, and waits until it serves that.
    fn run(&self, name: &str, image: &str, bind: &str, options: &[&str]) {
        let network: &[&str] = if options.contains(&"--network=host") { &[] } else { &["--network=lab"] };
        self.docker(&image::arguments(name, image, bind, &[network, options].concat()));
        let mut logs = Command::new("docker");
        serves(name, logs.args(["logs", "--follow", name]).env("DOCKER_HOST", self.socket()));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let ids = Command::new("docker").args(["ps", "-aq"]).env("DOCKER_HOST", self.socket()).output().unwrap();
        let ids = String::from_utf8(ids.stdout).unwrap();
        if !ids.trim().is_empty() {
            self.docker(&[&["rm", "--force"], ids.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
        }
        self.docker(&["network", "rm", "lab"]);
        harness::signal(self.daemon.id(), rustix::process::Signal::TERM);
        self.daemon.wait().unwrap();
        // The engine leaves its handle on the host's network mounted.
        let _ = Command::new("umount").arg(self.directory.path().join("exec/netns/default")).status();
    }
}

#[test]
fn consoles_in_containers_are_found_and_reached_or_explained() {
    let engine = Engine::start();
    let any = "0.0.0.0:6669";
    let inner = "127.0.0.1:6669";
    let on_host = closed_port();
    let compose = |number: &str| {
        ["project=shop", "service=relay", "oneoff=False", &format!("container-number={number}")]
            .map(|label| format!("--label=com.docker.compose.{label}"))
    };
    engine.run("published", "lab/bare:1", any, &["-p", "6669"]);
    engine.run("published-inside", "lab/bare:1", any, &["-p", "127.0.0.5::6669"]);
    engine.run("unpublished", "lab/bare:1", any, &[]);
    engine.run("loopback", "lab/bare:1", inner, &["-p", "6669"]);
    engine.run("loopback-shell", "lab/shell:1", inner, &[]);
    engine.run("on-host", "lab/bare:1", &on_host, &["--network=host"]);
    engine.run("paused", "lab/bare:1", any, &[]);
    engine.run("stopped", "lab/bare:1", any, &[]);
    for number in ["1", "2"] {
        let labels = compose(number);
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        engine.run(&format!("shop-relay-{number}"), "lab/bare:1", any, &labels);
    }
    let one_off =
        ["project=shop", "service=relay", "oneoff=True"].map(|label| format!("--label=com.docker.compose.{label}"));
    engine.run("shop-relay-run", "lab/bare:1", any, &one_off.each_ref().map(String::as_str));
    engine.docker(&["pause", "paused"]);
    engine.docker(&["stop", "--time", "0", "stopped"]);

    let mut lab = Lab::new();
    let socket = engine.socket();
    lab.sshd_config("sshd_config", &format!("SetEnv DOCKER_HOST={socket}\n"));
    lab.sshd_config("sshd_down", &format!("SetEnv DOCKER_HOST=unix://{}\n", lab.path("none.sock").display()));
    // Without `nsenter` a server can only be asked to run something inside the container.
    let only = programs(&lab, "only", &["docker", "cat", "id", "sh"]);
    let nothing = programs(&lab, "nothing", &["cat", "id", "sh"]);
    lab.sshd_config("sshd_only", &format!("SetEnv DOCKER_HOST={socket} PATH={}\n", only.display()));
    lab.sshd_config("sshd_nothing", &format!("SetEnv PATH={}\n", nothing.display()));
    for name in ["published", "published-inside", "unpublished", "loopback", "paused", "stopped", "missing"] {
        lab.good_host(name, &format!("docker:{name}"));
    }
    let (only, nothing, down) = (lab.sshd("sshd_only"), lab.sshd("sshd_nothing"), lab.sshd("sshd_down"));
    let port = on_host.rsplit(':').next().unwrap();
    lab.good_host("on-host", &format!("docker:on-host:{port}"))
        .good_host("another-port", "docker:unpublished:7000")
        .host("inside", &only, "docker:loopback-shell")
        .host("no-way-in", &only, "docker:loopback")
        .host("no-engine", &nothing, "docker:published")
        .host("engine-down", &down, "docker:published");
    // Selectors that stand for several containers, which a plain text cannot say.
    lab.fleetdiag(&[]);
    let selectors = lab.path("selectors.yaml");
    fs::write(
        &selectors,
        "all:\n  hosts:\n    published:\n      consoles:\n        app: {console: {compose: shop/relay}}\n        \
         image: {console: {image: 'lab/shell:1'}}\n        none: {console: {label: no.such=label}}\n",
    )
    .unwrap();

    let (found, _) = report(&mut lab.snapshot(&["all", "-w", "0s", "--max-unreachable", "30"]));
    let expected = [
        ("published", "seen"),
        ("published-inside", "seen"),
        ("unpublished", "seen"),
        ("loopback", "seen"),
        ("inside", "seen"),
        ("on-host", "seen"),
        ("paused", "resolve/container-paused"),
        ("stopped", "resolve/container-not-running"),
        ("missing", "resolve/container-not-found"),
        ("another-port", "forward/nothing-listening"),
        ("no-way-in", "resolve/container-unreachable"),
        ("no-engine", "resolve/engine-missing"),
        ("engine-down", "resolve/engine-unreachable"),
    ];
    assert_ends(&found, &expected);
    assert!(target(&found, "no-way-in")["hint"].as_str().unwrap().contains("TOKIO_CONSOLE_BIND=0.0.0.0:6669"));
    assert!(target(&found, "another-port")["detail"].as_str().unwrap().contains("0.0.0.0:6669"));
    assert!(lab.leftovers().is_empty());

    let args = ["snapshot", "all", "-w", "0s", "--max-unreachable", "1"];
    let (several, _) = report(&mut with_inventory(&lab, &args, &selectors));
    let replicas = ["published/app/shop-relay-1", "published/app/shop-relay-2", "published/image/loopback-shell"];
    assert_eq!(ids(&several), [replicas.as_slice(), &["published/none"]].concat(), "{several:#}");
    assert_ends(&several, &[("published/none", "resolve/container-not-found")]);
    assert_eq!(several["coverage"]["failed"], 1, "{several:#}");
    assert_eq!(target(&several, replicas[0])["service"], "relay");
    // What was saved says the same as what was seen.
    let (again, _) = report(&mut lab.fleetdiag(&["analyze", "@last"]));
    assert_eq!(again["targets"], several["targets"]);

    // The same engine, seen from this machine.
    let mut here =
        lab.fleetdiag(&["snapshot", "docker:loopback", "docker:unpublished", "docker:published", "-w", "0s"]);
    let (here, _) = report(here.env("DOCKER_HOST", &socket));
    assert_eq!(here["coverage"]["failed"], 0, "{here:#}");
    assert_eq!(here["targets"].as_array().unwrap().len(), 3);

    walked_aloud(&engine, &lab);
    held_open(&engine, &lab, &selectors);
    surroundings(&engine, &lab);
    no_permission(&engine, &lab);
}

/// What the engine tells of a container's life, of one behind a published port too, and of one that does not run.
fn surroundings(engine: &Engine, lab: &Lab) {
    let mut events = Command::new("docker");
    events.args(["events", "--filter", "container=ill", "--format", "{{.Action}}"]).env("DOCKER_HOST", engine.socket());
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines().map(Result::unwrap);
    let health =
        ["--health-cmd=exit 1", "--health-interval=1s", "--health-retries=1", "--restart=on-failure", "-p", "6669"];
    engine.run("ill", "lab/shell:1", "0.0.0.0:6669", &health);
    let process: u32 = engine.docker(&["inspect", "--format", "{{.State.Pid}}", "ill"]).parse().unwrap();
    harness::signal(process, rustix::process::Signal::KILL);
    // It dies, is started again by its engine, and is then found unhealthy.
    let mut wait = |action: &str| assert!(lines.any(|line| line.starts_with(action)), "no {action}");
    wait("die");
    wait("start");
    wait("health_status: unhealthy");
    events.kill().unwrap();
    events.wait().unwrap();
    let port = engine.docker(&["port", "ill", "6669/tcp"]);
    let port = port.lines().next().unwrap().rsplit(':').next().unwrap();
    let published = format!("http://localhost:{port}");
    let targets = ["docker:ill", "docker:stopped", &published];
    let mut here =
        lab.fleetdiag(&[&["snapshot"], targets.as_slice(), &["-w", "1s", "--max-unreachable", "1"]].concat());
    let (here, code) = report(here.env("DOCKER_HOST", engine.socket()));
    assert_eq!(code, 1, "{here:#}");
    let ids = ["localhost/docker:ill:6669", &format!("localhost/{port}")];
    for id in ids {
        let context = &target(&here, id)["context"];
        let container = &context["container"];
        assert_eq!((&container["restarts"], container["health"].as_str()), (&1.into(), Some("unhealthy")), "{here:#}");
        assert_eq!(context["process"]["name"], "fleetdiag", "not the proxy before it: {context:#}");
        assert!(context["log"]["lines"].as_u64().unwrap() >= 1, "{context:#}");
    }
    let stopped = &target(&here, "localhost/docker:stopped:6669")["context"];
    assert_eq!(
        (stopped["container"]["status"].as_str(), stopped["process"].is_null()),
        (Some("exited"), true),
        "{here:#}"
    );
    let found: Vec<_> =
        here["hotspots"][0]["findings"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert!(found.contains(&"container-down") && found.contains(&"restarted"), "{found:?}");
}

/// The doctor tells of containers what it tells of servers.
fn walked_aloud(engine: &Engine, lab: &Lab) {
    let names = "published:published-inside:loopback:inside:stopped";
    let (found, code) = report(&mut lab.doctor(&[names, "-w", "1s"]));
    assert_eq!(code, 4, "{found:#}");
    let step = |id, kind| step(&found, id, kind);
    let (mark, text) = step("published", "exposed").unwrap();
    assert!(mark == "warn" && text.contains("0.0.0.0:"), "published on every address: {text}");
    assert!(target(&found, "published")["todo"].to_string().contains("-p 127.0.0.1:6669:6669"));
    assert_eq!(step("published-inside", "exposed"), None, "published on the loopback");
    assert_eq!(step("loopback", "exposed"), None, "what is published leads to nobody");
    assert!(step("loopback", "way").unwrap().1.contains("nsenter"), "{found:#}");
    assert!(step("inside", "way").unwrap().1.contains("exec"), "{found:#}");
    let (_, text) = step("stopped", "container").unwrap();
    assert!(text.contains("container stopped of lab/bare:1 is exited"), "{text}");
    assert_eq!(step("stopped", "container-not-running").unwrap().0, "fail");
    let mut here = lab.fleetdiag(&["doctor", "docker:loopback", "-w", "1s"]);
    let (here, code) = report(here.env("DOCKER_HOST", engine.socket()));
    // Many programs on few CPUs make a console late, and its doctor says so.
    let remarks = here["targets"][0]["steps"].as_array().unwrap().iter().filter(|step| step["mark"] != "ok");
    let (late, others): (Vec<_>, Vec<_>) = remarks.partition(|step| {
        step["mark"] == "warn" && ["ingest-lag", "late-ticks"].contains(&step["kind"].as_str().unwrap())
    });
    assert_eq!((code, others.len()), (i32::from(!late.is_empty()), 0), "{here:#}");
}

/// `fleetdiag console` goes the same ways, and holds them open for others.
fn held_open(engine: &Engine, lab: &Lab, selectors: &Path) {
    let (on_servers, here) = (lab.path("hosts.yaml"), PathBuf::from("none,"));
    for (name, inventory) in [
        ("published", on_servers.as_path()),
        ("unpublished", &on_servers),
        ("loopback", &on_servers),
        ("inside", &on_servers),
        ("published/app/shop-relay-2", selectors),
        ("docker:loopback", &here),
        ("docker:unpublished", &here),
    ] {
        let mut command = with_inventory(lab, &["console", name, "--address"], inventory);
        assert_holds_open(lab, name, command.env("DOCKER_HOST", engine.socket()));
    }
    let said = |name: &str, inventory: &Path| {
        let output = with_inventory(lab, &["console", name, "--address"], inventory).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said("published/app", selectors);
    assert!(code == Some(4) && text.contains("shop-relay-1, shop-relay-2"), "{text}");
    let (code, text) = said("stopped", &on_servers);
    assert!(code == Some(4) && text.contains("not running"), "{text}");
}

/// A user who may not talk to the engine is told so.
fn no_permission(engine: &Engine, lab: &Lab) {
    let directory = tempfile::Builder::new().prefix("nobody").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(engine.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("fleetdiag");
    fs::copy(FLEETDIAG, &program).unwrap();
    let (run, temporary) = (directory.path().join("run"), directory.path());
    let mut command = Command::new(&program);
    command
        .args(["snapshot", "docker:published", "-w", "0s", "--no-save"])
        .env("DOCKER_HOST", engine.socket())
        .env("XDG_RUNTIME_DIR", run)
        .env("TMPDIR", temporary)
        .env("HOME", temporary)
        .current_dir(temporary)
        .uid(NOBODY)
        .gid(NOBODY);
    let (denied, code) = report(&mut command);
    assert_eq!((denied["targets"][0]["reason"].as_str(), code), (Some("engine-denied"), 3), "{denied:#}");
    assert!(lab.leftovers().is_empty());
}
