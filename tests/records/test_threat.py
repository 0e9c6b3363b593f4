from math import inf

import pytest
import torch

from netwright.records.threat import FIXED, Reach, Way

CELLS = torch.tensor([0, 1, 20, 100])


@pytest.mark.parametrize(
    ("way", "size", "expected"),
    [
        (Way(), 1.0, [0, 1, 1, 1]),
        (Way(), 3.5, [0, 1, 3, 3]),
        (Way(each=0.0, share=0.1), 1.0, [0, 1, 2, 10]),
        (Way(each=0.0, share=0.1), 0.2, [0, 1, 1, 2]),
        (Way(each=inf), 0.1, [0, 1, 20, 100]),
        (Way(each=inf), 0.0, [0, 0, 0, 0]),
    ],
)
def test_swaps_are_counted_by_row_and_by_share_and_are_never_more_than_its_cells(way, size, expected):
    assert way.swapped(CELLS, size).tolist() == expected


def test_a_share_of_cells_is_the_size_itself():
    assert Reach().part(0.1) == 0.1
    assert Reach(is_share=True).part(0.1) == 1.0
    assert Way(each=0.0, share=1.0).swapped(CELLS, 0.25).tolist() == [0, 1, 5, 25]


def test_a_way_is_open_if_values_move_or_cells_are_swapped():
    assert not FIXED.is_open and not Way(torch.zeros(2)).is_open
    assert Way(torch.tensor([0.0, 1.0])).is_open
    assert Way(groups=torch.tensor([0, 1, 1])).is_open
