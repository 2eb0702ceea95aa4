//! One set of embedding tables: its paths and shapes, and what gathers and updates it.

use crate::ModelError;
use crate::features::{FeatureDims, Ids, Tables};
use crate::layout::TaskLayout;
use crate::var_builder::VarBuilder;
use homebench_kernels::Parameter;
use homebench_kernels::optimizer::{
    Columns, EmbeddingTables, Kept, PooledTables, Reader, Reads, RowGradients, SharedTables,
    SparseRule,
};

/// Paths and shapes of the tables that an [`EmbeddedInput`](super::EmbeddedInput) makes, without making any.
pub fn table_shapes(
    dims: &FeatureDims,
    layout: &TaskLayout,
    tables: Tables,
) -> Vec<(String, [usize; 2])> {
    let of_root = |root: &String| {
        let table = |(name, shape): (&str, [usize; 2])| (path(root, name), shape);
        dims.distinct_tables()
            .into_iter()
            .map(table)
            .collect::<Vec<_>>()
    };
    roots(layout, tables).iter().flat_map(of_root).collect()
}

/// Paths of a table in every set of tables that an [`EmbeddedInput`](super::EmbeddedInput) makes, in the order of the sets.
pub fn table_paths(table: &str, layout: &TaskLayout, tables: Tables) -> Vec<String> {
    let roots = roots(layout, tables);
    roots.iter().map(|root| path(root, table)).collect()
}

fn path(root: &str, table: &str) -> String {
    format!("{root}embedding.{table}.weight")
}

/// What the paths of each set of tables begin with, in the order of the sets.
pub(super) fn roots(layout: &TaskLayout, tables: Tables) -> Vec<String> {
    let shared = String::new();
    if !tables.per_task() {
        return vec![shared];
    }
    let of_tasks = layout.tasks.iter().map(|task| format!("task.{task}."));
    // Behind those of the tasks, as models count them.
    let behind = (tables == Tables::PerTaskAndShared).then_some(shared);
    of_tasks.chain(behind).collect()
}

/// One set of embedding tables.
#[derive(Debug)]
pub(super) enum TableSet {
    /// A table a feature, all of one width.
    // Two kinds, since a single id's row is copied and a list's rows are pooled; both count their own steps.
    Plain {
        single: EmbeddingTables,
        lists: PooledTables,
    },
    /// Any others.
    Shared(SharedTables),
}

impl TableSet {
    /// Tables under `<root>embedding.<table>.weight`.
    pub(super) fn new(
        root: &str,
        dims: &FeatureDims,
        tables: Tables,
        rule: SparseRule,
        vb: &VarBuilder,
    ) -> Result<Self, ModelError> {
        let table = |name: &str, [rows, width]: [usize; 2]| {
            let vb = vb.pp(format!("{root}embedding.{name}"));
            vb.get((rows, width), "weight", tables.init())
        };
        if dims.is_plain() {
            let of = |name: &str, rows: usize| table(name, [rows, dims.embedding_dim]);
            let single = dims.vocabularies.iter().map(|(name, rows)| of(name, *rows));
            let lists =
                (dims.lists.iter()).map(|(name, rows, pooling)| Ok((of(name, *rows)?, *pooling)));
            return Ok(Self::Plain {
                single: EmbeddingTables::new(single.collect::<Result<_, _>>()?, rule)?,
                lists: PooledTables::new(lists.collect::<Result<_, ModelError>>()?, rule)?,
            });
        }
        if !vb.device().is_cpu() {
            return Err(ModelError::InvalidLayout {
                message: "tables that features share, widths of features, and lists that attend to a target are on processors alone; use \
                          `device = \"cpu\"`, or leave `table` of the description, `embedding_dims` and `attention` out"
                    .to_owned(),
            });
        }
        let distinct = dims.distinct_tables();
        let parameters = distinct.iter().map(|(name, shape)| table(name, *shape));
        let place = |feature: &str| {
            let (name, _) = dims.table_of(feature);
            let mut names = distinct.iter().map(|(name, _)| *name);
            names.position(|other| other == name).unwrap_or(0)
        };
        let single = dims.vocabularies.iter().map(|(name, _)| Reader {
            table: place(name),
            reads: Reads::One,
        });
        let lists = dims.lists.iter().map(|(name, _, pooling)| Reader {
            table: place(name),
            reads: match dims.attends(name) {
                true => Reads::Elements,
                false => Reads::Pooled(*pooling),
            },
        });
        let readers: Vec<Reader> = single.chain(lists).collect();
        let parameters = parameters.collect::<Result<_, _>>()?;
        Ok(Self::Shared(SharedTables::new(parameters, &readers, rule)?))
    }

