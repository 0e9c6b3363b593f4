"""The cost of a step in operations, which do not depend on the machine: what recording and watching add, and what not.

`benchmarks/speed/` measures the seconds. This keeps a change from adding work to every step unseen.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import netwright as nw
from netwright.training import fit
from netwright.training.loop import steps
from netwright.training.optimizer import build_optimizer
from netwright.training.recorder import Recorder

ROWS, SIZE, EPOCHS = 2048, 64, 3
RECIPE = nw.Recipe(batch_size=SIZE, epochs=EPOCHS, clip=0.0, schedule="constant", warmup=0.0, precision="fp32")
TASK = nw.Classification(("no", "yes"))


class Counting(TorchDispatchMode):
    """Counts what reaches torch's kernels; views and the like are left out, they cost no time."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.counts[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(ROWS, 8, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long()


def by_hand() -> Counter[str]:
    """A loop as short as it can be: no record, no row numbers, no order."""
    net, (x, y) = network(), rows()
    optimizer = build_optimizer(net, RECIPE)
    with Counting() as mode:
        for _ in range(EPOCHS):
            for first in range(0, ROWS, SIZE):
                chosen = torch.arange(first, first + SIZE)
                optimizer.zero_grad()
                F.cross_entropy(net(x.index_select(0, chosen)), y.index_select(0, chosen)).backward()
                optimizer.step()
    return mode.counts


def test_the_loop_adds_no_more_than_two_operations_to_a_step() -> None:
    net = network()
    x, y = rows()
    batches = ((x[i : i + SIZE], y[i : i + SIZE]) for _ in range(EPOCHS) for i in range(0, ROWS, SIZE))
    optimizer = build_optimizer(net, RECIPE)
    with Counting() as mode:
        for _ in steps(net, batches, TASK.losses, optimizer):
            pass
    # The mean is a sum and a division, so that losses stay apart; row numbers are counted; nothing is gathered here.
    allowed = by_hand().total() + 2 * EPOCHS * ROWS // SIZE
    assert mode.counts.total() <= allowed, mode.counts


def test_a_step_that_is_not_watched_costs_no_operation() -> None:
    net, (x, y) = network(), rows()
    optimizer = build_optimizer(net, RECIPE)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x[:SIZE]), y[:SIZE]).backward()
        optimizer.step()

    step()  # makes the optimizer's state
    with Counting() as mode:
        step()
    alone = mode.counts
    recorder = Recorder(net, optimizer)
    for _ in range(17):
        step()
    with Counting() as mode:
        step()
    recorder.close()
    assert [m.step for m in recorder.watched().moments][-1] == 16
    assert mode.counts == alone


def test_recording_a_training_adds_no_more_than_four_operations_to_a_step_and_thirty_to_a_watched_one() -> None:
    run = nw.adopt(network(), TASK, rows(), recipe=RECIPE)
    watched = 7  # of 96 steps: 0, 1, 2, 4, 8, 16, 32
    with Counting() as mode:
        for _ in fit.fit(run, clock=iter(range(10**9)).__next__):  # an hour between two looks: shown at every step
            pass
    shown = mode.counts.total()
    with Counting() as mode:
        for _ in fit.fit(run, clock=lambda: 0.0):
            pass
    seldom = mode.counts.total()
    steps_done = EPOCHS * ROWS // SIZE
    assert seldom <= by_hand().total() + 4 * steps_done + 30 * watched, mode.counts
    assert shown > seldom  # telling a person reads the losses: that is what the pauses between two looks save
