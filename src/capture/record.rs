//! One received message as it stands in `evidence.pb`.
//!
//! The file as a whole is one protobuf message, `Evidence { repeated Record records = 1; }`, so it can be
//! appended to record by record, read record by record, and decoded by `protoc` in one go.

use std::io::{self, Read};

use bytes::Bytes;
use prost::Message;

use crate::model::{Frame, Received, SpanId, Stream};

/// Field 1, length-delimited: how each record begins inside `Evidence`.
const RECORD_TAG: u8 = 0x0a;

#[derive(Clone, PartialEq, Message)]
struct Record {
    /// Nanoseconds since the Unix epoch, on the collecting machine.
    #[prost(sfixed64, tag = "1")]
    received: i64,
    /// An `rs.tokio.console.instrument.Update`.
    #[prost(bytes = "bytes", optional, tag = "2")]
    update: Option<Bytes>,
    /// An `rs.tokio.console.instrument.State`.
    #[prost(bytes = "bytes", optional, tag = "3")]
    state: Option<Bytes>,
    /// An `rs.tokio.console.tasks.TaskDetails`.
    #[prost(bytes = "bytes", optional, tag = "4")]
    details: Option<Bytes>,
    /// The task the details were asked for.
    #[prost(fixed64, tag = "5")]
    details_of: u64,
}

/// The bytes that stand before, and of, one frame's record.
pub(super) fn encode(frame: &Frame) -> Vec<u8> {
    let bytes = Some(frame.bytes.clone());
    let mut record = Record { received: frame.received.0, ..Record::default() };
    match frame.stream {
        Stream::Updates => record.update = bytes,
        Stream::State => record.state = bytes,
        Stream::Details(id) => {
            record.details = bytes;
            record.details_of = id.0;
        }
    }
    let mut out = Vec::with_capacity(record.encoded_len() + 11);
    out.push(RECORD_TAG);
    // Writing to a vector cannot fail.
    let _ = record.encode_length_delimited(&mut out);
    out
}

/// Why the next record cannot be had.
#[derive(Debug)]
pub(super) enum RecordError {
    Io(io::Error),
    TooLarge,
    Malformed(&'static str),
}

/// Reads the next record; `None` at the end of the file.
pub(super) fn read(from: &mut impl Read, max_bytes: u64) -> Result<Option<Frame>, RecordError> {
    let Some(tag) = read_byte(from)? else { return Ok(None) };
    if tag != RECORD_TAG {
        return Err(RecordError::Malformed("a record does not begin as one"));
    }
    let length = read_varint(from)?;
    if length > max_bytes {
        return Err(RecordError::TooLarge);
    }
    // The claimed length is not trusted with memory: the vector grows with what really comes.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes).map_err(RecordError::Io)?;
    if bytes.len() as u64 != length {
        return Err(RecordError::Malformed("a record is cut off"));
    }
    let record =
        Record::decode(Bytes::from(bytes)).map_err(|_| RecordError::Malformed("a record cannot be decoded"))?;
    let (stream, bytes) = match (record.update, record.state, record.details) {
        (Some(bytes), None, None) => (Stream::Updates, bytes),
        (None, Some(bytes), None) => (Stream::State, bytes),
        (None, None, Some(bytes)) => (Stream::Details(SpanId(record.details_of)), bytes),
        _ => return Err(RecordError::Malformed("a record holds not exactly one message")),
    };
    Ok(Some(Frame { stream, received: Received(record.received), bytes }))
}

fn read_byte(from: &mut impl Read) -> Result<Option<u8>, RecordError> {
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RecordError::Io(error)),
        }
    }
}

fn read_varint(from: &mut impl Read) -> Result<u64, RecordError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(from)?.ok_or(RecordError::Malformed("a record's length is cut off"))?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(RecordError::Malformed("a record's length is no number"))
}

#[cfg(test)]
mod tests {
    use super::{Frame, Received, RecordError, SpanId, Stream, encode, read};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn stream() -> impl Strategy<Value = Stream> {
        prop_oneof![Just(Stream::Updates), Just(Stream::State), any::<u64>().prop_map(|id| Stream::Details(SpanId(id)))]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stream in stream(), received: i64, bytes: Vec<u8>) {
            let frame = Frame { stream, received: Received(received), bytes: Bytes::from(bytes) };
            let mut file = encode(&frame);
            file.extend(encode(&frame));
            let mut from = file.as_slice();
            for _ in 0..2 {
                prop_assert_eq!(read(&mut from, 1 << 20).unwrap(), Some(frame.clone()));
            }
            prop_assert!(read(&mut from, 1 << 20).unwrap().is_none());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut from = bytes.as_slice();
            while let Ok(Some(_)) = read(&mut from, 1 << 20) {}
        }
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_it_is_read() {
        let mut from: &[u8] = &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(matches!(read(&mut from, 1 << 20), Err(RecordError::TooLarge)));
    }
}
