//! What the process of a cell does with news of its training: tells the parent, and keeps curves for TensorBoard and predictions where they
//! are wanted.

use super::predictions::CellPredictions;
use super::{ChildSettings, tell_parent};
use crate::execute::protocol::Message;
use crate::tensorboard::{EventFile, Point};
use homebench_diagnostic::Diagnostic;
use homebench_experiment::spec::CellContent;
use homebench_train::{CurvePoint, Observer, PredictedBlock, Progress, SplitName};
use std::fmt::Display;
use std::io;

pub(super) struct TrainingListener {
    events: Option<EventFile>,
    predictions: Option<CellPredictions>,
}

impl TrainingListener {
    pub(super) fn new(
        settings: &ChildSettings,
        content: &CellContent,
        predictions: Option<CellPredictions>,
    ) -> Self {
        let opened = settings.tensorboard.as_ref().zip(settings.folder.results());
        let opened = opened.map(|(inside, results)| {
            EventFile::open(results.path(), inside, &content.training_id())
        });
        let say = |said: Diagnostic| say_unwritable(&said);
        let events = opened.and_then(|opened| opened.map_err(say).ok());
        Self {
            events,
            predictions,
        }
    }
}

/// They are no results: a training without them is as good.
fn say_unwritable(error: &dyn Display) {
    tell_parent(&Message::Notice(format!(
        "its curves are not written for TensorBoard: {error}"
    )));
}

impl Observer for TrainingListener {
    fn progress(&mut self, progress: &Progress) {
        tell_parent(&Message::Progress(*progress));
    }

    fn wants_predictions(&self, split: SplitName) -> bool {
        let predictions = self.predictions.as_ref();
        predictions.is_some_and(|predictions| predictions.wants(split))
    }

    fn predicted(&mut self, block: &PredictedBlock<'_>) -> io::Result<()> {
        match &mut self.predictions {
            Some(predictions) => predictions.take(block),
            None => Ok(()),
        }
    }

    fn curves(&mut self, points: &[CurvePoint]) {
        let Some(events) = &mut self.events else {
            return;
        };
        let points: Vec<Point> = points
            .iter()
            .map(|point| Point {
                step: point.step as u64,
                split: point.split.name().to_owned(),
                task: point.task.clone(),
                metric: point.metric.name().to_owned(),
                value: point.value,
            })
            .collect();
        if let Err(error) = events.hold(&points) {
            say_unwritable(&error);
            self.events = None;
        }
    }
}
