from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from netwright.records.nested import Named, as_outputs, each_tensor, grown, leaves, planted

A, B = torch.zeros(3, 2), torch.ones(3)
Pair = namedtuple("Pair", "left right")


@dataclass
class Record:
    loss: Tensor | None
    logits: Tensor
    states: tuple[Tensor, ...] | None = None


@pytest.mark.parametrize("nest", [A, (A, B), [A, [B]], {"a": A, "b": (B, None)}, Pair(A, [B]), Named(a=A), (A, "text")])
def test_a_nest_grows_again_from_its_tree(nest: Any) -> None:
    tensors = list[Tensor]()
    tree = planted(nest, tensors)
    again = grown(tree, tensors)
    assert type(again) is type(nest)
    assert [id(t) for t in leaves(again)] == [id(t) for t in leaves(nest)] == [id(t) for t in tensors]


def test_every_tensor_is_changed_and_the_form_stays() -> None:
    found: Any = each_tensor(Named(a=A, b=(B, [A])), lambda x: x + 1)  # pyright: ignore[reportArgumentType]
    assert torch.equal(found.a, A + 1)
    assert torch.equal(found["b"][1][0], A + 1)
    changed: Any = each_tensor(Pair(A, B), lambda x: x + 1)
    assert torch.equal(changed.right, B + 1)


@pytest.mark.parametrize(
    "found", [Record(torch.tensor(1.0), A), OrderedDict(loss=torch.tensor(1.0), logits=A), {"logits": A, "cache": None}]
)
def test_outputs_with_names_are_read_by_name_and_by_place_without_what_has_no_rows(found: Any) -> None:
    outputs: Any = as_outputs(found)
    assert outputs.logits is outputs["logits"] is outputs[0] is A
    assert list(outputs) == ["logits"]
    with pytest.raises(AttributeError, match="returned logits for each row, but no 'loss'"):
        _ = outputs.loss


def test_tensors_stay_lists_become_tuples_and_distributions_are_no_outputs() -> None:
    assert as_outputs(A) is A
    assert as_outputs([A, B]) == (A, B)
    assert isinstance(as_outputs(Normal(A, 1.0)), Normal)
