//! A stretch of the way to a real console that sees its updates pass, so that something can happen in mid-stream.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::listen;

/// The client's third call is for updates, so theirs is the third odd stream (RFC 9113, 5.1.1).
const UPDATES: u32 = 5;

const DATA: u8 = 0;
const PADDED: u8 = 8;

/// What becomes of the connection after an update has passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Go,
    /// It stays open, and nothing passes any more.
    Stall,
    Close,
}

/// The address of a way to the console at `console`. `passed` is told how many whole updates have passed in one visit,
/// each time that there are more.
pub fn relay(console: &str, passed: impl Fn(usize) -> Then + Send + Sync + 'static) -> String {
    let (console, passed) = (console.to_owned(), Arc::new(passed));
    listen(move |client| {
        let Ok(server) = TcpStream::connect(&console) else { return };
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let passed = Arc::clone(&passed);
        std::thread::spawn(move || pass(server, client, &*passed));
    })
}

fn pass(mut server: TcpStream, mut client: TcpStream, passed: &impl Fn(usize) -> Then) {
    let (mut frames, mut updates) = (Frames::default(), 0);
    let mut buffer = [0; 1 << 14];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if client.write_all(&buffer[..read]).is_err() {
            break;
        }
        frames.take(&buffer[..read]);
        if frames.updates() == updates {
            continue;
        }
        updates = frames.updates();
        match passed(updates) {
            Then::Go => {}
            // The thread of the requests keeps both open, until the client has had enough.
            Then::Stall => return,
            Then::Close => break,
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// What the server has sent: the frame that is not whole yet, and what came on the stream of updates.
#[derive(Default)]
struct Frames {
    rest: Vec<u8>,
    stream: Vec<u8>,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        while let Some((head, body)) = self.rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = body.get(..length) else { return };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            if head[3] == DATA && stream == UPDATES {
                assert_eq!(head[4] & PADDED, 0);
                self.stream.extend(payload);
            }
            self.rest.drain(..9 + length);
        }
    }

    /// Whole gRPC messages: a flag, a length, and so many bytes.
    fn updates(&self) -> usize {
        let (mut count, mut left) = (0, self.stream.as_slice());
        while let Some((head, body)) = left.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some(rest) = body.get(length..) else { break };
            (count, left) = (count + 1, rest);
        }
        count
    }
}
