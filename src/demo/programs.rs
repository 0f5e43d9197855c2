//! The programs, and their faults. Each runs inside its runtime and leaves its tasks there.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::{interval, sleep};

/// The program of this name.
pub(super) fn find(name: &str) -> Option<fn()> {
    Some(match name {
        "web" => web,
        "web-leaking" => web_leaking,
        "relay" => relay,
        "relay-losing-wakers" => relay_losing_wakers,
        "jobs" => jobs,
        "jobs-blocking" => jobs_blocking,
        "jobs-spinning" => jobs_spinning,
        "jobs-deadlocked" => jobs_deadlocked,
        "jobs-leaking" => jobs_leaking,
        _ => return None,
    })
}

/// Healthy: connections that come and go around a cache, and one upload that holds a large buffer.
fn web() {
    let cache = Arc::new(Mutex::new(0u64));
    tokio::spawn(async move {
        let mut accept = interval(Duration::from_millis(50));
        loop {
            accept.tick().await;
            tokio::spawn(handle_request(Arc::clone(&cache)));
        }
    });
    tokio::spawn(upload());
}

/// The web server, with a watcher for each session that nobody ever tells to end.
fn web_leaking() {
    web();
    let signed_out = Arc::new(Notify::new());
    tokio::spawn(async move {
        let mut sign_in = interval(Duration::from_millis(80));
        loop {
            sign_in.tick().await;
            let signed_out = Arc::clone(&signed_out);
            tokio::spawn(async move { signed_out.notified().await });
        }
    });
}

async fn handle_request(cache: Arc<Mutex<u64>>) {
    sleep(Duration::from_millis(20)).await;
    *cache.lock().await += 1;
    sleep(Duration::from_millis(100)).await;
}

async fn upload() {
    let mut buffer = [0u8; 1500];
    loop {
        sleep(Duration::from_millis(500)).await;
        buffer[0] = buffer[0].wrapping_add(1);
        std::hint::black_box(&buffer);
    }
}

/// Healthy: peers that hand messages to one writer.
fn relay() {
    let (sender, mut receiver) = mpsc::channel(64);
    tokio::spawn(async move { while receiver.recv().await.is_some() {} });
    for peer in 0..20u64 {
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut heartbeat = interval(Duration::from_millis(100 + peer * 10));
            while sender.send(peer).await.is_ok() {
                heartbeat.tick().await;
            }
        });
    }
}

/// A relay some of whose subscriptions have lost their waker: they kept it, and then dropped it.
fn relay_losing_wakers() {
    relay();
    for _ in 0..3 {
        tokio::spawn(subscription());
    }
}

async fn subscription() {
    let mut kept: Option<Waker> = None;
    poll_fn(|context| {
        kept = Some(context.waker().clone());
        kept = None;
        Poll::<()>::Pending
    })
    .await;
}

/// Healthy: a queue that four workers take from.
fn jobs() {
    let (sender, receiver) = mpsc::channel(16);
    let receiver = Arc::new(Mutex::new(receiver));
    tokio::spawn(async move {
        let mut arrival = interval(Duration::from_millis(40));
        loop {
            arrival.tick().await;
            if sender.send(Duration::from_millis(5)).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..4 {
        let receiver = Arc::clone(&receiver);
        tokio::spawn(async move {
            loop {
                let Some(job) = receiver.lock().await.recv().await else { return };
                sleep(job).await;
            }
        });
    }
}

/// Jobs, one of which sleeps with the thread instead of the task.
fn jobs_blocking() {
    jobs();
    tokio::spawn(async { std::thread::sleep(Duration::from_secs(3600)) });
}

/// Jobs, and a watcher that asks again and again instead of waiting to be told.
fn jobs_spinning() {
    jobs();
    tokio::spawn(async {
        loop {
            for _ in 0..100 {
                ask_again().await;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Jobs, and two that take the same two locks in different order.
fn jobs_deadlocked() {
    jobs();
    let (accounts, journal) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    tokio::spawn(take_both(Arc::clone(&accounts), Arc::clone(&journal)));
    tokio::spawn(take_both(journal, accounts));
}

async fn take_both(first: Arc<Mutex<()>>, second: Arc<Mutex<()>>) {
    let _first = first.lock().await;
    sleep(Duration::from_millis(50)).await;
    let _second = second.lock().await;
}

/// Jobs, and a scheduler whose timers nobody ever takes back.
fn jobs_leaking() {
    jobs();
    tokio::spawn(async {
        let mut arrival = interval(Duration::from_millis(10));
        loop {
            arrival.tick().await;
            tokio::spawn(sleep(Duration::from_secs(3600)));
        }
    });
}

/// Wakes its own task, which is then polled at once.
async fn ask_again() {
    let mut asked = false;
    poll_fn(|context| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
