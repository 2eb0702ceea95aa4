"""Training steps of a workload in PyTorch, on request.

    torch_step.py --workload home-l --mode eager|compiled --threads N [--device D] [--weights W] [--inputs X --outputs Y]

Without --outputs it reads lines from stdin: `step K` runs K training steps and prints one line of JSON (steps, seconds,
rows_per_second, loss, peak_memory_bytes); `quit` or the end of the input ends it. It prints nothing else to stdout.
Where the workload has tables, they are an nn.Embedding each, part of a step, and updated by --tables: `adam` as everything else, or
`sparse_adam`, which touches the rows of a batch alone.
--inputs holds `x` [rows, input_dim], or `ids` [rows, tables], and `labels` [rows, tasks], NaN where a row does not observe a task.
--outputs gets `logits` of a training pass, `eval/logits` of an evaluation, and of a step `loss`, `gradient/x` and `gradient/...` by
variable path.
"""

import argparse
import json
import os
import sys
import time
import tomllib
from contextlib import nullcontext
from pathlib import Path

PRECISIONS = (
    "of products: tf32 on a GPU; on the processor bf16, by autocast, and medium, by set_float32_matmul_precision, "
    "which is bf16 where there is AMX"
)


def peak_memory_bytes():
    """The largest resident set of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True, help="a name in workloads/")
    parser.add_argument("--mode", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:<index>")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16", "medium"], default="f32", help=PRECISIONS)
    parser.add_argument("--tables", choices=["adam", "sparse_adam"], default="adam", help="how embedding tables are updated")
    parser.add_argument("--dispatch", choices=["loop", "grouped", "masked"], default="loop", help="how chosen experts are run: see sparse_models.py")
    parser.add_argument("--weights", help="safetensors by variable path")
    parser.add_argument("--inputs", help="safetensors with x and labels")
    parser.add_argument("--outputs", help="write logits and gradients here and end")
    return parser.parse_args()


def main():
    args = arguments()
    # Before torch is imported: its thread pools read this once.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file, save_file

    from models import Embedded, Home, Mmoe, Ple, gradients, load_weights
    from sparse_models import SparseMmoe, Switch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    if args.device == "cpu":
        torch.set_float32_matmul_precision("medium" if args.precision == "medium" else "highest")
    workload = tomllib.loads((Path(__file__).parent / "workloads" / f"{args.workload}.toml").read_text())
    config, rows, input_dim = workload["model"], workload["rows"], workload["input_dim"]
    models = {"home": Home, "mmoe": Mmoe, "ple": Ple, "sparse_mmoe": SparseMmoe, "switch": Switch}
    dispatch = [args.dispatch] if config["model"] == "sparse_mmoe" else []
    model = models[config["model"]](config, input_dim, *dispatch)
    tables = workload.get("tables")
    if tables:
        model = Embedded(model, tables, args.tables == "sparse_adam")
    model = model.to(args.device)
    if args.weights:
        load_weights(model, load_file(args.weights))
    inputs = load_file(args.inputs) if args.inputs else {}
    if inputs:
        x = inputs["ids" if tables else "x"]
    elif tables:
        x = torch.randint(tables["rows"], (rows, tables["count"]))
    else:
        x = torch.randn(rows, input_dim)
    x = x.to(args.device)
    if "labels" in inputs:
        labels = inputs["labels"].to(args.device)
    else:
        labels = (torch.rand(len(x), len(config["tasks"])) < 0.25).float().to(args.device)
    observed = (~labels.isnan()).float() if labels.isnan().any() else None
    if observed is not None:
        labels = labels.nan_to_num()
        # The sum over tasks of the mean over the rows that observe it.
        label_weights = observed / observed.sum(dim=0)
    network = model
    if args.mode == "compiled" and tables and args.tables == "sparse_adam":
        # torch.compile takes no sparse gradients (2.15: "Cannot access storage of SparseTensorImpl"), so tables stay eager.
        model.forward_ranker = torch.compile(model.ranker)
    elif args.mode == "compiled":
        network = torch.compile(model)

    # A model that chooses experts runs those of observed tasks, and has a loss of its own.
    is_sparse = isinstance(model, SparseMmoe)

    def forward():
        autocast = torch.autocast(x.device.type, torch.bfloat16) if args.precision == "bf16" else nullcontext()
        with autocast:
            logits, auxiliary = network(x, observed) if is_sparse else (network(x), None)
            # The loss is in f32, as autocast has it.
            return logits.float(), auxiliary

    def backward():
        logits, auxiliary = forward()
        if observed is None:
            loss = F.binary_cross_entropy_with_logits(logits, labels) * len(config["tasks"])
        else:
            loss = F.binary_cross_entropy_with_logits(logits, labels, label_weights, reduction="sum")
        if auxiliary is not None:
            loss = loss + auxiliary
        loss.backward()
        return logits, loss

    if not tables:
        # A leaf that wants a gradient, as the embeddings' output would be.
        x.requires_grad_(True)
    if args.outputs:
        with torch.no_grad():
            # Eager in either mode: an evaluation is not what is timed.
            model.eval()
            logits = model(x)
            outputs = {"eval/logits": logits[0] if is_sparse else logits}
            model.train()
        logits, loss = backward()
        outputs |= {"logits": logits.detach(), "loss": loss.detach()}
        outputs |= {f"gradient/{path}": gradient for path, gradient in gradients(model).items()}
        if not tables:
            outputs["gradient/x"] = x.grad
        save_file({name: tensor.cpu().contiguous() for name, tensor in outputs.items()}, args.outputs)
        return

    if tables and args.tables == "sparse_adam":
        optimizers = [
            torch.optim.Adam(model.ranker.parameters(), lr=1e-3, fused=True),
            torch.optim.SparseAdam(list(model.tables.parameters()), lr=1e-3),
        ]
    else:
        optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)]

    def step():
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        x.grad = None
        _, loss = backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss

    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        if len(words) != 2 or words[0] != "step":
            raise SystemExit(f"expected `step K` or `quit`, found {line!r}")
        steps = int(words[1])
        start = time.perf_counter()
        for _ in range(steps):
            loss = step()
        # Waits for a GPU.
        loss = loss.item()
        seconds = time.perf_counter() - start
        answer = {
            "steps": steps,
            "seconds": seconds,
            "rows_per_second": steps * len(x) / seconds,
            "loss": loss,
            "peak_memory_bytes": peak_memory_bytes(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
