import numpy as np
import pytest
import torch

from netwright.tasks import item_fits
from netwright.tasks.item_fits import (
    Histories,
    chances,
    entries,
    following,
    histories,
    joined,
    latest,
    neighbors,
    together,
)
from netwright.tasks.ranking_metrics import NONE


def _random(users: int = 60, items: int = 12) -> Histories:
    held = np.random.default_rng(0).random((users, items)) < 0.4
    owners, found = np.nonzero(held)
    return Histories(owners.astype(np.int64), found.astype(np.int64), users, items)


def test_tokens_become_lists_in_their_order() -> None:
    lists = histories(torch.tensor([[4, 2, 0], [1, 0, 0], [3, 4, 4]]), 2, 3)
    assert lists.owners.tolist() == [0, 0, 2, 2, 2] and lists.items.tolist() == [2, 0, 1, 2, 2]
    assert lists.matrix().toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    assert lists.popularity().tolist() == [1, 1, 2]
    assert lists.among(2).items.tolist() == [0, 1]
    assert lists.picked(np.array([0, 2])).tolist() == [[2, 0, NONE], [1, 2, 2]]
    both = joined([lists, lists])
    assert both.count == 6 and both.owners[-1] == 5
    assert lists.without(histories(torch.tensor([[4], [0], [3]]), 2, 3)).items.tolist() == [0, 2, 2]


def test_ease_is_the_best_linear_prediction_of_each_item_from_the_others() -> None:
    lists, penalty = _random(), 7.0
    x = lists.matrix().toarray().astype(np.float64)
    weights = together(lists, penalty).astype(np.float64)
    assert not np.diag(weights).any()
    slope = x.T @ (x @ weights - x) + penalty * weights  # of squared errors and penalty; 0 but on the diagonal
    np.fill_diagonal(slope, 0.0)
    assert np.abs(slope).max() < 1e-4


def test_of_many_items_each_is_predicted_from_its_neighbors_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = _random()
    whole = together(lists, 7.0)
    monkeypatch.setattr(item_fits, "DENSE", 5)
    alike = together(lists, 7.0).toarray()  # there are fewer items than neighbors: the same solution
    assert np.allclose(alike, whole, atol=1e-4)
    monkeypatch.setattr(item_fits, "NEIGHBORS", 3)
    few = together(lists, 7.0).toarray()
    assert ((few != 0).sum(0) == 3).all() and not np.diag(few).any()
    monkeypatch.setattr(item_fits, "SOLVED", 1)
    assert (together(lists, 7.0).toarray() >= 0).all()  # cosines


def test_neighbors_are_the_items_with_the_largest_cosine() -> None:
    lists = Histories(np.array([0, 0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 1, 0, 2, 3]), 3, 4)
    found = neighbors(lists, 1).toarray()
    assert found[:, 1].tolist() == pytest.approx([2 / np.sqrt(6), 0, 0, 0])
    assert found[:, 2].tolist() == pytest.approx([0, 0, 0, 1.0])
    assert (found > 0).sum() == 4


def test_what_follows_is_counted_within_lists_and_fades() -> None:
    lists = Histories(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 1, 2, 0, 2]), 2, 3)
    assert following(lists, 1).toarray().tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    two = following(lists, 2, 0.5).toarray()
    assert two.tolist() == [[0, 1.5, 1], [0, 0, 1.5], [0, 0, 0]]
    roots = chances(following(lists, 1), 2.0).toarray()
    assert roots[0].tolist() == pytest.approx([0, 0.5, 0.5]) and roots[1, 2] == pytest.approx(np.sqrt(1 / 3))


def test_the_latest_items_of_a_list_weigh_most() -> None:
    lists = Histories(np.array([0, 0, 0, 2, 2]), np.array([3, 1, 1, 0, 2]), 3, 4)
    assert latest(lists, np.array([0, 2]), 2, 0.5).toarray().tolist() == [[0, 1.5, 0, 0], [0.5, 0, 1, 0]]
    assert latest(lists, np.array([2]), 5, 0.0).toarray().tolist() == [[0, 0, 1, 0]]
    assert following(lists, 5, 0.0).toarray().tolist() == following(lists, 1).toarray().tolist()


def test_a_sparse_matrix_becomes_as_many_entries_as_asked_for() -> None:
    matrix = following(Histories(np.zeros(6, np.int64), np.array([0, 1, 0, 2, 0, 2]), 1, 3), 1)
    keys, values = entries(matrix, 2)
    assert len(keys) == 6 and bool((keys.diff() >= 0).all())
    again = np.zeros(9)
    np.add.at(again, keys.numpy(), values.numpy())
    assert again.reshape(3, 3).tolist() == matrix.toarray().tolist()
    keys, values = entries(matrix, 1)  # too few: the largest of each source
    assert keys.tolist() == [2, 3, 6] and values.tolist() == [2.0, 1.0, 1.0]
