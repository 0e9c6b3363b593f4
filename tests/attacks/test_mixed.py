import pytest
import torch
from tests.attacks.rows import classified, genes, harm, measured

from netwright.attacks.mixed import mixed
from netwright.attacks.noise import noise
from netwright.attacks.pgd import pgd
from netwright.attacks.ways import ways_of
from netwright.records.errors import DataError
from netwright.records.threat import Reach, Threat


@pytest.mark.parametrize("attack", [pgd, noise])
@pytest.mark.parametrize("build", [classified, measured])
def test_values_and_cells_together_do_more_harm_than_values_alone(build, attack):
    case = build()
    threat = Threat(ways_of(case.schema, Reach()), 1.0)
    both, values = (harm(case, some(case.network, case.batch, case.task, threat)) for some in (mixed, attack))
    assert (both >= values).all() and both.sum() > values.sum()


def test_no_value_is_moved_twice():
    case = measured()
    threat = Threat(ways_of(case.schema, Reach()), 1.0)
    after = mixed(case.network, case.batch, case.task, threat)
    place = next(k for k, block in enumerate(case.schema.blocks) if block.fields[0].kind == "number")
    moved = (after.inputs[place] - case.batch.inputs[place]).abs().nan_to_num()
    reach = torch.tensor([field.reach for field in case.schema.blocks[place].fields])
    assert moved.any() and (moved <= reach * 1.001).all()


def test_rows_of_symbols_alone_are_refused():
    case = genes()
    with pytest.raises(DataError, match="both ways"):
        mixed(case.network, case.batch, case.task, Threat(ways_of(case.schema, Reach()), 1.0))
