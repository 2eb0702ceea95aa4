//! Where cells run: the parent starts them, listens to them, and judges how they ended.

mod executor;
mod judge;
mod lock;
mod message;
mod process;

pub use executor::{Executor, Finished, Watcher};
pub(crate) use judge::{EXIT_ENVIRONMENT, EXIT_STOPPED};
pub use lock::{FolderLock, at_work};
pub use message::Message;
pub use process::can_limit_memory;
