#!/usr/bin/env python3
"""Draws pictures with a Python loop over ONNX Runtime on the CPU, run by run: the peer of the worker in benchmarks."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Before torch comes: its threads would only fight those of ONNX Runtime over small tensors.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from reference.cases import Case

EXAMPLES = """example:
  echo run | python tools/reference/bench_loop.py models/tiny-sdxl --loop plain --steps 15 --threads 2

Loads the model, draws once without counting, and says so in a line of JSON. Then every line of standard input
draws again and is answered by a line: seconds in all, of processor time and inside session.run, the highest
resident memory since the start and that before the model was loaded, in kB (Linux), and the mean of the pixels.

The loops: "optimum" is ORTStableDiffusionXLPipeline (pip install optimum-onnx diffusers, in an environment
of its own); "plain" has nothing around the sessions but diffusers' scheduler (tools/requirements.txt)."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="exported ONNX folder")
    parser.add_argument("--loop", choices=("optimum", "plain"), default="optimum")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--images", type=int, default=1, help="pictures of one run (default: 1)")
    parser.add_argument("--guidance", type=float, default=6.0, help="guidance scale (default: 6, so a batch of two)")
    parser.add_argument("--threads", type=int, default=0, help="intra_op_num_threads; 0 is one a core (default: 0)")
    return parser.parse_args()


def load(name: str):
    """The class of a loop; what it needs is imported now."""
    if name == "optimum":
        from reference.optimum_loop import OptimumSdxl as Loop
    else:
        from reference.onnx_loop import OnnxSdxl as Loop
    return Loop


def memory_kb(field: str) -> int:
    """`VmRSS` or `VmHWM`. Not `getrusage`, whose maximum is also that of the process that started this one."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise KeyError(field)


def draw(model, settings: dict) -> dict[str, float]:
    inside, processor, started = model.run_seconds, time.process_time(), time.perf_counter()
    images = model.generate(settings)
    return {
        "seconds": time.perf_counter() - started,
        "cpuSeconds": time.process_time() - processor,
        "insideSeconds": model.run_seconds - inside,
        "mean": float(np.mean(np.asarray(images["image_u8"] if isinstance(images, dict) else images))),
    }


def answer(line: dict) -> None:
    print(json.dumps(line), flush=True)


def main() -> int:
    options = parse_arguments()
    loop = load(options.loop)
    base_kb, started = memory_kb("VmRSS"), time.perf_counter()
    model = loop(options.model, options.threads)
    load_seconds = time.perf_counter() - started
    case = Case(
        "bench",
        "a mountain lake at sunrise, mist over the water",
        negative_prompt="blurry, low quality",
        width=options.width,
        height=options.height,
        steps=options.steps,
        guidance_scale=options.guidance,
        num_images=options.images,
    )
    draw(model, case.settings())
    answer({"loadSeconds": load_seconds, "baseKb": base_kb})
    for _ in sys.stdin:
        answer(draw(model, case.settings()) | {"peakKb": memory_kb("VmHWM")})
    return 0


if __name__ == "__main__":
    sys.exit(main())
