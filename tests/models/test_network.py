from dataclasses import dataclass
from typing import ClassVar, Self, final

import polars as pl
import pytest
import torch
from torch import Tensor, nn

from netwright.kinds.number import Number
from netwright.kinds.text import Text
from netwright.models.network import dense, joined, looked_up
from netwright.models.stem import Stem
from netwright.records.batch import Batch
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Schema, Signal
from netwright.testing.models import examples

SMALL = Recipe(width=16, depth=2, dropout=0.0)


class Whole(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Steps(Stem):
    is_sequence = True

    def lengths(self, x: Tensor) -> Tensor:
        return (~x[..., 0].isnan()).sum(1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x.nan_to_num(), lengths


@final
@dataclass(frozen=True)
class Column(Field):
    """A column that comes as the signal already."""

    signal: Signal
    kind: ClassVar[str] = "column"
    seen_as: ClassVar[str] = "column"

    @staticmethod
    def matches(cells) -> bool:
        return False

    @classmethod
    def learn(cls, name, cells, detail="") -> Self:
        raise AssertionError("not called here")

    def encode(self, cells) -> Tensor:
        raise AssertionError("not called here")

    @classmethod
    def stem(cls, fields, recipe) -> tuple[nn.Module, Signal]:
        return Steps() if fields[0].signal.form == "sequence" else Whole(), fields[0].signal

    def describe(self) -> str:
        return ""

    def show(self, cell, attribution=None) -> str:
        return ""


def column(*signal) -> Column:
    return Column("x", 0.0, 1.0, 0.0, Signal(*signal))


VECTOR, MAP, SEQUENCE = column("vector", 6), column("map", 3, (12, 9)), column("sequence", 4, (11,))


def inputs_of(schema) -> list[Tensor]:
    rows = []
    for field in schema.inputs:
        x, *lengths = examples(field.signal)
        if lengths:
            x = x.masked_fill((torch.arange(x.shape[1]) >= lengths[0][:, None])[..., None], torch.nan)
        rows.append(x)
    return rows


@pytest.mark.parametrize("columns", [(VECTOR,), (MAP,), (SEQUENCE,), (VECTOR, MAP, SEQUENCE), (MAP, MAP)])
def test_columns_of_any_kind_join_and_rows_do_not_see_each_other(columns):
    schema = Schema(columns)
    network = joined(schema, SMALL, 3)
    inputs = inputs_of(schema)
    network(*inputs).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    network.eval()
    together = network(*inputs)
    assert together.shape == (5, 3)
    for row in range(5):
        torch.testing.assert_close(network(*(x[row : row + 1] for x in inputs))[0], together[row])


def test_first_answers_are_close_to_zero_for_all():
    for columns in ((VECTOR,), (MAP,), (SEQUENCE,)):
        schema = Schema(columns)
        assert joined(schema, SMALL, 3)(*inputs_of(schema)).abs().max() < 0.6


def test_seed_alone_decides_the_weights_and_torchs_generator_stays():
    schema = Schema((VECTOR, MAP))
    torch.manual_seed(1)
    first, drawn = joined(schema, SMALL, 3).state_dict(), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    second, other = joined(schema, SMALL, 3).state_dict(), joined(schema, SMALL.edit({"seed": 1}), 3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_backbone_is_used_where_it_fits_and_defaults_elsewhere():
    network = joined(Schema((VECTOR, MAP, SEQUENCE)), SMALL.edit({"backbone": "bilstm"}), 3)
    kinds = [type(module) for module in network.modules()]
    assert nn.LSTM in kinds
    assert nn.BatchNorm2d in kinds


def test_backbone_that_fits_no_input_is_an_error_naming_both():
    for columns in ((VECTOR,), (VECTOR, VECTOR)):
        with pytest.raises(RecipeError) as caught:
            joined(Schema(columns), SMALL.edit({"backbone": "convnet"}), 3)
        width = 6 * len(columns)
        assert caught.value.problem == f"backbone 'convnet' cannot follow a {width} vector: it takes a map (images)"
        assert caught.value.remedy == "set backbone to auto, mlp."


def test_layers_take_the_place_of_the_backbone_of_a_lone_input():
    schema = Schema((SEQUENCE,))
    network = joined(schema, SMALL.edit({"layers": [{"conv": 8}, "relu", {"gru": 7}]}), 3)
    assert network(*inputs_of(schema)).shape == (5, 3)
    assert [type(m).__name__ for m in network.modules()].count("GRU") == 1


def test_layers_take_the_place_of_the_perceptron_of_several_inputs():
    schema = Schema((VECTOR, MAP))
    network = joined(schema, SMALL.edit({"layers": [{"dense": 9}, "tanh"]}), 3)
    assert network.head.in_features == 9
    assert network(*inputs_of(schema)).shape == (5, 3)


def test_members_answer_each_for_itself_in_training_and_as_their_mean_in_evaluation():
    schema = Schema((VECTOR, MAP))
    network = joined(schema, SMALL.edit({"members": 4}), 3)
    inputs = inputs_of(schema)
    answers = network(*inputs)
    assert answers.shape == (5, 4, 3)
    assert not torch.allclose(answers[:, 0], answers[:, 1])
    answers.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    network.eval()
    assert network(*inputs).shape == (5, 3)


def test_members_do_not_see_each_other():
    schema = Schema((VECTOR,))
    network = joined(schema, SMALL.edit({"members": 4, "normalization": "batch"}), 3)
    x = inputs_of(schema)[0].requires_grad_()
    answers = network(x)
    network.head.bias.data[1] += 1.0
    changed = (network(x) - answers).abs().sum((0, 2)) > 1e-3
    assert changed.tolist() == [False, True, False, False]


def test_members_without_a_perceptron_are_an_error():
    for recipe in (SMALL.edit({"members": 2}), SMALL.edit({"members": 2, "layers": [{"conv": 4}]})):
        with pytest.raises(RecipeError, match="members=2 needs an mlp trunk, but this network has none"):
            joined(Schema((MAP,)), recipe, 3)


@pytest.mark.parametrize("members", [1, 4])
def test_a_perceptron_of_depth_150_trains(members):
    network = joined(Schema((VECTOR,)), Recipe(depth=150, width=16, dropout=0.0, members=members), 1)
    x = torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, :1] * x[:, 1:2]).sign()
    y = y[:, None] if members > 1 else y
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(15):
        loss = (network(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_mirrored_answers_are_the_mean_of_both_and_training_sees_one():
    x = torch.rand(6, 3, 16, 16)
    picture = Schema((column("map", 3, (16, 16)),))
    plain, mirrored = (joined(picture, SMALL.edit({"mirror": mirror}), 4) for mirror in (False, True))
    assert torch.equal(plain.train()(x), mirrored.train()(x))
    with torch.no_grad():
        both = (plain.eval()(x) + plain(x.flip(-1))) / 2
        torch.testing.assert_close(mirrored.eval()(x), both)
        torch.testing.assert_close(mirrored(x.flip(-1)), both)


@pytest.mark.parametrize("build", [joined, dense])
def test_mirrored_answers_without_an_answer_to_a_picture_are_an_error(build):
    with pytest.raises(RecipeError, match="mirror=true"):
        build(Schema((column("sequence", 3, (16,)),)), SMALL.edit({"mirror": True}), 4)


def test_dense_answers_for_each_pixel_and_each_step():
    assert dense(Schema((MAP,)), SMALL, 2)(*inputs_of(Schema((MAP,)))).shape == (5, 2, 12, 9)
    assert dense(Schema((SEQUENCE,)), SMALL, 2)(*inputs_of(Schema((SEQUENCE,)))).shape == (5, 11, 2)
    layers = SMALL.edit({"layers": [{"conv": 8}, "relu"]})
    assert dense(Schema((MAP,)), layers, 2)(*inputs_of(Schema((MAP,)))).shape == (5, 2, 12, 9)


def test_dense_keeps_the_size_of_large_images():
    large = column("map", 1, (70, 67))
    assert dense(Schema((large,)), SMALL, 2)(*examples(large.signal)).shape == (5, 2, 70, 67)


def test_causal_answers_do_not_see_later_steps():
    network = dense(Schema((SEQUENCE,)), SMALL, 2, causal=True).eval()
    x = inputs_of(Schema((SEQUENCE,)))[0]
    before = network(x)
    x[0, -1] += 1.0
    after = network(x)
    torch.testing.assert_close(before[0, :-1], after[0, :-1])
    assert not torch.allclose(before[0, -1], after[0, -1])


@pytest.mark.parametrize(
    ("columns", "edit", "causal", "text"),
    [
        ((VECTOR, MAP), {}, False, "an answer for each pixel or step needs one input column, not 2: x, x"),
        ((VECTOR,), {}, False, "a 6 vector has no pixels or steps to answer for"),
        ((SEQUENCE,), {"backbone": "bag"}, False, "backbone 'bag' has no answer for each pixel or step"),
        ((SEQUENCE,), {"backbone": "bilstm"}, True, "backbone 'bilstm' sees later steps"),
        ((SEQUENCE,), {"layers": [{"gru": 3}]}, True, "layers may see later steps, which this task forbids"),
        ((MAP,), {"layers": [{"pool": 2}]}, False, "layers turns a 3 x 12 x 9 map into a 3 x 6 x 5 map"),
        ((MAP,), {"members": 2}, False, "members=2 needs an mlp trunk"),
    ],
)
def test_dense_network_that_cannot_be_is_an_error(columns, edit, causal, text):
    with pytest.raises(RecipeError) as caught:
        dense(Schema(columns), SMALL.edit(edit), 2, causal=causal)
    assert text in caught.value.problem


@pytest.mark.parametrize("columns", [(VECTOR,), (MAP,)])
def test_networks_export(columns):
    schema = Schema(columns)
    network = joined(schema, SMALL, 3).eval()
    inputs = inputs_of(schema)
    exported = torch.export.export(network, tuple(inputs)).module()
    torch.testing.assert_close(exported(*inputs), network(*inputs))


WORDS = pl.DataFrame({
    "text": ["a fine day", "rain", "a day of rain and of wind", "wind and rain and wind a fine day of rain"] * 3,
    "size": [1.0, None, 3.0, 4.0] * 3,
})  # fmt: skip


def said(task: str = "joined") -> tuple[nn.Module, Batch]:
    """A network for texts (and numbers), and a batch that is cut."""
    names = ["text"] if task == "dense" else ["text", "size"]
    fields = tuple({"text": Text, "size": Number}[name].learn(name, WORDS[name]) for name in names)
    schema = Schema(fields)
    network = dense(schema, SMALL, 3) if task == "dense" else joined(schema, SMALL, 3)
    inputs = schema.encode(WORDS)
    lengths = tuple(block.fields[0].lengths(x) for block, x in zip(schema.blocks, inputs, strict=True))
    return network.eval(), Batch(inputs, (), torch.arange(len(WORDS)), lengths=lengths).head(3)


@pytest.mark.parametrize("task", ["joined", "dense"])
def test_said_lengths_give_the_answers_of_bare_tensors_bit_for_bit(task):
    network, batch = said(task)
    words = batch.inputs[-1]
    assert words.shape[1] == 7
    assert torch.equal(network(*batch.arguments), network(*batch.inputs))
    bare = torch.nn.functional.pad(words, (0, 3))
    assert torch.equal(network(*batch.inputs[:-1], bare), network(*batch.inputs))


def test_what_stands_in_padding_is_never_a_value():
    network, batch = said()
    numbers, words = batch.inputs
    other = torch.where(words == 0, 5, words)
    assert torch.equal(network(numbers, other, *batch.arguments[2:]), network(*batch.arguments))
    assert not torch.equal(network(numbers, other), network(*batch.inputs))


@pytest.mark.parametrize("task", ["joined", "dense"])
def test_answers_are_the_same_from_behind_the_lookup_and_gradients_reach_it(task):
    network, batch = said(task)
    found = (x.detach() for x in looked_up(network, *batch.arguments))
    floats = tuple(x.requires_grad_() if x.is_floating_point() else x for x in found)
    answers = network(*floats)
    assert torch.equal(answers, network(*batch.arguments))
    assert torch.equal(network(*looked_up(network, *batch.inputs)), network(*batch.inputs))
    answers.sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in floats[: len(batch.inputs)])
    assert floats[len(batch.inputs) - 1].grad.any()


@pytest.mark.parametrize("task", ["joined", "dense"])
def test_a_network_of_sequences_is_exported_for_any_length(task):
    network, batch = said(task)
    rows, steps = torch.export.Dim("rows", min=2), torch.export.Dim("steps", min=2, max=9)
    shapes = [{0: rows, 1: steps} if x is batch.inputs[-1] else {0: rows} for x in batch.arguments]
    exported = torch.export.export(network, batch.arguments, dynamic_shapes=(tuple(shapes),)).module()
    _, other = said(task)
    other = other.head(2)
    assert other.inputs[-1].shape[1] == 3
    torch.testing.assert_close(exported(*other.arguments), network(*other.arguments))
