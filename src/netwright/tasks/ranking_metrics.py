"""Lists of the best items, and how good they are: over all items, never over a sample of them."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.tasks import metrics

TOP = 10  # items of a list that is scored
POPULAR = 0.1  # of the items, the most frequent: who always recommends them tells nobody anything new
NONE = -1  # a place of a list that no item takes

NDCG, RECALL, MRR, HIT_RATE = (f"{name}@{TOP}" for name in ("ndcg", "recall", "mrr", "hit_rate"))
COVERAGE, POPULARITY = f"coverage@{TOP}", f"popular@{TOP}"


def top(scores: Tensor, count: int = TOP) -> Tensor:
    """(B, items) -> (B, count) int64: the items with the highest scores, best first; NONE beyond the finite ones.

    Equal scores come in an order that is drawn once for each number of items: items are often sorted by how popular
    they are, and their own order would favor what people choose.
    """
    scores = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    kept = min(count, scores.shape[1])
    values, found = scores.topk(min(kept + 1, scores.shape[1]), dim=1)
    is_tied = (values[:, 1:] == values[:, :-1]).any(1)
    found = torch.where(values == -torch.inf, NONE, found)[:, :kept]
    if bool(is_tied.any()):
        found[is_tied] = _shuffled(scores[is_tied], kept)
    return torch.nn.functional.pad(found, (0, count - kept), value=NONE)


def _shuffled(scores: Tensor, kept: int) -> Tensor:
    """The same for rows with equal scores."""
    items = scores.shape[1]
    order = torch.randperm(items, generator=torch.Generator().manual_seed(0)).to(scores.device)
    shuffled = scores[:, order]
    least = shuffled.topk(kept, dim=1).values[:, -1:]
    above, level = shuffled > least, shuffled == least
    chosen = above | (level & (level.cumsum(1, dtype=torch.int32) <= kept - above.sum(1, keepdim=True)))
    places = chosen.nonzero()[:, 1].view(len(scores), kept)
    values, rank = shuffled.gather(1, places).sort(dim=1, descending=True, stable=True)
    return torch.where(values == -torch.inf, NONE, order[places.gather(1, rank)])


def gains(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """NDCG, recall, reciprocal rank and hit, (B,) each in [0, 1], of lists (B, TOP) of items.

    `wanted` (B, S) are the items that came, each once; NONE pads them on the right. Items that no list can hold
    (below NONE) count as missed. NDCG of relevance 0 or 1: Järvelin and Kekäläinen 2002; the ideal list holds as many
    of the wanted items as fit.
    """
    hits = ((found[:, :, None] == wanted[:, None, :]) & (found != NONE)[:, :, None]).any(2).float()
    discount = 1 / torch.arange(2, TOP + 2, device=found.device).float().log2()
    count = (wanted != NONE).sum(1)
    ideal = torch.nn.functional.pad(discount.cumsum(0), (1, 0))[count.clamp(max=TOP)]
    ndcg = (hits * discount).sum(1) / ideal.clamp(min=1e-9)
    recall = hits.sum(1) / count.clamp(min=1)
    first = (hits / torch.arange(1, TOP + 1, device=found.device)).amax(1)
    return ndcg.clamp(max=1.0), recall, first, hits.amax(1)


def quick(*kept: NDArray[Any]) -> Mapping[str, metrics.Statistic]:
    """Means over users; `kept` are the loss, what `gains` gives, and the lists."""
    loss, *found, _ = kept
    named = zip((NDCG, RECALL, MRR, HIT_RATE), found, strict=True)
    return {"loss": metrics.mean_of(loss, "lower"), **{name: metrics.mean_of(x, "higher") for name, x in named}}


def of_lists(lists: NDArray[np.int64], items: int) -> Mapping[str, metrics.Statistic]:
    """Share of all items that are in a list, and share of the lists that the most popular items take.

    Items are numbered by descending popularity.
    """
    rows, places = np.nonzero(lists >= 0)
    held = lists[rows, places]
    few = ceil(POPULAR * items)
    popular, size = (
        np.bincount(rows[some], minlength=len(lists)).astype(np.float64) for some in (held < few, held >= 0)
    )
    return {
        COVERAGE: metrics.Statistic(_coverage(rows, held, len(lists), items), "higher", is_biased=True),
        POPULARITY: metrics.ratio_of(popular, size, "lower"),
    }


def _coverage(rows: NDArray[np.intp], held: NDArray[np.int64], count: int, items: int) -> metrics.Weighted:
    from scipy.sparse import csr_array

    seen, columns = np.unique(held, return_inverse=True)
    holds = csr_array((np.ones(len(held), np.float32), (columns, rows)), shape=(len(seen), count))

    def covered(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return (holds @ (weights > 0).T.astype(np.float32) > 0).sum(0) / items

    return covered
