//! Cohorts of the rows of a split: which row is in which.

use super::scoring::{Cohort, SCENARIO, Scenarios};
use homebench_data::{CodedColumn, NOBODY, Split};
use homebench_diagnostic::Diagnostic;
use rayon::prelude::*;

/// The most values that divide rows into cohorts: more would be a table that nobody reads, of cohorts that say nothing.
pub const MOST_COHORTS: usize = 1000;

/// Rows of a split divided into cohorts. Every row is in one.
#[derive(Debug)]
pub(super) struct CodedCohort {
    pub(super) name: String,
    /// What the rows of each have in common, and their indices. Empty is the text of rows without a value.
    pub(super) values: Vec<(String, Vec<u32>)>,
}

impl CodedCohort {
    /// # Errors
    /// More cohorts than [`MOST_COHORTS`].
    pub(super) fn new(
        name: &str,
        kind: &Cohort,
        split: &Split,
        users: Option<&TrainingUsers>,
    ) -> Result<Self, Diagnostic> {
        let coded = match (kind, users) {
            (Cohort::TrainingRows { training_rows }, Some(users)) => {
                users.buckets(&split.users(), training_rows)
            }
            (Cohort::Expression(text), Some(users)) if kind.is_of_users() => {
                debug_assert_eq!(text, super::NEW_USERS);
                users.new_and_seen(&split.users())
            }
            (Cohort::Expression(text), _) => in_order(coded(split, text)?),
            (Cohort::TrainingRows { .. }, None) => return Err(no_users(name)),
        };
        check_count(name, coded.values.len())?;
        Ok(Self {
            name: name.to_owned(),
            values: divided(coded),
        })
    }
}

impl CodedCohort {
    /// # Errors
    /// More scenarios than [`MOST_COHORTS`].
    pub(super) fn of_scenarios(scenarios: &Scenarios, split: &Split) -> Result<Self, Diagnostic> {
        let num_values = scenarios.values.len();
        if num_values > MOST_COHORTS {
            let message = format!(
                "the scenario has {num_values} values in training; expected at most {MOST_COHORTS}, each of which is scored by itself"
            );
            return Err(Diagnostic::new("the description", message).hint(
                "name a column of fewer values as `scenario`, or raise min_count of its feature so that rare ones are one",
            ));
        }
        // Nothing there may be a scenario of its own in training. Beside rows whose scenario training doesn't have, it has no name either.
        let (named, nameless): (Vec<usize>, Vec<usize>) =
            (0..num_values).partition(|place| !scenarios.values[*place].is_empty());
        let mut codes = vec![NOBODY; num_values + 1];
        for (code, place) in named.iter().enumerate() {
            codes[place + 1] = code as u32;
        }
        debug_assert!(nameless.len() <= 1, "texts of a vocabulary differ");
        let ids = split.ids(scenarios.feature).into_iter();
        let coded = CodedColumn {
            codes: ids.map(|id| codes[id as usize]).collect(),
            values: (named.into_iter())
                .map(|place| scenarios.values[place].clone())
                .collect(),
        };
        Ok(Self {
            name: SCENARIO.to_owned(),
            values: divided(in_order(coded)),
        })
    }
}

/// Refuses a cohort of too many values.
///
/// # Errors
/// More than [`MOST_COHORTS`].
pub fn check_count(name: &str, num_values: usize) -> Result<(), Diagnostic> {
    if num_values <= MOST_COHORTS {
        return Ok(());
    }
    let message = format!(
        "`cohorts.{name}` has {num_values} values; expected at most {MOST_COHORTS}, each of which is a cohort"
    );
    Err(Diagnostic::new("the cohorts", message).hint(format!(
        "bring values together in an expression, such as {name} = \"case when price < 10 then 'cheap' else 'dear' end\""
    )))
}

fn no_users(name: &str) -> Diagnostic {
    let message = format!("`cohorts.{name}` asks for users, and the dataset has none");
    Diagnostic::new("the cohorts", message)
        .hint("name the column of users in the description, `user = \"...\"`")
}

/// The values of a column or an expression that stays with the rows.
pub(super) fn coded(split: &Split, column: &str) -> Result<CodedColumn, Diagnostic> {
    let carried = split.carried().and_then(|carried| carried.coded(column));
    carried.ok_or_else(|| {
        let message = format!("there is no column `{column}` beside the rows");
        Diagnostic::new("the cohorts", message)
            .hint("an embedded source has no columns but its users; use a dataset of files")
    })
}

/// The values in the order in which tables have them: numbers by size where all are numbers, else texts.
fn in_order(column: CodedColumn) -> CodedColumn {
    let number = |text: &String| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers: Option<Vec<f64>> = column.values.iter().map(number).collect();
    let mut order: Vec<usize> = (0..column.values.len()).collect();
    order.sort_by(|a, b| {
        let by_text = column.values[*a].cmp(&column.values[*b]);
        match &numbers {
            Some(numbers) => numbers[*a].total_cmp(&numbers[*b]).then(by_text),
            None => by_text,
        }
    });
    let mut places = vec![0; order.len()];
    for (place, code) in order.iter().enumerate() {
        places[*code] = place as u32;
    }
    let place = |code: &u32| match *code {
        NOBODY => NOBODY,
        code => places[code as usize],
    };
    CodedColumn {
        codes: column.codes.par_iter().map(place).collect(),
        values: order
            .iter()
            .map(|code| column.values[*code].clone())
            .collect(),
    }
}

