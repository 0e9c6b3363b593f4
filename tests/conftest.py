import os
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """What tests decode and measure stays out of the user's cache."""
    folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("NETWRIGHT_CACHE")
    os.environ["NETWRIGHT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["NETWRIGHT_CACHE"]
    else:
        os.environ["NETWRIGHT_CACHE"] = before
