//! Descriptions as they are written in TOML. Nothing here is checked beyond its type.

use super::Pooling;
use super::check_unit_tasks::LabelKnobs;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The source of a dataset's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireSource {
    /// Files with rows and columns.
    #[serde(alias = "csv")]
    Table,
    /// The embedded short-video feed.
    Synthetic,
    /// The embedded pair of regressions.
    TwoTaskRegression,
    /// The embedded tasks along an arc.
    TaskArc,
    /// The embedded tasks at depths.
    TaskDepths,
    /// The embedded chain of tasks.
    ClickChain,
}

/// A dataset in files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
// Maps are sorted by key. Where the author's order counts (features, tasks, joins), the document's
// keys_in_order has it.
pub(super) struct WireTable {
    pub(super) about: Option<String>,
    pub(super) licence: Option<String>,
    #[allow(dead_code)] // Read by itself, to know which of the two kinds a description is.
    pub(super) source: WireSource,
    pub(super) default_protocol: String,
    /// A list of names or tables, or a table of columns.
    pub(super) columns: toml::Value,
    /// Texts that stand for nothing, in every column.
    pub(super) missing: Option<toml::Value>,
    #[serde(default)]
    pub(super) format: WireFormat,
    pub(super) files: BTreeMap<String, WireFile>,
    pub(super) fetch: Option<WireFetch>,
    #[serde(default)]
    pub(super) allowed_values: BTreeMap<String, Vec<String>>,
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) keys: Vec<String>,
    pub(super) weight: Option<String>,
    /// The column of scenarios.
    pub(super) scenario: Option<String>,
    pub(super) features: BTreeMap<String, WireFeature>,
    pub(super) tasks: BTreeMap<String, WireTask>,
    #[serde(default)]
    pub(super) optional: Vec<String>,
    pub(super) filter: Option<String>,
    #[serde(default)]
    pub(super) joins: BTreeMap<String, WireJoin>,
    /// By embedding table.
    #[serde(default)]
    pub(super) pretrained: BTreeMap<String, WirePretrained>,
    pub(super) split: WireSplit,
    pub(super) protocols: BTreeMap<String, WireProtocol>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFormat {
    pub(super) kind: Option<WireFileKind>,
    pub(super) separator: Option<String>,
    pub(super) has_header: Option<bool>,
    pub(super) quotes: Option<bool>,
    pub(super) trim_spaces: Option<bool>,
    pub(super) encoding: Option<WireEncoding>,
    pub(super) escape: Option<String>,
    pub(super) comment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireFileKind {
    /// Delimited text.
    Csv,
    /// RecBole's atomic files.
    #[serde(rename = "recbole")]
    RecBole,
    #[serde(rename = "libsvm")]
    LibSvm,
    #[serde(rename = "libffm")]
    LibFfm,
    Parquet,
    /// Arrow's own format, as a file (Feather) or as a stream.
    Arrow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum WireEncoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1")]
    Latin1,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFile {
    pub(super) name: String,
    #[serde(default)]
    pub(super) other_names: Vec<String>,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
    pub(super) rows: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFetch {
    pub(super) package: String,
    pub(super) version: String,
    pub(super) archive: String,
    pub(super) sha256: String,
    pub(super) members: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireFeatureKind {
    Categorical,
    Numeric,
    Bucket,
    Hash,
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireTransform {
    Log1p,
    Standardise,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFeature {
    pub(super) kind: WireFeatureKind,
    pub(super) column: Option<String>,
    pub(super) min_count: Option<u64>,
    pub(super) transform: Option<Vec<WireTransform>>,
    pub(super) buckets: Option<u64>,
    pub(super) separator: Option<char>,
    pub(super) pooling: Option<Pooling>,
    /// The embedding table that it reads, where that is not its own.
    pub(super) table: Option<String>,
    /// Protocols that have the feature; all where absent.
    pub(super) protocols: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireTaskKind {
    #[default]
    Classification,
    Regression,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTask {
    #[serde(default)]
    pub(super) kind: WireTaskKind,
    pub(super) label: String,
    /// Of the numbers of a regression.
    pub(super) transform: Option<Vec<WireTransform>>,
    pub(super) observed: Option<String>,
    pub(super) group: String,
    /// The task that it comes after.
    pub(super) after: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireSplit {
    #[serde(default)]
    pub(super) kind: WireSplitKind,
    /// One key of [files], or several.
    pub(super) train: Option<toml::Value>,
    /// As `train`.
    pub(super) holdout: Option<toml::Value>,
    /// As `train`.
    pub(super) files: Option<toml::Value>,
    pub(super) column: Option<String>,
    /// A number or a text.
    pub(super) validation_from: Option<toml::Value>,
    /// A number or a text.
    pub(super) test_from: Option<toml::Value>,
    pub(super) validation_fraction: Option<f64>,
    pub(super) test_fraction: Option<f64>,
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireSplitKind {
    #[default]
    Files,
    Time,
    Hash,
    User,
}

/// A table whose columns are added to every row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireJoin {
    /// One key of [files], or several.
    pub(super) file: toml::Value,
    /// The column of the rows that is looked up.
    pub(super) on: String,
    /// The column of the table that it is looked up in; `on` where absent.
    pub(super) key: Option<String>,
    /// As those of the rows.
    pub(super) columns: toml::Value,
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) format: Option<WireFormat>,
}

/// Vectors that the rows of an embedding table may start from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WirePretrained {
    /// One key of [files], or several.
    pub(super) file: toml::Value,
    /// The column, or the tensor, of the values that the vectors are of.
    pub(super) key: String,
    /// The column, or the tensor, of the vectors.
    pub(super) vector: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireProtocol {
    pub(super) about: Option<String>,
    pub(super) tasks: Vec<String>,
    pub(super) filter: Option<String>,
    #[serde(default)]
    pub(super) not_inputs: Vec<String>,
    #[serde(default)]
    pub(super) label_sources_as_inputs: Vec<String>,
}

/// The embedded short-video feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFeed {
    pub(super) about: Option<String>,
    #[allow(dead_code)]
    pub(super) source: WireSource,
    pub(super) seed: u64,
    pub(super) rows: WireRows,
    pub(super) feed: WireFeedShape,
    pub(super) tasks: BTreeMap<String, WireFeedTask>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRows {
    pub(super) train: u64,
    pub(super) validation: u64,
    pub(super) test: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFeedShape {
    pub(super) num_users: u32,
    pub(super) num_user_segments: u32,
    pub(super) num_videos: u32,
    pub(super) num_authors: u32,
    pub(super) num_categories: u32,
    pub(super) popularity_skew: f64,
    #[serde(default)]
    pub(super) activity_skew: f64,
    pub(super) num_factors: usize,
    pub(super) between_correlation: f64,
    pub(super) within_correlation: f64,
    #[serde(default)]
    pub(super) conflict: f64,
    pub(super) nonlinearity: f64,
    pub(super) signal: f64,
    #[serde(default)]
    pub(super) noise: f64,
    /// All that are described where absent.
    pub(super) num_tasks: Option<usize>,
    #[serde(default)]
    pub(super) num_unrelated: usize,
    /// By task; 1 where it names none.
    #[serde(default)]
    pub(super) observed_share: BTreeMap<String, f64>,
    /// None where absent.
    pub(super) num_scenarios: Option<u32>,
    pub(super) scenario_skew: Option<f64>,
    pub(super) scenario_share: Option<f64>,
    pub(super) scenario_shift: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFeedTask {
    pub(super) group: String,
    pub(super) rate: f64,
}

/// The embedded pair of regressions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTwoTask {
    pub(super) about: Option<String>,
    #[allow(dead_code)]
    pub(super) source: WireSource,
    pub(super) seed: u64,
    pub(super) rows: WireRows,
    pub(super) regression: WireTwoTaskShape,
    pub(super) tasks: BTreeMap<String, WireTwoTaskTask>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTwoTaskShape {
    pub(super) input_dim: usize,
    pub(super) correlation: f64,
    pub(super) scale: f64,
    pub(super) frequencies: Vec<f64>,
    pub(super) phases: Vec<f64>,
    pub(super) noise: f64,
    /// By task; 1 where it names none.
    #[serde(default)]
    pub(super) label_scales: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTwoTaskTask {
    pub(super) group: String,
}

/// A source whose true functions have mean 0 and variance 1, and the table of its knobs: its own, and those of labels.
macro_rules! unit_source {
    (
        $(#[$about:meta])* $source:ident,
        $table:ident: $shape:ident { $($(#[$attribute:meta])* $knob:ident: $kind:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $source {
            pub(super) about: Option<String>,
            #[allow(dead_code)]
            pub(super) source: WireSource,
            pub(super) seed: u64,
            pub(super) rows: WireRows,
            pub(super) $table: $shape,
            pub(super) tasks: BTreeMap<String, WireUnitTask>,
        }

        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $shape {
            $($(#[$attribute])* pub(super) $knob: $kind,)*
            noise: Option<f64>,
            signal: Option<f64>,
            /// By task; 1 where it names none.
            #[serde(default)]
            label_scales: BTreeMap<String, f64>,
        }

        impl $shape {
            /// Those of labels.
            pub(super) fn labels(&self) -> LabelKnobs<'_> {
                LabelKnobs {
                    table: stringify!($table),
                    noise: self.noise,
                    signal: self.signal,
                    label_scales: &self.label_scales,
                }
            }
        }
    };
}

unit_source! {
    /// The embedded tasks along an arc.
    WireTaskArc,
    arc: WireArcShape {
        input_dim: usize,
        step_degrees: f64,
        #[serde(default)]
        frequencies: Vec<f64>,
        #[serde(default)]
        phases: Vec<f64>,
        /// All that are described where absent.
        num_tasks: Option<usize>,
    }
}

unit_source! {
    /// The embedded tasks at depths.
    WireTaskDepths,
    network: WireNetworkShape {
        input_dim: usize,
        hidden_dim: usize,
        depths: Vec<usize>,
    }
}

/// A task whose true function has mean 0 and variance 1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireUnitTask {
    pub(super) group: String,
    /// A regression where absent.
    pub(super) kind: Option<WireTaskKind>,
}
