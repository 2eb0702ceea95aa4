//! Settings that can't do anything within the steps that a training has.

use super::balance::BalanceMethod;
use super::config::TrainingConfig;
use super::loader::num_batches;
use super::schedule::Schedule;

/// What is to be said of settings that do nothing, or less than they say, in a training on so many rows.
///
/// The steps are those of all epochs: early stopping may leave fewer.
pub fn without_effect(training: &TrainingConfig, train_rows: usize) -> Vec<String> {
    let steps = num_batches(train_rows, training.batch_size);
    let epochs = training.max_epochs;
    let total = steps.saturating_mul(epochs);
    let mut said = Vec::new();
    let evaluations = training.evaluations_per_epoch;
    if evaluations > steps {
        said.push(format!(
            "`training.evaluations_per_epoch = {evaluations}`: an epoch has {steps} steps, and an evaluation after each"
        ));
    }
    let balance = &training.balance;
    match (balance.method, balance.every_steps, balance.warm_up_epochs) {
        (BalanceMethod::DynamicAverage, None, _) if epochs <= 2 => said.push(format!(
            "`training.balance.method = \"dwa\"`: weights are 1 for two epochs, which is all of `max_epochs = {epochs}`; `every_steps` gives it shorter windows"
        )),
        (BalanceMethod::DynamicAverage, Some(window), _) if total <= window.saturating_mul(2) => said.push(format!(
            "`training.balance.every_steps = {window}`: weights are 1 for two windows, which is all of the {total} steps"
        )),
        (BalanceMethod::SmoothTchebycheff, _, Some(warm_up)) if warm_up >= epochs => said.push(format!(
            "`training.balance.warm_up_epochs = {warm_up}`: the warm-up of `stch` is all of `max_epochs = {epochs}`"
        )),
        _ => {}
    }
    let (warm_up, then) = match training.schedule {
        Schedule::Constant => return said,
        Schedule::WarmUp { warm_up_steps } => (warm_up_steps, None),
        Schedule::Cosine { warm_up_steps, .. } => (warm_up_steps, None),
        Schedule::Step {
            warm_up_steps,
            every_steps,
            ..
        } => (warm_up_steps, Some(every_steps)),
    };
    match then {
        _ if warm_up > total => said.push(format!(
            "`training.schedule.warm_up_steps = {warm_up}`: there are {total} steps, so that the learning rate is never reached"
        )),
        Some(every) if total <= warm_up.saturating_add(every) => said.push(format!(
            "`training.schedule.every_steps = {every}`: there are {total} steps, so that the step size never drops"
        )),
        _ => {}
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_steps_leave_no_room_for_is_said() {
        let said = |text: &str| {
            let training: TrainingConfig = toml::from_str(text).unwrap();
            let training = TrainingConfig {
                batch_size: 10,
                balance: training.balance.clone().filled(),
                ..training
            };
            // 8 steps an epoch.
            without_effect(&training, 80).join("\n")
        };
        let found = [
            "evaluations_per_epoch = 9",
            "max_epochs = 2\nbalance = { method = \"dwa\" }",
            "max_epochs = 2\nbalance = { method = \"dwa\", every_steps = 8 }",
            "max_epochs = 2\nbalance = { method = \"stch\", warm_up_epochs = 2 }",
            "max_epochs = 2\nschedule = { kind = \"warm_up\", warm_up_steps = 17 }",
            "max_epochs = 2\nschedule = { kind = \"cosine\", warm_up_steps = 17 }",
            "max_epochs = 2\nschedule = { kind = \"step\", every_steps = 14, warm_up_steps = 2 }",
        ]
        .map(said);
        insta::assert_snapshot!(found.join("\n"), @r#"
        `training.evaluations_per_epoch = 9`: an epoch has 8 steps, and an evaluation after each
        `training.balance.method = "dwa"`: weights are 1 for two epochs, which is all of `max_epochs = 2`; `every_steps` gives it shorter windows
        `training.balance.every_steps = 8`: weights are 1 for two windows, which is all of the 16 steps
        `training.balance.warm_up_epochs = 2`: the warm-up of `stch` is all of `max_epochs = 2`
        `training.schedule.warm_up_steps = 17`: there are 16 steps, so that the learning rate is never reached
        `training.schedule.warm_up_steps = 17`: there are 16 steps, so that the learning rate is never reached
        `training.schedule.every_steps = 14`: there are 16 steps, so that the step size never drops
        "#);
        for right in [
            "evaluations_per_epoch = 8",
            "max_epochs = 3\nbalance = { method = \"dwa\" }",
            "max_epochs = 2\nbalance = { method = \"dwa\", every_steps = 7 }",
            "max_epochs = 2\nbalance = { method = \"stch\" }",
            "max_epochs = 2\nschedule = { kind = \"warm_up\", warm_up_steps = 16 }",
            "max_epochs = 2\nschedule = { kind = \"step\", every_steps = 13, warm_up_steps = 2 }",
        ] {
            assert_eq!(said(right), "", "{right}");
        }
    }
}
