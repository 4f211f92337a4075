#!/usr/bin/env python3
"""Writes the expected values of the flow-matching schedulers' tests, computed by diffusers."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference.fixture_files import write_lines
from reference.flow_cases import flow_cases

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/schedulers/fixtures"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write (default: the tests' own)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    write_lines(options.output / "flow-cases.json", flow_cases())
    return 0


if __name__ == "__main__":
    sys.exit(main())
