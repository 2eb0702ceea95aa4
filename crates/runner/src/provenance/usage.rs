//! What a process used, by the system's own account.

/// Memory and processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Largest resident memory, pages of mapped files included.
    pub peak_memory_bytes: u64,
    /// Of all threads, in user and in system mode.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Of this process so far, where the system tells.
    pub fn of_this_process() -> Option<Self> {
        // SAFETY: all zeros is a valid `rusage`, which the call fills.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a `rusage` that lives on.
        let refused = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0;
        let own = (!refused).then(|| Self::from_rusage(&usage))?;
        Some(Self {
            // The peak of `getrusage` counts what the parent had when it started this process.
            peak_memory_bytes: super::host::peak_memory_bytes().unwrap_or(own.peak_memory_bytes),
            ..own
        })
    }

    /// As `wait4` and `getrusage` give it.
    pub(crate) fn from_rusage(usage: &libc::rusage) -> Self {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        // Linux counts kibibytes, Apple's systems bytes.
        let unit = if cfg!(target_vendor = "apple") {
            1
        } else {
            1024
        };
        Self {
            peak_memory_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit,
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_grows_with_what_is_used() {
        let before = Usage::of_this_process().unwrap();
        let filled: Vec<u64> = (0..8_000_000).map(|value| value ^ 5).collect();
        let after = Usage::of_this_process().unwrap();
        assert!(std::hint::black_box(filled).len() == 8_000_000);
        assert!(after.cpu_seconds > before.cpu_seconds);
        assert!(after.peak_memory_bytes >= 64_000_000);
        assert!(after.peak_memory_bytes >= before.peak_memory_bytes);
    }
}
