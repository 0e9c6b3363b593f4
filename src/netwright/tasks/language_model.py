"""The next token of a text, from all tokens before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.kinds.padded import PADDING, UNKNOWN
from netwright.models.modes import evaluating
from netwright.models.network import dense
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError, RecipeError, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.cells import refuse_detail
from netwright.tasks.losses import choose_loss
from netwright.tasks.outputs import fail_shape

CONTINUATION = 64  # tokens that `predict` adds to a row: a line or two


@final
@dataclass(frozen=True)
class LanguageModel(Task):
    """The only input column is its own target. `joiner` goes between words in written answers.

    Training watches the log loss per token; its exponential is the perplexity.
    """

    vocabulary: tuple[str, ...]
    joiner: str = ""

    name: ClassVar[str] = "language_model"
    metric: ClassVar[str] = "log_loss"
    higher_is_better: ClassVar[bool] = False
    generates: ClassVar[bool] = True

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """No target column at all."""
        return cells.width == 0

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """The vocabulary of the schema's one column. Raises DataError for targets, several columns, or no words."""
        refuse_detail(cls.name, detail)
        if cells.width:
            raise DataError(
                f"a language model has no targets, got {listed(cells.columns)}", remedy="leave the targets out."
            )
        if len(schema.inputs) != 1 or schema.inputs[0].family not in ("text", "symbols"):
            inputs = listed([f"{field.name} ({field.seen_as})" for field in schema.inputs]) or "nothing"
            raise DataError(
                f"a language model learns from one column of text or symbols, not from {inputs}",
                remedy="keep one such column, or name a target.",
            )
        (field,) = schema.inputs
        if not (vocabulary := field.known_tokens()):
            raise DataError(f"{field.name!r} holds no words", remedy="give rows with text.")
        return cls(vocabulary, _joiner(field))

    @property
    def size(self) -> int:
        """Distinct tokens, including padding and unknown."""
        return len(self.vocabulary) + 2

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """Nothing: the input is the target."""
        return ()

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """(B, T, size) logits: at each step for the next token."""
        return dense(schema, recipe, self.size, causal=True)

    def objective(self, recipe: Recipe) -> Objective:
        """Mean cross entropy of a row's tokens, from the second on; 0 for shorter rows."""
        choose_loss(recipe, ("cross_entropy",), "a language model")  # a user's loss cannot leave out padding
        if recipe.class_weights != "none":
            raise RecipeError("a language model has no class weights", remedy="set class_weights=none.")

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            total, count = self._totals(self.forward(network, batch), batch, recipe.label_smoothing)
            return total / count.clamp(min=1)

        return losses

    def score(self) -> Score:
        """log_loss (nats per token), perplexity and bits_per_token; resampled by row."""
        return metrics.Kept(self._totals, _quick)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """text: each row's likeliest continuation, CONTINUATION tokens long."""
        tokens = batch.inputs[0]
        lengths = _lengths(tokens)
        written = continue_rows(network, tokens, CONTINUATION).cpu().tolist()
        rows = [row[n : n + CONTINUATION] for row, n in zip(written, lengths.tolist(), strict=True)]
        return pl.DataFrame({"text": pl.Series([self._words(row) for row in rows], dtype=pl.String)})

    def defaults(self, schema: Schema, rows: int) -> Mapping[str, object]:
        """A transformer: letters or words are read in order, whatever the column suggests."""
        return {
            "backbone": "transformer", "width": 128, "depth": 3, "dropout": 0.1, "lr": 2e-3, "batch_size": 32,
            "epochs": 5,
        }  # fmt: skip

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """The loss of a uniform answer: token frequencies are not known beforehand."""
        return log(self.size)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, 1, size) of zeros."""
        return torch.zeros(1, 1, self.size)

    def describe(self) -> str:
        """`language model of 65 tokens`."""
        return f"language model of {self.size} tokens"

    def _words(self, tokens: list[int]) -> str:
        return self.joiner.join(self.vocabulary[token - 2] for token in tokens if token > UNKNOWN)

    def _totals(self, outputs: Outputs, batch: Batch, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """(B,) summed losses and (B,) counts of the tokens after each row's first. Outputs may be (B, 1, size)."""
        tokens = batch.inputs[0]
        if not isinstance(outputs, Tensor) or outputs.ndim != 3 or outputs.shape[::2] != (len(batch), self.size):
            fail_shape(outputs, (len(batch), -1, self.size), self.describe())
        longest = int(_lengths(tokens).max()) if outputs.shape[1] == 1 else outputs.shape[1]
        logits = outputs.float().expand(-1, longest, -1)[:, : longest - 1]
        wanted = tokens[:, 1:longest].long()
        each = F.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=PADDING, reduction="none", label_smoothing=smoothing
        )
        return each.unflatten(0, wanted.shape).sum(1), (wanted != PADDING).sum(1)


def generate(
    network: nn.Module, field: Field, prompt: str, count: int, *, temperature: float = 1.0, seed: int = 0
) -> str:
    """The prompt's text and `count` more tokens; temperature 0 takes the likeliest each time, 1 samples as learned."""
    tokens = field.encode(pl.Series([prompt]))
    row = continue_rows(network, tokens, count, temperature=temperature, seed=seed)[0]
    return field.decode(row[row != PADDING].cpu()[None])[0]


def continue_rows(network: nn.Module, tokens: Tensor, count: int, *, temperature: float = 0.0, seed: int = 0) -> Tensor:
    """(B, T) tokens, padded on the right -> (B, T + count): each row followed by `count` more, then padding.

    The network sees the last T tokens of a row. Samples depend only on the seed.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, longest = tokens.shape
    written = torch.cat([tokens.long(), tokens.new_zeros(rows, count).long()], dim=1)
    lengths, steps = _lengths(tokens), torch.arange(longest, device=tokens.device)
    for _ in range(count):
        start = (lengths - longest).clamp(min=0)
        seen = written.gather(1, start[:, None] + steps)
        with evaluating(network):
            logits = network(seen.to(tokens.dtype))
        last = (lengths - start - 1).clamp(min=0)
        chances = logits[torch.arange(rows, device=tokens.device), last].float().cpu()
        chances[:, : UNKNOWN + 1] = -torch.inf
        following = _choose(chances, temperature, generator).to(tokens.device)
        written.scatter_(1, lengths[:, None], following[:, None])
        lengths = lengths + 1
    return written


def _choose(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(1)
    return torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]


def _lengths(tokens: Tensor) -> Tensor:
    """(B,) tokens before the padding."""
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return ((tokens != PADDING) * places).amax(1)


def _joiner(field: Field) -> str:
    """What the field writes between two words; before punctuation it may write less."""
    vocabulary = field.known_tokens()
    place = next((k for k, word in enumerate(vocabulary) if word.isalnum()), 0)
    word, text = vocabulary[place], field.decode(torch.tensor([[place + 2, place + 2]]))[0]
    return text[len(word) : len(text) - len(word)]


def _quick(total: metrics.Array, count: metrics.Array) -> dict[str, metrics.Statistic]:
    nats = metrics.ratio_of(total, count, "lower")
    return {
        "loss": metrics.mean_of(total / np.maximum(count, 1), "lower"),
        "log_loss": nats,
        "perplexity": nats.then(np.exp),
        "bits_per_token": nats.then(lambda found: found / log(2)),
    }
