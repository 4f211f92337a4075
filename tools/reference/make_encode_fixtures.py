#!/usr/bin/env python3
"""Writes what diffusers' VAE of the tests' own model encodes in tiles: means and logarithms of variances."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from safetensors.torch import save_file

from reference.make_fixtures import load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.picture_stages import scene
from reference.tiny_sdxl import Sizes

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/encode/expected.safetensors"
TILE = 64
# The last tiles are a part of one, and narrower than what goes over into the next.
SIZES = ((112, 80), (72, 104))


def main() -> int:
    torch.set_num_threads(1)
    tensors = {}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        write_source(Path(scratch), Sizes(), SEED)
        vae = load_pipeline(Path(scratch)).vae
        vae.enable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // 8
        for width, height in SIZES:
            picture = torch.from_numpy(np.array(scene(width, height)))
            pixels = picture.permute(2, 0, 1)[None].float() / 255 * 2 - 1
            tensors[f"{width}x{height}/picture"] = picture
            tensors[f"{width}x{height}/moments"] = vae.encode(pixels).latent_dist.parameters
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
