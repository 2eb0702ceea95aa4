//! How far pretrained vectors go.

use super::{Audit, FEW_VALUES, LOUD_SHARE};
use crate::table::pretrained::Coverage;

impl Audit<'_> {
    /// What of each vocabulary has a pretrained vector, and what of the vectors is of use.
    pub(in crate::table) fn pretrained(&mut self, coverages: &[Coverage]) {
        for coverage in coverages {
            let Coverage {
                table,
                files,
                values: [values, with_vector],
                occurrences: [all, covered],
                keys: [keys, unused],
                num_underflows,
                ..
            } = coverage;
            let share = *covered as f64 / (*all).max(1) as f64;
            let others = match values - with_vector {
                0 => String::new(),
                1 => "; the other one starts at random".to_owned(),
                others => format!("; the other {others} start at random"),
            };
            let lost = match num_underflows {
                0 => String::new(),
                1 => "; one number of its vectors is too small for 32 bits and became 0".to_owned(),
                lost => format!(
                    "; {lost} numbers of its vectors are too small for 32 bits and became 0"
                ),
            };
            self.warn(
                "pretrained_vectors",
                1.0 - share > LOUD_SHARE && *all >= FEW_VALUES,
                format!(
                    "{with_vector} of {values} values of the table `{table}` have a pretrained vector, {:.1} % of their \
                     occurrences in training rows{others}; {unused} of {keys} keys of {files} are none of its values{lost}",
                    share * 100.0
                ),
            );
        }
    }
}
