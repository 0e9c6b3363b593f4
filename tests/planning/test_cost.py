import torch
from torch import nn

from netwright.models.stack import stack
from netwright.planning.cost import layers, render, short, totals
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).train()


def test_layers_tell_shapes_parameters_and_flops_of_one_example():
    conv, relu, flatten, linear = layers(small(), (torch.zeros(5, 1, 8, 8),))
    assert (conv.name, conv.type, conv.shape, conv.parameters) == ("0", "Conv2d", (4, 6, 6), 40)
    assert conv.flops == 2 * 9 * 4 * 36
    assert (relu.parameters, relu.flops, flatten.shape) == (0, 0, (144,))
    assert (linear.parameters, linear.flops) == (144 * 3 + 3, 2 * 144 * 3)


def test_totals_are_those_of_the_network():
    network = small()
    parameters, flops = totals(layers(network, (torch.zeros(2, 1, 8, 8),)))
    assert parameters == sum(p.numel() for p in network.parameters())
    assert flops == 2 * 9 * 4 * 36 + 2 * 144 * 3


def test_looking_leaves_the_network_as_it_was():
    network = small()
    network[1].eval()
    layers(network, (torch.zeros(2, 1, 8, 8),))
    assert [module.training for module in network] == [True, False, True, True]
    assert not any(module._forward_hooks for module in network.modules())


def test_lstm_and_attention_are_counted_by_their_products():
    torch.manual_seed(0)
    module, _ = stack([{"lstm": 8}, {"attention": 2}], Signal("sequence", 4, (10,)), Recipe())
    found = {layer.type: layer for layer in layers(module, (torch.zeros(3, 10, 4), torch.tensor([10, 10, 10])))}
    assert found["LSTM"].flops == 2 * 10 * (4 * 8 * 4 + 4 * 8 * 8)
    assert found["Attention"].flops == 2 * 2 * 10 * 10 * 8


def test_table_is_aligned_with_its_total():
    text = render(layers(small(), (torch.zeros(1, 1, 8, 8),)))
    assert text == "\n".join(
        [
            "layer  type     output     parameters   FLOPs",
            "0      Conv2d   4 x 6 x 6          40  2.59 K",
            "1      ReLU     4 x 6 x 6           0       0",
            "2      Flatten  144                 0       0",
            "3      Linear   3                 435     864",
            "---------------------------------------------",
            "total                             475  3.46 K",
        ]
    )


def test_numbers_are_short():
    assert [short(n) for n in (0, 999, 1000, 45_600, 123_456_789, 10**15)] == [
        "0", "999", "1.00 K", "45.6 K", "123 M", "1000 T",
    ]  # fmt: skip
