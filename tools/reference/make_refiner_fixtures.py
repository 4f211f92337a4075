#!/usr/bin/env python3
"""Writes the models and expected values of refiners, computed by diffusers in float32 on the CPU."""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import diffusers
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file

from export.onnx_files import write_component
from export.program import Settings
from export.sdxl_unet import load_unet
from export.source_folder import write_json
from reference.make_fixtures import load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.picture_stages import scene
from reference.refiner_cases import CUT_SCHEDULERS, CUT_SHARES, CUT_STEPS, REFINER_CASES, RefinerCase
from reference.tiny_sdxl import SCHEDULER, Sizes, make_unet

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/refiner"
SIZE = 64
# One level each, with cross attention in the middle: the fixtures hold two of them.
SMALL = Sizes(unet_channels=(8,), unet_heads=(1,), transformer_layers=(1,), groups=4)
BLOCKS = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
TIME_IDS = 5


def write_unet(unet: torch.nn.Module, folder: Path, time_ids: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        unet.save_pretrained(Path(scratch) / "unet")
        write_component(load_unet(Path(scratch), torch.float32, False, time_ids), folder, Settings())
        shutil.copyfile(Path(scratch) / "unet/config.json", folder / "unet/config.json")


def make_unets() -> tuple[torch.nn.Module, torch.nn.Module]:
    """A refiner's UNet, which listens to the second encoder, and one that is shown its guidance scale."""
    torch.manual_seed(SEED + 2)
    width = TIME_IDS * SMALL.time_ids_width + SMALL.projection
    refiner = make_unet(
        SMALL, cross_attention_dim=SMALL.hidden[1], projection_class_embeddings_input_dim=width, **BLOCKS
    )
    lcm = make_unet(SMALL, time_cond_proj_dim=10, **BLOCKS)
    with torch.no_grad():
        for unet in (refiner, lcm):
            unet.add_embedding.linear_2.weight.mul_(4)
            for name, module in unet.named_modules():
                if name.endswith("attn2"):
                    module.to_v.weight.mul_(8)
        lcm.time_embedding.cond_proj.weight.mul_(4)
    return refiner.eval(), lcm.eval()


class Runs:
    """Pipelines over one set of components, and the latents of all their steps in order."""

    def __init__(self, parts: dict, refiner: torch.nn.Module, lcm: torch.nn.Module):
        self.parts, self.refiner, self.lcm = parts, refiner, lcm
        self.stages: list[list[torch.Tensor]] = []

    def pipeline(self, kind: type, case: RefinerCase, **others):
        own = self.parts["scheduler"]
        scheduler = type(own) if case.scheduler is None else getattr(diffusers, case.scheduler)
        parts = self.parts | {"scheduler": scheduler.from_config(own.config)} | others
        pipeline = kind(**parts, add_watermarker=False)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def refining(self, case: RefinerCase):
        return self.pipeline(
            StableDiffusionXLImg2ImgPipeline, case, unet=self.refiner, text_encoder=None, tokenizer=None,
            requires_aesthetics_score=True, force_zeros_for_empty_prompt=False,
        )  # fmt: skip

    def run(self, case: RefinerCase) -> dict[str, torch.Tensor]:
        images = []
        for index in range(case.num_images):
            self.steps: list[torch.Tensor] = []
            images.append(self.draw(case, torch.Generator("cpu").manual_seed(case.seed + index)))
            self.stages.append(self.steps)
        made = {f"step_{step}": torch.cat(parts) for step, parts in enumerate(zip(*self.stages, strict=True))}
        self.stages = []
        return made

    def draw(self, case: RefinerCase, generator: torch.Generator) -> None:
        def stepped(_pipeline, _step, _timestep, values) -> dict:
            self.steps.append(values["latents"].detach().clone())
            return {}

        common = {
            "prompt": case.prompt,
            "negative_prompt": case.negative_prompt,
            "num_inference_steps": case.steps,
            "guidance_scale": case.guidance_scale,
            "generator": [generator],
            "output_type": "latent",
            "callback_on_step_end": stepped,
        }
        scores = {
            "aesthetic_score": case.aesthetic_score,
            "negative_aesthetic_score": case.negative_aesthetic_score,
        }
        picture = {"image": scene(SIZE, SIZE), "strength": case.strength}
        unet = {"unet": self.lcm} if case.task.startswith("lcm") else {}
        if case.task == "refiner":
            self.refining(case)(**common, **picture, **scores)
        elif case.task.endswith("img2img"):
            pipeline = self.pipeline(StableDiffusionXLImg2ImgPipeline, case, **unet)
            latents = pipeline(**common, **picture, denoising_end=case.denoising_end).images
        else:
            pipeline = self.pipeline(StableDiffusionXLPipeline, case, **unet)
            latents = pipeline(**common, width=SIZE, height=SIZE, denoising_end=case.denoising_end).images
        if case.task.startswith("handover"):
            self.refining(case)(**common, **scores, image=latents, denoising_start=case.denoising_end)


def cuts() -> list[dict]:
    """By scheduler `[steps, share, end, start]`: how many calls the base runs, and at which the refiner begins."""
    found = []
    for name, config in CUT_SCHEDULERS.items():
        kind = getattr(diffusers, name)
        rows = []
        for steps, share in itertools.product(CUT_STEPS, CUT_SHARES):
            scheduler = kind.from_config(SCHEDULER | config)
            scheduler.set_timesteps(steps)
            trained = scheduler.config.num_train_timesteps
            cutoff = round(trained - share * trained)
            # As the base's pipeline counts them, in its body.
            end = sum(1 for timestep in scheduler.timesteps if timestep >= cutoff)
            refiner = SimpleNamespace(scheduler=scheduler)
            rest, _ = StableDiffusionXLImg2ImgPipeline.get_timesteps(refiner, steps, 0.3, "cpu", share)
            rows.append([steps, share, end, len(scheduler.timesteps) - len(rest)])
        found.append({"scheduler": name, "config": SCHEDULER | config, "cuts": rows})
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="write the ONNX files too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(True)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    refiner, lcm = make_unets()
    if options.models:
        write_unet(refiner, OUTPUT / "refiner", TIME_IDS)
        index = {
            "_class_name": "StableDiffusionXLImg2ImgPipeline",
            "force_zeros_for_empty_prompt": False,
            "requires_aesthetics_score": True,
            "scheduler": ["diffusers", "EulerDiscreteScheduler"],
            "text_encoder": [None, None],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer": [None, None],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        }
        write_json(OUTPUT / "refiner/model_index.json", index)
        write_unet(lcm, OUTPUT / "lcm", 6)
    tensors = {}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        source = Path(scratch)
        write_source(source, Sizes(), SEED)
        parts = dict(load_pipeline(source).components)
        parts.pop("image_encoder"), parts.pop("feature_extractor")
        runs = Runs(parts, refiner, lcm)
        for case in REFINER_CASES:
            tensors |= {f"{case.name}/{name}": tensor.contiguous() for name, tensor in runs.run(case).items()}
            print(f"computed {case.name}", flush=True)
    save_file(tensors, OUTPUT / "expected.safetensors")
    cases = ",\n".join(json.dumps(case.settings()) for case in REFINER_CASES)
    (OUTPUT / "cases.json").write_text(f"[\n{cases}\n]\n", encoding="utf-8")
    lines = ",\n".join(json.dumps(cut) for cut in cuts())
    (OUTPUT / "cuts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
