import pytest
import torch

from netwright.models.sequences import row_lengths
from netwright.models.stem import arguments
from netwright.models.stems import (
    NumberColumn,
    Piecewise,
    categories,
    dates,
    encoded,
    numbers,
    pixels,
    smooth_clip,
    steps,
    tokens,
)
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal

COLUMNS = (NumberColumn(10.0, 0.5, (8.0, 10.0, 14.0), True), NumberColumn(0.0, 0.0, (0.0,), False))
NAN = float("nan")


def test_plain_numbers_are_scaled_and_smoothly_clipped():
    stem, signal = numbers(COLUMNS, Recipe(embedding="none"))
    out = stem(torch.tensor([[12.0, 0.0], [1e30, 5.0], [NAN, NAN]]))
    assert signal == Signal("vector", 3)
    assert out[0].tolist() == pytest.approx([1 / (1 + 1 / 9) ** 0.5, 0, 0])
    assert out[1].tolist() == pytest.approx([3, 0, 0])
    assert out[2].tolist() == [0, 0, 1]


def test_smooth_clip_is_nearly_the_identity_around_zero_and_bounded():
    assert smooth_clip(torch.tensor([0.1, -1e6])).tolist() == pytest.approx([0.1, -3.0], rel=1e-3)


def test_piecewise_encoding_equals_its_definition():
    embedding = Piecewise([[0.0, 1.0, 3.0], [0.0, 2.0]], 1)
    with torch.no_grad():
        embedding.linear.zero_()
        embedding.bias.zero_()
        embedding.bends.copy_(torch.tensor([[[10.0], [100.0]], [[1.0], [7.0]]]))
    out = embedding(torch.tensor([[0.5, 1.0], [2.0, 9.0], [-1.0, -1.0]]))[..., 0]
    assert out.tolist() == [[5.0, 0.5], [60.0, 1.0], [0.0, 0.0]]


def test_piecewise_begins_linear():
    stem, _ = numbers(COLUMNS[:1], Recipe(embedding="piecewise"))
    low, middle, high = stem(torch.tensor([[9.9], [10.0], [10.1]]))
    assert torch.allclose(high - middle, middle - low, atol=1e-6)


def test_many_columns_of_numbers_get_narrower_embeddings_with_fewer_pieces():
    knots = tuple(float(k) for k in range(49))
    stem, signal = numbers([NumberColumn(24.0, 0.1, knots, False)] * 1000, Recipe(embedding="piecewise"))
    assert signal.width == 4000
    assert stem(torch.zeros(2, 1000)).shape == (2, 4000)
    assert sum(weight.numel() for weight in stem.parameters()) < 100_000


def test_missing_numbers_are_replaced_by_a_learned_vector_and_give_no_gradient():
    stem, _ = numbers(COLUMNS, Recipe(embedding="periodic"))
    x = torch.tensor([[NAN, 1.0], [11.0, 2.0]], requires_grad=True)
    stem(x).sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0] == 0
    assert x.grad[1, 0] != 0


def test_small_categories_are_one_hot_without_a_unit_for_unseen():
    stem, signal = categories([4, 3], Recipe())
    assert signal == Signal("vector", 5)
    assert stem(torch.tensor([[0, 1], [3, 0]], dtype=torch.int32)).tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_large_categories_are_embedded_out_of_one_table_and_unseen_begins_at_zero():
    stem, signal = categories([100, 70, 5000], Recipe())
    assert signal == Signal("vector", 8 + 8 + 32)
    out = stem(torch.tensor([[0, 0, 0], [99, 69, 4999]], dtype=torch.int32))
    assert not out[0].any()
    assert out[1].all()
    assert len(list(stem.parameters())) == 2


def test_dates_scale_days_and_flag_missing_ones():
    stem, signal = dates([0.5], 3, Recipe())
    out = stem(torch.tensor([[[1.0, 0.6, 0.8]], [[NAN, NAN, NAN]]]))
    assert signal == Signal("vector", 4)
    assert out[0].tolist() == pytest.approx([0.5 / (1 + 1 / 36) ** 0.5, 0.6, 0.8, 0])
    assert out[1].tolist() == [0, 0, 0, 1]


def test_tokens_without_lengths_are_cut_to_the_longest_of_the_batch():
    stem, signal = tokens(300, 9, Recipe(width=64))
    [(x, lengths)] = arguments([stem], [torch.tensor([[5, 6, 7] + [0] * 6, [0] * 9], dtype=torch.uint8)])
    assert signal == Signal("sequence", 64, (9,))
    assert lengths.tolist() == [3, 1]
    assert x.tolist() == [[5, 6, 7], [0, 0, 0]]
    assert stem(x, lengths)[0].shape == (2, 3, 64)


def test_lengths_that_are_said_are_taken_and_nothing_is_cut():
    number, word = numbers(COLUMNS, Recipe())[0], tokens(300, 9, Recipe())[0]
    inputs, lengths = (torch.zeros(2, 2), torch.zeros(2, 9, dtype=torch.uint8)), torch.tensor([4, 2])
    found = arguments([number, word], [*inputs, lengths])
    assert [len(some) for some in found] == [1, 2]
    assert found[1][0].shape == (2, 9)
    assert found[1][1] is lengths


def test_words_are_embedded_narrower_than_a_wide_trunk():
    assert tokens(30_000, 9, Recipe(width=512))[1].width == 128
    assert tokens(6, 9, Recipe(width=512))[1].width == 32


def test_steps_fill_gaps_and_say_where_they_were():
    stem, signal = steps([1.0], [1.0], 4, Recipe(), may_miss=True)
    [given] = arguments([stem], [torch.tensor([[[1.0], [NAN], [2.0], [NAN]]])])
    x, lengths = stem(*given)
    assert signal == Signal("sequence", 2, (4,))
    assert lengths.tolist() == [3]
    assert x[0, :, 1].tolist() == [0, 1, 0]
    assert x[0, 1, 0] == 0


def test_pixels_are_standardized_alike_as_bytes_and_floats():
    stem, signal = pixels((0.5, 0.2, 0.1), (0.25, 0.5, 1.0), (4, 4), Recipe())
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = stem(images)
    assert signal == Signal("map", 3, (4, 4))
    assert torch.equal(out, stem(images.float()))
    assert torch.allclose(out[:, 0], (images[:, 0] / 255 - 0.5) / 0.25, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_encoded_sequences_have_full_length():
    stem, _ = encoded((5, 2), Recipe())
    [given] = arguments([stem], [torch.zeros(3, 5, 2, dtype=torch.int32)])
    x, lengths = stem(*given)
    assert x.dtype == torch.float32
    assert lengths.tolist() == [5, 5, 5]


def test_length_is_that_of_the_last_valid_step():
    valid = torch.tensor([[True, False, True, False], [False, False, False, False]])
    assert row_lengths(valid).tolist() == [3, 1]


def test_constants_of_the_schema_are_not_saved_as_weights():
    stem, _ = numbers(COLUMNS, Recipe())
    assert set(stem.state_dict()) == {name for name, _ in stem.named_parameters()}
