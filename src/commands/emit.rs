//! Writing reports where they were asked for.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::cli::{Cli, ColorChoice, OutputSpec, ReportArgs};
use crate::diagnose::Diagnosis;
use crate::report::{self, Format};

/// GitHub shows no step summary of more than 1 MiB; what is said after the cut has room.
const SUMMARY_BYTES: usize = (1 << 20) - 200;

/// Columns of a report that goes into a file or a pipe.
const PLAIN_WIDTH: usize = 100;

/// Renders `diagnosis` in every format that was asked for: the human one on stdout when none was.
pub(super) fn emit(diagnosis: &Diagnosis, args: &ReportArgs, cli: &Cli) -> anyhow::Result<()> {
    let human = [OutputSpec { format: Format::Human, path: None }];
    let outputs = if args.output.is_empty() { &human } else { args.output.as_slice() };
    outputs.iter().try_for_each(|output| emit_one(diagnosis, output, args, cli))
}

/// Renders `diagnosis` for one `--output`.
pub(super) fn emit_one(diagnosis: &Diagnosis, output: &OutputSpec, args: &ReportArgs, cli: &Cli) -> anyhow::Result<()> {
    let terminal = output.path.is_none() && io::stdout().is_terminal();
    let text = report::render(output.format, diagnosis, &options(args, cli, terminal));
    deliver(output.path.as_deref(), &text)?;
    if output.format == Format::Github {
        step_summary(&report::render(Format::Markdown, diagnosis, &options(args, cli, false)))?;
    }
    Ok(())
}

/// Writes a text into a file, or to stdout.
pub(super) fn deliver(path: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match path {
        Some(path) => write_whole(path, text),
        None => print(text),
    }
}

/// Appends Markdown to the summary of the workflow's step, where there is one.
pub(super) fn step_summary(markdown: &str) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let mut text = markdown.to_owned();
    if text.len() > SUMMARY_BYTES {
        let end = text.bytes().take(SUMMARY_BYTES).enumerate().rfind(|(_, byte)| *byte == b'\n');
        text.truncate(end.map_or(0, |(at, _)| at));
        text.push_str("\n\nCut off here: GitHub takes no more. Use `--top`.\n");
    }
    let failed = || format!("cannot write the step summary `{}`", path.display());
    let mut file = fs::File::options().create(true).append(true).open(&path).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}

fn options(args: &ReportArgs, cli: &Cli, terminal: bool) -> report::Options {
    layout(terminal, args.wide.then_some(u16::MAX).or(args.width), args.top, cli)
}

/// How a text looks that goes to `path`, or to stdout.
pub(super) fn layout_for(path: Option<&Path>, width: Option<u16>, top: Option<usize>, cli: &Cli) -> report::Options {
    layout(path.is_none() && io::stdout().is_terminal(), width, top, cli)
}

fn layout(terminal: bool, width: Option<u16>, top: Option<usize>, cli: &Cli) -> report::Options {
    let color = match cli.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && console::colors_enabled(),
    };
    let columns = if terminal { usize::from(console::Term::stdout().size().1) } else { PLAIN_WIDTH };
    report::Options {
        width: width.map_or(columns, usize::from).max(40),
        color,
        unicode: utf8_locale(),
        top,
        verbose: cli.verbose,
        links: cli.hyperlink_format.clone().filter(|_| match cli.hyperlink {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb"),
        }),
    }
}

/// How a page to read on stdout looks.
pub(super) fn page_options(cli: &Cli) -> report::Options {
    let args = ReportArgs { output: Vec::new(), top: None, width: None, wide: false, source: None, blame: false };
    options(&args, cli, io::stdout().is_terminal())
}

/// Whether the user's locale can show more than ASCII, by the order in which POSIX reads these variables.
fn utf8_locale() -> bool {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Writes to stdout; a reader that has gone away (`| head`) is no error.
pub(super) fn print(content: &(impl AsRef<[u8]> + ?Sized)) -> anyhow::Result<()> {
    match io::stdout().write_all(content.as_ref()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Nobody wants to be told what is not the result.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Has every later [`note`] say nothing.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Tells the person who waits something that is not the result, unless they said `--quiet`.
pub(super) fn note(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        say(text);
    }
}

fn say(text: &str) {
    // Nobody to tell is no error.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says on stderr why the command ended.
pub(super) fn complain(error: &anyhow::Error) {
    say(format!("error: {error:#}").trim_end());
}

/// Replaces the file at once, so that nobody reads half a report.
pub(super) fn write_whole(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A device or a pipe (`/dev/stderr`, `>(…)`) cannot be replaced, only written to.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, content).with_context(failed);
    }
    // Other users' programs read reports (a node exporter, a web server): the umask decides, as for any file.
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).with_context(failed)?;
    file.write_all(content.as_ref()).with_context(failed)?;
    file.persist(path).map(drop).with_context(failed)
}
