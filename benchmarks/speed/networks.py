"""The networks in PyTorch, as a tutorial writes them; netwright, the plain loop, Lightning, skorch and fastai share
them.
"""

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from benchmarks.speed.cases import CHANNELS, CLASSES, TOKENS, WINDOW
from torch import Tensor, nn

BYTE = 255


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross entropy over rows, or over rows and steps."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


@final
class Pixels(nn.Module):
    """(B, H, W) bytes -> (B, 1, H, W) from 0 to 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Scaled pixels with a channel."""
        return x.float()[:, None] / BYTE


def mlp() -> nn.Module:
    """784-512-512-10."""
    return nn.Sequential(
        Pixels(), nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES)
    )


def conv() -> nn.Module:
    """Two convolutions with pooling, two dense layers: 25 MFLOP for a row and step."""
    return nn.Sequential(
        Pixels(),
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, CLASSES)),
    )


@final
class Block(nn.Module):
    """Attention, then a perceptron of four times the width; both normalized before and added."""

    def __init__(self, width: int, heads: int, *, is_causal: bool) -> None:
        super().__init__()
        self.heads, self.is_causal = heads, is_causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width)."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.is_causal)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


@final
class ViT(nn.Module):
    """Patches of 4 x 4 of a (B, 32, 32) picture, six blocks of width 128, the mean of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.patches = Pixels(), nn.Conv2d(1, 128, 4, stride=4)
        self.positions = nn.Parameter(0.02 * torch.randn(64, 128))
        self.blocks = nn.Sequential(*(Block(128, 4, is_causal=False) for _ in range(6)))
        self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, classes)."""
        tokens = self.patches(self.pixels(x)).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))


@final
class GPT(nn.Module):
    """Four causal blocks of width 256."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, 256)
        self.positions = nn.Parameter(0.02 * torch.randn(WINDOW, 256))
        self.blocks = nn.Sequential(*(Block(256, 4, is_causal=True) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(256), nn.Linear(256, TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) tokens -> (B, T, TOKENS)."""
        return self.head(self.norm(self.blocks(self.tokens(x) + self.positions)))


@final
class Lstm(nn.Module):
    """128 units, answered from the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(CHANNELS, 128, batch_first=True), nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels) -> (B, classes)."""
        return self.head(self.lstm(x)[0][:, -1])


NETWORKS: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "conv": conv, "vit": ViT, "gpt": GPT, "lstm": Lstm}
