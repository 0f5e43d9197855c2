//! Programs of the shapes in which console-subscriber shows its features, on a scale that a short window sees: what its
//! users try first. Some of them misbehave on purpose.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Mutex, RwLock, Semaphore, mpsc};
use tokio::task::{Builder, JoinSet};
use tokio::time::sleep;

use crate::program::{Keep, current_thread, millis, workers};

fn spawn<F>(name: &str, future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    Builder::new().name(name).spawn(future).unwrap();
}

fn four_workers(program: impl FnOnce() + Send + 'static) -> Keep {
    workers(4, program)
}

pub fn app() -> Keep {
    four_workers(|| {
        for (name, longest) in [("task1", 10u64), ("task2", 30)] {
            spawn(name, async move {
                for seconds in (1..longest).cycle() {
                    spawn("wait", sleep(Duration::from_secs(seconds)));
                    sleep(Duration::from_secs(longest - seconds)).await;
                }
            });
        }
    })
}

pub fn app_blocks() -> Keep {
    four_workers(|| {
        spawn("blocks", async {
            loop {
                std::thread::sleep(millis(500));
                sleep(millis(100)).await;
            }
        });
    })
}

pub fn app_coma() -> Keep {
    four_workers(|| spawn("coma", std::future::pending()))
}

pub fn app_burn() -> Keep {
    four_workers(|| {
        spawn("burn", async {
            for times in (3..10u32).cycle() {
                for _ in 0..times {
                    crate::faults::ask_again().await;
                }
                sleep(millis(50)).await;
            }
        });
    })
}

pub fn app_noyield() -> Keep {
    four_workers(|| {
        spawn("noyield", async {
            loop {
                let greedy = async { std::thread::sleep(Duration::from_secs(60)) };
                Builder::new().name("greedy").spawn(greedy).unwrap().await.unwrap();
            }
        });
    })
}

pub fn app_blocking() -> Keep {
    four_workers(|| {
        spawn("spawns_blocking", async {
            loop {
                tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(5))).await.unwrap();
            }
        });
    })
}

async fn counts_in_an_array<const SIZE: usize>() {
    let mut numbers = [0u8; SIZE];
    for at in (0..SIZE).cycle() {
        numbers[at] = numbers[at].wrapping_add(1);
        sleep(millis(100)).await;
        std::hint::black_box(&numbers);
    }
}

pub fn app_large() -> Keep {
    four_workers(|| {
        spawn("pretty-big", counts_in_an_array::<1024>());
        spawn("huge", counts_in_an_array::<20_000>());
        let numbers = [0u8; 20_000];
        let read = move || {
            std::hint::black_box(&numbers);
            std::thread::sleep(Duration::MAX);
        };
        Builder::new().name("huge-blocking").spawn_blocking(read).unwrap();
    })
}

pub fn barrier() -> Keep {
    four_workers(|| {
        let barrier = Arc::new(Barrier::new(30));
        for number in 0..30u64 {
            let barrier = Arc::clone(&barrier);
            spawn(&format!("task-{number}"), async move {
                sleep(Duration::from_secs(number)).await;
                barrier.wait().await;
            });
        }
    })
}

pub fn local() -> Keep {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            loop {
                let mut all = JoinSet::new();
                for _ in 0..10 {
                    all.spawn_local(async {
                        sleep(millis(100)).await;
                        std::thread::sleep(millis(100));
                    });
                }
                while all.join_next().await.is_some() {}
            }
        });
    });
    Keep(vec![Box::new(thread)])
}

/// One worker, on which a sender sleeps after each message, so that its receiver waits for its turn.
pub fn long_scheduled() -> Keep {
    current_thread(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        spawn("rx", async move { while receiver.recv().await.is_some() {} });
        spawn("tx", async move {
            for pause in [millis(10), Duration::from_secs(60)] {
                sender.send(()).await.unwrap();
                std::thread::sleep(pause);
                sleep(millis(10)).await;
            }
        });
    })
}

pub fn long_sleep() -> Keep {
    workers(2, || {
        spawn("long-sleeps", async {
            loop {
                std::thread::sleep(Duration::from_secs(60));
                tokio::task::yield_now().await;
            }
        });
        spawn("sleep-forever", async { std::thread::sleep(Duration::MAX) });
    })
}

pub fn mutex() -> Keep {
    four_workers(|| {
        let count = Arc::new(Mutex::new(0));
        for number in 0..5 {
            let count = Arc::clone(&count);
            spawn(&format!("increment-{number}"), async move {
                for _ in 0..10 {
                    let mut held = count.lock().await;
                    *held += 1;
                    sleep(Duration::from_secs(1)).await;
                }
            });
        }
        spawn("main-task", async move { while *count.lock().await < 50 {} });
    })
}

pub fn rwlock() -> Keep {
    four_workers(|| {
        let count = Arc::new(RwLock::new(0));
        for number in 0..5 {
            let count = Arc::clone(&count);
            spawn(&format!("increment-{number}"), async move {
                for _ in 0..10 {
                    let mut held = count.write().await;
                    *held += 1;
                    sleep(Duration::from_secs(1)).await;
                }
            });
        }
        spawn("main-task", async move {
            while *count.read().await < 50 {
                sleep(Duration::from_secs(1)).await;
            }
        });
    })
}

pub fn semaphore() -> Keep {
    four_workers(|| {
        let permits = Arc::new(Semaphore::new(0));
        for number in 0..5u32 {
            let (taken, added) = (Arc::clone(&permits), Arc::clone(&permits));
            spawn(&format!("acquire-{number}"), async move {
                let _permits = taken.acquire_many(number).await.unwrap();
                sleep(Duration::from_secs(2 * u64::from(number))).await;
            });
            spawn(&format!("add-{number}"), async move {
                sleep(Duration::from_secs(5 * u64::from(number))).await;
                added.add_permits(number as usize);
            });
        }
    })
}

pub fn uds() -> Keep {
    four_workers(|| spawn("sleepy", sleep(Duration::from_secs(90))))
}
