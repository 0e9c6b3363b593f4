"""All that the package changes for the whole process is changed in `machine`, within a `with` that undoes it."""

import ast
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import netwright
from netwright.machine.device import prepare_device
from netwright.machine.interrupts import late_interrupts
from netwright.machine.memory import keep_pages
from netwright.machine.quiet import warnings_to, without_warnings
from netwright.machine.randomness import forked, reseed, seeded
from netwright.machine.threads import one_blas_thread, threads

SOURCE = Path(netwright.__file__).parent
DENORMAL = 1e-40


@contextmanager
def one_thread_that_draws() -> Generator[None]:
    with threads(1), forked():
        reseed(1)
        torch.rand(3)
        yield


CONTEXTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "threads": lambda: threads(3),
    "blas": one_blas_thread,
    "denormals": prepare_device,
    "interrupts": late_interrupts,
    "randomness": lambda: seeded(5),
    "warnings": without_warnings,
    "shown": lambda: warnings_to(print),
    "one": one_thread_that_draws,
}


@pytest.fixture(autouse=True)
def two_blas_threads() -> Generator[None]:
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """As a terminal sets them: a program in a shell's background ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def state() -> Mapping[str, object]:
    """What a program sees of the process's settings."""
    return {
        "threads": torch.get_num_threads(),
        "blas": [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"],
        "denormals": (torch.tensor([DENORMAL]) * 0.5).item(),
        "interrupts": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "randomness": torch.random.get_rng_state().tolist(),
        "warnings": list(warnings.filters),
        "shown": warnings.showwarning,
        "environment": dict(os.environ),
        "precision": (torch.get_float32_matmul_precision(), torch.get_default_dtype(), torch.is_grad_enabled()),
        "algorithms": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
    }


@pytest.mark.parametrize("name", CONTEXTS)
def test_what_is_switched_is_undone_on_leaving(name: str) -> None:
    before = state()
    with CONTEXTS[name]():
        within = state()
    assert state() == before
    assert name not in within or within[name] != before[name]


@pytest.mark.parametrize("name", CONTEXTS)
def test_what_is_switched_is_undone_after_an_error(name: str) -> None:
    before = state()
    with pytest.raises(ZeroDivisionError), CONTEXTS[name]():
        raise ZeroDivisionError
    assert state() == before


def test_contexts_within_each_other_are_undone_in_turn() -> None:
    before = state()
    with threads(2), prepare_device(1), keep_pages(), seeded(1):
        within = state()
        with pytest.raises(ZeroDivisionError), threads(3), prepare_device(4), seeded(2):
            raise ZeroDivisionError
        assert state() == within
    assert state() == before


GLOBAL = {
    *("set_num_threads", "set_num_interop_threads", "set_flush_denormal", "mallopt", "fork_rng", "set_rng_state"),
    *("filterwarnings", "simplefilter", "catch_warnings", "threadpool_limits", "putenv", "setdefaulttimeout"),
    *("set_default_dtype", "set_default_device", "set_float32_matmul_precision", "use_deterministic_algorithms"),
    *("setrecursionlimit", "setrlimit", "signal"),
}
# It has to be set before torch is loaded, which reads it once; there is nothing to undo afterwards.
BEFORE_TORCH = ("__init__.py", "os.environ.setdefault('GOMP_SPINCOUNT', '10000')")
# While the command line is imported: the process is the shell's, and its own handler is back before a verb runs.
AT_START = {
    ("start.py", "signal.signal(signal.SIGINT, _leave)"),
    ("start.py", "signal.signal(signal.SIGINT, signal.default_int_handler)"),
}


def changes(path: Path) -> list[str]:
    """Calls and assignments in a file that change something for the whole process."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name, text = ast.unparse(node.func), ast.unparse(node)
            of_environment = name in {f"os.environ.{verb}" for verb in ("setdefault", "update", "pop", "clear")}
            seeds = name in (
                "torch.manual_seed",
                "torch.default_generator.manual_seed",
                "random.seed",
                "np.random.seed",
            )
            if name.rpartition(".")[2] in GLOBAL or of_environment or seeds:
                found.append(text)
        elif isinstance(node, ast.Assign):
            targets = [ast.unparse(target) for target in node.targets]
            found += [t for t in targets if t.startswith(("os.environ[", "torch.backends.", "Image.MAX_IMAGE_PIXELS"))]
    return found


def test_nothing_outside_changes_the_process() -> None:
    elsewhere = {
        (str(path.relative_to(SOURCE)), text)
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "machine"
        for text in changes(path)
    }
    assert elsewhere == {BEFORE_TORCH} | AT_START
    assert any(changes(path) for path in (SOURCE / "machine").glob("*.py"))
