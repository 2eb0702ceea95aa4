//! Draws of things whose popularity falls with their rank: Walker's alias method, one look-up a draw.

/// Shares of rank^-skew, ready to be drawn from.
#[derive(Debug)]
pub(super) struct Popularity {
    /// Of each column: below which toss it gives its own thing, and the thing that it gives otherwise.
    columns: Vec<(u32, u32)>,
}

impl Popularity {
    /// `count` things; the thing of rank r (from 1) is drawn in proportion to r^-skew.
    pub(super) fn new(count: u32, skew: f64) -> Self {
        let weights: Vec<f64> = (1..=count)
            .map(|rank| libm::pow(f64::from(rank), -skew))
            .collect();
        // Added by rank on one thread: one order of additions gives one set of shares.
        let mean = weights.iter().sum::<f64>() / f64::from(count);
        // Columns of height 1: what a thing has too little of is filled up by one that has too much.
        let mut left: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let mut columns: Vec<(u32, u32)> = (0..count).map(|thing| (u32::MAX, thing)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..count).partition(|thing| left[*thing as usize] < 1.0);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            let (short, long) = (low as usize, high as usize);
            columns[short] = ((left[short] * 4_294_967_296.0) as u32, high);
            left[long] -= 1.0 - left[short];
            if left[long] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { columns }
    }

    /// A thing, from two random words.
    #[inline]
    pub(super) fn draw(&self, column: u32, toss: u32) -> u32 {
        // Multiply and shift in place of a remainder, which would cost a division a draw.
        let column = (u64::from(column) * self.columns.len() as u64) >> 32;
        let (limit, other) = self.columns[column as usize];
        match toss < limit {
            true => column as u32,
            false => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_random::Philox;

    #[test]
    fn things_are_drawn_in_proportion_to_their_weights() {
        let stream = Philox::new(1, "test", "popularity");
        for skew in [0.0, 0.7, 1.5] {
            let popularity = Popularity::new(50, skew);
            let mut counts = [0.0; 50];
            for index in 0..400_000 {
                let [column, toss, ..] = stream.u32x4(index);
                counts[popularity.draw(column, toss) as usize] += 1.0 / 400_000.0;
            }
            let total: f64 = (1..=50).map(|rank| libm::pow(f64::from(rank), -skew)).sum();
            for (rank, share) in (1..).zip(counts) {
                let expected = libm::pow(f64::from(rank), -skew) / total;
                let slack = 5.0 * (expected / 400_000.0f64).sqrt();
                assert!(
                    (share - expected).abs() < slack,
                    "{skew} {rank}: {share} {expected}"
                );
            }
        }
    }
}
