//! Attention of a row's lists to a target: what is before and behind the activation unit of Zhou et al., "Deep interest network for
//! click-through rate prediction", KDD 2018, arXiv:1706.06978.
//!
//! The unit gives every element of a list a score from [`comparisons()`] of it with the target; [`weighted_sums()`] adds up the elements times
//! their scores. Both read one packed tensor, which has the batch's rows and the elements of its lists, so that it has one gradient.

mod comparisons;
mod element_lists;
mod weighted_sums;

pub use comparisons::{comparisons, comparisons_composed};
pub use element_lists::{ElementList, ElementLists};
pub use weighted_sums::{UnitDropout, weighted_sums, weighted_sums_composed};
