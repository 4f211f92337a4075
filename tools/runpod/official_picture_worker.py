"""Draws for RunPod's official worker with diffusers on the CPU: the peer of a container in bench/cold-start.ts.

python tools/runpod/official_picture_worker.py make models/tiny-sdxl <folder>   # a random SDXL of these sizes
python tools/runpod/official_picture_worker.py serve <folder>                   # loads it, and takes jobs
"""

import base64
import io
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline

STEPS = 4
SIDE = 128


def make(sizes: Path, folder: Path) -> None:
    """The weights are random: how long a picture takes does not depend on them."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_config(AutoencoderKL.load_config(sizes / "vae_decoder")),
        text_encoder=CLIPTextModel(CLIPTextConfig.from_pretrained(sizes / "text_encoder")),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(sizes / "text_encoder_2")),
        tokenizer=CLIPTokenizer.from_pretrained(sizes / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(sizes / "tokenizer_2"),
        unet=UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(sizes / "unet")),
        scheduler=EulerDiscreteScheduler.from_pretrained(sizes / "scheduler"),
        add_watermarker=False,
    ).save_pretrained(folder)


def serve(folder: Path) -> None:
    import runpod

    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)

    def draw(job: dict) -> dict[str, str]:
        image = pipeline(job["input"]["prompt"], num_inference_steps=STEPS, width=SIDE, height=SIDE).images[0]
        file = io.BytesIO()
        image.save(file, "PNG")
        return {"image": base64.b64encode(file.getvalue()).decode()}

    runpod.serverless.start({"handler": draw})


if __name__ == "__main__":
    command, *folders = sys.argv[1:]
    if command == "make":
        make(*map(Path, folders))
    else:
        serve(*map(Path, folders))
