//! What the programs have in common: a console on a Unix socket, runtimes that are built after it, and their end.

use std::any::Any;
use std::io::{Read, Write};
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

/// Is `program` with its console at `socket` until standard input closes, and says on standard output when it is ripe.
pub fn be(program: fn() -> Keep, socket: PathBuf) -> ! {
    console_subscriber::ConsoleLayer::builder().server_addr(socket).init();
    let keep = program();
    std::thread::sleep(RIPE);
    println!("\nripe");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // Workers that are blocked on purpose would make an orderly end wait for ever.
    std::mem::forget(keep);
    std::process::exit(0)
}
