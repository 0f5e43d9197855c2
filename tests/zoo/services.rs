//! Programs without a fault, of the kinds that people run: each is under a load that it can bear.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Update,
};
use console_api::tasks::TaskDetails;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::IntervalStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::program::{Keep, millis, multi_thread};

/// A web server with a quick answer, one that waits, and one that computes where it belongs; clients keep their
/// connections.
pub fn web_server() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let wait = || async {
                sleep(millis(15)).await;
                "waited"
            };
            let compute = || async {
                tokio::task::spawn_blocking(|| std::thread::sleep(millis(3))).await.unwrap();
                "computed"
            };
            let router = Router::new()
                .route("/", get(|| async { "quick" }))
                .route("/wait", get(wait))
                .route("/compute", get(compute));
            let end = CancellationToken::new();
            let until = end.clone().cancelled_owned();
            tokio::spawn(async { axum::serve(listener, router).with_graceful_shutdown(until).await });
            let _end = end.drop_guard();
            let mut clients = JoinSet::new();
            for path in ["/", "/wait", "/compute"].into_iter().cycle().take(9) {
                clients.spawn(ask(address, path));
            }
            clients.join_all().await;
        });
    })
}

async fn ask(address: std::net::SocketAddr, path: &'static str) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    loop {
        sender.ready().await.unwrap();
        let request = hyper::Request::get(path).header("host", "zoo").body(Body::empty()).unwrap();
        let answer = Body::new(sender.send_request(request).await.unwrap().into_body());
        axum::body::to_bytes(answer, 1024).await.unwrap();
        sleep(millis(4)).await;
    }
}

/// A gRPC service that answers at once, and one that streams. The console's own protocol, of which we have the types.
struct Answers;

type Streamed<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Instrument for Answers {
    type WatchUpdatesStream = Streamed<Update>;
    type WatchTaskDetailsStream = Streamed<TaskDetails>;
    type WatchStateStream = Streamed<State>;

    async fn watch_updates(&self, _: Request<InstrumentRequest>) -> Result<Response<Streamed<Update>>, Status> {
        let ticks = IntervalStream::new(interval(millis(10)));
        Ok(Response::new(Box::pin(ticks.map(|_| Ok(Update::default())))))
    }

    async fn watch_task_details(
        &self,
        _: Request<TaskDetailsRequest>,
    ) -> Result<Response<Streamed<TaskDetails>>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn watch_state(&self, _: Request<StateRequest>) -> Result<Response<Streamed<State>>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        sleep(millis(2)).await;
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        Ok(Response::new(ResumeResponse {}))
    }
}

pub fn grpc_server() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(InstrumentServer::new(Answers));
            tokio::spawn(server.serve_with_incoming(incoming));
            let client = InstrumentClient::connect(address).await.unwrap();
            for number in 0..6u64 {
                let mut client = client.clone();
                tokio::spawn(async move {
                    loop {
                        client.pause(PauseRequest {}).await.unwrap();
                        client.resume(ResumeRequest {}).await.unwrap();
                        // Few: a console keeps 49 kB for each of their tasks, and is rightly told on with a gigabyte.
                        sleep(millis(60 + number)).await;
                    }
                });
            }
            let mut updates = client.clone().watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
            while updates.message().await.unwrap().is_some() {}
        });
    })
}

/// Twenty that ask for one of eight connections, each for some milliseconds.
pub fn connection_pool() -> Keep {
    multi_thread(|| {
        let pool = Arc::new(Semaphore::new(8));
        for number in 0..20u64 {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                loop {
                    let connection = pool.acquire().await.unwrap();
                    sleep(millis(5)).await;
                    drop(connection);
                    sleep(millis(number)).await;
                }
            });
        }
    })
}

pub fn broadcast_fan_out() -> Keep {
    multi_thread(|| {
        let (sender, receiver) = broadcast::channel(64);
        for _ in 0..30 {
            let mut receiver = receiver.resubscribe();
            tokio::spawn(async move {
                while let Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) = receiver.recv().await {}
            });
        }
        tokio::spawn(async move {
            let mut tick = interval(millis(20));
            while sender.send(tick.tick().await).is_ok() {}
            drop(receiver);
        });
    })
}

