"""Writes two public data sets as raw files: handwritten digits as a folder of images, breast cancer as a table.

Both ship with scikit-learn: the digits are E. Alpaydin and C. Kaynak's (UCI, 1998), the table is W. Wolberg's (UCI,
1995).
"""

import csv
import sys
from pathlib import Path

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
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(str(name).replace(" ", "_") for name in cancer.feature_names), "diagnosis"])
        for row, label in zip(cancer.data, cancer.target, strict=True):
            writer.writerow([*row, cancer.target_names[label]])
    return len(cancer.target)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    print(f"{write_digits(where / 'digits'):,} images in {where / 'digits'}")
    print(f"{write_cancer(where / 'cancer.csv'):,} rows in {where / 'cancer.csv'}")
