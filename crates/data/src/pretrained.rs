//! Pretrained vectors of embedding tables, as they are kept with a prepared dataset: a safetensors file with two tensors a table,
//! `<table>.ids` [n] and `<table>.vectors` [n, width].

use homebench_diagnostic::Diagnostic;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file in the folder of a dataset.
pub(crate) const PRETRAINED: &str = "pretrained.safetensors";

/// Vectors of some rows of an embedding table.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainedTable {
    /// Numbers of a vector.
    pub width: usize,
    /// The rows that have one, rising; 0, which stands for values that training rows don't have, is none of them.
    pub ids: Vec<u32>,
    /// Their vectors, row-major [ids, width].
    pub vectors: Vec<f32>,
}

/// The pretrained vectors of a dataset, read when they are asked for.
#[derive(Debug, Clone, Default)]
pub struct PretrainedVectors {
    file: Option<(Arc<File>, PathBuf)>,
}

impl PretrainedVectors {
    /// Those of an opened file whose bytes were checked.
    pub(crate) fn new(file: File, path: &Path) -> Self {
        Self {
            file: Some((Arc::new(file), path.to_path_buf())),
        }
    }

    /// The vectors of a table, if it has such.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn table(&self, name: &str) -> Result<Option<PretrainedTable>, Diagnostic> {
        let Some((file, path)) = &self.file else {
            return Ok(None);
        };
        read_table(file, name).map_err(|why| {
            Diagnostic::new(path.display().to_string(), why)
                .hint("run this again: the dataset is prepared again")
        })
    }
}

fn read_table(file: &File, name: &str) -> Result<Option<PretrainedTable>, String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let mut bytes = vec![0; metadata.len() as usize];
    // At places of its own: the handle is shared with who checks the file.
    let read = file.read_exact_at(&mut bytes, 0);
    read.map_err(|error| format!("can't read the file: {error}"))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let tensor = |what: &str| tensors.tensor(&format!("{name}.{what}"));
    let (Ok(ids), Ok(vectors)) = (tensor("ids"), tensor("vectors")) else {
        return Ok(None);
    };
    let ((Dtype::U32, [num_ids]), (Dtype::F32, [num_rows, width])) = (
        (ids.dtype(), ids.shape()),
        (vectors.dtype(), vectors.shape()),
    ) else {
        return Err(format!(
            "`{name}` has tensors of other shapes than were written"
        ));
    };
    if num_ids != num_rows {
        return Err(format!("`{name}` has other ids than vectors"));
    }
    Ok(Some(PretrainedTable {
        width: *width,
        ids: words(ids.data()).map(u32::from_le_bytes).collect(),
        vectors: words(vectors.data()).map(f32::from_le_bytes).collect(),
    }))
}

/// Numbers of 32 bits.
fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    let words = bytes.chunks_exact(4);
    words.map(|word| [word[0], word[1], word[2], word[3]])
}

/// Writes tables by name.
pub(crate) fn write_tables(
    path: &Path,
    tables: &[(String, PretrainedTable)],
) -> std::io::Result<()> {
    let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, table) in tables {
        let (num_ids, width) = (table.ids.len(), table.width);
        let ids = table.ids.iter().flat_map(|id| id.to_le_bytes());
        let vectors = table.vectors.iter().flat_map(|value| value.to_le_bytes());
        parts.push((
            format!("{name}.ids"),
            Dtype::U32,
            vec![num_ids],
            ids.collect(),
        ));
        let shape = vec![num_ids, width];
        parts.push((
            format!("{name}.vectors"),
            Dtype::F32,
            shape,
            vectors.collect(),
        ));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes)?;
        Ok((name, view))
    });
    let views: Result<Vec<_>, SafeTensorError> = views.collect();
    let bytes = views.and_then(|views| safetensors::serialize(views, None));
    // Not by the library's own writing, which gives the file other permissions than its neighbours have.
    std::fs::write(path, bytes.map_err(std::io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PRETRAINED);
        let table = PretrainedTable {
            width: 2,
            ids: vec![1, 4],
            vectors: vec![0.1, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX],
        };
        let other = PretrainedTable {
            width: 1,
            ids: vec![2],
            vectors: vec![3.0],
        };
        let tables = [("item".to_owned(), table), ("a.b".to_owned(), other)];
        write_tables(&path, &tables).unwrap();
        let kept = PretrainedVectors::new(File::open(&path).unwrap(), &path);
        for (name, table) in &tables {
            let found = kept.table(name).unwrap().unwrap();
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found.vectors), bits(&table.vectors), "{name}");
            assert_eq!(&found, table);
        }
        assert_eq!(kept.table("user").unwrap(), None);
        assert_eq!(PretrainedVectors::default().table("item").unwrap(), None);
    }
}
