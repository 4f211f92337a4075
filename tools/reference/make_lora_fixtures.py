#!/usr/bin/env python3
"""Writes LoRA files in the layouts of diffusers, kohya and PEFT, and what diffusers draws with them."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

from reference.fixture_files import write_versions
from reference.lora_files import LAYOUTS, write_lora
from reference.make_fixtures import load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.tiny_sdxl import Sizes

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/lora/fixtures"

# Which files a job uses, and how much of each.
CASES = {
    **{f"{name} alone": [(name, 0.8)] for name in LAYOUTS},
    "two at once": [("peft", 0.7), ("kohya", -0.4)],
    "all of them": [(name, 0.5) for name in LAYOUTS],
    "none of it": [("peft", 0.0)],
}
PROMPT = "a red fox in the snow, golden hour"
NEGATIVE_PROMPT = "blurry"
STEPS = 3


def draw(pipeline: StableDiffusionXLPipeline) -> dict[str, torch.Tensor]:
    """What the case's fixture has: the prompt's embeddings and the last latents `[1, 4, 8, 8]`."""
    embeddings = pipeline.encode_prompt(PROMPT, do_classifier_free_guidance=False)
    latents = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        width=64,
        height=64,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(5),
        output_type="latent",
    ).images
    return {"hidden": embeddings[0], "pooled": embeddings[2], "latents": latents}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write (default: pipelines/lora/fixtures)")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tensors: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        write_source(source, Sizes(), SEED)
        for name in LAYOUTS:
            write_lora(name, load_pipeline(source), output / f"{name}.safetensors")
        for case, loras in CASES.items():
            pipeline = load_pipeline(source)
            for name, strength in loras:
                # One after another: transformers 5 draws an adapter's weights anew when a second one is loaded.
                pipeline.load_lora_weights(output / f"{name}.safetensors")
                pipeline.fuse_lora(lora_scale=strength)
                pipeline.unload_lora_weights()
            with torch.no_grad():
                drawn = draw(pipeline)
            tensors |= {f"{case}.{name}": tensor.detach().clone().contiguous() for name, tensor in drawn.items()}
            print(f"drew {case}", flush=True)
    save_file(tensors, output / "expected.safetensors")
    cases = {case: [{"name": name, "strength": strength} for name, strength in loras] for case, loras in CASES.items()}
    settings = {"prompt": PROMPT, "negative_prompt": NEGATIVE_PROMPT, "steps": STEPS, "seed": 5, "guidance_scale": 5.0}
    path = output / "cases.json"
    path.write_text(json.dumps(settings | {"cases": cases}, indent=2) + "\n", encoding="utf-8")
    write_versions(output / "versions.json", "python tools/reference/make_lora_fixtures.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
