import copy
import math
import pickle  # no file of ours is read by it: a user may write a network with it
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright import run_folder
from netwright.data.examples import InMemory
from netwright.machine.fused import UpdateRule, fused_adam, fused_sgd
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.watched import Watched
from netwright.run_folder.records import WATCHED
from netwright.tasks.classification import Classification
from netwright.training import checkpoint, fit
from netwright.training.adopt import adopt
from netwright.training.recorder import MOST_MOMENTS, Recorder, following
from netwright.training.stretches import MOST_STRETCHES
from netwright.training.weights import named


@contextmanager
def recorded(network: nn.Module, *optimizers: UpdateRule) -> Iterator[Recorder]:
    recorder = Recorder(network, *optimizers)
    try:
        yield recorder
    finally:
        recorder.close()


def small(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))


def rows(count: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()


def train(
    network: nn.Module, optimizer: UpdateRule, steps: int, before_step: Callable[[], object] = lambda: None
) -> None:
    x, y = rows()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        before_step()
        optimizer.step()


def test_numbers_of_a_step_equal_those_worked_out_by_hand() -> None:
    """y = relu(x w1) w2 for w1 = (1, -1), w2 = (2, 3), rows 1 and 2, loss = mean of y, plain SGD at 0.1."""
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network[2].weight.copy_(torch.tensor([[2.0, 3.0]]))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with recorded(network, optimizer) as recorder:
        network(torch.tensor([[1.0], [2.0]])).mean().backward()
        optimizer.step()
        recorder.losses([3.0])
    seen = recorder.watched()
    first, relu, last = seen.moments[0].layers
    assert (seen.layers, seen.kinds) == (("0", "1", "2"), ("Linear", "ReLU", "Linear"))
    assert (seen.moments[0].step, seen.moments[0].loss, seen.moments[0].lr) == (0, 3.0, 0.1)
    assert first.gradient == 3.0  # 2 * mean(1, 2) through the live unit, 0 through the dead one
    assert last.gradient == 1.5
    assert seen.moments[0].gradient == pytest.approx(math.hypot(3.0, 1.5))
    assert first.weight == pytest.approx(math.sqrt(2))
    assert first.update == pytest.approx(0.1 * 3.0 / math.sqrt(2))
    assert last.update == pytest.approx(0.1 * 1.5 / math.sqrt(13))
    assert (first.mean, first.std) == (0.0, pytest.approx(math.sqrt(2.5)))  # of 1, -1, 2, -2
    assert (relu.mean, relu.dead) == (0.75, 0.5)
    assert math.isnan(first.dead) and math.isnan(relu.gradient) and math.isnan(relu.saturated)


@pytest.mark.parametrize("clip", [0.01, 100.0])
def test_gradients_are_those_before_clipping(clip: float) -> None:
    lengths = list[float]()
    network = small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with recorded(network, optimizer) as recorder:
        train(
            network, optimizer, 1, lambda: lengths.append(float(nn.utils.clip_grad_norm_(network.parameters(), clip)))
        )
    assert recorder.watched().moments[0].gradient == pytest.approx(lengths[0])


def test_a_long_training_is_remembered_in_bounded_memory() -> None:
    network = nn.Linear(1, 1, bias=False)
    optimizer = fused_sgd([{"params": [network.weight], "weight_decay": 0.0}], lr=0.1, momentum=0.0, nesterov=False)
    network.weight.grad = torch.ones(1, 1)
    losses = [float(step % 7) for step in range(10_000)]
    with recorded(network, optimizer) as recorder:
        for loss in losses:
            optimizer.step()
            recorder.losses([loss])
    seen = recorder.watched()
    assert MOST_MOMENTS // 2 < len(seen.moments) <= MOST_MOMENTS
    assert [m.step for m in seen.moments][:6] == [0, 1, 2, 4, 8, 16]
    assert all(m.loss == losses[m.step] for m in seen.moments)
    assert MOST_STRETCHES // 2 < len(seen.losses) <= MOST_STRETCHES
    assert [s.first for s in seen.losses] == [s.first for s in sorted(seen.losses, key=lambda s: s.first)]
    assert sum(s.count for s in seen.losses) == seen.steps == len(losses)
    assert sum(s.mean * s.count for s in seen.losses) == pytest.approx(sum(losses))
    assert {s.least for s in seen.losses} == {0.0} and {s.most for s in seen.losses} == {6.0}


@pytest.mark.parametrize("length", [100, 600, 10_000, 1_000_000])
def test_few_steps_are_watched_in_a_training_of_any_length(length: int) -> None:
    count, step = 0, 0
    while step < length:
        count, step = count + 1, following(step)
    assert count <= max(10, 0.02 * length)


def test_a_loss_that_is_no_number_is_told_by_the_mean_of_its_stretch() -> None:
    network = small()
    with recorded(network, torch.optim.SGD(network.parameters(), lr=0.1)) as recorder:
        recorder.losses([1.0, math.nan] * 200)
    stretch = recorder.watched().losses[0]
    assert math.isnan(stretch.mean)
    assert (stretch.least, stretch.most) == (1.0, 1.0)


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


class Steps(nn.Module):
    """A recurrent layer whose last state is judged."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Twice(nn.Module):
    """Tied weights, a shared activation, activations as functions, a part that is frozen and one that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.again, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.again.weight
        self.act = nn.ReLU()
        self.unused = nn.Linear(2, 2)
        self.enter.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.enter(x.mean(1)))
        return self.head(torch.sigmoid(self.tied(self.act(F.relu(self.again(x), inplace=True)))))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: sequential(
        *(nn.Flatten(), nn.Linear(20, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 2))
    ),
    "convolution": lambda: sequential(
        *(nn.Unflatten(1, (1, 4)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Flatten(), nn.Linear(80, 2)),
    ).to(memory_format=torch.channels_last),  # type: ignore[call-overload]  torch's stub lacks it
    "lstm": lambda: Steps(nn.LSTM(5, 6, batch_first=True)),
    "gru": lambda: Steps(nn.GRU(5, 6, batch_first=True)),
    "two directions": lambda: sequential(Steps(nn.LSTM(5, 3, num_layers=2, bidirectional=True, batch_first=True))),
    "attention": lambda: sequential(
        *(nn.Linear(5, 8), nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True), nn.Flatten(), nn.Linear(32, 2))
    ),
    "twice": Twice,
}  # fmt: skip


