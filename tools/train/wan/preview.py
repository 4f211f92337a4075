#!/usr/bin/env python3
"""Draws a sheet from the newest checkpoints, a clip a row: a look at progress."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from PIL import Image

from train.wan.assemble import build_pipeline
from train.wan.clips import ClipMaker
from train.wan.code import ClipCode
from train.wan.networks import LATENT_CHANNELS
from train.wan.sample import decode, sample_latents

PROMPTS = (
    "a red apple moves left, light blue background",
    "a rocket flies up, night sky",
    "a panda bounces, meadow",
    "a pizza spins, dark blue background",
    "a dog face moves right on a pink background",
    "a penguin falls down, snow",
    "a sunflower grows, sunset",
    "a ghost fades in, black background",
    "an octopus shrinks, sea",
    "a cactus stands still, desert",
    "an airplane moves up on a white background",
    "a soccer ball moves down, green background",
)


def sheet(clips: torch.Tensor) -> Image.Image:
    """A clip a row, its frames from left to right."""
    count, _, frames, height, width = clips.shape
    values = ((clips.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 3, 2, 4, 1)
    return Image.fromarray(values.reshape(count * height, frames * width, 3).numpy())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the checkpoints")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--linear", action="store_true", help="decode without the VAE, by the linear patch code")
    parser.add_argument("--prompts", nargs="*", default=PROMPTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    code = ClipCode.load(options.work, ClipMaker(options.work), LATENT_CHANNELS)
    pipeline = build_pipeline(options.work, code)
    prompts = list(options.prompts)
    latents = sample_latents(pipeline, prompts, list(range(len(prompts))), options.steps, options.guidance)
    linear = code.decode(latents * code.scale.view(-1, 1, 1, 1))
    clips = linear if options.linear else decode(pipeline, latents)
    sheet(clips).save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
