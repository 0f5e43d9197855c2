//! The console's messages, field by field: numbers stay, texts are replaced, and what is not known is left out.
//!
//! Field numbers are those of the `console-api` crate's `.proto` files. Messages are rewritten as they stand in the
//! bytes, so that the copy has the same order, and is damaged where the original was.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use super::stand_ins::StandIns;
use crate::model::{Frame, Stream};

/// What a field of a message holds.
enum Meaning {
    Number,
    /// Counts of a histogram.
    Counts,
    Text,
    /// The file of a location.
    Path,
    /// What a field or an attribute says.
    Value,
    Message(Schema),
    /// A `common.Field`, whose value is to be read by its name.
    Field,
}

use Meaning::{Counts, Field, Message, Number, Path, Text, Value};

type Schema = &'static [(u32, Meaning)];

/// `Timestamp`, `Duration`.
const TIME: Schema = &[(1, Number), (2, Number)];
/// `Id`, `MetaId`, `SpanId`.
const ID: Schema = &[(1, Number)];
const FIELD: Schema =
    &[(1, Text), (2, Number), (3, Value), (4, Value), (5, Number), (6, Number), (7, Number), (8, Message(ID))];
const ATTRIBUTE: Schema = &[(1, Field), (2, Text)];
const LOCATION: Schema = &[(1, Path), (2, Text), (3, Number), (4, Number)];
const METADATA: Schema =
    &[(1, Text), (2, Text), (3, Text), (4, Message(LOCATION)), (5, Number), (6, Number), (7, Text)];
const NEW_METADATA: Schema = &[(1, Message(ID)), (2, Message(METADATA))];
const REGISTER: Schema = &[(1, Message(NEW_METADATA))];
const POLLS: Schema = &[(1, Number), (3, Message(TIME)), (4, Message(TIME)), (5, Message(TIME)), (6, Message(TIME))];

const TASK: Schema =
    &[(1, Message(ID)), (2, Message(ID)), (3, Number), (4, Field), (5, Message(ID)), (6, Message(LOCATION))];
const TASK_STATS: Schema = &[
    (1, Message(TIME)),
    (2, Message(TIME)),
    (3, Number),
    (4, Number),
    (5, Number),
    (6, Message(TIME)),
    (7, Message(POLLS)),
    (8, Number),
    (9, Message(TIME)),
];
const TASKS: Schema = &[(1, Message(TASK)), (3, Message(&[(1, Number), (2, Message(TASK_STATS))])), (4, Number)];

const RESOURCE: Schema = &[
    (1, Message(ID)),
    (2, Message(ID)),
    (3, Text),
    (4, Message(&[(1, Number), (2, Text)])),
    (5, Message(LOCATION)),
    (6, Message(ID)),
    (7, Number),
];
const RESOURCE_STATS: Schema = &[(1, Message(TIME)), (2, Message(TIME)), (3, Message(ATTRIBUTE))];
const POLL_OP: Schema =
    &[(2, Message(ID)), (3, Message(ID)), (4, Text), (5, Message(ID)), (6, Message(ID)), (7, Number)];
const RESOURCES: Schema = &[
    (1, Message(RESOURCE)),
    (2, Message(&[(1, Number), (2, Message(RESOURCE_STATS))])),
    (3, Message(POLL_OP)),
    (4, Number),
];

const ASYNC_OP: Schema = &[(1, Message(ID)), (2, Message(ID)), (3, Text), (4, Message(ID)), (5, Message(ID))];
const ASYNC_OP_STATS: Schema =
    &[(1, Message(TIME)), (2, Message(TIME)), (4, Message(ID)), (5, Message(POLLS)), (6, Message(ATTRIBUTE))];
const ASYNC_OPS: Schema =
    &[(1, Message(ASYNC_OP)), (2, Message(&[(1, Number), (2, Message(ASYNC_OP_STATS))])), (3, Number)];

const UPDATE: Schema = &[
    (1, Message(TIME)),
    (2, Message(TASKS)),
    (3, Message(RESOURCES)),
    (4, Message(ASYNC_OPS)),
    (5, Message(REGISTER)),
];
const STATE: Schema = &[(1, Number)];
const HISTOGRAM: Schema = &[(1, Counts), (2, Number), (3, Number), (4, Number)];
const DETAILS: Schema =
    &[(1, Message(ID)), (2, Message(TIME)), (3, Counts), (4, Message(HISTOGRAM)), (5, Message(HISTOGRAM))];

/// How the value of a field is to be read.
#[derive(Clone, Copy)]
enum Reading {
    Words,
    /// A number, also where it came as text.
    Number,
    /// A place in code.
    Place,
}

impl Reading {
    fn of(field: &[u8]) -> Self {
        match name_of(field) {
            Some("task.id" | "size.bytes" | "original_size.bytes" | "permits" | "duration") => Self::Number,
            Some("spawn.location" | "loc.file") => Self::Place,
            _ => Self::Words,
        }
    }
}

