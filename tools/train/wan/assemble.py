#!/usr/bin/env python3
"""Puts the stages' checkpoints together as a diffusers WAN folder, and exports it as the project's model."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from diffusers import UniPCMultistepScheduler, WanPipeline

from export.export_wan import export
from export.source_folder import ExportError, read_json, write_json
from train.wan.clips import SIZE, ClipMaker
from train.wan.code import ClipCode
from train.wan.motions import FRAMES
from train.wan.networks import LATENT_CHANNELS, make_text_encoder, make_transformer, make_vae
from train.wan.noise import FLOW_SHIFT, SCHEDULER
from train.wan.tokens import load_tokenizer

OUTPUT = Path(__file__).resolve().parents[3] / "models/tiny-wan"
FRAMES_PER_SECOND = 8
ENCODER_PARTS = ("encoder.", "quant_conv.")


def load_checkpoint(work: Path, stage: str) -> dict:
    path = work / f"wan-{stage}.pt"
    if not path.is_file():
        raise SystemExit(f"{path} is missing; run tools/train/wan/train_{stage}.py with the same --work first.")
    return torch.load(path, map_location="cpu", weights_only=True)


def build_pipeline(work: Path, code: ClipCode) -> WanPipeline:
    """The pipeline in float32, with the transformer's averaged weights."""
    tokenizer = load_tokenizer(work)
    text_encoder, transformer = make_text_encoder(len(tokenizer)), make_transformer()
    text_encoder.load_state_dict(load_checkpoint(work, "text")["model"])
    transformer.load_state_dict(load_checkpoint(work, "transformer")["average"])
    vae = make_vae([round(value, 6) for value in code.scale.tolist()])
    if (work / "wan-vae.pt").is_file():
        vae.load_state_dict(load_checkpoint(work, "vae")["model"])
    if (work / "wan-encoder.pt").is_file():
        weights = load_checkpoint(work, "encoder")["model"]
        vae.load_state_dict({name: weights[name] for name in weights if name.startswith(ENCODER_PARTS)}, strict=False)
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=UniPCMultistepScheduler(**SCHEDULER),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def round_to_half(pipeline: WanPipeline) -> None:
    """Rounds all weights to float16's values: what is evaluated is then what the exported files hold."""
    for module in (pipeline.text_encoder, pipeline.transformer, pipeline.vae):
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())


def save_source(pipeline: WanPipeline, folder: Path, code: ClipCode) -> None:
    pipeline.save_pretrained(folder)
    config = read_json(folder / "vae/config.json")
    write_json(folder / "vae/config.json", config | {"latent_rgb": code.preview_weights()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the checkpoints")
    parser.add_argument("--source", type=Path, help="keep the diffusers folder here, for evaluate.py")
    parser.add_argument("--source-only", action="store_true", help="write the diffusers folder, export nothing")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="ONNX folder to write (default: models/tiny-wan)")
    parser.add_argument("--steps", type=int, default=12, help="default steps of the model")
    parser.add_argument("--guidance", type=float, default=2.0, help="default guidance scale of the model")
    options = parser.parse_args()
    code = ClipCode.load(options.work, ClipMaker(options.work), LATENT_CHANNELS)
    pipeline = build_pipeline(options.work, code)
    round_to_half(pipeline)
    card = options.output / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    with tempfile.TemporaryDirectory() as scratch:
        source = options.source or Path(scratch) / "tiny-wan"
        shutil.rmtree(source, ignore_errors=True)
        save_source(pipeline, source, code)
        if options.source_only:
            return 0
        shutil.rmtree(options.output, ignore_errors=True)
        try:
            passed = export(source, options.output, half_storage=True)
        except ExportError as error:
            print(f"assemble.py: {error}", file=sys.stderr)
            return 2
    defaults = {"width": SIZE, "height": SIZE, "num_frames": FRAMES, "fps": FRAMES_PER_SECOND}
    defaults |= {"num_inference_steps": options.steps, "guidance_scale": options.guidance, "flow_shift": FLOW_SHIFT}
    write_json(options.output / "generation_config.json", defaults)
    if text is not None:
        card.write_text(text, encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
