import polars as pl
import pytest
import torch

from netwright.kinds.text import Text
from netwright.records.errors import DataError
from netwright.records.threat import Reach

REVIEWS = pl.Series(["Good, really GOOD film!", "Not good at all.", "really not film", None])


def tokens(text: str) -> list[str]:
    field = Text.learn("x", pl.Series([text, text]))
    return [field.vocabulary[i - 2] for i in field.encode(pl.Series([text]))[0].tolist() if i]


def test_words_are_lower_case_and_marks_and_numbers_are_words():
    assert tokens("It's 2 GOOD, or?") == ["it's", "2", "good", ",", "or", "?"]


def test_characters_of_scripts_without_blanks_are_words():
    assert tokens("電影 is カナ") == ["電", "影", "is", "カ", "ナ"]


@pytest.mark.parametrize("text", ["Страшный фильм", "فيلم جميل", "καλή ταινία", "फ़िल्म अच्छी"])
def test_words_of_any_script_stay_whole(text: str):
    assert len(tokens(text)) == 2


def test_full_width_letters_are_the_same_words():
    field = Text.learn("x", pl.Series(["good good"]))
    assert field.encode(pl.Series(["\uff47\uff4f\uff4f\uff44"])).tolist() == field.encode(pl.Series(["good"])).tolist()


def test_words_stand_by_falling_frequency_and_words_seen_once_are_unknown():
    field = Text.learn("review", REVIEWS)
    assert field.vocabulary == ("good", "film", "not", "really")
    assert field.encode(pl.Series(["good awful film"]))[0, :4].tolist() == [2, 1, 3, 0]


def test_texts_are_padded_and_cut_to_the_longest():
    field = Text.learn("review", pl.Series(["a b c d e", "a b"]), "3")
    assert field.encode(pl.Series(["a b c d", "a", None])).ne(0).sum(1).tolist() == [3, 1, 0]
    assert "50 % cut after 3" in field.describe()


def test_longest_is_that_of_nearly_all_training_texts():
    cells = pl.Series(["one two three"] * 199 + ["word " * 400])
    assert Text.learn("x", cells).longest == 3
    assert Text.learn("x", pl.Series(["word " * 2000] * 3)).longest == 512


def test_decode_gives_the_text_back():
    field = Text.learn("x", pl.Series(["not bad, really (good)!"] * 2))
    assert field.decode(field.encode(pl.Series(["Not bad, really (good)!"])))[0] == "not bad, really (good)!"
    assert field.decode(torch.tensor([[2, 1, 0, 0]]))[0].endswith("?")


def test_text_without_any_known_word_is_unknown():
    field = Text.learn("x", pl.Series(["a", "b"]))
    assert field.vocabulary == ()
    assert field.encode(pl.Series(["a"])).tolist() == [[1]]


def test_details_and_cells_that_do_not_fit_are_errors():
    with pytest.raises(
        DataError, match=r"column 'x': the detail of text must be the greatest length, .* not 'long'"
    ) as error:
        Text.learn("x", REVIEWS, "long")
    assert error.value.remedy == "write for example x=text:128."
    with pytest.raises(DataError, match="column 'x': text cells must be text, but the column holds List"):
        Text.learn("x", pl.Series([["a"]]))


def test_show_shades_words_and_escapes_them():
    field = Text.learn("x", pl.Series(["good < bad"] * 2))
    shown = field.show("Good < bad", torch.tensor([1.0, 0.0, -0.5]))
    assert shown == (
        '<span style="background: rgba(230, 120, 0, 1.00)">Good</span> <span>&lt;</span> '
        '<span style="background: rgba(0, 90, 200, 0.50)">bad</span>'
    )


def test_words_are_swapped_for_words_numbers_for_numbers_and_the_rest_stays():
    field = Text.learn("x", pl.Series(["good film 7 , 中", "good film 7 , 中"]))
    groups = Text.way((field,), Reach()).groups
    assert dict(zip(("", "?", *field.vocabulary), groups.tolist(), strict=True)) == (
        {"": 0, "?": 0, "good": 1, "film": 1, "7": 2, ",": 0, "中": 1}
    )
    assert not Text.way((field,), Reach(immutable=frozenset({"x"}))).is_open


def test_a_text_without_words_is_said_to_be_empty():
    field = Text.learn("x", pl.Series(["good film"] * 2))
    assert [field.said(cell) for cell in field.encode(pl.Series(["good film", None]))] == ["good film", "empty"]
