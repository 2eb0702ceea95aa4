//! A training between two steps as bytes, and back: whoever goes on from them ends with the bytes of a training that was
//! never interrupted.
//!
//! A line that names the format, the length of a TOML text (u64), the text (a [`Header`]), every buffer's f32 in the order
//! of the header, all little-endian, and the blake3 of everything before. Random numbers need no place in it: each is a
//! function of the seed and the step.

use super::CurvePoint;
use super::balance::BalanceState;
use super::inspect::{Diagnostics, GradientNorms, NormsSoFar};
use super::network::Network;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use homebench_kernels::Parameter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

// A checkpoint of another version is refused by it, and the cell begins anew: numbers never mix.
const FORMAT: &[u8] = b"homebench checkpoint 1\n";
const DIGEST_LENGTH: u64 = blake3::OUT_LEN as u64;
/// Longer texts are no header; a broken length must not become an allocation.
const LONGEST_HEADER: u64 = 1 << 30;

/// Where a training is, its numbers aside.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// Epoch under way, from 1.
    pub(super) epoch: usize,
    /// Batches of it done.
    pub(super) batches_done: usize,
    /// Steps done.
    pub(super) step: usize,
    pub(super) evaluations_without_gain: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_finite_loss: Option<f64>,
    /// Since the last evaluation.
    // TOML has the shortest digits that read back as the same f64, so that sums go on bit by bit.
    pub(super) loss_sum: f64,
    pub(super) loss_count: usize,
    /// Of a model's own loss; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auxiliary_sum: Option<f64>,
    /// Of distillation; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) distillation_sum: Option<f64>,
    pub(super) train_rows: usize,
    pub(super) train_seconds: f64,
    pub(super) evaluation_rows: usize,
    pub(super) evaluation_seconds: f64,
    /// From the start of the cell's process, those before it included.
    pub(super) total_seconds: f64,
}

/// The best weights so far.
pub(super) struct Selected {
    pub(super) epoch: usize,
    pub(super) step: usize,
    pub(super) score: f64,
    pub(super) weights: BTreeMap<String, Tensor>,
}

/// Everything that the next step depends on, but for the network.
pub(super) struct Checkpoint {
    pub(super) position: Position,
    pub(super) curves: Vec<CurvePoint>,
    pub(super) selected: Option<Selected>,
    pub(super) diagnostics: Diagnostics,
}

impl Checkpoint {
    /// Before the first step.
    pub(super) fn fresh() -> Self {
        Self {
            position: Position {
                epoch: 1,
                ..Position::default()
            },
            curves: Vec::new(),
            selected: None,
            diagnostics: Diagnostics::default(),
        }
    }
}

/// What is written beside the network.
pub(super) struct State<'a> {
    pub(super) position: &'a Position,
    pub(super) curves: &'a [CurvePoint],
    pub(super) selected: Option<&'a Selected>,
    pub(super) diagnostics: &'a Diagnostics,
    pub(super) gradient_norms: Option<&'a GradientNorms>,
}

