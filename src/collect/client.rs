//! The console's gRPC calls, over one stream that is there already.

use std::sync::Mutex;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::codec::Raw;
use crate::model::SpanId;

const TASK_DETAILS: &str = "/rs.tokio.console.instrument.Instrument/WatchTaskDetails";
const STATE: &str = "/rs.tokio.console.instrument.Instrument/WatchState";
const UPDATES: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";

/// Largest answer of every call but the one for updates. Details take a kilobyte, a state a few bytes.
const SMALL_MESSAGE: usize = 1 << 20;

/// A connection to one console. `Pause` is not among its calls: it would stop the console for everybody.
#[derive(Clone)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
    max_message_bytes: usize,
}

impl Client {
    /// Speaks HTTP/2 on `stream`. Returns when our side is set up; the console's may still turn out to be none.
    pub(super) async fn connect<S>(stream: S, max_message_bytes: usize) -> Result<Self, tonic::transport::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let only = Mutex::new(Some(TokioIo::new(stream)));
        // The channel would connect again by itself; there is nothing to connect to a second time.
        let connector = tower::service_fn(move |_| {
            let taken = only.lock().ok().and_then(|mut only| only.take());
            std::future::ready(taken.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
        });
        let channel = Endpoint::from_static("http://console").connect_with_connector(connector).await?;
        Ok(Self { grpc: Grpc::new(channel), max_message_bytes })
    }

    /// Asks for the details of no task at all. Every console answers `INVALID_ARGUMENT`, before it does anything;
    /// no other server does.
    pub(super) async fn ping(&mut self) -> Status {
        match self.call(TASK_DETAILS, Bytes::new()).await {
            Ok(_) => Status::unknown("the server answers a request for no task"),
            Err(status) => status,
        }
    }

    /// One neutral call, for a task that cannot be: makes the console take in about 127 of the events that wait for it.
    pub(super) async fn nudge(&mut self) -> Result<(), Status> {
        match self.call(TASK_DETAILS, details_request(u64::MAX)).await {
            Err(status) if status.code() != Code::NotFound => Err(status),
            _ => Ok(()),
        }
    }

    /// The histograms of one task as they are now; absent when the console has forgotten the task.
    pub(super) async fn details(&mut self, task: SpanId) -> Result<Option<Bytes>, Status> {
        match self.call(TASK_DETAILS, details_request(task.0)).await {
            Ok(mut details) => details.message().await,
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// The console's state, now and whenever it does something, where it serves that (0.5 and newer).
    pub(super) async fn states(&mut self) -> Result<Option<Streaming<Bytes>>, Status> {
        match self.call(STATE, Bytes::new()).await {
            Ok(states) => Ok(Some(states)),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Subscribes to updates. Once per target and run: the first message can be the only full one for ever.
    pub(super) async fn updates(&mut self) -> Result<Streaming<Bytes>, Status> {
        let large = self.max_message_bytes;
        self.call_within(UPDATES, Bytes::new(), large).await
    }

    async fn call(&mut self, path: &'static str, request: Bytes) -> Result<Streaming<Bytes>, Status> {
        self.call_within(path, request, SMALL_MESSAGE).await
    }

    async fn call_within(
        &mut self,
        path: &'static str,
        request: Bytes,
        max_message_bytes: usize,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.grpc.clone().max_decoding_message_size(max_message_bytes);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        grpc.server_streaming(Request::new(request), path, Raw).await.map(tonic::Response::into_inner)
    }
}

/// A `TaskDetailsRequest` for this task.
fn details_request(task: u64) -> Bytes {
    let (mut id, mut request) = (Vec::new(), Vec::new());
    prost::encoding::uint64::encode(1, &task, &mut id);
    prost::encoding::bytes::encode(1, &id, &mut request);
    request.into()
}

#[cfg(test)]
mod tests {
    use super::details_request;
    use console_api::instrument::TaskDetailsRequest;
    use prost::Message;

    #[test]
    fn a_request_for_details_is_what_the_console_reads() {
        for id in [1, 0x8000_0000, u64::MAX] {
            let request = TaskDetailsRequest { id: Some(console_api::Id { id }) };
            assert_eq!(request.encode_to_vec(), details_request(id));
        }
    }
}
