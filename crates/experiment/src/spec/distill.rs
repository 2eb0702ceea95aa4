//! The teachers of a variant's cells: `distill`.

use super::source::Source;
use super::wire::WireDistill;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::Distillation;
use std::fmt;
use toml::Value;

/// The key.
pub(super) const DISTILL: &str = "distill";

/// The one model whose cells can be teachers: a network for each task.
pub(super) const TEACHER: &str = "single_task";

/// Largest weight, rate and decay.
// Beyond, a step is a slip of the pen; the product with a loss or a weight stays finite in 32 bits.
const LARGEST: f64 = 1e6;

/// What a number has to be, before the largest.
const ABOVE_ZERO: &str = "above 0 and up to";
const FROM_ZERO: &str = "from 0 to";

/// Cells from whose features others learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Distill {
    /// Name of their variant; of a configuration's teacher, that of a configuration.
    pub from: String,
    /// What is learned.
    pub how: Distillation,
}

impl Distill {
    /// Reads what a variant says; `at` is the path of the table.
    pub(super) fn from_wire(
        wire: WireDistill,
        at: &KeyPath,
        source: &Source,
    ) -> Result<Self, Diagnostic> {
        let default = Distillation::default();
        let number = |key: &str, given: Option<f64>, default: f64, least: &str| {
            let value = given.unwrap_or(default);
            if (0.0..=LARGEST).contains(&value) && (value > 0.0 || least == FROM_ZERO) {
                return Ok(value);
            }
            let path = at.join(key);
            let message = format!("`{path}`: expected a number {least} {LARGEST}, found {value}");
            Err(source
                .at_value(&path, message)
                .hint(format!("leave it out for {default}")))
        };
        let how = Distillation {
            weight: number("weight", wire.weight, default.weight, ABOVE_ZERO)?,
            adapter_learning_rate: number(
                "adapter_learning_rate",
                wire.adapter_learning_rate,
                default.adapter_learning_rate,
                ABOVE_ZERO,
            )?,
            adapter_weight_decay: number(
                "adapter_weight_decay",
                wire.adapter_weight_decay,
                default.adapter_weight_decay,
                FROM_ZERO,
            )?,
            teachers: wire.teachers,
        };
        Ok(Self {
            from: wire.from,
            how,
        })
    }

    /// As a spec has it, every default written out.
    pub(super) fn written(&self) -> String {
        let Distillation {
            weight,
            adapter_learning_rate,
            adapter_weight_decay,
            teachers,
        } = &self.how;
        let mut parts = vec![format!("from = {}", Value::String(self.from.clone()))];
        for (key, value) in [
            ("weight", weight),
            ("adapter_learning_rate", adapter_learning_rate),
            ("adapter_weight_decay", adapter_weight_decay),
        ] {
            parts.push(format!("{key} = {}", Value::Float(*value)));
        }
        if !teachers.is_empty() {
            let teachers = teachers.iter();
            let teachers = teachers
                .map(|(task, teacher)| (task.clone(), Value::String(teacher.clone())))
                .collect();
            parts.push(format!("teachers = {}", Value::Table(teachers)));
        }
        format!("{{ {} }}", parts.join(", "))
    }
}

