import pytest
import torch
from tests.attacks import museum

from netwright.attacks import campaign as module
from netwright.attacks.campaign import Campaign


def campaign(count: int = 24) -> Campaign:
    batch = museum.rows(count)
    return Campaign(museum.network("plain"), batch, museum.DIGITS, museum.threat(batch))


def test_each_row_counts_under_the_attack_that_harms_it_most() -> None:
    both = campaign()
    one = both.attack("fgsm", both.right)
    other = both.attack("noise", both.right, {"tries": 20})
    assert torch.equal(both.worst, torch.maximum(one, other))
    assert torch.equal(both.standing, both.right & (both.worst < 1))


def test_rows_at_their_worst_are_wrong_and_in_reach() -> None:
    one = campaign()
    one.attack("pgd", one.right)
    found = one.batch_found()
    with torch.no_grad():
        wrong = one.network(found.inputs[0]).argmax(1) != found.targets[0]
    assert torch.equal(wrong, one.worst >= 1)
    assert float((found.inputs[0] - one.batch.inputs[0]).abs().max()) <= museum.SIZE + 1e-6


def test_only_chosen_rows_are_attacked() -> None:
    one = campaign()
    which = torch.zeros_like(one.right)
    which[:3] = True
    one.attack("pgd", which)
    assert torch.equal(one.found[0][3:], one.batch.inputs[0][3:])
    assert torch.equal(one.worst[3:], one.clean[3:])


def test_chunks_give_what_all_rows_at_once_give(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = campaign()
    expected = whole.attack("fgsm", whole.right)
    monkeypatch.setattr(module, "CELLS", 5 * 64)
    parts = campaign()
    assert torch.equal(parts.attack("fgsm", parts.right), expected)
    assert torch.allclose(parts.outputs(parts.batch), whole.outputs(whole.batch), atol=1e-5)


def test_a_wanted_label_counts_only_if_it_comes_out() -> None:
    one = campaign()
    goal = (one.batch.targets[0] + 1) % 10
    reached = one.reaches("pgd", one.right, goal, {"loss": "margin"})
    assert reached.any() and not reached.all()
    with torch.no_grad():
        for place, attacked in one.attacked("pgd", reached, module.replace(one.threat, goal=goal), {"loss": "margin"}):
            assert torch.equal(one.network(attacked.inputs[0]).argmax(1), goal[place])


def test_the_network_returns_to_its_mode() -> None:
    network = museum.convnet().train()
    batch = museum.rows(4)
    Campaign(network, batch, museum.DIGITS, museum.threat(batch)).attack("fgsm", torch.ones(4, dtype=torch.bool))
    assert network.training