def can_multiply_in_bf16(network: nn.Module) -> bool:
    """Without AVX-512 torch refuses recurrent layers in bf16."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.randn(8, 4, 5))
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_equal_those_of_training_alone(name: str, precision: str) -> None:
    if precision == "bf16" and not can_multiply_in_bf16(NETWORKS[name]()):
        pytest.skip("torch has no bf16 kernel for this network on this processor")

    def trained(*, is_recorded: bool) -> tuple[dict[str, Tensor], Tensor]:
        torch.manual_seed(3)
        network = NETWORKS[name]()
        trainable = [p for p in network.parameters() if p.requires_grad]
        optimizer = fused_adam([{"params": trainable, "weight_decay": 0.1}], lr=0.01, betas=(0.9, 0.99), decoupled=True)
        recorder = Recorder(network, optimizer) if is_recorded else None
        for _ in range(6):
            x = torch.randn(16, 4, 5)
            optimizer.zero_grad()
            for part in x.split(8):  # accumulated
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    outputs = network(part)
                F.cross_entropy(outputs.float(), (part[:, 0, 0] > 0).long()).backward()
            optimizer.step()
        if recorder is not None:
            recorder.close()
            seen = recorder.watched()
            assert len(seen.moments) == 4
            assert seen.accumulates and not seen.uncleared
        return named(network), torch.rand(1)

    with torch.random.fork_rng(devices=()):
        alone, drawn = trained(is_recorded=False)
        seen, drawn_too = trained(is_recorded=True)
    assert all(torch.equal(tensor, seen[name]) for name, tensor in alone.items())
    assert torch.equal(drawn, drawn_too)


def test_a_closed_recorder_leaves_no_hook() -> None:
    network = small()
    optimizer = fused_adam(
        [{"params": list(network.parameters()), "weight_decay": 0.0}], lr=0.01, betas=(0.9, 0.99), decoupled=True
    )
    with recorded(network, optimizer) as recorder:
        train(network, optimizer, 1)
    parts = [*network.modules(), *network.parameters()]
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_post_accumulate_grad_hooks")
    assert not any(getattr(part, name, None) for part in parts for name in names)
    train(network, optimizer, 3)
    assert recorder.watched().steps == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_copy_made_while_a_step_is_watched_is_not_seen(copied: Callable[[nn.Module], nn.Module]) -> None:
    network = small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = rows()
    with recorded(network, optimizer) as recorder:
        backward(network, x, y)
        backward(copied(network), 100 * x, y)
        optimizer.step()
    alone = small()
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)
    with recorded(alone, optimizer) as other:
        backward(alone, x, y)
        optimizer.step()
    assert repr(recorder.watched()) == repr(other.watched())


# Wiring: each fault and its healthy twin.


def wired(loop: Callable[[nn.Sequential, torch.optim.Optimizer, Tensor, Tensor], object], steps: int = 9) -> Watched:
    network = small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = rows()
    with recorded(network, optimizer) as recorder:
        for _ in range(steps):
            loop(network, optimizer, x, y)
    return recorder.watched()


def backward(network: nn.Module, x: Tensor, y: Tensor) -> None:
    F.cross_entropy(network(x), y).backward()


def test_gradients_that_are_never_cleared_are_counted() -> None:
    def loop(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        backward(network, x, y)
        optimizer.step()

    seen = wired(loop)
    assert (seen.looked, seen.uncleared, seen.accumulates) == (5, 4, False)  # before the first step there are none


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("passes", [1, 4])
@pytest.mark.parametrize("is_cleared_first", [True, False])
def test_cleared_and_accumulated_gradients_are_healthy(set_to_none: bool, passes: int, is_cleared_first: bool) -> None:
    def loop(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        if is_cleared_first:
            optimizer.zero_grad(set_to_none=set_to_none)
        for _ in range(passes):
            backward(network, x, y)
        optimizer.step()
        if not is_cleared_first:
            optimizer.zero_grad(set_to_none=set_to_none)

    seen = wired(loop)
    assert (seen.looked, seen.uncleared) == (5, 0)
    assert seen.accumulates == (passes > 1)


def test_two_networks_that_train_against_each_other_are_healthy() -> None:
    """A generator's backward pass leaves gradients in its judge, which clears them before its own."""
    maker, judge = small(1), small(2)
    first, second = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (maker, judge))
    both = nn.ModuleList([maker, judge])
    x, y = rows()
    with recorded(both, first, second) as recorder:
        for _ in range(9):
            second.zero_grad()
            backward(judge, x, y)
            second.step()
            first.zero_grad()
            F.cross_entropy(judge(F.pad(maker(x), (0, 1))), y).backward()
            first.step()
    seen = recorder.watched()
    assert seen.looked > 0
    assert (seen.uncleared, seen.accumulates) == (0, False)


