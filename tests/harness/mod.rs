//! A laboratory: real `ssh`, a private `sshd` per connection, real console programs, scripted consoles.
//!
//! The hosts of its ssh config have an `sshd -i` as their proxy command, so no port, daemon or container is needed.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod relay;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread::JoinHandle;

use tempfile::TempDir;

pub const FLEETDIAG: &str = env!("CARGO_BIN_EXE_fleetdiag");

pub struct Lab {
    pub directory: TempDir,
    hosts: String,
    inventory: String,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self {
            directory: tempfile::Builder::new().prefix("lab").tempdir().unwrap(),
            hosts: String::new(),
            inventory: "all:\n  hosts:\n".to_owned(),
        };
        for key in ["host_key", "user_key", "stranger_key"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", ""]).arg("-f").arg(lab.path(key)));
        }
        fs::copy(lab.path("user_key.pub"), lab.path("authorized_keys")).unwrap();
        let host_key = fs::read_to_string(lab.path("host_key.pub")).unwrap();
        let stranger_key = fs::read_to_string(lab.path("stranger_key.pub")).unwrap();
        fs::write(lab.path("known_hosts"), format!("lab {host_key}changed {stranger_key}")).unwrap();
        fs::create_dir(lab.path("run")).unwrap();
        lab.sshd_config("sshd_config", "");
        // sshd wants its privilege separation directory, which Debian makes when the service starts.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        assert!(Path::new("/usr/sbin/sshd").exists(), "these tests need a real sshd: run tests/setup.sh");
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes another configuration for sshd; the first value of a setting counts.
    pub fn sshd_config(&self, name: &str, extra: &str) {
        let directory = self.directory.path().display();
        // A shell of such a level reads no start-up files: what those of this machine do is no concern of the tests.
        let text = format!(
            "{extra}HostKey {directory}/host_key\nAuthorizedKeysFile {directory}/authorized_keys\nUsePAM no\n\
             StrictModes no\nPidFile none\nSetEnv SHLVL=2\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        );
        fs::write(self.path(name), text).unwrap();
    }

    /// The proxy command that is an sshd.
    pub fn sshd(&self, config: &str) -> String {
        format!("ProxyCommand /usr/sbin/sshd -i -f {}", self.path(config).display())
    }

    /// Adds a host whose console is at `console`, an inventory setting; `ssh` are lines of its ssh config.
    pub fn host(&mut self, name: &str, ssh: &str, console: &str) -> &mut Self {
        writeln!(self.hosts, "Host {name}\n{ssh}").unwrap();
        writeln!(self.inventory, "    {name}: {{console: '{console}'}}").unwrap();
        self
    }

    /// Adds a host with a working sshd.
    pub fn good_host(&mut self, name: &str, console: &str) -> &mut Self {
        let sshd = self.sshd("sshd_config");
        self.host(name, &sshd, console)
    }

    /// The command line of `fleetdiag` in this laboratory.
    pub fn fleetdiag(&self, args: &[&str]) -> Command {
        let directory = self.directory.path().display();
        let everyone = format!(
            "Host *\nHostName 127.0.0.1\nHostKeyAlias lab\nUserKnownHostsFile {directory}/known_hosts\n\
             GlobalKnownHostsFile none\nIdentityFile {directory}/user_key\nIdentitiesOnly yes\n"
        );
        fs::write(self.path("ssh_config"), format!("{}{everyone}", self.hosts)).unwrap();
        fs::write(self.path("hosts.yaml"), &self.inventory).unwrap();
        let mut command = Command::new(FLEETDIAG);
        command
            .args(args)
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env_remove("SSH_AUTH_SOCK")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `fleetdiag snapshot` of hosts of this laboratory.
    pub fn snapshot(&self, args: &[&str]) -> Command {
        let mut command = self.fleetdiag(&["snapshot"]);
        command.arg("--ssh-config").arg(self.path("ssh_config")).arg("-i").arg(self.path("hosts.yaml")).args(args);
        command
    }

    /// Processes that runs have started, which a patient person would not see end.
    pub fn strays(&self) -> Vec<String> {
        let ours = format!("XDG_RUNTIME_DIR={}", self.path("run").display());
        let is_ours = |id: &u32| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        survivors(watch(&all.filter(is_ours).collect::<Vec<_>>()))
    }

    /// `fleetdiag doctor` of hosts of this laboratory.
    pub fn doctor(&self, args: &[&str]) -> Command {
        let mut command = self.fleetdiag(&["doctor"]);
        command.arg("--ssh-config").arg(self.path("ssh_config")).arg("-i").arg(self.path("hosts.yaml")).args(args);
        command
    }

    /// What runs have left in the place of private directories.
    pub fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("run")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/setup.sh"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The JSON report on a command's stdout, and its exit code.
pub fn report(command: &mut Command) -> (serde_json::Value, i32) {
    let output = command.args(["-o", "json"]).output().unwrap();
    let code = output.status.code().expect("ended by a signal");
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, code)
}

/// The entry of one target in a report.
pub fn target<'a>(report: &'a serde_json::Value, id: &str) -> &'a serde_json::Value {
    let targets = report["targets"].as_array().unwrap();
    targets.iter().find(|target| target["id"] == id).unwrap_or_else(|| panic!("no target {id}"))
}

