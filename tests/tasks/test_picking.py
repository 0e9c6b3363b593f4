import torch

from netwright.tasks.picking import SAMPLES, closed, marked, picked, sampled, windows, without

TOKENS = torch.tensor([[2, 5, 3, 9], [4, 2, 0, 0], [6, 0, 0, 0]])


def test_items_asked_for_are_taken_out_and_the_rest_closes_up() -> None:
    others = torch.tensor([[5, 9], [7, 0], [6, 0]])
    assert without(TOKENS, others, 10).tolist() == [[2, 3, 0, 0], [4, 2, 0, 0], [0, 0, 0, 0]]
    assert without(TOKENS, torch.tensor([[7], [7], [7]]), 10) is TOKENS
    assert closed(torch.tensor([[0, 3, 0, 4]])).tolist() == [[3, 4, 0, 0]]


def test_marks_are_those_of_items_not_of_padding_and_unknown_ones() -> None:
    marks = marked(torch.tensor([[2, 1, 0], [3, 3, 0]]), 3)
    assert marks.tolist() == [[True, False, False], [False, True, False]]


def test_each_item_is_either_shown_or_asked_for() -> None:
    torch.manual_seed(0)
    tokens = torch.arange(2, 1002).expand(20, -1)
    shown, asked = picked(tokens)
    for row in range(20):
        one, other = set(shown[row].tolist()) - {0}, set(asked[row].tolist()) - {0}
        assert not one & other and len(one | other) == 1000
    assert 0.45 < float((asked > 0).float().mean()) < 0.55


def test_a_window_asks_for_the_next_item_and_not_again_for_one_it_had() -> None:
    torch.manual_seed(0)
    shown, asked = windows(TOKENS, 3)
    assert (shown[0].tolist(), asked[0].tolist()) == ([2, 5, 3], [5, 3, 9])
    assert (shown[1].tolist(), asked[1].tolist()) == ([4, 0, 0], [2, 0, 0])
    assert not shown[2].any() and not asked[2].any()
    again, repeated = windows(torch.tensor([[2, 3, 2, 4]]), 3)
    assert (again.tolist(), repeated.tolist()) == ([[2, 3, 2]], [[3, 0, 4]])
    alone = windows(torch.tensor([[2], [3]]), 3)
    assert not alone[1].any()


def test_windows_begin_anywhere_in_a_long_row() -> None:
    torch.manual_seed(0)
    tokens = torch.arange(2, 102).expand(400, -1)
    shown, asked = windows(tokens, 5)
    assert shown.shape == (400, 5) and torch.equal(asked, shown + 1)
    assert int(shown.min()) == 2 and int(asked.max()) == 101


def test_a_sample_with_its_chances_has_the_mean_of_a_softmax_over_all() -> None:
    torch.manual_seed(0)
    items = 30_000
    logits = torch.randn(items)
    whole = float(logits.double().logsumexp(0))
    found = list[float]()
    for _ in range(20):
        among, rarity = sampled(torch.empty(0, dtype=torch.int64), items)
        assert bool((among.diff() > 0).all()) and len(among) < SAMPLES
        found.append(float((logits[among] - rarity).double().logsumexp(0)))
    assert abs(sum(found) / len(found) - whole) < 0.05
    among, _ = sampled(torch.tensor([29_999, 7]), items)
    assert {29_999, 7} <= set(among.tolist())
