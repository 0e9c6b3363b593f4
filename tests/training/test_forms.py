"""Batches, outputs and losses of an engineer's own forms: what is computed is what their own loop would compute."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.records.batch import Batch
from netwright.records.errors import DataError, NetworkError, NetwrightError

N, B = 20, 8
DRAW = torch.Generator().manual_seed(0)
SIZES, PRICES = torch.randn(N, 3, generator=DRAW), torch.randn(N, 2, generator=DRAW)
WORDS = torch.randint(1, 9, (N, 5), generator=DRAW)
REAL = (torch.arange(5) < torch.randint(2, 6, (N, 1), generator=DRAW)).long()
CLASSES = torch.randint(0, 4, (N,), generator=DRAW)
HEIGHTS = torch.randn(N, generator=DRAW)
NUMBERS = torch.arange(1000, 1000 + N)
CROSS = nn.CrossEntropyLoss()
Pair = namedtuple("Pair", "sizes classes")


def layer(inputs: int, outputs: int = 4) -> nn.Linear:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        return nn.Linear(inputs, outputs)


class Reader(nn.Module):
    """Words and which of them are real, in an order of its own, with something optional between."""

    def __init__(self) -> None:
        super().__init__()
        self.look_up, self.head = nn.Embedding.from_pretrained(torch.eye(9), freeze=False), layer(9)

    def forward(self, words: Tensor, extra: Tensor | None = None, real: Tensor | None = None) -> Any:
        assert real is None or int(real.max()) == 1, "words came as the mask"
        weight = torch.ones_like(words) if real is None else real
        seen = (self.look_up(words) * weight[..., None]).sum(1)
        return self.head(seen if extra is None else seen + extra.mean(1, keepdim=True))


@dataclass
class Found:
    loss: Tensor | None
    logits: Tensor
    states: tuple[Tensor, ...] | None = None


class Recorded(Reader):
    def forward(self, words: Tensor, real: Tensor | None = None, labels: Tensor | None = None) -> Found:
        logits = super().forward(words, real=real)
        return Found(None if labels is None else CROSS(logits, labels), logits)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = layer(5)

    def forward(self, sizes: Tensor, prices: Tensor) -> Tensor:
        return self.head(torch.cat((sizes, prices), 1))


class ByName(Two):
    def forward(self, *, prices: Tensor, sizes: Tensor) -> Tensor:
        return super().forward(sizes, prices)


class OfList(Two):
    def forward(self, parts: list[Tensor]) -> Tensor:
        return super().forward(*parts)


class OfDict(Two):
    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        return super().forward(batch["sizes"], batch["prices"])


class OfNest(Two):
    def forward(self, sizes: Tensor, others: list[Tensor]) -> Tensor:
        return super().forward(sizes, torch.cat(others, 1))


class Heads(nn.Module):
    form: Callable[[Tensor, Tensor], Any]

    def __init__(self, form: Callable[[Tensor, Tensor], Any] = lambda a, b: (a, b)) -> None:
        super().__init__()
        self.form, self.classes, self.height = form, layer(3), layer(3, 1)

    def forward(self, sizes: Tensor) -> Any:
        return self.form(self.classes(sizes), self.height(sizes)[:, 0])


def both(outputs: Any, targets: Any) -> Tensor:
    return F.cross_entropy(outputs[0], targets[0]) + F.mse_loss(outputs[1], targets[1])


def named(outputs: Any, targets: Any) -> Tensor:
    return F.cross_entropy(outputs["what"], targets["what"]) + F.mse_loss(outputs["high"], targets["high"])


def apart(outputs: Any, classes: Tensor, heights: Tensor) -> Tensor:
    return both(outputs, (classes, heights))


def weighted(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return (F.cross_entropy(outputs, targets, reduction="none") * weights).mean()


def own_objective(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(*batch.inputs), batch.targets[0], reduction="none")


def batches(make: Callable[[slice], Any]) -> list[Any]:
    return [make(slice(k, k + B)) for k in range(0, N, B)]


def of_words() -> Tensor:
    return F.cross_entropy(Reader()(WORDS, real=REAL), CLASSES, reduction="none")


def of_two() -> Tensor:
    return F.cross_entropy(Two()(SIZES, PRICES), CLASSES, reduction="none")


def of_sizes() -> Tensor:
    return F.cross_entropy(layer(3)(SIZES), CLASSES, reduction="none")


def of_heads() -> Tensor:
    first, second = Heads()(SIZES)
    return F.cross_entropy(first, CLASSES, reduction="none") + (second - HEIGHTS) ** 2


Form = tuple[Callable[[], nn.Module], Any, Callable[[slice], Any], Callable[[], Tensor]]

FORMS: dict[str, Form] = {
    "dictionary, other order": (
        Reader, CROSS, lambda k: {"real": REAL[k], "labels": CLASSES[k], "words": WORDS[k]}, of_words,
    ),
    "dictionary with more than is needed": (
        Reader, CROSS,
        lambda k: {"file": ["a"] * len(NUMBERS[k]), "id": NUMBERS[k], "words": WORDS[k], "real": REAL[k],
                   "y": CLASSES[k]},
        of_words,
    ),
    "dictionary of one input of another name": (
        lambda: layer(3), CROSS, lambda k: {"picture": SIZES[k], "label": CLASSES[k]}, of_sizes,
    ),
    "dictionary with a target of another name": (
        lambda: layer(3), CROSS, lambda k: {"survived": CLASSES[k], "features": SIZES[k]}, of_sizes,
    ),
    "inputs by name alone": (
        ByName, CROSS, lambda k: {"sizes": SIZES[k], "prices": PRICES[k], "target": CLASSES[k]}, of_two,
    ),
    "the dictionary itself": (
        OfDict, CROSS, lambda k: {"prices": PRICES[k], "sizes": SIZES[k], "target": CLASSES[k]}, of_two,
    ),
    "a dictionary and a target": (Two, CROSS, lambda k: ({"prices": PRICES[k], "sizes": SIZES[k]}, CLASSES[k]), of_two),
    "three entries, two inputs": (Two, CROSS, lambda k: (SIZES[k], PRICES[k], CLASSES[k]), of_two),
    "three entries, row numbers last": (
        lambda: layer(3), CROSS, lambda k: (SIZES[k], CLASSES[k], NUMBERS[k]), of_sizes,
    ),
    "three entries, file names last": (
        lambda: layer(3), CROSS, lambda k: [SIZES[k], CLASSES[k], ["a.png"] * len(NUMBERS[k])], of_sizes,
    ),
    "three entries, None last": (lambda: layer(3), CROSS, lambda k: (SIZES[k], CLASSES[k], None), of_sizes),
    "three entries, weights last": (
        lambda: layer(3), weighted, lambda k: (SIZES[k], CLASSES[k], HEIGHTS[k].abs()),
        lambda: of_sizes() * HEIGHTS.abs(),
    ),
    "a list as one argument": (OfList, CROSS, lambda k: ([SIZES[k], PRICES[k]], CLASSES[k]), of_two),
    "a nested list": (
        OfNest, CROSS, lambda k: ((SIZES[k], [PRICES[k][:, :1], PRICES[k][:, 1:]]), CLASSES[k]), of_two,
    ),
    "a named tuple": (lambda: layer(3), CROSS, lambda k: Pair(SIZES[k], CLASSES[k]), of_sizes),
    "lists of numbers": (lambda: layer(3), CROSS, lambda k: [SIZES[k].tolist(), CLASSES[k].tolist()], of_sizes),
    "arrays": (lambda: layer(3), CROSS, lambda k: (SIZES[k].numpy(), np.asarray(CLASSES[k])), of_sizes),
    "outputs with logits": (
        Recorded, CROSS, lambda k: {"real": REAL[k], "labels": CLASSES[k], "words": WORDS[k]}, of_words,
    ),
    "a loss of outputs.logits": (
        Recorded, lambda found, y: F.cross_entropy(found.logits, y),
        lambda k: {"real": REAL[k], "labels": CLASSES[k], "words": WORDS[k]}, of_words,
    ),
    "a task for outputs with logits": (
        Recorded, nw.Classification(tuple("abcd")), lambda k: {"words": WORDS[k], "real": REAL[k], "y": CLASSES[k]},
        of_words,
    ),
    "logits and states": (
        lambda: Heads(lambda a, b: (a, b[:, None])), CROSS, lambda k: (SIZES[k], CLASSES[k]), of_sizes,
    ),
    "two heads": (Heads, both, lambda k: (SIZES[k], (CLASSES[k], HEIGHTS[k])), of_heads),
    "two heads in lists": (
        lambda: Heads(lambda a, b: [a, b]), both, lambda k: (SIZES[k], [CLASSES[k], HEIGHTS[k]]), of_heads,
    ),
    "two heads, targets side by side": (Heads, apart, lambda k: (SIZES[k], CLASSES[k], HEIGHTS[k]), of_heads),
    "two heads by name": (
        lambda: Heads(lambda a, b: {"what": a, "high": b}), named,
        lambda k: (SIZES[k], {"high": HEIGHTS[k], "what": CLASSES[k]}), of_heads,
    ),
    "two heads by name, in one dictionary": (
        lambda: Heads(lambda a, b: {"what": a, "high": b}), named,
        lambda k: {"x": SIZES[k], "targets": {"high": HEIGHTS[k], "what": CLASSES[k]}}, of_heads,
    ),
    "two targets without a usual name": (
        lambda: Heads(lambda a, b: {"what": a, "high": b}), named,
        lambda k: {"sizes": SIZES[k], "high": HEIGHTS[k], "what": CLASSES[k]}, of_heads,
    ),
    "an objective": (lambda: layer(3), own_objective, lambda k: (SIZES[k], CLASSES[k]), of_sizes),
    "an objective with other names": (
        lambda: layer(3), lambda a, b: F.cross_entropy(a(b.inputs[0]), b.targets[0], reduction="none"),
        lambda k: (SIZES[k], CLASSES[k]), of_sizes,
    ),
    "two outputs around the target": (
        lambda: Heads(lambda a, b: (a[:, 0], b**2)), nn.GaussianNLLLoss(), lambda k: (SIZES[k], HEIGHTS[k]),
        lambda: F.gaussian_nll_loss(Heads()(SIZES)[0][:, 0], HEIGHTS, Heads()(SIZES)[1] ** 2, reduction="none"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_losses_are_those_of_a_loop_by_hand(form: Form) -> None:
    build, loss, make, expected = form
    network, items = build(), batches(make)
    run = nw.adopt(network, loss, items, items)
    found = [run.task.losses(network, batch) for batch in run.train.batches(B, seed=None)]
    torch.testing.assert_close(torch.cat(found), expected())
    assert len(run.train) == N
    score = nw.evaluate(run, items)
    assert score.metrics[0].value == pytest.approx(expected().mean().item(), rel=1e-4)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_steps_take_every_form_and_train_as_a_loop_by_hand(form: Form) -> None:
    build, loss, make, expected = form
    network, before = build(), build()
    optimizer = SGD(network.parameters(), lr=0.1)
    (step,) = nw.steps(network, [make(slice(0, N))], loss, optimizer)
    torch.testing.assert_close(step.losses, expected())
    assert any(not torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize(
    "whole",
    [{"real": REAL, "labels": CLASSES, "words": WORDS}, ({"real": REAL, "words": WORDS}, CLASSES), (WORDS, CLASSES)],
)
def test_all_rows_at_once_may_have_names(whole: Any) -> None:
    run = nw.adopt(Reader(), CROSS, whole)
    batch = next(run.train.batches(6, seed=3))
    real = REAL[batch.rows] if isinstance(whole, Mapping) or isinstance(whole[0], Mapping) else None
    expected = F.cross_entropy(Reader()(WORDS[batch.rows], real=real), CLASSES[batch.rows], reduction="none")
    torch.testing.assert_close(run.task.losses(run.network, batch), expected)


@pytest.mark.parametrize("wrap", [lambda net: torch.compile(net, backend="eager"), nn.DataParallel])
def test_wrapped_networks_are_looked_at_without_their_wrapper(wrap: Callable[[nn.Module], Any]) -> None:
    network = nn.Sequential(layer(3, 8), nn.ReLU(), layer(8))
    wrapped = wrap(network)
    optimizer = SGD(wrapped.parameters(), lr=0.1)
    with nw.watch(wrapped, optimizer) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            CROSS(wrapped(SIZES), CLASSES).backward()
            optimizer.step()
    run = nw.adopt(wrapped, CROSS, (SIZES, CLASSES), watch=watch, recipe=nw.Recipe(lr=0.1))
    assert run.network is network
    assert run.watched.layers == ("0", "1", "2")
    assert [name for name, _ in run.build().named_parameters()] == [name for name, _ in network.named_parameters()]


REFUSED: dict[str, tuple[Any, Any, Any, type[NetwrightError], str, str]] = {
    "names that forward does not have": (
        Two(), CROSS, batches(lambda k: {"a": SIZES[k], "b": PRICES[k], "y": CLASSES[k]}), DataError,
        "a batch holds a, b, y, but the network's forward takes (sizes, prices)", "name the entries after forward's",
    ),
    "one input too few": (
        Two(), CROSS, batches(lambda k: (SIZES[k], CLASSES[k])), NetworkError, "missing 1 required", "(sizes, prices)",
    ),
    "the loss of the whole batch": (
        Recorded(), lambda found, y: found.loss, batches(lambda k: {"words": WORDS[k], "labels": CLASSES[k]}),
        NetworkError, "returned logits for each row, but no 'loss'", "a function (outputs, targets), of outputs.logits",
    ),
    "a loss that was not made": (
        layer(3), nn.CrossEntropyLoss, (SIZES, CLASSES), NetworkError, "got the class CrossEntropyLoss",
        "CrossEntropyLoss(...)",
    ),
    "the name of a loss": (
        layer(3), "mse", (SIZES, CLASSES), NetworkError, "got a str: 'mse'", "nn.CrossEntropyLoss()",
    ),
    "a function as the network": (
        lambda x: x, CROSS, (SIZES, CLASSES), NetworkError, "a torch.nn.Module, got a function", "module's forward",
    ),
    "no targets": (
        layer(3, 3), lambda out, y: F.mse_loss(out, y), DataLoader(TensorDataset(SIZES), B), DataError,
        "the loader gives no targets, but the loss takes (out, y)", "pairs (x, x)",
    ),
    "single rows": (
        layer(3), CROSS, TensorDataset(SIZES, CLASSES), DataError, "a TensorDataset, which gives single rows",
        "DataLoader(dataset",
    ),
    "rows that are not collated": (
        layer(3), CROSS, DataLoader(TensorDataset(SIZES, CLASSES), B, collate_fn=lambda rows: rows), DataError,
        "expected", "collate the rows into tensors",
    ),
    "a number": (layer(3), CROSS, 7, DataError, "is a int, which gives no batches", "DataLoader"),
    "two outputs and two targets for a loss of one": (
        Heads(), CROSS, batches(lambda k: (SIZES[k], CLASSES[k], HEIGHTS[k])), DataError, "takes one of each",
        "a function (outputs, targets)",
    ),
    "numbers of double precision": (
        layer(3), CROSS, (SIZES.double(), CLASSES), NetworkError, "same dtype", "x.float()",
    ),
    "classes that are no whole numbers": (
        layer(3), CROSS, (SIZES, CLASSES.float()), NetworkError, "expected target dtype", "y.long()",
    ),
    "lists of different lengths": (
        layer(3), CROSS, [([[1.0], [2.0, 3.0]], [0, 1])], DataError, "a list in a batch is no tensor", "collate",
    ),
    "outputs without tensors": (
        Heads(lambda a, b: None), CROSS, (SIZES, CLASSES), NetworkError, "the network returned nothing", "a tensor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_with_a_remedy(case: tuple[Any, Any, Any, Any, str, str]) -> None:
    network, loss, loader, kind, problem, remedy = case
    with pytest.raises(kind) as caught:
        nw.adopt(network, loss, loader)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


class Optional(nn.Module):
    def forward(self, sizes: Tensor, shift: Tensor | None = None) -> Tensor:
        return sizes if shift is None else sizes + shift


def test_a_batch_that_can_be_read_in_two_ways_is_refused() -> None:
    with pytest.raises(DataError, match="can be read in two ways") as caught:
        nw.adopt(Optional(), F.mse_loss, batches(lambda k: (SIZES[k], SIZES[k], SIZES[k])))
    assert "((x1, x2), y)" in caught.value.remedy


def test_steps_refuse_a_loss_that_is_not_the_mean_over_its_rows() -> None:
    network = layer(3)
    spread = lambda out, y: F.cross_entropy(out, y) + out.mean(0).square().sum()  # noqa: E731  as users do
    with pytest.raises(NetworkError, match="the mean over its rows") as caught:
        next(nw.steps(network, [(SIZES, CLASSES)], spread, SGD(network.parameters(), lr=0.1)))
    assert "objective (network, batch)" in caught.value.remedy


def test_understanding_a_form_draws_no_random_number_and_changes_no_statistics() -> None:
    network = nn.Sequential(layer(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), layer(6))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    nw.adopt(network, lambda out, y: F.cross_entropy(out, y), batches(lambda k: (SIZES[k], CLASSES[k], NUMBERS[k])))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", [nn.MSELoss(), lambda out, y: (out - y).abs().mean()])
def test_steps_refuse_a_loss_that_broadcasts_with_both_shapes(loss: Any) -> None:
    network, y = layer(3, 1), SIZES[:, 0]
    with pytest.raises(NetworkError, match=rf"outputs \({len(y)}, 1\) and targets \({len(y)},\)") as caught:
        next(nw.steps(network, [(SIZES, y)], loss, SGD(network.parameters(), lr=0.1)))
    assert "outputs.squeeze(1)" in caught.value.remedy