/// A real program with console-subscriber, ended when dropped.
pub struct Program {
    child: Child,
    pub address: String,
}

impl Program {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0")
    }

    /// The same with its console at an address that is known.
    pub fn start_at(name: &str, address: &str) -> Self {
        let (child, line) = until_it_speaks(Command::new(FLEETDIAG).args(["demo-program", name, address]));
        Self { child, address: line.trim().to_owned() }
    }

    /// The same, after `bash` has run `before` in the process that becomes it.
    pub fn start_in(before: &str, name: &str) -> Self {
        let script = format!("{before}; exec \"$0\" demo-program {name}");
        let (child, line) = until_it_speaks(Command::new("bash").args(["-c", &script, FLEETDIAG]));
        Self { child, address: line.trim().to_owned() }
    }

    /// A program of `tests/vintages` with this release of console-subscriber, at a Unix socket of `lab`.
    pub fn vintage(lab: &Lab, release: &str, program: &str, environment: &[(&str, &str)]) -> Self {
        Self::of(vintages(), lab, release, program, environment)
    }

    /// A program of another build of `tests/vintages`, with the newest console.
    pub fn of_build(executable: &Path, lab: &Lab, program: &str) -> Self {
        Self::of(executable, lab, "0.5.0", program, &[])
    }

    fn of(executable: &Path, lab: &Lab, release: &str, program: &str, environment: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let socket = lab.path(&format!("{release}-{}.sock", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(executable);
        command.args([release, program]).arg(&socket).envs(environment.iter().copied());
        let (child, line) = until_it_speaks(&mut command);
        assert_eq!(line, "ready\n", "{release} {program}");
        Self { child, address: format!("unix:{}", socket.display()) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// The executable of `tests/vintages`, built when it is first needed and kept in `target/vintages`.
fn vintages() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        build(&root.join("tests/vintages/Cargo.toml"));
        root.join("target/vintages/debug/vintages")
    });
    &BUILT
}

fn build(manifest: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(root.join("target/vintages"))
        .env("RUSTFLAGS", "--cfg tokio_unstable")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(root);
    run(&mut cargo);
}

/// Another build of `tests/vintages`, with its programs as `edit` makes them. Its dependencies are those that are built
/// already.
pub fn rebuilt(name: &str, edit: impl Fn(String) -> String) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (from, copy) = (root.join("tests/vintages"), root.join("target/rebuilt").join(name));
    fs::create_dir_all(copy.join("src")).unwrap();
    let renamed = |text: String| text.replace("name = \"vintages\"", &format!("name = \"{name}\""));
    let copied = |file: &str, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(from.join(file)).unwrap();
        fs::write(copy.join(file), change(text)).unwrap();
    };
    copied("Cargo.toml", &renamed);
    copied("Cargo.lock", &renamed);
    copied("src/main.rs", &|text| text);
    copied("src/programs.rs", &edit);
    build(&copy.join("Cargo.toml"));
    root.join("target/vintages/debug").join(name)
}

