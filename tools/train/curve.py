#!/usr/bin/env python3
"""Draws the training curves of a model's stages, as `<work>/<stage>.csv` has them."""

import argparse
import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot  # noqa: E402

# Per model and stage: the columns to draw and what they are.
PANELS = {
    "sdxl": {
        "text": ("text encoders", {"error": "error of the picture codes"}),
        "vae": ("VAE", {"decoder": "decoder: colours and edges, L1", "encoder": "encoder: latents, squared"}),
        "unet": ("UNet", {"loss": "velocity, squared"}),
        "decoder": ("decoder", {"decoder": "colours and edges, L1"}),
    },
    "wan": {
        "wan-vae": ("decoder of the VAE", {"decoder": "colours and edges, L1"}),
        "wan-encoder": ("encoder of the VAE", {"encoder": "latents, squared"}),
        "wan-transformer": ("transformer", {"loss": "velocity, squared"}),
    },
}


def read_curve(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        raise SystemExit(f"{path} is missing; run the stage first, or say with --work where it ran.")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="picture to write: PNG or WebP")
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the curves")
    parser.add_argument("--model", choices=PANELS, default="sdxl", help="which model (default: sdxl)")
    options = parser.parse_args()
    stages = PANELS[options.model]
    pyplot.rcParams.update({"font.size": 9})
    figure, panels = pyplot.subplots(1, len(stages), figsize=(13, 3), layout="constrained")
    for panel, (stage, (title, columns)) in zip(panels, stages.items(), strict=True):
        curve = read_curve(options.work / f"{stage}.csv")
        for column, label in columns.items():
            panel.plot(curve["minutes"], curve[column], label=label, linewidth=1)
        panel.set(title=title, xlabel="minutes", yscale="log")
        panel.grid(which="both", alpha=0.25)
        panel.legend(fontsize=7, loc="upper right")
    figure.savefig(options.output, facecolor="white", dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
