//! Bottoms: layers of interaction between the embedded input and a model, one file each. A new one is a file and a line here.
//!
//! A bottom turns the input v [B, D] into v' [B, D'], and the model reads v' where it read v. Its variables are at `bottom`, shared by all tasks; a
//! model whose tasks have tables of their own has a bottom for each task, at `task.<task>.bottom`. Without one nothing is built and v' is v.

mod autoint;
mod dcn_v2;
mod fields;
mod fm;

use crate::ModelError;
use crate::features::{InputColumns, Tables};
use crate::knobs::{Knob, Knobs};
use crate::ranker::{BuildContext, Ranker, StepOutput, Trace, TrainingPass};
use crate::registry::Architecture;
use crate::tap::FeatureTap;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};

/// The knob that names a bottom.
pub(crate) const BOTTOM: &str = "bottom";

/// No bottom: what a model has that says nothing.
const NONE: &str = "none";

const CHOICE: Knob = Knob::choice(
    BOTTOM,
    &[
        NONE,
        fm::FM.name,
        dcn_v2::DCN_V2.name,
        autoint::AUTOINT.name,
    ],
    NONE,
    "layer of interaction between the input and the model",
);

/// Every bottom, in the order of the docs.
static BOTTOMS: [Bottom; 3] = [fm::FM, dcn_v2::DCN_V2, autoint::AUTOINT];

/// What a bottom's file declares.
pub(crate) struct Bottom {
    name: &'static str,
    title: &'static str,
    paper: &'static str,
    equation: &'static str,
    knobs: &'static [Knob],
    build: fn(&Knobs, &BuildContext<'_>, &VarBuilder) -> std::result::Result<Built, ModelError>,
}

/// A bottom that was built for an input.
struct Built {
    layers: Box<dyn Interaction>,
    /// D'.
    output_dim: usize,
    /// As [`Ranker::flops_per_row`] counts them, and a multiply-add of each unit and field where a bottom has no matrix product.
    flops_per_row: usize,
}

trait Interaction: Send {
    /// # Shapes
    /// - xs: [batch, input_dim]
    /// - result: [batch, output_dim]
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor>;
}

/// What is said of a bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct BottomEntry {
    /// Name in specs.
    pub name: &'static str,
    /// Name in prose.
    pub title: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Its equation in one line.
    pub equation: &'static str,
    /// Its settings, which stand beside a model's knobs.
    pub knobs: &'static [Knob],
}

/// Every bottom, in the order of the docs.
///
/// ```
/// let names: Vec<&str> = homebench_model::bottoms().iter().map(|bottom| bottom.name).collect();
/// assert_eq!(names, ["fm", "dcn_v2", "autoint"]);
/// ```
pub fn bottoms() -> Vec<BottomEntry> {
    let entry = |bottom: &Bottom| BottomEntry {
        name: bottom.name,
        title: bottom.title,
        paper: bottom.paper,
        equation: bottom.equation,
        knobs: bottom.knobs,
    };
    BOTTOMS.iter().map(entry).collect()
}

/// The bottom that some knobs name; none where they name none, or what is no bottom.
fn named(knobs: &toml::Table) -> Option<&'static Bottom> {
    let name = knobs.get(BOTTOM)?.as_str()?;
    BOTTOMS.iter().find(|bottom| bottom.name == name)
}

/// Whether a knob is of bottoms, whichever.
fn is_setting(knob: &str) -> bool {
    let mut all = BOTTOMS.iter().flat_map(|bottom| bottom.knobs);
    all.any(|of_bottom| of_bottom.name == knob)
}

/// The knobs of an architecture, and of the bottom that is chosen.
///
/// # Errors
/// A setting of a bottom that is not chosen.
pub(crate) fn with_bottom(
    mut knobs: Vec<Knob>,
    given: &toml::Table,
) -> std::result::Result<Vec<Knob>, ModelError> {
    let chosen = named(given);
    knobs.push(CHOICE);
    knobs.extend(chosen.into_iter().flat_map(|bottom| bottom.knobs));
    for name in given.keys() {
        let has = |bottom: &&Bottom| bottom.knobs.iter().any(|knob| knob.name == name);
        let is_known = knobs.iter().any(|knob| knob.name == name);
        if let (false, Some(other)) = (is_known, BOTTOMS.iter().find(has)) {
            let found = chosen.map_or(NONE, |bottom| bottom.name);
            return Err(ModelError::knob(
                name,
                format!(
                    "a setting of bottom = \"{}\", and the bottom here is \"{found}\"; write that bottom, or leave this out",
                    other.name
                ),
            ));
        }
    }
    Ok(knobs)
}

