//! Nash bargaining and alpha-fairness: `M a = a^(-1/c)` by damped Newton.
//!
//! The equation says where `a M a / 2 - sum phi(a)` has no slope, phi = ln for c = 1 and `a^(1-1/c) / (1-1/c)` otherwise: a strictly convex
//! function of a > 0. So Newton's steps, halved until the value falls, find the one solution.

use super::matrix::{Gram, dot, solve};

/// What is added to each diagonal entry, as a share of it: gradients that cancel out exactly would have no solution.
const RIDGE: f64 = 1e-13;

/// The positive solution of `M a = a^(-1/c)`.
pub(super) fn fair(matrix: &Gram, c: f64) -> Vec<f64> {
    let size = matrix.size();
    // Solved for b, a = s b, with s the solution of each task alone, so that b is near 1: tasks may differ by many powers of ten.
    let power = c / (1.0 + c);
    let scales: Vec<f64> = (0..size)
        .map(|task| libm::pow(matrix.at(task, task), -power))
        .collect();
    let scaled = Gram::new(size, |row, column| {
        let ridge = if row == column { 1.0 + RIDGE } else { 1.0 };
        matrix.at(row, column) * scales[row] * scales[column] * ridge
    });
    // (M a)_t = a_t^(-1/c) times s_t is (S M S b)_t = s_t^(1-1/c) b_t^(-1/c).
    let factors: Vec<f64> = scales
        .iter()
        .map(|scale| libm::pow(*scale, 1.0 - 1.0 / c))
        .collect();
    let found = newton(&scaled, &factors, c);
    found.iter().zip(&scales).map(|(b, s)| b * s).collect()
}

/// The positive solution of `M b = f b^(-1/c)`, near 1 where M is diagonal.
fn newton(matrix: &Gram, factors: &[f64], c: f64) -> Vec<f64> {
    let size = factors.len();
    let value = |at: &[f64]| {
        let of_task = |(b, factor): (&f64, &f64)| match c == 1.0 {
            true => factor * libm::log(*b),
            false => factor * libm::pow(*b, 1.0 - 1.0 / c) / (1.0 - 1.0 / c),
        };
        let gains: f64 = at.iter().zip(factors).map(of_task).sum();
        matrix.squared_norm(at) / 2.0 - gains
    };
    let mut at = vec![1.0; size];
    for _ in 0..60 {
        let wanted: Vec<f64> = (at.iter().zip(factors))
            .map(|(b, factor)| factor * libm::pow(*b, -1.0 / c))
            .collect();
        let slopes: Vec<f64> = matrix
            .times(&at)
            .iter()
            .zip(&wanted)
            .map(|(product, wanted)| product - wanted)
            .collect();
        let mut curvature: Vec<f64> = (0..size * size)
            .map(|place| matrix.at(place / size, place % size))
            .collect();
        for task in 0..size {
            curvature[task * (size + 1)] += wanted[task] / (c * at[task]);
        }
        let Some(step) = solve(curvature, slopes.clone()) else {
            break;
        };
        // Half the decrease that the quadratic model promises, squared Newton decrement.
        let promised = dot(&slopes, &step);
        if promised.is_nan() || promised <= 1e-32 {
            break;
        }
        let before = value(&at);
        let mut share = 1.0;
        let moved = loop {
            let next: Vec<f64> = at.iter().zip(&step).map(|(b, s)| b - share * s).collect();
            let is_inside = next.iter().all(|b| *b > 0.0);
            // Near the end the value changes by less than its last bit: then the whole step is right.
            if is_inside && (value(&next) < before || promised < 1e-10) {
                break Some(next);
            }
            share /= 2.0;
            if share < 1e-12 {
                break None;
            }
        };
        match moved {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}
