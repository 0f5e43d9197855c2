//! Programs with one fault each. The line of the fault bears its mark.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{interval, sleep};

use crate::program::{Keep, current_thread, millis, multi_thread, workers};

/// Wakes its own task, which is then polled at once.
pub async fn ask_again() {
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

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

pub fn self_wakes() -> Keep {
    multi_thread(|| {
        // FAULT: self-wakes
        tokio::spawn(async {
            loop {
                for _ in 0..3 {
                    ask_again().await;
                }
                sleep(millis(20)).await;
            }
        });
    })
}

pub fn lost_waker() -> Keep {
    multi_thread(|| {
        for _ in 0..3 {
            // FAULT: lost-waker
            tokio::spawn(async {
                let mut kept: Option<Waker> = None;
                poll_fn(|context| {
                    kept = Some(context.waker().clone());
                    kept = None;
                    Poll::<()>::Pending
                })
                .await;
            });
        }
    })
}

pub fn never_yielded() -> Keep {
    multi_thread(|| {
        // FAULT: never-yielded
        tokio::spawn(async { std::thread::sleep(Duration::MAX) });
    })
}

pub fn auto_boxed() -> Keep {
    multi_thread(|| {
        // FAULT: auto-boxed-future
        tokio::spawn(async {
            let mut buffer = [0u8; 20_000];
            loop {
                sleep(millis(100)).await;
                buffer[0] = buffer[0].wrapping_add(1);
                std::hint::black_box(&buffer);
            }
        });
    })
}

pub fn large_future() -> Keep {
    multi_thread(|| {
        // FAULT: large-future
        tokio::spawn(async {
            let mut buffer = [0u8; 1500];
            loop {
                sleep(millis(100)).await;
                buffer[0] = buffer[0].wrapping_add(1);
                std::hint::black_box(&buffer);
            }
        });
    })
}

pub fn long_poll() -> Keep {
    multi_thread(|| {
        // FAULT: long-poll
        tokio::spawn(async {
            loop {
                sleep(millis(1)).await;
                std::thread::sleep(millis(300));
            }
        });
    })
}

/// Each request blocks once and is over, so that no task has several polls.
pub fn blocking_handlers() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            loop {
                // FAULT: blocking-handlers
                tokio::spawn(async { std::thread::sleep(millis(200)) });
                sleep(millis(250)).await;
            }
        });
    })
}

/// Two of three workers never come back, after they did once.
pub fn stuck_poll() -> Keep {
    workers(3, || {
        let (ready, when_ready) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let ready = ready.clone();
            // FAULT: stuck-poll
            tokio::spawn(async move {
                yield_now().await;
                let (go, gone) = oneshot::channel();
                ready.send(go).unwrap();
                let _ = gone.await;
                std::thread::sleep(Duration::MAX);
            });
        }
        // From outside of the runtime: a worker that is blocked already may be the one that had to wake the other task.
        std::thread::spawn(move || {
            let both: Vec<_> = when_ready.iter().take(2).collect();
            both.into_iter().for_each(|go| go.send(()).unwrap());
        });
    })
}

pub fn spinning() -> Keep {
    multi_thread(|| {
        // FAULT: spinning
        tokio::spawn(async {
            loop {
                for _ in 0..100 {
                    ask_again().await;
                }
                sleep(millis(2)).await;
            }
        });
    })
}

/// More work than the runtime can do, in polls that are not long.
pub fn starved() -> Keep {
    current_thread(|| {
        for _ in 0..80 {
            // FAULT: starved
            tokio::spawn(async {
                loop {
                    compute(millis(5));
                    yield_now().await;
                }
            });
        }
    })
}

pub fn slow_first_poll() -> Keep {
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..2 {
        // FAULT: slow-first-poll
        idle.spawn(async {});
    }
    let mut keep = multi_thread(|| {});
    keep.0.push(Box::new(idle));
    keep
}

pub fn blocking_pool_queue() -> Keep {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.spawn(async {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::MAX));
        sleep(millis(50)).await;
        for _ in 0..3 {
            // FAULT: blocking-pool-queue
            tokio::task::spawn_blocking(|| {});
        }
    });
    Keep(vec![Box::new(runtime)])
}

pub fn busy() -> Keep {
    multi_thread(|| {
        // FAULT: busy
        tokio::spawn(async {
            loop {
                compute(millis(10));
                sleep(millis(1)).await;
            }
        });
    })
}

pub fn task_leak() -> Keep {
    multi_thread(|| {
        let never = Arc::new(Notify::new());
        tokio::spawn(async move {
            let mut arrival = interval(millis(40));
            loop {
                arrival.tick().await;
                let never = Arc::clone(&never);
                // FAULT: task-leak
                tokio::spawn(async move { never.notified().await });
            }
        });
    })
}

