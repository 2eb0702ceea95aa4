//! From a model's output to a score that people read.

/// What turns the output of a model for a task into its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScoreScale {
    /// The probability of the positive class, of a logit.
    Probability,
    /// A number on the scale of the label's column.
    Number {
        /// Whether the labels are `sign(x) ln(1 + |x|)` of it.
        log1p: bool,
        /// What was taken from the labels.
        mean: f64,
        /// What the labels were multiplied by after that.
        scale: f64,
    },
}

impl ScoreScale {
    /// That of labels which are learned as they are.
    pub const IDENTITY: Self = Self::Number {
        log1p: false,
        mean: 0.0,
        scale: 1.0,
    };

    /// The score of an output.
    // In 64 bits: near 1 a probability of 32 bits has fewer values than the logits that it is of, and ties would change an AUC.
    pub fn score(self, output: f32) -> f64 {
        let output = f64::from(output);
        match self {
            Self::Probability => {
                let small = libm::exp(-output.abs());
                match output >= 0.0 {
                    true => 1.0 / (1.0 + small),
                    false => small / (1.0 + small),
                }
            }
            Self::Number { log1p, mean, scale } => {
                let value = output / scale + mean;
                match log1p {
                    true => libm::expm1(value.abs()).copysign(value),
                    false => value,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_probabilities_and_numbers_of_the_labels_own_scale() {
        let probability = |output| ScoreScale::Probability.score(output);
        assert_eq!(probability(0.0), 0.5);
        // Of scipy.special.expit.
        assert!((probability(2.0) - 0.880_797_077_977_882_3).abs() < 1e-15);
        assert!((probability(-2.0) - 0.119_202_922_022_117_56).abs() < 1e-16);
        assert!(probability(20.0) < 1.0 && probability(20.0) > probability(19.999_998));
        let number = ScoreScale::Number {
            log1p: true,
            mean: 2.0,
            scale: 0.5,
        };
        // A label of 7 is (ln 8 - 2) / 2.
        let label = ((8.0f64.ln() - 2.0) * 0.5) as f32;
        assert!((number.score(label) - 7.0).abs() < 1e-5);
        assert!((number.score(-5.0) - (1.0 - 8.0f64.exp())).abs() < 1e-9);
        assert_eq!(ScoreScale::IDENTITY.score(-1.5), -1.5);
    }
}
