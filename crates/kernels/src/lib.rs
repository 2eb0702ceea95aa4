//! Fused operators for candle: forward, backward, and a composed reference of each.

pub mod random;
