"""From the items that a user had to a score for every item."""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.machine.randomness import seeded
from netwright.models import BACKBONES, CAUSAL_BACKBONES
from netwright.models.dropout import Dropout
from netwright.models.item_weights import DENSE, NEIGHBORS, ItemWeights
from netwright.models.network import joined
from netwright.models.sequences import row_lengths
from netwright.models.stack import stack
from netwright.records.errors import RecipeError, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema, Signal
from netwright.resolve import resolve

NET = 0.35  # share of the trained part until the validation part says better
QUIET = 0.1  # spread of the trained part's scores below which it has little to say: at the start it has none
FLAT = 1e-20  # of a variance: instead of 0
SPAN = 10  # latest items that say what follows
DECAY = 0.7  # weight of each of them against the one after it, until it is chosen


def ranker(
    others: Schema, place: int, items: int, first: int, longest: int, *, is_ordered: bool, recipe: Recipe
) -> nn.Module:
    """A network for `items` items, whose tokens begin at `first`; `place` is that of the history among the inputs.

    In order, a causal backbone reads the last `longest` items; without order, a backbone for vectors their sum.
    `others` are the users' columns. Only the seed decides the weights. Raises RecipeError for settings that it lacks.
    """
    for name, usual in (("members", 1), ("ensemble", 1), ("smoothing", 0.0), ("guard", ()), ("mirror", False)):
        if getattr(recipe, name) != usual:
            raise RecipeError(f"{name} does not suit ranking", remedy=f"set {name} to {usual or 'none'}.")
    with seeded(recipe.seed):
        body, after = _body(
            Signal("sequence" if is_ordered else "vector", recipe.width, (longest,) if is_ordered else ()), recipe
        )
        usual = recipe.edit({"layers": (), "backbone": "auto"})
        context = joined(others, usual, after.width) if others.inputs else None
        sequences = sum(block.stem(recipe)[1].form == "sequence" for block in others.blocks[:place])
        entries = 0 if items <= DENSE else NEIGHBORS
        follows = ItemWeights(items, first, entries) if is_ordered else None
        return Ranker(
            (place, sequences), nn.Embedding(first + items, recipe.width, padding_idx=0), Dropout(recipe.dropout), body,
            nn.Linear(after.width, recipe.width), context, ItemWeights(items, first, entries), follows, longest,
        )  # fmt: skip


