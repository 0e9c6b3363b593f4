from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import exp, nan

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw
from netwright.checks.training.early import FAR, beginning, explain, sure, told
from netwright.checks.training.evidence import TrainingEvidence
from netwright.records.errors import NetworkError, NetwrightError, RecipeError
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.records.watched import LayerMoment, Moment, Stretch, Watched

STEPS = 400
CHANCE = 0.69  # of two classes
PLAIN = {"precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1, "adapt": False, "clip": 0.0}


def network(*, bias: float = 0.0, gain: float = 1.0) -> nn.Sequential:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        layers[0].bias += bias
        layers[2].weight *= gain
    return layers


def points(count: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x.square().sum(1) < 1.3).long()


def run(module: nn.Module | None = None, task: Task | Callable = F.cross_entropy, **settings: object) -> Run:
    recipe = nw.Recipe().edit({**PLAIN, "batch_size": 16, "epochs": 8, "lr": 1e-3, **settings})
    parts = points(400, 1), points(100, 2)
    return nw.adopt(module or network(), task, *parts, test_loader=points(100, 3), recipe=recipe)


def evidence(task: Task | Callable = F.cross_entropy) -> TrainingEvidence:
    return beginning(run(task=task))


def losses(course: Callable[[float], float], steps: int = STEPS) -> Watched:
    """A training of so many steps whose losses are a function of the share of it that is over."""
    seen = [course(step / steps) for step in range(steps)]
    return Watched(steps=steps, losses=tuple(Stretch(k, 1, loss, loss, loss) for k, loss in enumerate(seen)))


def moments(dead: float, gradient: float = 1.0, update: float = 1e-3, loss: float = CHANCE, **more: object) -> Watched:
    flat = losses(lambda _share: loss)
    layer = LayerMoment(gradient, 1.0, update, 0.0, 1.0, dead, nan)
    seen = tuple(Moment(step, loss, 0.1, gradient, (layer,)) for step in (0, 1, 2, 4, 8, 16, 32))
    return replace(flat, layers=("relu",), kinds=("ReLU",), moments=seen, looked=7, **more)


def codes(seen: Watched, task: Task | Callable = F.cross_entropy) -> list[str]:
    return [finding.code for finding in sure(replace(evidence(task), watched=seen))]


HEALTHY = {
    "falls": lambda share: exp(-share),
    "noise": lambda share: 0.7 + 0.3 * ((share * STEPS) % 2),
    "high at the start": lambda share: 100 * exp(-10 * share),
    "spike that recovers": lambda share: 90.0 if 0.6 < share < 0.7 else 0.5,
    "spike at this moment": lambda share: 90.0 if share > 0.9 else 0.5,
    "warm-up": lambda share: 0.7 * exp(-max(0.0, share - 0.5)),
    "restart": lambda share: 0.7 * exp(-3 * (share % 0.34)),
    "rises a little": lambda share: CHANCE * (1 + share),
    "far up, and flat": lambda share: 0.7 if share < 0.1 else 50.0,
    "tuned further from a small loss": lambda share: 1e-4 + 0.1 * share,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_loss_that_may_come_down_ends_no_training(name: str) -> None:
    assert codes(losses(HEALTHY[name])) == []


def test_a_loss_far_above_chance_that_rises_ends_a_training() -> None:
    rising = losses(lambda share: CHANCE * exp(8 * share))
    (finding,) = sure(replace(evidence(), watched=rising))
    assert (finding.code, finding.severity) == ("NW331", "error")
    assert "the loss went from 0.69 to" in finding.summary
    assert finding.remedies[0].edit == {"lr": pytest.approx(1e-4)}
    assert codes(losses(lambda share: CHANCE * exp(8 * share), steps=99)) == []
    assert codes(losses(lambda share: FAR * CHANCE * 0.8 * (0.5 + share))) == []


def own(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs[:, 0] - targets).abs().mean()


def test_how_high_a_loss_of_unknown_scale_is_is_not_judged() -> None:
    assert codes(losses(lambda share: exp(20 * share)), own) == []


def test_a_layer_that_is_dead_for_good_ends_a_training_that_learns_nothing() -> None:
    assert codes(moments(dead=1.0)) == ["NW303"]
    assert codes(moments(dead=0.95)) == []
    assert codes(moments(dead=1.0, loss=0.3)) == []  # another way leads around it


def test_units_that_were_killed_are_laid_to_the_rate() -> None:
    seen = moments(dead=1.0)
    first = replace(seen.moments[0], layers=(replace(seen.moments[0].layers[0], dead=0.2),))
    (finding,) = sure(replace(evidence(), watched=replace(seen, moments=(first, *seen.moments[1:]))))
    assert finding.code == "NW331"
    assert "all units of relu are dead since step 1" in finding.summary


def test_gradients_that_never_arrive_end_a_training() -> None:
    assert codes(moments(dead=0.0, gradient=0.0)) == ["NW302"]
    assert codes(moments(dead=0.0, gradient=0.0, loss=0.0)) == []  # nothing is left to learn


def test_weights_that_never_move_end_a_training() -> None:
    names = tuple(name for name, _ in network().named_parameters())
    assert codes(moments(dead=0.0, update=0.0, never_updated=names)) == ["NW332"]
    assert codes(moments(dead=0.0, update=0.0, never_updated=names[1:])) == []


def test_a_dead_training_is_stopped_with_its_reason_first() -> None:
    told_lines = list[object]()
    stopped = nw.train(run(network(bias=-50.0)), show=told_lines.append)
    assert stopped.history.ended.startswith("stopped early: NW303, dead units: 100% of the units of 1 are zero")
    assert (len(stopped.history.epochs), stopped.scores is not None) == (4, True)
    assert stopped.diagnosis is not None
    assert stopped.diagnosis.findings[0].code == "NW303"
    assert sum("NW303" in line for line in told_lines if isinstance(line, str)) == 1
    assert "NW303 dead units" in nw.summary(stopped)
    to_the_end = nw.train(run(network(bias=-50.0)), diagnose=False)
    assert (len(to_the_end.history.epochs), to_the_end.diagnosis) == (8, None)


def test_a_diverging_training_is_stopped() -> None:
    """Plain descent on a parabola: each step takes the weight 1.05 times as far from the minimum, to the other side."""
    told_lines = list[object]()
    x = points(400, 1)[0][:, :1]
    lr = 2.05 / (2 * float(x.square().mean()))
    recipe = {**PLAIN, "lr": lr, "optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    recipe |= {"warmup": 0.0, "schedule": "constant", "epochs": 400, "batch_size": 400}
    far = nw.adopt(nn.Linear(1, 1, bias=False), nw.Regression(), (x, 3 * x), recipe=nw.Recipe().edit(recipe))
    stopped = nw.train(far, show=told_lines.append)
    assert stopped.history.ended.startswith("stopped early: NW331, learning rate too high: the loss went from")
    assert len(stopped.history.epochs) == 100
    assert sum("NW331" in line for line in told_lines if isinstance(line, str)) == 1
    assert stopped.diagnosis is not None
    assert stopped.diagnosis.findings[0].remedies[0].edit == {"lr": pytest.approx(lr / 10)}


def test_the_cause_that_first_weights_and_inputs_show_is_named_in_place_of_the_symptom() -> None:
    known = evidence()
    x = torch.cat([known.train.column(0)[:, :1] * 1e4, known.train.column(0)[:, 1:]], 1)
    uneven = replace(known, train=replace(known.train, columns=(x,)), watched=losses(lambda s: CHANCE * exp(8 * s)))
    assert [finding.code for finding in sure(uneven)] == ["NW321"]


class Square(nn.Module):
    """Explodes: its output is the square of the square of a layer's."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.first, self.last, self.gain = nn.Linear(2, 8), nn.Linear(8, 2), gain

    def forward(self, x: Tensor) -> Tensor:
        return self.last((self.gain * self.first(x)) ** 4)


def test_an_error_names_the_cause_of_a_loss_that_is_no_number() -> None:
    torch.manual_seed(0)
    with pytest.raises(NetwrightError) as caught:
        nw.train(run(Square(30.0), optimizer="sgd", lr=1.0))
    assert "Cause: NW301, exploding gradients: the first gradient has length" in str(caught.value)
    assert caught.value.remedy == "clip the gradients."
    with pytest.raises(RecipeError, match=r"Cause: NW331, learning rate too high: the loss went from"):
        nw.train(run(Square(1.0), optimizer="sgd", lr=10.0, warmup=0.0))


def test_errors_with_another_reason_are_left_as_they_are() -> None:
    for error in (NetworkError("other", "mend it."), RecipeError("other", "mend it.")):
        explain(error, evidence())
        error.watched = losses(partial(pow, 0.5))
        explain(error, evidence())
        assert str(error) == "other\n  fix: mend it."


def test_a_reason_is_one_line_with_what_to_do() -> None:
    (finding,) = sure(replace(evidence(), watched=moments(dead=1.0)))
    assert told(finding).count("\n") == 0
    assert told(finding).endswith("fix: use an initialization that suits the activation.")
