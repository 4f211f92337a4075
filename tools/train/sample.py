"""Pictures from a pipeline, many prompts at once, each from its own seed as the worker does it."""

import torch
from diffusers import StableDiffusionXLPipeline

BATCH = 50


@torch.no_grad()
def sample_latents(
    pipeline: StableDiffusionXLPipeline,
    prompts: list[str],
    seeds: list[int],
    steps: int,
    guidance: float,
    negative: list[str] | None = None,
) -> torch.Tensor:
    """Clean latents `[prompts, channels, height/8, width/8]`, not yet divided by the VAE's scaling factor."""
    size = pipeline.unet.config.sample_size * 8
    parts = []
    for first in range(0, len(prompts), BATCH):
        part = slice(first, first + BATCH)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds[part]]
        result = pipeline(
            prompts[part],
            negative_prompt=None if negative is None else negative[part],
            width=size,
            height=size,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            output_type="latent",
        )
        parts.append(result.images)
    return torch.cat(parts)


@torch.no_grad()
def decode(pipeline: StableDiffusionXLPipeline, latents: torch.Tensor) -> torch.Tensor:
    """`[count, 3, height, width]` in -1..1."""
    scaled = latents / pipeline.vae.config.scaling_factor
    return torch.cat([pipeline.vae.decode(part).sample for part in scaled.split(BATCH)]).clamp(-1, 1)
