//! Expert widths that make a variant cost as much as another one.
//!
//! Every width is scaled by one factor, the widest expert layer's new width over its old one, so that the factors are the
//! whole numbers w = 1, 2, ... Parameters and FLOPs grow with w, so the two widths around the goal are found by bisection, and the
//! nearer one is taken.

use super::budget::{Budget, budget};
use crate::spec::{
    BudgetGoal, Configured, Experiment, Quantity, Source, Variant, model_diagnostic,
};
use homebench_data::Schema;
use homebench_diagnostic::{Diagnostic, KeyPath};
use homebench_model::{ModelConfig, ModelError};
use std::collections::{BTreeMap, HashMap};

/// No expert is made wider than this, whatever the budget.
const WIDEST: usize = 1 << 20;

/// What a budget led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The variant.
    pub variant: String,
    /// What it was to cost.
    pub goal: BudgetGoal,
    /// Widths chosen.
    pub expert_dims: Vec<usize>,
    /// What it costs.
    pub found: usize,
    /// What the other costs.
    pub wanted: usize,
}

impl std::fmt::Display for Solution {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            expert_dims,
            found,
            wanted,
            ..
        } = self;
        let percent = difference(*found, *wanted) * 100.0;
        let than = if percent < 0.0 { "less" } else { "more" };
        write!(
            formatter,
            "expert_dims = {expert_dims:?} with {found} {}, {:.2} % {than} than the {wanted} of `{}`",
            self.goal.quantity,
            percent.abs(),
            self.goal.like
        )
    }
}

/// What every configuration costs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Costs {
    /// By name of the variant; of one that is tuned, as it is before that.
    variants: BTreeMap<String, Budget>,
    /// By name of the variant, in the order of its trials.
    trials: BTreeMap<String, Vec<Budget>>,
}

impl Costs {
    /// Of a variant, or of its trial of this number, counted from 1.
    pub fn of(&self, variant: &str, trial: Option<usize>) -> Option<Budget> {
        match trial {
            None => self.variants.get(variant).copied(),
            Some(number) => self
                .trials
                .get(variant)?
                .get(number.checked_sub(1)?)
                .copied(),
        }
    }
}

/// What every variant and every trial costs, after those with a budget were given their widths, and what was chosen for
/// variants. A trial has a width of its own.
///
/// # Errors
/// A model that can't be built, or a budget that no width keeps, at its place in the spec.
pub fn solve(
    experiment: &mut Experiment,
    source: &Source,
    schema: &Schema,
) -> Result<(Costs, Vec<Solution>), Diagnostic> {
    let mut costs = Costs::default();
    let mut solutions = Vec::new();
    let mut solver = Solver {
        schema,
        known: HashMap::new(),
    };
    // Those that others are measured by come first; the spec has no cycles.
    while costs.variants.len() < experiment.variants.len() {
        for variant in &mut experiment.variants {
            if costs.variants.contains_key(&variant.name) {
                continue;
            }
            let goal = match &variant.budget {
                None => None,
                Some(goal) => match costs.variants.get(&goal.like) {
                    None => continue,
                    Some(like) => Some((goal.clone(), quantity(like, goal.quantity))),
                },
            };
            let path = KeyPath::new(["variants", &variant.name]);
            let solved = solver.solve(&variant.name, &variant.configured, goal.as_ref());
            let (solution, cost) =
                solved.map_err(|error| model_diagnostic(&error, &path, variant.locator(source)))?;
            if let Some(solution) = solution {
                check(&solution, &path, source)?;
                put_widths(&mut variant.configured, &solution);
                solutions.push(solution);
            }
            costs.variants.insert(variant.name.clone(), cost);
            let mut of_trials = Vec::with_capacity(variant.trials.len());
            for index in 0..variant.trials.len() {
                let solved = solver.solve(&variant.name, &variant.trials[index], goal.as_ref());
                let (solution, cost) = solved.map_err(|error| {
                    model_diagnostic(&error, &path, variant.trial_locator(index, source))
                })?;
                if let Some(solution) = solution {
                    check(&solution, &path, source)?;
                    put_widths(&mut variant.trials[index], &solution);
                }
                of_trials.push(cost);
            }
            costs.trials.insert(variant.name.clone(), of_trials);
        }
    }
    check_solved(&experiment.variants, source)?;
    Ok((costs, solutions))
}

