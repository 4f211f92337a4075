"""Runs diffusers' SDXL pipeline on one case and records what every stage produced."""

import itertools
from contextlib import AbstractContextManager

import diffusers
import torch
from diffusers import StableDiffusionXLPipeline

from .cases import Case
from .observing import observing


def token_ids(pipeline: StableDiffusionXLPipeline, text: str) -> dict[str, list[int]]:
    """The 77 ids that each tokenizer gives, padded and cut as the pipeline does it."""
    options = {"padding": "max_length", "max_length": 77, "truncation": True}
    return {name: getattr(pipeline, name)(text, **options).input_ids for name in ("tokenizer", "tokenizer_2")}


def generators(case: Case) -> list[torch.Generator]:
    """One CPU generator an image, seeded with seed + index."""
    return [torch.Generator("cpu").manual_seed(case.seed + index) for index in range(case.num_images)]


def run_case(pipeline: StableDiffusionXLPipeline, case: Case) -> dict[str, torch.Tensor]:
    """All tensors of the case's fixture.

    Embeddings `[1, 77, width]`, pooled `[1, projection]` and add_time_ids `[1, 6]` are those of one image (diffusers
    repeats them for a batch); initial_noise (before it is scaled by init_noise_sigma), step_<k>.noise_pred (after
    guidance) and step_<k>.latents (after the scheduler's step) are `[images, 4, height/8, width/8]`; decoded is
    `[images, 3, height, width]` as the VAE gave it, image_u8 `[images, height, width, 3]` after diffusers' postprocess.
    """
    overrides = dict(case.scheduler_overrides)
    scheduler = getattr(diffusers, overrides.pop("_class_name", "EulerDiscreteScheduler"))
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **overrides)
    guided = case.guidance_scale > 1
    shape = (1, pipeline.unet.config.in_channels, case.height // 8, case.width // 8)
    stages = {"initial_noise": torch.cat([torch.randn(shape, generator=generator) for generator in generators(case)])}
    with _recorded(pipeline, stages):
        images = pipeline(
            case.prompt,
            negative_prompt=case.negative_prompt,
            width=case.width,
            height=case.height,
            num_inference_steps=case.steps,
            guidance_scale=case.guidance_scale,
            guidance_rescale=case.guidance_rescale,
            clip_skip=case.clip_skip,
            num_images_per_prompt=case.num_images,
            generator=generators(case),
            output_type="np",
        ).images
    stages["image_u8"] = torch.from_numpy((images * 255).round().astype("uint8"))
    stages["timesteps"] = pipeline.scheduler.timesteps
    stages["sigmas"] = pipeline.scheduler.sigmas
    stages["init_noise_sigma"] = torch.as_tensor(pipeline.scheduler.init_noise_sigma).reshape(1)
    if not guided:
        stages = {name: tensor for name, tensor in stages.items() if not name.startswith("negative_")}
    return {name: tensor.detach().clone().contiguous() for name, tensor in stages.items()}


def _recorded(pipeline: StableDiffusionXLPipeline, stages: dict[str, torch.Tensor]) -> AbstractContextManager[None]:
    """For the time of a `with` block, each of the pipeline's stages also leaves its result in `stages`."""
    steps = itertools.count()

    def embeddings(result, *_) -> None:
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        stages.update({name: tensor[:1] for name, tensor in zip(names, result, strict=True) if tensor is not None})

    def time_ids(result, *_) -> None:
        stages["add_time_ids"] = result

    def step(result, noise_pred, *_) -> None:
        index = next(steps)
        stages.update({f"step_{index}.noise_pred": noise_pred, f"step_{index}.latents": result[0]})

    def decoded(result, *_) -> None:
        stages["decoded"] = result[0]

    return observing(
        (pipeline, "encode_prompt", embeddings),
        (pipeline, "_get_add_time_ids", time_ids),
        (pipeline.scheduler, "step", step),
        (pipeline.vae, "decode", decoded),
    )
