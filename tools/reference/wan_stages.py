"""Runs diffusers' WAN pipeline on one case and records what every stage produced."""

import itertools
from pathlib import Path

import diffusers
import torch
from diffusers import WanPipeline
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from .observing import observing
from .tiny_wan import load_tokenizer
from .wan_cases import WanCase

MAX_TOKENS = 512


def load_pipeline(source: Path) -> WanPipeline:
    pipeline = WanPipeline.from_pretrained(source, tokenizer=load_tokenizer(source))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_scheduler(config: dict, name: str | None = None, shift: float | None = None):
    """The scheduler of a case. diffusers would lose the shift from one class to another, whose name for it differs."""
    scheduler_class = getattr(diffusers, name or config["_class_name"])
    shift = config.get("flow_shift", config.get("shift", 1.0)) if shift is None else shift
    key = "shift" if scheduler_class is diffusers.FlowMatchEulerDiscreteScheduler else "flow_shift"
    return scheduler_class.from_config(config, **{key: shift})


def tokens(tokenizer, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask `[1, 512]` of a prompt, as the pipeline makes them."""
    encoded = tokenizer(
        [prompt_clean(text)], padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids, encoded.attention_mask


def run_case(pipeline: WanPipeline, case: WanCase) -> dict[str, torch.Tensor]:
    """All tensors of the case's fixture.

    Ids, masks (both as float32) and embeddings `[1, 512, …]` of the prompt, and of the negative one where there is
    guidance; rotary_cos and rotary_sin `[1, tokens, 1, head_dim]`; initial_noise, step_<k>.noise_pred (after guidance)
    and step_<k>.latents (after the scheduler's step) `[1, channels, latent frames, …]`; decoded `[1, 3, frames, height,
    width]` in -1..1; frames_u8 `[frames, height, width, 3]`.
    """
    own = pipeline.scheduler
    pipeline.scheduler = make_scheduler(
        own.config | {"_class_name": type(own).__name__}, case.scheduler, case.flow_shift
    )
    scale, temporal = pipeline.vae_scale_factor_spatial, pipeline.vae_scale_factor_temporal
    frames = (case.frames - 1) // temporal + 1
    channels = pipeline.transformer.config.in_channels
    shape = (1, channels, frames, case.height // scale, case.width // scale)
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(case.seed))
    cosine, sine = pipeline.transformer.rope(noise)
    stages = {"initial_noise": noise, "rotary_cos": cosine.float(), "rotary_sin": sine.float()}
    texts = {"": case.prompt} | ({"negative_": case.negative_prompt or ""} if case.guidance_scale > 1 else {})
    for prefix, text in texts.items():
        ids, mask = tokens(pipeline.tokenizer, text)
        stages |= {f"{prefix}input_ids": ids.float(), f"{prefix}attention_mask": mask.float()}
    steps = itertools.count()

    def embeddings(result, *_) -> None:
        names = ("prompt_embeds", "negative_prompt_embeds")
        stages.update({name: tensor for name, tensor in zip(names, result, strict=True) if tensor is not None})

    def step(result, noise_pred, *_) -> None:
        index = next(steps)
        stages.update({f"step_{index}.noise_pred": noise_pred, f"step_{index}.latents": result[0]})

    def decoded(result, *_) -> None:
        stages["decoded"] = result[0]

    observed = (
        (pipeline, "encode_prompt", embeddings),
        (pipeline.scheduler, "step", step),
        (pipeline.vae, "decode", decoded),
    )
    with observing(*observed), torch.no_grad():
        clip = pipeline(
            case.prompt,
            negative_prompt=case.negative_prompt,
            height=case.height,
            width=case.width,
            num_frames=case.frames,
            num_inference_steps=case.steps,
            guidance_scale=case.guidance_scale,
            guidance_scale_2=case.guidance_scale_2,
            generator=torch.Generator("cpu").manual_seed(case.seed),
        ).frames[0]
    stages["timesteps"] = pipeline.scheduler.timesteps.float()
    stages["sigmas"] = pipeline.scheduler.sigmas
    stages["frames_u8"] = torch.from_numpy((clip * 255).round().astype("uint8"))
    pipeline.scheduler = own
    return {name: tensor.detach().clone().contiguous() for name, tensor in stages.items()}
