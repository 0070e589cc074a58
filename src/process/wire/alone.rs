//! Values as bytes by themselves, for messages that the system keeps apart.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded::{Bound, Meter};
use super::input::other_length;
use super::passing;
use crate::panic::discard;
use crate::process::os::Descriptor;

/// A value as bytes and descriptors, after some bytes that are there; or why it cannot be one.
pub(in crate::process) fn encode<T: Serialize + ?Sized>(
    value: &T,
    before: Vec<u8>,
) -> Result<(Vec<u8>, Vec<Arc<Descriptor>>), String> {
    let encoding = passing::Encoding::begin();
    let result = passing::caught(|| postcard::to_extend(value, before));
    let descriptors = passing::leaving();
    drop(encoding);
    match result {
        Ok(bytes) => Ok((bytes, descriptors)),
        Err(error) => Err(passing::refusal().unwrap_or_else(|| error.to_string())),
    }
}

/// The value of bytes and descriptors, or why they are none.
pub(in crate::process) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    mut descriptors: VecDeque<Descriptor>,
) -> Result<T, String> {
    let decoding = passing::Decoding::begin(&mut descriptors);
    let meter = Meter::new(bytes.len());
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    let bounded = Bound::new(&meter).on(&mut deserializer);
    let result = passing::caught(|| T::deserialize(bounded));
    let rest = deserializer.finalize().map_or(0, <[u8]>::len);
    drop(decoding);
    match result {
        Ok(value) if rest == 0 => Ok(value),
        Ok(value) => {
            discard(value);
            let made = bytes.len() as u64;
            Err(other_length(made, bytes.len() - rest))
        }
        Err(error) => Err(passing::refusal().unwrap_or_else(|| error.to_string())),
    }
}