/// Starts a program, and waits for the line by which it says that it is ready.
fn until_it_speaks(command: &mut Command) -> (Child, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A stopped program does not see that its input has closed.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// A server that does with each connection what `serve` does. Its thread ends with the test's process.
pub fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    address
}

/// A server that says `text` to everybody and hangs up. It hears them out: the kernel throws away what was said last when a
/// connection is closed over something unread.
pub fn says(text: &'static str) -> String {
    listen(move |mut stream| {
        std::thread::spawn(move || {
            stream.write_all(text.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write)).ok();
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        });
    })
}

/// An address where nothing listens: it was free a moment ago and nobody is told of it.
pub fn closed_port() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}

/// A console that accepts and never says a word. Each connection is handed over.
pub fn silent() -> (String, mpsc::Receiver<TcpStream>) {
    let (sender, accepted) = mpsc::channel();
    let address = listen(move |stream| drop(sender.send(stream)));
    (address, accepted)
}

/// Connections whose sshd is a process that the test can stop.
pub fn sshd_on_a_port(config: PathBuf) -> (String, mpsc::Receiver<Child>) {
    let (sender, started) = mpsc::channel();
    let address = listen(move |stream| {
        let stream = OwnedFd::from(stream);
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.arg("-i").arg("-f").arg(&config).stdin(stream.try_clone().unwrap()).stdout(stream).stderr(Stdio::null());
        let _ = sender.send(sshd.spawn().unwrap());
    });
    (address, started)
}

/// Ids of the processes below `parent`, at any depth.
pub fn descendants(parent: u32) -> Vec<u32> {
    let mut found = children(parent);
    let mut next = 0;
    while let Some(&id) = found.get(next) {
        found.extend(children(id));
        next += 1;
    }
    found
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// Handles on processes, by which their end can be waited for.
pub fn watch(processes: &[u32]) -> Vec<(String, OwnedFd)> {
    let open = |&id: &u32| {
        let name = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default().replace('\0', " ");
        let handle = rustix::process::pidfd_open(pid(id), rustix::process::PidfdFlags::empty()).ok()?;
        Some((name, handle))
    };
    processes.iter().filter_map(open).collect()
}

/// Those that do not end, however long a patient person would wait.
pub fn survivors(processes: Vec<(String, OwnedFd)>) -> Vec<String> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    let lives = |handle: &OwnedFd| poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&patience)).unwrap() == 0;
    processes.into_iter().filter(|(_, handle)| lives(handle)).map(|(name, _)| name).collect()
}

fn pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

pub fn signal(process: u32, signal: rustix::process::Signal) {
    rustix::process::kill_process(pid(process), signal).unwrap();
}

/// Stops a process and all below it, parents first, so that none starts another meanwhile. One may end before its turn.
pub fn freeze(process: u32) {
    let stopped = rustix::process::kill_process(pid(process), rustix::process::Signal::STOP);
    assert!(matches!(stopped, Ok(()) | Err(rustix::io::Errno::SRCH)), "{stopped:?}");
    children(process).into_iter().for_each(freeze);
}

/// An sshd that listens, as on a real server, ended when dropped.
pub struct Daemon {
    child: Child,
    log: Option<JoinHandle<String>>,
    pub address: String,
}

impl Daemon {
    /// Starts it with a configuration of `lab`; `says` hears every line of its log.
    pub fn start(lab: &Lab, config: &str, mut says: impl FnMut(&str) + Send + 'static) -> Self {
        loop {
            let address = closed_port();
            let mut sshd = Command::new("/usr/sbin/sshd");
            sshd.args(["-D", "-e", "-o", "LogLevel=VERBOSE", "-o", &format!("ListenAddress={address}"), "-f"]);
            let mut child = sshd.arg(lab.path(config)).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
            if !lines.any(|line| line.starts_with("Server listening")) {
                // Somebody else has taken the port meanwhile.
                child.wait().unwrap();
                continue;
            }
            let log = std::thread::spawn(move || {
                let heard = |line: String| {
                    says(&line);
                    line + "\n"
                };
                lines.map(heard).collect()
            });
            return Self { child, log: Some(log), address };
        }
    }

    /// Ends it, once its last connection has; everything that it has said.
    pub fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
