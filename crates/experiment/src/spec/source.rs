//! Where every value of a spec came from: a line of its file or of one that it includes, or an override.

use super::include::{self, Included};
use super::overrides::{self, Override};
use super::setting::Chosen;
use super::wire::WireExperiment;
use homebench_diagnostic::{Diagnostic, Document, KeyPath, Refusal, read};
use std::path::Path;
use toml::{Table, Value};

const VARIANTS: &str = "variants";
const DEFAULTS: &str = "defaults";

/// A spec's text, the files that it includes, and the overrides on top.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    document: Document,
    included: Vec<Included>,
    overrides: Vec<Override>,
}

impl Source {
    pub(super) fn read(path: &Path, overrides: &[Override]) -> Result<Self, Diagnostic> {
        let mut source = Self::new(Document::read(path)?, overrides);
        if let Some(value) = source.include()? {
            source.included = include::read(&value, path, &source)?;
            let own = source.own_variants();
            for other in &source.included {
                if let Some(name) = own.iter().find(|name| other.variants.contains(name)) {
                    return Err(include::twice(name, &source.document, &other.document));
                }
            }
        }
        Ok(source)
    }

    pub(super) fn new(document: Document, overrides: &[Override]) -> Self {
        Self {
            document,
            included: Vec::new(),
            overrides: overrides.to_vec(),
        }
    }

    /// What is to be included, by the file or by an override.
    fn include(&self) -> Result<Option<Value>, Diagnostic> {
        // Also refuses a file that is none, before another is opened.
        let wire: WireExperiment = self.document.parse()?;
        // Other overrides may be of variants that are in none of the files read so far.
        let mut root = Table::new();
        if let Some(value) = wire.include {
            root.insert("include".to_owned(), value);
        }
        let is_include = |change: &&Override| {
            change
                .path()
                .keys()
                .first()
                .is_some_and(|key| key == "include")
        };
        for change in self.overrides.iter().filter(is_include) {
            change.apply(&mut root)?;
        }
        Ok(root.remove("include"))
    }

    fn own_variants(&self) -> Vec<String> {
        self.document.keys_in_order(&KeyPath::new([VARIANTS]))
    }

    /// The files, then the files with every override; what is refused is laid at the door of the one that did it.
    pub(super) fn wire(&self) -> Result<WireExperiment, Diagnostic> {
        let mut from_files: WireExperiment = self.document.parse()?;
        for included in &self.included {
            let wire: super::wire::WireIncluded = included.document.parse()?;
            from_files.variants.extend(wire.variants);
        }
        if self.overrides.is_empty() {
            return Ok(from_files);
        }
        let mut root = self.merged()?;
        let mut first_refusal = None;
        let mut result = Ok(from_files);
        // Read after each, so that the override that broke something is the one that is told. A later one may mend it: one key
        // of a table is set at a time.
        for change in &self.overrides {
            change.apply(&mut root)?;
            result = read(&Value::Table(root.clone()))
                .map_err(|refusal| refusal.diagnostic(change.source()));
            if let (Err(refusal), None) = (&result, &first_refusal) {
                first_refusal = Some(refusal.clone());
            }
        }
        result.map_err(|last| first_refusal.unwrap_or(last))
    }

    /// The files as one table, before any override.
    fn merged(&self) -> Result<Table, Diagnostic> {
        let mut root: Table = self.document.parse()?;
        overrides::canonicalise(&mut root);
        for included in &self.included {
            let mut other: Table = included.document.parse()?;
            overrides::canonicalise(&mut other);
            let Some(Value::Table(theirs)) = other.remove(VARIANTS) else {
                continue;
            };
            let ours = root
                .entry(VARIANTS)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(ours) = ours {
                ours.extend(theirs);
            }
        }
        Ok(root)
    }

    /// A diagnostic at the value of `path`.
    pub fn at_value(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        match self.find(path) {
            Found::Override(change) => Diagnostic::new(change.source(), message),
            Found::In(document, path) => document.at_value(&path, message),
        }
    }

