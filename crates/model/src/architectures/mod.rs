//! One file per architecture, each built from the same layers. A new one is a file and a line here.

mod adatt;
mod home;
mod ml_mmoe;
mod mmoe;
mod ple;
mod shared_bottom;
mod single_task;

use crate::registry::Architecture;

/// Every architecture, in the order of the docs.
pub(crate) static ARCHITECTURES: [Architecture; 10] = [
    single_task::SINGLE_TASK,
    shared_bottom::SHARED_BOTTOM,
    mmoe::OMOE,
    mmoe::MMOE,
    ml_mmoe::ML_MMOE,
    ple::CGC,
    ple::PLE,
    adatt::ADATT_SP,
    adatt::ADATT,
    home::HOME,
];
