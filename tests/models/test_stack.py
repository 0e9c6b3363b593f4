import pytest
import torch

from netwright.models.stack import stack
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.testing.models import examples

VECTOR = Signal("vector", 6)
MAP = Signal("map", 3, (12, 9))
SEQUENCE = Signal("sequence", 4, (11,))
RECIPE = Recipe()


def built(layers, signal):
    torch.manual_seed(0)
    return stack(layers, signal, RECIPE)


def problem_of(layers, signal):
    with pytest.raises(RecipeError) as caught:
        built(layers, signal)
    return caught.value.problem


@pytest.mark.parametrize(
    ("layers", "signal", "after"),
    [
        ([{"dense": 64}, "tanh", {"dropout": 0.2}], VECTOR, Signal("vector", 64)),
        ([{"dense": 8}, "batch_norm", "softmax"], VECTOR, Signal("vector", 8)),
        ([{"conv": 32, "kernel": 5}, "batch_norm", "relu", {"pool": 2}], MAP, Signal("map", 32, (6, 5))),
        ([{"conv": 8, "stride": 2, "dilation": 2}], MAP, Signal("map", 8, (6, 5))),
        ([{"conv": 9, "groups": 3}, "group_norm"], MAP, Signal("map", 9, (12, 9))),
        ([{"depthwise": 3}, {"conv": 8, "kernel": 1}, {"group_norm": 4}], MAP, Signal("map", 8, (12, 9))),
        ([{"pool": 3, "kind": "avg"}, "flatten", {"dense": 8}], MAP, Signal("vector", 8)),
        (["rms_norm", "layer_norm", "global_pool"], MAP, Signal("vector", 3)),
        ([{"residual": [{"conv": 8, "stride": 2}, "relu", {"conv": 8}]}], MAP, Signal("map", 8, (6, 5))),
        ([{"parallel": [[{"conv": 4}], [{"conv": 6, "kernel": 5}]]}], MAP, Signal("map", 10, (12, 9))),
        ([{"conv": 8, "stride": 2}, "batch_norm", "gelu"], SEQUENCE, Signal("sequence", 8, (6,))),
        ([{"depthwise": 5}, {"pool": 4}], SEQUENCE, Signal("sequence", 4, (3,))),
        ([{"pool": 2, "kind": "avg"}, "flatten", {"dense": 7}], SEQUENCE, Signal("vector", 7)),
        ([{"lstm": 8, "bidirectional": True}, {"gru": 5}], SEQUENCE, Signal("sequence", 5, (11,))),
        ([{"embedding": 8}, {"attention": 2}, "group_norm"], SEQUENCE, Signal("sequence", 8, (11,))),
        ([{"residual": ["rms_norm", {"attention": 1}]}, {"dense": 7}], SEQUENCE, Signal("sequence", 7, (11,))),
        ([{"residual": [{"conv": 8, "stride": 3}, {"pool": 2}]}], SEQUENCE, Signal("sequence", 8, (2,))),
        ([{"parallel": [[{"gru": 3}], [{"conv": 4}], ["relu"]]}], SEQUENCE, Signal("sequence", 11, (11,))),
        ([{"global_pool": "max"}, {"residual": [{"dense": 9}, "relu"]}], SEQUENCE, Signal("vector", 9)),
        ([{"repeat": 3, "layers": [{"dense": 5}, "relu"]}], VECTOR, Signal("vector", 5)),
    ],
)
def test_sizes_are_worked_out_and_gradients_reach_every_weight(layers, signal, after):
    module, got = built(layers, signal)
    output = module(*examples(signal))
    x = output[0] if isinstance(output, tuple) else output
    assert got == after
    expected = (5, *after.size, after.width) if after.form == "sequence" else (5, after.width, *after.size)
    assert x.shape == expected
    (x * torch.randn(x.shape)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    "layers",
    [
        [{"conv": 8, "stride": 2}, "batch_norm", "gelu", {"conv": 8, "dilation": 2}, {"pool": 2}, {"conv": 4}],
        [{"lstm": 8, "bidirectional": True}, {"pool": 2, "kind": "avg"}, "flatten"],
        [{"residual": [{"conv": 8, "stride": 3}, {"pool": 2}]}, {"global_pool": "mean"}],
        [{"attention": 2}, "group_norm", {"global_pool": "max"}],
    ],
)
def test_padding_does_not_change_a_row(layers):
    module, after = built(layers, SEQUENCE)
    module.eval()
    x, lengths = examples(SEQUENCE)
    together = module(x, lengths)
    for row, length in enumerate(lengths):
        alone = module(x[row : row + 1, :length], lengths[row : row + 1])
        if after.form == "sequence":
            steps = int(alone[1][0])
            assert int(together[1][row]) == steps
            torch.testing.assert_close(alone[0][0, :steps], together[0][row, :steps])
        else:
            torch.testing.assert_close(alone[0], together[row])


