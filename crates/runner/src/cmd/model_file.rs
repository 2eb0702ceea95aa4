//! A model described by a file of its own (`model.toml`): the architecture, its tasks and groups, and its knobs.

use super::model_columns::ModelColumns;
use homebench_diagnostic::{Diagnostic, Document, KeyPath};
use homebench_model::{ModelConfig, ModelError, TaskGroup, TaskLayout};
use std::path::Path;
use toml::{Table, Value};

/// What a `model.toml` says.
pub(super) struct ModelFile {
    document: Document,
    pub(super) config: ModelConfig,
    pub(super) layout: TaskLayout,
    pub(super) columns: ModelColumns,
}

impl ModelFile {
    /// Reads and checks a file such as
    ///
    /// ```toml
    /// model = "home"
    /// tasks = ["click", "long_view", "like"]
    /// expert_dims = [64, 32]
    /// [[groups]]
    /// name = "watch"
    /// tasks = ["click", "long_view"]
    /// [[groups]]
    /// name = "interaction"
    /// tasks = ["like"]
    /// ```
    pub(super) fn read(path: &Path) -> Result<Self, Diagnostic> {
        let document = Document::read(path)?;
        let mut table: Table = document.parse()?;
        let model = table.remove("model");
        let Some(model) = model.as_ref().and_then(Value::as_str) else {
            let message =
                "expected `model`, the name of an architecture, as `homebench models` lists them";
            return Err(document.at_value(&KeyPath::new(["model"]), message));
        };
        let layout = layout(&document, &mut table)?;
        let columns = ModelColumns::take(&document, &mut table, &layout.tasks)?;
        let config = ModelConfig::from_table(model, &table);
        let config = config.map_err(|error| refusal(&document, &error))?;
        let file = Self {
            document,
            config,
            layout,
            columns,
        };
        let checked = file.layout.validate();
        checked.map_err(|error| file.refuse(&error))?;
        Ok(file)
    }

    /// A model's refusal, at its place in the file.
    pub(super) fn refuse(&self, error: &ModelError) -> Diagnostic {
        refusal(&self.document, error)
    }
}

fn refusal(document: &Document, error: &ModelError) -> Diagnostic {
    let at = |key: &str| document.at_value(&KeyPath::new([key]), error.to_string());
    match error {
        ModelError::UnknownModel { name, known } => {
            at("model").did_you_mean(name, known.iter().map(String::as_str))
        }
        ModelError::UnknownKnob { knob, known, .. } => {
            let path = KeyPath::new([knob.as_str()]);
            let said = document.at_key(&path, error.to_string());
            said.did_you_mean(knob, known.iter().map(String::as_str))
        }
        ModelError::InvalidKnob { knob, .. } => at(knob),
        ModelError::TooLarge {
            knob: Some(knob), ..
        } => at(knob),
        ModelError::InvalidLayout { .. } => at("groups"),
        ModelError::TooLarge { knob: None, .. } => {
            Diagnostic::new(document.name(), error.to_string())
        }
        ModelError::InvalidWeights { .. } | ModelError::Tensor { .. } => {
            Diagnostic::new(document.name(), error.to_string())
        }
    }
}

fn layout(document: &Document, table: &mut Table) -> Result<TaskLayout, Diagnostic> {
    let refuse = |key: &str, message: String| document.at_value(&KeyPath::new([key]), message);
    let tasks = table.remove("tasks").as_ref().and_then(words);
    let expected = "`tasks`: expected a list of names, such as [\"click\", \"like\"]";
    let tasks = tasks.ok_or_else(|| refuse("tasks", expected.to_string()))?;
    let expected = "expected [[groups]], each with `name` and `tasks`";
    let Some(Value::Array(given)) = table.remove("groups") else {
        return Err(refuse("groups", expected.to_string()));
    };
    let mut groups = Vec::with_capacity(given.len());
    for group in &given {
        let name = group.get("name").and_then(Value::as_str);
        let members = group.get("tasks").and_then(words);
        let (Some(name), Some(members)) = (name, members) else {
            return Err(refuse("groups", expected.to_string()));
        };
        let mut indices = Vec::with_capacity(members.len());
        for member in &members {
            let index = tasks.iter().position(|task| task == member);
            let unknown = || {
                let message = format!(
                    "group `{name}` names an unknown task `{member}`; expected one of: {}",
                    tasks.join(", ")
                );
                refuse("groups", message).did_you_mean(member, tasks.iter().map(String::as_str))
            };
            indices.push(index.ok_or_else(unknown)?);
        }
        groups.push(TaskGroup {
            name: name.to_string(),
            tasks: indices,
        });
    }
    Ok(TaskLayout { tasks, groups })
}

fn words(value: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map(str::to_string);
    value.as_array()?.iter().map(word).collect()
}
