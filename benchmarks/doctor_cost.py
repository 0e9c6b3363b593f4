"""What the doctor costs: `nw.watch` in a bare loop, the recorder in a training, the look at its end, the diagnosis.

    python -m benchmarks.doctor_cost > doctor_cost.md

The two sides of a pair take the same steps from the same weights, in turn in one process of one thread. Counted is the
processor's time, so that other programs disturb little.
"""

import argparse
import copy
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions, in_turn, keep_to, ratios, spread, table
from sklearn.datasets import load_digits
from torch import Tensor, nn

import netwright as nw
from netwright.checks import LEFT_TO_DIAGNOSE, TRAINING_STAGES
from netwright.checks.training.early import beginning, sure, told
from netwright.checks.training.evidence import diagnose, of_run
from netwright.machine.fused import Fused, fused_adam
from netwright.records.run import Run
from netwright.records.watched import Watched
from netwright.training import fit as training
from netwright.training.recorder import Recorder, following

BAR = 1.03
TENTH = 0.1  # of the training's time may go into its diagnosis, or as long as small experiments may take anyway
PAIRS = 31

PAGE = """# What the doctor costs

A loop of one's own, with `nw.watch` and without:

{loops}

Trainings by netwright, with the recorder and the judge and without. "Look" is the look at the end of a training,
"diagnosis" all of `nw.diagnose`, both as a share of the training's time, and in seconds:

{trainings}

Processor time of one thread, fp32. Loops take one batch in memory and a fused AdamW. {rounds} rounds, the two sides in
turn; median [least-most]. "A watched step" is how many times as long as another one it takes, the median of {pairs}
pairs. The bars: less than 3 % for watching; for a diagnosis a tenth of the training's time, or a second where that is
more.

{conditions}"""


class Last(nn.Module):
    """A network whose last time step is judged."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, features) to (B, 10)."""
        states = self.body(x)
        return self.head((states[0] if isinstance(states, tuple) else states)[:, -1])


def perceptron(width: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        *(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)),
    )


def convnet() -> nn.Module:
    """Two stages with batch norm, 28 x 28 pixels in."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 49, 10)),
    ).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stub lacks it


def transformer() -> nn.Module:
    """Two blocks of 64 features."""
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(16, 64), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


LOOPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "perceptron, 16 units": (lambda: perceptron(16), (64, 64), (300, 1000, 4000)),
    "perceptron, 256 units": (lambda: perceptron(256), (128, 64), (300, 1000)),
    "convnet": (convnet, (64, 1, 28, 28), (100,)),
    "lstm": (lambda: Last(nn.LSTM(16, 64, batch_first=True), 64), (32, 50, 16), (100, 300)),
    "transformer": (lambda: Last(transformer(), 64), (32, 32, 16), (100, 300)),
}


def digits() -> tuple[Tensor, Tensor]:
    """All 1,797 digits, 64 pixels."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


