//! Parts: what a model is made of and whom it serves, recorded where variables are made, so that nobody reads it out of
//! their paths.

use crate::layout::{Owner, TaskLayout};
use crate::ranker::GateKind;

/// A set of experts, a gate or a feature gate of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What its variables' paths begin with: `level.1.task.click.expert`.
    pub path: String,
    /// Layer or level, from 0.
    pub layer: usize,
    /// What it is.
    pub kind: PartKind,
    /// Whom it serves.
    pub owner: Owner,
    /// What to call it beside others of its kind: a task, a group, `shared`, `gate 3`.
    pub name: String,
}

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// A set of experts.
    Experts,
    /// The feature gate of a set.
    FeatureGate,
    /// A gate, self-gate or residual.
    Gate(GateKind),
}

impl PartKind {
    /// Its name in the docs and at the end of paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Experts => "expert",
            Self::FeatureGate => "feature_gate",
            Self::Gate(GateKind::Softmax) => "gate",
            Self::Gate(GateKind::SelfGate) => "self_gate",
            Self::Gate(GateKind::Residual) => "residual",
        }
    }
}

/// Where variables are, and whom what they make serves.
// The owner is data beside the path, never read out of it: a task may be called `group`, a group `level`.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Variable path.
    pub(crate) path: String,
    pub(crate) owner: Owner,
    /// See [`Part::name`].
    pub(crate) name: String,
}

impl Place {
    /// Of what serves every task.
    pub(crate) fn shared() -> Self {
        Self {
            path: "shared".to_string(),
            owner: Owner::All,
            name: "shared".to_string(),
        }
    }

    /// Of what every row and task runs, beside what they choose among.
    pub(crate) fn always() -> Self {
        Self {
            path: "always".to_string(),
            name: "always".to_string(),
            ..Self::shared()
        }
    }

    fn group(layout: &TaskLayout, group: usize) -> Self {
        let name = layout.groups[group].name.clone();
        Self {
            path: format!("group.{name}"),
            owner: Owner::Group(group),
            name,
        }
    }

    fn task(layout: &TaskLayout, task: usize) -> Self {
        let name = layout.tasks[task].clone();
        Self {
            path: format!("task.{name}"),
            owner: Owner::Task(task),
            name,
        }
    }

    /// Of every group's own, in order.
    pub(crate) fn groups(layout: &TaskLayout) -> Vec<Self> {
        let groups = 0..layout.groups.len();
        groups.map(|group| Self::group(layout, group)).collect()
    }

    /// Of every task's own, in order.
    pub(crate) fn tasks(layout: &TaskLayout) -> Vec<Self> {
        let tasks = 0..layout.tasks.len();
        tasks.map(|task| Self::task(layout, task)).collect()
    }

    /// The same, one of several levels.
    pub(crate) fn in_level(&self, level: usize) -> Self {
        Self {
            path: format!("level.{level}.{}", self.path),
            ..self.clone()
        }
    }

    /// What experts of a level read, at `<path>.backbone`: a set of one.
    pub(crate) fn backbone(&self, layer: usize) -> Part {
        Part {
            path: format!("{}.backbone", self.path),
            ..self.part(PartKind::Experts, layer)
        }
    }

    /// A set of one under another name than that of experts, at `<path>.<name>`.
    pub(crate) fn named(&self, name: &str, layer: usize) -> Part {
        Part {
            path: format!("{}.{name}", self.path),
            name: name.to_owned(),
            ..self.part(PartKind::Experts, layer)
        }
    }

    /// A memory that is read here as an expert, at `<path>.memory`.
    pub(crate) fn memory(&self, layer: usize) -> Part {
        Part {
            path: format!("{}.memory", self.path),
            ..self.part(PartKind::Experts, layer)
        }
    }

    /// A part of what is here, at `<path>.<kind>`.
    pub(crate) fn part(&self, kind: PartKind, layer: usize) -> Part {
        Part {
            path: format!("{}.{}", self.path, kind.name()),
            layer,
            kind,
            owner: self.owner,
            name: self.name.clone(),
        }
    }
}
