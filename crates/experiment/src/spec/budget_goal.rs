//! Budgets: a variant that is to cost as much as another one.

use super::Variant;
use super::source::Source;
use super::wire::WireBudget;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::ModelConfig;
use std::collections::BTreeMap;
use std::fmt;

/// What a variant is to cost.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetGoal {
    /// Name of the variant that it is to cost as much as.
    pub like: String,
    /// What is counted.
    pub quantity: Quantity,
    /// Largest difference allowed, relative to the other's cost.
    pub tolerance: f64,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Trained numbers, embeddings included.
    Parameters,
    /// Floating-point operations of a forward pass, per row.
    FlopsPerRow,
}

impl Quantity {
    /// The key of the budget's table.
    pub fn key(self) -> &'static str {
        match self {
            Self::Parameters => "params",
            Self::FlopsPerRow => "flops",
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Parameters => "parameters",
            Self::FlopsPerRow => "FLOPs per row",
        })
    }
}

impl fmt::Display for BudgetGoal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            like,
            quantity,
            tolerance,
        } = self;
        write!(
            formatter,
            "{quantity} within {tolerance} of those of `{like}`"
        )
    }
}

const FORM: &str =
    "write `budget = { like = \"home\", params = 0.02 }`, or `flops` for FLOPs per row";

/// `path` is that of the budget's table.
pub(super) fn resolve(
    wire: &WireBudget,
    model: &ModelConfig,
    path: &KeyPath,
    source: &Source,
) -> Result<BudgetGoal, Diagnostic> {
    let (quantity, tolerance) = match (wire.params, wire.flops) {
        (Some(tolerance), None) => (Quantity::Parameters, tolerance),
        (None, Some(tolerance)) => (Quantity::FlopsPerRow, tolerance),
        (given, _) => {
            let found = if given.is_some() { "both" } else { "neither" };
            let message = format!(
                "`{path}`: expected either `params` or `flops`, a tolerance, found {found}"
            );
            return Err(source.at_value(path, message).hint(FORM));
        }
    };
    if !(0.0..1.0).contains(&tolerance) {
        let path = path.join(quantity.key());
        let message =
            format!("`{path}`: expected a share from 0.0 to below 1.0, found {tolerance}");
        return Err(source
            .at_value(&path, message)
            .hint("0.02 allows a difference of two in a hundred"));
    }
    if !model.knobs().contains_key("expert_dims") {
        let message = format!(
            "`{path}`: `{}` has no `expert_dims`, the widths that a budget scales",
            model.name()
        );
        return Err(source
            .at_key(path, message)
            .hint("leave the budget out, or give it to another variant"));
    }
    Ok(BudgetGoal {
        like: wire.like.clone(),
        quantity,
        tolerance,
    })
}

/// Checks that every budget names another variant, and that none waits for itself.
pub(super) fn check_names<'a>(variants: &'a [Variant], source: &Source) -> Result<(), Diagnostic> {
    let goals = || {
        let with_goal = |variant: &'a Variant| Some((variant, variant.budget.as_ref()?));
        variants.iter().filter_map(with_goal)
    };
    let names: BTreeMap<&str, &Variant> = variants.iter().map(|v| (v.name.as_str(), v)).collect();
    // Names first: the walk below ends at a name that is unknown as if there were no circle.
    for (variant, goal) in goals() {
        if !names.contains_key(goal.like.as_str()) {
            let all = variants.iter().map(|v| v.name.as_str());
            let others: Vec<&str> = all.filter(|name| *name != variant.name).collect();
            let swept = variants.iter().find(|other| other.base == goal.like);
            if let Some(one) = swept {
                let message = format!("`{}` is swept, so that it has no one cost", goal.like);
                return Err(refuse_like(variant, &message, source).hint(format!(
                    "name one of its configurations, such as `{}`",
                    one.name
                )));
            }
            let expected = others.join(", ");
            let message = format!(
                "no variant is named `{}`; expected one of: {expected}",
                goal.like
            );
            return Err(refuse_like(variant, &message, source).did_you_mean(&goal.like, others));
        }
    }
    for (variant, goal) in goals() {
        let mut passed = Vec::new();
        let mut next = goal.like.as_str();
        // A circle that this variant only leads to is reported at one that is in it.
        while next != variant.name && !passed.contains(&next) {
            passed.push(next);
            match names.get(next).and_then(|other| other.budget.as_ref()) {
                Some(goal) => next = &goal.like,
                None => break,
            }
        }
        if next == variant.name {
            let way = match passed.as_slice() {
                [] => String::new(),
                between => format!(", by way of `{}`", between.join("`, `")),
            };
            let message = format!("`{next}` is to cost as much as itself{way}");
            return Err(refuse_like(variant, &message, source)
                .hint("the last variant of the chain has to be one without a budget"));
        }
    }
    Ok(())
}

fn refuse_like(variant: &Variant, message: &str, source: &Source) -> Diagnostic {
    let path = KeyPath::new(["variants", &variant.name, "budget", "like"]);
    let locator = variant.locator(source);
    locator.at_value(&path, format!("`{path}`: {message}"))
}
