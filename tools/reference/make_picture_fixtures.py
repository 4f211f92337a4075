#!/usr/bin/env python3
"""Writes what diffusers' image processor makes of pictures of several sizes: Pillow's Lanczos and the middle of it."""

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from safetensors.torch import save_file

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/images/fixtures/fitted.safetensors"
# Width and height of the picture, and those that it is brought to.
CASES = ((100, 70, 64, 64), (37, 90, 64, 32), (160, 120, 40, 56), (20, 20, 64, 64), (151, 3, 32, 32), (24, 24, 24, 24))


def main() -> int:
    generator = np.random.default_rng(3)
    processor = VaeImageProcessor()
    masks = VaeImageProcessor(do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    tensors = {}
    for index, (width, height, to_width, to_height) in enumerate(CASES):
        # Noise has every frequency, so that a filter that differs anywhere shows.
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels)
        fitted = processor.resize(picture, to_height, to_width, resize_mode="crop")
        mask = masks.preprocess(picture, height=to_height, width=to_width, resize_mode="crop")
        tensors[f"{index}.picture"] = torch.from_numpy(pixels)
        tensors[f"{index}.fitted"] = torch.from_numpy(np.array(fitted))
        tensors[f"{index}.mask"] = mask[0, 0].to(torch.uint8)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
