#!/usr/bin/env python3
"""Writes the models and expected values of ControlNets and IP-Adapters, computed by diffusers in float32 on the CPU."""

import argparse
import copy
import gzip
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from export.condition_source import add_conditions
from export.conditions import Conditions
from export.onnx_files import write_component
from export.program import Settings
from export.sdxl_conditions import controlnet as controlnet_component
from export.sdxl_conditions import image_encoder as encoder_component
from export.sdxl_unet import unet_component
from export.source_folder import without_local_path, write_json
from reference.control_cases import CONTROL_CASES
from reference.control_stages import control_picture, look, run_control_case
from reference.fixture_files import write_lines
from reference.make_fixtures import load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.picture_stages import scheduler_of
from reference.tiny_control import PICTURE_SIZE, make_adapter, make_controlnet, make_image_encoder, make_unet
from reference.tiny_sdxl import Sizes

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/control"
MODELS = {"base": "random-sdxl-control", "plus": "random-sdxl-plus"}
# Of pictures that the image encoder is shown: other shapes, larger and smaller than what it takes.
LOOKS = ((50, 37), (28, 28), (20, 33), (70, 30))


def write_models(unet, controlnet, encoder, adapters: dict[str, dict], scratch: Path) -> None:
    """Two folders that lack what is like that of the tests' own model; their ONNX files are packed."""
    settings = Settings(half_storage=True)
    controlnet.save_pretrained(scratch / "controlnet")
    encoder.save_pretrained(scratch / "image_encoder")
    for kind, name in MODELS.items():
        folder = OUTPUT / name
        shutil.rmtree(folder, ignore_errors=True)
        torch.save(adapters[kind], scratch / f"{kind}.bin")
        # One of the two takes no ControlNet.
        nets = {"canny": scratch / "controlnet"} if kind == "base" else {}
        conditions = Conditions(nets, scratch / f"{kind}.bin", scratch / "image_encoder")
        write_json(folder / "model_index.json", {"_class_name": "StableDiffusionXLPipeline"})
        write_json(folder / "unet/config.json", without_local_path(dict(unet.config)))
        add_conditions(folder, conditions)
        write_component(unet_component(copy.deepcopy(unet), torch.float32, False, conditions), folder, settings)
        write_component(encoder_component(conditions, torch.float32), folder, settings)
        for net, source in nets.items():
            component = controlnet_component(source, f"controlnet_{net}", torch.float32, False)
            write_component(component, folder, settings)
        (folder / "model_index.json").unlink()
    for path in OUTPUT.glob("*/*/model.onnx"):
        path.with_suffix(".onnx.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def looks(encoder) -> dict[str, torch.Tensor]:
    """Pictures in 8 bits, what CLIP's processor makes of them, and what the encoder makes of that."""
    processor = CLIPImageProcessorPil(size=PICTURE_SIZE, crop_size=PICTURE_SIZE)
    tensors = {}
    for index, (width, height) in enumerate(LOOKS):
        picture = look(width, height)
        pixels = processor(picture, return_tensors="pt").pixel_values
        tensors |= {f"look_{index}/picture": torch.from_numpy(np.array(picture)), f"look_{index}/pixel_values": pixels}
        tensors[f"look_{index}/image_embeds"] = encoder(pixels).image_embeds
    return tensors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="write the ONNX files too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        source = Path(scratch)
        write_source(source, Sizes(), SEED)
        torch.manual_seed(SEED + 2)
        unet, controlnet, encoder = make_unet(), make_controlnet(), make_image_encoder()
        adapters = {kind: make_adapter(unet, is_plus=kind == "plus") for kind in MODELS}
        if options.models:
            write_models(unet, controlnet, encoder, adapters, source)
        tensors = looks(encoder)
        for case in CONTROL_CASES:
            components = load_pipeline(source).components | {"unet": copy.deepcopy(unet), "image_encoder": encoder}
            components["feature_extractor"] = CLIPImageProcessorPil(size=PICTURE_SIZE, crop_size=PICTURE_SIZE)
            components["scheduler"] = scheduler_of(components, case)
            adapter = None if case.adapter is None else copy.deepcopy(adapters[case.adapter])
            made = run_control_case(components, controlnet, adapter, case)
            tensors |= {f"{case.name}/{name}": tensor for name, tensor in made.items()}
            lines = np.array(control_picture(case.width, case.height))[:, :, 0]
            tensors[f"{case.width}x{case.height}/lines"] = torch.from_numpy(lines.copy())
            print(f"computed {case.name}", flush=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUTPUT / "expected.safetensors")
    write_lines(OUTPUT / "cases.json", [case.settings() for case in CONTROL_CASES])
    return 0


if __name__ == "__main__":
    sys.exit(main())
