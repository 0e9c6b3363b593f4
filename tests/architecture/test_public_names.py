import subprocess
import sys
from importlib import import_module

import pytest

import netwright


@pytest.mark.parametrize("name", [n for n in netwright.__all__ if n != "__version__"])
def test_every_public_name_exists_and_is_documented(name: str):
    thing = getattr(netwright, name)
    assert thing.__doc__, name


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="netwright has no 'trian'"):
        netwright.trian  # noqa: B018  the access is the test


SAYS_HEAVY = """
import sys
from contextlib import suppress

import netwright
from netwright import cli
from netwright.public import verbs

heavy = {'torch', 'sklearn', 'polars', 'pandas', 'numpy', 'scipy', 'PIL', 'pydantic'}
asked = [["--help"], *([verb, "--help"] for verb in verbs()), ["nothing"], ["audit", "no.csv"], ["train", "no.csv"]]
asked += [["train", ".", "--set", "lrr=1"], ["prove", ".", ".", "--set", "lr=-1"], ["label", ".", "--count", "0"]]
asked += [["predict", "run", "no.csv"], ["predict", "run"], ["recipe", "lrr"], ["audit", ".", "--page", "a/b"]]
for words in asked:
    sys.argv = ["netwright", *words]
    with suppress(SystemExit):
        cli.main()
    if found := heavy & set(sys.modules):
        sys.exit(f"HEAVY {words}: {sorted(found)}")
"""


def test_help_and_what_is_wrong_at_once_import_nothing_heavy():
    result = subprocess.run([sys.executable, "-c", SAYS_HEAVY], capture_output=True, text=True)
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr


TABLES = [
    ("netwright.models", "BACKBONES"),
    ("netwright.models", "ACTIVATIONS"),
    ("netwright.models", "NORMALIZATIONS"),
    ("netwright.models", "INITS"),
    ("netwright.models", "NUMBER_EMBEDDINGS"),
    ("netwright.kinds", "KINDS"),
    ("netwright.tasks", "TASKS"),
    ("netwright.tasks", "LOSSES"),
    ("netwright.data", "AUGMENTATIONS"),
    ("netwright.data.readers", "READERS"),
    ("netwright.training", "OPTIMIZERS"),
    ("netwright.training", "SCHEDULES"),
    ("netwright.simple_models", "SIMPLE_MODELS"),
    ("netwright.checks", "DATA_CHECKS"),
    ("netwright.checks", "MODEL_CHECKS"),
]


@pytest.mark.parametrize(("module", "table"), TABLES)
def test_every_entry_of_every_table_resolves_to_something_documented(module: str, table: str):
    for path in getattr(import_module(module), table).values():
        where, _, attribute = path.partition(":")
        assert getattr(import_module(where), attribute).__doc__, path
