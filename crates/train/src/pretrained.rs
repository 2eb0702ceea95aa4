//! Embedding tables that begin with pretrained vectors, and those of them that training leaves as they are.

use super::network::Network;
use super::{PretrainedUse, TrainError, TrainingConfig};
use candle_core::Tensor;
use homebench_data::{PretrainedTable, PretrainedVectors};
use homebench_kernels::Parameter;
use homebench_model::{ModelConfig, TaskLayout, table_paths};

/// Paths of the variables that begin with pretrained vectors, each with what training does to it. A model that has a table for each task
/// gives all of them the same vectors.
pub fn pretrained_paths(
    training: &TrainingConfig,
    model: &ModelConfig,
    layout: &TaskLayout,
) -> Vec<(String, PretrainedUse)> {
    let tables = training.pretrained.iter();
    let paths = tables.flat_map(|(table, how)| {
        let paths = table_paths(table, layout, model.tables()).into_iter();
        paths.map(|path| (path, *how))
    });
    paths.collect()
}

/// Gives the tables that `training` names the vectors of the data. A row without a vector keeps its random start, which is that of
/// a table without any.
///
/// # Errors
/// A table that has no vectors, or vectors of another width; vectors that can't be read.
pub(super) fn begin(
    network: &Network,
    model: &ModelConfig,
    training: &TrainingConfig,
    vectors: &PretrainedVectors,
) -> Result<(), TrainError> {
    for (table, how) in &training.pretrained {
        let found = vectors.table(table);
        let found = found.map_err(|error| TrainError::Data(error.into()))?;
        let found = found.ok_or_else(|| refuse(table, "the data have none of it"))?;
        for path in table_paths(table, network.layout(), model.tables()) {
            let mut parameters = network.variables().parameters().iter();
            let parameter = parameters.find(|parameter| parameter.path() == path);
            let parameter = parameter.ok_or_else(|| refuse(table, "no feature reads it"))?;
            put(table, parameter, &found)?;
            if *how == PretrainedUse::Frozen {
                parameter.freeze();
            }
        }
    }
    Ok(())
}

fn refuse(table: &str, why: impl Into<String>) -> TrainError {
    TrainError::Pretrained {
        table: table.to_owned(),
        why: why.into(),
    }
}

/// Puts the vectors into their rows of a table.
fn put(table: &str, parameter: &Parameter, vectors: &PretrainedTable) -> Result<(), TrainError> {
    let own = parameter.tensor();
    let (rows, width) = own.dims2()?;
    if width != vectors.width {
        let of_vectors = vectors.width;
        let why = format!("its rows have {width} numbers, and the vectors {of_vectors}");
        return Err(refuse(table, why));
    }
    let mut values = own.flatten_all()?.to_vec1::<f32>()?;
    for (id, vector) in vectors.ids.iter().zip(vectors.vectors.chunks_exact(width)) {
        let start = *id as usize * width;
        let row = values.get_mut(start..start + width);
        let row = row.ok_or_else(|| {
            refuse(
                table,
                format!("it has {rows} rows, and row {id} has a vector"),
            )
        })?;
        row.copy_from_slice(vector);
    }
    let values = Tensor::from_vec(values, (rows, width), own.device())?;
    Ok(parameter.var().set(&values)?)
}