/// Everybody waits for the end as well, which does not come: by a token, a channel, and the signal.
pub fn shutdown_watchers() -> Keep {
    multi_thread(|| {
        let end = CancellationToken::new();
        let (is_ending, ending) = watch::channel(false);
        for number in 0..12u64 {
            let (end, mut ending) = (end.child_token(), ending.clone());
            tokio::spawn(async move {
                let mut work = interval(millis(10 + number));
                loop {
                    tokio::select! {
                        () = end.cancelled() => return,
                        _ = ending.changed() => return,
                        _ = work.tick() => sleep(millis(2)).await,
                    }
                }
            });
        }
        tokio::spawn(async move {
            tokio::signal::ctrl_c().await.unwrap();
            end.cancel();
            let _ = is_ending.send(true);
        });
    })
}

/// Batches of jobs, which end; the next batch comes when all have.
pub fn join_set_batches() -> Keep {
    multi_thread(|| {
        tokio::spawn(async {
            loop {
                let mut batch = JoinSet::new();
                for job in 0..20u64 {
                    batch.spawn(async move {
                        sleep(millis(5 + job)).await;
                        job
                    });
                }
                while batch.join_next().await.is_some() {}
                sleep(millis(10)).await;
            }
        });
    })
}

pub fn interval_tickers() -> Keep {
    multi_thread(|| {
        let behaviors = [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip];
        for (number, behavior) in (1..).zip(behaviors.into_iter().cycle().take(12)) {
            tokio::spawn(async move {
                let mut tick = interval(millis(number * 5));
                tick.set_missed_tick_behavior(behavior);
                loop {
                    tick.tick().await;
                }
            });
        }
        // One that ticks seldom.
        tokio::spawn(async {
            let mut tick = interval(Duration::from_secs(60));
            loop {
                tick.tick().await;
            }
        });
    })
}

/// The last stage is the slowest, so that the others wait for it, for a moment each time.
pub fn pipeline() -> Keep {
    multi_thread(|| {
        let (source, mut before) = mpsc::channel::<u64>(4);
        tokio::spawn(async move {
            for number in 0.. {
                if source.send(number).await.is_err() {
                    return;
                }
            }
        });
        for _ in 0..2 {
            let (sender, receiver) = mpsc::channel(4);
            let mut stage = std::mem::replace(&mut before, receiver);
            tokio::spawn(async move {
                while let Some(number) = stage.recv().await {
                    if sender.send(number + 1).await.is_err() {
                        return;
                    }
                }
            });
        }
        tokio::spawn(async move {
            while before.recv().await.is_some() {
                sleep(millis(8)).await;
            }
        });
    })
}

/// One that owns a state, and many that ask it; an answer that is late is not waited for.
pub fn actor_with_replies() -> Keep {
    multi_thread(|| {
        let (sender, mut requests) = mpsc::channel::<oneshot::Sender<u64>>(16);
        tokio::spawn(async move {
            let mut answered = 0;
            while let Some(reply) = requests.recv().await {
                answered += 1;
                let _ = reply.send(answered);
            }
        });
        for number in 0..10u64 {
            let sender = sender.clone();
            tokio::spawn(async move {
                loop {
                    let (reply, answer) = oneshot::channel();
                    sender.send(reply).await.unwrap();
                    let _ = timeout(millis(500), answer).await;
                    sleep(millis(5 + number)).await;
                }
            });
        }
    })
}

/// Calls that fail, and are tried again later and later.
pub fn retries() -> Keep {
    multi_thread(|| {
        for number in 0..8u64 {
            tokio::spawn(async move {
                loop {
                    for attempt in 0..4u32 {
                        let _ = timeout(millis(5), sleep(millis(20 + number))).await;
                        sleep(millis(10) * 2u32.pow(attempt)).await;
                    }
                }
            });
        }
    })
}
