//! Linear maps of rows in groups, each of which has weights of its own: a row runs through those of its group and through no others.
//!
//! A row is in one group, so that rows are always gathered: all weights on all rows would be as many times the work as there are groups. In
//! f32 both would give the same bytes: an output is a chain over its own row, and sums over rows have the parts that they would have if
//! the rows of other groups were there as zeros.

mod fused;

use crate::composed::matmul;
use crate::cuda::is_on_processor;
use crate::operator::apply_3;
use crate::selection::RowSelection;
use candle_core::{DType, Device, Result, Tensor};
use fused::GroupedLinear;
use std::sync::Arc;

/// Which group each row of a batch is in. Clones share everything.
#[derive(Debug, Clone)]
pub struct RowGroups {
    of_rows: Arc<[u32]>,
    selection: Arc<RowSelection>,
    num_groups: usize,
}

impl RowGroups {
    /// The group of each row.
    ///
    /// # Errors
    /// No rows, no groups, or a group that there is not.
    pub fn new(of_rows: &[u32], num_groups: usize) -> Result<Self> {
        if of_rows.is_empty() {
            candle_core::bail!("groups of rows need at least 1 row");
        }
        let mut is_in = vec![false; of_rows.len() * num_groups];
        for (row, group) in of_rows.iter().enumerate() {
            if *group as usize >= num_groups {
                candle_core::bail!("row {row} is in group {group} of {num_groups}");
            }
            is_in[row * num_groups + *group as usize] = true;
        }
        Ok(Self {
            of_rows: of_rows.into(),
            selection: Arc::new(RowSelection::new(&is_in, num_groups)),
            num_groups,
        })
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.of_rows.len()
    }

    /// Number of groups, those without rows among them.
    pub fn num_groups(&self) -> usize {
        self.num_groups
    }

    /// The group of each row.
    pub fn of_rows(&self) -> &[u32] {
        &self.of_rows
    }

    /// Number of rows in a group.
    pub fn num_rows_of(&self, group: usize) -> usize {
        self.selection.rows(group).len()
    }

    /// 1 where a row is in a group, else 0, [rows, groups].
    ///
    /// # Errors
    /// The device fails.
    pub fn one_hot(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut flags = vec![0f32; self.num_rows() * self.num_groups];
        for (row, group) in self.of_rows.iter().enumerate() {
            flags[row * self.num_groups + *group as usize] = 1.0;
        }
        Tensor::from_vec(flags, (self.num_rows(), self.num_groups), device)?.to_dtype(dtype)
    }
}

/// `x W_g + b_g` of every row, with g the row's group, by each of several networks.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use homebench_kernels::grouped::{RowGroups, grouped_linear};
///
/// # fn main() -> candle_core::Result<()> {
/// // One network, two groups: the first doubles, the second negates and adds 1.
/// let weights = Tensor::new(&[[[[2f32]], [[-1.0]]]], &Device::Cpu)?;
/// let biases = Tensor::new(&[[[0f32], [1.0]]], &Device::Cpu)?;
/// let xs = Tensor::new(&[[[5f32], [6.0], [7.0]]], &Device::Cpu)?;
/// let groups = RowGroups::new(&[0, 1, 0], 2)?;
/// let ys = grouped_linear(&xs, &weights, &biases, &groups)?;
/// assert_eq!(ys.flatten_all()?.to_vec1::<f32>()?, [10.0, -5.0, 14.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Shapes
/// - xs: [networks, rows, in], or [1, rows, in] where all networks read the same
/// - weights: [networks, groups, in, out]; biases: [networks, groups, out]
/// - result: [networks, rows, out]
///
/// # Errors
/// Shapes that don't fit.
pub fn grouped_linear(
    xs: &Tensor,
    weights: &Tensor,
    biases: &Tensor,
    groups: &RowGroups,
) -> Result<Tensor> {
    check(xs, weights, biases, groups)?;
    if !is_on_processor(xs) {
        return grouped_linear_composed(xs, weights, biases, groups);
    }
    let operator = GroupedLinear {
        groups: groups.clone(),
        needs_input_gradient: xs.track_op(),
    };
    apply_3(operator, xs, weights, biases)
}

/// The same from candle's stock operators, every group's weights on every row, on any device and type: the reference.
///
/// # Errors
/// As [`grouped_linear`].
pub fn grouped_linear_composed(
    xs: &Tensor,
    weights: &Tensor,
    biases: &Tensor,
    groups: &RowGroups,
) -> Result<Tensor> {
    check(xs, weights, biases, groups)?;
    let (num_networks, num_groups, _, outputs) = weights.dims4()?;
    let inputs = match xs.dim(0)? {
        1 => Tensor::cat(&vec![xs; num_networks], 0)?,
        _ => xs.clone(),
    };
    let shape = (num_networks, groups.num_rows(), outputs);
    let is_in = groups.one_hot(xs.dtype(), xs.device())?;
    let mut sum: Option<Tensor> = None;
    for group in 0..num_groups {
        let of_group = weights.narrow(1, group, 1)?.squeeze(1)?;
        let bias = biases.narrow(1, group, 1)?;
        let ys = matmul(&inputs, &of_group.contiguous()?)?.broadcast_add(&bias)?;
        let mask = is_in.narrow(1, group, 1)?.unsqueeze(0)?;
        let part = (ys * mask.broadcast_as(shape)?)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| candle_core::Error::Msg("rows without groups".to_owned()))
}

fn check(xs: &Tensor, weights: &Tensor, biases: &Tensor, groups: &RowGroups) -> Result<()> {
    let (num_inputs, num_rows, width) = xs.dims3()?;
    let (num_networks, num_groups, inputs, outputs) = weights.dims4()?;
    let fits = (num_inputs == 1 || num_inputs == num_networks)
        && num_rows == groups.num_rows()
        && num_groups == groups.num_groups()
        && width == inputs
        && biases.dims() == [num_networks, num_groups, outputs];
    if !fits {
        candle_core::bail!(
            "{num_rows} rows of {} groups can't have inputs {:?}, weights {:?} and biases {:?}",
            groups.num_groups(),
            xs.dims(),
            weights.dims(),
            biases.dims()
        );
    }
    Ok(())
}
