//! Knobs: what an architecture lets a spec choose, with defaults, checked before anything is built.

use crate::ModelError;
use crate::features::InputFeature;
use toml::Value;

/// No count is larger: of experts, levels or ranks so many are a slip of the pen, and lists of them would fill memory before a
/// variable is made.
const MOST: i64 = 1 << 20;

/// What a knob takes, with its default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KnobKind {
    /// A whole number, at least `min`.
    Count {
        /// Least value.
        min: usize,
        /// Default.
        default: usize,
    },
    /// Widths of successive layers, each at least 1.
    Widths {
        /// Whether no layer at all is allowed.
        may_be_empty: bool,
        /// Default.
        default: &'static [usize],
    },
    /// One of some words; the first is the default.
    Choice {
        /// The words.
        options: &'static [&'static str],
        /// Default.
        default: &'static str,
    },
    /// True or false.
    Flag {
        /// Default.
        default: bool,
    },
    /// A finite number, at least `min`.
    Number {
        /// Least value.
        min: f64,
        /// Default.
        default: f64,
    },
    /// Whole numbers, 0 allowed.
    Counts {
        /// Default.
        default: &'static [usize],
    },
    /// Names of tasks; none by default.
    Tasks,
    /// Names of features; none by default.
    Features,
}

/// A knob of an architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knob {
    /// Name in specs.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// What it takes.
    pub kind: KnobKind,
}

impl Knob {
    pub(crate) const fn count(
        name: &'static str,
        min: usize,
        default: usize,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Count { min, default },
        }
    }

    pub(crate) const fn choice(
        name: &'static str,
        options: &'static [&'static str],
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Choice { options, default },
        }
    }

    pub(crate) const fn flag(name: &'static str, default: bool, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Flag { default },
        }
    }

    pub(crate) const fn number(
        name: &'static str,
        min: f64,
        default: f64,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Number { min, default },
        }
    }

    pub(crate) const fn counts(
        name: &'static str,
        default: &'static [usize],
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Counts { default },
        }
    }

    pub(crate) const fn tasks(name: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Tasks,
        }
    }

    pub(crate) const fn features(name: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Features,
        }
    }

    pub(crate) const fn widths(
        name: &'static str,
        may_be_empty: bool,
        default: &'static [usize],
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            kind: KnobKind::Widths {
                may_be_empty,
                default,
            },
        }
    }

    /// The default as it would stand in a spec.
    pub fn default_value(&self) -> Value {
        match self.kind {
            KnobKind::Count { default, .. } => Value::Integer(default as i64),
            KnobKind::Choice { default, .. } => Value::String(default.to_string()),
            KnobKind::Flag { default } => Value::Boolean(default),
            KnobKind::Number { default, .. } => Value::Float(default),
            KnobKind::Tasks | KnobKind::Features => Value::Array(Vec::new()),
            KnobKind::Widths { default, .. } | KnobKind::Counts { default } => {
                Value::Array(default.iter().map(|w| Value::Integer(*w as i64)).collect())
            }
        }
    }

    fn check(&self, value: &Value) -> Result<(), ModelError> {
        let found = shown(value);
        let refuse = |expected: String| {
            Err(ModelError::knob(
                self.name,
                format!("expected {expected}, found {found}"),
            ))
        };
        match (self.kind, value) {
            (KnobKind::Count { .. }, Value::Integer(count)) if *count > MOST => {
                refuse(format!("a whole number of at most {MOST}"))
            }
            (KnobKind::Count { min, .. }, Value::Integer(count)) if *count >= min as i64 => Ok(()),
            (KnobKind::Count { min, .. }, _) => refuse(format!("a whole number of at least {min}")),
            (KnobKind::Choice { options, .. }, Value::String(word))
                if options.contains(&word.as_str()) =>
            {
                Ok(())
            }
            (KnobKind::Choice { options, .. }, _) => {
                refuse(format!("one of \"{}\"", options.join("\", \"")))
            }
            (KnobKind::Flag { .. }, Value::Boolean(_)) => Ok(()),
            (KnobKind::Flag { .. }, _) => refuse("true or false".to_string()),
            (KnobKind::Number { min, .. }, value) => match as_number(value) {
                Some(number) if number.is_finite() && number >= min => Ok(()),
                _ => refuse(format!("a number of at least {min}")),
            },
            (KnobKind::Counts { .. }, Value::Array(counts))
                if (counts.iter()).all(|count| matches!(count, Value::Integer(0..=MOST))) =>
            {
                Ok(())
            }
            (KnobKind::Counts { .. }, _) => {
                refuse("a list of whole numbers, such as [2, 1, 0]".to_string())
            }
            (KnobKind::Tasks, Value::Array(names)) if names.iter().all(Value::is_str) => Ok(()),
            (KnobKind::Tasks, _) => refuse("a list of tasks' names".to_string()),
            (KnobKind::Features, Value::Array(names)) if names.iter().all(Value::is_str) => Ok(()),
            (KnobKind::Features, _) => refuse("a list of features' names".to_string()),
            (KnobKind::Widths { may_be_empty, .. }, Value::Array(widths)) => {
                // Zero is no width: the layers around it would be cut apart.
                let positive = |w: &Value| w.as_integer().is_some_and(|w| w >= 1);
                if widths.iter().all(positive) && (may_be_empty || !widths.is_empty()) {
                    Ok(())
                } else {
                    refuse(Self::widths_expected(may_be_empty))
                }
            }
            (KnobKind::Widths { may_be_empty, .. }, _) => {
                refuse(Self::widths_expected(may_be_empty))
            }
        }
    }

    /// A checked value as ids of cells have it: 1 and 1.0 are the same number.
    fn canonical(&self, value: &Value) -> Value {
        match (self.kind, as_number(value)) {
            (KnobKind::Number { .. }, Some(number)) => Value::Float(number),
            _ => value.clone(),
        }
    }

    fn widths_expected(may_be_empty: bool) -> String {
        let empty = if may_be_empty {
            ", or none"
        } else {
            ", at least one"
        };
        format!("a list of layer widths of at least 1{empty}, such as [64, 32]")
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn shown(value: &Value) -> String {
    match value {
        // A message is one line; a table may be any number of them.
        Value::Table(_) => "a table".to_string(),
        other => other.to_string(),
    }
}

/// An architecture's knobs, resolved: defaults filled in and each value checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    values: toml::Table,
}

