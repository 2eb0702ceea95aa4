//! Search spaces as a spec writes them: `[grid]` with a list for each setting, `[random]` with something to draw from.

use super::setting::{Chosen, DATASET, Setting, TRAINING};
use super::source::Source;
use super::training;
use homebench_diagnostic::{Diagnostic, KeyPath, nearest};
use std::fmt;
use toml::{Table, Value};

/// A setting and the values that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What is set.
    pub setting: Setting,
    /// To what.
    pub domain: Domain,
    /// Its place in the spec.
    pub(super) place: KeyPath,
}

/// The values of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// One of these, in their order.
    Choices(Vec<Value>),
    /// A whole number from `low` to `high`, both included.
    Integers {
        /// Least value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether its logarithm is spread evenly.
        log: bool,
    },
    /// A number from `low` to `high`.
    Reals {
        /// Least value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether its logarithm is spread evenly.
        log: bool,
    },
}

/// As a spec writes what is drawn from.
impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |log: &bool| if *log { "log_range" } else { "range" };
        match self {
            Self::Choices(values) => {
                write!(
                    formatter,
                    "{{ choices = {} }}",
                    Value::Array(values.clone())
                )
            }
            Self::Integers { low, high, log } => {
                write!(formatter, "{{ {} = [{low}, {high}] }}", key(log))
            }
            Self::Reals { low, high, log } => {
                let [low, high] = [*low, *high].map(Value::Float);
                write!(formatter, "{{ {} = [{low}, {high}] }}", key(log))
            }
        }
    }
}

/// What is drawn at random.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RandomSpace {
    /// How many; by the table of variants alone it may be left to the shared one.
    pub(super) n: Option<usize>,
    /// Seed of the draws.
    pub(super) seed: Option<u64>,
    /// What each is drawn from, in the order of names.
    pub(super) axes: Vec<Axis>,
}

impl RandomSpace {
    /// A value for each setting.
    pub(super) fn with_values(&self, mut value: impl FnMut(&Axis) -> Value) -> Vec<Chosen> {
        let chosen = self.axes.iter().map(|axis| Chosen {
            setting: axis.setting.clone(),
            value: value(axis),
            place: axis.place.clone(),
        });
        chosen.collect()
    }

    /// The values that a table has of all settings; nothing where it lacks one.
    pub(crate) fn chosen(&self, table: &Table) -> Option<Vec<Chosen>> {
        let has = |axis: &Axis| table.contains_key(&axis.setting.to_string());
        let value = |axis: &Axis| table[&axis.setting.to_string()].clone();
        self.axes.iter().all(has).then(|| self.with_values(value))
    }

    /// Those of some chosen values that are of its settings, in its order.
    pub(crate) fn own(&self, chosen: &[Chosen]) -> Vec<Chosen> {
        let of = |axis: &Axis| chosen.iter().find(|one| one.setting == axis.setting);
        self.axes.iter().filter_map(of).cloned().collect()
    }
}

/// Settings that are compared (`[grid]`, `[random]`) or searched (`[tuning]`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Space {
    /// Every combination of these, in the order of names.
    pub(super) grid: Vec<Axis>,
    /// Draws from these.
    pub(super) random: RandomSpace,
}

impl Space {
    /// Reads `grid` and `random` of the table at `at`; a random space of tuning has no `n`.
    pub(super) fn read(
        grid: Option<&Table>,
        random: Option<&Table>,
        at: &KeyPath,
        has_n: bool,
        source: &Source,
    ) -> Result<Self, Diagnostic> {
        let space = Self {
            grid: match grid {
                Some(table) => read_grid(table, &at.join("grid"), source)?,
                None => Vec::new(),
            },
            random: match random {
                Some(table) => read_random(table, &at.join("random"), has_n, source)?,
                None => RandomSpace::default(),
            },
        };
        let of_data = |axis: &&Axis| axis.setting.in_dataset().is_some();
        let mut elsewhere = space.random.axes.iter();
        let mut own = space.grid.iter().filter(|_| !at.is_empty());
        if let Some(axis) = elsewhere.find(of_data).or_else(|| own.find(of_data)) {
            let message = format!("`{}`: a knob of the data can't be swept here", axis.place);
            return Err(source
                .at_key(&axis.place, message)
                .hint("write it into [grid]: every variant is trained on each of its values"));
        }
        let twice = space.random.axes.iter().find(|axis| {
            let mut settings = space.grid.iter().map(|other| &other.setting);
            settings.any(|setting| *setting == axis.setting)
        });
        match twice {
            Some(axis) => Err(both(axis, source)),
            None => Ok(space),
        }
    }

