//! Sums over rows: of an expert's outputs, unit by unit, and of a gate's weights.

/// An output whose absolute value is below this is a zero.
// METHODOLOGY (`zero_rate`) and the histogram's middle bin have the same limit.
pub(super) const ZERO: f32 = 1e-6;

/// Units that are summed side by side.
// Units stand side by side, each with a sum of its own in the order of rows, so that the width
// changes no number.
const LANES: usize = 8;
/// Rows that stay in the cache while all units are summed.
const TILE_ROWS: usize = 64;

/// Of one expert.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpertSums {
    rows: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
    zeros: Vec<u32>,
}

impl ExpertSums {
    pub(super) fn new(width: usize) -> Self {
        Self {
            rows: 0,
            sums: vec![0.0; width],
            squares: vec![0.0; width],
            zeros: vec![0; width],
        }
    }

    /// Adds outputs, [rows, width].
    pub(super) fn add(&mut self, outputs: &[f32]) {
        let width = self.sums.len();
        for rows in outputs.chunks(width * TILE_ROWS) {
            let whole = width - width % LANES;
            for start in (0..whole).step_by(LANES) {
                self.add_lanes(rows, start);
            }
            for unit in whole..width {
                for row in rows.chunks_exact(width) {
                    let exact = f64::from(row[unit]);
                    self.sums[unit] += exact;
                    self.squares[unit] += exact * exact;
                    self.zeros[unit] += u32::from(row[unit].abs() < ZERO);
                }
            }
            self.rows += rows.len() / width;
        }
    }

    /// Adds the rows of some units side by side, whose sums stay in registers meanwhile.
    fn add_lanes(&mut self, rows: &[f32], start: usize) {
        let width = self.sums.len();
        let (mut sums, mut squares, mut zeros) = ([0.0; LANES], [0.0; LANES], [0; LANES]);
        sums.copy_from_slice(&self.sums[start..start + LANES]);
        squares.copy_from_slice(&self.squares[start..start + LANES]);
        zeros.copy_from_slice(&self.zeros[start..start + LANES]);
        for row in rows.chunks_exact(width) {
            let Some(values) = row[start..].first_chunk::<LANES>() else {
                continue;
            };
            for lane in 0..LANES {
                let exact = f64::from(values[lane]);
                sums[lane] += exact;
                squares[lane] += exact * exact;
                zeros[lane] += u32::from(values[lane].abs() < ZERO);
            }
        }
        self.sums[start..start + LANES].copy_from_slice(&sums);
        self.squares[start..start + LANES].copy_from_slice(&squares);
        self.zeros[start..start + LANES].copy_from_slice(&zeros);
    }

    fn num_outputs(&self) -> f64 {
        (self.rows * self.sums.len()) as f64
    }

    /// Mean of all outputs.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.sums.iter().sum::<f64>() / self.num_outputs())
    }

    /// Standard deviation of all outputs around their mean.
    pub(super) fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        // Mean square minus squared mean, of which f64 leaves enough digits for outputs that were
        // f32. Rounding may leave a little less than 0.
        let square = self.squares.iter().sum::<f64>() / self.num_outputs();
        Some((square - mean * mean).max(0.0).sqrt())
    }

    /// Share of outputs that are zero.
    pub(super) fn zero_rate(&self) -> Option<f64> {
        let zeros: u64 = self.zeros.iter().map(|zeros| u64::from(*zeros)).sum();
        (self.rows > 0).then(|| zeros as f64 / self.num_outputs())
    }

    /// Share of units that are zero on every row.
    pub(super) fn dead_units(&self) -> Option<f64> {
        let is_dead = |zeros: &&u32| **zeros as usize == self.rows;
        let dead = self.zeros.iter().filter(is_dead).count();
        (self.rows > 0).then(|| dead as f64 / self.zeros.len() as f64)
    }
}

/// Of one gate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GateSums {
    rows: usize,
    sums: Vec<f64>,
    squares: Vec<f64>,
    entropy: f64,
}

