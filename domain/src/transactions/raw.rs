//! Raw blocks: the bytes that came, compressed, with a hash over them; and records cut out of them again.

use crate::error::Fault;
use crate::ids::TransactionId;

use super::tables::block;

/// Blocks that are in memory together: each is a mebibyte when it is unpacked.
pub(super) const AT_A_TIME: usize = 25;

/// Where in its block the record of a transaction is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub of: TransactionId,
    pub offset: i64,
    pub length: i64,
}

/// Cuts records out of a block, or says of each that the block is damaged.
pub(super) fn unpack(block: &block::Model, places: &[Place]) -> Vec<(TransactionId, Result<Vec<u8>, Fault>)> {
    let corrupt = || Fault::Corrupt(format!("{} does not read back", block.id));
    let raw = usize::try_from(block.raw_length).ok();
    let raw = raw.and_then(|capacity| zstd::bulk::decompress(&block.body, capacity).ok());
    let raw = raw.filter(|raw| crate::secrets::sha256(raw) == block.sha256.as_slice());
    let record = |place: &Place| {
        let start = usize::try_from(place.offset).ok()?;
        let end = start.checked_add(usize::try_from(place.length).ok()?)?;
        raw.as_ref()?.get(start..end).map(<[u8]>::to_vec)
    };
    places.iter().map(|place| (place.of, record(place).ok_or_else(corrupt))).collect()
}
