"""Rates of alternatives, measured in turns so that a busy machine slows all of them alike."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from starter.distributed import cores


@dataclass(frozen=True)
class Rate:
    """Units of work a second: the median over rounds, the slowest and the fastest round.

    ratio: to the alternative named `base`, the median over rounds of the two's ratio in a round.
    """

    name: str
    median: float
    low: float
    high: float
    base: str | None = None
    ratio: float | None = None


def interleaved(
    alternatives: Mapping[str, Callable[[], int]],
    rounds: int,
    bases: Mapping[str, str],
    pause: float = 0.0,
) -> list[Rate]:
    """Runs every alternative once a round, after one round to warm up.

    alternatives: name -> a function that does some work and returns how many units it did; it
    waits for the device before it returns. bases: name -> the alternative it is compared with.
    pause: seconds before each, where one fetches ahead and would still do so in another's time.
    """
    rates: dict[str, list[float]] = {name: [] for name in alternatives}
    for i in range(rounds + 1):
        for name, work in alternatives.items():
            time.sleep(pause)
            start = time.perf_counter()
            units = work()
            seconds = time.perf_counter() - start
            if i:
                rates[name].append(units / seconds)
    return [_rate(name, rates, bases.get(name)) for name in alternatives]


def _rate(name: str, rates: Mapping[str, Sequence[float]], base: str | None) -> Rate:
    own, ratio = rates[name], None
    if base is not None:
        ratio = statistics.median(a / b for a, b in zip(own, rates[base], strict=True))
    return Rate(name, statistics.median(own), min(own), max(own), base, ratio)


def machine() -> dict:
    """What the numbers were measured on."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else "CPU",
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def parser(name: str, page: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """With a module's docstring as its help, --json, and --rounds where rates are compared."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=page,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds, help=f"default {rounds}")
    return made


def show(title: str, unit: str, rates: Sequence[Rate], facts: dict, as_json: bool) -> str:
    """The result as a Markdown table, or as one line of JSON."""
    if as_json:
        record = {"what": title, "unit": unit, **facts, "rates": [asdict(rate) for rate in rates]}
        return json.dumps(record)
    lines = [
        f"{title} ({', '.join(f'{k} {v}' for k, v in facts.items())})",
        "",
        f"| | {unit}, median (min to max) | ratio | to |",
        "|---|---|---|---|",
    ]
    for rate in rates:
        ratio = "" if rate.ratio is None else f"{rate.ratio:.{1 if rate.ratio >= 10 else 2}f}"
        spread = f"{rate.median:,.0f} ({rate.low:,.0f} to {rate.high:,.0f})"
        lines.append(f"| {rate.name} | {spread} | {ratio} | {rate.base or ''} |")
    return "\n".join(lines)
