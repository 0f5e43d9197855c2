//! Short commands: over a server's ssh session, or on this machine where no ssh leads to the target.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::child::Group;
use super::classify;
use crate::model::{Failure, Reason};

/// The code with which a shell says that there is no such program.
pub(super) const NO_SUCH_PROGRAM: i32 = 127;

/// Runs its arguments as a command, and ends that as soon as stdin ends: so does nothing that we started on a server
/// outlive our interest, whether its time is over, the run stops, or we are killed. The same text always; the words of
/// the command are arguments of their own.
pub(super) const UNTIL_WE_HANG_UP: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
command=$!
{ read -r _ <&3; kill "$command"; } >/dev/null 2>&1 &
watch=$!
wait "$command"
code=$?
kill "$watch" 2>/dev/null
exit "$code""#;

/// Bounds of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Longest time until it has ended.
    pub time: Duration,
    /// Most bytes taken from its stdout, and most from its stderr.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), bytes: 4 << 20 }
    }
}

/// What a command printed, and how it ended. Hostile text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    /// Its exit code; absent when a signal ended it, or one of the bounds cut it off.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
    /// It wrote more than was taken.
    pub cut_off: bool,
}

impl Output {
    /// Whether it ended well and was read whole.
    pub(super) fn succeeded(&self) -> bool {
        self.code == Some(0) && !self.cut_off
    }

    /// Its stdout as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its stderr as text.
    pub(super) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Reads both streams to their ends or the bound, then asks `end` for the exit code.
///
/// # Errors
/// When the time is over first.
pub(super) async fn gather<O, E, F>(
    stdout: Option<O>,
    stderr: Option<E>,
    end: F,
    limits: Limits,
) -> Result<Output, Failure>
where
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
    F: Future<Output = Option<i32>>,
{
    let reading = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (whole_out, whole_err) =
            tokio::join!(read_at_most(stdout, &mut out, limits.bytes), read_at_most(stderr, &mut err, limits.bytes));
        let cut_off = !(whole_out && whole_err);
        // Whoever is cut off may wait for a reader for ever.
        let code = if cut_off { None } else { end.await };
        Output { code, stdout: out, stderr: err, cut_off }
    };
    timeout(limits.time, reading).await.map_err(|_| too_slow(limits))
}

/// Appends what comes to `bytes`; false when there was more than `limit`.
async fn read_at_most<R: AsyncRead + Unpin>(reader: Option<R>, bytes: &mut Vec<u8>, limit: usize) -> bool {
    let Some(reader) = reader else { return true };
    // What breaks off is as long as it is.
    let _ = reader.take(limit as u64 + 1).read_to_end(bytes).await;
    let whole = bytes.len() <= limit;
    bytes.truncate(limit);
    whole
}

pub(super) fn too_slow(limits: Limits) -> Failure {
    Failure::new(Reason::CommandStalled, format!("no end after {:?}", limits.time))
}

/// Runs `argv` on this machine, without a shell, in a process group that ends with it.
///
/// # Errors
/// When it cannot be started or does not end in time. A program that does not exist is an [`Output`] with code 127.
pub(super) async fn run_here<S: AsRef<OsStr>>(argv: &[S], limits: Limits) -> Result<Output, Failure> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(Output::default()) };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = match Group::spawn(command) {
        Ok(group) => group,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let stderr = format!("{}: not found", program.as_ref().display()).into_bytes();
            return Ok(Output { code: Some(NO_SUCH_PROGRAM), stderr, ..Output::default() });
        }
        Err(error) => return Err(Failure::new(Reason::LocalLimit, classify::detail(&error.to_string()))),
    };
    let (stdout, stderr) = (group.child().stdout.take(), group.child().stderr.take());
    let end = async { group.child().wait().await.ok().and_then(|status| status.code()) };
    gather(stdout, stderr, end, limits).await
}

#[cfg(test)]
mod tests {
    use super::{Limits, NO_SUCH_PROGRAM, run_here};
    use crate::model::Reason;
    use std::time::Duration;

    fn run(argv: &[&str], limits: Limits) -> Result<super::Output, crate::model::Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        // Spawned from a runtime thread, as in a run.
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let task = runtime.spawn(async move {
            let argv: Vec<_> = argv.iter().map(String::as_str).collect();
            run_here(&argv, limits).await
        });
        runtime.block_on(task).unwrap()
    }

    #[test]
    fn words_are_words_and_the_exit_code_is_told() {
        let output = run(&["printf", "%s|", "a b", "$(id)", "'\"; false"], Limits::default()).unwrap();
        assert_eq!((output.text().as_str(), output.code, output.succeeded()), ("a b|$(id)|'\"; false|", Some(0), true));
        let output = run(&["sh", "-c", "echo no >&2; exit 3"], Limits::default()).unwrap();
        assert_eq!((output.complaint().as_str(), output.code), ("no\n", Some(3)));
        assert_eq!(run(&["no-such-program-here"], Limits::default()).unwrap().code, Some(NO_SUCH_PROGRAM));
    }

    #[test]
    fn bytes_and_time_are_bounded() {
        let output = run(&["yes"], Limits { bytes: 10, ..Limits::default() }).unwrap();
        assert_eq!((output.stdout.len(), output.cut_off, output.code, output.succeeded()), (10, true, None, false));
        let failure =
            run(&["sleep", "1000"], Limits { time: Duration::from_millis(1), ..Limits::default() }).unwrap_err();
        assert_eq!(failure.reason, Reason::CommandStalled);
    }
}
