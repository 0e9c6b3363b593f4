import pytest
import torch
from torch import nn

from netwright.models.convnet import convnet
from netwright.models.convnet1d import convnet1d
from netwright.models.mlp import mlp
from netwright.models.normalizations import SequenceBatchNorm
from netwright.models.pooling import PartsAndMax
from netwright.models.recurrent import Recurrent
from netwright.models.sequences import PoolSteps, Segments
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("both_ways", [False, True])
def test_recurrent_layers_equal_packing_by_length(cell, both_ways):
    torch.manual_seed(0)
    layer = Recurrent(4, 8, cell, both_ways=both_ways)
    whole = cell(4, 8, batch_first=True, bidirectional=both_ways)
    parts = [layer.forwards, layer.backwards] if both_ways else [layer.forwards]
    whole.load_state_dict({
        f"{name}{suffix}": weight for part, suffix in zip(parts, ("", "_reverse"), strict=False)
        for name, weight in part.state_dict().items()
    })  # fmt: skip
    x, lengths = torch.randn(5, 9, 4), torch.tensor([9, 3, 1, 7, 9])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = nn.utils.rnn.pad_packed_sequence(whole(packed)[0], batch_first=True)[0]
    valid = (torch.arange(9) < lengths[:, None])[..., None]
    torch.testing.assert_close(layer(x, lengths)[0] * valid, expected)


def test_sequence_batch_norm_equals_torchs_over_the_valid_steps():
    torch.manual_seed(0)
    ours, theirs = SequenceBatchNorm(4), nn.BatchNorm1d(4)
    x, lengths = torch.randn(5, 9, 4) * 3 + 1, torch.tensor([9, 3, 1, 7, 9])
    valid = torch.arange(9) < lengths[:, None]
    torch.testing.assert_close(ours(x, lengths)[0][valid], theirs(x[valid]))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x, lengths)[0][valid], theirs.eval()(x[valid]))


def test_segments_are_adaptive_pooling_by_each_rows_length():
    x, lengths = torch.randn(3, 9, 4), torch.tensor([9, 5, 2])
    got = Segments(4)(x, lengths).unflatten(1, (4, -1))
    for row, length in enumerate(lengths):
        expected = nn.functional.adaptive_avg_pool1d(x[row, :length].T, 4).T
        torch.testing.assert_close(got[row], expected)


@pytest.mark.parametrize("mean", [False, True])
def test_pooled_steps_leave_padding_out(mean):
    x = torch.tensor([[1.0, 5.0, 2.0, 9.0, 9.0], [-4.0, 9.0, 9.0, 9.0, 9.0]])[..., None]
    pooled, lengths = PoolSteps(2, mean=mean)(x, torch.tensor([3, 1]))
    assert lengths.tolist() == [2, 1]
    assert pooled[0, :2, 0].tolist() == ([3.0, 2.0] if mean else [5.0, 2.0])
    assert pooled[1, 0, 0].item() == -4.0


def test_largest_step_of_a_row_of_negatives_is_no_padding():
    x = torch.full((1, 4, 1), -2.0)
    x[0, 2:] = 0.0
    assert PartsAndMax(1)(x, torch.tensor([2]))[0].tolist() == [-2.0, -2.0]


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 224])
def test_convnet_ends_in_a_small_map_for_any_size(side):
    module, after = convnet(Signal("map", 3, (side, side)), Recipe(width=8, depth=1))
    assert module(torch.randn(1, 3, side, side)).shape == (1, after.width, *after.size)
    assert 4 <= after.size[0] <= 8


def test_convnet_of_a_small_width_has_below_100_thousand_weights():
    module, _ = convnet(Signal("map", 1, (28, 28)), Recipe(width=8, depth=1))
    assert 60_000 < parameters(module) < 100_000


def test_depth_adds_blocks_to_every_backbone():
    for backbone, signal in (
        (mlp, Signal("vector", 4)),
        (convnet, Signal("map", 1, (8, 8))),
        (convnet1d, Signal("sequence", 4, (20,))),
    ):
        sizes = [parameters(backbone(signal, Recipe(width=8, depth=depth))[0]) for depth in (1, 2, 5, 9)]
        assert sizes == sorted(set(sizes))


def test_convnet1d_thins_long_sequences():
    _, after = convnet1d(Signal("sequence", 1, (5000,)), Recipe(width=8, depth=6))
    assert after.size[0] <= 16
