"""One subject in a file: what grows longer is two subjects."""

from pathlib import Path

import netwright

LONGEST = 400  # lines


def test_no_file_has_more_than_400_lines() -> None:
    root = Path(netwright.__file__).parent
    lengths = {path.relative_to(root).as_posix(): len(path.read_text().splitlines()) for path in root.rglob("*.py")}
    assert len(lengths) > 200
    assert not {name: length for name, length in lengths.items() if length > LONGEST}