impl GateSums {
    pub(super) fn new(num_experts: usize) -> Self {
        Self {
            rows: 0,
            sums: vec![0.0; num_experts],
            squares: vec![0.0; num_experts],
            entropy: 0.0,
        }
    }

    /// Adds weights, [rows, experts seen].
    pub(super) fn add(&mut self, weights: &[f32]) {
        let num_experts = self.sums.len();
        for row in weights.chunks_exact(num_experts) {
            for (place, weight) in row.iter().enumerate() {
                let weight = f64::from(*weight);
                self.sums[place] += weight;
                self.squares[place] += weight * weight;
                // 0 ln 0 counts as 0.
                if weight > 0.0 {
                    self.entropy -= weight * libm::log(weight);
                }
            }
            self.rows += 1;
        }
    }

    /// Mean weight of each expert seen.
    pub(super) fn means(&self) -> Option<Vec<f64>> {
        let rows = self.rows as f64;
        (self.rows > 0).then(|| self.sums.iter().map(|sum| sum / rows).collect())
    }

    /// Mean over rows of the entropy of the weights, in nats.
    pub(super) fn entropy(&self) -> Option<f64> {
        // Weights that add up to a little more than one, as f32 does, are no reason for a negative entropy.
        (self.rows > 0).then(|| (self.entropy / self.rows as f64).max(0.0))
    }

    /// Standard deviation of a weight over rows, as the root of the mean over experts of its square.
    pub(super) fn spread(&self) -> Option<f64> {
        let means = self.means()?;
        let rows = self.rows as f64;
        let variances = self
            .squares
            .iter()
            .zip(&means)
            .map(|(square, mean)| (square / rows - mean * mean).max(0.0));
        Some((variances.sum::<f64>() / means.len() as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn an_expert_with_a_dead_unit_has_the_numbers_made_by_hand() {
        let mut sums = ExpertSums::new(3);
        // The second unit is dead, the third is zero on one row; 9e-7 counts as zero, 2e-6 doesn't.
        sums.add(&[1.0, 0.0, 3.0]);
        sums.add(&[2.0, 9e-7, 0.0, -3.0, -9e-7, 2e-6]);
        close(sums.zero_rate(), 4.0 / 9.0);
        close(sums.dead_units(), 1.0 / 3.0);
        let values = [1.0, 0.0, 3.0, 2.0, 9e-7, 0.0, -3.0, -9e-7, 2e-6].map(|v: f32| f64::from(v));
        let mean = values.iter().sum::<f64>() / 9.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 9.0;
        close(sums.mean(), mean);
        close(sums.deviation(), variance.sqrt());
        assert_eq!(ExpertSums::new(3).mean(), None);
    }

    #[test]
    fn units_beyond_whole_lanes_and_rows_beyond_whole_tiles_are_all_summed() {
        for (width, rows) in [(1, 1), (7, 65), (8, 64), (19, 130)] {
            let mut sums = ExpertSums::new(width);
            let values: Vec<f32> = (0..width * rows).map(|i| (i % 5) as f32 - 1.0).collect();
            sums.add(&values);
            let count = |wanted: f32| values.iter().filter(|v| **v == wanted).count() as f64;
            let total = (width * rows) as f64;
            close(sums.zero_rate(), count(0.0) / total);
            close(sums.mean(), values.iter().sum::<f32>() as f64 / total);
            assert_eq!(sums.rows, rows);
        }
    }

    #[test]
    fn a_gate_has_the_entropy_and_the_spread_made_by_hand() {
        let mut gate = GateSums::new(2);
        gate.add(&[0.5, 0.5, 1.0, 0.0]);
        close(gate.entropy(), 2f64.ln() / 2.0);
        assert_eq!(gate.means(), Some(vec![0.75, 0.25]));
        // Both weights lie .25 from their mean on every row.
        close(gate.spread(), 0.25);
        let mut fixed = GateSums::new(2);
        fixed.add(&[0.25, 0.75, 0.25, 0.75]);
        close(fixed.spread(), 0.0);
    }
}
