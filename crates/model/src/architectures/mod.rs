//! One file per architecture, each built from the same layers. A new one is a file and a line here.

mod adatt;
mod aitm;
mod cross_stitch;
mod escm2;
mod esmm;
// The example of docs/models.md: compiled and tested, in no registry.
#[cfg(test)]
mod group_bottom;
mod hinet;
mod home;
mod logistic;
mod m3oe;
mod ml_mmoe;
mod mmoe;
mod pad_net;
mod pepnet;
mod ple;
mod resflow;
mod shared_bottom;
mod single_task;
mod smes;
mod sparse_mmoe;
mod star;
mod stem;
mod switch;
mod switch_prior;
mod task_expert;
mod task_networks;

use crate::registry::Architecture;

/// Every architecture, in the order of the docs.
pub(crate) static ARCHITECTURES: [Architecture; 26] = [
    logistic::LOGISTIC,
    single_task::SINGLE_TASK,
    shared_bottom::SHARED_BOTTOM,
    mmoe::OMOE,
    mmoe::MMOE,
    ml_mmoe::ML_MMOE,
    ple::CGC,
    ple::PLE,
    adatt::ADATT_SP,
    adatt::ADATT,
    sparse_mmoe::SPARSE_MMOE,
    smes::SMES,
    switch::SWITCH,
    task_expert::TASK_EXPERT,
    cross_stitch::CROSS_STITCH,
    pad_net::PAD_NET,
    pepnet::PEPNET,
    stem::STEM,
    star::STAR,
    hinet::HINET,
    m3oe::M3OE,
    esmm::ESMM,
    escm2::ESCM2,
    aitm::AITM,
    resflow::RESFLOW,
    home::HOME,
];

#[cfg(test)]
mod tests {
    use super::group_bottom::GROUP_BOTTOM;
    use crate::knobs::Knobs;
    use crate::{BuildContext, InputColumns, TaskGroup, TaskLayout, Trace, VarBuilder};
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn the_example_of_the_docs_is_a_model() {
        let group = |name: &str, tasks: &[usize]| TaskGroup {
            name: name.to_string(),
            tasks: tasks.to_vec(),
        };
        let layout = TaskLayout {
            tasks: ["a", "b", "c"].map(str::to_string).to_vec(),
            groups: vec![group("g", &[0, 2]), group("h", &[1])],
        };
        let context = BuildContext {
            layout: &layout,
            input_dim: 3,
            num_embedded: 0,
            input_per_task: false,
            columns: InputColumns::default(),
            after: &[],
        };
        let given = "expert_dims = [4]\ntower_dims = []".parse().unwrap();
        let knobs = Knobs::resolve("group_bottom", &(GROUP_BOTTOM.knobs)(), &given).unwrap();
        let vb = VarBuilder::from_seed(1, DType::F32, &Device::Cpu);
        let model = (GROUP_BOTTOM.build)(&knobs, &context, &vb).unwrap();
        // 2 networks of 3 x 4 and 3 towers of 4 x 1.
        assert_eq!(model.flops_per_row(), 2 * (2 * 12 + 3 * 4));
        let xs = Tensor::ones((5, 3), DType::F32, &Device::Cpu).unwrap();
        let mut trace = Trace::default();
        let logits = model.forward_t(&xs, true, Some(&mut trace)).unwrap();
        assert_eq!(logits.dims(), [5, 3]);
        assert_eq!(trace.experts.len(), 2);
    }
}
