"""What a loader yields as a batch. tests/training/test_forms.py holds what is computed from it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.data.reading import as_batch, readings
from netwright.records.batch import Batch
from netwright.records.errors import DataError

X, Y = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10)


@pytest.mark.parametrize(
    "thing",
    [
        (X, Y), [X, Y], ([X], Y), (X.numpy(), Y.numpy()), {"inputs": X, "targets": Y}, {"x": X, "label": Y},
        {"pixels": X, "labels": Y}, Batch((X,), (Y,), torch.arange(10)),
    ],
)  # fmt: skip
def test_usual_batches_are_understood(thing: Any) -> None:
    batch = as_batch(thing)
    assert torch.equal(batch.inputs[0], X)
    assert torch.equal(batch.targets[0], Y)
    assert torch.equal(batch.rows, torch.arange(10))


def test_several_inputs_and_no_targets_are_understood() -> None:
    assert len(as_batch(([X, X], Y)).inputs) == 2
    assert len(as_batch({"ids": Y, "mask": Y, "labels": Y}).inputs) == 2
    assert as_batch(X).targets == ()


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        ((X, X, Y), "expected a batch as (inputs, targets), got a tuple of 3"),
        ("rows", "expected a batch as (inputs, targets), got a str"),
        ((X, Y[:4]), "the tensors of a batch have 10, 4 rows"),
        ((["a", "b"], Y), "expected tensors with a row for each example, got a str in a batch"),
    ],
)
def test_other_batches_are_an_error(thing: Any, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        as_batch(thing)
    assert caught.value.problem == problem


class Pair(nn.Module):
    def forward(self, first: Tensor, second: Tensor, *, scale: Tensor | None = None) -> Tensor:
        return first + second


class Anything(nn.Module):
    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        return torch.cat((*inputs, *named.values()), 1)


def test_entries_go_to_the_parameters_of_their_names() -> None:
    seen = dict[str, Tensor]()

    class Recording(Pair):
        def forward(self, first: Tensor, second: Tensor, *, scale: Tensor | None = None) -> Tensor:
            seen.update(first=first, second=second)
            return super().forward(first, second) if scale is None else scale

    network = Recording()
    batch = as_batch({"scale": X + 2, "second": X + 1, "label": Y, "id": Y, "first": X}, 5, network)
    assert torch.equal(batch.call(network), X + 2)
    assert torch.equal(seen["first"], X) and torch.equal(seen["second"], X + 1)
    assert len(batch.inputs) == 3
    assert torch.equal(batch.wanted, Y)
    assert batch.rows.tolist() == list(range(5, 15))


def test_what_a_batch_holds_stays_nested_when_rows_are_picked_and_joined() -> None:
    (reading,), *_ = readings(({"second": X + 1, "first": X}, {"low": Y, "high": (Y, [Y + 1])}), Pair())
    batch = reading(({"second": X + 1, "first": X}, {"low": Y, "high": (Y, [Y + 1])}))
    for some in (batch.head(4), batch.pick(torch.tensor([3, 1])), batch.to("cpu"), batch.share(1, 2)):
        torch.testing.assert_close(some.call(Pair()), (2 * X + 1)[some.rows])
        assert torch.equal(some.wanted["high"][1][0], Y[some.rows] + 1)
        assert torch.equal(some.wanted["low"], Y[some.rows])


def test_a_network_that_takes_any_names_gets_all() -> None:
    batch = as_batch({"a": X, "b": X + 1, "y": Y}, 0, Anything())
    assert torch.equal(batch.call(Anything()), torch.cat((X, X + 1), 1))


def test_plain_batches_need_no_convention() -> None:
    for item in ((X, Y), [X, Y], {"x": X, "y": Y}, X, (X,), (X.numpy(), [Y])):
        assert as_batch(item, 0, nn.Linear(3, 2)).convention is None
    assert as_batch(([X, X], Y), 0, Pair()).convention is None


def test_an_array_of_texts_is_no_tensor() -> None:
    with pytest.raises(DataError, match="a ndarray in a batch is no tensor"):
        as_batch((np.array(["a", "b"]), Y[:2]))


def test_a_missing_target_is_none() -> None:
    reading = readings({"first": X, "second": X, "y": Y}, Pair())[0][0]
    assert reading({"first": X, "second": X}).targets == ()
