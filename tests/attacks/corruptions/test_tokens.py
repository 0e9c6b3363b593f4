import pytest
import torch
from tests.attacks.rows import genes, reviews

from netwright.attacks.corruptions import corrupted
from netwright.attacks.corruptions.tokens import dropped_words
from netwright.kinds.padded import FIRST, UNKNOWN


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_words_after_one_left_out_move_up():
    x = torch.arange(2, 402).reshape(8, 50)
    x[:, 40:] = 0
    after = dropped_words.change(x, reviews().schema.blocks[0], 0.2, drawn())
    kept = (after != 0).sum(1)
    assert 0.7 < float(kept.sum()) / 320 < 0.9
    for before, row, count in zip(x, after, kept, strict=True):
        assert (row[count:] == 0).all() and (row[:count].diff() > 0).all()
        assert set(row[:count].tolist()) <= set(before.tolist())


def test_a_text_never_loses_its_last_word():
    x = torch.tensor([[5, 0, 0], [0, 0, 0]])
    assert torch.equal(dropped_words.change(x, reviews().schema.blocks[0], 1.0, drawn()), x)


def test_mistyped_words_are_unknown_and_padding_stays():
    case = reviews()
    after = corrupted(case.schema, case.batch, "mistyped_words", 3, drawn())
    changed = after.inputs[0] != case.batch.inputs[0]
    assert (after.inputs[0][changed] == UNKNOWN).all()
    assert float(changed.float().mean()) == pytest.approx(0.2, abs=0.08)
    assert torch.equal(after.inputs[0] == 0, case.batch.inputs[0] == 0)


def test_wrong_symbols_are_others_of_the_alphabet():
    case = genes()
    after = corrupted(case.schema, case.batch, "wrong_symbols", 3, drawn())
    before, x = case.batch.inputs[0], after.inputs[0]
    changed = before != x
    assert 0.05 < float(changed.float().mean()) < 0.15
    assert (x[changed] >= FIRST).all() and x.max() <= case.schema.inputs[0].high
    assert torch.equal(x == 0, before == 0)
