//! candle's own threads, which homebench does without.

/// Keeps candle's operators on the thread that calls them. To be called first in `main`.
///
/// After each element-wise operator, threads of candle 0.11's pool wait for the next one in a busy loop of about a millisecond. That
/// takes a core from the threads that train: steps of small models on 2 threads took 15 to 20 % longer. What is worth sharing between
/// threads is in our own operators, which use rayon's.
///
/// # Safety
/// The process has no other thread yet.
pub unsafe fn keep_to_one() {
    // SAFETY: the caller's.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") }
}
