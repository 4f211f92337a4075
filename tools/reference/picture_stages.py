"""Runs diffusers' SDXL pipelines for pictures from pictures and records what they produced."""

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline
from PIL import Image

from .observing import observing
from .picture_cases import PictureCase

PIPELINES = {"img2img": StableDiffusionXLImg2ImgPipeline, "inpaint": StableDiffusionXLInpaintPipeline}


def scene(width: int, height: int) -> Image.Image:
    """A picture with soft and hard edges, of the size that the job has: nothing is resized."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    sun = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05)[..., None]
    sky = np.stack([0.2 + 0.6 * y, 0.4 + 0.3 * x, 0.9 - 0.5 * y], axis=-1)
    return Image.fromarray((np.where(sun, [1.0, 0.8, 0.2], sky) * 255).round().astype(np.uint8))


def mask_of(width: int, height: int) -> Image.Image:
    """White where the picture is drawn anew: a part whose edges are no multiple of 8."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 + 3 : height - 5, width // 3 : width - 13] = 255
    return Image.fromarray(mask)


def run_picture_case(components: dict, case: PictureCase) -> dict[str, torch.Tensor]:
    """All tensors of the case: `latents` before the first step, `step_<k>.latents` after each with what is laid over it,
    and `image_u8`, every second pixel of every second row. diffusers draws for the first image only when it encodes one for
    all, so that each image is computed by itself."""
    pipeline = PIPELINES[case.task](**components, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    picture, mask = scene(case.width, case.height), mask_of(case.width, case.height)
    stages: dict[str, list[torch.Tensor]] = {}

    def keep(name: str, tensor: torch.Tensor) -> None:
        stages.setdefault(name, []).append(tensor.detach().clone())

    def prepared(result, *_) -> None:
        keep("latents", result[0] if isinstance(result, tuple) else result)

    def stepped(_pipeline, step, _timestep, values) -> dict:
        keep(f"step_{step}.latents", values["latents"])
        return {}

    for index in range(case.num_images):
        options = {"mask_image": mask} if case.task == "inpaint" else {}
        size = {"width": case.width, "height": case.height} if case.task == "inpaint" else {}
        with observing((pipeline, "prepare_latents", prepared)):
            images = pipeline(
                case.prompt,
                negative_prompt=case.negative_prompt,
                image=picture,
                strength=case.strength,
                num_inference_steps=case.steps,
                guidance_scale=case.guidance_scale,
                generator=[torch.Generator("cpu").manual_seed(case.seed + index)],
                callback_on_step_end=stepped,
                output_type="np",
                **options,
                **size,
            ).images
        keep("image_u8", torch.from_numpy((images * 255).round().astype("uint8"))[:, ::2, ::2])
    return {name: torch.cat(parts).contiguous() for name, parts in stages.items()}


def pictures_of(width: int, height: int) -> dict[str, torch.Tensor]:
    """The picture and the mask of all cases of a size, in 8 bits."""
    pictures = {"picture": scene(width, height), "mask": mask_of(width, height)}
    return {f"{width}x{height}/{name}": torch.from_numpy(np.array(image)) for name, image in pictures.items()}


def scheduler_of(components: dict, case: PictureCase):
    """The model's scheduler, or the one that the case names with the model's config."""
    own = components["scheduler"]
    cls = type(own) if case.scheduler is None else getattr(diffusers, case.scheduler)
    return cls.from_config(own.config)
