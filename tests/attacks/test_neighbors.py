import torch
from tests.attacks.rows import reviews
from torch.nn import functional as F

from netwright.attacks.neighbors import LEAST_COSINE, NEAREST, nearest, stems_of, with_neighbors
from netwright.attacks.swaps import swaps
from netwright.attacks.ways import ways_of
from netwright.kinds.padded import UNKNOWN
from netwright.models.guards import Ensemble
from netwright.records.batch import Batch
from netwright.records.threat import Reach, Threat

GROUPS = torch.tensor([0, 0, *[1] * 12, *[2] * 2, 0])


def test_neighbors_are_the_nearest_of_the_same_group():
    table = F.normalize(torch.randn(len(GROUPS), 5, generator=torch.Generator().manual_seed(0)), dim=1)
    words = torch.arange(len(GROUPS))
    near, cosines = nearest(table, GROUPS, words)
    assert near.shape == (len(GROUPS), NEAREST)
    for word in range(2, 14):
        others = [w for w in range(2, 14) if w != word]
        expected = sorted(others, key=lambda w, word=word: -float(table[w] @ table[word]))
        assert near[word].tolist() == expected[:NEAREST]
    assert (near[14, 0], near[15, 0]) == (15, 14)
    assert cosines[14, 1:].isinf().all() and cosines[[0, 1, 16]].isinf().all()


def test_words_that_the_network_embeds_alike_are_offered_and_no_others():
    case = reviews()
    known = case.schema.inputs[0].vocabulary
    good, great, film, point = (known.index(word) + 2 for word in ("good", "great", "film", "."))
    weight = stems_of(case.network)[0].table.weight
    with torch.no_grad():
        weight[great] = weight[good] * 2
        weight[film] = -weight[good]
    batch = Batch((torch.tensor([[good, point, 1, 0]], dtype=torch.int16),), (), torch.arange(1))
    (way,) = with_neighbors(ways_of(case.schema, Reach()), case.network, batch)
    candidates, allowed = way.swaps(batch.inputs[0], 1.0)
    offered = candidates[0, 0][allowed[0, 0]].tolist()
    assert offered[0] == great and film not in offered and good not in offered
    assert offered.pop() == UNKNOWN  # a misspelled word
    assert not allowed[0, 1:].any()
    assert candidates.dtype == torch.int16
    vectors = F.normalize(weight[[good, *offered]], dim=1)
    assert (vectors[1:] @ vectors[0] >= LEAST_COSINE - 1e-6).all()


def test_networks_side_by_side_have_the_stems_of_all() -> None:
    case = reviews()
    both = Ensemble([case.network, case.network]).eval()
    assert len(stems_of(both)) == len(stems_of(case.network)) == 1
    one, two = (
        swaps(net, case.batch, case.task, Threat(ways_of(case.schema, Reach()), 1.0)) for net in (case.network, both)
    )
    assert torch.equal(one.inputs[0], two.inputs[0])
