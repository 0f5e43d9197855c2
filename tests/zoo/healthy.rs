//! Programs without a fault, of the kinds that a careless detector accuses.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, RwLock, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::program::{Keep, current_thread, millis, multi_thread};

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0u8; 64];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(echo(stream));
    }
}

pub fn idle_server() -> Keep {
    multi_thread(|| {
        tokio::spawn(async { serve(TcpListener::bind("127.0.0.1:0").await.unwrap()).await });
    })
}

/// Eight connections that ask without a pause worth the name.
pub fn busy_server() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener));
            for _ in 0..8 {
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    let mut answer = [0u8; 5];
                    loop {
                        stream.write_all(b"hello").await.unwrap();
                        stream.read_exact(&mut answer).await.unwrap();
                        sleep(millis(2)).await;
                    }
                });
            }
        });
    })
}

pub fn many_short_tasks() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let mut arrival = interval(millis(10));
            // To make up for what was missed is one long poll, where the machine is slow.
            arrival.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                arrival.tick().await;
                for _ in 0..3 {
                    tokio::spawn(async { sleep(millis(5)).await });
                }
            }
        });
    })
}

/// Waits for several things at once, and often gives up.
pub fn select_with_timeouts() -> Keep {
    multi_thread(|| {
        for peer in 0..10u64 {
            let (sender, mut receiver) = mpsc::channel(8);
            tokio::spawn(async move {
                let mut heartbeat = interval(millis(20 + peer));
                while sender.send(peer).await.is_ok() {
                    heartbeat.tick().await;
                }
            });
            tokio::spawn(async move {
                let mut tick = interval(millis(7));
                loop {
                    tokio::select! {
                        message = receiver.recv() => if message.is_none() { return },
                        _ = tick.tick() => {}
                        () = sleep(millis(5)) => {}
                    }
                    let _ = timeout(millis(3), pending::<()>()).await;
                }
            });
        }
        // Requests that end by whichever of two comes first, at the same time.
        tokio::spawn(async {
            let mut arrival = interval(millis(25));
            loop {
                arrival.tick().await;
                tokio::spawn(async { tokio::join!(sleep(millis(10)), sleep(millis(10))) });
                tokio::spawn(async { timeout(millis(10), sleep(millis(10))).await });
            }
        });
    })
}

/// Subscriptions that wait for something that seldom happens.
pub fn long_lived_parked() -> Keep {
    let (keep, kept) = std::sync::mpsc::channel();
    let mut program = multi_thread(move || {
        for _ in 0..50 {
            let (sender, receiver) = oneshot::channel::<()>();
            keep.send(sender).unwrap();
            tokio::spawn(receiver);
        }
        let (sender, mut receiver) = mpsc::channel::<()>(1);
        tokio::spawn(async move {
            sleep(Duration::from_secs(3600)).await;
            drop(sender);
        });
        tokio::spawn(async move { receiver.recv().await });
    });
    program.0.push(Box::new(kept));
    program
}

/// Parked on purpose, at once or after other things.
pub fn intentional_pending() -> Keep {
    multi_thread(|| {
        tokio::spawn(pending::<()>());
        tokio::spawn(async {
            sleep(millis(20)).await;
            pending::<()>().await;
        });
        tokio::spawn(async {
            let guard = Arc::new(());
            let _ = timeout(millis(20), pending::<()>()).await;
            pending::<()>().await;
            drop(guard);
        });
    })
}

/// Blocking work where it belongs: long, short, and a thread for ever.
pub fn spawn_blocking_workers() -> Keep {
    multi_thread(|| {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::MAX));
        tokio::spawn(async {
            loop {
                tokio::task::spawn_blocking(|| std::thread::sleep(millis(30))).await.unwrap();
                let _ = tokio::net::lookup_host("localhost:80").await;
                sleep(millis(10)).await;
            }
        });
    })
}

/// Tasks of a `LocalSet`, driven by `block_on` of the main thread.
pub fn local_set() -> Keep {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let (sender, mut receiver) = mpsc::channel(4);
            for peer in 0..5u64 {
                let sender = sender.clone();
                tokio::task::spawn_local(async move {
                    let mut heartbeat = interval(millis(10 + peer));
                    while sender.send(peer).await.is_ok() {
                        heartbeat.tick().await;
                    }
                });
            }
            tokio::task::spawn_local(async move { while receiver.recv().await.is_some() {} });
            pending::<()>().await;
        });
    });
    Keep(vec![Box::new(thread)])
}

pub fn several_runtimes() -> Keep {
    let tick = || {
        tokio::spawn(async {
            let mut tick = interval(millis(15));
            loop {
                tick.tick().await;
            }
        });
    };
    let mut keep = multi_thread(tick);
    keep.0.extend(multi_thread(tick).0);
    keep.0.extend(current_thread(tick).0);
    keep
}

/// Locks that are held for a moment, by many.
pub fn short_locks() -> Keep {
    multi_thread(|| {
        let counter = Arc::new(Mutex::new(0u64));
        let cache = Arc::new(RwLock::new(0u64));
        for _ in 0..10 {
            let (counter, cache) = (Arc::clone(&counter), Arc::clone(&cache));
            tokio::spawn(async move {
                loop {
                    *counter.lock().await += *cache.read().await;
                    sleep(millis(4)).await;
                    *cache.write().await += 1;
                }
            });
        }
    })
}

/// Workers that take turns at one receiver: waiting for the lock is how they are idle.
pub fn pool_behind_a_lock() -> Keep {
    multi_thread(|| {
        let (sender, receiver) = mpsc::channel(16);
        let receiver = Arc::new(Mutex::new(receiver));
        tokio::spawn(async move {
            let mut arrival = interval(millis(40));
            loop {
                arrival.tick().await;
                if sender.send(millis(5)).await.is_err() {
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
    })
}