def _body(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    if recipe.layers:
        body, after = stack(recipe.layers, signal, recipe)
        if after.form != signal.form:
            raise RecipeError(f"layers turn a {signal} into a {after}", remedy="leave out pooling and flattening.")
        return body, after
    table, usual = (CAUSAL_BACKBONES, "gru") if signal.form == "sequence" else (BACKBONES, "mlp")
    name = usual if recipe.backbone == "auto" else recipe.backbone
    if name in BACKBONES and name not in table:
        problem = f"backbone {name!r} sees later items"
        raise RecipeError(problem, remedy=f"choose from {listed(sorted(table))}.")
    return resolve("backbone", name, table)(signal, recipe)


@final
class Ranker(nn.Module):
    """Fitted item weights and a trained part, each with mean 0 and spread 1 over the items, mixed by `shares`.

    `likes` is what goes together (EASE), `follows` what comes next. The trained part reads the history, and its
    answers are products with the items' own vectors; its last layer starts at zero, so that the fitted part is
    the answer until training says more. It is trained alone: together, it would only mend what the fit has learned by
    heart. Who had nothing gets what is popular.
    """

    def __init__(
        self, place: tuple[int, int], table: nn.Embedding, dropout: nn.Module, body: nn.Module, head: nn.Linear,
        context: nn.Module | None, likes: ItemWeights, follows: ItemWeights | None, longest: int,
    ) -> None:  # fmt: skip
        """`place` is that of the history among the inputs, and among those that are sequences."""
        super().__init__()
        self.place, self.longest = place, longest
        self.likes, self.follows = likes, follows
        self.table, self.dropout, self.body, self.context, self.head = table, dropout, body, context, head
        self.bias = nn.Parameter(torch.zeros(likes.items))
        with torch.no_grad():
            table.weight.mul_(table.embedding_dim**-0.5)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        fitted = (1 - NET,) if follows is None else ((1 - NET) / 2, (1 - NET) / 2)
        self.shares: Tensor
        self.scale: Tensor
        self.decay: Tensor
        self.popularity: Tensor
        self.register_buffer("shares", torch.tensor([*fitted, NET]))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("decay", torch.tensor(DECAY))
        self.register_buffer("popularity", torch.zeros(likes.items))  # logarithms of shares

    def forward(
        self, *tensors: Tensor, at: Tensor | None = None, among: Tensor | None = None, reasons: Tensor | None = None
    ) -> Tensor:
        """A tensor for each input, then the lengths of the sequences -> (B, items), logits; in training of the trained
        part alone.

        That part answers too after each item that the mask `at` (B, T) has, if there is an order: (n, items); and for
        some items, `among` (K,). `reasons` (B, k) asks instead how much each item of the history adds to each of these:
        (B, T, k).
        """
        tokens = tensors[self.place[0]].long()
        if reasons is not None:
            return self._reasons(tokens, reasons)
        if at is not None:
            return self._logits(self._states(tokens, tensors)[at], among)
        if self.training:
            return self._logits(self._last(tokens, tensors), among)
        parts = self.parts(tensors)
        scores = self.scale * torch.einsum("p,pbi->bi", self.shares, parts)
        return torch.where((tokens > 0).any(1, keepdim=True), scores, self.popularity)

    def parts(self, tensors: Sequence[Tensor]) -> Tensor:
        """(parts, B, items): what is liked, what follows (in order), and the trained part."""
        tokens = tensors[self.place[0]].long()
        found = [standardized(self.likes(tokens))]
        if self.follows is not None:
            late = latest(tokens, SPAN)
            found.append(standardized(self.follows(late, fading(late, self.decay))))
        trained = self._logits(self._last(tokens, tensors), None)
        return torch.stack([*found, standardized(trained.float(), QUIET)])

    def alike(self, item: int) -> Tensor:
        """(items,): how alike each item is to one of them, at most 1."""
        return self.likes.alike(item)

    def _last(self, tokens: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """(B, width): after the whole history, in order after its latest items."""
        if self.follows is None:
            return self._states(tokens, tensors)
        tokens = latest(tokens, self.longest)
        states, last = self._states(tokens, tensors), row_lengths(tokens > 0) - 1
        return states[torch.arange(len(states), device=states.device), last]

    def _states(self, tokens: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """(B, width), or in order (B, T, width)."""
        vectors = self.table(tokens)
        if self.follows is not None:
            found = self.body(self.dropout(vectors), row_lengths(tokens > 0))[0]
        else:
            count = (tokens > 0).sum(1, keepdim=True).clamp(min=1)
            found = self.body(vectors.sum(1) * count**-0.5)
        if self.context is None:
            return found
        place, sequence = self.place
        said = list(tensors[place + 1 :])
        inputs = len(self._stems())
        lengths = said[inputs - place :]
        lengths = lengths[:sequence] + lengths[sequence + 1 :]
        context = self.context(*tensors[:place], *said[: inputs - place], *lengths)
        return found + (context if found.ndim == 2 else context[:, None])

    def _stems(self) -> Sequence[nn.Module]:
        return self.context.stems if self.context is not None else []  # pyright: ignore[reportReturnType]  of Joined

    def _logits(self, states: Tensor, among: Tensor | None) -> Tensor:
        weight, bias = self.table.weight[self.likes.first :], self.bias
        if among is not None:
            weight, bias = weight[among], bias[among]
        return F.linear(self.head(self.dropout(states)), weight, bias)

    def _reasons(self, tokens: Tensor, items: Tensor) -> Tensor:
        found = self.shares[0] * self.likes.pairs(tokens, items) / spread(self.likes(tokens))[..., None]
        if self.follows is None:
            return found
        places = torch.arange(tokens.shape[1], device=tokens.device)
        late, fades = latest(tokens, SPAN), fading(tokens, self.decay)
        weight = torch.where(places >= row_lengths(tokens > 0)[:, None] - SPAN, fades, 0.0)[..., None]
        size = spread(self.follows(late, fading(late, self.decay)))[..., None]
        return found + self.shares[1] * weight * self.follows.pairs(tokens, items) / size


def standardized(scores: Tensor, quiet: float = 0.0) -> Tensor:
    """(B, items) with mean 0 and spread 1 in each row; 0 if all are equal. A spread below `quiet` stays smaller."""
    centered = scores - scores.mean(1, keepdim=True)
    return centered / _size(centered, quiet)


def spread(scores: Tensor) -> Tensor:
    """(B, 1): the standard deviation of each row, never 0."""
    return _size(scores - scores.mean(1, keepdim=True), 0.0)


def _size(centered: Tensor, quiet: float) -> Tensor:
    squares = torch.linalg.vector_norm(centered, dim=1, keepdim=True).square()  # three times as fast as `var`
    return (squares / centered.shape[1] + quiet**2 + FLAT).sqrt()


def latest(tokens: Tensor, count: int) -> Tensor:
    """The last `count` tokens of each row (B, T), padded on the right: (B, at most count)."""
    if tokens.shape[1] <= count:
        return tokens
    start = (row_lengths(tokens > 0) - count).clamp(min=0)
    return tokens.gather(1, start[:, None] + torch.arange(count, device=tokens.device))


def fading(tokens: Tensor, decay: Tensor) -> Tensor:
    """(B, T): 1 for the last token of each row, `decay` for the one before, and so on."""
    ages = row_lengths(tokens > 0)[:, None] - 1 - torch.arange(tokens.shape[1], device=tokens.device)
    return decay ** ages.clamp(min=0).float()