def test_weights_fit_the_activation_that_follows():
    torch.manual_seed(0)
    for name, gain in (("relu", 2**0.5), ("tanh", 1.5925), ("selu", 1.0), ("sigmoid", 1.8462)):
        module, _ = stack([{"dense": 500}, "batch_norm", {"dropout": 0.1}, name], Signal("vector", 400), RECIPE)
        assert module[0].weight.std().item() * 400**0.5 == pytest.approx(gain, rel=0.01)


def test_a_stack_of_150_layers_trains():
    layers = [{"dense": 32}, {"repeat": 74, "layers": [{"residual": ["layer_norm", {"dense": 32}, "tanh"]}]}]
    module, _ = built([*layers, "layer_norm", {"dense": 1}], VECTOR)
    x = torch.randn(128, 6)
    y = (x[:, :1] * x[:, 1:2]).sign()
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = (module(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_layer_that_cannot_follow_another_names_both():
    assert problem_of([{"dense": 64}, "relu", {"conv": 32}], VECTOR) == (
        "layer 3 {conv: 32} cannot follow layer 2 relu: conv needs a map or a sequence, layer 2 relu gives a 64 vector"
    )


def test_first_layer_that_does_not_fit_names_the_input():
    assert problem_of([{"dense": 64}], MAP) == (
        "layer 1 {dense: 64} cannot follow the input: dense needs a vector or a sequence, "
        "the input gives a 3 x 12 x 9 map"
    )


def test_inner_layers_are_named_by_their_place():
    layers = [{"residual": [{"lstm": 4}]}]
    assert problem_of(layers, VECTOR).startswith("layer 1.1 {lstm: 4} cannot follow the input: lstm needs a sequence")


def test_all_problems_of_a_list_are_told_at_once():
    layers = ["rellu", {"dens": 3}, {"conv": 8, "kernal": 3}, {"dropout": 1.5}, {"pool": 0}, "dense", {"relu": 1}, 7]
    assert problem_of(layers, MAP) == (
        "layer 1 'rellu' is unknown: did you mean 'relu'?; "
        "layer 2 'dens' is unknown: did you mean 'dense'?; "
        "layer 3 {conv: 8, kernal: 3}: there is no option 'kernal': did you mean 'kernel'?; "
        "layer 4 {dropout: 1.5}: dropout must be at least 0 and below 1, not 1.5; "
        "layer 5 {pool: 0}: pool must be a whole number from 1, not 0; "
        "layer 6 'dense' needs a value, as in {dense: 2}; "
        "layer 7 'relu' takes no value; "
        "layer 8 must be a word or a mapping, not 7"
    )


@pytest.mark.parametrize(
    ("layers", "signal", "text"),
    [
        ([{"attention": 3}], SEQUENCE, "attention needs a width that is a multiple of 2 x 3 heads"),
        ([{"conv": 8, "groups": 2}], MAP, "conv needs widths that 2 groups can share"),
        ([{"group_norm": 2}], MAP, "group_norm needs a width that 2 groups can share"),
        ([{"pool": 20}], MAP, "pool needs at least 20 pixels or steps"),
        ([{"dense": 3}, {"embedding": 8}], SEQUENCE, "embedding comes first"),
        ([{"residual": ["flatten"]}], MAP, "layer 1 {residual: [...]} turns a 3 x 12 x 9 map into a 324 vector"),
        ([{"parallel": [["relu"], [{"pool": 2}]]}], MAP, "return 3 x 12 x 9 map, 3 x 6 x 5 map"),
        ([{"conv": 8, "kernel": 4}], MAP, "kernel must be an odd number, not 4"),
        ([{"repeat": 3}], MAP, "layers must be a list of layers, not ()"),
        ([{"dense": 8, "bias": 1}], VECTOR, "bias must be true or false, not 1"),
        ([{"pool": 2, "kind": "min"}], MAP, "kind must be max or avg, not 'min'"),
        ([{"dropout": 0.1, "share": 3}], MAP, "there is no option 'share': dropout has none."),
    ],
)
def test_layer_that_does_not_fit_is_an_error(layers, signal, text):
    assert text in problem_of(layers, signal)
