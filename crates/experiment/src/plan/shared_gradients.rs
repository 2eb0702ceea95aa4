//! Whether a model has what its balance compares gradients of: asked before any is trained.

use super::budget::comparable;
use crate::spec::{Configured, Locator, Variant, model_diagnostic};
use homebench_data::Schema;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_train::BalanceAt;

/// Refuses a method of gradients for a model whose tasks share nothing, or whose tasks read no one tensor where it is to compare them there.
pub(super) fn check(
    variant: &Variant,
    configured: &Configured,
    schema: &Schema,
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    let balance = &configured.training.balance;
    if !balance.method.needs_gradients() || configured.model.is_program() {
        return Ok(());
    }
    let at = KeyPath::new(["variants", &variant.name]);
    let has = comparable(configured, schema);
    let has = has.map_err(|error| model_diagnostic(&error, &at, locator))?;
    let (key, why, hint) = match (has.variables, has.representation, balance.balance_at) {
        (false, _, _) => (
            "method",
            "compares gradients of what tasks share, and the tasks of this model share nothing",
            "use a method of losses, such as `uw`, or a model that shares experts",
        ),
        (true, false, Some(BalanceAt::Representation)) => (
            "balance_at",
            "is to compare gradients at a representation, and this model has no one tensor that every task reads",
            "use `balance_at = \"parameters\"`",
        ),
        _ => return Ok(()),
    };
    let own = at.join("training").join("balance");
    let table = match locator.has(&own) {
        true => own,
        false => KeyPath::new(["training", "balance"]),
    };
    let place = table.join(key);
    let (name, model) = (balance.method.name(), configured.model.name());
    let message = format!(
        "`{place}`: `{name}` {why}: `{}` is a `{model}`",
        variant.name
    );
    Err(locator.at_value(&place, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use crate::plan::check_starts;
    use crate::plan::starts::tests::schema;
    use crate::spec::load;
    use homebench_model::registry;

    fn checked(model: &str, balance: &str, is_of_variant: bool) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        let table = format!("balance = {{ {balance} }}");
        // No rank above the width of this input.
        let rank = if model == "home" { "rank = 2\n" } else { "" };
        let (shared, own) = match is_of_variant {
            true => (String::new(), format!("training = {{ {table} }}")),
            false => (format!("[training]\n{table}\n"), String::new()),
        };
        let text = format!(
            "question = \"What is this?\"\nseeds = [1]\ndataset = {{ name = \"feed\" }}\n{shared}[variants.a]\nmodel = \"{model}\"\n{rank}{own}\n"
        );
        std::fs::write(&path, text).unwrap();
        let (experiment, source) = load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
        check_starts(&experiment, &source, &schema()).map_err(|said| {
            let place = said.location.unwrap();
            let (line, column) = (place.line, place.column);
            format!(
                "{line}:{column}: {} ({})",
                said.message,
                said.hint.unwrap_or_default()
            )
        })
    }

    /// Models of a chain of tasks, or of scenarios, which this schema hasn't.
    const OF_MORE: [&str; 8] = [
        "pepnet", "star", "hinet", "m3oe", "esmm", "escm2", "aitm", "resflow",
    ];

    #[test]
    fn models_that_share_nothing_have_no_gradients_to_compare() {
        for entry in registry()
            .into_iter()
            .filter(|entry| !OF_MORE.contains(&entry.name))
        {
            let said = checked(entry.name, "method = \"nash_mtl\"", false);
            let shares = !["logistic", "single_task"].contains(&entry.name);
            assert_eq!(said.is_ok(), shares, "{}: {said:?}", entry.name);
            checked(entry.name, "method = \"famo\"", false).unwrap();
        }
        let said = [false, true].map(|own| {
            let said = checked("single_task", "method = \"nash_mtl\"", own);
            said.unwrap_err()
        });
        insta::assert_snapshot!(said.join("\n"), @r#"
        5:22: `training.balance.method`: `nash_mtl` compares gradients of what tasks share, and the tasks of this model share nothing: `a` is a `single_task` (use a method of losses, such as `uw`, or a model that shares experts)
        6:35: `variants.a.training.balance.method`: `nash_mtl` compares gradients of what tasks share, and the tasks of this model share nothing: `a` is a `single_task` (use a method of losses, such as `uw`, or a model that shares experts)
        "#);
    }

    #[test]
    fn a_representation_is_had_by_those_that_have_one() {
        let at = "method = \"mgda\", balance_at = \"representation\"";
        for entry in registry()
            .into_iter()
            .filter(|entry| !OF_MORE.contains(&entry.name))
        {
            let said = checked(entry.name, at, true);
            let has = [
                "shared_bottom",
                "omoe",
                "mmoe",
                "ml_mmoe",
                "cgc",
                "ple",
                "adatt_sp",
                "adatt",
                "home",
            ];
            assert_eq!(
                said.is_ok(),
                has.contains(&entry.name),
                "{}: {said:?}",
                entry.name
            );
        }
        insta::assert_snapshot!(checked("smes", at, true).unwrap_err(), @r#"6:56: `variants.a.training.balance.balance_at`: `mgda` is to compare gradients at a representation, and this model has no one tensor that every task reads: `a` is a `smes` (use `balance_at = "parameters"`)"#);
    }
}
