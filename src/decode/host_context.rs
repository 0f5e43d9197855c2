//! What the commands of the host context print, read as facts. Pure, and every line of it may be a lie or garbage.

use std::collections::BTreeMap;

use crate::model::{Health, HostContext, LogTail, MachineState, ProcessState, SocketsOf, TcpStates};

/// Ticks of a process's CPU times in a second: `USER_HZ`, the same on every Linux that runs tokio.
const TICKS: f64 = 100.0;

/// Limits at or above this are none: control groups say "as much as there is" so.
const NO_LIMIT: u64 = 1 << 60;

/// Lines of a log that are looked at, errors that are kept, and characters kept of each.
const LOG_LINES: usize = 200;
const KEPT_ERRORS: usize = 5;
const KEPT_CHARS: usize = 300;

/// Where in a line its level is looked for: behind the time, before the text.
const LEVEL_WITHIN: usize = 200;

/// Programs that hold a port for another one, whose descriptors and threads say nothing about it.
const FORWARDERS: &[&str] = &[
    "docker-proxy",
    "rootlessport",
    "slirp4netns",
    "pasta",
    "ssh",
    "sshd",
    "sshd-session",
    "kubectl",
    "socat",
    "haproxy",
    "envoy",
];

/// The facts of a script's output, first values only: what is repeated is not ours.
struct Lines<'a>(BTreeMap<&'a str, Vec<Vec<&'a str>>>);

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Option<Self> {
        // A login shell may greet first.
        let at = text.lines().position(|line| line.trim_end() == "fleetdiag-host 1")?;
        let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in text.lines().skip(at + 1).take_while(|line| line.trim_end() != "end").take(4096) {
            let mut words = line.split_ascii_whitespace();
            if let Some(key) = words.next() {
                lines.entry(key).or_default().push(words.collect());
            }
        }
        Some(Self(lines))
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &[&'a str]> {
        self.0.get(key).into_iter().flatten().map(Vec::as_slice)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()?.first().copied()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    fn real(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
    }

    fn between(&self, first: &str, second: &str) -> Option<f64> {
        let span = self.real(second)? - self.real(first)?;
        (span >= 0.0).then_some(span)
    }
}

/// Reads what the script for processes printed into `context`, and names what it did not see.
pub fn process_facts(context: &mut HostContext, text: &str) {
    let Some(lines) = Lines::of(text) else {
        return context
            .cannot_see("host", "the server runs something else than what it is asked to (a forced command?)");
    };
    for what in lines.all("unseen") {
        let (what, why) = match what {
            ["all", "no-proc"] => ("host", "there is no `/proc`: only Linux tells"),
            ["all", "no-awk"] => ("host", "there is no `awk`"),
            ["process", "denied"] => ("process", "it is another user's: log in as that user, or as root"),
            ["process", "nobody"] => ("process", "nobody listens where the console should"),
            ["process", "gone"] => ("process", "it has ended"),
            ["tcp", "many"] => {
                ("TCP states", "there are more than 200000 sockets, and listing them costs the server time")
            }
            _ => continue,
        };
        context.cannot_see(what, why);
    }
    context.machine = machine(&lines);
    context.process = process(&lines);
    context.tcp = tcp(&lines);
    if let Some(process) = &context.process
        && process.fds.is_none()
    {
        context.cannot_see("file descriptors", "they are another user's: log in as that user, or as root");
    }
}

/// Whether a process holds its port for another program.
#[must_use]
pub fn forwards(process: &ProcessState) -> bool {
    FORWARDERS.contains(&process.name.as_str())
}

fn machine(lines: &Lines<'_>) -> Option<MachineState> {
    let kib = |key| lines.number(key).map(|kib| kib.saturating_mul(1024));
    let psi = |resource: &str, whose: &str| {
        let line = lines.all("psi").find(|line| line.first() == Some(&resource) && line.get(1) == Some(&whose))?;
        line.get(2)?.parse().ok().filter(|share: &f64| (0.0..=100.0).contains(share))
    };
    let cpu = |key| {
        let line = lines.all(key).next()?;
        let part = |at: usize| line.get(at)?.parse::<f64>().ok().filter(|number| number.is_finite());
        Some((part(0)?, part(1)?))
    };
    let cpu_percent = || {
        let ((busy, idle), (busy_then, idle_then)) = (cpu("cpu1")?, cpu("cpu0")?);
        let (busy, idle) = ((busy - busy_then).max(0.0), (idle - idle_then).max(0.0));
        (busy + idle > 0.0).then(|| 100.0 * busy / (busy + idle))
    };
    let machine = MachineState {
        cpus: lines.number("cpus").filter(|cpus| *cpus > 0),
        load: lines.real("load"),
        cpu_percent: cpu_percent(),
        memory_bytes: kib("memory"),
        memory_available_bytes: kib("available"),
        psi_cpu_percent: psi("cpu", "some"),
        psi_memory_percent: psi("memory", "full"),
        psi_io_percent: psi("io", "full"),
    };
    (machine != MachineState::default()).then_some(machine)
}

fn process(lines: &Lines<'_>) -> Option<ProcessState> {
    let pid = u32::try_from(lines.number("pid")?).ok()?;
    let seconds = lines.between("uptime0", "uptime1").filter(|seconds| *seconds > 0.1);
    let used = lines.between("ticks0", "ticks1").map(|ticks| ticks / TICKS);
    let up = lines.real("uptime0").zip(lines.real("start")).map(|(now, start)| (now - start / TICKS).max(0.0));
    Some(ProcessState {
        pid,
        name: lines.text("name").unwrap_or_default().chars().take(64).collect(),
        up_seconds: up.map(|seconds| seconds as u64),
        threads: lines.number("threads"),
        fds: lines.number("fds"),
        fd_limit: lines.number("fdlimit").filter(|limit| *limit < NO_LIMIT),
        memory_bytes: lines.number("rss").map(|kib| kib.saturating_mul(1024)),
        memory_limit_bytes: lines.number("cgmemory").filter(|limit| *limit < NO_LIMIT),
        oom_kills: lines.number("oomkill"),
        cpu_percent: used.zip(seconds).map(|(used, seconds)| 100.0 * used / seconds),
    })
}

fn tcp(lines: &Lines<'_>) -> Option<TcpStates> {
    let of = match lines.text("of")? {
        "process" => SocketsOf::Process,
        _ => SocketsOf::Network,
    };
    // States as in the kernel's `include/net/tcp_states.h`.
    let count = |state: &str| {
        let line = lines.all("tcp").find(|line| line.first() == Some(&state));
        line.and_then(|line| line.get(1)?.parse().ok()).unwrap_or(0)
    };
    let hex = |text: Option<&&str>| u32::from_str_radix(text?, 16).ok();
    let queue = |line: &[&str]| {
        let port = u16::try_from(hex(line.first())?).ok()?;
        Some((u64::from(hex(line.get(1))?), port))
    };
    // The longest, the lowest port of equals: the order of the lines is nobody's.
    let longest = lines.all("listen").filter_map(queue).max_by_key(|(queue, port)| (*queue, std::cmp::Reverse(*port)));
    let limit = |port: u16| {
        let of_port = |line: &[&str]| (line.first()?.parse() == Ok(port)).then(|| line.get(2)?.parse().ok())?;
        lines.all("ss").filter_map(of_port).max()
    };
    Some(TcpStates {
        of,
        established: count("01"),
        close_wait: count("08"),
        backlog: longest.map(|(queue, _)| queue),
        backlog_limit: longest.and_then(|(_, port)| limit(port)),
        backlog_port: longest.map(|(_, port)| port),
        overflows: lines.between("overflow0", "overflow1").map(|more| more as u64),
    })
}

/// Reads what the script for health URLs printed. `complaint` is what the tools wrote to stderr.
///
/// # Errors
/// Why nothing was asked.
pub fn health(url: &str, text: &str, complaint: &str) -> Result<Health, &'static str> {
    let shown = url.split(['?', '#']).next().unwrap_or(url).to_owned();
    let last =
        text.lines().rev().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>()).find(|line| !line.is_empty());
    let answer = |status: Option<u16>, seconds: Option<f64>, error: &str| {
        let latency_ms =
            seconds.filter(|seconds| (0.0..1e6).contains(seconds)).map(|seconds| (seconds * 1e3).round() as u64);
        let error = status.is_none().then(|| cut(error));
        Ok(Health { url: shown.clone(), status, latency_ms: status.and(latency_ms), error })
    };
    match last.as_deref() {
        Some(["none"]) => Err("there is neither `curl` nor `wget` on the server"),
        Some(["curl", status, seconds]) => {
            let status = status.parse().ok().filter(|status: &u16| *status >= 100);
            let why = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no answer");
            answer(status, seconds.parse().ok(), why)
        }
        Some(["wget", before, after]) => {
            let is_status = |line: &&str| line.trim_start().starts_with("HTTP/");
            let line = text.lines().rfind(is_status);
            let status = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
            let seconds =
                after.parse::<f64>().ok().zip(before.parse().ok()).map(|(after, before): (f64, f64)| after - before);
            let why = text.lines().rev().skip(1).find(|line| !line.trim().is_empty()).unwrap_or("no answer");
            answer(status, seconds, why)
        }
        _ => Err("the server runs something else than what it is asked to (a forced command?)"),
    }
}