    /// Whether nothing is swept.
    pub(super) fn is_empty(&self) -> bool {
        self.grid.is_empty() && self.random.axes.is_empty()
    }

    /// The knobs of the data that are swept.
    pub(super) fn of_data(&self) -> Vec<Axis> {
        let axes = self.grid.iter();
        axes.filter(|axis| axis.setting.in_dataset().is_some())
            .cloned()
            .collect()
    }

    /// This space without the knobs of the data.
    pub(super) fn of_variants(&self) -> Self {
        let mut space = self.clone();
        space
            .grid
            .retain(|axis| axis.setting.in_dataset().is_none());
        space
    }

    /// Every axis.
    pub(super) fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.grid.iter().chain(&self.random.axes)
    }

    /// This space with `own` on top: an axis of the same setting replaces, another adds.
    pub(super) fn with(&self, own: &Self, is_kept: impl Fn(&Axis) -> bool) -> Self {
        let replaced = |axis: &&Axis| !own.axes().any(|new| new.setting == axis.setting);
        let merged = |shared: &[Axis], own: &[Axis]| {
            let kept = shared.iter().filter(|axis| is_kept(axis)).filter(replaced);
            let mut axes: Vec<Axis> = kept.chain(own).cloned().collect();
            // By name, so that cells don't depend on the order of keys in the file.
            axes.sort_by(|a, b| a.setting.cmp(&b.setting));
            axes
        };
        Self {
            grid: merged(&self.grid, &own.grid),
            random: RandomSpace {
                n: own.random.n.or(self.random.n),
                seed: own.random.seed.or(self.random.seed),
                axes: merged(&self.random.axes, &own.random.axes),
            },
        }
    }
}

fn both(axis: &Axis, source: &Source) -> Diagnostic {
    let message = format!("`{}`: the setting is in the grid as well", axis.place);
    source
        .at_key(&axis.place, message)
        .hint("let a setting be either in `grid` or in `random`")
}

fn read_grid(table: &Table, at: &KeyPath, source: &Source) -> Result<Vec<Axis>, Diagnostic> {
    let mut axes = Vec::new();
    for (setting, value, place) in settings(table, at, source)? {
        let Value::Array(values) = value else {
            let message = format!(
                "`{place}`: expected a list of values, found {}",
                value.type_str()
            );
            return Err(source
                .at_value(&place, message)
                .hint("one value for all variants belongs in [training] or [defaults]"));
        };
        check_choices(&values, &place, source)?;
        axes.push(Axis {
            setting,
            domain: Domain::Choices(values),
            place,
        });
    }
    Ok(axes)
}

fn check_choices(values: &[Value], place: &KeyPath, source: &Source) -> Result<(), Diagnostic> {
    if values.is_empty() {
        let message = format!("`{place}`: expected at least one value, found none");
        return Err(source
            .at_value(place, message)
            .hint("leave the setting out, or give values"));
    }
    for (index, value) in values.iter().enumerate() {
        if values[..index].iter().any(|before| same(before, value)) {
            let message = format!("`{place}`: {value} is given twice");
            return Err(source
                .at_value(&place.join(index.to_string()), message)
                .hint("the same value gives the same numbers; leave one out"));
        }
    }
    Ok(())
}

/// Whether two values are equal as numbers, if they are numbers.
fn same(one: &Value, other: &Value) -> bool {
    // A learning rate of 1 is that of 1.0, and would be trained twice.
    let number = |value: &Value| match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same(a, b))
        }
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
    }
}

/// What a random space may say of a setting.
pub(super) const DOMAINS: [&str; 3] = ["range", "log_range", "choices"];

