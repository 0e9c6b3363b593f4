"""Replacements for torch's CPU kernels: equal to torch's, and used where they should be."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import CheckpointError, checkpoint

from netwright.machine.arithmetic import Arithmetic
from netwright.machine.kernels import OWN, Replacing, _Attention, _Conv2d, calls_them
from netwright.models.sequences import Chain
from netwright.models.transformer import causal_transformer, transformer
from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.training.loop import steps
from netwright.training.objective import in_arithmetic

BF16 = Recipe(precision="bf16")
ATTENTION, CONV = "_AttentionBackward", "_Conv2dBackward"
NOT_WORSE = 1.05  # ours and torch's errors round at other places, and a test's values are few


def names(output: Tensor) -> list[str]:
    """The operations that a tensor came from."""
    found, open_nodes = {}, [output.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is not None and node not in found:
            found[node] = node.name()
            open_nodes += [above for above, _ in node.next_functions]
    return list(found.values())


def heads(steps: int, keys: int, *, dtype: torch.dtype = torch.bfloat16, width: int = 8) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 3, steps, width), (2, 3, keys, width), (2, 3, keys, width))
    return tuple(torch.randn(size, generator=generator).to(dtype).requires_grad_() for size in sizes)


def padding(keys: int) -> Tensor:
    return (torch.arange(keys) < torch.tensor([[keys], [2]]))[:, None, None]


def gradients(attend: Callable[..., Tensor], inputs: tuple[Tensor, ...], **settings: Any) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    out = attend(*leaves, **settings)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).bfloat16().to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, leaves, weights)]


def kernels() -> Replacing:
    return Replacing(OWN)


def own(*inputs: Tensor, **settings: Any) -> Tensor:
    with kernels():
        out = F.scaled_dot_product_attention(*inputs, **settings)
    assert names(out)[:2].count(ATTENTION) == 1
    return out


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "padding": {"attn_mask": padding(7)},
    "matrix": {"attn_mask": torch.ones(5, 7, dtype=torch.bool).tril(2)},
    "float": {"attn_mask": torch.linspace(-2, 2, 2 * 3 * 5 * 7).view(2, 3, 5, 7).bfloat16()},
    "scale": {"scale": 0.7},
}


@pytest.mark.parametrize("size", [None, (1, 4, 5), (6, 1, 5)], ids=["no mask", "mask of steps", "mask of padding"])
def test_attention_gradients_equal_finite_differences(size: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(6, steps, 3, dtype=torch.float64, requires_grad=True) for steps in (4, 5, 5))
    bias = None if size is None else torch.randn(size, dtype=torch.float64).index_fill(2, torch.tensor([4]), -torch.inf)
    assert torch.autograd.gradcheck(lambda *heads: _Attention.apply(*heads, bias, 0.6), (q, k, v))


@pytest.mark.parametrize("name", SETTINGS)
def test_attention_is_as_near_to_float64_as_torchs(name: str) -> None:
    inputs = heads(5, 7, width=32)
    exact_settings = {
        key: value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for key, value in SETTINGS[name].items()
    }
    found = []
    for attend, x, settings in (
        (F.scaled_dot_product_attention, [x.double() for x in inputs], exact_settings),
        (F.scaled_dot_product_attention, inputs, SETTINGS[name]),
        (own, inputs, SETTINGS[name]),
    ):
        found.append(torch.cat([g.flatten().double() for g in gradients(attend, tuple(x), **settings)]))
    exact, torchs, ours = found
    assert (ours - exact).abs().mean() <= NOT_WORSE * (torchs - exact).abs().mean()
    assert (ours - exact).abs().max() < 0.05 * exact.abs().max()


def test_attention_in_parts_equals_attention_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = heads(5, 7)
    at_once = gradients(own, inputs, attn_mask=padding(7))
    monkeypatch.setattr("netwright.machine.kernels.CHUNK", 5 * 7 * 4)  # 6 heads: 4 and 2
    assert all(map(torch.equal, gradients(own, inputs, attn_mask=padding(7)), at_once))


def test_attention_takes_any_number_of_leading_dimensions() -> None:
    q, k, v = (x.flatten(0, 1) for x in heads(5, 7))
    assert torch.equal(own(q, k, v), own(*heads(5, 7)).flatten(0, 1))


@pytest.mark.parametrize(
    ("inputs", "settings"),
    [
        (heads(5, 7, dtype=torch.float32), {}),
        (heads(5, 300), {}),
        (heads(5, 7), {"dropout_p": 0.3}),
        (heads(5, 5), {"attn_mask": torch.ones(5, 5, dtype=torch.bool), "is_causal": True}),
        (heads(5, 7), {"attn_mask": torch.zeros(5, 7, dtype=torch.bfloat16, requires_grad=True)}),
        (heads(2, 3), {"attn_mask": torch.tensor([[True, False, True], [False, False, False]])}),
        ((heads(5, 7)[0], *(x[:, :1] for x in heads(5, 7)[1:])), {"enable_gqa": True}),
    ],
    ids=["fp32", "long", "dropout", "mask and causal", "learned mask", "step that sees nothing", "grouped queries"],
)
def test_what_is_not_covered_is_torchs(inputs: tuple[Tensor, ...], settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    with kernels():
        out = F.scaled_dot_product_attention(*inputs, **settings)
    torch.manual_seed(0)
    assert ATTENTION not in names(out)
    assert torch.equal(out, F.scaled_dot_product_attention(*inputs, **settings))


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)


def test_an_encoder_layer_of_torch_trains_with_own_attention() -> None:
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([6, 3])
    for settings in ({}, {"src_key_padding_mask": torch.arange(6) >= lengths[:, None]}):
        found = []
        for context in (nullcontext(), kernels()):
            with context, torch.autocast("cpu", torch.bfloat16):
                found.append(encoder()(x, **settings))
        assert [ATTENTION in names(out) for out in found] == [False, True]
        torch.testing.assert_close(found[1], found[0], atol=0.03, rtol=0.03)


@pytest.mark.parametrize("backbone", [transformer, causal_transformer])
def test_our_transformer_trains_with_own_attention(backbone: Callable[..., tuple[nn.Module, Signal]]) -> None:
    body, _ = backbone(Signal("sequence", 4, (6,)), Recipe(width=32, depth=2))
    network = Arithmetic(Chain(body), BF16)
    x, lengths = torch.randn(2, 6, 4), torch.tensor([6, 3])
    with kernels():
        out = network(x, lengths)[0]
    assert names(out).count(ATTENTION) == 2


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = encoder()
        self.head = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(1))


def cross_entropy(network: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(network(*batch.inputs), *batch.targets, reduction="none")


def test_weights_equal_those_of_training_without_within_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(16, 6, 32, generator=generator), torch.randint(3, (16,), generator=generator)) for _ in range(5)
    ]
    trained = []
    for kernel in ("torch", "own"):
        objective = in_arithmetic(cross_entropy, BF16.edit({"kernels": kernel}))
        network = _Classifier()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for _ in steps(network, batches, objective, optimizer):
            pass
        trained.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    start = torch.cat([p.detach().flatten() for p in _Classifier().parameters()])
    moved = (trained[0] - start).norm()
    assert (trained[1] - trained[0]).norm() < 0.02 * moved
    assert (trained[1] - trained[0]).norm() > 0


def test_attention_without_gradients_equals_attention_with_them() -> None:
    inputs = heads(5, 7)
    with torch.no_grad(), kernels():
        out = F.scaled_dot_product_attention(*inputs)
    assert torch.equal(out, own(*inputs))
    assert not out.requires_grad


def test_nothing_is_left_switched_on() -> None:
    inputs = heads(5, 7)
    with kernels(), kernels():  # nested
        assert ATTENTION in names(F.scaled_dot_product_attention(*inputs))
    with pytest.raises(ZeroDivisionError), kernels():
        raise ZeroDivisionError
    assert ATTENTION not in names(F.scaled_dot_product_attention(*inputs))


def test_whether_a_network_calls_what_has_an_own_kernel_is_found_out() -> None:
    network = encoder()
    assert calls_them(lambda: network(torch.randn(2, 6, 32)))
    assert not calls_them(lambda: nn.Linear(3, 3)(torch.randn(2, 3)))


def test_a_network_that_computes_parts_again_is_refused_and_not_trained_on_other_values() -> None:
    layer, x = encoder(), torch.randn(2, 6, 32, requires_grad=True)
    with kernels(), torch.autocast("cpu", torch.bfloat16):
        out = checkpoint(layer, x, use_reentrant=False)
    with pytest.raises(CheckpointError):
        out.sum().backward()


def test_conv_gradients_equal_finite_differences_twice() -> None:
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_Conv2d.apply, (x, weight, bias))
    assert torch.autograd.gradgradcheck(_Conv2d.apply, (x, weight, bias))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conv_gradients_equal_torchs(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(128, 136, 3, padding=1).to(memory_format=layout)
    x = torch.randn(8, 128, 3, 3).to(memory_format=layout).requires_grad_()
    found = []
    for context in (nullcontext(), kernels()):
        with context, torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        assert (CONV in names(out)) == (not isinstance(context, nullcontext))
        found.append(torch.autograd.grad(out.float().square().sum(), [x, *layer.parameters()]))
    for ours, torchs in zip(found[1], found[0], strict=True):
        assert ours.shape == torchs.shape
        torch.testing.assert_close(ours, torchs, rtol=0, atol=0.01 * float(torchs.abs().max()))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, 2, 1),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False),
        nn.Conv2d(128, 64, 3, padding=1),
    ],
    ids=["1x1", "unpadded", "strided", "grouped", "frozen", "narrow"],
)
def test_other_convolutions_are_torchs(layer: nn.Conv2d) -> None:
    x = torch.randn(2, 128, 4, 4, requires_grad=True)
    with kernels(), torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    assert CONV not in names(out)


class _Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter = nn.Linear(4, 8)
        self.gru = nn.GRU(8, 8, num_layers=2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        assert entered.dtype == torch.bfloat16
        states = self.gru(entered)[0]
        assert states.dtype == torch.float32
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(states, self.gru(entered.float())[0])
        return states


def test_gru_stays_in_fp32_under_bf16() -> None:
    Arithmetic(_Gru(), BF16)(torch.randn(2, 5, 4)).sum().backward()


class _PackedGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gru = nn.GRU(4, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x.bfloat16(), torch.tensor([5, 3]), batch_first=True)
        return self.gru(packed)[0].data


def test_packed_rows_go_through_gru_in_fp32_too() -> None:
    network, x = _PackedGru(), torch.randn(2, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        in_autocast = network(x)
    states = Arithmetic(network, BF16)(x)
    packed = nn.utils.rnn.pack_padded_sequence(x.bfloat16().float(), torch.tensor([5, 3]), batch_first=True)
    assert torch.equal(states, network.gru(packed)[0].data)
    assert not torch.equal(states, in_autocast.float())
