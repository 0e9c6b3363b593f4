from pathlib import Path

import pytest
from PIL import Image

from netwright.data.readers.folder import read_folder
from netwright.records.errors import DataError
from netwright.records.source import Source


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def _fails(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_folder(Source(path))
    return caught.value


def test_subfolders_are_labels_and_rows_are_found_by_their_file(tmp_path: Path) -> None:
    for name in ("cats/2.png", "cats/1.JPG", "dogs/old/3.png"):
        _picture(tmp_path / name)
    dataset = read_folder(Source(tmp_path))
    assert dataset.table["label"].to_list() == ["cats", "cats", "dogs"]
    assert dataset.table["image"].to_list() == [
        f"{tmp_path}/{n}" for n in ("cats/1.JPG", "cats/2.png", "dogs/old/3.png")
    ]
    assert (dataset.targets, dataset.kinds, dataset.parts) == (("label",), {"image": "image"}, None)
    assert dataset.locate(2) == f"{tmp_path}/dogs/old/3.png"


@pytest.mark.parametrize("valid", ["val", "valid", "Validation"])
def test_folders_of_parts_above_the_labels_are_taken_as_given(valid: str, tmp_path: Path) -> None:
    for part in ("train", valid, "test"):
        _picture(tmp_path / part / "a" / "1.png")
        _picture(tmp_path / part / "b" / "2.png")
    _picture(tmp_path / "drafts" / "a" / "1.png")
    dataset = read_folder(Source(tmp_path))
    assert dataset.parts is not None
    assert sorted(dataset.parts) == ["test", "test", "train", "train", "valid", "valid"]
    assert dataset.notes == (f"{tmp_path}: subfolder 'drafts' left out, it is not train, valid or test",)


def test_other_and_hidden_files_are_skipped_and_the_others_counted(tmp_path: Path) -> None:
    for name in ("cats/1.png", "dogs/2.png"):
        _picture(tmp_path / name)
    for name in ("cats/.hidden.png", ".git/x.png", "cats/notes.md", "dogs/list.csv", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    dataset = read_folder(Source(tmp_path))
    assert len(dataset) == 2
    assert dataset.notes == (
        f"{tmp_path}: 1 file beside the subfolders left out, the first is {tmp_path}/readme.md",
        f"1 subfolder without files, the first is {tmp_path}/empty",
        f"{tmp_path}: 2 files that are no images left out, the first is {tmp_path}/cats/notes.md",
    )


def test_folders_of_texts_give_a_text_column(tmp_path: Path) -> None:
    for label, text in (("good", "Très bon."), ("bad", "Meh")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text(text, encoding="utf-8")
    (tmp_path / "bad" / "2.txt").write_bytes("où?".encode("cp1252"))
    dataset = read_folder(Source(tmp_path))
    assert dataset.table.rows() == [("Meh", "bad"), ("où?", "bad"), ("Très bon.", "good")]
    assert dataset.notes[0].startswith("1 file not in plain UTF-8, the first: 2.txt is not UTF-8")


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    assert str(_fails(tmp_path)) == (f"{tmp_path} is empty\n  fix: put one subfolder of files for each label into it.")


def test_folder_of_one_label_is_an_error(tmp_path: Path) -> None:
    _picture(tmp_path / "cats" / "1.png")
    assert _fails(tmp_path).problem == (f"{tmp_path} has only one subfolder, 'cats', so there is only one label")


def test_files_without_subfolders_are_an_error_unless_no_label_is_needed(tmp_path: Path) -> None:
    _picture(tmp_path / "2.png")
    _picture(tmp_path / "1.png")
    assert _fails(tmp_path).problem == f"{tmp_path} has files but no subfolders, so there are no labels"
    new = read_folder(Source(tmp_path, is_labelled=False))
    assert new.table["image"].to_list() == [f"{tmp_path}/1.png", f"{tmp_path}/2.png"]
    assert new.targets == ()


def test_folder_of_a_table_says_to_name_the_table(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("a\n1\n")
    assert _fails(tmp_path).remedy == f"give the table itself: {tmp_path}/people.csv"


def test_folders_without_images_and_texts_are_an_error(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.bin").touch()
    assert _fails(tmp_path).problem == (
        f"{tmp_path} has no images (.jpg, .jpeg, .png and 7 more) and no texts (.txt); "
        f"the first file is {tmp_path}/a/x.bin"
    )


def test_label_without_files_is_said(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        _picture(tmp_path / name)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.md").touch()
    assert f"{tmp_path}: no file of 'c' was used" in read_folder(Source(tmp_path)).notes


def test_one_file_is_read_where_no_label_is_needed(tmp_path: Path) -> None:
    _picture(tmp_path / "cat.png")
    dataset = read_folder(Source(tmp_path / "cat.png", is_labelled=False))
    assert dataset.table.rows() == [(f"{tmp_path}/cat.png",)]


def test_a_given_part_may_lack_a_label_and_a_note_says_which(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/2.png", "train/c/3.png", "val/a/4.png", "test/a/5.png", "test/b/6.png"):
        _picture(tmp_path / name)
    dataset = read_folder(Source(tmp_path))
    assert len(dataset) == 6
    assert dataset.notes == (
        f"{tmp_path}: the valid part has no files of b, c",
        f"{tmp_path}: the test part has no files of c",
    )


def test_a_training_part_of_one_label_is_an_error(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "test/a/2.png", "test/b/3.png"):
        _picture(tmp_path / name)
    assert _fails(tmp_path).problem == f"{tmp_path}/train has only one subfolder, 'a', so there is only one label"
