"""Writes two public data sets as raw files: handwritten digits as a folder of images, breast cancer as a table.

Both ship with scikit-learn: the digits are E. Alpaydin and C. Kaynak's (UCI, 1998), the table is W. Wolberg's (UCI,
1995). A second copy of the table is damaged on purpose, for the audit to find.
"""

import csv
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits


def write_digits(folder: Path) -> int:
    """`folder/<label>/<number>.png`, 8 x 8 grey; returns how many."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype("uint8")).save(path)
    return len(digits.target)


def write_cancer(path: Path) -> int:
    """A CSV with thirty measurements and `diagnosis`; returns how many rows."""
    cancer = load_breast_cancer()
    names = [*(str(name).replace(" ", "_") for name in cancer.feature_names), "diagnosis"]
    rows = [[*row, cancer.target_names[label]] for row, label in zip(cancer.data, cancer.target, strict=True)]
    _write(path, names, rows)
    return len(rows)


def write_damaged(path: Path, table: Path) -> str:
    """The table with known faults; says which."""
    with table.open(newline="", encoding="utf-8") as file:
        names, *rows = list(csv.reader(file))
    for row in rows[7::23]:
        row[-1] = "benign" if row[-1] == "malignant" else "malignant"
    for row in rows[400:]:
        row[0] = f"{float(row[0]) / 10:.4f}"
    _write(path, names, [*rows, *rows[100:110]])
    return f"{len(rows[7::23])} wrong diagnoses, {names[0]} in another unit from line 402 on, 10 rows twice"


def _write(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    print(f"{write_digits(where / 'digits'):,} images in {where / 'digits'}")
    print(f"{write_cancer(where / 'cancer.csv'):,} rows in {where / 'cancer.csv'}")
    print(f"{where / 'damaged.csv'}: the same, with {write_damaged(where / 'damaged.csv', where / 'cancer.csv')}")