/// Refuses two configurations of a variant that its budget made one: cells of two names, and one result.
fn check_solved(variants: &[Variant], source: &Source) -> Result<(), Diagnostic> {
    for (index, variant) in variants.iter().enumerate() {
        if variant.budget.is_none() {
            continue;
        }
        let alike = |(one, other): (&Configured, &Configured)| {
            one.model == other.model && one.training == other.training
        };
        let is_same = |other: &&Variant| {
            let mut trials = variant.trials.iter().zip(&other.trials);
            other.base == variant.base
                && other.start == variant.start
                && alike((&variant.configured, &other.configured))
                && trials.all(alike)
        };
        let Some(other) = variants[..index].iter().find(is_same) else {
            continue;
        };
        let path = KeyPath::new(["variants", &variant.name, "expert_dims"]);
        let message = format!(
            "`{path}`: its budget gives `{}` the widths of `{}`, {:?}: two variants of one result",
            variant.name,
            other.name,
            widths(&variant.configured.model)
        );
        return Err(variant.locator(source).at_value(&path, message).hint(
            "leave one of the two values out; with a budget, widths of one ratio are one configuration",
        ));
    }
    Ok(())
}

/// A trial that was suggested when others had ended, with the widths that keep its variant's budget.
///
/// # Errors
/// As of [`solve`].
pub fn solve_trial(
    mut configured: Configured,
    variant: &Variant,
    costs: &Costs,
    source: &Source,
    schema: &Schema,
) -> Result<Configured, Diagnostic> {
    let goal = variant.budget.as_ref().and_then(|goal| {
        let like = costs.of(&goal.like, None)?;
        Some((goal.clone(), quantity(&like, goal.quantity)))
    });
    let mut solver = Solver {
        schema,
        known: HashMap::new(),
    };
    let path = KeyPath::new(["variants", &variant.name]);
    let solved = solver.solve(&variant.name, &configured, goal.as_ref());
    let (solution, _) =
        solved.map_err(|error| model_diagnostic(&error, &path, variant.locator(source)))?;
    if let Some(solution) = solution {
        check(&solution, &path, source)?;
        put_widths(&mut configured, &solution);
    }
    Ok(configured)
}

/// Costs that were found, so that configurations that differ in training alone are built once.
struct Solver<'a> {
    schema: &'a Schema,
    known: HashMap<String, Budget>,
}

impl Solver<'_> {
    /// The widths that keep a goal (what it is and how much it is), where there is one, and the cost with them.
    fn solve(
        &mut self,
        variant: &str,
        configured: &Configured,
        goal: Option<&(BudgetGoal, usize)>,
    ) -> Result<(Option<Solution>, Budget), ModelError> {
        let Some((goal, wanted)) = goal else {
            return Ok((None, self.cost(configured)?));
        };
        let solution = self.widths_for(variant, configured, goal, *wanted)?;
        let mut solved = configured.clone();
        solved.model = with_widths(&configured.model, &solution.expert_dims)?;
        let cost = self.cost(&solved)?;
        Ok((Some(solution), cost))
    }

    fn cost(&mut self, configured: &Configured) -> Result<Budget, ModelError> {
        let (model, knobs) = (configured.model.name(), configured.model.knobs());
        let training = &configured.training;
        let (width, widths) = (training.embedding_dim, &training.embedding_dims);
        let attention = &training.attention;
        let key = format!("{model} {width} {widths:?} {attention:?} {knobs}");
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let cost = budget(configured, self.schema)?;
        self.known.insert(key, cost);
        Ok(cost)
    }
}

