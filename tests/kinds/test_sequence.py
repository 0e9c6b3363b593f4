import numpy as np
import polars as pl
import torch

from netwright.kinds.sequence import SYMBOLS, Sequence
from netwright.records.threat import Reach

GENES = pl.Series(["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (40, 60))])


def test_genes_are_sequences():
    assert Sequence.matches(GENES)
    assert Sequence.learn("gene", GENES).describe() == "sequences of 60 out of 4 symbols"


def test_words_names_hashes_and_sentences_are_not():
    generator = np.random.default_rng(1)
    hashes = pl.Series(["".join(row) for row in generator.choice(list("0123456789abcdef"), (40, 32))])
    assert not Sequence.matches(hashes)
    assert not Sequence.matches(pl.Series(["Exec-managerial-and-others", "Machine-operators-inspectors"] * 20))
    assert not Sequence.matches(pl.Series([f"a sentence about number {i}" for i in range(40)]))
    assert not Sequence.matches(pl.Series([chr(97 + i) * 4 for i in range(20)]))


def test_symbols_keep_their_case_and_unseen_ones_are_unknown():
    field = Sequence.learn("x", pl.Series(["aaAb"]))
    assert field.encode(pl.Series(["aAbz"])).tolist() == [[2, 3, 4, 1]]


def test_missing_sequences_are_padding():
    assert Sequence.learn("x", GENES).encode(pl.Series([None, ""], dtype=pl.String)).tolist() == [[0] * 60] * 2


def test_longer_sequences_are_cut():
    field = Sequence.learn("x", pl.Series(["abc", "abcdef"]), "4")
    assert field.encode(pl.Series(["abcdef"])).shape == (1, 4)
    assert field.describe() == "sequences of 3 to 4 out of 6 symbols, 50 % longer and cut"


def test_letters_of_any_text_are_kept_up_to_what_a_byte_holds():
    letters = "".join(chr(0x4E00 + i) for i in range(400))
    field = Sequence.learn("x", pl.Series([letters]))
    assert len(field.alphabet) == SYMBOLS
    encoded = field.encode(pl.Series([letters]))
    assert (int(encoded.max()), int((encoded == 1).sum())) == (255, 400 - SYMBOLS)


def test_decode_gives_the_text_back():
    text = "To be,\nor not to be: \N{ROCKET}"
    field = Sequence.learn("x", pl.Series([text]))
    assert field.decode(field.encode(pl.Series([text])))[0] == text
    assert field.decode(torch.tensor([[0, 1, 0]]))[0] == "\N{REPLACEMENT CHARACTER}"


def test_symbols_are_swapped_for_others_of_the_alphabet():
    field = Sequence.learn("x", pl.Series(["ACGT", "AC"]))
    candidates, allowed = Sequence.way((field,), Reach()).swaps(field.encode(pl.Series(["AG", "?"])), 1.0)
    assert candidates[0, 0][allowed[0, 0]].tolist() == [3, 4, 5]
    assert not allowed[0, 2:].any() and not allowed[1].any()
    assert not Sequence.way((field,), Reach(immutable=frozenset({"x"}))).is_open
