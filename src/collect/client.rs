//! The console's gRPC calls, over one stream that is there already.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::codec::Raw;

const TASK_DETAILS: &str = "/rs.tokio.console.instrument.Instrument/WatchTaskDetails";
const STATE: &str = "/rs.tokio.console.instrument.Instrument/WatchState";
const UPDATES: &str = "/rs.tokio.console.instrument.Instrument/WatchUpdates";

/// `TaskDetailsRequest { id: Some(Id { id: u64::MAX }) }`: a task that does not exist.
const NO_SUCH_TASK: &[u8] = &[0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

/// A connection to one console. `Pause` is not among its calls: it would stop the console for everybody.
pub(super) struct Client {
    grpc: Grpc<Channel>,
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
        Ok(Self { grpc: Grpc::new(channel).max_decoding_message_size(max_message_bytes) })
    }

    /// Asks for the details of no task at all. Every console answers `INVALID_ARGUMENT`, before it does anything;
    /// no other server does.
    pub(super) async fn ping(&mut self) -> Status {
        match self.call(TASK_DETAILS, Bytes::new()).await {
            Ok(_) => Status::unknown("the server answers a request for no task"),
            Err(status) => status,
        }
    }

    /// One neutral call: makes the console take in about 127 of the events that wait for it.
    pub(super) async fn nudge(&mut self) -> Result<(), Status> {
        match self.call(TASK_DETAILS, Bytes::from_static(NO_SUCH_TASK)).await {
            Err(status) if status.code() != Code::NotFound => Err(status),
            _ => Ok(()),
        }
    }

    /// The console's state, where it serves that (0.5 and newer); `Ok(None)` where it does not.
    pub(super) async fn state(&mut self, within: Duration) -> Result<Option<Option<Bytes>>, Status> {
        match self.call(STATE, Bytes::new()).await {
            // The answer comes in milliseconds; that it is served is what counts.
            Ok(mut stream) => {
                Ok(Some(tokio::time::timeout(within, stream.message()).await.ok().and_then(Result::ok).flatten()))
            }
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Subscribes to updates. Once per target and run: the first message can be the only full one for ever.
    pub(super) async fn updates(&mut self) -> Result<Streaming<Bytes>, Status> {
        self.call(UPDATES, Bytes::new()).await
    }

    async fn call(&mut self, path: &'static str, request: Bytes) -> Result<Streaming<Bytes>, Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        self.grpc.server_streaming(Request::new(request), path, Raw).await.map(tonic::Response::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::NO_SUCH_TASK;
    use console_api::instrument::TaskDetailsRequest;
    use prost::Message;

    #[test]
    fn the_neutral_request_names_a_task_that_cannot_be() {
        let request = TaskDetailsRequest { id: Some(console_api::Id { id: u64::MAX }) };
        assert_eq!(request.encode_to_vec(), NO_SUCH_TASK);
    }
}