    /// A diagnostic at the key of `path`.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        match self.find(path) {
            Found::Override(change) => Diagnostic::new(change.source(), message),
            Found::In(document, path) => document.at_key(&path, message),
        }
    }

    fn find(&self, path: &KeyPath) -> Found<'_> {
        if let Some(change) = self.override_of(path) {
            return Found::Override(change);
        }
        let document = self.document_of(path);
        let written = as_written(document, path);
        // A knob that the variant doesn't have itself comes from the shared ones.
        if let [first, _, rest @ ..] = path.keys()
            && first == VARIANTS
            && !rest.is_empty()
            && document.key_location(&written).is_none()
        {
            let shared = KeyPath::new([DEFAULTS]).join(rest[0].as_str());
            if self.override_of(&shared).is_some() || self.document.key_location(&shared).is_some()
            {
                let mut path = KeyPath::new([DEFAULTS]);
                rest.iter().for_each(|key| path = path.join(key));
                return self.find(&path);
            }
        }
        Found::In(document, written)
    }

    /// Whether a file or an override has a value there.
    fn has(&self, path: &KeyPath) -> bool {
        match self.find(path) {
            Found::Override(_) => true,
            Found::In(document, path) => document.key_location(&path).is_some(),
        }
    }

    fn document_of(&self, path: &KeyPath) -> &Document {
        let included = match path.keys() {
            [first, name, ..] if first == VARIANTS => {
                let mut all = self.included.iter();
                all.find(|included| included.variants.contains(name))
            }
            _ => None,
        };
        included.map_or(&self.document, |included| &included.document)
    }

    /// Names of the variants: those of the file in its order, those of included files, then those of overrides.
    pub(super) fn variant_order(&self) -> Vec<String> {
        let mut names = self.own_variants();
        for included in &self.included {
            names.extend(included.variants.iter().cloned());
        }
        for change in &self.overrides {
            if let [first, name, ..] = change.path().keys()
                && first == VARIANTS
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    }

    /// The last override at `path`, above it, or (for a table that is in no file) below it.
    fn override_of(&self, path: &KeyPath) -> Option<&Override> {
        if self.overrides.is_empty() {
            return None;
        }
        let covers = |change: &&Override| path.keys().starts_with(change.path().keys());
        let document = self.document_of(path);
        let makes = |change: &&Override| {
            change.path().keys().starts_with(path.keys())
                && document.key_location(&as_written(document, path)).is_none()
        };
        // The last override of a path is the one that holds.
        let mut latest_first = self.overrides.iter().rev();
        latest_first
            .clone()
            .find(covers)
            .or_else(|| latest_first.find(makes))
    }
}

enum Found<'a> {
    Override(&'a Override),
    In(&'a Document, KeyPath),
}

/// A path with its dotted keys taken apart, where that is how the document has them.
fn as_written(document: &Document, path: &KeyPath) -> KeyPath {
    if document.key_location(path).is_some() || !path.keys().iter().any(|key| key.contains('.')) {
        return path.clone();
    }
    let mut apart = KeyPath::default();
    for key in path.keys() {
        match KeyPath::parse(key) {
            Ok(keys) => keys.keys().iter().for_each(|key| apart = apart.join(key)),
            Err(_) => apart = apart.join(key),
        }
    }
    apart
}

/// Says of a path in one configuration of a variant where the spec has it: a value that a sweep chose stands in the sweep,
/// the others in the variant's table.
#[derive(Debug, Clone, Copy)]
pub struct Locator<'a> {
    source: &'a Source,
    configuration: Option<Configuration<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Configuration<'a> {
    name: &'a str,
    base: &'a str,
    settings: &'a [Chosen],
}

impl<'a> Locator<'a> {
    /// Of a spec without sweeps.
    pub fn new(source: &'a Source) -> Self {
        Self {
            source,
            configuration: None,
        }
    }

    /// Of the configuration `name` of the variant `base`.
    pub(super) fn of_configuration(
        source: &'a Source,
        name: &'a str,
        base: &'a str,
        settings: &'a [Chosen],
    ) -> Self {
        Self {
            source,
            configuration: Some(Configuration {
                name,
                base,
                settings,
            }),
        }
    }

    /// A diagnostic at the value of `path`.
    pub fn at_value(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        self.source.at_value(&self.place(path).0, message)
    }

    /// A diagnostic at the key of `path`; at the value where a sweep chose it.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        match self.place(path) {
            (place, true) => self.source.at_value(&place, message),
            (place, false) => self.source.at_key(&place, message),
        }
    }

    /// Whether the spec has a value there: in a file, by an override or in a sweep.
    pub(crate) fn has(&self, path: &KeyPath) -> bool {
        let (place, is_chosen) = self.place(path);
        is_chosen || self.source.has(&place)
    }

    /// What is wrong with a value that was read, at its place.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Diagnostic {
        let path = refusal.place();
        let place = match refusal.is_of_key() {
            true => self.at_key(&path, ""),
            false => self.at_value(&path, ""),
        };
        refusal.diagnostic(place.source).at(place.location)
    }

    /// The path in the spec, and whether it is a value that was chosen.
    fn place(&self, path: &KeyPath) -> (KeyPath, bool) {
        let Some(Configuration {
            name,
            base,
            settings,
        }) = self.configuration
        else {
            return (path.clone(), false);
        };
        let rest = match path.keys() {
            [first, variant, rest @ ..] if first == VARIANTS && variant == name => rest,
            _ => return (path.clone(), false),
        };
        let is_about = |chosen: &&Chosen| {
            let setting = chosen.setting.path().keys();
            rest.starts_with(setting) || (!rest.is_empty() && setting.starts_with(rest))
        };
        // Settings are in the order of their paths: from behind, `schedule.kind` is met before `schedule`.
        if let Some(chosen) = settings.iter().rev().find(is_about) {
            return (chosen.place.clone(), true);
        }
        let mut place = KeyPath::new([VARIANTS, base]);
        rest.iter().for_each(|key| place = place.join(key));
        (place, false)
    }
}

impl<'a> From<&'a Source> for Locator<'a> {
    fn from(source: &'a Source) -> Self {
        Self::new(source)
    }
}
