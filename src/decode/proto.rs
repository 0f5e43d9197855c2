//! Protobuf read in place: fields as they come, texts and messages as slices of the bytes they stand in.
//!
//! prost builds every message before anything can be taken from it, which for a large target's update means millions of
//! strings and a hash map of what is then thrown away. What is read here is equal to what prost decodes; a test says so.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A message that is not what its stream promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message cannot be decoded: {0}")]
pub struct Malformed(String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl Malformed {
    fn cut_off() -> Self {
        Self("it ends inside a field".to_owned())
    }

    fn wrong_type() -> Self {
        Self("a field has another type than it should".to_owned())
    }

    fn no_text() -> Self {
        Self("a text is not UTF-8".to_owned())
    }
}

/// The fields of one message, in the order in which they stand there.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field's value, as the wire types it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that none of the console's fields has.
    Other,
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<(u32, Wire<'a>), Malformed> {
        let (tag, wire_type) = decode_key(&mut self.rest)?;
        let value = match wire_type {
            WireType::Varint => Wire::Number(decode_varint(&mut self.rest)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| Malformed::cut_off())?;
                let (value, rest) = self.rest.split_at_checked(length).ok_or_else(Malformed::cut_off)?;
                self.rest = rest;
                Wire::Bytes(value)
            }
            other => {
                skip_field(other, tag, &mut self.rest, DecodeContext::default())?;
                Wire::Other
            }
        };
        Ok((tag, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.rest.has_remaining() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

impl<'a> Wire<'a> {
    pub(super) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(Malformed::wrong_type()),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::wrong_type()),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::no_text())
    }

    /// A number of at most 32 bits, of which protobuf keeps the lower ones.
    #[expect(clippy::cast_possible_truncation, reason = "as protobuf prescribes")]
    pub(super) fn short(self) -> Result<u32, Malformed> {
        Ok(self.number()? as u32)
    }
}
