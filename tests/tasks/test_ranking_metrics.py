"""Worked out by hand: two hits at ranks 1 and 3 gain 1 + 1/log2(4) = 1.5."""

from math import log2

import numpy as np
import pytest
import torch

from netwright.statistics import unweighted
from netwright.tasks.ranking_metrics import COVERAGE, NONE, POPULARITY, TOP, gains, of_lists, quick, top


def _lists(*found: list[int]) -> torch.Tensor:
    return torch.tensor([one + [NONE] * (TOP - len(one)) for one in found])


def _all(found: torch.Tensor, wanted: list[list[int]]) -> list[list[float]]:
    widest = max(map(len, wanted))
    asked = torch.tensor([one + [NONE] * (widest - len(one)) for one in wanted])
    return torch.stack(gains(found, asked)).T.tolist()


def test_hand_made_lists_have_the_gains_worked_out_by_hand() -> None:
    found = _lists([4, 7, 2, 9], [4, 7, 2, 9], [4, 7], [1, 2, 3])
    rows = _all(found, [[4, 2], [9], [5], [3, 2, 1, 8]])
    assert rows[0] == pytest.approx([1.5 / (1 + 1 / log2(3)), 1.0, 1.0, 1.0])
    assert rows[1] == pytest.approx([1 / log2(5), 1.0, 0.25, 1.0])
    assert rows[2] == [0.0, 0.0, 0.0, 0.0]
    three, four = 1 + 1 / log2(3) + 1 / log2(4), 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    assert rows[3] == pytest.approx([three / four, 0.75, 1.0, 1.0])


def test_more_wanted_items_than_places_reach_1_and_never_more() -> None:
    full = torch.arange(TOP)[None]
    ((ndcg, recall, mrr, hit),) = _all(full, [list(range(25))])
    assert (ndcg, recall, mrr, hit) == pytest.approx((1.0, TOP / 25, 1.0, 1.0))
    random = torch.stack([torch.randperm(40)[:TOP] for _ in range(200)])
    wanted = [torch.randperm(40)[: 1 + row % 30].tolist() for row in range(200)]
    assert all(0 <= value <= 1 for row in _all(random, wanted) for value in row)


def test_an_item_that_no_list_can_hold_is_missed_and_empty_places_hit_nothing() -> None:
    ((ndcg, recall, _, _),) = _all(_lists([3]), [[3, -2]])
    assert (ndcg, recall) == pytest.approx((1 / (1 + 1 / log2(3)), 0.5))
    assert _all(_lists([]), [[0]]) == [[0.0] * 4]


def test_a_list_has_the_highest_scores_first_and_never_what_is_left_out() -> None:
    scores = torch.tensor([[0.1, 3.0, -torch.inf, 2.0, float("nan")]])
    assert top(scores, 5).tolist() == [[1, 3, 0, NONE, NONE]]
    assert top(scores, 2).tolist() == [[1, 3]]
    assert top(torch.zeros(2, 3), 5)[:, 3:].tolist() == [[NONE] * 2] * 2


def test_equal_scores_favor_neither_popular_items_nor_the_truth() -> None:
    found = top(torch.zeros(1, 2000))
    assert found.tolist() == top(torch.zeros(3, 2000))[2:].tolist()  # the same each time
    assert float(found.float().mean()) == pytest.approx(1000, abs=500)  # not the first ten, which are the most popular
    ties = torch.zeros(1, 50)
    ties[0, [7, 33]] = 1.0
    assert set(top(ties)[0, :2].tolist()) == {7, 33} and len(set(top(ties)[0].tolist())) == TOP
    constant = top(torch.zeros(500, 100))
    wanted = torch.arange(500)[:, None] % 100
    assert float(gains(constant, wanted)[3].mean()) == pytest.approx(0.1)


def test_coverage_counts_items_once_and_popularity_places() -> None:
    lists = _lists([0, 1, 2], [0, 1, 2], [0, 30]).numpy()
    found = unweighted(of_lists(lists, 40), 3)
    assert found[COVERAGE] == pytest.approx(4 / 40)
    assert found[POPULARITY] == pytest.approx(7 / 8)  # of the 40 items the first four are popular
    only_first = of_lists(lists, 40)[COVERAGE](np.array([[2.0, 1.0, 0.0]]))
    assert only_first.tolist() == pytest.approx([3 / 40])


def test_means_are_over_users() -> None:
    lists = _lists([1], [2]).numpy()
    halves, ones = np.array([0.0, 1.0], np.float32), np.ones(2, np.float32)
    found = unweighted(quick(ones * 3, halves, ones, halves, halves, lists), 2)
    assert found == {"loss": 3.0, "ndcg@10": 0.5, "recall@10": 1.0, "mrr@10": 0.5, "hit_rate@10": 0.5}