/// How bad a line of a log says it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Other,
}

/// Counts levels in the last lines of `text`, as they came from `source`.
#[must_use]
pub fn log_tail(source: &str, text: &str, cut_off: bool) -> LogTail {
    let lines: Vec<String> = text.lines().map(plain).filter(|line| !line.trim().is_empty()).collect();
    let lines = &lines[lines.len().saturating_sub(LOG_LINES)..];
    let mut tail = LogTail { source: source.to_owned(), lines: lines.len() as u64, cut_off, ..LogTail::default() };
    for line in lines {
        match level(line) {
            Level::Error => {
                tail.errors += 1;
                tail.last_errors.push(cut(line));
            }
            Level::Warning => tail.warnings += 1,
            Level::Other => {}
        }
    }
    tail.last_errors.drain(..tail.last_errors.len().saturating_sub(KEPT_ERRORS));
    tail
}

/// The first level that a line names in its beginning; words inside of words do not count.
fn level(line: &str) -> Level {
    if line.contains("panicked at ") {
        return Level::Error;
    }
    let beginning: String = line.chars().take(LEVEL_WITHIN).collect();
    for word in beginning.split(|c: char| !c.is_ascii_alphabetic()) {
        match word {
            "ERROR" | "FATAL" | "PANIC" | "CRITICAL" | "CRIT" | "ERR" | "EMERG" | "ALERT" => return Level::Error,
            "WARN" | "WARNING" => return Level::Warning,
            "INFO" | "DEBUG" | "TRACE" | "NOTICE" => return Level::Other,
            _ => {}
        }
    }
    // `level=error`, `"level":"error"`, `[error]`.
    let quiet: String = beginning.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let named = |names: &[&str]| {
        names.iter().any(|name| {
            ["level=", "level:", "lvl=", "severity=", "severity:", "["]
                .iter()
                .any(|before| quiet.contains(&format!("{before}{name}")))
        })
    };
    if named(&["error", "fatal", "critical", "panic"]) {
        Level::Error
    } else if named(&["warn"]) {
        Level::Warning
    } else {
        Level::Other
    }
}