def drawn(*shape: int) -> tuple[Tensor, Tensor]:
    """Noise, and which of ten directions it lies most in."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=draw)
    return x, (x.flatten(1) @ torch.randn(x[0].numel(), 10, generator=draw)).argmax(1)


TRAININGS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[Tensor, Tensor]], int, int]] = {
    "perceptron, digits": (lambda: perceptron(64), digits, 32, 20),
    "perceptron, 20,000 rows": (lambda: perceptron(256), lambda: drawn(20_000, 64), 128, 10),
    "convnet, 1,500 pictures": (convnet, lambda: drawn(1_500, 1, 28, 28), 64, 8),
    "lstm, 1,500 series": (
        lambda: Last(nn.LSTM(16, 64, batch_first=True), 64), lambda: drawn(1_500, 50, 16), 32, 8,
    ),
}  # fmt: skip


def main() -> None:
    """Times all networks."""
    options = _options()
    keep_to(1)
    torch.set_num_threads(1)
    loops, trainings = list[Iterable[object]](), list[Iterable[object]]()
    for name, (build, shape, lengths) in LOOPS.items():
        once = _one_step(build(), shape)
        for count in lengths:
            bare, seen = in_turn(_loops(build, shape, count), options.rounds, time.process_time).values()
            found = ratios(seen, bare)
            step = f"{1000 * median(bare) / count:.2f}"
            loops.append((name, step, count, _watched(count), f"{once:.2f}", spread(found, 3), _met(found)))
    for name in TRAININGS:
        trainings.append((name, *_training_costs(name, options.rounds)))
    print(
        PAGE.format(
            loops=table(("network", "ms a step", "steps", "watched", "a watched step", "ratio", "< 1.03"), loops),
            trainings=table(
                ("training", "s", "steps", "watched", "ratio", "< 1.03", "look", "s", "diagnosis", "s", "met"),
                trainings,
            ),
            rounds=options.rounds,
            pairs=PAIRS,
            conditions=conditions(1, ("netwright", "torch", "scikit-learn")),
        )
    )


def _met(found: list[float]) -> str:
    return "met" if median(found) < BAR else "**missed**"


def _training_costs(name: str, rounds: int) -> Iterable[object]:
    run = _run(name)
    done = list[Run]()

    def blind() -> None:
        with _without_recorder():
            _trained(run, is_judged=False)

    def look(left_out: Iterable[str]) -> Callable[[], object]:
        stages = {
            stage: {code: path for code, path in table.items() if code not in left_out}
            for stage, table in TRAINING_STAGES.items()
        }
        return lambda: diagnose(of_run(done[-1]), stages)

    cases = {
        "without": blind,
        "with": lambda: done.append(_trained(run, is_judged=True)),
        "look": look(LEFT_TO_DIAGNOSE),
        "diagnosis": look(()),
    }
    cases["with"]()
    cases["diagnosis"]()  # what torch and scikit-learn do once is not counted
    without, seen, looks, diagnoses = in_turn(cases, rounds, time.process_time).values()
    found, share = ratios(seen, without), ratios(diagnoses, seen)
    met = "met" if median(diagnoses) < max(1.0, TENTH * median(seen)) else "**missed**"
    return (
        *(f"{median(without):.2f}", done[-1].watched.steps, len(done[-1].watched.moments)),
        *(spread(found, 3), _met(found)),
        *(spread(ratios(looks, seen)), f"{median(looks):.2f}", spread(share), f"{median(diagnoses):.2f}", met),
    )


def _run(name: str) -> Run:
    build, data, batch_size, epochs = TRAININGS[name]
    torch.manual_seed(0)
    x, y = data()
    order = torch.randperm(len(x))
    valid, train = order[: len(x) // 5], order[len(x) // 5 :]
    recipe = nw.Recipe().edit({
        "batch_size": batch_size, "epochs": epochs, "precision": "fp32", "kernels": "torch", "compile": "never",
        "threads": 1, "adapt": False, "device": "cpu",
    })  # fmt: skip
    task = nw.Classification(tuple("0123456789"))
    return nw.adopt(build(), task, (x[train], y[train]), (x[valid], y[valid]), recipe=recipe)


def _trained(run: Run, *, is_judged: bool) -> Run:
    evidence = beginning(run)

    def judge(watched: Watched) -> str:
        return "".join(map(told, sure(replace(evidence, watched=watched))))

    events = training.fit(run, judge=judge if is_judged else None)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


class _Blind:
    """A recorder that sees nothing."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:  # Any: whatever a Recorder takes
        pass

    def losses(self, means: Iterable[float]) -> None:
        """Nothing."""

    def watched(self) -> Watched:
        """Nothing."""
        return Watched()

    def close(self) -> None:
        """Nothing."""


@contextmanager
def _without_recorder() -> Generator[None]:
    training.Recorder = _Blind  # pyright: ignore[reportAttributeAccessIssue]  the only way to train without one
    try:
        yield
    finally:
        training.Recorder = Recorder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="7 or more for numbers to publish")
    return parser.parse_args()


def _loops(build: Callable[[], nn.Module], shape: tuple[int, ...], count: int) -> dict[str, Callable[[], None]]:
    torch.manual_seed(0)
    network = build()

    def bare() -> None:
        train = _training(copy.deepcopy(network), shape)[1]
        for _ in range(count):
            train()

    def seen() -> None:
        own = copy.deepcopy(network)
        optimizer, train = _training(own, shape)
        with nw.watch(own, optimizer) as watch:
            for _ in range(count):
                train()
        watch.watched()

    return {"bare loop": bare, "watch": seen}


def _one_step(network: nn.Module, shape: tuple[int, ...]) -> float:
    """How many times as long a watched step takes."""
    optimizer, train = _training(network, shape)
    train()
    found = list[float]()
    for _ in range(PAIRS):
        alone = _seconds(train)
        recorder = Recorder(network, optimizer)
        train()
        found.append(_seconds(train) / alone)  # the second step, which is watched, and the hooks of the third
        recorder.close()
    return median(found)


def _training(network: nn.Module, shape: tuple[int, ...]) -> tuple[Fused, Callable[[], None]]:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(shape, generator=draw), torch.randint(10, shape[:1], generator=draw)
    groups = [{"params": list(network.parameters()), "weight_decay": 0.01}]
    optimizer = fused_adam(groups, lr=1e-3, betas=(0.9, 0.999), decoupled=True)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return optimizer, step


def _seconds(function: Callable[[], None]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


def _watched(count: int) -> int:
    step, watched = 0, 0
    while step < count:
        step, watched = following(step), watched + 1
    return watched


if __name__ == "__main__":
    main()
