"""What a user wants next, of all items: lists of the best ones, with reasons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.kinds.items import places
from netwright.kinds.padded import FIRST, padded
from netwright.models.modes import evaluating
from netwright.models.ranker import Ranker, ranker
from netwright.models.sequences import row_lengths
from netwright.records.asked import Asked
from netwright.records.batch import Batch, Examples, Given, Outputs
from netwright.records.errors import DataError, RecipeError, counted, nearest
from netwright.records.frames import Frames, Raw
from netwright.records.nested import as_outputs
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, ROW, Objective, Score, Scores, Task
from netwright.tasks import metrics
from netwright.tasks.catalog import NO_CATALOG, Catalog, catalog
from netwright.tasks.dealing import SIMPLY, Deal
from netwright.tasks.interactions import examples, history_name, newest
from netwright.tasks.item_choice import blended, started
from netwright.tasks.item_models import rules
from netwright.tasks.losses import choose_loss
from netwright.tasks.outputs import fail_shape
from netwright.tasks.picking import marked, picked, sampled, windows, without
from netwright.tasks.ranking_metrics import COVERAGE, HIT_RATE, NDCG, NONE, POPULARITY, TOP, gains, of_lists, quick, top

FULL, FULL_IN_ORDER = 20_000, 8_000  # items that are scored for a user, or after each item; of more, a sample
SEEN = 50  # latest items that a network reads in order
STEP_CELLS = 1 << 23  # scores in a step: 32 MB
USERS = 64  # in a batch, fewer if there are many items
STEPS = 1_200, 600  # of the optimizer without and with order: on MovieLens the best epoch came before
LEAST_EPOCHS, MOST_EPOCHS = 8, 80
REASONS = 3  # items that an answer names
UNKNOWN = -2  # an item that training never had, among those wanted: no list can hold it


@final
@dataclass(frozen=True)
class Ranking(Task):
    """Outputs are (B, items), logits; targets are tokens (B, S) of the items that came, padded with 0.

    Tokens are as in `kinds.items`, but 1 is an item that training never had: always missed. Items are numbered by
    descending popularity. `item` is their column, `columns` those of users. `deal` says how the parts were cut.
    """

    item: str
    items: tuple[str, ...]
    place: int = 0  # of the history among the inputs
    columns: tuple[str, ...] = ()
    deal: Deal = SIMPLY
    users: tuple[str, ...] = ()  # to answer; empty: all
    count: int = TOP  # items of an answer
    excludes_seen: bool = True
    fresh: Catalog = NO_CATALOG  # new items to rank too

    name: ClassVar[str] = "ranking"
    metric: ClassVar[str] = NDCG
    higher_is_better: ClassVar[bool] = True
    cuts_rows: ClassVar[bool] = True
    owner: ClassVar[str] = "user"
    starts_at_fit: ClassVar[bool] = True
    trivial: ClassVar[tuple[str, ...]] = ("popularity",)

    @classmethod
    def frame(cls, raw: Raw, detail: str = "") -> Frames:
        """Examples of every user. `detail` is as in `Deal.read`."""
        return examples(raw, raw.source.item or next(iter(raw.targets), ""), Deal.read(detail))

    def frame_again(self, raw: Raw) -> Frames:
        """The same as in training; without targets all that each user had."""
        if raw.targets:
            return examples(raw, self.item, self.deal, self.columns)
        return newest(raw, self.item, self.deal, self.columns, self.users, self.items)

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """The items of the users' histories. Raises DataError for anything but lists beside lists."""
        name = cells.columns[0] if cells.width == 1 else ""
        found = [n for n, block in enumerate(schema.blocks) if block.name == history_name(name)]
        if not name or not found or cells.dtypes[0] != pl.List(pl.String):
            problem = "ranking learns from what each user had, a row for each user and item"
            raise DataError(problem, remedy="name both and the task: --user COLUMN --item COLUMN --task ranking.")
        (place,) = found
        (field,) = schema.blocks[place].fields
        others = tuple(one.name for one in schema.inputs if one is not field)
        return cls(name, field.known_tokens(), place, others, Deal.read(detail))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N, S) int32."""
        lists = cells[self.item].cast(pl.List(pl.String))
        lengths = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
        flat = lists.filter(pl.Series(lengths > 0)).explode()
        tokens = places(flat, self.items).astype(np.int32)
        return (torch.from_numpy(padded(tokens, lengths, int(lengths.max(initial=1)))),)

    def lengths(self, targets: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """Items that came."""
        return tuple(row_lengths(one > 0) for one in targets)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """See `models.ranker`."""
        names = {field.name for field in schema.blocks[self.place].fields}
        others = Schema(tuple(field for field in schema.inputs if field.name not in names))
        return ranker(others, self.place, len(self.items), FIRST, SEEN, is_ordered=self.deal.is_ordered, recipe=recipe)

    def start(self, network: nn.Module, train: Examples) -> None:
        """What goes together, and in order what follows; penalty and mix suit what training examples ask for."""
        if isinstance(network, Ranker):
            started(network, train, self.place)

    def correct(self, network: nn.Module, valid: Examples) -> str:
        """The mix of fitted and trained scores, and their scale."""
        return blended(network, valid, self.place) if isinstance(network, Ranker) else ""

    def asking(self, asked: Asked) -> Self:
        """For some users, longer or shorter lists, or also what was had before."""
        if others := [word for word in asked.said() if word not in ("--users", "--top", "--exclude-seen")]:
            raise RecipeError(f"{others[0]} does not suit ranking", remedy="leave it out.")
        words = (asked.users,) if isinstance(asked.users, str) else asked.users
        users = tuple(word.strip() for one in words for word in str(one).split(",") if word.strip())
        return replace(self, users=users, count=asked.top, excludes_seen=asked.exclude_seen)

    def stocked(self, table: pl.DataFrame) -> tuple[Self, str]:
        """The task that ranks new items too: each has the mean score of those known ones most alike in columns."""
        found = catalog(table, self.item, self.items)
        told = f"{counted(len(found.items), 'new item')} ranked by the known ones most alike"
        return replace(self, fresh=found), told + (f"; {found.alone:,} like none left out" if found.alone else "")

    def forward(self, network: nn.Module, batch: Batch) -> Outputs:
        """Outputs for what a user had without what is asked for."""
        return as_outputs(self._hidden(batch).call(network))

    def objective(self, recipe: Recipe) -> Objective:
        """Cross entropy over all items, or a sample of more than FULL; mean over a user's items.

        In training HIDDEN of the items are asked for, given the others, or in order each item, given those before it.
        """
        choose_loss(recipe, ("cross_entropy",), self.name)
        if recipe.class_weights != "none" or recipe.label_smoothing:
            raise RecipeError(
                "ranking has neither class weights nor label smoothing",
                remedy="set class_weights=none and label_smoothing=0.",
            )

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            is_trained = network.training and not isinstance(network, Given)
            return self._training_loss(network, batch) if is_trained else self.losses(network, batch)

        return losses

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Cross entropy over all items, mean over those that came."""
        return self._loss(self._checked(self.forward(network, batch), len(batch)), batch.targets[0].long())

    def score(self) -> Score:
        """ndcg, recall, mrr, hit_rate, coverage and popular, all at TOP, over all items that a user has not had."""
        items = len(self.items)

        def dear(*kept: np.ndarray) -> Mapping[str, metrics.Statistic]:
            return {**quick(*kept), **of_lists(kept[-1], items)}

        return metrics.Kept(self._keep, quick, dear, columns=TOP)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """A row for each user and place in the list: rank, item, score (its share of the next choice), because."""
        with evaluating(network):
            batch = self._hidden(batch)
            scores = self._checked(as_outputs(batch.call(network)), len(batch))
            tokens, others = batch.inputs[self.place].long(), self._of_new(scores)
            if self.excludes_seen:
                scores = scores.masked_fill(marked(tokens, len(self.items)), -torch.inf)
            scores = torch.cat([scores, others], 1)
            found = top(scores, min(self.count, scores.shape[1]))
            alike = torch.tensor([*range(len(self.items)), *(near[0] for near in self.fresh.nearest)])
            reasons = network(*batch.arguments, reasons=alike.to(found.device)[found.clamp(min=0)])
        given = scores.softmax(1).gather(1, found.clamp(min=0)).double().cpu().numpy().ravel()
        rows, count = batch.rows.cpu().numpy(), found.shape[1]
        names = np.array([*self.items, *self.fresh.items], dtype=object)
        frame = pl.DataFrame({
            ROW: pl.Series(np.repeat(rows, count), dtype=pl.Int64),
            "rank": pl.Series(np.tile(np.arange(1, count + 1), len(rows)), dtype=pl.Int64),
            "item": pl.Series(names[found.clamp(min=0).cpu().numpy().ravel()].tolist(), dtype=pl.String),
            "score": pl.Series(given, dtype=pl.Float64),
            "because": pl.Series(self._because(tokens, reasons), dtype=pl.String),
        })  # fmt: skip
        return frame.filter(pl.Series((found != NONE).cpu().numpy().ravel()))

    def similar(self, network: nn.Module, name: str, count: int) -> pl.DataFrame:
        """The items most alike to one: those that the same items lead to. Raises DataError for an unknown one."""
        if name not in self.items:
            raise DataError(f"training had no {self.item} {name!r}", remedy=nearest(name, self.items[:10_000]))
        if not isinstance(network, Ranker):
            raise RecipeError("only netwright's own networks know what is alike", remedy="train one: --task ranking.")
        own = self.items.index(name)
        scores = network.alike(own).clone()
        scores[own] = -torch.inf
        found = [int(k) for k in top(scores[None], count)[0] if k != NONE]
        return pl.DataFrame({"item": [self.items[k] for k in found], "likeness": scores[found].double().tolist()})

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, items): the logarithms of their shares of what was asked for."""
        wanted = targets[0].long()
        known = wanted >= FIRST
        weight = known / known.sum(1, keepdim=True).clamp(min=1)  # each user counts once, as in the loss
        counts = torch.zeros(len(self.items) + FIRST, dtype=torch.float64)
        counts.index_add_(0, wanted.cpu().flatten(), weight.double().cpu().flatten())
        return (counts[FIRST:] / counts[FIRST:].sum()).clamp(min=1e-12).log().float()[None]

    def simple_models(self) -> tuple[str, ...]:
        """Only its own: `rules`."""
        return ()

    def rules(self, train: Examples) -> Mapping[str, Callable[[Batch], Outputs]]:
        """Popularity, item neighbors, EASE, and in order a first-order Markov chain."""
        found = rules(train, self.place, len(self.items), is_ordered=self.deal.is_ordered)

        def answering(score: Callable[[Tensor], Tensor]) -> Callable[[Batch], Outputs]:
            return lambda batch: score(self._hidden(batch).inputs[self.place].long())

        return {name: answering(score) for name, score in found.items()}

    def plainly(self, scores: Scores, things: str, constant: Scores | None = None) -> str:
        """`Of 10 items for each user, at least one was right for 66 % of the users (63 to 69); ...`."""
        hit, cover, popular = scores[HIT_RATE], scores[COVERAGE], scores[POPULARITY]
        return (
            f"Of {TOP} items for each user, at least one was right for {hit.value:.0%} of the users ({hit.low:.0%} to "
            f"{hit.high:.0%}). {cover.value:.0%} of the items are in somebody's list, and the most popular tenth takes "
            f"{popular.value:.0%} of the places."
        ).replace("%", " %")

    def defaults(self, schema: Schema, rows: int) -> Mapping[str, object]:
        """Small networks with much dropout: the fitted part knows most."""
        scores = min(len(self.items), FULL_IN_ORDER) * SEEN if self.deal.is_ordered else min(len(self.items), FULL)
        users = max(8, min(USERS, STEP_CELLS // max(1, scores)))
        epochs = round(STEPS[self.deal.is_ordered] * users / max(rows, 1))
        own = {"backbone": "gru", "width": 64, "lr": 3e-3} if self.deal.is_ordered else {
            "backbone": "mlp", "activation": "tanh", "width": 256, "lr": 1e-3,
        }  # fmt: skip
        return {
            **own, "depth": 1, "dropout": 0.3, "batch_size": users, "keep": "best",
            "epochs": min(MOST_EPOCHS, max(LEAST_EPOCHS, epochs)),
        }  # fmt: skip

    def describe(self) -> str:
        """`ranking of 1,682 items for each user, in the order of time`."""
        order = ", in the order of time" if self.deal.is_ordered else ""
        return f"ranking of {len(self.items):,} items for each user{order}"

    def _hidden(self, batch: Batch) -> Batch:
        """The batch without the items asked for in the histories."""
        if not batch.inputs:
            return batch
        tokens = batch.inputs[self.place]
        return self._with(batch, without(tokens, batch.targets[0], len(self.items)) if batch.targets else tokens)

    def _with(self, batch: Batch, tokens: Tensor) -> Batch:
        """The batch with other histories, cut to the longest."""
        longest = int(row_lengths(tokens > 0).max()) if len(tokens) else 1
        tokens = tokens[:, :longest]
        inputs = (*batch.inputs[: self.place], tokens, *batch.inputs[self.place + 1 :])
        lengths = batch.lengths
        if lengths:
            lengths = (*lengths[: self.place], row_lengths(tokens > 0), *lengths[self.place + 1 :])
        return replace(batch, inputs=inputs, lengths=lengths)

    def _checked(self, outputs: Outputs, rows: int) -> Tensor:
        """(rows, items) float32."""
        if not isinstance(outputs, Tensor) or outputs.shape[1:] != (len(self.items),) or len(outputs) not in (1, rows):
            fail_shape(outputs, (rows, len(self.items)), self.describe())
        return outputs.float().expand(rows, -1)

    def _loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        known = wanted >= FIRST
        each = logits.log_softmax(1).gather(1, (wanted - FIRST).clamp(min=0)) * known
        return -each.sum(1) / known.sum(1).clamp(min=1)

    def _training_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        tokens, items = batch.inputs[self.place].long(), len(self.items)
        is_ordered = self.deal.is_ordered
        shown, asked = windows(tokens, SEEN) if is_ordered else picked(tokens)
        batch, known = self._with(batch, shown), asked >= FIRST
        wanted = asked[known] - FIRST
        if items <= (FULL_IN_ORDER if is_ordered else FULL):
            among, rarity, place = None, 0.0, wanted
        else:
            among, rarity = sampled(wanted, items)
            place = torch.searchsorted(among, wanted)
        rows = known.nonzero()[:, 0]
        if is_ordered:
            logits = network(*batch.arguments, at=known, among=among).float() - rarity
            each = F.cross_entropy(logits, place, reduction="none")
        else:
            logits = network(*batch.arguments, among=among).float() - rarity
            had = marked(shown, items)
            had = had if among is None else had[:, among]
            each = -logits.masked_fill(had, -torch.inf).log_softmax(1)[rows, place]
        total = each.new_zeros(len(batch)).index_add(0, rows, each)
        return total / known.sum(1).clamp(min=1)

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        """For each user the loss, gains and the list."""
        scores, wanted = self._checked(outputs, len(batch)), batch.targets[0].long()
        loss = self._loss(scores, wanted)
        if batch.inputs:
            tokens = self._hidden(batch).inputs[self.place].long()
            scores = scores.masked_fill(marked(tokens, len(self.items)), -torch.inf)
        found = top(scores)
        items = torch.where(wanted == 0, NONE, torch.where(wanted < FIRST, UNKNOWN, wanted - FIRST))
        return (loss, *gains(found, items), found)

    def _of_new(self, scores: Tensor) -> Tensor:
        """(B, new items): the mean scores of the known items that each is alike to."""
        if not self.fresh.items:
            return scores[:, :0]
        widest = max(map(len, self.fresh.nearest))
        near, weight = (
            torch.tensor([(*row, *[0] * (widest - len(row))) for row in rows], device=scores.device)
            for rows in (self.fresh.nearest, self.fresh.likeness)
        )
        total = torch.zeros(len(scores), len(near), device=scores.device)
        for column in range(widest):  # all at once would take `widest` times the memory
            total += scores[:, near[:, column]] * weight[:, column]
        return total / weight.sum(1)

    def _because(self, tokens: Tensor, reasons: Tensor) -> list[str]:
        """For each answer the items of the history that add most to it."""
        most = reasons.transpose(1, 2).topk(min(REASONS, tokens.shape[1]), dim=2)
        named = tokens[:, None].expand(-1, reasons.shape[2], -1).gather(2, most.indices).flatten(0, 1).tolist()
        return [
            "; ".join(
                self.items[token - FIRST] for token, size in zip(row, sizes, strict=True) if size > 0 and token > 0
            )
            for row, sizes in zip(named, most.values.flatten(0, 1).tolist(), strict=True)
        ]
