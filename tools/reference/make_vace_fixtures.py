#!/usr/bin/env python3
"""Writes VACE's models and expected values, computed by PyTorch's diffusers in float32 on the CPU."""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import diffusers
import torch
from diffusers import WanVACEPipeline, WanVACETransformer3DModel
from diffusers.pipelines.wan import pipeline_wan, pipeline_wan_vace
from safetensors.torch import save_file

from export.check import TOLERANCES, max_error, torch_cases
from export.onnx_files import write_component
from export.program import Settings
from export.source_folder import write_json
from export.wan_vace import vace_transformer
from reference.make_tiny_wan import OUTPUT, SEED
from reference.observing import observing
from reference.tiny_wan import MODELS, enliven, load_tokenizer, write_source
from reference.vace_cases import VACE_CASES, VaceCase, conditions
from reference.wan_stages import load_pipeline

FOLDER = OUTPUT / "vace"
# By name: the random WAN whose other parts it has, its layers, those of them that a control reaches, and whether a
# second transformer takes over.
VACE_MODELS = {
    "vace": ("random-wan", 3, [0, 2], False),
    "vace-2": ("random-wan", 1, [0], True),
    "vace-other": ("random-wan-other", 2, [0], False),
}
BOUNDARY_RATIO = 0.875


def make_transformer(beside, layers: int, vace_layers: list[int]) -> WanVACETransformer3DModel:
    """One that fits the text encoder and the VAE of the pipeline `beside`."""
    channels = beside.vae.config.z_dim
    model = WanVACETransformer3DModel(
        patch_size=beside.transformer.config.patch_size,
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=channels,
        text_dim=beside.transformer.config.text_dim,
        freq_dim=32,
        ffn_dim=48,
        num_layers=layers,
        rope_max_seq_len=64,
        vace_layers=vace_layers,
        vace_in_channels=2 * channels + beside.vae_scale_factor_spatial**2,
    )
    enliven(model)
    with torch.no_grad():
        # The random VAE's latents hardly tell one picture from another.
        model.vace_patch_embedding.weight.mul_(2)
        model.vace_patch_embedding.weight[:, : 2 * channels].mul_(8)
        for block in model.vace_blocks:
            block.proj_out.weight.mul_(3)
    return model.eval()


def make_pipeline(name: str, scratch: Path) -> WanVACEPipeline:
    beside_name, layers, vace_layers, two_stages = VACE_MODELS[name]
    source = scratch / beside_name
    if not source.exists():
        write_source(source, MODELS[beside_name], SEED)
    beside = load_pipeline(source)
    torch.manual_seed(SEED + 3)
    parts = {"transformer": make_transformer(beside, layers, vace_layers)}
    parts["transformer_2"] = make_transformer(beside, layers, vace_layers) if two_stages else None
    shared = {part: beside.components[part] for part in ("text_encoder", "vae", "scheduler")}
    pipeline = WanVACEPipeline(
        tokenizer=load_tokenizer(source), boundary_ratio=BOUNDARY_RATIO if two_stages else None, **shared, **parts
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_model(pipeline: WanVACEPipeline, name: str, scratch: Path) -> bool:
    """Writes the parts that are the model's own; returns whether they are within tolerance."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    passed = True
    for part in ("transformer", "transformer_2"):
        if getattr(pipeline, part) is None:
            continue
        getattr(pipeline, part).save_pretrained(scratch / name / part)
        # The other model's with plain operators, so that both kinds of graph are run.
        component = vace_transformer(scratch / name, part, torch.float32, fused=name != "vace-other")
        cases = torch_cases(component)
        write_component(component, folder, Settings())
        _, relative = max_error(folder / part / "model.onnx", list(component.inputs), cases)
        print(f"{name}/{part}: differs from torch by {relative:.1e}", flush=True)
        passed = passed and relative <= TOLERANCES[torch.float32]
        shutil.copyfile(scratch / name / part / "config.json", folder / part / "config.json")
    write_json(folder / "model_index.json", {**pipeline.config, "_class_name": "WanVACEPipeline"})
    return passed


def run_case(pipeline: WanVACEPipeline, case: VaceCase) -> dict[str, torch.Tensor]:
    """control `[1, vace_in_channels, frames, …]`, step_<k>.noise_pred (after guidance) and step_<k>.latents `[1,
    channels, reference + latent frames, …]`, and frames_u8 `[frames, height, width, 3]`."""
    stages: dict[str, torch.Tensor] = {}
    steps, parts = itertools.count(), []

    def step(result, noise_pred, *_) -> None:
        index = next(steps)
        stages.update({f"step_{index}.noise_pred": noise_pred, f"step_{index}.latents": result[0]})

    def prepared(result, *_) -> None:
        parts.append(result)

    observed = (
        (pipeline, "prepare_video_latents", prepared),
        (pipeline, "prepare_masks", prepared),
        (pipeline.scheduler, "step", step),
    )
    with observing(*observed), torch.no_grad():
        clip = pipeline(
            prompt=case.prompt,
            negative_prompt=case.negative_prompt,
            height=case.height,
            width=case.width,
            num_frames=case.frames,
            num_inference_steps=case.steps,
            guidance_scale=case.guidance_scale,
            guidance_scale_2=case.guidance_scale_2,
            generator=torch.Generator("cpu").manual_seed(case.seed),
            **conditions(case),
        ).frames[0]
    stages["control"] = torch.cat(parts, dim=1)
    stages["frames_u8"] = torch.from_numpy((clip * 255).round().astype("uint8"))
    return {name: tensor.detach().clone().contiguous() for name, tensor in stages.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="write the ONNX files too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(True)
    # VACE's own copy of this function cannot do without ftfy, which the worker has not.
    pipeline_wan_vace.prompt_clean = pipeline_wan.prompt_clean
    FOLDER.mkdir(parents=True, exist_ok=True)
    passed, tensors = True, {}
    with tempfile.TemporaryDirectory() as scratch:
        pipelines = {name: make_pipeline(name, Path(scratch)) for name in VACE_MODELS}
        for name, pipeline in pipelines.items():
            if options.models:
                passed = write_model(pipeline, name, Path(scratch)) and passed
        for case in VACE_CASES:
            found = run_case(pipelines[case.model], case)
            tensors |= {f"{case.name}/{name}": tensor for name, tensor in found.items()}
            print(f"computed {case.name}", flush=True)
    save_file(tensors, FOLDER / "expected.safetensors")
    lines = ",\n".join(json.dumps(case.settings()) for case in VACE_CASES)
    (FOLDER / "cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
