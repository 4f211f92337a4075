"""Runs diffusers' SDXL pipelines with a ControlNet or an IP-Adapter and records what they produced."""

import diffusers
import numpy as np
import torch
from diffusers import ControlNetModel
from PIL import Image

from .control_cases import ControlCase
from .observing import observing
from .picture_stages import mask_of, scene

PIPELINES = {"txt2img": "Pipeline", "img2img": "Img2ImgPipeline", "inpaint": "InpaintPipeline"}


def pipeline_name(case: ControlCase) -> str:
    return f"StableDiffusionXL{'ControlNet' if case.controlnet else ''}{PIPELINES[case.task]}"


def control_picture(width: int, height: int) -> Image.Image:
    """White lines on black, of the job's size."""
    lines = np.zeros((height, width, 3), np.uint8)
    lines[height // 3, 5 : width - 9] = 255
    lines[4 : height - 6, width // 2] = 255
    return Image.fromarray(lines)


def look(width: int = 50, height: int = 37) -> Image.Image:
    """What an adapter is shown: of another shape than what is drawn."""
    noise = np.random.default_rng(5).integers(0, 90, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(np.array(scene(width, height)) // 2 + noise)


def run_control_case(
    components: dict, controlnet: ControlNetModel, adapter: dict | None, case: ControlCase
) -> dict[str, torch.Tensor]:
    """`latents` before the first step and `step_<k>.latents` after each. Each image is computed by itself, as diffusers
    draws for the first one only when it encodes a picture for all."""
    components = components | ({"controlnet": controlnet} if case.controlnet else {})
    pipeline = getattr(diffusers, pipeline_name(case))(**components, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    options: dict = {}
    if adapter is not None:
        pipeline.load_ip_adapter(adapter, subfolder="", weight_name="", image_encoder_folder=None)
        pipeline.set_ip_adapter_scale(case.ip_adapter_scale)
        options["ip_adapter_image"] = look()
    if case.controlnet:
        options["image" if case.task == "txt2img" else "control_image"] = control_picture(case.width, case.height)
        names = ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end", "guess_mode")
        options |= {name: getattr(case, name) for name in names}
    if case.task != "txt2img":
        options |= {"image": scene(case.width, case.height), "strength": case.strength}
    if case.task == "inpaint":
        options["mask_image"] = mask_of(case.width, case.height)
    if case.task != "img2img":
        options |= {"width": case.width, "height": case.height}
    stages: dict[str, list[torch.Tensor]] = {}

    def keep(name: str, tensor: torch.Tensor) -> None:
        stages.setdefault(name, []).append(tensor.detach().clone())

    def prepared(result, *_) -> None:
        keep("latents", result[0] if isinstance(result, tuple) else result)

    def stepped(_pipeline, step, _timestep, values) -> dict:
        keep(f"step_{step}.latents", values["latents"])
        return {}

    for index in range(case.num_images):
        with observing((pipeline, "prepare_latents", prepared)):
            pipeline(
                case.prompt,
                negative_prompt=case.negative_prompt,
                num_inference_steps=case.steps,
                guidance_scale=case.guidance_scale,
                generator=[torch.Generator("cpu").manual_seed(case.seed + index)],
                callback_on_step_end=stepped,
                output_type="latent",
                **options,
            )
    return {name: torch.cat(parts).contiguous() for name, parts in stages.items()}
