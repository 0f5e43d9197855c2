//! Programs that print an inventory: `--list`, and `--host NAME` where they print no `_meta.hostvars`.

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::InventoryError;
use super::check::variables;
use super::load::{MAX_BYTES, Reader, scalar};
use super::typed::FromJson;
use super::variables::Origin;
use crate::model::GroupName;
use crate::source::{Node, Place, Source, Value, shown};

/// Longest time for everything that one program is asked.
const MAX_TIME: Duration = Duration::from_secs(60);

/// How much of what a program says on stderr is shown.
const MAX_STDERR: u64 = 4 << 10;

/// How often a program that has closed its output is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// Runs the program and adds what it prints.
pub(super) fn run(reader: &mut Reader, path: &Path) {
    let deadline = Instant::now() + MAX_TIME;
    let Some(root) = ask(reader, path, &["--list"], deadline) else { return };
    let mut shown_as = path.as_os_str().to_owned();
    shown_as.push(" --list");
    let origin = Arc::new(Origin { path: shown_as.into(), text: String::new() });
    let mut source = Source::new(&origin.path, &origin.text);
    let before = reader.inventory.hosts.len();
    groups(reader, &mut source, &root, &origin);
    if root.get("_meta").is_none() {
        let names: Vec<_> = reader.inventory.hosts.iter().skip(before).map(|host| host.name.to_string()).collect();
        for name in names {
            let Some(vars) = ask(reader, path, &["--host", &name], deadline) else { break };
            host_vars(reader, &mut source, &scalar(&name, Place::default()), &vars, &origin);
        }
    }
    reader.failed(source);
}

/// Adds groups in the shape of `--list`.
pub(super) fn groups(reader: &mut Reader, source: &mut Source<'_>, root: &Node, origin: &Arc<Origin>) {
    let Some(entries) = root.mapping() else {
        source.complain(root.place, format!("here must be an object of groups, and is {}", root.kind()));
        return;
    };
    for (key, value) in entries {
        match key.text().unwrap_or_default() {
            "_meta" => {}
            name => match name.parse::<GroupName>() {
                Ok(name) => group(reader, source, &name, value, origin),
                Err(why) => source.complain(key.place, format!("{why}")),
            },
        }
    }
    let hostvars = root.get("_meta").and_then(|meta| meta.get("hostvars"));
    for (host, vars) in hostvars.and_then(Node::mapping).into_iter().flatten() {
        host_vars(reader, source, host, vars, origin);
    }
}

fn group(reader: &mut Reader, source: &mut Source<'_>, name: &GroupName, node: &Node, origin: &Arc<Origin>) {
    reader.group(name);
    let fields = node.mapping().unwrap_or_default();
    let is_group = fields.iter().any(|(key, _)| matches!(key.text(), Some("hosts" | "vars" | "children")));
    if let (Value::Mapping(_), false) = (&node.value, is_group || fields.is_empty()) {
        // A host with its variables in place of a group, as the oldest programs print it.
        let key = scalar(name.as_str(), node.place);
        if let Some(host) = reader.plain_host(source, &key) {
            reader.member(name, host);
        }
        return host_vars(reader, source, &key, node, origin);
    }
    let hosts = if let Value::Sequence(_) = node.value { Some(node) } else { node.get("hosts") };
    for key in hosts.and_then(Node::sequence).into_iter().flatten() {
        if let Some(host) = reader.plain_host(source, key) {
            reader.member(name, host);
        }
    }
    for (key, value) in node.get("vars").and_then(Node::mapping).into_iter().flatten() {
        reader.variable(source, name, key.clone(), value.clone(), origin);
    }
    for child in node.get("children").and_then(Node::sequence).into_iter().flatten() {
        match child.text().unwrap_or_default().parse::<GroupName>() {
            Ok(below) => reader.child(name, &below, origin, child.place),
            Err(why) => source.complain(child.place, format!("{why}")),
        }
    }
}

/// Variables of a host that some group has named; of others nobody would ask.
fn host_vars(reader: &mut Reader, source: &mut Source<'_>, host: &Node, vars: &Node, origin: &Arc<Origin>) {
    let Some(at) = host.text().and_then(|name| name.parse().ok()).and_then(|name| reader.inventory.place(&name)) else {
        return;
    };
    let vars = variables(source, vars, origin);
    if let Some(host) = reader.inventory.hosts.get_mut(at) {
        host.vars.extend(vars);
    }
}

