"""Clips from a pipeline, many prompts at once, each from its own seed as the worker does it."""

import torch
from diffusers import WanPipeline

from train.wan.clips import SIZE
from train.wan.motions import FRAMES

BATCH = 30


@torch.no_grad()
def sample_latents(
    pipeline: WanPipeline, prompts: list[str], seeds: list[int], steps: int, guidance: float
) -> torch.Tensor:
    """Clean latents `[prompts, channels, cells, height/8, width/8]`, in the transformer's units."""
    found = []
    for first in range(0, len(prompts), BATCH):
        part = slice(first, first + BATCH)
        result = pipeline(
            prompts[part],
            height=SIZE,
            width=SIZE,
            num_frames=FRAMES,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[part]],
            output_type="latent",
        )
        found.append(result.frames)
    return torch.cat(found)


@torch.no_grad()
def decode(pipeline: WanPipeline, latents: torch.Tensor) -> torch.Tensor:
    """Clips `[count, 3, frames, height, width]` in -1..1, by the VAE's own way in chunks."""
    config = pipeline.vae.config
    mean, deviation = (torch.tensor(values).view(-1, 1, 1, 1) for values in (config.latents_mean, config.latents_std))
    return torch.cat([pipeline.vae.decode(part * deviation + mean).sample for part in latents.split(8)])
