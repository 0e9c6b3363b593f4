"""How much a look at a network takes in: activations of hundreds of long rows would not fit in memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw
from netwright.checks.training.early import beginning
from netwright.checks.training.start import BATCHES, LOOKED, first_look


class Rows(nn.Module):
    """An answer to each token of a row, or to the row; it notes how many rows came."""

    def __init__(self, each: bool) -> None:
        super().__init__()
        self.table, self.head, self.each = nn.Embedding(9, 4), nn.Linear(4, 9), each
        self.came: list[int] = []

    def __deepcopy__(self, memo: dict[int, object]) -> "Rows":
        copy = Rows(self.each)
        copy.came = self.came
        return copy

    def forward(self, tokens: Tensor) -> Tensor:
        self.came.append(len(tokens))
        answer = self.head(self.table(tokens))
        return answer.transpose(1, 2) if self.each else answer.mean(1)


@pytest.mark.parametrize("each", [True, False])
def test_tokens_that_are_answered_count_as_rows(each: bool) -> None:
    tokens = torch.randint(0, 9, (600, 64), generator=torch.Generator().manual_seed(0))
    rows = tokens, tokens if each else tokens[:, 0]
    network = Rows(each)
    run = nw.adopt(network, F.cross_entropy, rows, rows, recipe=nw.Recipe().edit({"batch_size": 2, "threads": 1}))
    network.came.clear()
    first_look(beginning(run))
    answers = sum(network.came) * (64 if each else 1)
    assert LOOKED <= answers < LOOKED * (1.2 if each else 1.01)
    assert len(network.came) == BATCHES
