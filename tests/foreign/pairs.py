"""Pairs of short sequences: a decoder that sees its target while it learns, and no constant answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.models.modes import evaluating
from netwright.records.batch import Batch, Outputs
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics

PADDING, END = 0, 1


def write(folder: Path) -> Path:
    """Words of four letters, and the same backwards in capitals."""
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcde"), generator.integers(2, 9))) for _ in range(400)]
    table = pl.DataFrame({"source": words, "answer": [word[::-1].upper() for word in words]})
    table.write_csv(folder / "pairs.tsv", separator="\t")
    return folder / "pairs.tsv"


@final
@dataclass(frozen=True)
class Pairs(Task):
    """Targets are (N, T) tokens: 0 padding, 1 the end, then the letters."""

    letters: tuple[str, ...]
    longest: int

    name: ClassVar[str] = "pairs"
    metric: ClassVar[str] = "log_loss"
    higher_is_better: ClassVar[bool] = False

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        texts = cells.to_series().to_list()
        return cls(tuple(sorted(set("".join(texts)))), max(map(len, texts)) + 1)

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        encoded, place = np.zeros((cells.height, self.longest), np.int64), {c: k for k, c in enumerate(self.letters, 2)}
        for row, text in enumerate(cells.to_series()):
            tokens = [place.get(letter, END) for letter in text][: self.longest - 1]
            encoded[row, : len(tokens) + 1] = [*tokens, END]
        return (torch.from_numpy(encoded),)

    def lengths(self, targets: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        return ((targets[0] != PADDING).sum(1).clamp(min=1),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        torch.manual_seed(recipe.seed)
        return _Translator(int(schema.inputs[0].high) + 1, len(self.letters) + 2, recipe.width)

    def forward(self, network: nn.Module, batch: Batch) -> Outputs:
        return network(batch.inputs[0], batch.targets[0])

    def objective(self, recipe: Recipe) -> Objective:
        def losses(network: nn.Module, batch: Batch) -> Tensor:
            each, count, _ = _totals(self.forward(network, batch), batch)
            return each / count

        return losses

    def score(self) -> Score:
        return metrics.Kept(_totals, _measures)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        written = torch.zeros(len(batch), self.longest, dtype=torch.int64)
        with evaluating(network):
            for step in range(self.longest):
                written[:, step] = network(batch.inputs[0], written)[:, step].argmax(1)
        texts = [self._text(row) for row in written.tolist()]
        return pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})

    def describe(self) -> str:
        return f"words of {len(self.letters)} letters"

    def _text(self, tokens: list[int]) -> str:
        end = tokens.index(END) if END in tokens else len(tokens)
        return "".join(self.letters[token - 2] for token in tokens[:end] if token > END)


@final
class _Translator(nn.Module):
    def __init__(self, sources: int, targets: int, width: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(sources, width), nn.Embedding(targets, width)
        self.encoder, self.decoder = nn.GRU(width, width, batch_first=True), nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, targets)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S) and (B, T) tokens -> (B, T, tokens): at each step for that step, from those before."""
        state = self.encoder(self.source(source.long()))[1]
        before = F.pad(target, (1, 0))[:, :-1]
        return self.head(self.decoder(self.target(before), state)[0])


def _totals(outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    assert isinstance(outputs, Tensor)
    targets = batch.targets[0]
    known = targets != PADDING
    each = F.cross_entropy(outputs.float().flatten(0, 1), targets.flatten(), reduction="none").unflatten(
        0, targets.shape
    )
    right = ((outputs.argmax(2) == targets) | ~known).all(1)
    return (each * known).sum(1), known.sum(1), right


def _measures(
    total: NDArray[np.float32], count: NDArray[np.int64], right: NDArray[np.bool_]
) -> dict[str, metrics.Statistic]:
    nats = metrics.ratio_of(total, count, "lower")
    return {"loss": nats, "log_loss": nats, "exact": metrics.mean_of(right.astype(np.float64), "higher")}