fn read_random(
    table: &Table,
    at: &KeyPath,
    has_n: bool,
    source: &Source,
) -> Result<RandomSpace, Diagnostic> {
    // `n` and `seed` stand among the settings; no knob has either name (a test of `wire.rs`).
    let mut table = table.clone();
    let mut whole = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(Value::Integer(number)) if number >= 0 => Ok(Some(number as u64)),
        Some(other) => {
            let place = at.join(key);
            let message = format!("`{place}`: expected a whole number, 0 or more, found {other}");
            Err(source.at_value(&place, message))
        }
    };
    let (n, seed) = (whole("n")?, whole("seed")?);
    let place = at.join("n");
    match n {
        Some(_) if !has_n => {
            let message = format!("`{place}`: the number of draws is that of `tuning.trials`");
            return Err(source.at_key(&place, message).hint("leave `n` out"));
        }
        Some(0) => {
            let message = format!("`{place}`: expected a whole number, 1 or more, found 0");
            return Err(source.at_value(&place, message));
        }
        _ => {}
    }
    let mut axes = Vec::new();
    for (setting, value, place) in settings(&table, at, source)? {
        if let Some(refusal) = misspelt_domain(&setting, &value, at, source) {
            return Err(refusal);
        }
        let domain = read_domain(&value, &place, source)?;
        axes.push(Axis {
            setting,
            domain,
            place,
        });
    }
    Ok(RandomSpace {
        n: n.map(|n| n as usize),
        seed,
        axes,
    })
}

fn read_domain(value: &Value, place: &KeyPath, source: &Source) -> Result<Domain, Diagnostic> {
    const FORM: &str =
        "write `{ range = [a, b] }`, `{ log_range = [a, b] }` or `{ choices = [...] }`";
    let refuse = |found: String| {
        let message = format!("`{place}`: expected what to draw from, found {found}");
        source.at_value(place, message).hint(FORM)
    };
    let Value::Table(table) = value else {
        return Err(refuse(value.type_str().to_owned()));
    };
    let mut keys = table.iter();
    let (Some((key, value)), None) = (keys.next(), keys.next()) else {
        return Err(refuse(format!("{} keys", table.len())));
    };
    let at = place.join(key);
    match (key.as_str(), value) {
        ("choices", Value::Array(values)) => {
            check_choices(values, &at, source)?;
            Ok(Domain::Choices(values.clone()))
        }
        ("range" | "log_range", Value::Array(ends)) => {
            range(ends, key == "log_range").map_err(|expected| {
                let message = format!("`{at}`: expected {expected}, found {value}");
                source.at_value(&at, message)
            })
        }
        (known, other) if DOMAINS.contains(&known) => {
            let message = format!("`{at}`: expected a list, found {}", other.type_str());
            Err(source.at_value(&at, message).hint(FORM))
        }
        (unknown, _) => Err(unknown_domain(unknown, place, &at, source)),
    }
}

/// Refuses `unknown` beside a setting at `place`, where a range or choices belong; `at` is its own place.
fn unknown_domain(unknown: &str, place: &KeyPath, at: &KeyPath, source: &Source) -> Diagnostic {
    let message = format!(
        "unknown key `{unknown}` in [{place}]; expected one of `{}`",
        DOMAINS.join("`, `")
    );
    source.at_key(at, message).did_you_mean(unknown, DOMAINS)
}

/// A training setting whose last key looks like a misspelt range: a table without a known key was taken for one of settings.
fn misspelt_domain(
    setting: &Setting,
    value: &Value,
    at: &KeyPath,
    source: &Source,
) -> Option<Diagnostic> {
    let (last, above) = setting.in_training()?.split_last()?;
    let holder = above.first()?;
    if value.is_table() {
        return None;
    }
    // Tables of settings have keys of their own, one level deep; other settings have none.
    let is_its_own = above.len() == 1 && training::is_table(holder);
    if is_its_own && nearest(last, DOMAINS).is_none() {
        return None;
    }
    let keys = [TRAINING]
        .into_iter()
        .chain(above.iter().map(String::as_str));
    let setting = at.join(KeyPath::new(keys).to_string());
    Some(unknown_domain(last, &setting, &setting.join(last), source))
}

