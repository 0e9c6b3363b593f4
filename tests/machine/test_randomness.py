import torch

from netwright.machine.randomness import forked, reseed, seeded


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    with seeded(3):
        first = torch.rand(2)
    with seeded(3):
        assert torch.equal(torch.rand(2), first)
    with forked():
        reseed(3)
        assert torch.equal(torch.rand(2), first)
    with seeded(4):
        assert not torch.equal(torch.rand(2), first)
