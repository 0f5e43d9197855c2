//! One ssh master per server: started, judged and ended by us; spoken to through the `openssh` crate.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh::{ForwardType, Session, Socket};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::child::Group;
use super::classify;
use super::command::{self, Limits, NO_SUCH_PROGRAM, Output};
use super::stderr::{REASON_DELAY, Stderr};
use crate::model::{Endpoint, Failure, Reason, SshDestination, Stage};
use crate::plan::{Budget, SshSettings};

/// `ssh` prints this at `LogLevel VERBOSE` as soon as it is authenticated.
const AUTHENTICATED: &str = "Authenticated to ";

/// The control socket follows authentication at once; there is no message to wait for. Doubles with each look.
const SOCKET_POLL: Duration = Duration::from_millis(1);

/// How long a master may take to leave by itself.
const GRACE: Duration = Duration::from_millis(300);

/// Commands at once on one session: sshd allows ten (`MaxSessions`), and leaves the user's own alone.
const COMMANDS_AT_ONCE: usize = 4;

/// What we always ask of `ssh`. Keys, users, ports, crypto and host-key policy stay the user's.
const OPTIONS: &[&str] = &[
    "BatchMode=yes",
    "ControlPersist=no",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=2",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "UpdateHostKeys=no",
    "EscapeChar=none",
    "RemoteCommand=none",
];

/// An authenticated session. Dropping it kills its processes; [`Master::close`] lets them leave in order.
pub(super) struct Master {
    group: Group,
    session: Arc<Session>,
    stderr: Stderr,
    control: PathBuf,
    /// Held while a channel opens, so that a refusal on stderr belongs to the one who holds it.
    pub(super) opening: tokio::sync::Mutex<()>,
    commands: tokio::sync::Semaphore,
}

/// What `ssh` says while it opens a session, for who wants to know more than whether it could.
#[derive(Default)]
pub(super) struct Ear {
    is_curious: bool,
    heard: Option<Stderr>,
}

impl Ear {
    /// One that has `ssh` tell each of its steps.
    pub(super) fn curious() -> Self {
        Self { is_curious: true, heard: None }
    }

    /// What was said at the last opening so far.
    pub(super) fn heard(&self) -> String {
        self.heard.as_ref().map(|stderr| stderr.text_from(0)).unwrap_or_default()
    }

    /// The level says at least when authentication is over. The steps of a jump host's own `ssh` stay untold.
    fn level(&self) -> &'static str {
        if self.is_curious { "LogLevel=DEBUG1" } else { "LogLevel=VERBOSE" }
    }
}

impl Master {
    /// Starts `ssh` and waits until it is authenticated and takes requests.
    ///
    /// # Errors
    /// Why it is not, within `budget.authenticate`.
    pub(super) async fn open(
        destination: &SshDestination,
        settings: &SshSettings,
        budget: &Budget,
        control: PathBuf,
        ear: &mut Ear,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + budget.authenticate.max(budget.connect);
        let mut command = Command::new("ssh");
        command
            .args(arguments(destination, settings, budget, &control, ear.level()))
            .env("LC_ALL", "C")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut group = Group::spawn(command).map_err(spawn_failure)?;
        let mut stderr = Stderr::drain(group.child().stderr.take());
        ear.heard = Some(stderr.clone());
        match timeout_at(deadline, stderr.wait_for(0, |text| text.contains(AUTHENTICATED))).await {
            Ok(true) => {}
            Ok(false) => return Err(classify::session(&stderr.text_from(0))),
            Err(_) => return Err(stalled(&stderr)),
        }
        let mut pause = SOCKET_POLL;
        // It gets its name when it listens.
        while !control.exists() {
            if stderr.has_ended() {
                return Err(Failure::new(Reason::SessionLost, classify::last_line(&stderr.text_from(0))));
            }
            if Instant::now() >= deadline {
                return Err(stalled(&stderr));
            }
            sleep(pause).await;
            pause *= 2;
        }
        let session = Session::resume_mux(control.clone().into_boxed_path(), None);
        let commands = tokio::sync::Semaphore::new(COMMANDS_AT_ONCE);
        let session = Arc::new(session);
        Ok(Self { group, session, stderr, control, opening: tokio::sync::Mutex::new(()), commands })
    }