/// What the program prints, as JSON.
fn ask(reader: &mut Reader, path: &Path, arguments: &[&str], deadline: Instant) -> Option<Node> {
    let answer = answer(path, arguments, deadline);
    let (result, stderr) = match answer {
        Ok(answer) => answer,
        Err(why) => (Err(why), String::new()),
    };
    let said: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).map(shown_line).collect();
    let parsed = result.and_then(|output| {
        let parsed: Result<FromJson, _> = serde_json::from_slice(&output);
        parsed.map(|FromJson(node)| node).map_err(|error| {
            let begin: String = String::from_utf8_lossy(&output).chars().take(60).collect();
            format!("printed no JSON for `{}`: {error}; it begins with `{}`", arguments.join(" "), shown(&begin))
        })
    });
    match parsed {
        Ok(node) => {
            said.iter().for_each(|line| reader.note(format!("{}: {line}", path.display())));
            Some(node)
        }
        Err(why) => {
            let said: String = said.iter().map(|line| format!("\n  {line}")).collect();
            reader.fail(InventoryError::Program { path: path.to_owned(), why: why + &said });
            None
        }
    }
}

fn shown_line(line: &str) -> String {
    line.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

type Answer = (Result<Vec<u8>, String>, String);

/// Runs the program in its own directory's place, within its time and size.
fn answer(path: &Path, arguments: &[&str], deadline: Instant) -> Result<Answer, String> {
    let program = std::path::absolute(path).map_err(|error| format!("cannot be found: {error}"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let stdout = drain(child.stdout.take(), MAX_BYTES);
    let stderr = drain(child.stderr.take(), MAX_STDERR);
    let left = deadline.saturating_duration_since(Instant::now());
    let output = stdout.recv_timeout(left);
    let too_large = output.as_ref().is_ok_and(|output| output.len() as u64 > MAX_BYTES);
    let status = if output.is_ok() && !too_large { wait(&mut child, deadline) } else { None };
    if status.is_none() {
        // They may have ended in this moment.
        for id in descendants(child.id()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    // Whoever else holds its stderr open must not hold us.
    let said = stderr.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let result = match (output, status) {
        _ if too_large => Err(format!("printed more than {} MiB", MAX_BYTES >> 20)),
        (Ok(output), Some(status)) if status.success() => Ok(output),
        (_, Some(status)) => Err(format!("failed for `{}`: {status}", arguments.join(" "))),
        _ => Err(format!("did not answer `{}` within {} seconds", arguments.join(" "), MAX_TIME.as_secs())),
    };
    Ok((result, said))
}

/// What the program has started itself. It shares our process group, so that Ctrl-C ends all of them; when its time is
/// over they are ended one by one. Systems without Linux's `/proc` do not tell.
fn descendants(parent: u32) -> Vec<rustix::process::Pid> {
    let mut found = Vec::new();
    let mut waiting = vec![parent.to_string()];
    while let Some(id) = waiting.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<_> = children.flat_map(|ids| ids.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        for child in children.into_iter().filter(|child| !child.is_empty()) {
            found.extend(child.parse().ok().and_then(rustix::process::Pid::from_raw));
            waiting.push(child);
        }
    }
    found
}

/// Reads all of it, so that the program never waits for us; keeps one byte more than `most`.
fn drain(from: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<Vec<u8>> {
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut from) = from {
            let _ = from.by_ref().take(most + 1).read_to_end(&mut kept);
            let _ = sender.send(kept);
            let _ = std::io::copy(&mut from, &mut std::io::sink());
        }
    });
    received
}

fn wait(child: &mut std::process::Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::descendants;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn what_a_program_has_started_is_found() {
        let script = "(sleep 600 & echo $!; wait) & wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let found = descendants(shell.id());
        let sleeper = rustix::process::Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        for id in &found {
            rustix::process::kill_process(*id, rustix::process::Signal::KILL).unwrap();
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(found.len() == 2 && found.contains(&sleeper), "{found:?}, {sleeper:?}");
    }
}
