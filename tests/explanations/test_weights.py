import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from netwright.explanations.weights import Connection, filters_picture, learned, strongest
from netwright.kinds.category import Category
from netwright.kinds.number import Number
from netwright.models.network import joined
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema

ROWS = 200


def table() -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "town": generator.choice(["Bonn", "Kiel", "Ulm"], ROWS),
            "age": generator.normal(40, 10, ROWS),
            "height": generator.normal(170, 10, ROWS),
        }
    )


def network_of(recipe: Recipe) -> tuple[nn.Module, Schema, tuple[torch.Tensor, ...]]:
    cells = table()
    schema = Schema(
        (
            Category.learn("town", cells["town"]),
            Number.learn("age", cells["age"]),
            Number.learn("height", cells["height"]),
        )
    )
    return joined(schema, recipe, 2).eval(), schema, schema.encode(cells)


def test_shares_of_signs_are_counted():
    layer = nn.Linear(4, 1)
    layer.weight.data = torch.tensor([[1.0, -1.0, 2.0, 0.0]])
    (found,) = learned(nn.Sequential(layer, nn.LayerNorm(1)))
    assert (found.name, found.shape) == ("0.weight", (1, 4))
    assert (found.positive, found.negative, found.near_zero) == (0.5, 0.25, 0.25)
    assert (found.mean, found.norm) == (0.5, pytest.approx(6**0.5))


def test_weights_of_zero_alone_are_near_zero():
    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    (found,) = learned(layer)
    assert (found.positive, found.negative, found.near_zero) == (0.0, 0.0, 1.0)


def test_strongest_connection_names_the_column_that_moves_the_first_layer():
    network, schema, inputs = network_of(Recipe(width=4, depth=1, embedding="none"))
    dense = network.trunk[0]
    with torch.no_grad():
        dense.weight.mul_(0.01)
        dense.weight[2, -1] = -5.0  # height stands last
    first = strongest(network, schema, inputs, count=3)[0]
    assert (first.column, first.unit, first.direction) == ("height", 2, -1)
    assert first.strength > 1.0


def test_strength_is_the_spread_that_a_category_gives_a_unit():
    network, schema, inputs = network_of(Recipe(width=4, depth=1, embedding="none"))
    with torch.no_grad():
        network.trunk[0].weight.zero_()
        network.trunk[0].weight[1, :4] = torch.tensor([0.0, 3.0, 0.0, 0.0])  # missing, then towns by frequency
    share = float((inputs[0][:, 0] == 2).float().mean())
    first = strongest(network, schema, inputs, count=1)
    assert first == (Connection("town", 1, pytest.approx(3 * (share * (1 - share)) ** 0.5), 0),)


def test_every_column_has_connections_in_an_ensemble_too():
    network, schema, inputs = network_of(Recipe(width=4, depth=2, members=3))
    found = strongest(network, schema, inputs, count=100)
    assert {connection.column for connection in found} == {"town", "age", "height"}
    assert len(found) == 3 * 4
    assert [c.strength for c in found] == sorted((c.strength for c in found), reverse=True)


def test_networks_of_others_have_no_columns():
    _, schema, inputs = network_of(Recipe(width=4, depth=1))
    assert strongest(nn.Linear(3, 1), schema, inputs) == ()


def test_filters_are_red_where_they_raise_and_blue_where_they_lower():
    conv = nn.Conv2d(1, 1, 2)
    conv.weight.data = torch.tensor([[[[2.0, -2.0], [0.0, 1.0]]]])
    picture = filters_picture(nn.Sequential(conv))
    assert picture is not None
    assert picture.size == (2 * 12 + 8, 2 * 12 + 8)
    corners = [picture.getpixel((x, y)) for y in (5, 25) for x in (5, 25)]
    assert corners == [(255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 128, 128)]


def test_filters_along_a_sequence_show_channels_as_rows():
    picture = filters_picture(nn.Conv2d(6, 1, (1, 3)))
    assert picture is not None
    assert picture.size == (3 * 12 + 8, 6 * 12 + 8)


def test_network_without_convolutions_has_no_picture():
    assert filters_picture(nn.Linear(2, 2)) is None
