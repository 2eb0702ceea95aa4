//! The loss of home-l's seven tasks.

use homebench_benches::bounds::Bound;
use homebench_benches::operands::{Operands, input, uniform};
use homebench_benches::operator::{Operator, criterion, touched};
use homebench_benches::{BATCH, TASKS};
use homebench_kernels::loss::{Targets, multi_task_loss, multi_task_loss_composed};

fn main() {
    let mut criterion = criterion();
    let logits = input(&[BATCH, TASKS]).unwrap();
    let labels = uniform("labels", BATCH * TASKS, 1.0);
    let targets = Targets::new(
        labels
            .iter()
            .map(|v| f32::from(u8::from(*v > 0.8)))
            .collect(),
    );
    // Logits and labels are read; backward, the gradient is written.
    let elements = [2 * BATCH * TASKS, BATCH * TASKS];
    Operator {
        subject: "loss",
        sizes: "batch4096_tasks7",
        operands: &Operands::default(),
        throughputs: touched(elements),
        fused: &|| multi_task_loss(&logits, &targets),
        reference: Some(&|| multi_task_loss_composed(&logits, &targets)),
        bounds: elements.map(|elements| Bound::new(Vec::new(), elements)),
    }
    .bench(&mut criterion);
    criterion.final_summary();
}