def test_two_optimizers_over_one_network_are_one_step() -> None:
    network = small()
    one, two = (torch.optim.SGD(network[n].parameters(), lr=0.1) for n in (0, 2))
    three = torch.optim.SGD(network[4].parameters(), lr=0.2)
    x, y = rows()
    with recorded(network, one, two, three) as recorder:
        for _ in range(3):
            network.zero_grad()
            backward(network, x, y)
            for optimizer in (one, two, three):
                optimizer.step()
    seen = recorder.watched()
    assert (seen.steps, seen.uncleared, seen.not_in_optimizer, seen.never_updated) == (3, 0, (), ())
    assert all(layer.update > 0 for layer in seen.moments[-1].layers if layer.weight > 0)


@pytest.mark.parametrize("is_training", [True, False])
def test_steps_in_evaluation_mode_are_counted(is_training: bool) -> None:
    def loop(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        with torch.no_grad():
            network.eval()(x)
        network.train(is_training)
        optimizer.zero_grad()
        backward(network, x, y)
        optimizer.step()

    seen = wired(loop)
    assert seen.evaluating == (0 if is_training else seen.steps)


def test_what_does_not_train_is_named() -> None:
    network = small()
    network.register_module("aside", nn.Linear(2, 2, bias=False))
    network.append(nn.Identity())
    del network.aside
    frozen, outside = network[0], network[2]
    frozen.weight.requires_grad_(False)
    network[4].register_parameter("unused", nn.Parameter(torch.ones(1)))
    optimizer = torch.optim.SGD([p for p in network.parameters() if p is not outside.weight], lr=0.1)
    with recorded(network, optimizer) as recorder:
        train(network, optimizer, 3)
    seen = recorder.watched()
    assert seen.frozen == ("0.weight",)
    assert seen.not_in_optimizer == ("2.weight",)
    assert seen.never_updated == ("2.weight",)
    assert seen.without_gradient == ("4.unused",)


def test_a_rate_of_nothing_updates_nothing() -> None:
    network = small()
    optimizer = torch.optim.SGD(
        [{"params": network[0].parameters(), "lr": 0.0}, {"params": network[2:].parameters()}], lr=0.1
    )
    with recorded(network, optimizer) as recorder:
        train(network, optimizer, 3)
    assert recorder.watched().never_updated == ("0.weight", "0.bias")


def test_a_healthy_training_has_nothing_to_name() -> None:
    network = small()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with recorded(network, optimizer) as recorder:
        train(network, optimizer, 3)
    seen = recorder.watched()
    named = (seen.frozen, seen.not_in_optimizer, seen.never_updated, seen.without_gradient)
    assert named == ((), (), (), ())


# In `fit`.


def untrained(**settings: object) -> Run:
    x = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    recipe = Recipe(epochs=4, batch_size=10, precision="fp32", seed=5).edit(settings)
    run = adopt(small(), Classification(("low", "high")), [(x[:10], y[:10])])
    parts = [InMemory((x,), (y,), torch.arange(a, b), "row {}".format) for a, b in ((0, 100), (100, 120))]
    return replace(run, train=parts[0], valid=parts[1], recipe=recipe)


def outcome(events: fit.Events) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


def test_a_training_tells_what_was_seen_of_it() -> None:
    run = outcome(fit.fit(untrained()))
    seen = run.watched
    assert seen.steps == sum(s.count for s in seen.losses) == 40
    assert [m.step for m in seen.moments] == [0, 1, 2, 4, 8, 16, 32]
    assert run.history.epochs[0].train_loss == pytest.approx(sum(s.mean for s in seen.losses[:10]) / 10)
    assert not any(module._forward_hooks for module in run.network.modules())


@pytest.mark.parametrize("steps", [7, 17, 33])
def test_what_was_seen_outlives_a_stop(steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SHOW_SECONDS", 0.0)  # a Progress after each step
    events = fit.fit(untrained(checkpoint_seconds=1e6), folder=tmp_path)
    for _ in range(steps):
        next(events)
    events.close()
    resumed = outcome(fit.fit(untrained(checkpoint_seconds=1e6), folder=tmp_path))
    assert repr(resumed.watched) == repr(outcome(fit.fit(untrained())).watched)  # NaN equals nothing, not even itself


def test_what_was_seen_is_written_and_read(tmp_path: Path) -> None:
    seen = outcome(fit.fit(untrained())).watched
    text = checkpoint.watched_text(seen)
    assert "NaN" not in text
    read = checkpoint.parse_watched(text)
    assert repr(read) == repr(seen)
    (tmp_path / WATCHED).write_text(text)
    assert repr(run_folder.load_watched(tmp_path)) == repr(seen)


def test_a_run_older_than_the_recorder_saw_nothing(tmp_path: Path) -> None:
    assert run_folder.load_watched(tmp_path) == Watched()


def test_a_judge_is_asked_in_the_midst_of_the_first_epoch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "READ_STEPS", 30)
    asked = list[int]()

    def judge(seen: Watched) -> str:
        asked.append(seen.steps)
        return "diverging" if seen.steps > 200 else ""

    run = outcome(fit.fit(untrained(batch_size=1, epochs=9), judge=judge))
    assert asked == [30, 60, 90, 100, 200, 300]
    assert (run.history.ended, len(run.history.epochs)) == ("diverging", 3)


def test_an_epoch_cut_short_by_the_judge_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "READ_STEPS", 30)
    run = outcome(fit.fit(untrained(batch_size=1), judge=lambda _seen: "dead"))
    (epoch,) = run.history.epochs
    assert (epoch.step, run.history.ended, run.watched.steps) == (30, "dead", 30)
    assert epoch.valid


def test_an_error_holds_what_was_seen_until_then() -> None:
    run = untrained()
    x = torch.randn(100, 3)
    x[60] = math.nan
    train = InMemory((x,), ((x[:, 0] > 0).long(),), torch.arange(100), "row {}".format)
    with pytest.raises(DataError) as caught:
        outcome(fit.fit(replace(run, train=train)))
    seen = caught.value.watched
    assert seen is not None
    assert seen.moments
    assert any(math.isnan(s.mean) for s in seen.losses)
