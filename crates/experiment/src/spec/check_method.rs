//! Whether a method of tuning fits what is to be searched, and gives every variant the same budget.

use super::Variant;
use super::method::{Halving, Method, at};
use super::source::{Locator, Source};
use super::space::{Axis, Domain, Space};
use homebench_diagnostic::{Diagnostic, KeyPath};

/// Checks that a method has the settings that it searches, the trials that it takes, and the same epochs for every variant.
///
/// # Errors
/// What the method can't search, rungs that leave no trial, too few trials, variants of other epochs.
pub(super) fn check(
    method: &Method,
    trials: Option<usize>,
    variants: &[(&Variant, Space)],
    source: &Source,
) -> Result<(), Diagnostic> {
    for (_, space) in variants {
        check_axes(method, space, source)?;
    }
    check_epochs(variants, source)?;
    if matches!(method, Method::SuccessiveHalving(_)) {
        check_programs(variants, source)?;
    }
    match (method, trials) {
        (Method::SuccessiveHalving(halving), Some(trials)) => {
            let epochs = variants
                .first()
                .map(|(variant, _)| variant.configured.training.max_epochs);
            check_rungs(*halving, trials, epochs.unwrap_or(1), source)
        }
        (Method::Tpe(tpe), Some(trials)) if trials <= tpe.startup_trials => {
            let place = at("trials");
            let message = format!(
                "`{place}`: expected more than the {} trials of the start-up (`startup_trials`), found {trials}: none would be suggested",
                tpe.startup_trials
            );
            Err(source.at_value(&place, message).hint(format!(
                "give more trials, or `startup_trials = {}`; with fewer than 4 trials, `method = \"random\"` does the same",
                (trials / 2).max(2)
            )))
        }
        _ => Ok(()),
    }
}

fn check_axes(method: &Method, space: &Space, source: &Source) -> Result<(), Diagnostic> {
    let (name, is_grid) = (method.name(), *method == Method::Grid);
    let foreign: Option<&Axis> = match is_grid {
        true => space.random.axes.first(),
        false => space.grid.first(),
    };
    let Some(axis) = foreign else {
        return Ok(());
    };
    let (message, hint) = match (is_grid, &axis.domain) {
        (true, Domain::Choices(_)) => (
            format!("`{}`: the method `grid` draws nothing", axis.place),
            "write the list into [tuning.grid]",
        ),
        (true, _) => (
            format!(
                "`{}`: a grid has no points of its own within a range",
                axis.place
            ),
            "list the values in [tuning.grid], or write `method = \"random\"`",
        ),
        (false, _) => (
            format!(
                "`{}`: the method `{name}` draws, and a grid is not drawn from",
                axis.place
            ),
            "write it as `{ choices = [...] }` into [tuning.random], or write `method = \"grid\"`",
        ),
    };
    Err(source.at_key(&axis.place, message).hint(hint))
}

/// A search with other epochs for one variant than for another would be no equal budget.
fn check_epochs(variants: &[(&Variant, Space)], source: &Source) -> Result<(), Diagnostic> {
    let is_epochs = |axis: &&Axis| axis.setting.to_string() == "training.max_epochs";
    for (_, space) in variants {
        if let Some(axis) = space.axes().find(is_epochs) {
            let message = format!(
                "`{}`: epochs are what a trial costs, and every variant is to have the same budget",
                axis.place
            );
            return Err(source.at_key(&axis.place, message).hint(
                "leave it out: early stopping chooses the epoch; or leave `method` out, which compares trials and not epochs",
            ));
        }
    }
    let epochs = |variant: &Variant| variant.configured.training.max_epochs;
    let Some((first, _)) = variants.first() else {
        return Ok(());
    };
    let Some((other, _)) = variants
        .iter()
        .find(|(one, _)| epochs(one) != epochs(first))
    else {
        return Ok(());
    };
    let place =
        |variant: &Variant| KeyPath::new(["variants", &variant.name, "training", "max_epochs"]);
    let has_own = |variant: &&&Variant| variant.locator(source).has(&place(variant));
    let blamed = [other, first].into_iter().find(has_own).unwrap_or(other);
    let message = format!(
        "every variant is tuned with the same epochs: `{}` has {}, `{}` has {}",
        first.name,
        epochs(first),
        other.name,
        epochs(other)
    );
    Err(blamed
        .locator(source)
        .at_value(&place(blamed), message)
        .hint("write `max_epochs` into [training] alone"))
}

/// Rungs end at epochs, and go on from checkpoints; a program has neither.
fn check_programs(variants: &[(&Variant, Space)], source: &Source) -> Result<(), Diagnostic> {
    let mut variants = variants.iter().map(|(variant, _)| variant);
    let Some(program) = variants.find(|variant| variant.configured.model.is_program()) else {
        return Ok(());
    };
    let place = KeyPath::new(["variants", &program.base, "command"]);
    let message = format!(
        "`{place}`: a program trains at once, and `successive_halving` trains some epochs and then more"
    );
    Err(source.at_value(&place, message).hint(
        "tune with another method, such as `method = \"random\"` or `method = \"tpe\"`, or compare the program in a spec of its own",
    ))
}

fn check_rungs(
    halving: Halving,
    trials: usize,
    max_epochs: usize,
    source: &Source,
) -> Result<(), Diagnostic> {
    let Halving { eta, min_epochs } = halving;
    // Where it isn't written, `eta` is what is too large.
    let place = match Locator::new(source).has(&at("min_epochs")) {
        true => at("min_epochs"),
        false => at("method"),
    };
    if min_epochs > max_epochs {
        let message = format!(
            "`{place}`: expected at most `max_epochs`, which is {max_epochs}, found {min_epochs}"
        );
        return Err(source
            .at_value(&place, message)
            .hint("write fewer, or raise `training.max_epochs`"));
    }
    let rungs = halving.rungs(max_epochs);
    let shown: Vec<String> = rungs.iter().map(usize::to_string).collect();
    let shown = shown.join(", ");
    if rungs.len() < 2 {
        let message = format!(
            "`{place}`: {max_epochs} epochs with `eta = {eta}` and `min_epochs = {min_epochs}` make one rung, on which nothing is halved"
        );
        return Err(source.at_value(&place, message).hint(format!(
            "raise `training.max_epochs` to {} or more, or lower `min_epochs`",
            eta.saturating_mul(min_epochs)
        )));
    }
    if halving.kept(trials, rungs.len() - 1) > 0 {
        return Ok(());
    }
    let left: Vec<String> = (0..rungs.len())
        .map(|rung| halving.kept(trials, rung).to_string())
        .collect();
    let enough = (1..rungs.len()).fold(1usize, |all, _| all.saturating_mul(eta));
    let place = at("trials");
    let message = format!(
        "`{place}`: {trials} trials leave {} on rungs of {shown} epochs with `eta = {eta}`: none on the last",
        left.join(", ")
    );
    Err(source.at_value(&place, message).hint(format!(
        "give {enough} trials or more, or raise `min_epochs` for fewer rungs"
    )))
}
