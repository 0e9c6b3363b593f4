import pytest
import torch
from torch import Tensor

from netwright.models import item_weights
from netwright.models.item_weights import ItemWeights

ITEMS, FIRST = 6, 2
TOKENS = torch.tensor([[2, 5, 0], [3, 0, 0], [0, 0, 0], [1, 7, 3]])


def _pair() -> tuple[ItemWeights, ItemWeights, Tensor]:
    """The same matrix whole and by entries."""
    matrix = torch.rand(ITEMS, ITEMS, generator=torch.Generator().manual_seed(0))
    matrix.fill_diagonal_(0.0)
    whole, few = ItemWeights(ITEMS, FIRST, 0), ItemWeights(ITEMS, FIRST, ITEMS)
    whole.weight[FIRST:] = matrix
    few.keys.copy_(torch.arange(ITEMS * ITEMS))
    few.values.copy_(matrix.flatten())
    return whole, few, matrix


def test_what_items_add_is_summed_and_padding_adds_nothing() -> None:
    whole, few, matrix = _pair()
    expected = torch.stack([matrix[0] + matrix[3], matrix[1], torch.zeros(ITEMS), matrix[5] + matrix[1]])
    factors = torch.tensor([[1.0, 0.5, 9.0]] * 4)
    for weights in (whole, few):
        assert torch.allclose(weights(TOKENS), expected)
        assert torch.allclose(weights(TOKENS, factors)[0], matrix[0] + 0.5 * matrix[3])


def test_very_many_entries_are_added_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, few, _ = _pair()
    monkeypatch.setattr(item_weights, "MOST_ENTRIES", 7)
    assert torch.allclose(few(TOKENS), whole(TOKENS))


def test_pairs_are_single_entries() -> None:
    whole, few, matrix = _pair()
    items = torch.tensor([[1, 4], [0, 0], [2, 3], [5, 1]])
    expected = whole.pairs(TOKENS, items)
    assert torch.equal(expected, few.pairs(TOKENS, items))
    assert expected[0, 1].tolist() == matrix[3, [1, 4]].tolist()
    assert not expected[0, 2].any() and not expected[3, 0].any()
    assert not ItemWeights(ITEMS, FIRST, 2).pairs(TOKENS, items).any()


def test_items_are_alike_if_the_same_ones_lead_to_them() -> None:
    whole, few, matrix = _pair()
    expected = torch.nn.functional.cosine_similarity(matrix, matrix[:, [2]], dim=0)
    for weights in (whole, few):
        assert torch.allclose(weights.alike(2), expected, atol=1e-6)
        assert float(weights.alike(2)[2]) == pytest.approx(1.0)