    /// The tables' variables.
    pub(super) fn parameters(&self) -> Box<dyn Iterator<Item = &Parameter> + '_> {
        match self {
            Self::Plain { single, lists } => {
                Box::new(single.parameters().chain(lists.parameters()))
            }
            Self::Shared(tables) => Box::new(tables.parameters()),
        }
    }

    /// Writes the units of the embedded features into the first columns of `out`.
    pub(super) fn gather(
        &self,
        ids: Ids<'_>,
        out: &mut [f32],
        columns: Columns,
    ) -> candle_core::Result<()> {
        match self {
            Self::Plain { single, lists } => {
                single.gather(ids.single, out, columns)?;
                lists.gather(ids.lists, out, behind(single, columns))
            }
            Self::Shared(tables) => tables.gather(ids.single, ids.lists, out, columns),
        }
    }

    /// Writes the rows of every id of an attending list into `out`; `place` counts those lists.
    pub(super) fn gather_elements(
        &self,
        place: usize,
        ids: Ids<'_>,
        out: &mut [f32],
    ) -> candle_core::Result<()> {
        match self {
            Self::Plain { .. } => candle_core::bail!("no list of these tables attends to a target"),
            Self::Shared(tables) => tables.gather_elements(place, ids.lists, out),
        }
    }

    /// Updates the rows that were read.
    pub(super) fn update(
        &mut self,
        ids: Ids<'_>,
        gradient: RowGradients<'_>,
        columns: Columns,
        rate: f64,
    ) -> candle_core::Result<()> {
        match self {
            Self::Plain { single, lists } => {
                let of_lists = behind(single, columns);
                single.update(ids.single, gradient.rows, columns, rate)?;
                lists.update(ids.lists, gradient.rows, of_lists, rate)
            }
            Self::Shared(tables) => tables.update(ids.single, ids.lists, gradient, columns, rate),
        }
    }

    /// Those that have kernels of devices.
    pub(super) fn plain(&self) -> Result<(&EmbeddingTables, &PooledTables), ModelError> {
        match self {
            Self::Plain { single, lists } => Ok((single, lists)),
            Self::Shared(_) => Err(ModelError::InvalidLayout {
                message: "tables that features share are on processors alone".to_owned(),
            }),
        }
    }

    /// The same, to be changed.
    pub(super) fn plain_mut(&mut self) -> Option<(&mut EmbeddingTables, &mut PooledTables)> {
        match self {
            Self::Plain { single, lists } => Some((single, lists)),
            Self::Shared(_) => None,
        }
    }

    pub(super) fn steps_done(&self) -> u64 {
        match self {
            // A set without tables counts nothing.
            Self::Plain { single, lists } => single.steps_done().max(lists.steps_done()),
            Self::Shared(tables) => tables.steps_done(),
        }
    }

    pub(super) fn set_steps_done(&mut self, steps: u64) {
        match self {
            Self::Plain { single, lists } => {
                single.set_steps_done(steps);
                lists.set_steps_done(steps);
            }
            Self::Shared(tables) => tables.set_steps_done(steps),
        }
    }

    pub(super) fn kept_mut(&mut self) -> Box<dyn Iterator<Item = (String, &mut Kept)> + '_> {
        match self {
            Self::Plain { single, lists } => Box::new(single.kept_mut().chain(lists.kept_mut())),
            Self::Shared(tables) => Box::new(tables.kept_mut()),
        }
    }
}

/// Pooled lists come after the single values.
fn behind(single: &EmbeddingTables, columns: Columns) -> Columns {
    Columns {
        offset: columns.offset + single.output_dim(),
        ..columns
    }
}
