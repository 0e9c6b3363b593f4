"""What is said about labels, and odd data."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.checks import DATA_CHECKS, MODEL_CHECKS
from netwright.checks.data.labels import contradicting_duplicates, label_errors, outlying_targets
from netwright.checks.data.out_of_fold import out_of_fold
from netwright.checks.evidence import APPLIED, DataEvidence, Skip, examine
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split

DATA_AND_MODEL = {**DATA_CHECKS, **MODEL_CHECKS}
CHECKS = (label_errors, outlying_targets, contradicting_duplicates)


def _evidence(frame: pl.DataFrame, target: str = "y") -> DataEvidence:
    dataset = read(frame, target=(target,))
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def _classes(count: int, wrong: int, *, names: tuple[str, ...] = ("cat", "dog", "owl")) -> pl.DataFrame:
    """Three clouds; the first `wrong` rows have the next class's name."""
    generator = np.random.default_rng(0)
    true = np.arange(count) % len(names)
    x = generator.normal(size=(count, 2)) + np.array([[0, 0], [6, 0], [0, 6]])[true]
    label = np.where(np.arange(count) < wrong, (true + 1) % len(names), true)
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.array(names)[label]})


def test_relabeling_gives_the_true_class_back():
    (found,) = label_errors(_evidence(_classes(600, 30)))
    proposed = {fix.row: (fix.old, fix.new, fix.action) for fix in found.fixes}
    assert proposed[0] == ("dog", "cat", "relabel") and proposed[1] == ("owl", "dog", "relabel")
    assert len(set(found.rows) & set(range(30))) >= 24 and len(found.rows) <= 34
    assert found.expected is not None and found.expected.low is not None and found.expected.low <= 30
    assert "we expect" in found.summary


def test_only_sure_fixes_of_training_rows_are_to_be_applied():
    evidence = _evidence(_classes(900, 90))
    report = examine(evidence, {"NW110": DATA_AND_MODEL["NW110"]})
    assert evidence.parts is not None
    train = set(evidence.parts.train.tolist())
    assert {fix.part for fix in report.fixes} == {"train", "valid", "test"}
    assert all(fix.apply == (fix.confidence >= APPLIED and fix.row in train) for fix in report.fixes)
    applied = [fix for fix in report.fixes if fix.apply]
    assert len(applied) >= 30
    assert np.mean([fix.row < 90 for fix in applied]) >= 0.9


def test_a_model_that_is_right_in_two_of_three_pictures_does_not_judge():
    """Textures of six kinds that overlap: all labels are right."""
    generator = np.random.default_rng(0)
    kind, pictures = np.arange(300) % 6, list[np.ndarray]()
    down, right = np.meshgrid(np.fft.fftfreq(24), np.fft.fftfreq(24), indexing="ij")
    for k in kind:
        middle = 0.06 + 0.03 * k + generator.normal() * 0.03
        band = np.exp(-(((np.hypot(down, right) - middle) / 0.05) ** 2))
        found = np.fft.ifft2(np.fft.fft2(generator.normal(size=(24, 24))) * band).real
        pictures.append(np.clip(128 + 40 * found / found.std(), 0, 255).astype(np.uint8))
    dataset = read((np.stack(pictures), kind))
    parts = split(dataset)
    with pytest.raises(Skip, match="too weak to judge labels: it is right in"):
        list(label_errors(DataEvidence(dataset, parts, prepare(dataset, parts))))


def test_a_model_that_only_guesses_does_not_judge():
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"a": generator.normal(size=300), "y": generator.choice(["up", "down"], 300)})
    with pytest.raises(Skip, match="too weak to judge labels"):
        list(label_errors(_evidence(frame)))
    frame = pl.DataFrame({"a": generator.normal(size=300), "y": generator.normal(size=300)})
    with pytest.raises(Skip, match="too weak to judge targets"):
        list(outlying_targets(_evidence(frame)))


def test_answers_do_not_depend_on_the_row_s_own_label():
    frame = _classes(300, 0)
    turned = frame.with_columns(
        y=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("owl")).otherwise(pl.col("y"))
    )  # one of 300: the other rows' folds stay as they are but for two
    before, after = (_evidence(data).once(out_of_fold) for data in (frame, turned))
    assert np.abs(before.answers[7] - after.answers[7]).max() < 0.05


def test_rows_with_equal_inputs_and_a_tie_are_both_named_without_a_fix():
    frame = _classes(300, 0)
    frame = pl.concat([frame, frame[:1].with_columns(y=pl.lit("dog"))])
    (found,) = contradicting_duplicates(_evidence(frame))
    assert found.rows == (0, 300) and not found.fixes


def test_contradictions_of_coarse_inputs_are_a_note():
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"a": generator.choice(list("uvw"), 300), "y": generator.choice(["up", "down"], 300)})
    (found,) = contradicting_duplicates(_evidence(frame))
    assert found.severity == "note"


def test_the_same_picture_with_two_labels_is_found_by_its_pixels():
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    images[40] = images[5]
    dataset = read((images, np.arange(60) % 2))
    parts = split(dataset)
    (found,) = contradicting_duplicates(DataEvidence(dataset, parts, prepare(dataset, parts)))
    assert found.rows == (5, 40)


def test_files_that_cannot_be_read_do_not_contradict_each_other(tmp_path):
    generator = np.random.default_rng(0)
    for n in range(60):
        path = tmp_path / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        if n < 8:
            path.write_bytes(b"")
        else:
            Image.fromarray(generator.integers(0, 255, (8, 8), dtype=np.uint8)).save(path)
    dataset = read(tmp_path)
    parts = split(dataset)
    evidence = DataEvidence(dataset, parts, prepare(dataset, parts))
    assert len(evidence.bad) == 8
    assert not list(contradicting_duplicates(evidence))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rows", [10, 24])
def test_tiny_data_are_skipped_or_judged_without_a_crash(check, rows: int):
    try:
        list(check(_evidence(_classes(rows, 0))))
    except Skip:
        return


@pytest.mark.parametrize("check", CHECKS)
def test_data_that_cannot_be_encoded_do_not_crash(check):
    evidence = DataEvidence(read(_classes(40, 0), target=("y",)), problem="no reason")
    try:
        list(check(evidence))
    except Skip as reason:
        assert "no reason" in str(reason)


def test_a_class_of_one_row_does_not_crash():
    frame = _classes(200, 0)
    frame = pl.concat([frame, frame[:1].with_columns(a=pl.lit(30.0), y=pl.lit("yak"))])
    list(label_errors(_evidence(frame)))
