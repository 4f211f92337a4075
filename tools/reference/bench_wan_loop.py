#!/usr/bin/env python3
"""Times a plain Python text-to-video loop (ONNX Runtime on the CPU, diffusers' scheduler): the peer of the worker's."""

import argparse
import json
import statistics
import sys
import time
from collections import deque
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from export.source_folder import read_json
from reference.wan_cases import WanCase
from reference.wan_onnx_loop import OnnxWan

EXAMPLES = """example:
  python tools/reference/bench_wan_loop.py models/tiny-wan --steps 15 --repeat 5 --threads 2

A first run that is not counted loads caches. Sampling is the loop over the steps: the transformer's passes, guidance
and scheduler. Outside is what sampling spends anywhere but in session.run."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="exported ONNX folder")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--width", type=int, help="default: the model's own")
    parser.add_argument("--height", type=int, help="default: the model's own")
    parser.add_argument("--frames", type=int, help="default: the model's own")
    parser.add_argument("--guidance", type=float, default=5.0, help="guidance scale (default: 5, so two passes a step)")
    parser.add_argument("--scheduler", help="diffusers' class (default: the model's own)")
    parser.add_argument("--repeat", type=int, default=3, help="counted runs (default: 3)")
    parser.add_argument("--threads", type=int, default=0, help="intra_op_num_threads; 0 is one a core (default: 0)")
    parser.add_argument("--decode", action="store_true", help="time the decoder too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def make_case(options: argparse.Namespace) -> WanCase:
    path = options.model / "generation_config.json"
    own = {"width": 832, "height": 480, "frame_num": 81} | (read_json(path) if path.exists() else {})
    return WanCase(
        "bench",
        "a rocket flies up, night sky",
        negative_prompt="blurry, low quality",
        width=options.width or own["width"],
        height=options.height or own["height"],
        frames=options.frames or own["frame_num"],
        steps=options.steps,
        guidance_scale=options.guidance,
        scheduler=options.scheduler,
    )


def timed_run(model: OnnxWan, settings: dict, decode: bool) -> dict[str, float]:
    """Seconds of one clip's stages, those of sampling inside session.run, and the share outside of it."""
    marks = [time.perf_counter()]
    positive = model.encode(settings["prompt"])["prompt_embeds"]
    guided = settings["guidance_scale"] > 1
    negative = model.encode(settings["negative_prompt"] or "")["prompt_embeds"] if guided else None
    noise = model.noise(settings)
    rotary = model.rotary(noise)
    marks.append(time.perf_counter())
    inside = model.run_seconds
    _, latents = deque(model.denoise(settings, positive, negative, noise, rotary), maxlen=1)[0]
    inside = model.run_seconds - inside
    marks.append(time.perf_counter())
    if decode:
        deque(model.decode(latents), maxlen=0)
    marks.append(time.perf_counter())
    text, sampling, decoding = (end - start for start, end in pairwise(marks))
    return {
        "text_seconds": text,
        "sampling_seconds": sampling,
        "decoding_seconds": decoding,
        "run_seconds": inside,
        "outside_share": (sampling - inside) / sampling,
    }


def main() -> int:
    options = parse_arguments()
    # ONNX Runtime's threads keep spinning between runs; torch's own would only fight them over small tensors.
    torch.set_num_threads(1)
    model = OnnxWan(options.model, options.threads)
    settings = make_case(options).settings()
    timed_run(model, settings, options.decode)
    runs = [timed_run(model, settings, options.decode) for _ in range(options.repeat)]
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    if options.json:
        names = ("width", "height", "frames", "steps", "guidance_scale")
        shown = {name: settings[name] for name in names} | {"threads": options.threads}
        print(json.dumps({"model": options.model.name, **shown, "runs": runs, "median": median}))
        return 0
    columns = ("text s", "sampling s", "decoding s", "session.run s", "outside")
    print("run".ljust(8), *(column.rjust(14) for column in columns))
    for name, run in [*((str(index + 1), run) for index, run in enumerate(runs)), ("median", median)]:
        *seconds, outside = run.values()
        print(name.ljust(8), *(f"{value:14.4f}" for value in seconds), f"{outside:14.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
