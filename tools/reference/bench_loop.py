#!/usr/bin/env python3
"""Times a plain Python text-to-image loop (ONNX Runtime on the CPU, diffusers' scheduler): the peer of the worker's."""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from reference.cases import Case
from reference.onnx_loop import OnnxSdxl

EXAMPLES = """example:
  python tools/reference/bench_loop.py models/tiny-sdxl --steps 15 --repeat 5 --threads 2

A first run that is not counted loads caches. Outside is what a run spends anywhere but in session.run:
tokenizers, scheduler, guidance, copies, conversion to 8 bits."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="exported ONNX folder")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--guidance", type=float, default=6.0, help="guidance scale (default: 6, so a batch of two)")
    parser.add_argument("--repeat", type=int, default=3, help="counted runs (default: 3)")
    parser.add_argument("--threads", type=int, default=0, help="intra_op_num_threads; 0 is one a core (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def timed_run(model: OnnxSdxl, settings: dict) -> dict[str, float]:
    """Seconds of one image in all and inside session.run, and the share outside of it."""
    inside = model.run_seconds
    started = time.perf_counter()
    model.generate(settings)
    total = time.perf_counter() - started
    inside = model.run_seconds - inside
    return {"total_seconds": total, "run_seconds": inside, "outside_share": (total - inside) / total}


def main() -> int:
    options = parse_arguments()
    # ONNX Runtime's threads keep spinning between runs; torch's own would only fight them over small tensors.
    torch.set_num_threads(1)
    model = OnnxSdxl(options.model, options.threads)
    case = Case(
        "bench",
        "a mountain lake at sunrise, mist over the water",
        negative_prompt="blurry, low quality",
        width=options.width,
        height=options.height,
        steps=options.steps,
        guidance_scale=options.guidance,
    )
    timed_run(model, case.settings())
    runs = [timed_run(model, case.settings()) for _ in range(options.repeat)]
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if options.json:
        names = ("width", "height", "steps", "guidance", "threads")
        settings = {name: getattr(options, name) for name in names}
        print(json.dumps({"model": options.model.name, **settings, "runs": runs, "median": median}))
        return 0
    print("run".ljust(8), "total s".rjust(10), "session.run s".rjust(14), "outside".rjust(9))
    for name, run in [*((str(index + 1), run) for index, run in enumerate(runs)), ("median", median)]:
        columns = f"{run['total_seconds']:10.4f} {run['run_seconds']:14.4f} {run['outside_share']:9.2%}"
        print(name.ljust(8), columns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
