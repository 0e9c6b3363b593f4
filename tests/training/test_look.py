import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.training.look import look


def objective(network: nn.Module, batch: Batch) -> Tensor:
    return network(*batch.inputs).square().mean(1)


def batch(x: Tensor) -> Batch:
    return Batch((x,), (), torch.arange(len(x)))


def test_a_layer_varies_by_the_spread_of_its_outputs_over_their_size() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 7), torch.randn(300, 5)
    with torch.no_grad():
        layer.bias += 1000.0  # of which a sum of squares in float32 would leave rounding only
        y = layer(x).double()
    (seen,) = look(layer, objective, [batch(x[:100]), batch(x[100:])])
    square = (y[:100].square().mean() + y[100:].square().mean()) / 2
    variance = (y[:100].var(0).mean() + y[100:].var(0).mean()) / 2
    assert abs(seen.rms / float(square.sqrt()) - 1) < 1e-5
    assert abs(seen.varies / float((variance / square).sqrt()) - 1) < 1e-3


def test_equal_rows_do_not_vary() -> None:
    (seen,) = look(nn.Linear(5, 7), objective, [batch(torch.ones(64, 5))])
    assert seen.varies < 1e-6