/// In words, for the terminal and the report.
impl fmt::Display for Distill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distillation {
            weight, teachers, ..
        } = &self.how;
        write!(
            formatter,
            "learns from the features of {} (the same seed) with weight {weight}",
            self.from
        )?;
        let exchanged = teachers.iter();
        let exchanged = exchanged.map(|(task, teacher)| format!("{task} from {teacher}"));
        let exchanged: Vec<String> = exchanged.collect();
        match exchanged.is_empty() {
            true => Ok(()),
            false => write!(formatter, ", {}", exchanged.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Experiment, load, resolved_toml};

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1, 2]\ndataset = { name = \"feed\" }\n\
        [variants.single]\nmodel = \"single_task\"\n[variants.base]\nmodel = \"mmoe\"\n[variants.program]\n\
        command = [\"./ranker\"]\n[variants.student]\nmodel = \"mmoe\"\n";

    fn loaded(lines: &str) -> Result<Experiment, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, _) = load(&path, &[]).map_err(|said| {
            let (line, hint) = (said.location.unwrap().line, said.hint.unwrap_or_default());
            format!("line {line}: {} ({hint})", said.message)
        })?;
        Ok(experiment)
    }

    #[test]
    fn what_a_variant_learns_from_is_written_out_with_its_defaults_and_said() {
        let lines = "distill = { from = \"single\", weight = 2, teachers = { click = \"like\" } }\n\
            freeze = [\"embedding\"]";
        let experiment = loaded(lines).unwrap();
        insta::assert_snapshot!(experiment.variants[3].start, @"frozen: embedding; learns from the features of single (the same seed) with weight 2, click from like");
        let resolved = resolved_toml(&experiment, "all");
        let start = resolved.find("[variants.student]").unwrap();
        let written: Vec<&str> = resolved[start..].lines().take(4).collect();
        insta::assert_snapshot!(written.join("\n"), @r#"
        [variants.student]
        model = "mmoe"
        freeze = ["embedding"]
        distill = { from = "single", weight = 2.0, adapter_learning_rate = 0.1, adapter_weight_decay = 0.0005, teachers = { click = "like" } }
        "#);
    }

    #[test]
    fn what_nothing_can_learn_from_is_refused_at_its_place() {
        let found = [
            "distill = { from = \"singel\" }",
            "distill = { from = \"student\" }",
            "distill = { from = \"base\" }",
            "distill = { from = \"program\" }",
            "distill = { weight = 1 }",
            "distill = { from = \"single\", weight = 0 }",
            "distill = { from = \"single\", weight = nan }",
            "distill = { from = \"single\", adapter_learning_rate = -1 }",
            "distill = { from = \"single\", adapter_weight_decay = -0.1 }",
            "distill = { from = \"single\", wieght = 2 }",
            "distill = { from = \"single\" }\ninit_from = { variant = \"base\" }",
            "distill = \"single\"",
            "[variants.program.distill]\nfrom = \"single\"",
            "distill = { from = \"single\" }\n[variants.single.init_from]\nvariant = \"student\"",
        ]
        .map(|lines| loaded(lines).map(|_| ()).unwrap_err());
        insta::assert_snapshot!(found.join("\n"), @r#"
        line 12: `variants.student.distill.from`: no variant is called `singel`; there are: single, base, program, student (did you mean `single`?)
        line 12: `variants.student.distill.from`: teachers are networks of one task, and `student` is of the model `mmoe` (name a variant with model = "single_task")
        line 12: `variants.student.distill.from`: teachers are networks of one task, and `base` is of the model `mmoe` (name a variant with model = "single_task")
        line 12: `variants.student.distill.from`: `program` is a program, which keeps no weights here (name a variant with a `model`)
        line 12: the key `from` is missing in [variants.student.distill] (add `from = ...`)
        line 12: `variants.student.distill.weight`: expected a number above 0 and up to 1000000, found 0 (leave it out for 1)
        line 12: `variants.student.distill.weight`: expected a number above 0 and up to 1000000, found NaN (leave it out for 1)
        line 12: `variants.student.distill.adapter_learning_rate`: expected a number above 0 and up to 1000000, found -1 (leave it out for 0.1)
        line 12: `variants.student.distill.adapter_weight_decay`: expected a number from 0 to 1000000, found -0.1 (leave it out for 0.0005)
        line 12: unknown key `wieght` in [variants.student.distill]; expected one of `from`, `weight`, `adapter_learning_rate`, `adapter_weight_decay`, `teachers` (did you mean `weight`?)
        line 12: `variants.student.distill`: a variant has either `init_from` or `distill` (leave one of them out)
        line 12: `variants.student.distill`: expected a table, found string "single" ()
        line 12: `variants.program.distill`: a program has no variables here that it could be given or kept from (leave it out; a program may read weights of its own from its `files`)
        line 14: `variants.single.init_from.variant`: `single` would start from itself, by way of `student` (the first variant of the chain has to be one without `init_from`)
        "#);
    }
}
