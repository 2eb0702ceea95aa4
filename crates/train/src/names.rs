//! The few names that training gives: those of splits, and of what it measures inside a model.

use serde::{Deserialize, Serialize};

/// An enum whose variants are called in tables and in checkpoints as they are called here.
macro_rules! names {
    ($(#[$about:meta])* $type:ident { $($variant:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// Its name in files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

names! {
    /// A part of a dataset.
    SplitName {
        Train = "train",
        Validation = "validation",
        Test = "test",
    }
}

names! {
    /// What is measured of experts and gates: METHODOLOGY defines each.
    InsideName {
        ZeroRate = "zero_rate",
        DeadUnits = "dead_units",
        Mean = "mean",
        Deviation = "std",
        Occupancy = "occupancy",
        GradientNorm = "gradient_norm",
        ScaleDisparity = "scale_disparity",
        Executed = "executed",
        LoadSkew = "load_skew",
        TaskInformation = "task_information",
        RoutingSimilarity = "routing_similarity",
        Weight = "weight",
        Entropy = "entropy",
        Spread = "spread",
        SpecificWeight = "specific_weight",
        SpecificWeightRho = "specific_weight_rho",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CurvePoint;
    use homebench_metric::Metric;

    #[test]
    fn names_stand_in_a_checkpoint_as_they_always_have_and_others_are_refused() {
        let text = "epoch = 1\nstep = 2\nsplit = \"train\"\ntask = \"all\"\nmetric = \"loss\"\nvalue = 0.5\n";
        let point: CurvePoint = toml::from_str(text).unwrap();
        assert_eq!(
            (point.split, point.metric),
            (SplitName::Train, Metric::Loss)
        );
        assert_eq!(toml::to_string(&point).unwrap(), text);
        let newer = text.replace("loss", "newer");
        let refused = toml::from_str::<CurvePoint>(&newer).unwrap_err();
        assert!(refused.message().contains("unknown variant `newer`"));
    }
}
