#!/usr/bin/env python3
"""Puts the three stages' checkpoints together as a diffusers SDXL folder, and exports it as the project's model."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from transformers import CLIPTokenizer

from export.export_sdxl import export
from export.source_folder import ExportError, read_json, write_json
from train.latents import PatchCode, PictureMaker
from train.networks import LATENT_CHANNELS, make_text_encoders, make_unet, make_vae
from train.noise import SCHEDULER
from train.session import PICTURE_SIZE
from train.subjects import load_subjects
from train.tokens import make_tokenizers
from train.train_vae import WEIGHTS

OUTPUT = Path(__file__).resolve().parents[2] / "models/tiny-sdxl"
TOKENIZERS = ("tokenizer", "tokenizer_2")


def load_checkpoint(work: Path, stage: str) -> dict:
    path = work / f"{stage}.pt"
    if not path.is_file():
        raise SystemExit(f"{path} is missing; run tools/train/train_{stage}.py with the same --work first.")
    return torch.load(path, map_location="cpu", weights_only=True)


def build_pipeline(work: Path, size: int) -> StableDiffusionXLPipeline:
    """The pipeline in float32, with the UNet's averaged weights; an untrained VAE where no stage for it has run."""
    tokenizers = [CLIPTokenizer.from_pretrained(work / name) for name in TOKENIZERS]
    encoders = torch.nn.ModuleList(make_text_encoders(len(tokenizers[0])))
    encoders.load_state_dict(load_checkpoint(work, "text")["model"])
    unet, vae = make_unet(size), make_vae(size)
    unet.load_state_dict(load_checkpoint(work, "unet")["average"])
    for stage in ("decoder", "vae"):
        if (work / f"{stage}.pt").is_file():
            vae.load_state_dict(load_checkpoint(work, stage)["model"])
            break
    pipeline = StableDiffusionXLPipeline(
        vae=vae.eval(),
        text_encoder=encoders[0].eval(),
        text_encoder_2=encoders[1].eval(),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def round_to_half(pipeline: StableDiffusionXLPipeline) -> None:
    """Rounds all weights to float16's values: what is evaluated is then what the exported files hold."""
    for module in (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.unet, pipeline.vae):
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())


def save_source(pipeline: StableDiffusionXLPipeline, folder: Path) -> None:
    """Writes the diffusers folder, with older tokenizer files as SDXL folders have them, and preview weights."""
    pipeline.save_pretrained(folder)
    for name in TOKENIZERS:
        shutil.rmtree(folder / name)
    subjects = load_subjects()
    make_tokenizers(folder, subjects)
    size = pipeline.unet.config.sample_size * 8
    code = PatchCode.fit(PictureMaker(subjects, size), WEIGHTS, LATENT_CHANNELS)
    config = read_json(folder / "vae/config.json")
    write_json(folder / "vae/config.json", config | {"latent_rgb": code.preview_weights()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the checkpoints")
    parser.add_argument("--size", type=int, default=PICTURE_SIZE, help="picture size that the stages were trained with")
    parser.add_argument("--source", type=Path, help="keep the diffusers folder here, for evaluate.py")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="ONNX folder to write (default: models/tiny-sdxl)")
    parser.add_argument("--steps", type=int, default=15, help="default steps of the model")
    parser.add_argument("--guidance", type=float, default=2.0, help="default guidance scale of the model")
    parser.add_argument("--high-steps", type=int, default=25, help="default steps of sdxl_image_high")
    parser.add_argument("--high-guidance", type=float, default=2.5, help="default guidance scale of sdxl_image_high")
    options = parser.parse_args()
    pipeline = build_pipeline(options.work, options.size)
    round_to_half(pipeline)
    card = options.output / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    with tempfile.TemporaryDirectory() as scratch:
        source = options.source or Path(scratch) / "tiny-sdxl"
        shutil.rmtree(source, ignore_errors=True)
        save_source(pipeline, source)
        shutil.rmtree(options.output, ignore_errors=True)
        try:
            passed = export(source, options.output, half_storage=True)
        except ExportError as error:
            print(f"assemble.py: {error}", file=sys.stderr)
            return 2
    defaults = {"width": options.size, "height": options.size, "num_inference_steps": options.steps}
    # A model's own values go before a handler's: without these, both classic types would draw the same picture.
    high = {"num_inference_steps": options.high_steps, "guidance_scale": options.high_guidance}
    of_types = {"job_types": {"sdxl_image_high": high}}
    write_json(options.output / "generation_config.json", defaults | {"guidance_scale": options.guidance} | of_types)
    if text is not None:
        card.write_text(text, encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