/// The text of a checkpoint. Tables come last, as TOML wants them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    key: String,
    optimizer_steps: [u64; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    selected: Option<SelectedHeader>,
    position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    gradient_norms: Option<NormsSoFar>,
    /// Of what weighs the tasks; absent where their losses are only summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceState>,
    #[serde(default)]
    buffers: Vec<BufferHeader>,
    #[serde(default)]
    curves: Vec<CurvePoint>,
    #[serde(default)]
    diagnostics: Diagnostics,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectedHeader {
    epoch: usize,
    step: usize,
    score: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BufferHeader {
    name: String,
    length: usize,
}

/// Writes a checkpoint of the training `key`, a buffer at a time.
///
/// # Errors
/// A tensor can't be read, or `out` can't be written.
pub(super) fn write(
    out: &mut dyn Write,
    key: &str,
    network: &mut Network,
    state: &State<'_>,
) -> Result<()> {
    let selected = state.selected;
    let header = Header {
        key: key.to_owned(),
        optimizer_steps: network.steps_done(),
        selected: selected.map(|selected| SelectedHeader {
            epoch: selected.epoch,
            step: selected.step,
            score: selected.score,
        }),
        position: state.position.clone(),
        gradient_norms: state.gradient_norms.map(GradientNorms::so_far),
        balance: network.balancer().map(|balancer| balancer.state().clone()),
        buffers: buffers(network, selected.is_some()),
        curves: state.curves.to_vec(),
        diagnostics: state.diagnostics.clone(),
    };
    let text = toml::to_string(&header)?;
    let mut out = Digesting::new(out);
    out.write_all(FORMAT)?;
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    for parameter in network.variables().parameters() {
        write_tensor(&mut out, parameter.tensor())?;
    }
    if let Some(selected) = selected {
        for tensor in selected.weights.values() {
            write_tensor(&mut out, tensor)?;
        }
    }
    for adapter in network.adapters() {
        write_tensor(&mut out, adapter.tensor())?;
    }
    for (_, kept) in network.kept_mut() {
        write_values(&mut out, &kept.values()?)?;
    }
    let digest = out.hasher.finalize();
    out.inner.write_all(digest.as_bytes())?;
    Ok(())
}

/// Reads a checkpoint of the training `key` into `network`, which is as it was built. After an error the network may be
/// half of each.
///
/// # Errors
/// Bytes that are damaged, of another training, or of another network; a file that can't be read.
pub(super) fn read(
    file: &mut (impl Read + Seek),
    key: &str,
    network: &mut Network,
    gradient_norms: Option<&mut GradientNorms>,
) -> Result<Checkpoint> {
    check_digest(file)?;
    let mut input = BufReader::new(file);
    let header = read_header(&mut input)?;
    ensure!(header.key == key, "it is of another cell ({})", header.key);
    ensure!(
        // By names and lengths of all buffers, before the first value is set.
        header.buffers == buffers(network, header.selected.is_some()),
        "it is of another network"
    );
    match (gradient_norms, header.gradient_norms) {
        (None, None) => {}
        (Some(norms), Some(found)) => {
            ensure!(norms.go_on_from(found), "it is of another network");
        }
        _ => {
            bail!("it was written with diagnostics off and they are on now, or the other way round")
        }
    }
    let has_balance = match (network.balancer_mut(), header.balance) {
        (Some(balancer), Some(state)) => balancer.go_on_from(state),
        (balancer, state) => balancer.is_none() && state.is_none(),
    };
    ensure!(has_balance, "its tasks are balanced otherwise");
    read_parameters(&mut input, network.variables().parameters())?;
    let selected = match header.selected {
        None => None,
        Some(SelectedHeader { epoch, step, score }) => Some(Selected {
            epoch,
            step,
            score,
            weights: read_selected(&mut input, network)?,
        }),
    };
    read_parameters(&mut input, network.adapters())?;
    for (_, kept) in network.kept_mut() {
        kept.set(&read_values(&mut input, kept.len())?)?;
    }
    network.set_steps_done(header.optimizer_steps);
    Ok(Checkpoint {
        position: header.position,
        curves: header.curves,
        selected,
        diagnostics: header.diagnostics,
    })
}

fn read_parameters(input: &mut impl Read, parameters: &[Parameter]) -> Result<()> {
    for parameter in parameters {
        let values = read_values(input, parameter.num_elements())?;
        let tensor = parameter.tensor();
        let values = Tensor::from_vec(values, tensor.shape(), tensor.device())?;
        parameter.var().set(&values.to_dtype(tensor.dtype())?)?;
    }
    Ok(())
}

fn read_selected(input: &mut impl Read, network: &Network) -> Result<BTreeMap<String, Tensor>> {
    let mut weights = BTreeMap::new();
    for parameter in network.variables().parameters() {
        let values = read_values(input, parameter.num_elements())?;
        let tensor = parameter.tensor();
        let values = Tensor::from_vec(values, tensor.shape(), tensor.device())?;
        weights.insert(
            parameter.path().to_owned(),
            values.to_dtype(tensor.dtype())?,
        );
    }
    Ok(weights)
}

/// Names and lengths of all buffers of a network, in the order in which they are written.
fn buffers(network: &mut Network, with_selected: bool) -> Vec<BufferHeader> {
    let of = |kind: &str, parameters: &[Parameter]| -> Vec<BufferHeader> {
        let header = |parameter: &Parameter| BufferHeader {
            name: format!("{kind}/{}", parameter.path()),
            length: parameter.num_elements(),
        };
        parameters.iter().map(header).collect()
    };
    let variables = network.variables().parameters();
    let mut all = of("weights", variables);
    if with_selected {
        all.extend(of("selected", variables));
    }
    all.extend(of("adapters", network.adapters()));
    all.extend(network.kept_mut().map(|(name, kept)| BufferHeader {
        name: format!("optimizer/{name}"),
        length: kept.len(),
    }));
    all
}

/// Before a byte is believed: everything is there and as it was written.
fn check_digest(file: &mut (impl Read + Seek)) -> Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(content) = length.checked_sub(DIGEST_LENGTH) else {
        bail!("it is cut off");
    };
    file.rewind()?;
    let mut start = [0; FORMAT.len()];
    let is_one = file.read_exact(&mut start).is_ok() && start == *FORMAT;
    ensure!(is_one, "it is no checkpoint of this version");
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.by_ref().take(content))?;
    let mut digest = [0; blake3::OUT_LEN];
    file.read_exact(&mut digest)?;
    ensure!(
        hasher.finalize() == digest,
        "its content doesn't fit its digest"
    );
    file.seek(SeekFrom::Start(FORMAT.len() as u64))?;
    Ok(())
}

fn read_header(input: &mut impl Read) -> Result<Header> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= LONGEST_HEADER, "its header has {length} bytes");
    let mut text = vec![0; length as usize];
    input.read_exact(&mut text)?;
    let text = String::from_utf8(text).context("its header is no text")?;
    toml::from_str(&text).context("its header can't be read")
}

fn write_tensor(out: &mut dyn Write, tensor: &Tensor) -> Result<()> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    write_values(out, &values)
}

fn write_values(out: &mut dyn Write, values: &[f32]) -> Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK.min(values.len()));
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Values turned into bytes at a time.
const CHUNK: usize = 1 << 16;

fn read_values(input: &mut impl Read, count: usize) -> Result<Vec<f32>> {
    let mut bytes = vec![0; 4 * count];
    input.read_exact(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

/// Passes bytes on and digests them.
struct Digesting<'a> {
    inner: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl<'a> Digesting<'a> {
    fn new(inner: &'a mut dyn Write) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