    /// Runs `argv` on the server, without a new handshake. Each word reaches the program as it is: the login shell
    /// between us sees it in single quotes. When this is dropped or its time is over, the command is ended too.
    ///
    /// # Errors
    /// When the server refuses to run anything, the session is lost, or the command does not end in time. Whatever the
    /// command itself says, also that there is no such program, is an [`Output`].
    pub(super) async fn run(&self, argv: &[&str], limits: Limits) -> Result<Output, Failure> {
        let running = async {
            let _permit = self.commands.acquire().await;
            let mut command = self.session.command("sh");
            command.args(["-c", command::UNTIL_WE_HANG_UP, "sh"]).args(argv);
            command.stdin(openssh::Stdio::piped()).stdout(openssh::Stdio::piped()).stderr(openssh::Stdio::piped());
            let mut child = command.spawn().await.map_err(|error| self.refused(&error))?;
            // Held until the command has ended, or nobody wants to know any more.
            let _stdin = child.stdin().take();
            let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
            let end = async {
                match child.wait().await {
                    Ok(status) => status.code(),
                    Err(openssh::Error::Remote(_)) => Some(NO_SUCH_PROGRAM),
                    Err(_) => None,
                }
            };
            command::gather(stdout, stderr, end, limits).await
        };
        timeout(limits.time, running).await.unwrap_or_else(|_| Err(command::too_slow(limits)))
    }

    /// Starts `argv` on the server with its three streams in our hands.
    ///
    /// # Errors
    /// When the server refuses to run anything, or the session is lost.
    pub(super) async fn spawn(
        &self,
        program: &str,
        arguments: &[String],
    ) -> Result<openssh::Child<Arc<Session>>, Failure> {
        let mut command = Arc::clone(&self.session).arc_command(program);
        command.args(arguments);
        command.stdin(openssh::Stdio::piped()).stdout(openssh::Stdio::piped()).stderr(openssh::Stdio::piped());
        command.spawn().await.map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &openssh::Error) -> Failure {
        self.lost().unwrap_or_else(|| Failure::new(Reason::CommandRefused, causes(error)))
    }

    /// Has `ssh` forward connections on the unix socket `local` to `endpoint`, as seen from the server.
    ///
    /// # Errors
    /// When `ssh` refuses. That nothing listens there shows only when somebody connects.
    pub(super) async fn forward(&self, local: &Path, endpoint: &Endpoint) -> Result<(), Failure> {
        let remote = match endpoint {
            Endpoint::Tcp { host, port } => Socket::TcpSocket { host: host.into(), port: *port },
            Endpoint::Unix(path) => Socket::UnixSocket { path: path.into() },
            // Found first, and then forwarded to like any address.
            Endpoint::Container { .. } => return Err(Failure::new(Reason::ContainerUnreachable, "")),
        };
        let local = Socket::UnixSocket { path: local.into() };
        self.session
            .request_port_forward(ForwardType::Local, local, remote)
            .await
            .map_err(|error| self.lost().unwrap_or_else(|| Failure::new(Reason::ForwardingProhibited, causes(&error))))
    }

    /// A mark in what `ssh` prints, for [`Master::refusal_since`].
    pub(super) fn mark(&self) -> usize {
        self.stderr.end()
    }

    /// Why a channel that was opened after `mark` has failed, where `ssh` says so.
    pub(super) async fn refusal_since(&self, mark: usize) -> Option<Failure> {
        let mut stderr = self.stderr.clone();
        // Without a reason in time there is none: the endpoint itself has closed the connection.
        let _ = timeout(REASON_DELAY, stderr.wait_for(mark, |text| classify::channel(text).is_some())).await;
        classify::channel(&stderr.text_from(mark))
    }

    /// Why a channel that was opened between two marks has failed, where `ssh` has said so.
    pub(super) fn refusal_between(&self, mark: usize, end: usize) -> Option<Failure> {
        let text = self.stderr.text_from(mark);
        let length = end.saturating_sub(mark).min(text.len());
        classify::channel(text.get(..length)?)
    }

    /// Why the session ended, if it did.
    pub(super) fn lost(&self) -> Option<Failure> {
        self.stderr
            .has_ended()
            .then(|| Failure::new(Reason::SessionLost, classify::last_line(&self.stderr.text_from(0))))
    }

    /// Why the session ended, if it does so about now.
    pub(super) async fn lost_soon(&self) -> Option<Failure> {
        let _ = timeout(REASON_DELAY, self.ended()).await;
        self.lost()
    }

