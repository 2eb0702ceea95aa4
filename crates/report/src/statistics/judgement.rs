//! The one rule by which a difference counts, in every sentence, table, figure and exit code: its p-value, after Holm's correction over
//! the differences that are read together, is below 5 %, and it rests on at least three runs.

use super::{LEVEL, PairedDifference, holm};

/// With fewer runs than this nothing is judged.
// Two differences that happen to be alike give an interval as narrow as they are, by chance.
pub const FEWEST_RUNS: usize = 3;

/// What is said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same number in every run.
    Identical,
    /// Better, at 5 % after correction.
    Better,
    /// Worse, at 5 % after correction.
    Worse,
    /// No difference was seen, which is no proof that there is none.
    NoDifferenceSeen,
    /// Too few runs, or the same difference in each: nothing is known of the spread.
    NotJudged,
}

impl Verdict {
    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifferenceSeen => "no difference seen",
            Self::NotJudged => "not judged",
        }
    }

    /// Whether there is a difference by the rule.
    pub fn is_seen(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }
}

/// A difference before it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Runs that it is a mean over.
    pub num_runs: usize,
    /// Of the test that it is zero.
    pub p_value: Option<f64>,
    /// By how much it is better; nothing where neither way is.
    pub advantage: Option<f64>,
    /// Whether it is zero in every run.
    pub is_identical: bool,
}

impl Evidence {
    /// What a paired difference shows; `advantage` is by how much it is better.
    pub fn of(difference: &PairedDifference, advantage: Option<f64>) -> Self {
        Self {
            num_runs: difference.num_pairs,
            p_value: difference.p_value,
            advantage,
            is_identical: difference.is_identical,
        }
    }

    fn tested(&self) -> Option<f64> {
        let is_tested = self.num_runs >= FEWEST_RUNS && !self.is_identical;
        self.p_value.filter(|_| is_tested)
    }
}

/// A difference, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// What is said of it.
    pub verdict: Verdict,
    /// The p-value after Holm's correction over the family; nothing for what is not tested.
    pub corrected_p_value: Option<f64>,
}

/// Judges the differences that are read together, in their order; what is absent stays so. What can't be tested takes no part in the
/// correction of the others.
pub fn judge(family: &[Option<Evidence>]) -> Vec<Option<Judgement>> {
    let tested = |evidence: &Option<Evidence>| evidence.and_then(|evidence| evidence.tested());
    let p_values: Vec<f64> = family.iter().filter_map(tested).collect();
    // The corrected values go to those that were tested, in their order.
    let mut corrected = holm(&p_values).into_iter();
    let mut judgement = |evidence: &Evidence| {
        let corrected_p_value = evidence.tested().and_then(|_| corrected.next());
        let verdict = match (corrected_p_value, evidence.advantage) {
            _ if evidence.is_identical => Verdict::Identical,
            (None, _) => Verdict::NotJudged,
            (Some(p_value), Some(advantage)) if p_value < LEVEL => match advantage > 0.0 {
                true => Verdict::Better,
                false => Verdict::Worse,
            },
            _ => Verdict::NoDifferenceSeen,
        };
        Judgement {
            verdict,
            corrected_p_value,
        }
    };
    let judged = family.iter();
    judged
        .map(|evidence| evidence.as_ref().map(&mut judgement))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(num_runs: usize, p_value: f64, advantage: f64) -> Option<Evidence> {
        Some(Evidence {
            num_runs,
            p_value: Some(p_value),
            advantage: Some(advantage),
            is_identical: advantage == 0.0,
        })
    }

    #[test]
    fn a_difference_counts_after_correction_and_over_three_runs() {
        let family = [
            evidence(3, 0.01, 1.0),
            None,
            evidence(5, 0.02, -1.0),
            evidence(3, 0.5, 1.0),
            // Neither takes part: with it the second would be corrected by four.
            evidence(2, 0.000_001, 1.0),
            evidence(3, 1.0, 0.0),
        ];
        let verdicts: Vec<_> = judge(&family)
            .into_iter()
            .map(|judged| judged.map(|judged| (judged.verdict, judged.corrected_p_value)))
            .collect();
        assert_eq!(
            verdicts,
            [
                Some((Verdict::Better, Some(0.03))),
                None,
                Some((Verdict::Worse, Some(0.04))),
                Some((Verdict::NoDifferenceSeen, Some(0.5))),
                Some((Verdict::NotJudged, None)),
                Some((Verdict::Identical, None)),
            ]
        );
    }

    #[test]
    fn what_has_no_better_way_or_no_spread_is_not_called_better() {
        let even = Evidence {
            num_runs: 5,
            p_value: Some(0.001),
            advantage: None,
            is_identical: false,
        };
        let constant = Evidence {
            p_value: None,
            advantage: Some(1.0),
            ..even
        };
        let judged = judge(&[Some(even), Some(constant)]);
        let verdicts = judged.into_iter().flatten().map(|judged| judged.verdict);
        let expected = [Verdict::NoDifferenceSeen, Verdict::NotJudged];
        assert_eq!(verdicts.collect::<Vec<_>>(), expected);
    }
}
