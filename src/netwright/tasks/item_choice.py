"""What a ranking starts at, and how its parts are mixed: chosen on items that no fit has seen."""

from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.kinds.padded import FIRST
from netwright.models.item_weights import ItemWeights
from netwright.models.modes import evaluating
from netwright.models.ranker import NET, SPAN, Ranker
from netwright.records.batch import WALKED, Batch, Examples
from netwright.tasks.item_fits import Histories, chances, entries, following, histories, joined, latest, together
from netwright.tasks.picking import marked, without
from netwright.tasks.ranking_metrics import NONE, gains, top

PENALTIES = 30.0, 100.0, 300.0, 1_000.0  # of EASE
DECAYS = 0.0, 0.5, 0.7, 0.85  # of what follows: 0 looks at the last item alone
MIXED = 20_000  # items; of more the fits are not made twice, and their shares stay equal until the validation part
FEW = 2_000  # items, the most popular, on which a penalty is chosen: a matrix is inverted for each
SMOOTHING = 10.0  # observations of anything else, added to what follows an item
CELLS = 10_000_000  # scores that a choice looks at: 40 MB for each part
LEAST_USERS = 100  # of the validation part: with fewer, a mix is as much chance as fact
STEPS = 10  # of a share from 0 to 1
SCALES = np.geomspace(0.1, 30.0, 24)

Matrix = Any  # numpy or scipy.sparse


def read(train: Examples, place: int, items: int) -> tuple[Histories, Histories]:
    """What the users of training examples had, and what the examples ask for (a part of it)."""
    parts = [(batch.inputs[place], batch.targets[0]) for batch in train.plain().batches(WALKED, seed=None)]
    had, asked = (joined([histories(pair[k], FIRST, items) for pair in parts]) for k in (0, 1))
    return had, asked


