"""Whether training in bf16 costs accuracy: paired with fp32, the same first weights, order and settings.

    python -m benchmarks.speed.bf16_accuracy --data FOLDER > bf16.md

FOLDER holds fashion-mnist/*.gz.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from benchmarks.speed.cases import CASES, CLASSES, LR, WEIGHT_DECAY, Array, fashion_mnist
from benchmarks.speed.measure import conditions, keep_to, table
from benchmarks.speed.networks import NETWORKS
from scipy.stats import t

import netwright as nw

CONFIDENCE = 0.95
PRECISIONS = ("fp32", "bf16")

PAGE = """# Accuracy: bf16 against fp32

{table}

Fashion-MNIST, all {tests:,} test rows; batch 128, AdamW with rate 1e-3, {seeds} pairs of trainings. A pair has its
first weights and its order from one seed. Both networks answer in fp32. In percent; the interval is Student's over the
pairs.

{conditions}"""


def main() -> None:
    """Trains all pairs and prints the table."""
    options = _options()
    keep_to(options.threads)
    torch.set_num_threads(options.threads)
    lines = list[tuple[object, ...]]()
    for name, rows in (("mlp", options.mlp_rows), ("conv", options.conv_rows)):
        parts = fashion_mnist(options.data, rows, tests=None)
        found: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        for seed in range(options.seeds):
            for precision in PRECISIONS:
                network = _train(name, parts.x, parts.y, precision, seed, options.epochs)
                found[precision].append(100 * _accuracy(network, parts.test_x, parts.test_y))
                print(f"{name} seed {seed} {precision} {found[precision][-1]:.2f} %", file=sys.stderr, flush=True)
        means = (f"{mean(values):.2f}" for values in found.values())
        lines.append((CASES[name].title, f"{rows:,}", options.epochs, *means, _difference(*found.values())))
    head = ("network", "training rows", "epochs", *PRECISIONS, "bf16 - fp32 [95 % interval]")
    told = conditions(options.threads, ("netwright", "torch"))
    print(PAGE.format(table=table(head, lines), tests=len(parts.test_x), seeds=options.seeds, conditions=told))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the public files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mlp-rows", type=int, default=60_000)
    parser.add_argument("--conv-rows", type=int, default=12_000)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _train(name: str, x: Array, y: Array, precision: str, seed: int, epochs: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    task = nw.Classification(tuple(map(str, range(CLASSES))))
    run = nw.adopt(NETWORKS[name](), task, (torch.tensor(x), torch.tensor(y)))
    settings = {
        "precision": precision, "seed": seed, "epochs": epochs, "batch_size": CASES[name].batch_size, "lr": LR,
        "weight_decay": WEIGHT_DECAY, "schedule": "constant", "warmup": 0.0, "clip": 0.0,
    }  # fmt: skip
    return nw.train(run, settings=settings).network


@torch.no_grad()
def _accuracy(network: torch.nn.Module, x: Array, y: Array) -> float:
    answers = torch.cat([network(part).argmax(1) for part in torch.tensor(x).split(1_000)])
    return (answers == torch.tensor(y)).double().mean().item()


def _difference(fp32: Sequence[float], bf16: Sequence[float]) -> str:
    differences = [b - a for a, b in zip(fp32, bf16, strict=True)]
    half = t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    middle = mean(differences)
    return f"{middle:+.2f} [{middle - half:+.2f}, {middle + half:+.2f}]"


if __name__ == "__main__":
    main()
