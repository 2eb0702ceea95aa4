//! The methods that weigh tasks, with the keys and defaults of each.

use super::config::{BalanceAt, BalanceConfig, GradientScaling};
use serde::{Deserialize, Serialize};

/// How the losses of tasks become one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BalanceMethod {
    /// The sum of the losses.
    #[default]
    #[serde(rename = "ew")]
    EqualWeights,
    /// A learned variance a task (Kendall et al. 2018).
    #[serde(rename = "uw")]
    Uncertainty,
    /// More weight where the mean loss falls slowly (Liu et al. 2019).
    #[serde(rename = "dwa")]
    DynamicAverage,
    /// Random weights (Lin et al. 2022).
    #[serde(rename = "rlw")]
    RandomWeights,
    /// The geometric mean of the losses (Chennupati et al. 2019).
    #[serde(rename = "gls")]
    GeometricMean,
    /// A learned factor a task that brings every loss to one scale (Liu et al. 2021).
    #[serde(rename = "imtl_l")]
    ImpartialLosses,
    /// An equal rate of improvement, by one more forward pass (Liu et al. 2023).
    #[serde(rename = "famo")]
    Famo,
    /// A smooth maximum of the losses' ratios to where they were (Lin et al. 2024).
    #[serde(rename = "stch")]
    SmoothTchebycheff,
    /// Gradient norms that go by training rates (Chen et al. 2018).
    #[serde(rename = "gradnorm")]
    GradNorm,
    /// The shortest convex combination of the gradients (Sener and Koltun 2018).
    #[serde(rename = "mgda")]
    MinimumNorm,
    /// Conflicting gradients projected onto each other's normal plane (Yu et al. 2020).
    #[serde(rename = "pcgrad")]
    PcGrad,
    /// Gradients turned towards running means of their cosines (Wang et al. 2021).
    #[serde(rename = "gradvac")]
    GradVac,
    /// The best worst-case gain near the mean gradient (Liu et al. 2021).
    #[serde(rename = "cagrad")]
    CaGrad,
    /// Equal projections onto every task's gradient (Liu et al. 2021).
    #[serde(rename = "imtl_g")]
    ImpartialGradients,
    /// The Nash bargaining solution (Navon et al. 2022).
    #[serde(rename = "nash_mtl")]
    Nash,
    /// Alpha-fair gains (Ban and Ji 2024).
    #[serde(rename = "fairgrad")]
    FairGrad,
    /// Principal components of one length (Senushkin et al. 2023).
    #[serde(rename = "aligned_mtl")]
    Aligned,
    /// The mean of the projections onto the cone that no task conflicts with (Quinton and Rey 2024).
    #[serde(rename = "upgrad")]
    UpGrad,
    /// Gradients of log-losses, smoothed and brought to the largest norm (Lin et al. 2023).
    #[serde(rename = "db_mtl")]
    DualBalance,
    /// Gradients brought towards the norm of a main task's (He et al. 2022).
    #[serde(rename = "metabalance")]
    MetaBalance,
}

use BalanceMethod::{
    Aligned, CaGrad, DualBalance, DynamicAverage, EqualWeights, FairGrad, Famo, GeometricMean,
    GradNorm, GradVac, ImpartialGradients, ImpartialLosses, MetaBalance, MinimumNorm, Nash, PcGrad,
    RandomWeights, SmoothTchebycheff, Uncertainty, UpGrad,
};

impl BalanceMethod {
    /// Every method, in the order of the docs.
    pub const ALL: [Self; 20] = [
        EqualWeights,
        Uncertainty,
        DynamicAverage,
        RandomWeights,
        GeometricMean,
        ImpartialLosses,
        Famo,
        SmoothTchebycheff,
        GradNorm,
        MinimumNorm,
        PcGrad,
        GradVac,
        CaGrad,
        ImpartialGradients,
        Nash,
        FairGrad,
        Aligned,
        UpGrad,
        DualBalance,
        MetaBalance,
    ];