/// Whoever reads a message takes this for one that is cut off.
const CUT_OFF: u8 = 0x0a;
/// What a text that is none becomes.
const NO_TEXT: u8 = 0xff;

/// How large a state is decides what attaching to the console does to it: a message beyond this keeps its size.
const LARGE: usize = 1 << 20;
/// The field that fills a message up; nobody knows it, so that everybody passes over it.
const FILLING: u32 = 100_000;

/// The message with stand-ins in it.
pub(super) fn frame(frame: Frame, names: &mut StandIns) -> Frame {
    let schema = match frame.stream {
        Stream::Updates => UPDATE,
        Stream::State => STATE,
        Stream::Details(_) => DETAILS,
    };
    let mut out = Vec::with_capacity(frame.bytes.len());
    message(&frame.bytes, schema, Reading::Words, names, &mut out);
    if frame.bytes.len() > LARGE {
        fill_up(&mut out, frame.bytes.len());
    }
    Frame { bytes: Bytes::from(out), ..frame }
}

fn fill_up(out: &mut Vec<u8>, length: usize) {
    // The field's key, and a length that needs up to five bytes.
    if let Some(missing) = length.checked_sub(out.len() + 8) {
        encode_key(FILLING, WireType::LengthDelimited, out);
        encode_varint(missing as u64, out);
        out.resize(out.len() + missing, 0);
    }
}

/// One field as it stands in the bytes.
enum Wire<'a> {
    Number(WireType, u64),
    Bytes(&'a [u8]),
}

/// The next field of `from`, which is not empty; nothing where it is cut off or no field.
fn next<'a>(from: &mut &'a [u8]) -> Option<(u32, Wire<'a>)> {
    let (tag, wire_type) = decode_key(from).ok()?;
    let wire = match wire_type {
        WireType::Varint => Wire::Number(wire_type, decode_varint(from).ok()?),
        WireType::SixtyFourBit if from.len() >= 8 => Wire::Number(wire_type, from.get_u64_le()),
        WireType::ThirtyTwoBit if from.len() >= 4 => Wire::Number(wire_type, u64::from(from.get_u32_le())),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(from).ok()?).ok()?;
            let (bytes, rest) = from.split_at_checked(length)?;
            *from = rest;
            Wire::Bytes(bytes)
        }
        _ => return None,
    };
    Some((tag, wire))
}

fn message(mut from: &[u8], schema: Schema, reading: Reading, names: &mut StandIns, out: &mut Vec<u8>) {
    while !from.is_empty() {
        let Some((tag, wire)) = next(&mut from) else {
            out.push(CUT_OFF);
            return;
        };
        let Some((_, meaning)) = schema.iter().find(|(known, _)| *known == tag) else { continue };
        match wire {
            Wire::Number(wire_type, value) => number(tag, wire_type, value, out),
            Wire::Bytes(bytes) => {
                let mut inside = Vec::new();
                match meaning {
                    // Of the wrong type, and to stay so.
                    Number => {}
                    Counts => inside.extend_from_slice(bytes),
                    Message(schema) => message(bytes, schema, reading, names, &mut inside),
                    Field => message(bytes, FIELD, Reading::of(bytes), names, &mut inside),
                    Text | Path | Value => match std::str::from_utf8(bytes) {
                        Ok(text) => inside = replaced(text, meaning, reading, names).into_bytes(),
                        Err(_) => inside.push(NO_TEXT),
                    },
                }
                encode_key(tag, WireType::LengthDelimited, out);
                encode_varint(inside.len() as u64, out);
                out.extend(inside);
            }
        }
    }
}

fn number(tag: u32, wire_type: WireType, value: u64, out: &mut Vec<u8>) {
    encode_key(tag, wire_type, out);
    match wire_type {
        WireType::SixtyFourBit => out.put_u64_le(value),
        WireType::ThirtyTwoBit => out.put_u32_le(u32::try_from(value).unwrap_or(u32::MAX)),
        _ => encode_varint(value, out),
    }
}

fn replaced(text: &str, meaning: &Meaning, reading: Reading, names: &mut StandIns) -> String {
    match (meaning, reading) {
        (Path, _) => names.path(text),
        (Value, Reading::Number) if text.parse::<u64>().is_ok() => text.to_owned(),
        (Value, Reading::Place) => names.place(text),
        _ => names.words(text),
    }
}

/// The name that a `common.Field` gives itself.
fn name_of(mut field: &[u8]) -> Option<&str> {
    let mut name = None;
    while !field.is_empty() {
        if let (1, Wire::Bytes(bytes)) = next(&mut field)? {
            name = std::str::from_utf8(bytes).ok();
        }
    }
    name
}
