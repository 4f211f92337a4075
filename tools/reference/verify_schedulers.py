#!/usr/bin/env python3
"""Runs schedulers with random settings in diffusers, and compares this project's runs with them, beyond the fixtures."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference.make_scheduler_fixtures import write_runs
from reference.scheduler_cases import SDXL, VARIANTS

ROOT = Path(__file__).resolve().parents[2]
REPLAY = "pipelines/schedulers/testing/replay.ts"

SPREAD = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
CHOICES = {
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "steps_offset": (0, 1),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction"),
    "solver_order": (1, 2, 3),
    "lower_order_final": (True, False),
    "euler_at_final": (True, False),
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "set_alpha_to_one": (True, False),
    "skip_prk_steps": (True, False),
    "clip_sample": (True, False),
    "thresholding": (True, False),
    "rescale_betas_zero_snr": (True, False),
}


def random_case(class_name: str, draw: random.Random) -> dict:
    import diffusers

    known = getattr(diffusers, class_name)().config
    config = dict(SDXL)
    for key, values in CHOICES.items():
        if key in known and draw.random() < 0.5:
            config[key] = draw.choice(values)
    if SPREAD[0] in known and draw.random() < 0.5:
        config[draw.choice(SPREAD)] = True
    if draw.random() < 0.3:
        config |= {"beta_start": draw.uniform(0.0005, 0.001), "beta_end": draw.uniform(0.01, 0.02)}
    if config.get("rescale_betas_zero_snr"):
        # Of pure noise a prediction of noise says nothing.
        config["prediction_type"] = "v_prediction"
    steps = draw.randint(4, 50)
    case = {"class_name": class_name, "config": config, "steps": steps}
    if class_name in ("DDIMScheduler", "TCDScheduler"):
        case["eta"] = draw.choice((0.0, 0.3, 1.0))
    if draw.random() < 0.3:
        case["begin"] = draw.randint(1, steps - 1)
    return case


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10, help="random cases of each class")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    cases = [random_case(name, draw) for name in VARIANTS for _ in range(options.cases)]
    with tempfile.TemporaryDirectory() as folder:
        left_out = write_runs(Path(folder), cases)
        replay = subprocess.run(["npx", "node", REPLAY, folder], cwd=ROOT, check=True, capture_output=True, text=True)
    results = json.loads(replay.stdout)
    for result in results["over"]:
        print(json.dumps(result))
    for name, worst in results["worst"].items():
        print(name.ljust(34), f"{worst:.1e}")
    print(f"{results['runs']} runs, {len(results['over'])} over the limit, {left_out} without numbers in diffusers")
    return 1 if results["over"] else 0


if __name__ == "__main__":
    sys.exit(main())
