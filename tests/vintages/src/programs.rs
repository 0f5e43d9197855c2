//! The programs. What the tests count is written here in plain numbers.

use std::future::pending;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::interval;

pub struct Program {
    pub start: fn(&Runtime),
    /// So many tasks that their histograms have to be small.
    pub has_many_tasks: bool,
}

pub fn find(name: &str) -> Option<Program> {
    let (start, has_many_tasks): (fn(&Runtime), bool) = match name {
        "small" => (small, false),
        "burst" => (burst, true),
        "ten-thousand" => (ten_thousand, true),
        "thirty-thousand" => (thirty_thousand, true),
        "five-thousand-a-second" => (five_thousand_a_second, true),
        "blocked" => (blocked, false),
        "relay" => (relay, false),
        _ => return None,
    };
    Some(Program { start, has_many_tasks })
}

/// 8 peers that meet at a lock again and again, 4 that wait for one which a fifth holds for ever, 2 that have
/// finished, 1 blocking. Settles for several publishing intervals, so that there is a past to be told.
fn small(runtime: &Runtime) {
    let shared = Arc::new(Mutex::new(0_u64));
    for _ in 0..8 {
        let shared = Arc::clone(&shared);
        runtime.spawn(async move {
            let mut tick = interval(Duration::from_millis(100));
            loop {
                tick.tick().await;
                *shared.lock().await += 1;
            }
        });
    }
    let lock = Arc::new(Mutex::new(()));
    let held = Arc::clone(&lock).blocking_lock_owned();
    runtime.spawn(async move {
        let _held = held;
        pending::<()>().await;
    });
    for _ in 0..4 {
        let lock = Arc::clone(&lock);
        runtime.spawn(async move { drop(lock.lock().await) });
    }
    for _ in 0..2 {
        runtime.spawn(async {});
    }
    runtime.spawn_blocking(std::thread::park);
    std::thread::sleep(Duration::from_secs(4));
}

/// 2,000 tasks at once, sixteen times what the console takes in per tick.
fn burst(runtime: &Runtime) {
    for _ in 0..2_000 {
        runtime.spawn(pending::<()>());
    }
}

/// 10,000 tasks of an ordinary server: sessions with and without names, jobs of which some have ended, waiters for a lock
/// and for permits, and a few that tick. What the benches read was recorded from it.
fn ten_thousand(runtime: &Runtime) {
    for number in 0..2_000 {
        let named =
            tokio::task::Builder::new().name(&format!("session-{number}")).spawn_on(pending::<()>(), runtime.handle());
        drop(named.unwrap());
    }
    for _ in 0..5_800 {
        runtime.spawn(pending::<()>());
    }
    for number in 0..1_000_u64 {
        runtime.spawn(async move {
            for _ in 0..number % 20 {
                tokio::task::yield_now().await;
            }
        });
    }
    let (lock, permits) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(0)));
    std::mem::forget(Arc::clone(&lock).blocking_lock_owned());
    for _ in 0..500 {
        let lock = Arc::clone(&lock);
        runtime.spawn(async move { drop(lock.lock().await) });
        let permits = Arc::clone(&permits);
        runtime.spawn(async move { drop(permits.acquire().await) });
    }
    for _ in 0..199 {
        runtime.spawn(async {
            let mut tick = interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
            }
        });
    }
    runtime.spawn_blocking(std::thread::park);
}

/// 30,000 tasks that wait: a state of more than 4 MiB, once the console has taken all of them in.
fn thirty_thousand(runtime: &Runtime) {
    for _ in 0..30_000 {
        runtime.spawn(pending::<()>());
    }
}

/// 100 tasks every 20 ms, each of which ends at once. Settles until the console has fallen behind.
fn five_thousand_a_second(runtime: &Runtime) {
    runtime.spawn(async {
        let mut tick = interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            for _ in 0..100 {
                tokio::spawn(async {});
            }
        }
    });
    std::thread::sleep(Duration::from_secs(4));
}

/// A peer and a heartbeat, at two places in the same column. The next release of it is made by the test, which
/// gives it other lines and a `flush` that blocks.
fn relay(runtime: &Runtime) {
    let peer = || {
        runtime.spawn(async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                flush();
            }
        });
    };
    peer();
    let heartbeat = || {
        runtime.spawn(async {
            let mut tick = interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
            }
        });
    };
    heartbeat();
}

fn flush() {}

/// Both workers are blocked for ever, and 10 tasks wait for one of them.
fn blocked(runtime: &Runtime) {
    let (sender, receiver) = mpsc::channel::<()>();
    let both = Arc::new(Barrier::new(3));
    let receiver = Arc::new(std::sync::Mutex::new(receiver));
    for _ in 0..2 {
        let (both, receiver) = (Arc::clone(&both), Arc::clone(&receiver));
        runtime.spawn(async move {
            both.wait();
            let _ = receiver.lock().map(|receiver| receiver.recv());
        });
    }
    both.wait();
    std::mem::forget(sender);
    for _ in 0..10 {
        runtime.spawn(async {});
    }
}
