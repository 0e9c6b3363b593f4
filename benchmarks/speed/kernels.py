"""Whole training steps with torch's CPU kernels and with netwright's, in fp32 and bf16, as a Markdown table.

    python -m benchmarks.speed.kernels --rounds 9

The cases of a network take turns, step by step, in one process. With one thread the time is the process's CPU time,
which other programs disturb least; with several it is wall time, which only a quiet machine makes worth reading.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from benchmarks.speed.measure import conditions
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.sequences import Chain
from netwright.models.transformer import causal_transformer, transformer
from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.records.task import Objective
from netwright.training.loop import steps
from netwright.training.objective import in_arithmetic

WARM_UP = 2  # rounds that do not count


@dataclass(frozen=True)
class Case:
    """A network and the inputs of one step."""

    name: str
    network: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]


class Encoder(nn.Module):
    """torch's encoder with a mask, as GPT (causal) or ViT would be written."""

    def __init__(self, width: int, depth: int, *, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            width, width // 64 if causal else 4, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width)."""
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.body(x, mask, is_causal=self.causal)


def small_maps() -> nn.Module:
    """The end of a ResNet on small images: 256 channels on 3x3."""
    layers = [nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256)).to(
        memory_format=torch.channels_last
    )


def ours(*, causal: bool) -> nn.Module:
    """Our transformer: 4 blocks of 128 features."""
    backbone = causal_transformer if causal else transformer
    return Chain(backbone(Signal("sequence", 32, (64,)), Recipe(width=128, depth=4, dropout=0.0))[0])


CASES = (
    Case("ViT d128 x 6, 64 tokens, batch 64", lambda: Encoder(128, 6), lambda: (torch.randn(64, 64, 128),)),
    Case("the same with dropout 0.1", lambda: Encoder(128, 6, dropout=0.1), lambda: (torch.randn(64, 64, 128),)),
    Case(
        "GPT d256 x 4, 128 tokens, batch 16", lambda: Encoder(256, 4, causal=True), lambda: (torch.randn(16, 128, 256),)
    ),
    Case(
        "GPT d256 x 4, 256 tokens, batch 8", lambda: Encoder(256, 4, causal=True), lambda: (torch.randn(8, 256, 256),)
    ),
    Case(
        "our transformer d128 x 4, 64 steps, batch 64",
        lambda: ours(causal=False),
        lambda: (torch.randn(64, 64, 32), torch.randint(8, 65, (64,))),
    ),
    Case(
        "our causal transformer, the same",
        lambda: ours(causal=True),
        lambda: (torch.randn(64, 64, 32), torch.randint(8, 65, (64,))),
    ),
    Case(
        "2 convolutions, 256 channels on 3x3, batch 128",
        small_maps,
        lambda: (torch.randn(128, 256, 3, 3).to(memory_format=torch.channels_last),),
    ),
    Case(
        "MLP 64-64-64-10, batch 64 (nothing to replace)",
        lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        lambda: (torch.randn(64, 64),),
    ),
)


def squares(network: nn.Module, batch: Batch) -> Tensor:
    """Some loss for each row."""
    outputs = network(*batch.inputs)
    return (
        F.mse_loss(
            first := outputs[0] if isinstance(outputs, tuple) else outputs, torch.zeros_like(first), reduction="none"
        )
        .flatten(1)
        .mean(1)
    )


OBJECTIVES: dict[str, Objective] = {
    name: in_arithmetic(squares, Recipe(precision=precision, kernels=kernels))
    for name, precision, kernels in (("fp32", "fp32", "torch"), ("bf16", "bf16", "torch"), ("bf16, own", "bf16", "own"))
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="steps of each case that count")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(f"Median of {options.rounds} steps (forward, backward, AdamW), smallest and largest in brackets.\n")
    print(f"| network | threads | {' | '.join(f'{name}, ms' for name in OBJECTIVES)} | bf16 / own | fp32 / bf16 own |")
    print("|---" * (len(OBJECTIVES) + 4) + "|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        for case in CASES:
            print(row(case, threads, options.rounds), flush=True)
    print(f"\n{conditions(max(options.threads), ('netwright', 'torch'))}")


def row(case: Case, threads: int, rounds: int) -> str:
    """A line of the table."""
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    torch.manual_seed(0)
    network, inputs = case.network(), case.inputs()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    batch = Batch(inputs, (), torch.arange(len(inputs[0])))
    for _ in range(rounds + WARM_UP):
        for name, objective in OBJECTIVES.items():
            began = clock()
            for _ in steps(network, [batch], objective, optimizer):
                pass
            times[name].append(1000 * (clock() - began))
    counted = {name: values[WARM_UP:] for name, values in times.items()}
    cells = [f"{median(v):.2f} ({min(v):.2f}-{max(v):.2f})" for v in counted.values()]
    own = median(counted["bf16, own"])
    gains = [f"{median(counted[name]) / own:.2f}" for name in ("bf16", "fp32")]
    return f"| {case.name} | {threads} | {' | '.join(cells)} | {' | '.join(gains)} |"


if __name__ == "__main__":
    main()
