//! A program of the fleet with its console: what console-subscriber's own set-up does, at the address it is told.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use console_subscriber::{ConsoleLayer, ServerParts};
use tonic::transport::server::TcpIncoming;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::DemoError;

/// A fault of this age is past every threshold of the built-in rules.
const RIPE: Duration = Duration::from_millis(1200);

/// Runs `program` on a runtime of two workers until standard input closes.
pub(super) fn run(program: fn(), address: SocketAddr) -> Result<(), DemoError> {
    let address = serve_console(address)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.spawn(async move { program() });
    std::thread::sleep(RIPE);
    let mut stdout = io::stdout();
    writeln!(stdout, "{address}")?;
    stdout.flush()?;
    // Whatever is read, only the end matters; and a reader that fails has ended too.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    // Workers that are blocked on purpose would make an orderly end wait for ever.
    runtime.shutdown_background();
    Ok(())
}

fn serve_console(address: SocketAddr) -> io::Result<SocketAddr> {
    let (layer, server) = ConsoleLayer::builder().with_default_env().build();
    let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
    let relevant = FilterFn::new(|metadata| {
        let target = metadata.target();
        if metadata.is_event() {
            target.starts_with("runtime") || target.starts_with("tokio")
        } else {
            metadata.name().starts_with("runtime.") || target.starts_with("tokio")
        }
    });
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(relevant));
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("console_subscriber".to_owned()).spawn(move || {
        // The console does not watch itself.
        let _quiet = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            tokio::spawn(aggregator.run());
            let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
            let server = tonic::transport::Server::builder().add_service(instrument_server);
            server.serve_with_incoming(incoming).await.map_err(io::Error::other)
        })
    })?;
    Ok(address)
}