fn range(ends: &[Value], log: bool) -> Result<Domain, &'static str> {
    let expected = match log {
        true => "two numbers above 0, the smaller first",
        false => "two numbers, the smaller first",
    };
    // Nothing below has a logarithm.
    let low_enough = |low: f64| !log || low > 0.0;
    match *ends {
        // Two whole numbers are a range of whole numbers; one that is none makes it a range of all numbers.
        [Value::Integer(low), Value::Integer(high)] if low < high && low_enough(low as f64) => {
            Ok(Domain::Integers { low, high, log })
        }
        [ref low, ref high] => {
            let number = |value: &Value| match value {
                Value::Integer(integer) => Some(*integer as f64),
                Value::Float(float) => Some(*float).filter(|float| float.is_finite()),
                _ => None,
            };
            let (low, high) = (number(low).ok_or(expected)?, number(high).ok_or(expected)?);
            match low < high && low_enough(low) {
                true => Ok(Domain::Reals { low, high, log }),
                false => Err(expected),
            }
        }
        _ => Err(expected),
    }
}

/// The settings of a table in the order of names: `"training.learning_rate" = ...` and `training.learning_rate = ...`
/// are the same. The place of each is that of the first way.
fn settings(
    table: &Table,
    at: &KeyPath,
    source: &Source,
) -> Result<Vec<(Setting, Value, KeyPath)>, Diagnostic> {
    let mut found: Vec<(Setting, Value, KeyPath)> = Vec::new();
    for (path, value) in flatten(table) {
        let place = at.join(path.to_string());
        let Some(setting) = Setting::at(path.clone()) else {
            return Err(no_setting(&path, &place, source));
        };
        if found.iter().any(|(other, ..)| *other == setting) {
            let message = format!("`{place}` is given twice");
            return Err(source
                .at_key(&place, message)
                .hint("leave one of the two ways to write it out"));
        }
        found.push((setting, value, place));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Every setting of a table with its value; tables within `training` and `dataset` are gone through until one is no table of keys.
pub(super) fn flatten(table: &Table) -> Vec<(KeyPath, Value)> {
    fn below(path: &KeyPath, value: &Value, out: &mut Vec<(KeyPath, Value)>) {
        match value {
            // A table with a range or choices is what its setting is drawn from.
            Value::Table(table)
                if [TRAINING, DATASET].contains(&path.keys()[0].as_str())
                    && !table.keys().any(|key| DOMAINS.contains(&key.as_str())) =>
            {
                for (key, value) in table {
                    let mut path = path.clone();
                    dotted(key)
                        .into_iter()
                        .for_each(|key| path = path.join(key));
                    below(&path, value, out);
                }
            }
            _ => out.push((path.clone(), value.clone())),
        }
    }
    let mut out = Vec::new();
    for (key, value) in table {
        below(&KeyPath::new(dotted(key)), value, &mut out);
    }
    out
}

/// The keys of a quoted dotted path; a key that is none stays as it is.
fn dotted(key: &str) -> Vec<String> {
    match KeyPath::parse(key) {
        Ok(path) => path.keys().to_vec(),
        Err(_) => vec![key.to_owned()],
    }
}

fn no_setting(path: &KeyPath, place: &KeyPath, source: &Source) -> Diagnostic {
    let message = format!(
        "`{place}`: `{path}` is nothing that can be swept; expected a knob, such as `rank`, or a path below `training`, such as \"training.learning_rate\""
    );
    let said = source.at_key(place, message);
    match path.keys() {
        [first, variant, rest @ ..] if first == "variants" && !rest.is_empty() => {
            let rest = KeyPath::new(rest.to_vec());
            said.hint(format!(
                "for one variant, write `{rest}` into a table such as [variants.{variant}.grid]"
            ))
        }
        [first] if first == TRAINING => said.hint("name a key of it"),
        [first, ..] => match nearest(first, [TRAINING]) {
            Some(near) => said.hint(format!("did you mean `{near}`?")),
            None => said.hint("what is left of it can be changed with --set, a run at a time"),
        },
        [] => said,
    }
}
