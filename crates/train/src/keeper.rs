//! What a training asks of whoever keeps it safe from the end of its process.

use std::fs::File;
use std::io::Write;

/// Keeps the state of a training, so that another process can go on with it. It decides when; it changes no number.
// The trainer decides neither when nor where a state is kept: that is for who runs the cell.
pub trait Keeper {
    /// Whose training this is. What another has kept is not used.
    fn key(&self) -> &str;

    /// Asked after every step, counted from 1: whether the state is to be kept now.
    fn is_due(&mut self, step: usize) -> bool;

    /// Keeps what `fill` writes, in the place of what was kept before.
    fn keep(&mut self, fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>);

    /// What was kept, where anything was.
    fn kept(&mut self) -> Option<File>;

    /// What was kept can't be used, and why; training begins anew.
    fn refused(&mut self, why: &str);

    /// Asked after every step: whether training is to end here, unfinished.
    fn is_stopping(&self) -> bool;
}

/// Keeps nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepNothing;

impl Keeper for KeepNothing {
    fn key(&self) -> &str {
        ""
    }

    fn is_due(&mut self, _step: usize) -> bool {
        false
    }

    fn keep(&mut self, _fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>) {}

    fn kept(&mut self) -> Option<File> {
        None
    }

    fn refused(&mut self, _why: &str) {}

    fn is_stopping(&self) -> bool {
        false
    }
}
