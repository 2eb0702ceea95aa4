//! Target attention over lists: a row's elements e_j are weighed by how they compare with the target e_t of the row, and added up.
//!
//! Source: Zhou et al., "Deep interest network for click-through rate prediction", KDD 2018, arXiv:1706.06978, equation 3:
//! `v = sum_j a(e_j, e_t) e_j`, without a softmax. The activation unit a is a network on `[e_t ; e_j ; e_t - e_j ; e_t e_j]`.
//!
//! Deviations: the paper's unit has the outer product of both where this has their difference and product unit by unit, as the authors'
//! public code has it. Its activation is Dice with the statistics 0 and 1 and alpha 0, `s sigmoid(s)`, so that a row's sum depends on that row alone.
//!
//! # Shapes
//! - e_t, e_j: [d]; the unit: [4 d, hidden dims.., 1]
//! - result: [B, input_dim], or [sets, B, input_dim]

use super::tables::roots;
use crate::ModelError;
use crate::features::{FeatureDims, Ids, Tables};
use crate::layers::{plain_layers, product_flops};
use crate::layout::TaskLayout;
use crate::var_builder::VarBuilder;
use candle_core::{Result, Tensor};
use homebench_kernels::dropout::Dropout;
use homebench_kernels::stacked_mlp::{Activation, StackedMlp};
use homebench_kernels::target_attention::{
    ElementList, ElementLists, UnitDropout, comparisons, weighted_sums,
};
use std::sync::Arc;

/// A list that attends to a target, and where both are.
#[derive(Debug, Clone)]
pub(super) struct PlacedList {
    /// Its place among the lists of a row's ids.
    list: usize,
    /// First column of the target in a row.
    target: usize,
    /// First column of the list.
    columns: usize,
    /// Units of both.
    width: usize,
}

/// Lists that attend to a target, in the order of the lists.
pub(super) fn placed(dims: &FeatureDims) -> std::result::Result<Vec<PlacedList>, ModelError> {
    let refuse = |message: String| Err(ModelError::InvalidLayout { message });
    let single = dims.vocabularies.iter().map(|(name, _)| name.as_str());
    let mut features: Vec<&str> = single.collect();
    features.extend(dims.lists.iter().map(|(name, ..)| name.as_str()));
    let width = |feature: &str| dims.table_of(feature).1;
    let column_of =
        |place: usize| -> usize { features[..place].iter().map(|name| width(name)).sum() };
    let mut lists = Vec::new();
    for attending in &dims.attention.lists {
        let (list, target) = (attending.list.as_str(), attending.target.as_str());
        let place_of_list = dims.lists.iter().position(|(name, ..)| name == list);
        let place_of_target = dims
            .vocabularies
            .iter()
            .position(|(name, _)| name == target);
        let (Some(place), Some(place_of_target)) = (place_of_list, place_of_target) else {
            return refuse(format!(
                "`{list}` can't attend to `{target}`: the first is to be a list, the second a feature of one id"
            ));
        };
        if width(list) != width(target) {
            return refuse(format!(
                "`{list}` can't attend to `{target}`: embeddings of {} units can't be compared with those of {}",
                width(list),
                width(target)
            ));
        }
        lists.push(PlacedList {
            list: place,
            target: column_of(place_of_target),
            columns: column_of(dims.vocabularies.len() + place),
            width: width(list),
        });
    }
    lists.sort_by_key(|placed| placed.list);
    match lists.windows(2).find(|pair| pair[0].list == pair[1].list) {
        None => Ok(lists),
        Some(pair) => refuse(format!(
            "`{}` attends to two targets",
            dims.lists[pair[0].list].0
        )),
    }
}

/// Where the elements of a batch are.
pub(super) fn element_lists(
    placed: &[PlacedList],
    dims: &FeatureDims,
    ids: Ids<'_>,
    num_sets: usize,
) -> Result<ElementLists> {
    let ends = ids.lists.ends;
    let num_lists = dims.lists.len().max(1);
    let of_list = |placed: &PlacedList| {
        let mut total = 0;
        // A list starts where the one before it ends, which is of the row before only where there is one list.
        let ends = (placed.list..ends.len()).step_by(num_lists).map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| ends[before]);
            total += ends[index].saturating_sub(start);
            total
        });
        ElementList {
            target: placed.target,
            columns: placed.columns,
            width: placed.width,
            ends: ends.collect(),
        }
    };
    let lists = placed.iter().map(of_list).collect();
    ElementLists::new(num_sets, ends.len() / num_lists, dims.input_dim(), lists)
}

