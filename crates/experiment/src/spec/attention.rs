//! `[training.attention]`, checked: lists and targets that the dataset has, of one width, and units that have layers.

use super::Configured;
use super::source::Locator;
use homebench_data::schema::{DescribedInput, InputKind};
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::Tables;
use homebench_train::{AttentionConfig, TrainingConfig};

/// The key of the table.
pub(super) const ATTENTION: &str = "attention";

const LISTS: &str = "lists";
const HIDDEN: &str = "hidden_dims";

/// Refuses units without layers, layers without units, and layers where nothing attends. `table` is the training table.
pub(super) fn check_units(
    config: &TrainingConfig,
    table: &KeyPath,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let AttentionConfig { lists, hidden_dims } = &config.attention;
    let path = table.join(ATTENTION).join(HIDDEN);
    if lists.is_empty() && *hidden_dims != AttentionConfig::default().hidden_dims {
        let message =
            format!("`{path}`: no list attends to a target, so that these layers are nobody's");
        return Err(source.at_value(&path, message).hint(
            "say which list attends to which feature, such as lists = { seen = \"item\" }, or leave the key out",
        ));
    }
    let found = match hidden_dims.iter().position(|width| *width == 0) {
        None if hidden_dims.is_empty() => "none".to_owned(),
        None => return Ok(()),
        Some(_) => "0".to_owned(),
    };
    let message = format!(
        "`{path}`: expected widths of one hidden layer or more, each 1 or more, found {found}"
    );
    Err(source
        .at_value(&path, message)
        .hint("one layer of 36 units is the default, [36]"))
}

/// Refuses what the dataset's inputs or the model can't have.
pub(super) fn check(
    configured: &Configured,
    inputs: &[DescribedInput],
    variant: &str,
    source: Locator<'_>,
) -> Result<(), Diagnostic> {
    let training = &configured.training;
    // A program has no tables here, and is given the settings as they are.
    if training.attention.lists.is_empty() || configured.model.is_program() {
        return Ok(());
    }
    let shared = KeyPath::new(["training", ATTENTION]);
    let own = KeyPath::new(["variants", variant, "training", ATTENTION]);
    // What the variant doesn't say itself it has from `[training]`.
    let table = match source.has(&own) {
        true => own,
        false => shared,
    };
    if configured.model.tables() == Tables::Weights {
        let message = format!(
            "`{table}`: `{}` can't attend to a target: it is linear in the features of a row, and any interaction makes it another model",
            configured.model.name()
        );
        return Err(source.at_key(&table, message).hint(
            "give that variant training = { attention = {} }, which pools its lists, or leave it out",
        ));
    }
    let at = Place {
        table: &table.join(LISTS),
        source,
        inputs,
    };
    for (list, target) in &training.attention.lists {
        at.check_list(list, target)?;
        at.check_target(list, target)?;
        at.check_widths(list, target, training)?;
    }
    Ok(())
}

struct Place<'a> {
    table: &'a KeyPath,
    source: Locator<'a>,
    inputs: &'a [DescribedInput],
}

impl Place<'_> {
    fn names(&self, kind: InputKind) -> Vec<&str> {
        let of_kind = self.inputs.iter().filter(|input| input.kind == kind);
        of_kind.map(|input| input.name.as_str()).collect()
    }

    fn input(&self, name: &str) -> Option<&DescribedInput> {
        self.inputs.iter().find(|input| input.name == name)
    }

    fn check_list(&self, list: &str, target: &str) -> Result<(), Diagnostic> {
        let place = self.table.join(list);
        let lists = self.names(InputKind::List);
        if lists.is_empty() {
            let message =
                format!("`{place}`: the dataset has no list that could attend to `{target}`");
            return Err(self
                .source
                .at_key(&place, message)
                .hint("leave `attention` out, or describe a feature of the kind \"list\""));
        }
        let what = match self.input(list).map(|input| input.kind) {
            Some(InputKind::List) => return Ok(()),
            Some(InputKind::Single) => format!("`{list}` has one id a row and is no list"),
            Some(InputKind::Number) => format!("`{list}` is a number and no list"),
            None => format!("the dataset has no input `{list}`"),
        };
        let message = format!("`{place}`: {what}; lists are: {}", lists.join(", "));
        let mend = format!(
            "write a list before its target, such as lists = {{ {} = \"{target}\" }}",
            lists[0]
        );
        Err(self
            .source
            .at_key(&place, message)
            .hint(mend)
            .did_you_mean(list, lists))
    }

    fn check_target(&self, list: &str, target: &str) -> Result<(), Diagnostic> {
        let place = self.table.join(list);
        let single = self.names(InputKind::Single);
        let what = match self.input(target).map(|input| input.kind) {
            Some(InputKind::Single) => return Ok(()),
            Some(InputKind::List) if list == target => {
                format!("`{list}` can't attend to itself, a list")
            }
            Some(InputKind::List) => format!("`{target}` is a list itself"),
            Some(InputKind::Number) => format!("`{target}` is a number, which has no embedding"),
            None => format!("the dataset has no input `{target}`"),
        };
        let (known, mend) = match &single[..] {
            [] => ("none".to_owned(), "leave the list out".to_owned()),
            names => (
                names.join(", "),
                format!(
                    "write a feature of one id behind the list, such as lists = {{ {list} = \"{}\" }}",
                    names[0]
                ),
            ),
        };
        let message = format!("`{place}`: {what}; a target has one id a row: {known}");
        Err(self
            .source
            .at_value(&place, message)
            .hint(mend)
            .did_you_mean(target, single))
    }

    fn check_widths(
        &self,
        list: &str,
        target: &str,
        training: &TrainingConfig,
    ) -> Result<(), Diagnostic> {
        let width = |name: &str| {
            let table = self.input(name).map_or(name, |input| &input.table);
            let width = training.embedding_dims.get(table);
            width.copied().unwrap_or(training.embedding_dim)
        };
        let (of_list, of_target) = (width(list), width(target));
        if of_list == of_target {
            return Ok(());
        }
        let place = self.table.join(list);
        let message = format!(
            "`{place}`: embeddings of `{list}` have {of_list} units and those of `{target}` {of_target}, so that they can't be compared"
        );
        Err(self
            .source
            .at_value(&place, message)
            .hint("give both one width in `embedding_dims`, or one `table` in the description"))
    }
}
