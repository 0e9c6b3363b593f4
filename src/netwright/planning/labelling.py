"""Which unlabelled rows to label first: rows that networks doubt, and that differ from each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.dataset import Dataset
from netwright.models.network import Joined
from netwright.records.batch import Examples
from netwright.records.errors import DataError
from netwright.records.run import Run
from netwright.records.task import Labels, viewed
from netwright.training.evaluate import device_of, evaluating, predictions
from netwright.training.layers import hooked

COMMITTEE = 3  # networks to average, or to compare for disagreement
CANDIDATES = 10  # times the wanted rows: the most doubted, from which different ones are chosen. Zhdanov 2019 took 10
PLACE = "place"


def worth_labelling(runs: Sequence[Run], examples: Examples, dataset: Dataset, count: int) -> pl.DataFrame:
    """`count` rows of the examples, the most useful first: place, prediction, uncertainty from 0 to 1, and the reason.

    Uncertainty is 1 minus the margin between the two most likely classes (Scheffer et al. 2001) under the mean of the
    networks, or the spread of their numbers. Among the most uncertain, each next row maximizes uncertainty times
    distance to all chosen rows in the last layer's features. Diversity within a batch as in Zhdanov 2019,
    arXiv:1901.05954, but farthest first (Sener and Savarese 2018, arXiv:1708.00489) instead of k-means, so that copies
    of a chosen row come last. Raises DataError for tasks without classes or numbers.
    """
    if (view := viewed(runs[0].task, runs[0].train)) is None:
        remedy = "choose one column of classes or numbers as the target."
        raise DataError(f"cannot choose rows to label for {runs[0].task.describe()}", remedy=remedy)
    tables = [pl.concat(list(predictions(run.network, run.task, examples, run.recipe))) for run in runs]
    doubts = _of_classes(tables) if isinstance(view, Labels) else _of_numbers(tables)
    order = np.argsort(-doubts["uncertainty"].to_numpy(), kind="stable")[: count * CANDIDATES]
    features = _features(runs[0], examples.part(torch.from_numpy(order)))
    chosen = order[_far_apart(doubts["uncertainty"].to_numpy()[order], features, count)]
    places = pl.Series(PLACE, [dataset.locate(int(row)) for row in examples.rows[chosen]], dtype=pl.String)
    return doubts[chosen].insert_column(0, places)


def _of_classes(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    labels = [name.removeprefix("p_") for name in tables[0].columns[3:]]  # after row, prediction, probability
    shares = np.mean([table[:, 3:].to_numpy() for table in tables], axis=0)
    best = np.argsort(-shares, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(shares, best, axis=1).T
    words = [
        f"between {labels[a]!r} ({p:.0%}) and {labels[b]!r} ({q:.0%})"
        for (a, b), p, q in zip(best.tolist(), first, second, strict=True)
    ]
    return pl.DataFrame(
        {
            "prediction": [labels[a] for a in best[:, 0]],
            "uncertainty": 1 - (first - second).astype(np.float64),
            "reason": words,
        }
    )


def _of_numbers(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    answers = np.stack([table["prediction"].to_numpy() for table in tables])
    spread = answers.std(0)
    words = [f"answers from {low:.4g} to {high:.4g}" for low, high in zip(answers.min(0), answers.max(0), strict=True)]
    share = spread / max(spread.max(), np.finfo(float).tiny)
    return pl.DataFrame({"prediction": answers.mean(0), "uncertainty": share, "reason": words})


def _features(run: Run, examples: Examples) -> NDArray[np.float32]:
    """(rows, features): the last layer's inputs."""
    network = run.network
    if not isinstance(network, Joined):
        raise TypeError(f"{type(network).__name__} has no last layer: the tasks here make a Joined")
    seen = list[Tensor]()

    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].flatten(1).float().cpu())

    with hooked([network.head.register_forward_pre_hook(keep)]), evaluating(network):
        for batch in examples.batches(run.recipe.batch_size, seed=None):
            run.task.forward(network, batch.to(device_of(network)))
    return torch.cat(seen).numpy()


def _far_apart(weights: NDArray[np.float64], features: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Positions of up to `count` rows: the heaviest first, then always the largest weight x distance."""
    chosen = [int(np.argmax(weights))] if len(weights) else []
    nearest = np.full(len(weights), np.inf)
    free = np.ones(len(weights), bool)
    while len(chosen) < min(count, len(weights)):
        free[chosen[-1]] = False
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(np.where(free, weights * nearest, -1.0))))
    return np.array(chosen, np.int64)