/// A line without the colours that programs put into their logs.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len().min(4 * KEPT_CHARS));
    let mut chars = line.chars().take(16 * KEPT_CHARS);
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // `ESC [ … letter`.
            if chars.next() == Some('[') {
                chars.by_ref().find(|c| c.is_ascii_alphabetic());
            }
        } else {
            text.push(c);
        }
    }
    text
}

fn cut(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= KEPT_CHARS {
        return line.to_owned();
    }
    line.chars().take(KEPT_CHARS).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{health, log_tail, process_facts};
    use crate::model::{HostContext, SocketsOf};
    use proptest::prelude::*;

    const OUTPUT: &str = "Welcome to relay!\nfleetdiag-host 1\ncpus 4\nload 0.52\nmemory 1000\navailable 400\n\
        psi cpu some 3.10\npsi memory some 9.00\npsi memory full 1.50\npsi io full 0.25\ncpu0 100 900\nuptime0 100.00\n\
        ticks0 10\nstart 4000\noverflow0 7\npid 77\nname relay\nthreads 37\nrss 2000\nfdlimit 1024\ncgmemory max\n\
        oomkill 2\nfds 412\nof process\ntcp 01 12\ntcp 08 55\nlisten 0050 00000003\nlisten 1A0D 0000000A\n\
        ss 6669 10 128\nss 6669 10 4\nss 80 3 1024\ncpu1 150 950\nuptime1 101.00\nticks1 60\nstart 4000\noverflow1 9\nend\n\
        pid 99\n";

    fn read(text: &str) -> HostContext {
        let mut context = HostContext::default();
        process_facts(&mut context, text);
        context
    }

    #[test]
    fn what_the_script_prints_becomes_facts() {
        let context = read(OUTPUT);
        assert!(context.unseen.is_empty(), "{context:?}");
        let process = context.process.unwrap();
        assert_eq!(
            (process.pid, process.name.as_str(), process.fds, process.fd_limit),
            (77, "relay", Some(412), Some(1024))
        );
        assert_eq!((process.memory_bytes, process.memory_limit_bytes), (Some(2_048_000), None));
        assert_eq!((process.up_seconds, process.cpu_percent, process.oom_kills), (Some(60), Some(50.0), Some(2)));
        let tcp = context.tcp.unwrap();
        assert_eq!((tcp.of, tcp.established, tcp.close_wait), (SocketsOf::Process, 12, 55));
        assert_eq!((tcp.backlog, tcp.backlog_port, tcp.backlog_limit), (Some(10), Some(6669), Some(128)));
        assert_eq!(tcp.overflows, Some(2));
        let machine = context.machine.unwrap();
        assert_eq!((machine.psi_cpu_percent, machine.psi_memory_percent), (Some(3.1), Some(1.5)));
        assert_eq!((machine.cpu_percent, machine.memory_available_bytes), (Some(50.0), Some(409_600)));
    }

    #[test]
    fn what_is_missing_is_named_and_never_zero() {
        let context = read("fleetdiag-host 1\npid 5\nname x\nof network\ntcp 08 9\nend\n");
        let process = context.process.unwrap();
        assert_eq!((process.fds, process.threads, process.cpu_percent), (None, None, None));
        assert_eq!(context.unseen[0].what, "file descriptors");
        assert_eq!(context.tcp.unwrap().of, SocketsOf::Network);
        let denied = read("fleetdiag-host 1\nunseen process denied\nunseen tcp many\nend\n");
        assert_eq!(
            denied.unseen.iter().map(|unseen| unseen.what.as_str()).collect::<Vec<_>>(),
            ["process", "TCP states"]
        );
        assert_eq!((denied.process, denied.tcp), (None, None));
        let foreign = read("This account is only for backups.\n");
        assert!(foreign.unseen[0].why.contains("forced command"));
    }

    #[test]
    fn health_is_read_from_either_tool() {
        let read = |text: &str, complaint: &str| health("http://a/health?key=1", text, complaint);
        let well = read("curl 204 0.0123\n", "").unwrap();
        assert_eq!(
            (well.url.as_str(), well.status, well.latency_ms, well.is_well()),
            ("http://a/health", Some(204), Some(12), true)
        );
        let gone = read("curl 000 0.0001\n", "curl: (7) Failed to connect\n").unwrap();
        assert_eq!((gone.status, gone.error.as_deref()), (None, Some("curl: (7) Failed to connect")));
        let gnu = "--2026--  http://a/\n  HTTP/1.1 503 Service Unavailable\n  Server: x\n503 Service Unavailable.\nwget 10.00 10.25\n";
        let gnu = read(gnu, "").unwrap();
        assert_eq!((gnu.status, gnu.latency_ms, gnu.is_well()), (Some(503), Some(250), false));
        let refused = read("wget: can't connect to remote host: Connection refused\nwget 1.00 1.00\n", "").unwrap();
        assert_eq!(refused.error.as_deref(), Some("wget: can't connect to remote host: Connection refused"));
        assert!(read("none\n", "").unwrap_err().contains("neither"));
        assert!(read("hello\n", "").is_err() && read("", "").is_err());
    }

    #[test]
    fn levels_are_those_that_lines_name_first() {
        let text = "2026-11-24T10:00:00Z \u{1b}[31mERROR\u{1b}[0m relay: broken\n\n\
            2026-11-24T10:00:00Z  INFO relay: ERROR rate is 0\n{\"level\":\"error\",\"msg\":\"x\"}\nlevel=warn msg=slow\n\
            thread 'main' panicked at src/main.rs:1:1:\n[warn] close\nWARN a\nterror and TERRORS\n[error] z\n";
        let tail = log_tail("journal:relay", text, false);
        assert_eq!((tail.lines, tail.errors, tail.warnings), (9, 4, 3), "{tail:?}");
        assert_eq!(tail.last_errors[0], "2026-11-24T10:00:00Z ERROR relay: broken");
        let many = log_tail(
            "x",
            &"ERROR ".repeat(200).lines().map(|l| format!("{l}\n")).collect::<String>().repeat(1000),
            true,
        );
        assert_eq!((many.lines, many.errors, many.last_errors.len()), (200, 200, 5));
        assert!(many.last_errors.iter().all(|line| line.chars().count() <= 301) && many.cut_off);
    }

    proptest! {
        #[test]
        fn no_output_makes_the_readers_panic(
            keys in proptest::collection::vec("(pid|fds|tcp|listen|ss|cpu[01]|ticks[01]|uptime[01]|psi|unseen|of|rss|cgmemory)( [a-f0-9.eE+-]{0,24}){0,4}", 0..40),
            noise in "\\PC{0,200}",
        ) {
            read(&format!("{noise}\nfleetdiag-host 1\n{}\n{noise}", keys.join("\n")));
            read(&noise);
            let _ = health(&noise, &keys.join("\n"), &noise);
            let _ = log_tail(&noise, &format!("{noise}\n\u{1b}[{noise}"), false);
        }
    }
}
