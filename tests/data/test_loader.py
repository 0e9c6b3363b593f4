"""Loaders of torch as data: what is read equals the arrays they were made from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import netwright as nw
from netwright.data.read import read
from netwright.records.errors import DataError

X, Y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 2


class Rows(Dataset[Any]):
    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, row: int) -> Any:
        return self.make(row)


@pytest.mark.parametrize(
    "loader", [DataLoader(TensorDataset(X, Y), 16), TensorDataset(X, Y), DataLoader(Rows(lambda k: (X[k], Y[k])), 7)]
)
def test_a_loader_of_pairs_is_read_as_its_arrays(loader: Any) -> None:
    expected, found = read((X, Y)), read(loader)
    assert found.table.equals(expected.table)
    assert found.targets == expected.targets == ("target",)


def test_dictionaries_are_columns_with_their_names_and_texts() -> None:
    loader = DataLoader(Rows(lambda k: {"size": X[k, 0], "said": ["no", "yes"][k % 2], "label": Y[k]}), 16)
    found = read(loader)
    assert (found.table.columns, found.targets) == (["size", "said", "label"], ("label",))
    assert found.table["said"].to_list() == ["no", "yes"] * 25
    assert np.allclose(found.table["size"].to_numpy(), X[:, 0].numpy())


def test_a_shuffling_loader_gives_all_rows_and_draws_no_random_number() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    found = read(DataLoader(TensorDataset(X, Y), 16, shuffle=True))
    assert torch.equal(torch.rand(1), expected)
    assert sorted(found.table["x0"].to_list()) == sorted(X[:, 0].tolist())


@pytest.mark.parametrize(
    ("loader", "problem", "remedy"),
    [
        (DataLoader(TensorDataset(X, Y, Y), 16), "got a list of 3", "pairs (x, y)"),
        (Rows(lambda k: (object(), 1)), "the rows of a Rows are no batch", "pairs (x, y)"),
        (DataLoader(Rows(lambda k: ((X[k], X[k]), Y[k])), 16), "one tensor of inputs in a batch, got 2", "dictionary"),
        (DataLoader(TensorDataset(X[:0], Y[:0]), 16), "has no batches", "at least one batch"),
        (DataLoader(Rows(lambda k: (X[k, : 1 + k // 16], Y[k])), 16), "cannot be joined", "of one shape"),
    ],
)
def test_loaders_that_are_no_table_are_refused_with_a_remedy(loader: Any, problem: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        read(loader)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_network_trains_on_a_loader_and_answers_and_is_scored_on_others() -> None:
    settings = {"epochs": 1, "width": 8, "depth": 1, "precision": "fp32"}
    run = nw.train(DataLoader(TensorDataset(X, Y), 16), settings=settings, audit=False, diagnose=False)
    assert nw.predict(run, DataLoader(TensorDataset(X[:9]), 4)).height == 9
    assert nw.evaluate(run, DataLoader(TensorDataset(X, Y), 16)).count == 50
