#!/usr/bin/env python3
"""Writes the models and expected values of pictures from pictures, computed by diffusers in float32 on the CPU."""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

from export.component import Component
from export.onnx_files import write_component
from export.program import Settings
from export.sdxl_unet import load_unet
from reference.make_fixtures import load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.picture_cases import INPAINTING, PICTURE_CASES
from reference.picture_stages import pictures_of, run_picture_case, scheduler_of
from reference.tiny_sdxl import Sizes, make_unet

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/pictures"


def write_unet(unet: torch.nn.Module, folder: Path) -> None:
    """Writes only the UNet: all else is that of the tests' own model."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        unet.save_pretrained(Path(scratch) / "unet")
        component: Component = load_unet(Path(scratch), torch.float32, fused_attention=False)
        write_component(component, folder, Settings())
        shutil.copyfile(Path(scratch) / "unet/config.json", folder / "unet/config.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="write the ONNX files too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        source = Path(scratch)
        write_source(source, Sizes(), SEED)
        pipeline: StableDiffusionXLPipeline = load_pipeline(source)
        torch.manual_seed(SEED + 1)
        small = Sizes(unet_channels=(8, 16, 16), unet_heads=(1, 2, 2), transformer_layers=(1, 1, 1))
        unets = {"random-sdxl": pipeline.unet, INPAINTING: make_unet(small, in_channels=9).eval()}
        if options.models:
            write_unet(unets[INPAINTING], OUTPUT / INPAINTING)
        tensors = {}
        for case in PICTURE_CASES:
            fresh = load_pipeline(source)
            fresh.vae.register_to_config(**case.vae_overrides)
            components = fresh.components | {"unet": unets[case.model]}
            components.pop("image_encoder"), components.pop("feature_extractor")
            components["scheduler"] = scheduler_of(components, case)
            made = run_picture_case(components, case)
            tensors |= {f"{case.name}/{name}": tensor for name, tensor in made.items()}
            tensors |= pictures_of(case.width, case.height)
            print(f"computed {case.name}", flush=True)
    save_file(tensors, OUTPUT / "expected.safetensors")
    cases = ",\n".join(json.dumps(case.settings()) for case in PICTURE_CASES)
    (OUTPUT / "cases.json").write_text(f"[\n{cases}\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
