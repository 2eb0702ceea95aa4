//! Rows that are made, not found: how much of a disk they take, said and compared before the first is written.

use super::packed::Widths;
use super::{Observer, SPLITS};
use homebench_diagnostic::Diagnostic;
use std::path::Path;

/// From so many bytes on a user wants to know before.
const SAID_BYTES: u128 = 1 << 30;
/// Bytes of a number.
const NUMBER_BYTES: u128 = 4;

/// Checks that rows of these widths, of each split, can be made and have room in a folder; says how much they take where that is
/// much.
///
/// # Errors
/// More rows than a split may have, or less room than they take.
pub(super) fn check_room(
    rows: [u64; 3],
    widths: Widths,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<(), Diagnostic> {
    const MEND: &str = "ask for fewer: `rows` in the spec's [dataset], or `--rows`";
    // An epoch's order holds row numbers as u32.
    let too_many = |rows: &u64| *rows > u64::from(u32::MAX);
    if let Some(split) = rows.iter().position(too_many) {
        let message = format!(
            "expected at most {} rows in a split, found {} in {}",
            u32::MAX,
            rows[split],
            SPLITS[split]
        );
        return Err(Diagnostic::new("rows", message).hint(MEND));
    }
    let Widths {
        categorical,
        lists: _,
        numeric,
        labels,
        user,
        weight,
    } = widths;
    let numbers = (categorical + numeric + labels + user + weight) as u128;
    let total: u128 = rows.iter().map(|rows| u128::from(*rows)).sum();
    let needed = total * numbers * NUMBER_BYTES;
    // Where the system doesn't tell, a full disk tells later.
    let free = free_bytes(folder);
    if let Some(free) = free.filter(|free| u128::from(*free) < needed) {
        let message = format!(
            "{total} rows take {} on disk, and {} is free there",
            gigabytes(needed),
            gigabytes(free.into())
        );
        return Err(Diagnostic::new(folder.display().to_string(), message)
            .hint(format!("{MEND}; or choose another folder with --cache-dir, or clear this one: `homebench cache clear --unused-for 30`")));
    }
    if needed >= SAID_BYTES {
        let free = free.map_or(String::new(), |free| {
            format!(" of the {} that are free", gigabytes(free.into()))
        });
        observer.notice(&format!(
            "making {total} rows, which take {} on disk{free}",
            gigabytes(needed)
        ));
    }
    Ok(())
}

fn gigabytes(bytes: u128) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Bytes of a folder's disk that this user may fill.
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quiet;

    #[test]
    fn rows_that_no_disk_or_order_holds_are_refused_before_one_is_made() {
        let widths = Widths {
            categorical: 20_000_000,
            lists: 0,
            numeric: 1,
            labels: 1,
            user: 1,
            weight: 0,
        };
        let folder = tempfile::tempdir().unwrap();
        let check = |rows| check_room(rows, widths, folder.path(), &mut Quiet);
        assert!(check([1, 1, 1]).is_ok());
        let said = check([1 << 31, 1, 1]).unwrap_err().message;
        assert!(
            said.starts_with("2147483650 rows take 171798717.8 GB on disk, and "),
            "{said}"
        );
        let said = check([1, i64::MAX as u64, 1]).unwrap_err().message;
        assert_eq!(
            said,
            "expected at most 4294967295 rows in a split, found 9223372036854775807 in validation"
        );
    }
}
