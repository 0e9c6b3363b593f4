import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.training.signals import GATE_ROWS, functional, signals


def seen(module: nn.Module, x: Tensor, *, channels_first: bool | None = None) -> dict[str, float]:
    with torch.no_grad():
        return {what: float(v) for what, v in signals(module, (x,), module(x), channels_first=channels_first)}


@pytest.mark.parametrize(
    ("shape", "channels_first", "axis"),
    [((6, 4), None, 1), ((6, 4, 3), True, 1), ((6, 3, 4), False, 2), ((6, 4, 3, 3), None, 1), ((6, 3, 3, 4), False, 3)],
)
def test_a_unit_is_dead_that_is_zero_in_all_rows_and_places(
    shape: tuple[int, ...], channels_first: bool | None, axis: int
) -> None:
    x = torch.ones(shape)
    x.select(axis, 2)[:] = -1.0
    x.select(axis, 1)[1:] = -1.0  # alive in one row
    assert seen(nn.ReLU(), x, channels_first=channels_first)["dead"] == 0.25


def test_only_rectifiers_have_dead_units() -> None:
    assert "dead" not in seen(nn.GELU(), torch.full((4, 4), -9.0))


def test_saturated_is_what_lies_in_the_flat_parts() -> None:
    x = torch.tensor([[-9.0, -1.0, 1.0, 9.0]])
    assert seen(nn.Sigmoid(), x)["saturated"] == 0.5
    assert seen(nn.Tanh(), x)["saturated"] == 0.5
    assert "saturated" not in seen(nn.ReLU(), x)


@pytest.mark.parametrize("batch_first", [True, False])
def test_gates_of_an_lstm_are_those_that_its_cell_computes(batch_first: bool) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 5, batch_first=batch_first)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(4)
    x = torch.randn(GATE_ROWS, 7, 3)
    weights = [p.detach() for p in layer.parameters()]
    h = c = torch.zeros(GATE_ROWS, 5)
    flat = list[Tensor]()
    for step in range(7):
        i, f, g, o = (x[:, step] @ weights[0].T + h @ weights[1].T + weights[2] + weights[3]).chunk(4, 1)
        if step:
            flat.append(
                torch.cat([(torch.sigmoid(torch.cat([i, f, o], 1)) - 0.5).abs() > 0.47, torch.tanh(g).abs() > 0.94], 1)
            )
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    expected = float(torch.stack(flat).float().mean())
    assert 0.1 < expected < 0.9
    assert seen(layer, x if batch_first else x.transpose(0, 1))["saturated"] == pytest.approx(expected)


def test_gates_of_a_gru_are_those_that_its_cell_computes() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(3, 5, batch_first=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(4)
    x = torch.randn(GATE_ROWS, 7, 3)
    w, u, b, d = (p.detach() for p in layer.parameters())
    h = torch.zeros(GATE_ROWS, 5)
    flat = list[Tensor]()
    for step in range(7):
        (r, z, n), (hr, hz, hn) = (x[:, step] @ w.T + b).chunk(3, 1), (h @ u.T + d).chunk(3, 1)
        r, z = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
        n = torch.tanh(n + r * hn)
        if step:
            flat.append(torch.cat([(torch.cat([r, z], 1) - 0.5).abs() > 0.47, n.abs() > 0.94], 1))
        h = (1 - z) * n + z * h
    assert seen(layer, x)["saturated"] == pytest.approx(float(torch.stack(flat).float().mean()))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_recurrent_layer_of_any_build_has_a_share(layers: int, steps: int) -> None:
    layer = nn.LSTM(3, 4, num_layers=layers, bidirectional=True, batch_first=True)
    assert 0 <= seen(layer, torch.randn(2, steps, 3))["saturated"] <= 1


def test_activations_called_as_functions_are_told_with_the_layer_that_feeds_them() -> None:
    first, second = nn.Linear(1, 4), nn.Linear(4, 4)
    with torch.no_grad():
        first.weight.zero_()
        first.bias.copy_(torch.tensor([-1.0, -1.0, -1.0, 1.0]))
        second.weight.zero_()
        second.bias.copy_(torch.tensor([9.0, 0.0, 0.0, 0.0]))
    a = first(torch.ones(2, 1))
    b = second(F.dropout(F.relu(a), 0.5, training=False))
    outputs = torch.tanh(b.view(2, 4))
    assert a.grad_fn is not None and b.grad_fn is not None
    found = functional(outputs, {a.grad_fn: 0, b.grad_fn: 1}, [False, False])
    assert {(what, layer): float(value) for what, layer, value in found} == {("dead", 0): 0.75, ("saturated", 1): 0.25}


def test_integers_and_empty_outputs_show_nothing() -> None:
    assert seen(nn.Identity(), torch.ones(2, 2, dtype=torch.int64)) == {}
    assert seen(nn.Identity(), torch.empty(0, 2)) == {}


def test_a_large_output_is_judged_by_its_first_rows() -> None:
    x = torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))
    shown = seen(nn.Identity(), x)
    assert shown["std"] == pytest.approx(1.0, abs=0.01)
    assert shown["mean"] == pytest.approx(0.0, abs=0.02)
    assert not math.isnan(shown["mean"])