impl Knobs {
    /// Those of a program: what is run, and whatever it is given to choose.
    pub(crate) fn of_program(given: &toml::Table) -> Result<Self, ModelError> {
        let mut values = given.clone();
        let is_texts = |value: &Value| {
            let texts = value.as_array().into_iter().flatten();
            value.is_array()
                && texts
                    .clone()
                    .all(|text| text.as_str().is_some_and(|text| !text.is_empty()))
        };
        let refuse = |key: &str, expected: &str| {
            let found = values.get(key).map_or_else(|| "nothing".to_owned(), shown);
            Err(ModelError::knob(
                key,
                format!("expected {expected}, found {found}"),
            ))
        };
        let command = given.get("command");
        if !command.is_some_and(|command| is_texts(command) && command != &Value::Array(Vec::new()))
        {
            return refuse(
                "command",
                "a program and its arguments, such as [\"python3\", \"ranker.py\"]",
            );
        }
        if given.get("files").is_some_and(|files| !is_texts(files)) {
            return refuse("files", "a list of paths");
        }
        let rows_as = given
            .get("rows_as")
            .map(|rows_as| rows_as.as_str().unwrap_or_default());
        if rows_as.is_some_and(|rows_as| !["arrow", "csv"].contains(&rows_as)) {
            return refuse("rows_as", "\"arrow\" or \"csv\"");
        }
        for (knob, value) in given {
            let is_plain = !matches!(value, Value::Table(_) | Value::Datetime(_));
            if !is_plain && knob != crate::registry::PROGRAM_SCRIPTS {
                return refuse(knob, "a number, a text, true or false, or a list of them");
            }
        }
        values
            .entry("files")
            .or_insert_with(|| Value::Array(Vec::new()));
        values.entry("rows_as").or_insert_with(|| "arrow".into());
        Ok(Self { values })
    }

