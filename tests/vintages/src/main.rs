//! `vintages RELEASE PROGRAM SOCKET`: runs a program whose console-subscriber is of this release and listens at this
//! Unix socket. Prints `ready`, and ends when its standard input closes.

mod programs;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Large histograms cost 49 kB a task; the load programs have tens of thousands of tasks.
const HISTOGRAM_MAX: Duration = Duration::from_millis(10);

/// Installs a console as its own documentation says, with the settings of the environment.
macro_rules! console {
    ($release:ident, $socket:expr, $small:expr) => {{
        let builder = $release::ConsoleLayer::builder().with_default_env().server_addr(PathBuf::from($socket));
        if $small {
            builder.poll_duration_histogram_max(HISTOGRAM_MAX).scheduled_duration_histogram_max(HISTOGRAM_MAX).init();
        } else {
            builder.init();
        }
    }};
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [release, program, socket] = arguments.as_slice() else { panic!("vintages RELEASE PROGRAM SOCKET") };
    let program = programs::find(program).unwrap_or_else(|| panic!("no program `{program}`"));
    let small = program.has_many_tasks;
    match release.as_str() {
        "0.1.10" => console!(console_0_1_10, socket, small),
        "0.2.0" => console!(console_0_2_0, socket, small),
        "0.3.0" => console!(console_0_3_0, socket, small),
        "0.4.1" => console!(console_0_4_1, socket, small),
        "0.5.0" => console!(console_0_5_0, socket, small),
        _ => panic!("no console-subscriber {release} here"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    (program.start)(&runtime);
    listens(Path::new(socket));
    println!("ready");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    runtime.shutdown_background();
}

/// The console's own thread opens the socket and does not say when.
fn listens(socket: &Path) {
    while UnixStream::connect(socket).is_err() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