/// Wakes tasks and cancels them in the same breath, on one thread, so that none runs in between.
pub fn cancelled_while_woken() -> Keep {
    current_thread(|| {
        tokio::spawn(async {
            loop {
                let event = Arc::new(Notify::new());
                let wait = |event: Arc<Notify>| async move { event.notified().await };
                // FAULT: cancelled-while-woken
                let spawn = |event: Arc<Notify>| tokio::spawn(wait(event));
                let tasks: Vec<_> = (0..4).map(|_| spawn(Arc::clone(&event))).collect();
                sleep(millis(60)).await;
                event.notify_waiters();
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
            }
        });
    })
}

pub fn waker_churn() -> Keep {
    multi_thread(|| {
        // FAULT: waker-churn
        tokio::spawn(async {
            loop {
                poll_fn(|context| {
                    (0..100).for_each(|_| drop(context.waker().clone()));
                    Poll::Ready(())
                })
                .await;
                sleep(millis(5)).await;
            }
        });
    })
}

pub fn lock_contention() -> Keep {
    multi_thread(|| {
        // FAULT: lock-contention
        let shared = Arc::new(Mutex::new(()));
        let holder = Arc::clone(&shared);
        tokio::spawn(async move {
            let _held = holder.lock().await;
            loop {
                sleep(millis(50)).await;
            }
        });
        for _ in 0..4 {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                sleep(millis(50)).await;
                drop(shared.lock().await);
            });
        }
    })
}

pub fn deadlock() -> Keep {
    multi_thread(|| {
        // FAULT: deadlock
        let one = Arc::new(Mutex::new(()));
        let other = Arc::new(RwLock::new(()));
        let (first, second) = (Arc::clone(&one), Arc::clone(&other));
        tokio::spawn(async move {
            let _one = first.lock().await;
            sleep(millis(50)).await;
            let _other = second.write().await;
        });
        tokio::spawn(async move {
            let _other = other.write().await;
            sleep(millis(50)).await;
            let _one = one.lock().await;
        });
    })
}

pub fn channel_backlog() -> Keep {
    multi_thread(|| {
        let (sender, receiver) = mpsc::channel(4);
        // Keeps its receiver and does not receive.
        tokio::spawn(async move {
            let _receiver = receiver;
            loop {
                sleep(millis(100)).await;
            }
        });
        for number in 0..3 {
            let sender = sender.clone();
            // FAULT: channel-backlog
            tokio::spawn(async move { while sender.send(number).await.is_ok() {} });
        }
    })
}

pub fn permits_exhausted() -> Keep {
    multi_thread(|| {
        // FAULT: permits-exhausted
        let permits = Arc::new(Semaphore::new(2));
        for _ in 0..5 {
            let permits = Arc::clone(&permits);
            tokio::spawn(async move {
                let _permit = permits.acquire().await;
                loop {
                    sleep(millis(100)).await;
                }
            });
        }
    })
}

/// One of two hundred polls is long: the average does not show it.
pub fn long_tail() -> Keep {
    multi_thread(|| {
        // FAULT: long-tail
        tokio::spawn(async {
            loop {
                for _ in 0..49 {
                    sleep(millis(1)).await;
                }
                std::thread::sleep(millis(700));
                sleep(millis(1)).await;
            }
        });
    })
}

/// Is woken by a thread thousands of times a second, and finds nothing.
pub fn polled_for_nothing() -> Keep {
    multi_thread(|| {
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        let event = Arc::new(Notify::new());
        let waker = Arc::clone(&event);
        std::thread::spawn(move || {
            let _sender = sender;
            loop {
                waker.notify_one();
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        // FAULT: polled-for-nothing
        tokio::spawn(async move {
            loop {
                event.notified().await;
                let _ = receiver.try_recv();
            }
        });
    })
}

pub fn many_tasks() -> Keep {
    let keep = multi_thread(|| {});
    let runtime = keep.0[0].downcast_ref::<tokio::runtime::Runtime>().unwrap();
    let never = Arc::new(Notify::new());
    // All of them before it counts as ready.
    for _ in 0..10_500 {
        let never = Arc::clone(&never);
        // FAULT: many-tasks
        runtime.spawn(async move { never.notified().await });
    }
    keep
}

/// Tasks that end at once, all of which the console keeps for an hour.
pub fn console_memory() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let mut arrival = interval(millis(20));
            loop {
                arrival.tick().await;
                for _ in 0..10 {
                    // FAULT: console-memory
                    tokio::spawn(async {});
                }
            }
        });
    })
}

/// Does what it should, at an address that others can reach.
pub fn exposed_console() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let mut tick = interval(millis(20));
            loop {
                tick.tick().await;
            }
        });
    })
}

/// A console, and a runtime that it does not see: nothing was spawned while it was there.
pub fn nothing_instrumented() -> Keep {
    // FAULT: nothing-instrumented
    let _never = pending::<()>();
    Keep(Vec::new())
}
