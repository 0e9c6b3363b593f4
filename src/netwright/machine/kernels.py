"""Replacements for slow CPU kernels of PyTorch, switched on around any network without changing it."""

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode

# Keys up to which our attention in bf16 pays off: 3.6 times as fast as torch's at 64, 2.5 at 128, 1.4 at 256 (forward
# and backward, AVX-512, one thread; whole steps in benchmarks/speed/kernels.py). Beyond, its memory outgrows the gain.
LONGEST = 256
CHUNK = 1 << 19  # scores at a time, 2 MB in fp32: they stay in the cache, and memory stays bounded
# 3x3 convolutions whose weight gradient is faster as one product in bf16: 1.0-1.3 times with AVX-512, 2-5 with AMX.
SMALL_MAP = range(2, 5)  # pixels a side
MANY_CHANNELS = 128


@final
class Replacing(TorchFunctionMode):
    """A context in which calls to the table's torch functions go to their replacements.

    It also reaches a user's own modules, such as `nn.TransformerEncoderLayer`; what is computed within keeps the
    replacement in its backward pass. A call costs about 1 us more. Not for networks that recompute parts in their
    backward pass, outside any mode: `torch.utils.checkpoint` raises CheckpointError. In evaluation,
    nn.TransformerEncoder does not use its own fast path within the context.
    """

    def __init__(self, table: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(  # Any: torch's protocol
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """torch calls it with the mode switched off."""
        return self.table.get(func, func)(*args, **(kwargs or {}))


def _precision(x: Tensor) -> torch.dtype:
    """The type in which torch would compute a matrix product, with autocast."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) and x.is_floating_point() else x.dtype


def _is_covered(x: Tensor) -> bool:
    return x.device.type == "cpu" and _precision(x) == torch.bfloat16


def _multi_head_attention(*args: Any, **kwargs: Any) -> Any:  # Any: torch's own signature
    """torch's function with its inner attention replaced; no mode sees that, as it is called while the mode is off."""
    function = F.multi_head_attention_forward
    names = {**function.__globals__, "scaled_dot_product_attention": _attention}
    own = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    return own(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """F.scaled_dot_product_attention. Dropout of the shares takes so long to draw that torch's own loses little."""
    leading = query.shape[:-2]
    bias = None
    is_own = (
        all(map(_is_covered, (query, key, value)))
        and len(leading) > 0
        and key.shape[:-2] == value.shape[:-2] == leading
        and 0 < key.shape[-2] <= LONGEST
        and query.numel() > 0
        and dropout_p == 0
        and not enable_gqa
        and (attn_mask is None or (attn_mask.ndim > 1 and not is_causal))
    )
    if is_own and (is_causal or attn_mask is not None):
        bias = _bias(attn_mask, query, key)
        # Steps that see nothing, and trainable masks, go to torch.
        is_own = not bias.requires_grad and bool((bias > -torch.inf).any(-1).all())
    if not is_own:
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    dtype = _precision(query)
    q, k, v = (x.to(dtype).flatten(0, -3) for x in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return _Attention.apply(q, k, v, bias, scale).unflatten(0, leading)


def _bias(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    """Added to the scores: (1 or all heads, T or 1, S), minus infinity where a step does not see another."""
    if mask is None:  # causal
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)
    if mask.shape[:-2].numel() > 1:
        mask = mask.expand(*query.shape[:-2], *mask.shape[-2:])
    return mask.reshape(-1, *mask.shape[-2:])


@final
class _Attention(Function):
    """Attention as products over all heads, (N, T, D), (N, S, D) and (N, S, E); keeps the shares for backward.

    Everything up to the softmax's derivative is float32, at 4 bytes per score; bfloat16 would be less exact than
    torch's kernel. The three products for the gradients use bfloat16, as torch's do.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's is open
        """(N, T, E)."""
        wide = torch.promote_types(q.dtype, torch.float32)
        shares = q.new_empty(len(q), q.shape[1], k.shape[1], dtype=wide)
        mixed = q.new_empty(len(q), q.shape[1], v.shape[2])
        with torch.autocast("cpu", enabled=False):
            for part in _chunks(shares):
                scores = torch.bmm(q[part].to(wide) * scale, k[part].to(wide).mT)
                if bias is not None:
                    scores += bias if len(bias) == 1 else bias[part]
                torch.softmax(scores, -1, out=shares[part])
                mixed[part] = torch.bmm(shares[part], v[part].to(wide))
        ctx.save_for_backward(q, k, v, shares, mixed)
        ctx.scale = scale
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's is open
        """Dao et al. 2022 (arXiv:2205.14135), appendix B.2, for the row sums of the softmax's derivative."""
        q, k, v, shares, mixed = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        with torch.autocast("cpu", enabled=False):
            for part in _chunks(shares):
                share, g = shares[part], grad[part].to(shares.dtype)
                ds = torch.bmm(g, v[part].to(shares.dtype).mT)
                ds -= (g * mixed[part]).sum(-1, keepdim=True)
                ds = (ds.mul_(share) * ctx.scale).to(q.dtype)
                torch.bmm(share.to(q.dtype).mT, grad[part], out=dv[part])
                torch.bmm(ds, k[part], out=dq[part])
                torch.bmm(ds.mT, q[part], out=dk[part])
        return dq, dk, dv, None, None


def _chunks(shares: Tensor) -> Iterator[slice]:
    """Heads, as many at a time as CHUNK allows."""
    step = max(1, CHUNK // shares[0].numel())
    return (slice(first, first + step) for first in range(0, len(shares), step))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,  # Any: a number, or one per side
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """F.conv2d."""
    is_own = (
        _is_covered(input)
        and _is_covered(weight)
        and input.ndim == 4
        and weight.shape[2:] == (3, 3)
        and all(side in SMALL_MAP for side in input.shape[2:])
        and min(weight.shape[:2]) >= MANY_CHANNELS
        and all(setting in (1, (1, 1), [1, 1]) for setting in (stride, padding, dilation))
        and groups == 1
        and weight.requires_grad
    )
    if not is_own:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    dtype = _precision(input)
    return _Conv2d.apply(input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))


@final
class _Conv2d(Function):
    """A 3x3 convolution of stride 1 and padding 1 whose weight gradient is one product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's is open
        """(B, out, H, W)."""
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's is open
        """In operations that can be differentiated again."""
        x, weight = ctx.saved_tensors
        needs_x, _, needs_bias = ctx.needs_input_grad
        out, width = weight.shape[:2]
        windows = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).unfold(1, 3, 1).unfold(2, 3, 1)  # (B, H, W, width, 3, 3)
        columns = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, 9 * width)
        dweight = grad.permute(0, 2, 3, 1).reshape(-1, out).mT @ columns
        return (
            conv2d_input(x.shape, weight, grad, padding=1) if needs_x else None,
            dweight.view(out, 3, 3, width).permute(0, 3, 1, 2),
            grad.sum((0, 2, 3)) if needs_bias else None,
        )


def _gru(*args: Any) -> tuple[Tensor, Tensor]:  # Any: torch has one signature for padded and one for packed rows
    """torch.gru; within autocast on a CPU, in float32."""
    device = args[0].device.type
    if device != "cpu" or not torch.is_autocast_enabled(device):
        return torch.gru(*args)
    with torch.autocast(device, enabled=False):
        return torch.gru(*map(_widened, args))


def _widened(thing: Any) -> Any:  # Any: see `_gru`
    if isinstance(thing, list | tuple):
        return [_widened(part) for part in thing]
    return thing.float() if isinstance(thing, Tensor) and thing.is_floating_point() else thing


OWN: dict[Callable[..., Any], Callable[..., Any]] = {
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head_attention,
    F.conv2d: _conv2d,
}
"""Attention over short rows and convolutions of small maps, faster in bfloat16 on a CPU; everything else, such as
other precisions and devices, goes to torch."""

GRU: dict[Callable[..., Any], Callable[..., Any]] = {torch.gru: _gru}
"""nn.GRU leaves autocast on a CPU, where torch has no fast kernel for it in bfloat16."""


def calls_them(work: Callable[[], object]) -> bool:
    """Whether the work calls a function that we have a kernel for."""
    called: list[object] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:  # Any: torch's own signatures
            called.append(function)
            return function(*args, **kwargs)

        return note

    with Replacing({function: noting(function) for function in OWN}):
        work()
    return bool(called)