    /// Waits until the session ends by itself.
    pub(super) async fn ended(&self) {
        let mut stderr = self.stderr.clone();
        stderr.wait_for(0, |_| false).await;
    }

    /// Ends the session: politely, then by force, and waits until it is gone.
    pub(super) async fn close(mut self) {
        self.group.signal(Signal::TERM);
        if timeout(GRACE, self.group.child().wait()).await.is_err() {
            self.group.signal(Signal::KILL);
            // Killed processes are gone, as far as we can see to it.
            let _ = timeout(GRACE, self.group.child().wait()).await;
        }
        let _ = std::fs::remove_file(&self.control);
    }
}

/// What `ssh` answered: the crate's own text is general, its causes are not.
fn causes(error: &openssh::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    classify::detail(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn arguments(
    destination: &SshDestination,
    settings: &SshSettings,
    budget: &Budget,
    control: &Path,
    level: &str,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["-M", "-N", "-T", "-S"].map(OsString::from).to_vec();
    arguments.push(control.into());
    let connect = format!("ConnectTimeout={}", budget.connect.as_secs_f64().ceil().max(1.0));
    for option in OPTIONS.iter().copied().chain([level, connect.as_str()]) {
        arguments.extend(["-o".into(), option.into()]);
    }
    arguments.extend(whom(destination, settings));
    arguments
}

/// The argv that has `ssh` tell what it would do for this destination, without doing it.
pub(super) fn describe_arguments(destination: &SshDestination, settings: &SshSettings) -> Vec<OsString> {
    let mut argv: Vec<OsString> = ["ssh", "-G", "-o", "BatchMode=yes"].map(OsString::from).to_vec();
    argv.extend(whom(destination, settings));
    argv
}

/// What the user, the inventory and the command line say about one destination, and the destination itself.
fn whom(destination: &SshDestination, settings: &SshSettings) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(config) = &settings.config {
        arguments.extend(["-F".into(), config.into()]);
    }
    let mut option = |text: OsString| arguments.extend(["-o".into(), text]);
    settings.options.iter().for_each(|text| option(text.into()));
    if let Some(user) = &destination.user {
        option(format!("User={user}").into());
    }
    if let Some(port) = destination.port {
        option(format!("Port={port}").into());
    }
    if let Some(file) = &destination.identity_file {
        // Quoted, since `ssh` splits the value at spaces.
        option(format!("IdentityFile=\"{}\"", file.display()).into());
    }
    arguments.extend(destination.extra_args.iter().map(OsString::from));
    arguments.extend(["--".into(), destination.host.as_str().into()]);
    arguments
}

fn spawn_failure(error: std::io::Error) -> Failure {
    let reason = if error.kind() == std::io::ErrorKind::NotFound { Reason::SshMissing } else { Reason::LocalLimit };
    Failure::new(reason, error.to_string())
}

/// `ssh` has said nothing final in time. The banner has its own deadline inside `ssh`, so this is later.
fn stalled(stderr: &Stderr) -> Failure {
    Failure::new(Reason::AuthenticationStalled, classify::last_line(&stderr.text_from(0))).at(Stage::Authenticate)
}

#[cfg(test)]
mod tests {
    use super::{Ear, Limits, Master, arguments};
    use crate::model::{Reason, SshDestination};
    use crate::plan::{Budget, SshSettings};
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    /// A server on a pipe, with `extra` lines in its sshd_config, and a task on its session.
    fn on_a_server<T, F>(extra: &str, task: impl FnOnce(Master) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display().to_string();
        for key in ["host_key", "user_key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &format!("{at}/{key}")])
                .status();
            assert!(made.unwrap().success());
        }
        let host_key = fs::read_to_string(format!("{at}/host_key.pub")).unwrap();
        fs::write(format!("{at}/known_hosts"), format!("lab {host_key}")).unwrap();
        let server = format!(
            "{extra}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/user_key.pub\nUsePAM no\nStrictModes no\nPidFile none\nSetEnv SHLVL=2\n"
        );
        fs::write(format!("{at}/sshd_config"), server).unwrap();
        let client = format!(
            "Host lab\nProxyCommand /usr/sbin/sshd -i -f {at}/sshd_config\nHostKeyAlias lab\n\
             UserKnownHostsFile {at}/known_hosts\nIdentityFile {at}/user_key\nIdentitiesOnly yes\n"
        );
        fs::write(format!("{at}/ssh_config"), client).unwrap();
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let settings = SshSettings { config: Some(format!("{at}/ssh_config").into()), options: Vec::new() };
        let destination = SshDestination {
            host: "lab".parse().unwrap(),
            user: None,
            port: None,
            identity_file: None,
            extra_args: Vec::new(),
        };
        let control = directory.path().join("0");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let done = runtime.spawn(async move {
            let master =
                Master::open(&destination, &settings, &Budget::default(), control, &mut Ear::default()).await.unwrap();
            task(master).await
        });
        runtime.block_on(done).unwrap()
    }

    #[test]
    fn commands_run_on_the_session_word_for_word_and_within_bounds() {
        on_a_server("", async |master| {
            let words = ["printf", "%s|", "a b", "$(id)", "`id`", "'\"; false #", "-x", "", "!!", "ä\n"];
            let output = master.run(&words, Limits::default()).await.unwrap();
            assert_eq!(output.text(), "a b|$(id)|`id`|'\"; false #|-x||!!|ä\n|");
            let output = master.run(&["sh", "-c", "echo no >&2; exit 3"], Limits::default()).await.unwrap();
            assert_eq!((output.complaint().as_str(), output.code), ("no\n", Some(3)));
            let missing = master.run(&["no-such-program-here"], Limits::default()).await.unwrap();
            assert_eq!((missing.code, missing.complaint().contains("no-such-program-here")), (Some(127), true));
            let endless = master.run(&["yes"], Limits { bytes: 10, ..Limits::default() }).await.unwrap();
            assert_eq!((endless.stdout.len(), endless.cut_off, endless.succeeded()), (10, true, false));
            let brief = Limits { time: Duration::from_millis(50), ..Limits::default() };
            let stalled = master.run(&["sleep", "5"], brief).await.unwrap_err();
            assert_eq!(stalled.reason, Reason::CommandStalled);
            assert!(master.run(&["true"], Limits::default()).await.unwrap().succeeded(), "the session goes on");
            master.close().await;
        });
    }

    #[test]
    fn a_command_that_nobody_waits_for_ends_on_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("started");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
        let script = format!("echo $$ >{}; exec sleep 600", fifo.display());
        let process = on_a_server("", async move |master| {
            let started = tokio::task::spawn_blocking(move || {
                let id: i32 = fs::read_to_string(fifo).unwrap().trim().parse().unwrap();
                let id = rustix::process::Pid::from_raw(id).unwrap();
                rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty()).unwrap()
            });
            let argv = ["sh", "-c", &script];
            let patient = Limits { time: Duration::from_secs(600), ..Limits::default() };
            let process = tokio::select! {
                process = started => process.unwrap(),
                ended = master.run(&argv, patient) => panic!("{ended:?}"),
            };
            // The session goes on, so that its end is not what ends the command.
            assert!(master.run(&["true"], Limits::default()).await.unwrap().succeeded());
            let process = tokio::task::spawn_blocking(move || {
                use rustix::event::{PollFd, PollFlags, Timespec, poll};
                let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
                poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)).unwrap()
            });
            let ended = process.await.unwrap();
            master.close().await;
            ended
        });
        assert_eq!(process, 1, "it is still there");
    }

    #[test]
    fn a_server_that_runs_no_commands_is_told() {
        on_a_server("MaxSessions 0", async |master| {
            let refused = master.run(&["true"], Limits::default()).await.unwrap_err();
            assert_eq!(refused.reason, Reason::CommandRefused);
            assert!(!refused.detail.is_empty());
            master.close().await;
        });
    }

    #[test]
    fn the_destination_comes_after_the_options_end() {
        let destination = SshDestination {
            host: "relay-2".parse().unwrap(),
            user: Some("deploy".parse().unwrap()),
            port: Some(2222),
            identity_file: Some("/keys/my key".into()),
            extra_args: vec!["-J".to_owned(), "bastion".to_owned()],
        };
        let arguments = arguments(
            &destination,
            &SshSettings::default(),
            &Budget::default(),
            Path::new("/run/x/0"),
            "LogLevel=VERBOSE",
        );
        let text: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(text[text.len() - 4..], ["-J", "bastion", "--", "relay-2"]);
        for expected in
            ["BatchMode=yes", "User=deploy", "Port=2222", "IdentityFile=\"/keys/my key\"", "ConnectTimeout=10"]
        {
            assert!(text.contains(&expected), "{expected}");
        }
        assert!(!text.iter().any(|text| text.contains("StrictHostKeyChecking")), "host-key policy is the user's");
    }
}
