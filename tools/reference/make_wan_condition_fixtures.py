#!/usr/bin/env python3
"""Writes the expected values of what WAN clips are conditioned on, computed by PyTorch's diffusers in float32."""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from safetensors.torch import save_file

from reference.make_tiny_wan import OUTPUT, SEED
from reference.tiny_wan import MODELS, write_source
from reference.wan_frames import clip


def encoded_clips(sources: Path) -> dict[str, torch.Tensor]:
    """Latents in the transformer's scale of clips by formula: whole, and in tiles of 32 pixels that begin at each 24."""
    from diffusers import AutoencoderKLWan

    latents: dict[str, torch.Tensor] = {}
    # Eleven frames: the last two fill no chunk.
    for name, width, height, frames in (("random-wan", 96, 64, 11), ("random-wan-other", 24, 32, 5)):
        vae = AutoencoderKLWan.from_pretrained(sources / name / "vae").eval()
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std)
        )

        def encode() -> torch.Tensor:
            return ((vae.encode(clip(width, height, frames)).latent_dist.mode() - mean) * (1.0 / std)).contiguous()

        latents[f"{name}.whole"] = encode()
        if name == "random-wan":
            vae.enable_tiling(32, 32, 24, 24)
            latents[f"{name}.tiled"] = encode()
    return latents


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT / "conditions", help="folder to write")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch)
        for name in ("random-wan", "random-wan-other"):
            write_source(sources / name, MODELS[name], SEED)
        save_file(encoded_clips(sources), options.output / "encoded-clips.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