    pub(crate) fn resolve(
        model: &str,
        knobs: &[Knob],
        given: &toml::Table,
    ) -> Result<Self, ModelError> {
        // Defaults are written out: a knob left out and its default given are the same cell.
        let mut values: toml::Table = knobs
            .iter()
            .map(|knob| (knob.name.to_string(), knob.default_value()))
            .collect();
        for (name, value) in given {
            let Some(knob) = knobs.iter().find(|knob| knob.name == name) else {
                let known: Vec<String> = knobs.iter().map(|knob| knob.name.to_string()).collect();
                return Err(ModelError::UnknownKnob {
                    model: model.to_string(),
                    knob: name.clone(),
                    known,
                });
            };
            knob.check(value)?;
            values.insert(name.clone(), knob.canonical(value));
        }
        // In the order of names, so that the same knobs are the same text: cells' ids are hashes of it.
        let mut ordered: Vec<_> = values.into_iter().collect();
        ordered.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self {
            values: ordered.into_iter().collect(),
        })
    }

    /// These without a knob.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.values.remove(name);
        self
    }

    /// Every knob with its value, in the order of names.
    pub fn values(&self) -> &toml::Table {
        &self.values
    }

    /// The name of the knob with the largest number.
    pub(crate) fn largest(&self) -> Option<String> {
        let number = |value: &Value| match value {
            Value::Integer(number) => Some(*number),
            Value::Array(widths) => widths.iter().filter_map(Value::as_integer).max(),
            _ => None,
        };
        let numbers = self.values.iter();
        let numbers = numbers.filter_map(|(name, value)| Some((number(value)?, name)));
        numbers.max().map(|(_, name)| name.clone())
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.read(name, "count", |value| value.as_integer()) as usize
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.read(name, "flag", Value::as_bool)
    }

    pub(crate) fn choice(&self, name: &str) -> &str {
        self.read(name, "choice", Value::as_str)
    }

    pub(crate) fn widths(&self, name: &str) -> Vec<usize> {
        let list = self.read(name, "list of widths", Value::as_array);
        let widths = list.iter().filter_map(Value::as_integer);
        widths.map(|width| width as usize).collect()
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.read(name, "number", Value::as_float)
    }

    /// The places of the tasks that a knob names, in its order.
    ///
    /// # Errors
    /// A name that is no task's, or one that comes twice.
    pub(crate) fn tasks(&self, name: &str, tasks: &[String]) -> Result<Vec<usize>, ModelError> {
        self.places("task", name, tasks)
    }

    /// The places of the features that a knob names, in its order.
    ///
    /// # Errors
    /// A name that is no feature's, or one that comes twice.
    pub(crate) fn features(
        &self,
        name: &str,
        features: &[InputFeature],
    ) -> Result<Vec<usize>, ModelError> {
        let features: Vec<String> = features.iter().map(|f| f.name.clone()).collect();
        self.places("feature", name, &features)
    }

    fn places(&self, what: &str, name: &str, known: &[String]) -> Result<Vec<usize>, ModelError> {
        let names = self.read(name, "list of names", Value::as_array);
        let mut places = Vec::with_capacity(names.len());
        for value in names {
            let text = value.as_str().unwrap_or_default();
            let Some(place) = known.iter().position(|known| known == text) else {
                let known = match known {
                    [] => "none that this input names".to_owned(),
                    known => known.join(", "),
                };
                return Err(ModelError::knob(
                    name,
                    format!("no {what} is called `{text}`; there are: {known}"),
                ));
            };
            if places.contains(&place) {
                return Err(ModelError::knob(
                    name,
                    format!("{what} `{text}` comes twice"),
                ));
            }
            places.push(place);
        }
        Ok(places)
    }

    /// A declared knob's value. What a spec says has been checked, so that another name or kind is a mistake in an
    /// architecture; a neutral value in its place would build another model without a word.
    fn read<'a, T>(&'a self, name: &str, kind: &str, read: fn(&'a Value) -> Option<T>) -> T {
        let Some(value) = self.values.get(name) else {
            let declared: Vec<&str> = self.values.keys().map(String::as_str).collect();
            let declared = declared.join("`, `");
            panic!("an architecture reads the knob `{name}` but declares only `{declared}`");
        };
        read(value).unwrap_or_else(|| panic!("the knob `{name}` is no {kind}: {value}"))
    }
}

