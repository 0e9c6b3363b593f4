"""What each mend does to a sick network, and that it leaves a sound one alone."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import netwright as nw
from netwright import run_folder
from netwright.data.fingerprint import Fingerprint
from netwright.models.stem import Standardized
from netwright.planning import MENDS
from netwright.planning.mends import NoMend, are_equal, mended
from netwright.planning.quick import trained
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.evaluate import evaluate

PLAIN = Recipe(
    lr=0.01, epochs=8, batch_size=32, weight_decay=0.0, precision="fp32", kernels="torch", compile="never", threads=1,
    adapt=False, clip=0.0,
)  # fmt: skip
CORNERS = Classification(("same", "other"))
LEARNED = 0.3  # the loss of one that learned; chance is 0.69, and a softmax in front of it leaves no less than 0.31


def corners(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Whether two numbers have the same sign: no linear model can tell."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] * x[:, 1] < 0).long()


def stripes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures with stripes that lie or stand, in noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=generator)
    waves = torch.arange(8) % 2 * 2.0 - 1
    x = torch.where(y[:, None, None] > 0, waves[:, None], waves) + 2 * torch.randn(count, 8, 8, generator=generator)
    return x[:, None], y


def made(*modules: nn.Module, change: Callable[[nn.Module], object] = lambda _: None) -> nn.Module:
    network = nn.Sequential(*modules)
    with torch.no_grad():
        change(network)
    return network


def dense(act: Callable[[], nn.Module] = nn.ReLU, depth: int = 2) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(4, 32), act()]
    for _ in range(depth - 1):
        layers += [nn.Linear(32, 32), act()]
    return [*layers, nn.Linear(32, 2)]


def conv(norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> list[nn.Module]:
    return [nn.Conv2d(1, 8, 3), norm(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 2)]


def to_all(value: float) -> Callable[[nn.Module], object]:
    return lambda network: [p.fill_(value) for p in network.parameters()]


def scaled(value: float) -> Callable[[nn.Module], object]:
    return lambda network: [p.mul_(value) for p in network.parameters()]


Rows = Callable[[int, int], tuple[Tensor, Tensor]]


def run_of(
    network: nn.Module, rows: Rows = corners, task: Task = CORNERS, *, change: Callable[[Tensor], Tensor] = lambda x: x,
    **settings: object,
) -> Run:  # fmt: skip
    parts = [(change(x), y) for x, y in (rows(512, 1), rows(256, 2))]
    return adopt(network, task, parts[0], parts[1], recipe=PLAIN.edit(settings))


def loss_of(run: Run, network: nn.Module) -> float:
    done = trained([replace(run, network=network)], lambda _: None)[0]
    return evaluate(done.network, done.task, done.valid, done.recipe).quick()["log_loss"]


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        yield


def with_gaps(x: Tensor) -> Tensor:
    return torch.where(torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.1, torch.nan, x)


SICK: dict[str, tuple[str, Callable[[], Run]]] = {
    "numbers in thousands": ("standardized", lambda: run_of(made(*dense(nn.Tanh)), change=lambda x: 3000 * x + 5000)),
    "faint pictures": ("standardized", lambda: run_of(made(*conv(nn.Identity)), stripes, change=lambda x: 1e-4 * x)),
    "a softmax at the end": ("logits", lambda: run_of(made(*dense(), nn.Softmax(1)), epochs=4)),
    "frozen layers": ("unfrozen", lambda: run_of(made(*dense()).requires_grad_(False))),
    "sigmoids": ("activation", lambda: run_of(made(*dense(nn.Sigmoid, 8)), activation="gelu")),
    "batch norm of pairs": (
        "normalization",
        lambda: run_of(made(*conv()), stripes, normalization="group", batch_size=2, epochs=1, lr=0.03),
    ),
    "signals that shrink": (
        "normalization",
        lambda: run_of(made(*dense(depth=4), change=scaled(0.1)), normalization="layer", lr=0.02),
    ),
    "much dropout": (
        "dropout",
        lambda: run_of(made(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.98), nn.Linear(32, 2)), dropout=0.1),
    ),
    "constant weights": ("init", lambda: run_of(made(*dense(), change=to_all(0.05)))),
    "weights that are far too large": ("init", lambda: run_of(made(*dense(nn.Tanh, 4), change=scaled(50.0)))),
}


@pytest.mark.parametrize("name", SICK)
def test_a_mended_network_learns_what_it_did_not(name: str) -> None:
    mend, make = SICK[name]
    run = make()
    before = deepcopy(run.network)
    network = mended(run.network, run, [mend])
    assert are_equal(run.network, before)
    if any(p.requires_grad for p in run.network.parameters()):
        assert loss_of(run, run.network) > LEARNED
    assert loss_of(run, network) < LEARNED


SOUND: dict[str, Callable[[], Run]] = {
    "standardized": lambda: run_of(made(*dense())),
    "logits": lambda: run_of(made(*dense())),
    "unfrozen": lambda: run_of(made(*dense())),
    "activation": lambda: run_of(made(*dense(nn.GELU)), activation="relu"),
    "normalization": lambda: run_of(made(nn.LayerNorm(4), *dense()), normalization="group"),
    "dropout": lambda: run_of(made(*dense(), nn.Dropout(0.2)), dropout=0.2),
    "init": lambda: run_of(made(nn.Flatten(), nn.Identity(), nn.LayerNorm(4)), task=Classification(tuple("abcd"))),
    "answer": lambda: run_of(made(nn.LayerNorm(4)), task=Classification(tuple("abcd"))),
}


def test_every_mend_is_tried_on_a_sound_network() -> None:
    assert SOUND.keys() == MENDS.keys()
    assert {mend for mend, _ in SICK.values()} | {"answer"} == MENDS.keys()


@pytest.mark.parametrize("name", SOUND)
def test_where_there_is_nothing_to_mend_the_network_stays_and_the_reason_is_told(name: str) -> None:
    run = SOUND[name]()
    before = deepcopy(run.network)
    with pytest.raises(NoMend):
        mended(run.network, run, [name])
    assert are_equal(run.network, before)


def test_standardized_rows_have_mean_0_and_spread_1_and_what_is_missing_is_at_the_mean() -> None:
    run = run_of(
        nn.Linear(4, 2), change=lambda x: torch.cat([with_gaps(7 * x[:, :2] + 9), x[:, 2:3], x[:, 3:] * 0 + 5], 1)
    )
    seen = list[Tensor]()
    network = mended(run.network, run, ["standardized"])
    assert isinstance(network, Standardized)
    network.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = next(run.train.batches(512, seed=None)).inputs[0]
    network(x)
    assert torch.equal(seen[0][:, :2] == 0, x[:, :2].isnan())
    assert torch.equal(seen[0][:, 3], torch.zeros(512))
    there = seen[0][:, 0][~x[:, 0].isnan()]
    assert there.mean().abs() < 1e-5
    assert (there.std(correction=0) - 1).abs() < 1e-5


def test_the_last_layer_starts_with_the_shares_of_the_classes() -> None:
    run = run_of(
        made(*dense(), change=scaled(30.0)), lambda n, s: (corners(n, s)[0], (torch.arange(n) % 4 == 0).long())
    )
    network = mended(run.network, run, ["answer"])
    x = next(run.train.batches(512, seed=None)).inputs[0]
    assert torch.allclose(network[-1].bias.softmax(0), torch.tensor([0.75, 0.25]))
    assert network(x / 30).softmax(1).mean(0)[1] < 0.5


def test_an_lstm_starts_anew_with_orthogonal_weights_and_open_gates() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(1, 8, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x[:, :, None])[0][:, -1])

    run = run_of(Reader(), seed=3)
    network = mended(run.network, run, ["init"])
    gate = network.cell.weight_hh_l0[:8]
    assert torch.allclose(gate @ gate.T, torch.eye(8), atol=1e-5)
    assert network.cell.bias_ih_l0.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert are_equal(network, mended(run.network, run, ["init"]))
    state = torch.random.get_rng_state()
    mended(run.network, run, ["init"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_frozen_layers_keep_what_they_learned() -> None:
    run = run_of(made(nn.Linear(4, 8).requires_grad_(False), *dense()[1:2], nn.Linear(8, 2)))
    network = mended(run.network, run, ["init"])
    assert torch.equal(network[0].weight, run.network[0].weight)
    assert not torch.equal(network[2].weight, run.network[2].weight)


def test_a_softmax_that_is_a_function_is_left_to_a_person() -> None:
    class Ended(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).softmax(1)

    run = run_of(Ended())
    with pytest.raises(NoMend, match="no module at its end"):
        mended(run.network, run, ["logits"])


def test_several_mends_are_made_in_the_order_of_the_table() -> None:
    run = run_of(made(*dense(nn.Sigmoid), nn.Softmax(1)), activation="relu", change=lambda x: 9 * x)
    network = mended(run.network, run, ["init", "activation", "logits", "standardized"])
    assert isinstance(network, Standardized)
    assert [type(m) for m in network.network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.Identity]
    assert (
        network.network[2].weight.std() * 32**0.5 - 2**0.5
    ).abs() < 0.15  # He's, for the rectifier that is there now


def test_a_mended_network_answers_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    run = run_of(made(*dense()), task=CORNERS, change=lambda x: with_gaps(100 * x))
    network = mended(run.network, run, ["standardized"])
    done = trained([replace(run, network=network, build=lambda: deepcopy(network))], lambda _: None)[0]
    run_folder.create(done, tmp_path, data="rows", fingerprint=Fingerprint(0, 0, "0"), rows={}, seed=0, command=())
    run_folder.write(done, tmp_path)
    fresh = mended(run.network, run_of(made(*dense()), change=lambda x: x * 3), ["standardized"])
    loaded = nw.load(tmp_path, network=fresh)
    x = with_gaps(100 * corners(64, 5)[0])
    assert torch.equal(loaded.network(x), done.network.eval()(x))
    assert not torch.equal(fresh(x), done.network(x))
