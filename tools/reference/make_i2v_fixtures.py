#!/usr/bin/env python3
"""Writes image-to-video's models and expected values, computed by PyTorch's diffusers in float32 on the CPU."""

import argparse
import itertools
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import diffusers
import torch
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from diffusers.pipelines.wan import pipeline_wan, pipeline_wan_i2v
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from export.export_wan import export
from reference.fixture_files import write_lines
from reference.i2v_cases import IMAGE_CASES, ImageCase
from reference.make_tiny_wan import OUTPUT, SEED
from reference.observing import observing
from reference.tiny_wan import MODELS, enliven, load_tokenizer, write_source
from reference.wan_frames import clip, picture
from reference.wan_stages import load_pipeline, make_scheduler

FOLDER = OUTPUT / "i2v"
# Parts that the models for pictures have in common.
IMAGE_PARTS = ("image_encoder", "image_processor")
# By name: the random WAN whose other parts it has, for how many pictures it reads features, whether a second
# transformer takes over, and whether it has a timestep for every token, and a VAE of its own, as WAN 2.2's TI2V-5B.
IMAGE_MODELS = {
    "i2v": ("random-wan", 1, False, False),
    "flf2v": ("random-wan", 2, False, False),
    "i2v-2": ("random-wan", 0, True, False),
    "i2v-other": ("random-wan-other", 1, False, False),
    "ti2v": ("random-wan", 0, False, True),
}
BOUNDARY_RATIO = 0.9
PICTURE_SIZE, PATCH, PICTURE_WIDTH = 28, 14, 16
FEATURES = (PICTURE_SIZE // PATCH) ** 2 + 1


@torch.no_grad()
def make_transformer(beside, vae: AutoencoderKLWan, pictures: int, by_token: bool) -> WanTransformer3DModel:
    """One that fits the VAE, and the text encoder of the pipeline `beside`."""
    channels, heads, head_width = vae.config.z_dim, 2, 12
    model = WanTransformer3DModel(
        patch_size=beside.transformer.config.patch_size,
        num_attention_heads=heads,
        attention_head_dim=head_width,
        in_channels=channels if by_token else 2 * channels + beside.vae_scale_factor_temporal,
        out_channels=channels,
        text_dim=beside.transformer.config.text_dim,
        freq_dim=32,
        ffn_dim=48,
        num_layers=2 if pictures else 1,
        rope_max_seq_len=64,
        image_dim=PICTURE_WIDTH if pictures else None,
        added_kv_proj_dim=heads * head_width if pictures else None,
        pos_embed_seq_len=2 * FEATURES if pictures == 2 else None,
    )
    enliven(model)
    # The random VAE's latents hardly tell one picture from another.
    model.patch_embedding.weight[:, -channels:].mul_(8)
    if pictures:
        for block in model.blocks:
            block.attn2.add_v_proj.weight.mul_(3)
            torch.nn.init.normal_(block.attn2.norm_added_k.weight, mean=1, std=0.1)
    if pictures == 2:
        torch.nn.init.normal_(model.condition_embedder.image_embedder.pos_embed)
    return model.eval()


@torch.no_grad()
def make_residual_vae() -> AutoencoderKLWan:
    """As that of TI2V-5B: blocks of pixels as channels, and ways around each level. It scales to an eighth."""
    channels = 12
    vae = AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=6,
        z_dim=channels,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[round(0.1 * index - 0.05 * channels, 4) for index in range(channels)],
        latents_std=[round(1 + 0.07 * index, 4) for index in range(channels)],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_temporal=4,
        scale_factor_spatial=8,
    )
    for parameter in vae.encoder.parameters():
        parameter.mul_(1.5)
    return vae.eval()


def make_image_encoder() -> CLIPVisionModel:
    config = CLIPVisionConfig(
        hidden_size=PICTURE_WIDTH,
        intermediate_size=2 * PICTURE_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=PICTURE_SIZE,
        patch_size=PATCH,
    )
    model = CLIPVisionModel(config)
    with torch.no_grad():
        model.embeddings.patch_embedding.weight.mul_(10)
    return model.eval()