/// Knobs of every architecture's experts and towers.
pub(crate) const fn expert_knobs(norm: &'static str, activation: &'static str) -> [Knob; 5] {
    [
        Knob::widths(
            "expert_dims",
            false,
            // One default for every model, so that variants that say nothing have experts of one size.
            &[64, 32],
            "widths of an expert's layers",
        ),
        TOWER_DIMS,
        Knob::choice(
            "norm",
            &["none", "batch", "layer"],
            norm,
            "what experts normalise their products by",
        ),
        Knob::choice(
            "norm_position",
            &["every_layer", "output"],
            // HoME's equation shows one layer; which of several are normalised is left open. By default all of them are.
            "every_layer",
            "which layers of an expert are normalised",
        ),
        Knob::choice(
            "activation",
            &["relu", "silu"],
            activation,
            "what follows every layer of an expert",
        ),
    ]
}

/// The knob of every architecture with towers.
pub(crate) const TOWER_DIMS: Knob = Knob::widths(
    "tower_dims",
    // None at all is a linear tower.
    true,
    &[32],
    "widths of a tower's hidden layers; a linear layer to one logit follows",
);

/// The knob of every architecture with gates.
pub(crate) const GATE_DIMS: Knob = Knob::widths(
    "gate_dims",
    true,
    // Linear gates, as in the equations of all the papers.
    &[],
    "widths of a ReLU network before each softmax gate",
);

#[cfg(test)]
mod tests {
    use super::*;

    const KNOBS: [Knob; 3] = [
        Knob::count("num_experts", 1, 4, ""),
        Knob::choice("norm", &["none", "batch"], "none", ""),
        Knob::widths("expert_dims", false, &[8], ""),
    ];

    fn resolve(text: &str) -> Result<Knobs, ModelError> {
        Knobs::resolve("mmoe", &KNOBS, &text.parse().unwrap())
    }

    #[test]
    fn defaults_fill_in_and_given_values_win() {
        let knobs = resolve("num_experts = 6").unwrap();
        assert_eq!(knobs.count("num_experts"), 6);
        assert_eq!(knobs.widths("expert_dims"), [8]);
        assert_eq!(
            knobs.values().keys().collect::<Vec<_>>(),
            ["expert_dims", "norm", "num_experts"]
        );
    }

    #[test]
    #[should_panic(
        expected = "reads the knob `num_expert` but declares only `expert_dims`, `norm`"
    )]
    fn a_knob_that_was_never_declared_is_a_mistake_in_code() {
        resolve("").unwrap().count("num_expert");
    }

    #[test]
    #[should_panic(expected = "the knob `norm` is no flag: \"none\"")]
    fn a_knob_of_another_kind_is_a_mistake_in_code() {
        resolve("").unwrap().flag("norm");
    }

    #[test]
    fn bad_values_are_refused_with_what_was_expected() {
        let text = |toml: &str| resolve(toml).unwrap_err().to_string();
        assert_eq!(
            text("num_experts = 0"),
            "num_experts: expected a whole number of at least 1, found 0"
        );
        assert_eq!(
            text("norm = \"batsh\""),
            "norm: expected one of \"none\", \"batch\", found \"batsh\""
        );
        assert!(
            text("expert_dims = [8, 0]")
                .starts_with("expert_dims: expected a list of layer widths")
        );
        assert!(text("expert_dims = []").contains("at least one"));
    }

    #[test]
    fn an_unknown_knob_is_refused_with_those_that_exist() {
        let Err(ModelError::UnknownKnob { known, .. }) = resolve("num_expert = 2") else {
            panic!("an unknown knob was taken");
        };
        assert!(known.iter().any(|name| name == "num_experts"), "{known:?}");
    }
}