    /// As a spec writes it.
    pub fn name(self) -> &'static str {
        match self {
            EqualWeights => "ew",
            Uncertainty => "uw",
            DynamicAverage => "dwa",
            RandomWeights => "rlw",
            GeometricMean => "gls",
            ImpartialLosses => "imtl_l",
            Famo => "famo",
            SmoothTchebycheff => "stch",
            GradNorm => "gradnorm",
            MinimumNorm => "mgda",
            PcGrad => "pcgrad",
            GradVac => "gradvac",
            CaGrad => "cagrad",
            ImpartialGradients => "imtl_g",
            Nash => "nash_mtl",
            FairGrad => "fairgrad",
            Aligned => "aligned_mtl",
            UpGrad => "upgrad",
            DualBalance => "db_mtl",
            MetaBalance => "metabalance",
        }
    }

    /// Whether it needs a gradient of every task, where the others need their losses alone.
    pub fn needs_gradients(self) -> bool {
        match self {
            EqualWeights | Uncertainty | DynamicAverage | RandomWeights | GeometricMean
            | ImpartialLosses | Famo | SmoothTchebycheff => false,
            GradNorm | MinimumNorm | PcGrad | GradVac | CaGrad | ImpartialGradients | Nash
            | FairGrad | Aligned | UpGrad | DualBalance | MetaBalance => true,
        }
    }

    /// The keys that it has beside `method`, whether or not they have a default.
    pub fn keys(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            EqualWeights => return Vec::new(),
            Uncertainty | ImpartialLosses => &["learning_rate", "initial"],
            DynamicAverage => &["temperature", "every_steps"],
            Famo => &["learning_rate", "weight_decay"],
            SmoothTchebycheff => &["mu", "warm_up_epochs"],
            GradNorm => &["alpha", "learning_rate"],
            MinimumNorm => &["scaling"],
            GradVac | DualBalance => &["beta"],
            CaGrad => &["c"],
            FairGrad => &["alpha"],
            MetaBalance => &["relaxation", "beta", "main_task"],
            RandomWeights | GeometricMean | PcGrad | ImpartialGradients | Nash | Aligned
            | UpGrad => &[],
        };
        let of_gradients: &[&str] = match self.needs_gradients() {
            true => &["balance_at", "weigh_heads"],
            false => &[],
        };
        [&["normalise"], own, of_gradients].concat()
    }

    /// What each of its keys is where a spec says nothing.
    pub fn defaults(self) -> BalanceConfig {
        let mut config = BalanceConfig::of_method(self);
        if self == EqualWeights {
            return config;
        }
        config.normalise = Some(true);
        match self {
            Uncertainty => {
                config.learning_rate = Some(0.01);
                config.initial = Some(-0.5);
            }
            ImpartialLosses => {
                config.learning_rate = Some(0.01);
                config.initial = Some(0.0);
            }
            DynamicAverage => config.temperature = Some(2.0),
            Famo => {
                config.learning_rate = Some(0.025);
                config.weight_decay = Some(1e-3);
            }
            SmoothTchebycheff => {
                config.mu = Some(1.0);
                config.warm_up_epochs = Some(1);
            }
            GradNorm => {
                config.alpha = Some(1.5);
                config.learning_rate = Some(0.025);
            }
            MinimumNorm => config.scaling = Some(GradientScaling::None),
            GradVac => config.beta = Some(0.5),
            CaGrad => config.c = Some(0.5),
            FairGrad => config.alpha = Some(1.0),
            DualBalance => config.beta = Some(0.9),
            MetaBalance => {
                config.relaxation = Some(0.7);
                config.beta = Some(0.9);
            }
            _ => {}
        }
        if self.needs_gradients() {
            config.balance_at = Some(BalanceAt::Parameters);
            // As their authors' code has it: what the others find is of shared gradients alone.
            config.weigh_heads = Some(matches!(self, GradNorm | Nash | FairGrad));
        }
        config
    }
}
