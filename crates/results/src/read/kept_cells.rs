//! A part of a folder's cells, with what its tables say of them.

use super::{Cell, Results};
use std::collections::HashSet;

impl Results {
    /// The same of these cells alone. What tuning says of trials stays.
    #[must_use]
    pub fn keeping(mut self, is_kept: impl Fn(&Cell) -> bool) -> Self {
        let mut places = Vec::with_capacity(self.cells.len());
        let mut kept = Vec::new();
        let mut gone = HashSet::new();
        for cell in std::mem::take(&mut self.cells) {
            match is_kept(&cell) {
                true => {
                    places.push(Some(kept.len()));
                    kept.push(cell);
                }
                false => {
                    places.push(None);
                    gone.insert(cell.id);
                }
            }
        }
        self.cells = kept;
        self.keep_scores(&places);
        self.cohorts.retain_mut(|score| {
            let place = places[score.cell];
            score.cell = place.unwrap_or(score.cell);
            place.is_some()
        });
        for curves in &mut self.curves {
            curves.points.retain_mut(|point| {
                let place = places[point.cell as usize];
                point.cell = place.map_or(point.cell, |place| place as u32);
                place.is_some()
            });
        }
        self.curves.retain(|curves| !curves.points.is_empty());
        self.throughput.retain_mut(|row| {
            let place = places[row.cell];
            row.cell = place.unwrap_or(row.cell);
            place.is_some()
        });
        self.settings.retain(|row| !gone.contains(&row.cell));
        let cells = &self.cells;
        let has_cells = |name: &String| cells.iter().any(|cell| cell.variant == *name);
        self.model_parts.retain(|row| has_cells(&row.variant));
        self.tuning.retain(|row| has_cells(&row.variant));
        self.trials.retain(|cell| has_cells(&cell.variant));
        self.baseline = self.baseline.filter(has_cells);
        self
    }

    fn keep_scores(&mut self, places: &[Option<usize>]) {
        let mut score_places = Vec::with_capacity(self.scores.len());
        let mut num_kept = 0;
        self.scores.retain_mut(|score| {
            let place = places[score.cell];
            score_places.push(place.map(|_| num_kept));
            num_kept += usize::from(place.is_some());
            score.cell = place.unwrap_or(score.cell);
            place.is_some()
        });
        for origin in &mut self.externals {
            let lines = std::mem::take(&mut origin.lines).into_iter();
            let kept = lines.filter_map(|(score, line)| Some((score_places[score]?, line)));
            origin.lines = kept.collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::read::Results;
    use crate::sample::Sample;

    #[test]
    fn what_is_kept_is_what_a_folder_of_those_cells_has() {
        let whole = Sample::default().write();
        let without = Sample {
            variants: vec!["shared-bottom".to_owned(), "MMoE".to_owned()],
            ..Sample::default()
        };
        let without = without.write();
        let whole = Results::read(whole.path()).unwrap();
        let mut kept = whole.keeping(|cell| cell.variant != "HoME");
        let expected = Results::read(without.path()).unwrap();
        kept.folder.clone_from(&expected.folder);
        assert_eq!(kept, expected);
    }

    #[test]
    fn rows_of_later_cells_move_to_their_new_places() {
        let whole = Sample::default().write();
        let kept = Results::read(whole.path()).unwrap();
        let kept = kept.keeping(|cell| cell.variant == "HoME" && cell.seed > 0);
        assert_eq!(kept.cells.len(), 2);
        let places = kept.scores.iter().map(|score| score.cell);
        assert!(places.clone().all(|place| place < 2) && places.max() == Some(1));
        let points = kept.curves.iter().flat_map(|curves| &curves.points);
        assert!(points.clone().count() > 0 && points.clone().all(|point| point.cell < 2));
        assert!(kept.throughput.iter().all(|row| row.cell < 2));
    }

    #[test]
    fn cohorts_of_cells_that_are_kept_move_with_them() {
        let folder = Sample::default().write();
        let cells = Results::read(folder.path()).unwrap().cells;
        let mut text =
            "cell,variant,seed,split,task,cohort,cohort_value,metric,value,rows,positives\n"
                .to_owned();
        for (place, cell) in cells.iter().enumerate() {
            let (id, variant, seed) = (&cell.id, &cell.variant, cell.seed);
            text += &format!("{id},{variant},{seed},test,income,tab,1,auc,0.5,{place},1\n");
        }
        std::fs::write(folder.path().join("cohorts.csv"), text).unwrap();
        let kept = Results::read(folder.path()).unwrap();
        assert_eq!(kept.cohorts.len(), cells.len());
        let kept = kept.keeping(|cell| cell.variant == "HoME");
        assert_eq!(kept.cohorts.len(), kept.cells.len());
        for score in &kept.cohorts {
            assert_eq!(cells[score.rows as usize].id, kept.cells[score.cell].id);
        }
    }
}