/// Leaves out what says that there is no bottom, so that a model without one is the same cell as before there were bottoms, and refuses a
/// bottom in front of an architecture that can't have one.
pub(crate) fn checked(
    knobs: Knobs,
    architecture: &Architecture,
) -> std::result::Result<Knobs, ModelError> {
    match (knobs.choice(BOTTOM), architecture.no_bottom) {
        (NONE, _) => Ok(knobs.without(BOTTOM)),
        (_, None) => Ok(knobs),
        (_, Some(why)) => Err(ModelError::knob(
            BOTTOM,
            format!(
                "`{}` can't have one: {why}; leave the bottom out, or use another model",
                architecture.name
            ),
        )),
    }
}

/// The knobs of a model with others on top. Settings of the bottom that it had go with that bottom.
pub(crate) fn replaced(knobs: &toml::Table, chosen: &toml::Table) -> toml::Table {
    let mut all = knobs.clone();
    let is_another = chosen
        .get(BOTTOM)
        .is_some_and(|bottom| all.get(BOTTOM) != Some(bottom));
    if is_another {
        all.retain(|knob, _| !is_setting(knob));
    }
    all.extend(chosen.clone());
    all
}

/// Builds an architecture behind the bottom that its knobs name.
pub(crate) fn build(
    architecture: &Architecture,
    knobs: &Knobs,
    context: &BuildContext<'_>,
    vb: &VarBuilder,
) -> std::result::Result<Box<dyn Ranker>, ModelError> {
    let Some(bottom) = named(knobs.values()) else {
        return (architecture.build)(knobs, context, vb);
    };
    let is_of_tasks = architecture.tables == Tables::PerTask;
    let places: Vec<VarBuilder> = match is_of_tasks {
        false => vec![vb.pp(BOTTOM)],
        true => {
            let own = vb.of_one_task(true).pp("task");
            let tasks = context.layout.tasks.iter();
            tasks.map(|task| own.pp(task).pp(BOTTOM)).collect()
        }
    };
    let built = places.iter().map(|vb| (bottom.build)(knobs, context, vb));
    let built = built.collect::<std::result::Result<Vec<Built>, ModelError>>()?;
    let behind = BuildContext {
        input_dim: built[0].output_dim,
        // Behind a bottom no column is a feature's any more.
        num_embedded: 0,
        columns: InputColumns::default(),
        input_per_task: is_of_tasks || context.input_per_task,
        ..*context
    };
    let model = (architecture.build)(knobs, &behind, vb)?;
    let of_bottoms: usize = built.iter().map(|bottom| bottom.flops_per_row).sum();
    Ok(Box::new(WithBottom {
        flops_per_row: of_bottoms + model.flops_per_row(),
        bottoms: built.into_iter().map(|bottom| bottom.layers).collect(),
        is_of_tasks,
        model,
    }))
}

/// A model that reads what a bottom makes of its input.
struct WithBottom {
    /// One, or one a task.
    bottoms: Vec<Box<dyn Interaction>>,
    is_of_tasks: bool,
    model: Box<dyn Ranker>,
    flops_per_row: usize,
}

impl WithBottom {
    fn interact(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if !self.is_of_tasks {
            return self.bottoms[0].forward_t(xs, train);
        }
        let tasks = self.bottoms.iter().enumerate();
        let tasks = tasks.map(|(task, bottom)| match xs.rank() {
            // One input for all tasks, as files of inputs have it.
            2 => bottom.forward_t(xs, train),
            _ => bottom.forward_t(&xs.get(task)?, train),
        });
        Tensor::stack(&tasks.collect::<Result<Vec<_>>>()?, 0)
    }
}

impl Ranker for WithBottom {
    fn forward_t(&self, xs: &Tensor, train: bool, trace: Option<&mut Trace>) -> Result<Tensor> {
        let xs = self.interact(xs, train)?;
        self.model.forward_t(&xs, train, trace)
    }

    fn forward_step(
        &self,
        xs: &Tensor,
        pass: &TrainingPass<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<StepOutput> {
        self.model
            .forward_step(&self.interact(xs, true)?, pass, trace)
    }

    fn has_representation(&self) -> bool {
        self.model.has_representation()
    }

    fn features(&self) -> Option<&FeatureTap> {
        self.model.features()
    }

    fn reads_observed(&self) -> bool {
        self.model.reads_observed()
    }

    fn reads_labels(&self) -> bool {
        self.model.reads_labels()
    }

    fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
