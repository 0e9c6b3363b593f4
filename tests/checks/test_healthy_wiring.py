"""Networks and losses that look odd and are wired well: the checks of what reaches the loss stay silent."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.checks import TRAINING_STAGES
from netwright.checks.evidence import made
from netwright.checks.training.evidence import of_run
from netwright.checks.training.rows import misaligned_labels
from netwright.resolve import resolve
from netwright.training.adopt import adopt
from netwright.training.watch import watch

ROWS = 48
CODES = ("NW313", "NW314", "NW315", "NW318", "NW320")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(seed))


class Of(nn.Module):
    """Parts, and a function of them and the inputs."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self, *inputs)


X, NUMBERS, STEPS, PICTURES, POINTS = drawn(6), drawn(1, seed=1), drawn(9, 4), drawn(3, 8, 8), drawn(5, 4)
CLASSES = (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long()
WORDS = torch.randint(1, 20, (ROWS, 7), generator=torch.Generator().manual_seed(2))
WORDS[torch.arange(7) >= 3 + torch.arange(ROWS)[:, None] % 5] = 0
SIGNS = (CLASSES.roll(1) == CLASSES).float() * 2 - 1


def autoencoding(self: Any, x: Tensor) -> Tensor:
    """Random in training only."""
    mean, spread = self.encode(x).chunk(2, 1)
    code = mean + torch.randn_like(mean) * spread.exp() if self.training else mean
    return torch.cat([self.decode(code), mean, spread], 1)


def evidence_bound(outputs: Tensor, x: Tensor) -> Tensor:
    mean, spread = outputs[:, 6:].chunk(2, 1)
    return F.mse_loss(outputs[:, :6], x) + 0.01 * (mean**2 + (2 * spread).exp() - 2 * spread - 1).mean()


def mixture(outputs: Tensor, targets: Tensor) -> Tensor:
    shares, means, spreads = outputs.chunk(3, 1)
    return -(shares.log_softmax(1) - spreads - 0.5 * ((targets - means) / spreads.exp()) ** 2).logsumexp(1).mean()


def packed(self: Any, words: Tensor) -> Tensor:
    lengths = (words > 0).sum(1)
    sequence = nn.utils.rnn.pack_padded_sequence(self.embed(words), lengths, batch_first=True, enforce_sorted=False)
    return self.out(self.layer(sequence)[1][-1])


def attending(self: Any, words: Tensor) -> Tensor:
    padding = words == 0
    hidden = self.layer(self.embed(words), src_key_padding_mask=padding).masked_fill(padding[..., None], 0)
    return self.out(hidden.sum(1) / (~padding).sum(1, keepdim=True))


def patches(self: Any, x: Tensor) -> Tensor:
    parts = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 4, 48)
    return self.out(self.lift(parts).relu().mean(1))


def neighbors(self: Any, x: Tensor) -> Tensor:
    """Points of one row see each other, not those of other rows."""
    near = (x @ x.transpose(1, 2)).softmax(-1)
    return self.out((near @ self.lift(x)).relu().mean(1))


def next_words(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=0)


def two_views(outputs: Tensor, targets: Tensor) -> Tensor:
    """Each row is distinguished from all others on purpose. Van den Oord et al. 2018, arXiv:1807.03748."""
    one, other = (F.normalize(part, dim=1) for part in outputs.chunk(2, 1))
    return F.cross_entropy(one @ other.T / 0.2, torch.arange(len(outputs))) + 0 * targets.sum()


def both_heads(outputs: tuple[Tensor, Tensor], classes: Tensor, numbers: Tensor) -> Tensor:
    return F.cross_entropy(outputs[0], classes) + F.l1_loss(outputs[1], numbers[:, 0])


def counting(self: Any, x: Tensor) -> Tensor:
    """Keeps what it saw last, and does not use it."""
    self.seen = x.detach()
    return self.layer(x)


