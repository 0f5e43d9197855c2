//! Programs without a fault in which tools for tokio have seen one. Each is named after the case; numbers are issues of
//! tokio-console.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

use crate::program::{Keep, current_thread, millis, multi_thread};

fn on_a_thread(program: impl FnOnce(Runtime) + Send + 'static) -> Keep {
    let thread = std::thread::spawn(|| program(Builder::new_current_thread().enable_all().build().unwrap()));
    Keep(vec![Box::new(thread)])
}

/// 237: tasks of a `LocalSet` that is driven in turns, which wake each other and then wait for long.
pub fn local_set_in_turns() -> Keep {
    on_a_thread(|runtime| {
        let local = tokio::task::LocalSet::new();
        let event = Arc::new(Notify::new());
        let never = Arc::new(Notify::new());
        for _ in 0..5 {
            let (event, never) = (Arc::clone(&event), Arc::clone(&never));
            local.spawn_local(async move {
                event.notified().await;
                never.notified().await;
            });
        }
        local.block_on(&runtime, async { sleep(millis(20)).await });
        event.notify_waiters();
        let receive = async {
            let (sender, receiver) = oneshot::channel::<()>();
            tokio::task::spawn_local(receiver);
            tokio::task::spawn_local(async move {
                let mut tick = interval(millis(20));
                while !sender.is_closed() {
                    tick.tick().await;
                }
            });
            pending::<()>().await;
        };
        runtime.block_on(local.run_until(receive));
    })
}

/// 345: tasks that have ended, in sight for as long as a blocking task lives that they started.
pub fn ended_with_a_blocking_child() -> Keep {
    multi_thread(|| {
        for _ in 0..3 {
            tokio::spawn(async {
                sleep(millis(10)).await;
                drop(tokio::task::spawn_blocking(|| std::thread::sleep(Duration::MAX)));
            });
        }
    })
}

/// 380: tasks that have ended, and what they made lives on elsewhere.
pub fn ended_and_left_resources() -> Keep {
    multi_thread(|| {
        let (keep, mut kept) = mpsc::channel(8);
        for _ in 0..4 {
            let keep = keep.clone();
            tokio::spawn(async move {
                let (lock, event) = (tokio::sync::Mutex::new(()), Notify::new());
                let _ = timeout(millis(10), event.notified()).await;
                let _ = keep.send((lock, event, Box::pin(sleep(Duration::from_secs(3600))))).await;
            });
        }
        tokio::spawn(async move {
            let mut all = Vec::new();
            while let Some(one) = kept.recv().await {
                all.push(one);
            }
        });
        // Somebody may still send.
        tokio::spawn(async move {
            sleep(Duration::from_secs(3600)).await;
            drop(keep);
        });
    })
}

/// 516: the main future of `block_on` yields all the time, and a blocking task does so in a `block_on` of its own.
pub fn main_future_that_yields() -> Keep {
    on_a_thread(|runtime| {
        let handle = runtime.handle().clone();
        runtime.spawn_blocking(move || handle.block_on(yields()));
        runtime.block_on(yields());
    })
}

async fn yields() {
    loop {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        sleep(millis(10)).await;
    }
}

/// The console books the time for which `block_on` waits as time in which it was scheduled.
pub fn block_on_that_waits() -> Keep {
    let mut keep = on_a_thread(|runtime| {
        runtime.block_on(async {
            sleep(millis(20)).await;
            pending::<()>().await;
        });
    });
    let often = on_a_thread(|runtime| {
        loop {
            runtime.block_on(async { sleep(millis(150)).await });
        }
    });
    keep.0.extend(often.0);
    keep
}

/// The drop of a future counts as a poll: of tasks that were cancelled before they ran, and of those that waited.
pub fn dropped_without_a_poll() -> Keep {
    current_thread(|| {
        tokio::spawn(async {
            let never = Arc::new(Notify::new());
            let mut tick = interval(millis(50));
            loop {
                tick.tick().await;
                let unpolled: Vec<_> = (0..5).map(|_| tokio::spawn(async {})).collect();
                unpolled.iter().for_each(tokio::task::JoinHandle::abort);
                let never = Arc::clone(&never);
                let waiting = tokio::spawn(async move { never.notified().await });
                sleep(millis(5)).await;
                waiting.abort();
            }
        });
    })
}

/// Wakes through to a task, as combinators with wakers of their own do.
struct Relay(Waker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

/// Who keeps the task's waker is a waker of another kind, or a thread that knows nothing of tokio.
pub fn wakers_in_other_hands() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let (sender, mut receiver) = mpsc::channel(1);
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(millis(30));
                    if sender.blocking_send(()).is_err() {
                        return;
                    }
                }
            });
            poll_fn(|context| {
                let relay = Waker::from(Arc::new(Relay(context.waker().clone())));
                let mut context = std::task::Context::from_waker(&relay);
                while receiver.poll_recv(&mut context).is_ready() {}
                Poll::<()>::Pending
            })
            .await;
        });
        tokio::spawn(async {
            poll_fn(|context| {
                let waker = context.waker().clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::MAX);
                    waker.wake();
                });
                Poll::<()>::Pending
            })
            .await;
        });
    })
}