fn put_widths(configured: &mut Configured, solution: &Solution) {
    if let Ok(model) = with_widths(&configured.model, &solution.expert_dims) {
        configured.model = model;
    }
}

fn quantity(budget: &Budget, quantity: Quantity) -> usize {
    match quantity {
        Quantity::Parameters => budget.parameters,
        Quantity::FlopsPerRow => budget.flops_per_row,
    }
}

/// Relative to what is wanted.
fn difference(found: usize, wanted: usize) -> f64 {
    (found as f64 - wanted as f64) / wanted.max(1) as f64
}

fn check(solution: &Solution, variant: &KeyPath, source: &Source) -> Result<(), Diagnostic> {
    let goal = &solution.goal;
    let nearest = difference(solution.found, solution.wanted).abs();
    if nearest <= goal.tolerance {
        return Ok(());
    }
    let path = variant.join("budget").join(goal.quantity.key());
    let message = format!(
        "`{path}`: no expert width comes within {}; the nearest is {solution}",
        goal.tolerance
    );
    // Rounded up, so that the hint's value is taken.
    let enough = (nearest * 1000.0).ceil() / 1000.0;
    let hint = match enough < 1.0 {
        true => format!(
            "allow {} = {enough}, or change another knob, such as the number of experts",
            goal.quantity.key()
        ),
        false => "change another knob, such as the number of experts".to_string(),
    };
    Err(source.at_value(&path, message).hint(hint))
}

impl Solver<'_> {
    /// The widths nearest to `wanted`.
    fn widths_for(
        &mut self,
        variant: &str,
        configured: &Configured,
        goal: &BudgetGoal,
        wanted: usize,
    ) -> Result<Solution, ModelError> {
        let base = widths(&configured.model);
        let widest = base.iter().copied().max().unwrap_or(1);
        let mut cost = |width: usize| -> Result<usize, ModelError> {
            let mut scaled = configured.clone();
            scaled.model = with_widths(&configured.model, &scale(&base, width))?;
            Ok(quantity(&self.cost(&scaled)?, goal.quantity))
        };
        // As the spec has it; where that can't be built, this says why.
        cost(widest)?;
        // Narrower experts may be refused (a feature gate's rank is above their width): too narrow.
        let mut too_much = |width: usize| cost(width).is_ok_and(|cost| cost > wanted);
        let (mut below, mut above) = (0, widest);
        while !too_much(above) && above < WIDEST {
            (below, above) = (above, above * 2);
        }
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            match too_much(middle) {
                true => above = middle,
                false => below = middle,
            }
        }
        let mut near = |width: usize| {
            let found = (width > 0).then(|| cost(width).ok()).flatten()?;
            Some((found.abs_diff(wanted), width, found))
        };
        let nearest = [near(below), near(above)].into_iter().flatten().min();
        let (_, width, found) = nearest.unwrap_or((0, widest, cost(widest)?));
        Ok(Solution {
            variant: variant.to_owned(),
            goal: goal.clone(),
            expert_dims: scale(&base, width),
            found,
            wanted,
        })
    }
}

/// Every width times `width` over the widest, to the nearest whole number of at least 1.
fn scale(base: &[usize], width: usize) -> Vec<usize> {
    let widest = base.iter().copied().max().unwrap_or(1);
    let scaled = |b: &usize| ((b * width + widest / 2) / widest).max(1);
    base.iter().map(scaled).collect()
}

/// A model's expert widths.
fn widths(model: &ModelConfig) -> Vec<usize> {
    let list = model.knobs().get("expert_dims").and_then(|v| v.as_array());
    list.into_iter()
        .flatten()
        .filter_map(|width| usize::try_from(width.as_integer()?).ok())
        .collect()
}

