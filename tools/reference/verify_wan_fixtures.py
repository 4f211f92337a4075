#!/usr/bin/env python3
"""Runs the exported WANs through ONNX Runtime and compares every stage with the committed PyTorch values."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from safetensors.torch import load_file

from reference.make_tiny_wan import OUTPUT
from reference.wan_onnx_loop import OnnxWan

TOLERANCE = 1e-4
PIXELS_OFF_BY_ONE = 0.001
GROUPS = ("embeds", "noise_pred", "latents", "decoded")
EXACT = ("input_ids", "attention_mask", "initial_noise", "rotary_cos", "rotary_sin", "timesteps", "sigmas")


def compare(expected: dict, actual: dict) -> tuple[dict[str, float], float, bool]:
    """Largest difference of each group of stages, the share of 8-bit values off by one, and whether all is well."""
    if expected.keys() != actual.keys():
        raise SystemExit(f"stages differ: {sorted(expected.keys() ^ actual.keys())}")
    passed = all(expected[name].equal(actual[name]) for name in EXACT)
    worst = {
        group: max((expected[name] - actual[name]).abs().max().item() for name in expected if name.endswith(group))
        for group in GROUPS
    }
    steps = (expected["frames_u8"].int() - actual["frames_u8"].int()).abs()
    off_by_one = steps.count_nonzero().item() / steps.numel()
    within = max(worst.values()) <= TOLERANCE and steps.max().item() <= 1 and off_by_one <= PIXELS_OFF_BY_ONE
    return worst, off_by_one, passed and within


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixtures", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ("random-wan", "random-wan-2", "random-wan-other")
    models = {name: OnnxWan(OUTPUT / name, threads=1) for name in names}
    print("case".ljust(24), *(group.rjust(11) for group in GROUPS), "u8 off by one".rjust(14))
    passed = True
    for path in sorted(options.fixtures.glob("*.safetensors")):
        settings_path = path.with_suffix(".json")
        if not settings_path.exists():
            continue
        settings = json.loads(settings_path.read_text(encoding="utf-8"))
        worst, off_by_one, well = compare(load_file(path), models[settings["model"]].generate(settings))
        passed = passed and well
        columns = [f"{worst[group]:.1e}".rjust(11) for group in GROUPS]
        print(path.stem.ljust(24), *columns, f"{off_by_one:.3%}".rjust(14), "" if well else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
