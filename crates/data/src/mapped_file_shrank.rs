//! Source files, and files of the cache, that another program cuts while they are mapped.
//!
//! Reading a page that the file no longer has ends a process by a signal (`SIGBUS`), without a word. Files are registered
//! while they are mapped; a handler finds the one that was cut, says so and ends the process as a bad dataset does.

use memmap2::Mmap;
use std::path::Path;
use std::sync::OnceLock;

/// How a process says, on stdout, that it ends because of a file; nothing where it says so on stderr alone.
static TELL: OnceLock<fn(&str) -> String> = OnceLock::new();

/// Also writes what `line` makes of the message to stdout, before a file that was cut ends the process: a cell's parent listens
/// there.
pub fn tell_of_cut_files(line: fn(&str) -> String) {
    // The first one holds for the whole process.
    let _ = TELL.set(line);
}

/// What a mapped file is, which decides what mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MappedKind {
    /// A source file.
    Source,
    /// A file of the cache.
    Prepared,
}

impl MappedKind {
    /// What is said where the file is cut.
    fn words(self, path: &Path) -> String {
        let (what, mend) = match self {
            Self::Source => (
                "the file was cut by another program while it was read, or its disk failed",
                "wait until nothing writes it any more, then run this again; nothing was kept",
            ),
            Self::Prepared => (
                "the prepared dataset was cut by another program while it was read, or its disk failed",
                "run this again: the dataset is prepared again, and training goes on from its last checkpoint",
            ),
        };
        format!("{}: {what}\nhint: {mend}", path.display())
    }
}

/// A mapped file.
#[derive(Debug)]
pub(super) struct MappedFile {
    // Given back before the addresses are, which another map may get.
    _registered: signal::Registered,
    mapped: Mmap,
}

impl MappedFile {
    /// `path` is the file that is mapped.
    pub(super) fn new(mapped: Mmap, path: &Path, kind: MappedKind) -> Self {
        let words = kind.words(path);
        let told = TELL.get().map_or(String::new(), |line| {
            // Another line may be half written.
            format!("\n{}\n", line(&words))
        });
        Self {
            _registered: signal::Registered::new(&mapped, format!("error: {words}\n"), told),
            mapped,
        }
    }
}

impl std::ops::Deref for MappedFile {
    type Target = Mmap;

    fn deref(&self) -> &Mmap {
        &self.mapped
    }
}

mod signal {
    use std::sync::Once;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    /// Files that can be registered at once; others are cut without a name.
    // A fixed table of atomics, since a signal handler may neither lock nor allocate.
    const SLOTS: usize = 64;

    /// Where a file is mapped, and what to say of it. Only atomics, since a handler may wait for nothing.
    struct Slot {
        start: AtomicUsize,
        end: AtomicUsize,
        said: Words,
        told: Words,
    }

    /// A text that is never given back, since a handler may read it at any time.
    struct Words {
        start: AtomicPtr<u8>,
        bytes: AtomicUsize,
    }

    impl Words {
        const fn none() -> Self {
            Self {
                start: AtomicPtr::new(std::ptr::null_mut()),
                bytes: AtomicUsize::new(0),
            }
        }

        fn set(&self, text: String) {
            // Never a long text at a short one's place.
            self.bytes.store(0, Ordering::Release);
            let text = text.into_bytes().leak();
            self.start.store(text.as_mut_ptr(), Ordering::Release);
            self.bytes.store(text.len(), Ordering::Release);
        }

        /// Writes the text; only write is called, which POSIX allows in a handler.
        fn write(&self, to: i32) {
            let bytes = self.bytes.load(Ordering::Acquire);
            if bytes > 0 {
                // SAFETY: so many bytes are at the place, and are never freed. Nothing can be done where writing fails.
                unsafe {
                    libc::write(to, self.start.load(Ordering::Acquire).cast(), bytes);
                }
            }
        }
    }

    static FILES: [Slot; SLOTS] = [const {
        Slot {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            said: Words::none(),
            told: Words::none(),
        }
    }; SLOTS];

    static INSTALLED: Once = Once::new();

    /// A place among the registered files, given back when dropped.
    #[derive(Debug)]
    pub(super) struct Registered(Option<usize>);

    impl Registered {
        /// What is `said` on stderr and `told` on stdout if the file is cut.
        pub(super) fn new(mapped: &[u8], said: String, told: String) -> Self {
            // For the whole process: it takes the place of a handler that was there before.
            // homebench has none.
            INSTALLED.call_once(install);
            let start = mapped.as_ptr().addr();
            let free = FILES.iter().position(|slot| {
                let taken =
                    slot.start
                        .compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed);
                taken.is_ok()
            });
            if let Some(index) = free {
                let slot = &FILES[index];
                // The end comes last: a handler finds no address below an end of 0, so it never
                // sees words that aren't there.
                slot.said.set(said);
                slot.told.set(told);
                slot.end.store(start + mapped.len(), Ordering::Release);
            }
            Self(free)
        }
    }

    impl Drop for Registered {
        fn drop(&mut self) {
            if let Some(index) = self.0 {
                // The end first, for the same reason; a start of 0 then frees the slot.
                FILES[index].end.store(0, Ordering::Release);
                FILES[index].start.store(0, Ordering::Release);
            }
        }
    }

    fn install() {
        // SAFETY: the action is a plain structure whose zeros mean no flags and no masked signal; the handler calls nothing but
        // write and _exit, which POSIX allows there.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
    }

    extern "C" fn handle(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
        // SAFETY: the system gives a valid structure. Nothing is called but write and _exit.
        unsafe {
            let address = (*info).si_addr().addr();
            let slot = FILES.iter().find(|slot| {
                let start = slot.start.load(Ordering::Acquire);
                start <= address && address < slot.end.load(Ordering::Acquire)
            });
            match slot {
                Some(slot) => {
                    slot.said.write(libc::STDERR_FILENO);
                    slot.told.write(libc::STDOUT_FILENO);
                }
                None => {
                    let text = b"error: a file in use was cut by another program, or its disk failed\n\
                        hint: wait until nothing writes it any more, then run this again; nothing was kept\n";
                    libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
                }
            }
            // The code of a bad dataset. No destructor may run: the thread was stopped in the
            // middle of anything.
            libc::_exit(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "HOMEBENCH_TEST_CUT_FILE";

    /// Run by the test below in a process of its own.
    #[test]
    fn the_reader_of_a_file_that_is_cut() {
        let Some(path) = std::env::var_os(PATH) else {
            return;
        };
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        // SAFETY: it is cut on purpose.
        let mapped = unsafe { Mmap::map(&file) }.unwrap();
        let map = MappedFile::new(mapped, Path::new(&path), MappedKind::Source);
        file.set_len(0).unwrap();
        let sum: u64 = map.iter().map(|byte| u64::from(*byte)).sum();
        panic!("read {sum} from a file that is empty");
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_mapped_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        std::fs::write(&path, vec![b'1'; 1 << 20]).unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "mapped_file_shrank::tests::the_reader_of_a_file_that_is_cut",
            ])
            .env(PATH, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!(
            "error: {}: the file was cut by another program",
            path.display()
        );
        assert!(said.contains(&expected), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}
