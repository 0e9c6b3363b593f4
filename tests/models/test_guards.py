"""What stands around a network."""

from math import nan

import polars as pl
import pytest
import torch
from torch import Tensor, nn

from netwright.kinds.category import Category
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.kinds.text import Text
from netwright.machine.randomness import seeded
from netwright.models.guards import (
    COPIES,
    LEVELS,
    Ensemble,
    Smoothed,
    network_of,
    no_gradient,
    noised,
    quantize,
    random,
)
from netwright.models.network import looked_up
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.threat import FIXED, Way
from netwright.tasks.classification import Classification
from netwright.tasks.language_model import LanguageModel
from netwright.tasks.regression import Regression

SMALL = Recipe(width=8, depth=1, dropout=0.0)
CELLS = pl.DataFrame({"x": [1.0, 2.0, 3.0, None], "color": ["red", "green", "red", "blue"],
                      "said": ["a b", "b c d", "a", "c"]})  # fmt: skip
TASK = Classification(("a", "b", "c"))
UNIT = Way(torch.tensor(1.0), 0.0, 1.0)


def schema_of(*names: str) -> Schema:
    kinds = {"x": Number, "color": Category, "said": Text}
    return Schema(tuple(kinds[name].learn(name, CELLS[name]) for name in names))


def test_without_settings_it_is_the_tasks_network() -> None:
    schema = schema_of("x", "color")
    plain, built = TASK.network(schema, SMALL), network_of(TASK, schema, SMALL)
    assert type(built) is type(plain)
    assert all(map(torch.equal, built.state_dict().values(), plain.state_dict().values()))


def test_an_ensemble_trains_side_by_side_and_answers_with_the_mean() -> None:
    schema = schema_of("x", "color")
    inputs = schema.encode(CELLS)
    network = network_of(TASK, schema, SMALL.edit({"ensemble": 3}))
    assert isinstance(network, Ensemble)
    first = TASK.network(schema, SMALL)
    assert torch.equal(network(*inputs)[:, 0], first(*inputs))
    assert network(*inputs).shape == (4, 3, 3)
    each = network(*inputs)
    assert not torch.equal(each[:, 0], each[:, 1])
    assert torch.allclose(network.eval()(*inputs), each.mean(1))


def test_members_in_an_ensemble_stand_side_by_side_too() -> None:
    schema = schema_of("x")
    network = network_of(Regression(), schema, SMALL.edit({"ensemble": 2, "members": 4}))
    assert network(*schema.encode(CELLS)).shape == (4, 8, 1)
    assert network.eval()(*schema.encode(CELLS)).shape == (4, 1)


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (("said",), {"ensemble": 3}),
        (("x", "color"), {"ensemble": 2, "smoothing": 0.1}),
        (("x", "color", "said"), {"ensemble": 3}),
        (("x", "said"), {"guard": ("quantize",)}),
    ],
)
def test_answers_after_the_lookup_are_the_same(names: tuple[str, ...], settings: dict[str, object]) -> None:
    schema = schema_of(*names)
    inputs = schema.encode(CELLS)
    network = network_of(TASK, schema, SMALL.edit(settings)).eval()
    found = looked_up(network, *inputs)  # pyright: ignore[reportArgumentType]  it has stems
    assert all(x.is_floating_point() for x in found[: len(inputs)])
    assert torch.allclose(network(*found), network(*inputs), atol=1e-6)


def test_tasks_without_one_answer_have_no_ensemble() -> None:
    with pytest.raises(RecipeError, match="averages one answer for each row"):
        network_of(LanguageModel(("a",)), schema_of("said"), SMALL.edit({"ensemble": 2}))


def test_words_alone_can_neither_be_guarded_nor_smoothed() -> None:
    for settings in ({"guard": ("random",)}, {"smoothing": 0.1}):
        with pytest.raises(RecipeError, match="no input is one"):
            network_of(TASK, schema_of("said"), SMALL.edit(settings))


def line() -> nn.Module:
    with seeded(0):
        return nn.Linear(4, 2)


def test_smoothed_answers_are_the_mean_probability_of_noisy_copies_and_of_their_row_alone() -> None:
    network, x = Smoothed(line(), (UNIT,), 0.5, is_softmax=True).eval(), torch.rand(3, 4)
    generator = torch.Generator().manual_seed(0)
    copies = [noised((x,), (UNIT,), 0.5, generator, is_shared=True)[0] for _ in range(COPIES)]
    expected = torch.stack([network.network(copy).softmax(1) for copy in copies]).mean(0)
    assert torch.allclose(network(x).exp(), expected, atol=1e-6)
    assert torch.allclose(network(x[1:2]), network(x)[1:2], atol=1e-6)
    assert torch.equal(network.train()(x), network.network(x))


def test_smoothed_numbers_are_the_mean() -> None:
    network, x = Smoothed(line(), (UNIT,), 0.5, is_softmax=False).eval(), torch.rand(3, 4)
    apart = (network(x) - network.network(x)).abs()
    assert 0 < apart.max() < 1.0


def slope(network: nn.Module, x: Tensor) -> Tensor | None:
    x = x.clone().requires_grad_()
    outputs = network(x)
    return torch.autograd.grad(outputs.sum(), x, allow_unused=True)[0]


def test_guards_hide_the_gradient_or_shake_it_and_the_weights_learn_all_the_same() -> None:
    x = torch.rand(3, 4)
    for guard in (quantize, no_gradient):
        assert not guard(line(), (UNIT,))(x).sum().backward()
        assert slope(guard(line(), (UNIT,)), x) is None
    shaken = random(line(), (UNIT,)).eval()
    assert not torch.equal(shaken(x), shaken(x))
    assert slope(shaken, x) is not None


def test_quantized_values_have_few_levels_and_others_stay() -> None:
    x = torch.linspace(0, 1, 1000)[:, None].repeat(1, 2)
    x[0, 1] = nan
    way = Way(torch.tensor([1.0, 0.0]), 0.0, 1.0)
    network = quantize(nn.Identity(), (way, FIXED))
    assert len(network(x)[:, 0].unique()) == LEVELS  # pyright: ignore[reportCallIssue]  an Identity takes one input


def test_pictures_are_guarded_in_their_own_units() -> None:
    field = Image("image", 0.0, 255.0, 8.0, 8, 8, 1, (0.5,), (0.2,), 0.0, 255.0, ("8 x 8",), False)
    network = network_of(TASK, Schema((field,)), SMALL.edit({"guard": ("quantize", "random"), "smoothing": 0.1}))
    x = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    assert network.eval()(x).shape == (2, 3)