fn with_widths(model: &ModelConfig, widths: &[usize]) -> Result<ModelConfig, ModelError> {
    let mut knobs = model.knobs().clone();
    let widths = widths.iter().map(|w| toml::Value::Integer(*w as i64));
    knobs.insert("expert_dims".to_string(), widths.collect::<Vec<_>>().into());
    ModelConfig::from_table(model.name(), &knobs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_data::{CategoricalFeature, Task, TaskKind};
    use homebench_train::TrainingConfig;

    fn schema() -> Schema {
        let task = |name: &str, group| Task {
            name: name.into(),
            group,
            kind: TaskKind::default(),
            after: None,
        };
        Schema {
            categorical: vec![CategoricalFeature {
                name: "author".into(),
                vocabulary_size: 50,
            }],
            lists: Vec::new(),
            numeric: vec!["age".into()],
            tasks: vec![task("click", 0), task("like", 1)],
            groups: vec!["watch".into(), "interaction".into()],
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
        }
    }

    fn widths_for(
        configured: &Configured,
        goal: &BudgetGoal,
        wanted: usize,
        schema: &Schema,
    ) -> Result<Solution, ModelError> {
        let known = HashMap::new();
        Solver { schema, known }.widths_for("a", configured, goal, wanted)
    }

    fn variant(model: &str, knobs: &str) -> Configured {
        Configured {
            model: ModelConfig::from_table(model, &knobs.parse().unwrap()).unwrap(),
            training: TrainingConfig::default(),
            settings: Vec::new(),
        }
    }

    fn goal(quantity: Quantity) -> BudgetGoal {
        BudgetGoal {
            like: "b".into(),
            quantity,
            tolerance: 0.02,
        }
    }

    #[test]
    fn the_cost_of_any_width_leads_back_to_that_width() {
        for (model, knobs) in [
            ("shared_bottom", "expert_dims = [8, 3]"),
            ("ple", "expert_dims = [6]"),
            ("home", "rank = 2\nexpert_dims = [16, 8]"),
        ] {
            let start = variant(model, knobs);
            let base = widths(&start.model);
            for width in [8, 9, 31, 64] {
                let mut scaled = start.clone();
                scaled.model = with_widths(&start.model, &scale(&base, width)).unwrap();
                let cost = budget(&scaled, &schema()).unwrap();
                for kind in [Quantity::Parameters, Quantity::FlopsPerRow] {
                    let wanted = quantity(&cost, kind);
                    let found = widths_for(&start, &goal(kind), wanted, &schema()).unwrap();
                    assert_eq!(found.expert_dims, scale(&base, width), "{model}");
                    assert_eq!(found.found, wanted, "{model}");
                }
            }
        }
    }

    #[test]
    fn a_goal_that_is_too_small_or_too_fine_gets_the_nearest_width() {
        let start = variant("home", "rank = 4\nexpert_dims = [16, 8]");
        let found = widths_for(&start, &goal(Quantity::Parameters), 1, &schema()).unwrap();
        // The rank of 4 lets the last layer be no narrower.
        assert_eq!(found.expert_dims, [7, 4]);
        let start = variant("shared_bottom", "expert_dims = [8]\ntower_dims = []");
        // Each unit costs an input's weights, a bias and two towers' weights.
        let one = |width| {
            let mut scaled = start.clone();
            scaled.model = with_widths(&start.model, &[width]).unwrap();
            budget(&scaled, &schema()).unwrap().parameters
        };
        let wanted = one(20) + (one(21) - one(20)) * 2 / 3;
        let found = widths_for(&start, &goal(Quantity::Parameters), wanted, &schema()).unwrap();
        assert_eq!(found.expert_dims, [21]);
    }

    #[test]
    fn widths_keep_their_ratio_and_none_vanishes() {
        assert_eq!(scale(&[64, 32], 64), [64, 32]);
        assert_eq!(scale(&[64, 32], 5), [5, 3]);
        assert_eq!(scale(&[64, 1], 2), [2, 1]);
    }
}
