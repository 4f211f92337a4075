"""Writes both halves of a WAN VAE as `first.onnx` and `next.onnx` with common weights, and checks them over a clip."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .component import Component, Tensors
from .onnx_files import write_sharing
from .program import Report, Settings
from .source_folder import weights_variant
from .wan_vae import DecoderChunk, EncoderChunk

# Chunks against the clip as a whole.
TOLERANCE = 1e-5
HALF_STORAGE_TOLERANCE = 3e-2


@dataclass
class Half:
    """One half of the VAE: how it is exported, and clips with what torch makes of them in one call."""

    first: Component
    next: Component
    # Frames of the input that go into `next` at a time.
    chunk: int
    cases: Callable[[], list[tuple[torch.Tensor, np.ndarray]]]


def load_halves(source: Path, fused: bool) -> Iterator[Half]:
    """The decoder, then the encoder, in float32: diffusers too keeps WAN's VAE in float32 whatever the rest uses."""
    from diffusers import AutoencoderKLWan

    folder = source / "vae"
    vae = AutoencoderKLWan.from_pretrained(folder, torch_dtype=torch.float32, variant=weights_variant(folder)).eval()
    config = vae.config
    frames = 2 ** sum(config.temperal_downsample)
    patch = config.patch_size or 1
    scale = patch * 2 ** (len(config.dim_mult) - 1)
    latent_area, area = {3: "latent_height", 4: "latent_width"}, {3: "sample_height", 4: "sample_width"}

    def latents(*shape: int) -> torch.Tensor:
        return torch.randn(shape[0], config.z_dim, *shape[1:])

    def clip(batch: int, count: int, height: int, width: int) -> torch.Tensor:
        return torch.rand(batch, config.in_channels // patch**2, count, height * scale, width * scale) * 2 - 1

    yield _half(
        "vae_decoder",
        lambda first: DecoderChunk(vae, first, fused),
        ("latent_sample", latent_area),
        ("sample", area),
        (latents(2, 1, 3, 2), latents(2, 1, 3, 2)),
        1,
        lambda: [(values, vae.decode(values).sample) for values in (latents(1, 4, 5, 3), latents(2, 3, 2, 4))],
    )
    yield _half(
        "vae_encoder",
        lambda first: EncoderChunk(vae, first, fused),
        ("sample", area),
        ("latent_parameters", latent_area),
        (clip(2, 1, 3, 2), clip(2, frames, 3, 2)),
        frames,
        lambda: [
            (values, vae.encode(values).latent_dist.parameters)
            for values in (clip(1, 1 + 3 * frames, 5, 3), clip(2, 1 + 2 * frames, 2, 4))
        ],
    )


def _half(folder: str, make, given, result, examples: Tensors, chunk: int, cases) -> Half:
    """`given` and `result` are a name and the free axes beside the batch."""
    with torch.no_grad():
        caches = make(True)(examples[0])[1:]
    axes = {0: "batch"}
    inputs = {given[0]: axes | given[1]}
    outputs = {result[0]: axes | result[1]}

    def cache_axes(prefix: str) -> dict[str, dict[int, str]]:
        return {
            f"{prefix}.{index}": axes | {3: f"cache_height.{index}", 4: f"cache_width.{index}"}
            for index in range(len(caches))
        }

    def component(first: bool) -> Component:
        traced = (examples[0],) if first else (examples[1], *caches)
        return Component(
            folder,
            make(first),
            torch.float32,
            inputs if first else inputs | cache_axes("cache"),
            outputs | cache_axes("cache_out"),
            lambda: traced,
            lambda: [],
            file="first.onnx" if first else "next.onnx",
        )

    def computed() -> list[tuple[torch.Tensor, np.ndarray]]:
        with torch.no_grad():
            return [(values, expected.numpy()) for values, expected in cases()]

    return Half(component(True), component(False), chunk, computed)


def export_half(half: Half, output: Path, settings: Settings) -> bool:
    """Writes one half; returns whether it is within tolerance."""
    folder = half.first.folder
    report = Report(f"{folder} {half.first.dtype}")
    cases = half.cases() if settings.check else []
    size = write_sharing([half.first, half.next], output, settings)
    errors = _max_error(output / folder, half.chunk, cases) if settings.check else None
    return report.end(size, errors, HALF_STORAGE_TOLERANCE if settings.half_storage else TOLERANCE)


def _max_error(folder: Path, chunk: int, cases: list[tuple[torch.Tensor, np.ndarray]]) -> tuple[float, float]:
    """As `check.max_error`, over whole clips that run through the files chunk by chunk."""
    sessions = [
        onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
        for name in ("first.onnx", "next.onnx")
    ]
    absolute = relative = 0.0
    for values, expected in cases:
        actual = run_chunks(*sessions, values.numpy(), chunk)
        if actual.shape != expected.shape:
            raise ValueError(f"{folder}: the chunks give {actual.shape}, torch gave {expected.shape}")
        difference = np.abs(actual - expected).max().item()
        difference = difference if np.isfinite(difference) else float("inf")
        absolute = max(absolute, difference)
        relative = max(relative, difference / max(1.0, np.abs(expected).max().item()))
    return absolute, relative


def run_chunks(first, following, values: np.ndarray, chunk: int) -> np.ndarray:
    """Runs a clip `[batch, channels, frames, height, width]` through both sessions of a half, chunk by chunk."""
    given = first.get_inputs()[0].name
    names = [value.name for value in following.get_inputs()][1:]
    result, *caches = first.run(None, {given: values[:, :, :1]})
    results = [result]
    for start in range(1, values.shape[2], chunk):
        feeds = dict(zip(names, caches, strict=True)) | {given: values[:, :, start : start + chunk]}
        result, *caches = following.run(None, feeds)
        results.append(result)
    return np.concatenate(results, axis=2)