/// Makes a model's input of what [`EmbeddedInput::gather`](super::EmbeddedInput::gather) gives where lists attend to a target.
///
/// ```
/// use candle_core::{DType, Device};
/// use homebench_kernels::optimizer::{Lists, Pooling, SparseRule};
/// use homebench_model::{
///     AttendingList, Attention, EmbeddedInput, FeatureDims, FeatureTable, Ids, Tables, TargetAttention, TaskGroup, TaskLayout, VarBuilder,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layout = TaskLayout {
///     tasks: vec!["click".into()],
///     groups: vec![TaskGroup { name: "feed".into(), tasks: vec![0] }],
/// };
/// let attending = AttendingList { list: "seen".into(), target: "item".into(), mean_length: 1.5 };
/// let dims = FeatureDims {
///     vocabularies: vec![("item".into(), 10)],
///     lists: vec![("seen".into(), 10, Pooling::Mean)],
///     num_numeric: 1,
///     embedding_dim: 4,
///     tables: [("seen".into(), FeatureTable { name: "item".into(), width: 4 })].into(),
///     attention: Attention { lists: vec![attending], hidden_dims: vec![3] },
/// };
/// let rule = SparseRule::RowWiseAdagrad { epsilon: 1e-8, weight_decay: 0.0 };
/// let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
/// let attention = TargetAttention::new(&dims, &layout, Tables::Shared, &vb)?.expect("a list attends");
/// let input = EmbeddedInput::new(&dims, &layout, Tables::Shared, rule, &vb)?;
///
/// // Two rows: items 3 and 7, of which the first comes after three others, the second after none.
/// let ids = Ids { single: &[3, 7], lists: Lists { ids: &[1, 3, 1], ends: &[3, 3] } };
/// let packed = input.gather(ids, &[0.5, -0.5], 2, None)?;
/// let xs = attention.forward(&packed, ids, None)?;
/// assert_eq!(xs.dims(), [2, 4 + 4 + 1]);
/// assert_eq!(xs.to_vec2::<f32>()?[1][4..8], [0.0; 4]);
/// # Ok(())
/// # }
/// ```
pub struct TargetAttention {
    placed: Vec<PlacedList>,
    /// The activation unit of each list, a network for each set of tables.
    units: Vec<StackedMlp>,
    dims: FeatureDims,
    num_sets: usize,
    per_task: bool,
    flops_per_row: usize,
}

impl TargetAttention {
    /// Units under `attention.<list>`, or `task.<name>.attention.<list>` where each task has tables of its own, or both; none where no list
    /// attends to a target.
    ///
    /// # Errors
    /// Lists that can't attend to what they are to attend to; a linear model; no hidden layer.
    pub fn new(
        dims: &FeatureDims,
        layout: &TaskLayout,
        tables: Tables,
        vb: &VarBuilder,
    ) -> std::result::Result<Option<Self>, ModelError> {
        let placed = placed(dims)?;
        if placed.is_empty() {
            return Ok(None);
        }
        let refuse = |message: &str| {
            let message = message.to_owned();
            Err(ModelError::InvalidLayout { message })
        };
        if tables == Tables::Weights {
            return refuse(
                "a linear model's lists can't attend to a target: any interaction makes it another model",
            );
        }
        if dims.attention.hidden_dims.is_empty() {
            return refuse("the unit of attention needs a hidden layer");
        }
        let roots = roots(layout, tables);
        // Of single-task models alone: with shared tables beside them, models decide for themselves what reaches what.
        let vb = vb.of_one_task(tables == Tables::PerTask);
        let mut units = Vec::with_capacity(placed.len());
        let mut flops_per_row = 0;
        for list in &placed {
            let name = &dims.lists[list.list].0;
            let mut widths = vec![4 * list.width];
            widths.extend(&dims.attention.hidden_dims);
            widths.push(1);
            let places = roots
                .iter()
                .map(|root| vb.pp(format!("{root}attention.{name}")));
            let places: Vec<VarBuilder> = places.collect();
            units.push(plain_layers(&widths, Activation::Silu, &places)?);
            let mut attending = dims.attention.lists.iter();
            let length = attending.find(|attending| attending.list == *name);
            let length = length.map_or(0.0, |attending| attending.mean_length);
            // The unit, and a multiply-add of each of an element's units.
            let of_element = product_flops(&widths) + product_flops(&[1, list.width]);
            flops_per_row += (length * (roots.len() * of_element) as f64).round() as usize;
        }
        Ok(Some(Self {
            placed,
            units,
            dims: dims.clone(),
            num_sets: roots.len(),
            per_task: tables.per_task(),
            flops_per_row,
        }))
    }

    /// The input of a model; dropout drops embedded units, sums too, and never what units read.
    ///
    /// # Shapes
    /// - packed: what was gathered of `ids`
    /// - result: [batch, input_dim], or [sets, batch, input_dim] with tables per task
    ///
    /// # Errors
    /// Another batch.
    pub fn forward(
        &self,
        packed: &Tensor,
        ids: Ids<'_>,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor> {
        let lists = element_lists(&self.placed, &self.dims, ids, self.num_sets)?;
        let lists = Arc::new(lists);
        let scores = self.units.iter().enumerate().map(|(place, unit)| {
            let compared = comparisons(packed, &lists, place)?;
            unit.forward_t(&compared, true)?.squeeze(2)
        });
        let scores = scores.collect::<Result<Vec<_>>>()?;
        let scores = match &scores[..] {
            [only] => only.clone(),
            several => Tensor::cat(several, 1)?,
        };
        let dropout = dropout.map(|dropout| UnitDropout {
            dropout: *dropout,
            num_columns: self.dims.num_embedded(),
        });
        let rows = weighted_sums(packed, &scores, &lists, dropout)?;
        match self.per_task {
            true => Ok(rows),
            false => rows.squeeze(0),
        }
    }

    /// FLOPs of the units' products and of the sums, for a row whose lists have the mean length.
    pub fn flops_per_row(&self) -> usize {
        self.flops_per_row
    }
}
