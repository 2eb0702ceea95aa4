//! `[training.balance]` as a spec writes it, and as a cell keeps it: with every default written out.

use super::method::BalanceMethod;
use serde::{Deserialize, Serialize};

/// Where the gradients are taken that a method compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceAt {
    /// At the dense variables that more than one task learns.
    #[default]
    Parameters,
    /// At what the tasks' own parts read.
    Representation,
}

/// What MGDA divides each task's gradient by before it compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientScaling {
    /// 1.
    #[default]
    None,
    /// Its norm.
    L2,
    /// The task's loss.
    Loss,
    /// The task's loss times the gradient's norm.
    LossL2,
}

/// A table `[training.balance]`. A key that its method does not have is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceConfig {
    /// How tasks are weighed.
    pub method: BalanceMethod,
    /// Whether weights are brought to a sum of the number of tasks: all methods but `ew`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<bool>,
    /// Of the softmax: `dwa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Steps of a mean of losses: `dwa`; an epoch where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<usize>,
    /// Step size of the weights' own Adam: `uw`, `imtl_l`, `famo`, `gradnorm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// L2 penalty of the same: `famo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// What the learned scalars start from: `uw`, `imtl_l`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<f64>,
    /// Smoothness of the maximum: `stch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mu: Option<f64>,
    /// Epochs of the sum of log-losses before the maximum: `stch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up_epochs: Option<usize>,
    /// Power of the training rate: `gradnorm`; of fairness: `fairgrad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// What MGDA divides gradients by: `mgda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<GradientScaling>,
    /// Radius about the mean gradient, in its norm: `cagrad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<f64>,
    /// Share of the new cosine in its running mean: `gradvac`. Share of the old value in the running mean of gradients (`db_mtl`) or of
    /// norms (`metabalance`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Share of the way to the main task's norm: `metabalance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relaxation: Option<f64>,
    /// Whose norm the others are brought to: `metabalance`; the first task where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main_task: Option<String>,
    /// Where gradients are compared: the methods that need them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance_at: Option<BalanceAt>,
    /// Whether the tasks' own parts are weighed as well: the methods that need gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weigh_heads: Option<bool>,
}

impl BalanceConfig {
    /// A method with nothing said.
    pub(super) fn of_method(method: BalanceMethod) -> Self {
        Self {
            method,
            ..Self::default()
        }
    }

    /// Whether it is the plain sum of the losses, as training without this table.
    pub fn is_equal_weights(&self) -> bool {
        self.method == BalanceMethod::EqualWeights
    }

    /// With the defaults of its method where nothing is said.
    #[must_use]
    pub fn filled(self) -> Self {
        let default = self.method.defaults();
        Self {
            method: self.method,
            normalise: self.normalise.or(default.normalise),
            temperature: self.temperature.or(default.temperature),
            every_steps: self.every_steps.or(default.every_steps),
            learning_rate: self.learning_rate.or(default.learning_rate),
            weight_decay: self.weight_decay.or(default.weight_decay),
            initial: self.initial.or(default.initial),
            mu: self.mu.or(default.mu),
            warm_up_epochs: self.warm_up_epochs.or(default.warm_up_epochs),
            alpha: self.alpha.or(default.alpha),
            scaling: self.scaling.or(default.scaling),
            c: self.c.or(default.c),
            beta: self.beta.or(default.beta),
            relaxation: self.relaxation.or(default.relaxation),
            main_task: self.main_task.or(default.main_task),
            balance_at: self.balance_at.or(default.balance_at),
            weigh_heads: self.weigh_heads.or(default.weigh_heads),
        }
    }

    /// The keys that are written beside `method`.
    pub fn written_keys(&self) -> Vec<&'static str> {
        let written = [
            ("normalise", self.normalise.is_some()),
            ("temperature", self.temperature.is_some()),
            ("every_steps", self.every_steps.is_some()),
            ("learning_rate", self.learning_rate.is_some()),
            ("weight_decay", self.weight_decay.is_some()),
            ("initial", self.initial.is_some()),
            ("mu", self.mu.is_some()),
            ("warm_up_epochs", self.warm_up_epochs.is_some()),
            ("alpha", self.alpha.is_some()),
            ("scaling", self.scaling.is_some()),
            ("c", self.c.is_some()),
            ("beta", self.beta.is_some()),
            ("relaxation", self.relaxation.is_some()),
            ("main_task", self.main_task.is_some()),
            ("balance_at", self.balance_at.is_some()),
            ("weigh_heads", self.weigh_heads.is_some()),
        ];
        let present = written.into_iter().filter(|(_, present)| *present);
        present.map(|(key, _)| key).collect()
    }

    /// A number that the method has, of a filled table.
    pub(super) fn number(value: Option<f64>) -> f64 {
        value.expect("a filled table has its method's numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_of_a_key_of_its_method_and_comes_back_from_its_text() {
        for method in BalanceMethod::ALL {
            let filled = BalanceConfig::of_method(method).filled();
            assert_eq!(filled, method.defaults());
            let keys = method.keys();
            for key in filled.written_keys() {
                assert!(keys.contains(&key), "{} {key}", method.name());
            }
            // Those without a default may be left to what they follow.
            let without: Vec<&str> = keys
                .into_iter()
                .filter(|key| !filled.written_keys().contains(key))
                .collect();
            assert!(
                without.is_empty() || without == ["every_steps"] || without == ["main_task"],
                "{without:?}"
            );
            let text = toml::to_string(&filled).unwrap();
            assert!(text.starts_with(&format!("method = \"{}\"\n", method.name())));
            assert_eq!(toml::from_str::<BalanceConfig>(&text).unwrap(), filled);
        }
    }

    #[test]
    fn what_is_said_is_kept() {
        let text = "method = \"dwa\"\ntemperature = 1.0\nnormalise = false";
        let config: BalanceConfig = toml::from_str(text).unwrap();
        let filled = config.filled();
        assert_eq!(filled.temperature, Some(1.0));
        assert_eq!(filled.normalise, Some(false));
    }
}
