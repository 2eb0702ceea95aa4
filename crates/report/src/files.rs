//! Files that are there whole or not at all.

use anyhow::Result;
use std::path::Path;

/// Writes a file as every record is written: beside its place, synced, then moved there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    homebench_results::write(path, |out| Ok(out.write_all(bytes)?))
}
