"""Networks of an engineer's own that are sick in one way each: found, mended, and proven to be better."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw

PLAIN = nw.Recipe(
    lr=0.01, epochs=4, batch_size=32, weight_decay=0.0, precision="fp32", kernels="torch", compile="never", threads=1,
    adapt=False, clip=0.0,
)  # fmt: skip


def corners(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Whether two numbers have the same sign: no linear model can tell."""
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] * x[:, 1] < 0).long()


def perceptron(*end: nn.Module, constant: float | None = None) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 2), *end)
    if constant is not None:
        for parameter in network.parameters():
            nn.init.constant_(parameter, constant)
    return network


@dataclass(frozen=True)
class Sick:
    code: str
    mends: tuple[str, ...]
    build: Callable[[], nn.Module] = perceptron
    scale: float = 1.0
    recipe: nw.Recipe = PLAIN


SICK = {
    "a softmax at the end": Sick("NW313", ("logits",), lambda: perceptron(nn.Softmax(1))),
    "numbers in thousandths": Sick("NW321", ("standardized",), scale=1e-3),
    "constant weights": Sick("NW305", ("init",), lambda: perceptron(constant=0.1)),
}


def trained(sick: Sick) -> nw.Run:
    (x, y), (xv, yv), (xt, yt) = corners(320, 1), corners(200, 2), corners(100, 3)
    run = nw.adopt(
        sick.build(), F.cross_entropy, (sick.scale * x, y), (sick.scale * xv, yv), test_loader=(sick.scale * xt, yt),
        recipe=sick.recipe,
    )  # fmt: skip
    return nw.train(run, diagnose=False)


@pytest.mark.parametrize("name", SICK)
def test_a_sick_network_is_mended_and_the_gain_is_proven(name: str) -> None:
    sick = SICK[name]
    run = trained(sick)
    treatment = nw.treat(run)
    note = treatment.note
    assert note.found[0].split()[1] == sick.code
    assert set(sick.mends) <= set(note.mends)
    assert note.gains[-1].low > 0
    assert f"mended: {', '.join(note.mends)}" in str(treatment)
    assert not treatment.run.diagnosis.fails("error")
    assert treatment.run.scores["log_loss"].value < run.scores["log_loss"].value
    untrained = treatment.run.build()
    untrained.load_state_dict(treatment.run.network.state_dict())
    x = sick.scale * corners(20, 4)[0]
    assert torch.equal(untrained.eval()(x), treatment.run.network.eval()(x))


def test_a_training_that_diverged_is_treated() -> None:
    def rows(seed: int) -> tuple[Tensor, Tensor]:
        x, y = corners(320, seed)
        return x, y[:, None].float()

    def build() -> nn.Module:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 1))

    recipe, network = PLAIN.edit({"optimizer": "sgd", "lr": 10.0}), build()
    optimizer, (x, y) = torch.optim.SGD(network.parameters(), lr=10.0, momentum=0.9), rows(1)
    while network[0].weight.isfinite().all():
        optimizer.zero_grad()
        F.mse_loss(network(x), y).backward()
        optimizer.step()
    run = nw.adopt(network, F.mse_loss, (x, y), rows(2), recipe=recipe, build=build)
    treatment = nw.treat(run)
    assert treatment.note.found[0].split()[1] == "NW331"
    assert treatment.note.changes["lr"] < 1.0
    assert treatment.note.gains[0].low > 0
    assert treatment.note.gains[0].after < 0.2 < treatment.note.gains[0].before
    assert treatment.run.network[0].weight.isfinite().all()
