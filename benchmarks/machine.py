"""What a number was measured on: the processor and the versions."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(device: str, packages: Iterable[str]) -> str:
    """One line for a page: the device, then the versions of the packages that are installed."""
    found = versions((*packages,))
    return f"{device}; {', '.join(f'{name} {number}' for name, number in found.items())}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed, and Python's; nothing is imported."""
    found = dict[str, str]()
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"Python": platform.python_version()}


def processor(threads: int) -> str:
    """The processor's name and how many threads were used."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {threads} thread(s)"
