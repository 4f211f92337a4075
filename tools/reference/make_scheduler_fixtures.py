#!/usr/bin/env python3
"""Writes the expected values of the schedulers' golden tests, computed by diffusers."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy
from safetensors.numpy import save_file

from reference.fixture_files import write_lines
from reference.scheduler_cases import scheduler_cases
from reference.scheduler_runs import run

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/schedulers/fixtures"


def write_runs(folder: Path, cases: list[dict]) -> int:
    """`runs.json`, the cases with their numbers of calls, and `runs.safetensors`, the rows of all of them. Returns how
    many cases were left out because diffusers itself has no numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    done, rows = [], []
    for case in cases:
        probes = run(case)
        if probes is not None:
            done.append(case | {"calls": len(probes)})
            rows.append(probes)
    write_lines(folder / "runs.json", done)
    save_file({"rows": numpy.concatenate(rows)}, folder / "runs.safetensors")
    return len(cases) - len(done)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write (default: the tests' own)")
    options = parser.parse_args()
    left_out = write_runs(options.output, scheduler_cases())
    print(f"{left_out} cases left out: diffusers yields no numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
