//! Podman, which has no daemon; in a network namespace of its own, where it may set up what it likes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Lab, closed_port, report, run, target};
use crate::image::{self, IMAGES};
use crate::{assert_ends, assert_holds_open, ids, programs, serves, step, with_inventory};

/// An engine with our images.
struct Podman {
    directory: TempDir,
    /// Holds the network.
    network: Child,
}

impl Podman {
    fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "an engine needs root");
        let directory = tempfile::Builder::new().prefix("podman").tempdir_in("/tmp").unwrap();
        let at = directory.path().display();
        let storage = format!("[storage]\ndriver = 'vfs'\ngraphroot = '{at}/data'\nrunroot = '{at}/run'\n");
        // Limits that a process may set without privileges, and nothing that needs a service manager.
        let containers = format!(
            "[containers]\nlog_driver = 'k8s-file'\ndefault_ulimits = ['nofile=1024:1024', 'nproc=4096:4096']\n\
             [engine]\ncgroup_manager = 'cgroupfs'\nruntime = 'runc'\nevents_logger = 'file'\ntmp_dir = '{at}/tmp'\n\
             static_dir = '{at}/static'\nvolume_path = '{at}/volumes'\n[network]\nnetwork_config_dir = '{at}/networks'\n"
        );
        fs::write(directory.path().join("storage.conf"), storage).unwrap();
        fs::write(directory.path().join("containers.conf"), containers).unwrap();
        let mut network = Command::new("unshare")
            .args(["--net", "sh", "-c", "busybox ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(network.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "no network of our own");
        let engine = Self { directory, network };
        engine.podman(&["network", "create", "--disable-dns", "--subnet", "10.213.78.0/24", "lab"]);
        for (name, tools) in IMAGES {
            let archive = image::archive(engine.directory.path(), name, tools);
            engine.podman(&["import", archive.to_str().unwrap(), &format!("lab/{name}:1")]);
        }
        engine
    }

    /// Where its settings are: variables, and paths.
    fn settings(&self) -> [(&'static str, PathBuf); 2] {
        [("CONTAINERS_CONF", "containers.conf"), ("CONTAINERS_STORAGE_CONF", "storage.conf")]
            .map(|(variable, name)| (variable, self.directory.path().join(name)))
    }

    /// The same command in the network of this engine, and with its settings.
    fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("nsenter");
        within.arg(format!("--net=/proc/{}/ns/net", self.network.id())).arg("--");
        within.arg(command.get_program()).args(command.get_args()).envs(self.settings());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        within.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        within
    }

    fn podman(&self, args: &[&str]) -> String {
        let output = run(&mut self.within(Command::new("podman").args(args)));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs our program in a container, with its console at `bind`, and waits until it serves that.
    fn run(&self, name: &str, image: &str, bind: &str, options: &[&str]) {
        self.podman(&image::arguments(name, image, bind, options));
        self.serves(name);
    }

    fn serves(&self, name: &str) {
        serves(name, &mut self.within(Command::new("podman").args(["logs", "--follow", name])));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.podman(&["rm", "--force", "--all", "--time", "0"]);
        self.network.stdin.take();
        self.network.wait().unwrap();
    }
}

#[test]
fn consoles_in_podmans_containers_are_found_and_reached_or_explained() {
    let engine = Podman::start();
    let any = "0.0.0.0:6669";
    let inner = "127.0.0.1:6669";
    let on_host = closed_port();
    engine.run("published", "lab/bare:1", any, &["--network=lab", "-p", "6669"]);
    engine.run("unpublished", "lab/bare:1", any, &["--network=lab"]);
    engine.run("loopback", "lab/bare:1", inner, &["--network=lab", "-p", "6669"]);
    engine.run("loopback-shell", "lab/shell:1", inner, &["--network=none"]);
    engine.run("on-host", "lab/bare:1", &on_host, &["--network=host"]);
    engine.run("paused", "lab/bare:1", any, &["--network=none"]);
    engine.run("stopped", "lab/bare:1", any, &["--network=none"]);
    // As with an engine of one user: what is published works, and nobody outside reaches the network itself.
    engine.run("walled", "lab/bare:1", any, &["--network=lab"]);
    let walled = engine.podman(&["inspect", "--format", "{{.NetworkSettings.Networks.lab.IPAddress}}", "walled"]);
    run(&mut engine.within(Command::new("iptables").args(["-I", "OUTPUT", "-d", &walled, "-j", "DROP"])));
    // A pod's network is that of a container which does nothing else.
    let pause = ["--infra-image", "lab/shell:1", "--infra-command", "/bin/sleep 1000000"];
    engine.podman(&[&["pod", "create", "--name", "pod", "--network=lab", "-p", "6669"], pause.as_slice()].concat());
    engine.run("in-pod", "lab/bare:1", any, &["--pod=pod"]);
    engine.podman(&["pause", "paused"]);
    engine.podman(&["stop", "--time", "0", "stopped"]);

    let mut lab = Lab::new();
    let settings: String = engine.settings().iter().map(|(name, path)| format!(" {name}={}", path.display())).collect();
    lab.sshd_config("sshd_config", &format!("SetEnv SHLVL=2{settings}\n"));
    // Neither `docker` nor `nsenter`: what is asked for of Docker is asked of Podman, and opened inside the container.
    let only = programs(&lab, "only", &["podman", "cat", "id", "sh"]);
    lab.sshd_config("sshd_only", &format!("SetEnv SHLVL=2{settings} PATH={}\n", only.display()));
    for name in ["published", "unpublished", "loopback", "walled", "in-pod", "paused", "stopped", "missing"] {
        lab.good_host(name, &format!("podman:{name}"));
    }
    // As distributions do for those who type `docker`.
    let called_docker = programs(&lab, "called-docker", &["podman", "cat", "id", "sh", "nsenter"]);
    fs::rename(called_docker.join("podman"), called_docker.join("docker")).unwrap();
    lab.sshd_config("sshd_shim", &format!("SetEnv SHLVL=2{settings} PATH={}\n", called_docker.display()));
    let (only, shim) = (lab.sshd("sshd_only"), lab.sshd("sshd_shim"));
    let port = on_host.rsplit(':').next().unwrap();
    lab.good_host("on-host", &format!("podman:on-host:{port}"))
        .good_host("another-port", "podman:unpublished:7000")
        .good_host("walled-off", &format!("{walled}:6669"))
        .host("inside", &only, "docker:loopback-shell")
        .host("no-way-in", &only, "docker:loopback")
        .host("none-of-both", &only, "docker:missing")
        .host("shim", &shim, "docker:published");
    let (found, _) = report(&mut engine.within(&lab.snapshot(&["all", "-w", "0s", "--max-unreachable", "30"])));
    let expected = [
        ("published", "seen"),
        ("unpublished", "seen"),
        ("loopback", "seen"),
        ("walled", "seen"),
        ("in-pod", "seen"),
        ("inside", "seen"),
        ("on-host", "seen"),
        ("shim", "seen"),
        ("paused", "resolve/container-paused"),
        ("stopped", "resolve/container-not-running"),
        ("missing", "resolve/container-not-found"),
        ("another-port", "forward/nothing-listening"),
        ("walled-off", "forward/endpoint-unreachable"),
        ("no-way-in", "resolve/container-unreachable"),
        ("none-of-both", "resolve/container-not-found"),
    ];
    assert_ends(&found, &expected);
    let said = |id: &str, key: &str| target(&found, id)[key].as_str().unwrap().to_owned();
    assert!(said("stopped", "hint").contains("podman logs"), "{found:#}");
    assert!(said("none-of-both", "detail").contains("asked `podman`"), "{found:#}");
    assert!(lab.leftovers().is_empty());

    services(&engine, &lab);
    walked_aloud(&engine, &lab);
    held_open(&engine, &lab);
}

/// Services as `podman-compose` starts them, and an image by the name that people use for it.
fn services(engine: &Podman, lab: &Lab) {
    let directory = lab.path("shop");
    fs::create_dir(&directory).unwrap();
    let compose = "services:
  relay:
    image: localhost/lab/bare:1
    command: [/bin/fleetdiag, demo-program, jobs, '0.0.0.0:6669']
    stdin_open: true
    scale: 2
    networks: [lab]
networks:
  lab: {external: true}
";
    fs::write(directory.join("compose.yaml"), compose).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin/podman-compose");
    run(engine.within(Command::new(program).args(["up", "--detach"])).current_dir(&directory));
    for replica in ["shop_relay_1", "shop_relay_2"] {
        engine.serves(replica);
    }
    // An image that was built again has left its name to the new one; its containers go on.
    let archive = engine.directory.path().join("shell.tar");
    engine.podman(&["import", "--message", "again", archive.to_str().unwrap(), "lab/shell:1"]);
    let selectors = lab.path("selectors.yaml");
    let inventory = "all:
  hosts:
    published:
      consoles:
        app: {console: {compose: shop/relay, engine: podman}}
        image: {console: {image: 'lab/shell:1', engine: podman}}
        none: {console: {label: no.such=label, engine: podman}}
    shim:
      console: {image: 'lab/shell:1'}
";
    fs::write(&selectors, inventory).unwrap();
    let args = ["snapshot", "all", "-w", "1s", "--max-unreachable", "1"];
    let (several, _) = report(&mut engine.within(&with_inventory(lab, &args, &selectors)));
    let replicas = ["published/app/shop_relay_1", "published/app/shop_relay_2"];
    let others = ["published/image/loopback-shell", "published/none", "shim/loopback-shell"];
    assert_eq!(ids(&several), [replicas.as_slice(), &others].concat(), "{several:#}");
    assert_ends(&several, &[("published/none", "resolve/container-not-found")]);
    assert_eq!(several["coverage"]["failed"], 1, "{several:#}");
    let replica = target(&several, replicas[0]);
    assert_eq!(replica["service"], "relay");
    let context = &replica["context"];
    assert_eq!(context["container"]["status"], "running", "{context:#}");
    assert_eq!(context["process"]["name"], "fleetdiag", "{context:#}");
    assert!(context["log"]["lines"].as_u64().unwrap() >= 1, "{context:#}");
}

/// The doctor tells of Podman's containers what it tells of Docker's.
fn walked_aloud(engine: &Podman, lab: &Lab) {
    let (found, code) = report(&mut engine.within(&lab.doctor(&["published:in-pod:loopback:inside", "-w", "1s"])));
    assert_eq!(code, 1, "two are open to the world: {found:#}");
    let step = |id, kind| step(&found, id, kind).map(|(_, text)| text);
    for id in ["published", "in-pod"] {
        assert!(step(id, "exposed").unwrap().contains("0.0.0.0:"), "{id}: published on every address: {found:#}");
    }
    assert_eq!(step("loopback", "exposed"), None, "what is published leads to nobody");
    assert!(step("loopback", "way").unwrap().contains("nsenter"), "{found:#}");
    assert!(step("inside", "way").unwrap().contains("(`exec`)"), "{found:#}");
}

/// `fleetdiag console` goes the same ways, and holds them open for others.
fn held_open(engine: &Podman, lab: &Lab) {
    for name in ["published", "loopback", "inside"] {
        let command = with_inventory(lab, &["console", name, "--address"], &lab.path("hosts.yaml"));
        assert_holds_open(lab, name, &mut engine.within(&command));
    }
}