ENCODER = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
# how the network is made, the loss, the data
HEALTHY: dict[str, tuple[Callable[[], nn.Module], Any, Any]] = {
    "variational autoencoder": (lambda: Of(autoencoding, encode=nn.Linear(6, 4), decode=nn.Linear(2, 6)),
                                evidence_bound, (X, X)),
    "mixture of densities": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 9)), mixture, (X, NUMBERS)),
    "two inputs, one tower": (lambda: Of(lambda s, a, b: F.cosine_similarity(s.tower(a), s.tower(b)),
                                         tower=nn.Linear(6, 4)), nn.MSELoss(), ((X, X.roll(1, 0)), SIGNS)),
    "two heads": (lambda: Of(lambda s, x: (s.one(x), s.other(x).squeeze(1)), one=nn.Linear(6, 3),
                             other=nn.Linear(6, 1)), both_heads, (X, (CLASSES, NUMBERS))),
    "packed sequences": (lambda: Of(packed, embed=nn.Embedding(20, 8), layer=nn.GRU(8, 8, batch_first=True),
                                    out=nn.Linear(8, 3)), nn.CrossEntropyLoss(), (WORDS, CLASSES)),
    "attention under a mask": (lambda: Of(attending, embed=nn.Embedding(20, 8), out=nn.Linear(8, 3),
                                          layer=nn.TransformerEncoder(ENCODER, 1, enable_nested_tensor=False)),
                               nn.CrossEntropyLoss(label_smoothing=0.1), (WORDS, CLASSES)),
    "next words by tied weights": (lambda: Of(lambda s, w: s.layer(s.embed(w))[0] @ s.embed.weight.T,
                                              embed=nn.Embedding(20, 8), layer=nn.LSTM(8, 8, batch_first=True)),
                                   next_words, (WORDS[:, :-1], WORDS[:, 1:])),
    "steps first, as the layer wants them": (lambda: Of(lambda s, x: s.out(s.layer(x.transpose(0, 1))[0][-1]),
                                                        layer=nn.LSTM(4, 8), out=nn.Linear(8, 1)),
                                             nn.SmoothL1Loss(), (STEPS, NUMBERS)),
    "channels by transpose": (lambda: Of(lambda s, x: s.out(s.layer(x.mT).relu().mean(2)), layer=nn.Conv1d(4, 6, 3),
                                         out=nn.Linear(6, 1)), nn.MSELoss(), (STEPS, NUMBERS)),
    "patches": (lambda: Of(patches, lift=nn.Linear(48, 8), out=nn.Linear(8, 3)), F.cross_entropy, (PICTURES, CLASSES)),
    "graphs": (lambda: Of(neighbors, lift=nn.Linear(4, 8), out=nn.Linear(8, 1)), nn.HuberLoss(), (POINTS, NUMBERS)),
    "sets": (lambda: Of(lambda s, x: s.out(s.lift(x).relu().amax(1)), lift=nn.Linear(4, 8), out=nn.Linear(8, 1)),
             lambda o, t: (o - t).abs().mean(), (POINTS, NUMBERS)),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(),
                                         nn.Linear(144, 3)), nn.CrossEntropyLoss(), (PICTURES, CLASSES)),
    "batch norm at the end": (lambda: nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), nn.CrossEntropyLoss(),
                              (X, CLASSES)),
    "classes of pixels": (lambda: nn.Conv2d(3, 4, 3, padding=1), nn.CrossEntropyLoss(),
                          (PICTURES, (PICTURES.sum(1) > 0).long())),
    "boxes": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Sigmoid()), nn.SmoothL1Loss(),
              (PICTURES, drawn(4, seed=5).sigmoid())),
    "cleaned pictures, clamped": (lambda: Of(lambda s, x: (x - s.noise(x)).clamp(0, 1),
                                             noise=nn.Conv2d(3, 3, 3, padding=1)), nn.MSELoss(),
                                  (PICTURES.sigmoid(), PICTURES.sigmoid().round(decimals=1))),
    "angles": (lambda: nn.Sequential(nn.Linear(6, 2), nn.Tanh()), nn.MSELoss(),
               (X, torch.cat([NUMBERS.sin(), NUMBERS.cos()], 1))),
    "two views of a row": (lambda: Of(lambda s, x: torch.cat([s.tower(x[:, :3]), s.tower(x[:, 3:])], 1),
                                      tower=nn.Linear(3, 4)), two_views, (X, CLASSES)),
    "a tensor kept for later": (lambda: Of(counting, layer=nn.Linear(6, 3)), nn.CrossEntropyLoss(), (X, CLASSES)),
    "cosines, sharpened": (lambda: Of(lambda s, x: 20 * F.linear(F.normalize(x), F.normalize(s.layer.weight)),
                                      layer=nn.Linear(6, 3)), nn.CrossEntropyLoss(), (X, CLASSES)),
    "exponential linear end": (lambda: nn.Sequential(nn.Linear(6, 1), nn.ELU()), nn.MSELoss(), (X, NUMBERS.exp())),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_it_is_not_accused(name: str) -> None:
    build, loss, data = HEALTHY[name]
    torch.manual_seed(0)
    evidence = of_run(adopt(build(), loss, data))
    table = TRAINING_STAGES["wiring"]
    for code in CODES:
        found, checked = made(code, resolve("check", table[code], table), evidence, lambda: 0.0)
        assert "bug" not in checked.skipped
        assert not [str(finding) for finding in found if finding.severity != "note"]


def test_a_watched_loop_whose_loss_makes_its_own_targets_trains_no_other_labels() -> None:
    build, loss, (x, classes) = HEALTHY["two views of a row"]
    torch.manual_seed(0)
    network = build()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with watch(network, optimizer) as watched:
        for part in torch.arange(ROWS).repeat(4).split(24):
            optimizer.zero_grad()
            loss(network(x[part]), classes[part]).backward()
            optimizer.step()
    assert not list(misaligned_labels(of_run(adopt(network, loss, (x, classes), watch=watched))))
