from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.training.layers import Layout, after_calls, family, hooked, idle, is_layer, layers
from netwright.training.look import look
from netwright.training.signals import signals


def objective(network: nn.Module, batch: Batch) -> Tensor:
    return network(*batch.inputs).square().flatten(1).mean(1)


def test_layers_are_those_without_parts_or_with_weights_of_their_own_each_once() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(nn.Linear(2, 2), shared, nn.MultiheadAttention(2, 1), shared)
    assert [name for name, _ in layers(network, is_layer)] == ["0", "1", "2", "2.out_proj"]
    assert [name for name, _ in layers(nn.Linear(1, 1), is_layer)] == ["Linear"]


def test_calls_are_heard_in_their_order_and_not_after_the_block_even_if_it_fails() -> None:
    network, heard = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), list[str]()

    def hear(name: str, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        heard.append(name)

    with pytest.raises(RuntimeError), hooked(after_calls(layers(network, is_layer), hear)):
        network(torch.ones(1, 2))
        network(torch.ones(1, 9))
    network(torch.ones(1, 2))
    assert heard == ["0", "1"]
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        *((nn.ReLU(), "rectifying"), (nn.ReLU6(), "rectifying"), (nn.RNN(1, 1, nonlinearity="relu"), "rectifying")),
        *((nn.Hardtanh(), ""), (nn.Hardtanh(0, 1), "rectifying"), (nn.Sigmoid(), "sigmoid"), (nn.GELU(), "")),
        *((nn.Softsign(), "tanh"), (nn.LSTM(1, 1), "tanh"), (nn.Linear(1, 1), "")),
    ],
)
def test_the_family_says_what_bounds_the_outputs(module: nn.Module, expected: str) -> None:
    assert family(module) == expected


def test_units_of_a_convolution_along_steps_are_its_channels_for_the_recorder_and_for_a_look() -> None:
    conv, relu = nn.Conv1d(1, 2, 1), nn.ReLU()
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.copy_(torch.tensor([-1.0, 1.0]))
    x, layout = torch.ones(4, 1, 5), Layout()
    between = conv(x).detach()
    layout.channels_first(conv, between)
    is_first = layout.channels_first(relu, relu(between))
    assert idle(relu(between), channels_first=is_first).tolist() == [True, False]
    (_, seen) = look(nn.Sequential(conv, relu), objective, [Batch((x,), (), torch.arange(4))])
    recorded = dict(signals(relu, (between,), relu(between), channels_first=is_first))
    assert seen.dead == float(recorded["dead"]) == 0.5


@pytest.mark.parametrize("module", [nn.Tanh(), nn.Sigmoid(), nn.Softsign()])
def test_the_recorder_and_a_look_call_the_same_outputs_saturated(module: nn.Module) -> None:
    enter, x = nn.Linear(1, 1), torch.linspace(-4, 4, 41)[:, None]
    (_, seen) = look(nn.Sequential(enter, module), objective, [Batch((x,), (), torch.arange(41))])
    between = enter(x).detach()
    recorded = dict(signals(module, (between,), module(between), channels_first=None))
    assert seen.saturated == pytest.approx(float(recorded["saturated"]))