def make_pipeline(name: str, scratch: Path) -> WanImageToVideoPipeline:
    beside_name, pictures, two_stages, by_token = IMAGE_MODELS[name]
    source = scratch / beside_name
    if not source.exists():
        write_source(source, MODELS[beside_name], SEED)
    beside = load_pipeline(source)
    torch.manual_seed(SEED + 5)
    parts = {"image_encoder": make_image_encoder() if pictures else None}
    vae = make_residual_vae() if by_token else beside.vae
    parts["transformer"] = make_transformer(beside, vae, pictures, by_token)
    parts["transformer_2"] = make_transformer(beside, vae, pictures, by_token) if two_stages else None
    shared = {part: beside.components[part] for part in ("text_encoder", "scheduler")}
    pipeline = WanImageToVideoPipeline(
        tokenizer=load_tokenizer(source),
        image_processor=CLIPImageProcessorPil(size=PICTURE_SIZE, crop_size=PICTURE_SIZE) if pictures else None,
        boundary_ratio=BOUNDARY_RATIO if two_stages else None,
        expand_timesteps=by_token,
        vae=vae,
        **shared,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_model(pipeline: WanImageToVideoPipeline, name: str, scratch: Path) -> bool:
    """Exports the whole model and keeps what is its own; returns whether it is within tolerance."""
    source, exported = (scratch / f"{name}-{kind}" for kind in ("source", "onnx"))
    pipeline.save_pretrained(source)
    shutil.copytree(scratch / IMAGE_MODELS[name][0] / "tokenizer", source / "tokenizer", dirs_exist_ok=True)
    # The other model's with plain operators, so that both kinds of graph are run.
    passed = export(source, exported, plain_attention=name == "i2v-other")
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    own_vae = ("vae_decoder", "vae_encoder") if IMAGE_MODELS[name][3] else ()
    for part in ("model_index.json", "transformer", "transformer_2", *own_vae):
        if (exported / part).exists():
            (exported / part).rename(folder / part)
    for part in IMAGE_PARTS:
        if (exported / part).exists():
            shutil.copytree(exported / part, FOLDER / "image" / part, dirs_exist_ok=True)
    return passed


def called(pipeline: WanImageToVideoPipeline, case: ImageCase) -> tuple[WanImageToVideoPipeline | WanPipeline, dict]:
    """The pipeline that makes the clip, with what it is given beside a prompt: without a picture, another one."""
    first, last = (
        None if number is None else Image.fromarray(picture(case.width, case.height, number))
        for number in (case.first, case.last)
    )
    if first is not None:
        return pipeline, {"image": first, "last_image": last}
    names = ("tokenizer", "text_encoder", "vae", "scheduler", "transformer")
    without = WanPipeline(**{name: pipeline.components[name] for name in names}, expand_timesteps=True)
    without.set_progress_bar_config(disable=True)
    return without, {}


def run_case(pipeline: WanImageToVideoPipeline, case: ImageCase) -> dict[str, torch.Tensor]:
    """pixel_values and image_embeds `[pictures, …]` where there is an image encoder, condition `[1, mask and latent
    channels, latent frames, …]`, step_<k>.noise_pred (after guidance) and step_<k>.latents `[1, channels, …]`, and
    frames_u8 `[frames, height, width, 3]`."""
    stages: dict[str, torch.Tensor] = {}
    steps = itertools.count()
    own = pipeline.scheduler
    config = own.config | {"_class_name": type(own).__name__}
    pipeline.scheduler = make_scheduler(config, case.scheduler, case.flow_shift)

    def step(result, noise_pred, *_) -> None:
        index = next(steps)
        stages.update({f"step_{index}.noise_pred": noise_pred, f"step_{index}.latents": result[0]})

    def prepared(result, *_) -> None:
        stages["condition"] = result[1]

    def embedded(result, image, *_) -> None:
        stages["image_embeds"] = result
        stages["pixel_values"] = pipeline.image_processor(images=image, return_tensors="pt").pixel_values

    observed = (
        (pipeline, "prepare_latents", prepared),
        (pipeline, "encode_image", embedded),
        (pipeline.scheduler, "step", step),
    )
    used, given = called(pipeline, case)
    with observing(*observed), torch.no_grad():
        made = used(
            **given,
            prompt=case.prompt,
            negative_prompt=case.negative_prompt,
            height=case.height,
            width=case.width,
            num_frames=case.frames,
            num_inference_steps=case.steps,
            guidance_scale=case.guidance_scale,
            guidance_scale_2=case.guidance_scale_2,
            generator=torch.Generator("cpu").manual_seed(case.seed),
        ).frames[0]
    stages["frames_u8"] = torch.from_numpy((made * 255).round().astype("uint8"))
    pipeline.scheduler = own
    return {name: tensor.detach().clone().contiguous() for name, tensor in stages.items()}


def encoded(vae: AutoencoderKLWan, sample: torch.Tensor) -> torch.Tensor:
    """Latents in the transformer's scale."""
    values = (vae.config.latents_mean, vae.config.latents_std)
    mean, std = (torch.tensor(value).view(1, -1, 1, 1, 1) for value in values)
    with torch.no_grad():
        return ((vae.encode(sample).latent_dist.mode() - mean) * (1.0 / std)).contiguous()


def encoded_clips(sources: Path) -> dict[str, torch.Tensor]:
    """Clips by formula, encoded whole, and in tiles of 32 pixels that begin at each 24."""
    wan, other = (
        AutoencoderKLWan.from_pretrained(sources / name / "vae") for name in ("random-wan", "random-wan-other")
    )
    # The last two of eleven frames fill no chunk.
    latents = {
        "random-wan.whole": encoded(wan, clip(96, 64, 11)),
        "random-wan-other.whole": encoded(other, clip(24, 32, 5)),
    }
    wan.enable_tiling(32, 32, 24, 24)
    return latents | {"random-wan.tiled": encoded(wan, clip(96, 64, 11))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=[], help="write these models' ONNX files too", metavar="NAME")
    options = parser.parse_args()
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(True)
    # This pipeline's own copy of the function cannot do without ftfy, which the worker has not.
    pipeline_wan_i2v.prompt_clean = pipeline_wan.prompt_clean
    FOLDER.mkdir(parents=True, exist_ok=True)
    passed, tensors = True, {}
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch)
        pipelines = {name: make_pipeline(name, sources) for name in IMAGE_MODELS}
        for name, pipeline in pipelines.items():
            if name in options.models:
                passed = write_model(pipeline, name, sources) and passed
        for case in IMAGE_CASES:
            found = run_case(pipelines[case.model], case)
            tensors |= {f"{case.name}/{name}": tensor for name, tensor in found.items()}
            print(f"computed {case.name}", flush=True)
        save_file(encoded_clips(sources), FOLDER / "encoded-clips.safetensors")
    save_file(tensors, FOLDER / "expected.safetensors")
    write_lines(FOLDER / "cases.json", [case.settings() for case in IMAGE_CASES])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