/// The rows of each value, those without one last.
fn divided(column: CodedColumn) -> Vec<(String, Vec<u32>)> {
    let mut rows = vec![Vec::new(); column.values.len() + 1];
    let missing = column.values.len();
    for (row, code) in column.codes.iter().enumerate() {
        let place = match *code {
            NOBODY => missing,
            code => code as usize,
        };
        rows[place].push(row as u32);
    }
    let values = column.values.into_iter().chain([String::new()]);
    let mut divided: Vec<(String, Vec<u32>)> = values.zip(rows).collect();
    // A bucket without rows is told; that no row lacks a value needs no telling.
    divided.pop_if(|(_, rows)| rows.is_empty());
    divided
}

/// How many training rows each user has.
#[derive(Debug)]
pub(super) struct TrainingUsers {
    /// In the order of users.
    counts: Vec<(u32, u64)>,
}

impl TrainingUsers {
    pub(super) fn of(train: &Split) -> Self {
        Self::new(train.users())
    }

    fn new(mut users: Vec<u32>) -> Self {
        users.par_sort_unstable();
        let counts = users.chunk_by(|a, b| a == b);
        Self {
            counts: counts.map(|rows| (rows[0], rows.len() as u64)).collect(),
        }
    }

    fn count(&self, user: u32) -> u64 {
        let found = self.counts.binary_search_by_key(&user, |(user, _)| *user);
        found.map_or(0, |place| self.counts[place].1)
    }

    /// Whether each row's user has a row in training.
    fn new_and_seen(&self, users: &[u32]) -> CodedColumn {
        let values = ["new".to_owned(), "seen".to_owned()];
        self.coded(users, values.into(), |count| u32::from(count > 0))
    }

    /// Buckets by the number of training rows of each row's user.
    fn buckets(&self, users: &[u32], starts: &[u64]) -> CodedColumn {
        let ends = starts.iter().map(Some).chain([None]);
        let starts_of_all = [0].iter().chain(starts);
        let bucket = |(start, end): (&u64, Option<&u64>)| match end.map(|end| end - 1) {
            None => format!("{start} or more"),
            Some(last) if last == *start => last.to_string(),
            Some(last) => format!("{start} to {last}"),
        };
        let values = starts_of_all.zip(ends).map(bucket).collect();
        let place = |count| starts.partition_point(|start| *start <= count) as u32;
        self.coded(users, values, place)
    }

    fn coded(
        &self,
        users: &[u32],
        values: Vec<String>,
        code: impl Fn(u64) -> u32 + Sync,
    ) -> CodedColumn {
        let code = |user: &u32| match *user {
            NOBODY => NOBODY,
            user => code(self.count(user)),
        };
        CodedColumn {
            codes: users.par_iter().map(code).collect(),
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(divided: Vec<(String, Vec<u32>)>) -> Vec<(String, Vec<u32>)> {
        divided
    }

    #[test]
    fn users_are_new_or_seen_and_fall_into_buckets_by_their_training_rows() {
        let users = TrainingUsers::new(vec![7, 3, 7, 7, 9, 3, NOBODY]);
        let scored = [7, 3, 5, 9, NOBODY, 5];
        let found = rows(divided(users.new_and_seen(&scored)));
        let expected = [
            ("new".to_owned(), vec![2, 5]),
            ("seen".to_owned(), vec![0, 1, 3]),
            (String::new(), vec![4]),
        ];
        assert_eq!(found, expected);
        let found = rows(divided(users.buckets(&scored, &[1, 2, 10])));
        let expected = [
            ("0".to_owned(), vec![2, 5]),
            ("1".to_owned(), vec![3]),
            ("2 to 9".to_owned(), vec![0, 1]),
            ("10 or more".to_owned(), vec![]),
            (String::new(), vec![4]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_in_the_order_of_numbers_where_all_are_and_of_texts_else() {
        let column = |values: &[&str], codes: &[u32]| CodedColumn {
            codes: codes.to_vec(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let found = in_order(column(&["10", "9", "-1"], &[0, 1, 2, NOBODY]));
        assert_eq!(found, column(&["-1", "9", "10"], &[2, 1, 0, NOBODY]));
        let found = in_order(column(&["10", "9", "b"], &[0, 1, 2]));
        assert_eq!(found, column(&["10", "9", "b"], &[0, 1, 2]));
        let found = rows(divided(column(&["a"], &[0, 0])));
        assert_eq!(found, [("a".to_owned(), vec![0, 1])]);
    }

    #[test]
    fn a_column_of_too_many_values_is_refused_with_a_way_out() {
        assert!(check_count("tab", MOST_COHORTS).is_ok());
        let said = check_count("video", 1_000_000).unwrap_err();
        assert!(
            said.message
                .contains("`cohorts.video` has 1000000 values; expected at most 1000")
        );
        assert!(said.hint.is_some_and(|hint| hint.contains("case when")));
    }
}
