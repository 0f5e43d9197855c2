//! What the programs have in common: a console on a Unix socket, runtimes that are built after it, and their end.

use std::any::Any;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Builder;

/// What must not be dropped while the program runs.
pub struct Keep(pub Vec<Box<dyn Any>>);

/// Past every threshold of the shipped rules.
const RIPE: Duration = Duration::from_millis(2200);

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn workers(workers: usize, program: impl FnOnce() + Send + 'static) -> Keep {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    runtime.spawn(async move { program() });
    Keep(vec![Box::new(runtime)])
}

pub fn multi_thread(program: impl FnOnce() + Send + 'static) -> Keep {
    workers(2, program)
}

/// A runtime on a thread of its own, which drives it until the process ends.
pub fn current_thread(program: impl FnOnce() + Send + 'static) -> Keep {
    let thread = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            program();
            std::future::pending::<()>().await;
        });
    });
    Keep(vec![Box::new(thread)])
}

/// Keeps the console of a program with many tasks small: 49 kB each otherwise.
const SHORT_HISTOGRAM: Duration = Duration::from_millis(10);

/// Is `program` with its console at `place`, a Unix socket or a TCP address, until standard input closes, and says on
/// standard output when it is ripe.
pub fn be(program: fn() -> Keep, place: &str, has_many_tasks: bool) -> ! {
    let console = console_subscriber::ConsoleLayer::builder();
    let console = match place.parse::<SocketAddr>() {
        Ok(address) => console.server_addr(address),
        Err(_) => console.server_addr(PathBuf::from(place)),
    };
    let console = if has_many_tasks {
        console.poll_duration_histogram_max(SHORT_HISTOGRAM).scheduled_duration_histogram_max(SHORT_HISTOGRAM)
    } else {
        console
    };
    console.init();
    let keep = program();
    std::thread::sleep(RIPE);
    println!("\nripe");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // Workers that are blocked on purpose would make an orderly end wait for ever.
    std::mem::forget(keep);
    std::process::exit(0)
}
