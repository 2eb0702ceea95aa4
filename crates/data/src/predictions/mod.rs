//! Predictions as files: a row each, with what says which row it is, the labels, and the score of every task.

mod layout;
mod scale;
mod sink;
mod write;

pub use layout::PredictionLayout;
pub(crate) use layout::named_columns;
pub use scale::ScoreScale;
pub use sink::TableFormat;
pub(crate) use sink::{TableSink, about, score_name};
pub use write::PredictionWriter;
