import pytest
import torch
from tests.sick_trainings.loops import looped, rings, run
from torch import Tensor, nn
from torch.nn import functional as F

import netwright as nw
from netwright.checks.training.evidence import of_run
from netwright.checks.training.gradients import gradients_thrown_away, parameters_not_training
from netwright.records.finding import Finding


@pytest.mark.parametrize("fault", ["cleared too early", "cleared to zero"])
def test_gradients_cleared_between_backward_and_step_are_found(fault: str) -> None:
    (finding,) = gradients_thrown_away(looped(fault))
    assert (finding.severity, "between backward and step" in finding.summary) == ("error", True)
    assert nw.diagnose(run(fault)).findings[0].code == "NW310"


def test_backward_passes_without_a_step_are_counted() -> None:
    (finding,) = gradients_thrown_away(looped("one step an epoch"))
    assert "10.0 backward passes" in finding.summary
    assert finding.measures[0].value == pytest.approx(0.9)


@pytest.mark.parametrize("habit", ["attack", "sharpness", "accumulation", "dead bias"])
def test_passes_that_are_not_meant_to_train_throw_nothing_away(habit: str) -> None:
    x, y = rings(64)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    if habit == "dead bias":
        with torch.no_grad():
            network[0].bias.fill_(-100.0)
        network[2].bias.requires_grad_(False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    with nw.watch(network, optimizer) as watch:
        for _ in range(5):
            optimizer.zero_grad(set_to_none=habit != "dead bias")
            for _ in range({"attack": 5, "sharpness": 1, "accumulation": 4, "dead bias": 4}[habit]):
                inputs = x.clone().requires_grad_(habit == "attack")
                F.cross_entropy(network(inputs), y).backward()
                if habit in ("attack", "sharpness"):
                    optimizer.zero_grad()
            if habit in ("attack", "sharpness"):
                F.cross_entropy(network(x), y).backward()
            optimizer.step()
    evidence = of_run(nw.adopt(network, nn.CrossEntropyLoss(), (x, y), watch=watch))
    assert not list(gradients_thrown_away(evidence))


class Hidden(nn.Module):
    """Layers where torch does not look for them."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.last, self.place = nn.Linear(40, 3), place
        self.parts: list[nn.Module] | dict[str, nn.Module] | nn.ModuleList
        layer = nn.Linear(10, 40)
        self.parts = {"list": [layer], "dict": {"one": layer}}.get(place, nn.ModuleList([layer]))

    def forward(self, x: Tensor) -> Tensor:
        if self.place == "forward":
            return self.last(nn.Linear(10, 40)(x).tanh())
        part = self.parts["one"] if isinstance(self.parts, dict) else self.parts[0]
        return self.last(part(x).tanh())


@pytest.mark.parametrize(
    ("place", "words"), [("list", "parts[0]"), ("dict", "parts['one']"), ("forward", "anew in forward")]
)
def test_layers_that_are_not_registered_are_found(place: str, words: str) -> None:
    first = nw.diagnose(run(network=Hidden(place))).findings[0]
    assert (first.code, first.severity, words in first.summary) == ("NW312", "error", True)


def test_registered_layers_are_not() -> None:
    assert not list(parameters_not_training(of_run(run(network=Hidden("registered")))))


def kept_apart(*, is_trained: bool, is_called: bool = True) -> list[Finding]:
    """A body that the optimizer does not get."""
    body = run().network[:2] if is_trained else nn.Sequential(nn.Linear(10, 40), nn.Tanh())
    network = nn.Sequential(body, nn.Linear(40, 3))
    if not is_called:
        network = nn.Sequential(nn.Linear(10, 3))
        network.register_module("aside", body)
        network.forward = network[0].forward
    x, y = rings()
    optimizer = torch.optim.SGD([p for n, p in network.named_parameters() if n.startswith(("1", "0.w", "0.b"))], lr=0.1)
    with nw.watch(network, optimizer) as watch:
        for rows in torch.arange(500).split(50):
            optimizer.zero_grad()
            F.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
    return list(parameters_not_training(of_run(nw.adopt(network, nn.CrossEntropyLoss(), (x, y), watch=watch))))


def test_a_new_part_outside_the_optimizer_is_an_error_and_a_trained_one_a_warning() -> None:
    assert [finding.severity for finding in kept_apart(is_trained=False)] == ["error"]
    assert [finding.severity for finding in kept_apart(is_trained=True)] == ["warning"]


def test_a_part_that_no_answer_uses_is_a_warning() -> None:
    (finding,) = kept_apart(is_trained=False, is_called=False)
    assert (finding.severity, "never used" in finding.summary) == ("warning", True)


def test_clipping_a_gradient_that_is_zero_in_part_clears_nothing() -> None:
    x, y = rings(64)
    network = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        network[0].bias.fill_(-100.0)  # dead: no gradient but the last bias's
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    with nw.watch(network, optimizer) as watch:
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1e-3)
            optimizer.step()
    assert watch.watched().emptied == 0