def started(network: Ranker, train: Examples, place: int) -> None:
    """Fits what goes together and what follows, and the mix of both on what the training examples ask for.

    The mix is of fits without that, and then kept for fits of all. Of more than MIXED items all shares stay equal.
    """
    items = network.likes.items
    had, asked = read(train, place, items)
    penalty = chosen_penalty(had, asked)
    if network.follows is not None:
        network.decay.fill_(_chosen_decay(had.without(asked), asked))
    if items <= MIXED:
        _fit(network, had.without(asked), penalty)
        some = _spread(train, CELLS // items)
        if found := _parts(network, some, place):
            parts, seen, wanted = found
            shares = torch.zeros(len(parts))
            shares[:-1] = _best(parts[:-1], seen, wanted) * (1 - NET)
            shares[-1] = NET
            network.shares.copy_(shares)
            network.scale.fill_(_scale(torch.einsum("p,pbi->bi", shares, parts), seen, wanted))
    _fit(network, had, penalty)
    counts = had.popularity() + 0.5
    network.popularity.copy_(torch.from_numpy(np.log(counts / counts.sum())))


def blended(network: Ranker, valid: Examples, place: int) -> str:
    """Mixes fitted and trained scores as the validation part likes best, and fits their scale; says how."""
    if len(valid) < LEAST_USERS or not (found := _parts(network, _spread(valid, CELLS // network.likes.items), place)):
        return ""
    parts, seen, wanted = found
    shares = _best(parts, seen, wanted)
    network.shares.copy_(shares)
    network.scale.fill_(_scale(torch.einsum("p,pbi->bi", shares, parts), seen, wanted))
    names = ("what goes together", "what follows", "the trained part") if len(shares) == 3 else (
        "what goes together", "the trained part",
    )  # fmt: skip
    told = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares.tolist(), strict=True))
    return f"scores are mixed by the validation part: {told}".replace("%", " %")


def chosen_penalty(had: Histories, asked: Histories) -> float:
    """The penalty of EASE that finds best what was asked for, fitted without it, on the most popular items."""
    hidden, wanted = had.without(asked).among(FEW), asked.among(FEW)
    lists = _some_lists(wanted)
    x, asked_for = hidden.matrix()[lists], wanted.picked(lists)
    seen = torch.from_numpy(x.toarray() > 0)

    def score(penalty: float) -> float:
        found = torch.from_numpy(np.asarray(x @ _dense(together(hidden, penalty)), np.float32))
        return float(gains(top(found.masked_fill(seen, -torch.inf)), asked_for)[0].mean())

    return max(PENALTIES, key=score)


def _chosen_decay(hidden: Histories, asked: Histories) -> float:
    """The decay with which what follows the latest items finds best what was asked for."""
    lists = _some_lists(asked)
    asked_for, seen = asked.picked(lists), torch.from_numpy(hidden.matrix()[lists].toarray() > 0)

    def score(decay: float) -> float:
        found = latest(hidden, lists, SPAN, decay) @ chances(following(hidden, SPAN, decay), SMOOTHING)
        scores = torch.from_numpy(np.asarray(found.toarray(), np.float32))
        return float(gains(top(scores.masked_fill(seen, -torch.inf)), asked_for)[0].mean())

    return max(DECAYS, key=score)


def _some_lists(wanted: Histories) -> NDArray[np.int64]:
    """Numbers of lists that hold something, evenly spread, as many as CELLS allows."""
    lists = np.unique(wanted.owners)
    count = max(1, min(len(lists), CELLS // wanted.kinds))
    return lists[np.unique(np.linspace(0, len(lists) - 1, count).astype(np.int64))]


def _dense(weights: Matrix) -> NDArray[np.float32]:
    return weights if isinstance(weights, np.ndarray) else weights.toarray()


def _fit(network: Ranker, lists: Histories, penalty: float) -> None:
    _fill(network.likes, together(lists, penalty))
    if network.follows is not None:
        _fill(network.follows, chances(following(lists, SPAN, float(network.decay)), SMOOTHING))


def _fill(weights: ItemWeights, found: Matrix) -> None:
    if weights.entries:
        keys, values = entries(found, weights.entries)
        weights.keys.copy_(keys)
        weights.values.copy_(values)
    else:
        weights.weight[weights.first :] = torch.from_numpy(_dense(found)).to(weights.weight)


def _spread(part: Examples, most: int) -> list[Batch]:
    """At most so many examples, evenly spread."""
    rows = part.rows
    chosen = np.linspace(0, len(rows) - 1, max(1, min(len(rows), most))).round().astype(np.int64)
    return [part.plain().take(some) for some in rows[torch.from_numpy(chosen)].split(WALKED)] if len(rows) else []


def _parts(network: Ranker, batches: list[Batch], place: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """Scores (parts, users, items), what they had (users, items), and the items wanted, of users who had something."""
    parts, seen, wanted = list[Tensor](), list[Tensor](), list[Histories]()
    items = network.likes.items
    with evaluating(network):
        for batch in batches:
            batch = batch.to(network.scale.device)
            tokens = without(batch.inputs[place], batch.targets[0], items)
            inputs = (*batch.inputs[:place], tokens, *batch.inputs[place + 1 :])
            is_known = (tokens > 0).any(1)
            lengths = tuple(n for n in batch.lengths if n is not None)
            parts.append(network.parts((*inputs, *lengths))[:, is_known])
            seen.append(marked(tokens, items)[is_known])
            wanted.append(histories(batch.targets[0][is_known], FIRST, items))
    if not parts or not sum(one.shape[1] for one in parts):
        return None
    whole = joined(wanted)
    asked_for = whole.picked(np.arange(whole.count)).to(network.scale.device)
    return torch.cat(parts, 1), torch.cat(seen), asked_for


def _best(parts: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
    """(parts,) shares that sum to 1: the mean of those whose NDCG is within a standard error of the highest.

    The highest alone is partly chance: on MovieLens 100k, in order, the mean has .125 on the test part instead of .118.
    A last part that says nothing gets none.
    """
    if len(parts) > 1 and not parts[-1].any():
        alone = torch.zeros(len(parts))
        alone[: len(parts) - 1] = _best(parts[:-1], seen, wanted)
        return alone
    grid = [torch.tensor(c) / STEPS for c in product(range(STEPS + 1), repeat=len(parts)) if sum(c) == STEPS]
    mixed = (torch.einsum("p,pbi->bi", shares.to(parts), parts).masked_fill(seen, -torch.inf) for shares in grid)
    found = torch.stack([gains(top(scores), wanted)[0] for scores in mixed])
    behind = found[found.mean(1).argmax()] - found
    error = behind.std(1, correction=0) / max(1, behind.shape[1]) ** 0.5
    return torch.stack(grid)[(behind.mean(1) <= error).cpu()].mean(0)


def _scale(mixed: Tensor, seen: Tensor, wanted: Tensor) -> float:
    """The factor with the lowest log loss of the items wanted, among those that a user has not had."""
    masked = mixed.masked_fill(seen, -torch.inf)
    known = wanted != NONE

    def loss(scale: float) -> float:
        each = (scale * masked).log_softmax(1).gather(1, wanted.clamp(min=0))
        return -float(each[known].double().mean())

    return float(min(SCALES, key=loss))
