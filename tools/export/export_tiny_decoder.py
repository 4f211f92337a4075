#!/usr/bin/env python3
"""Exports the decoder of a diffusers AutoencoderTiny (TAESD) into a model's folder, whose previews it then makes."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.program import Settings, export_components, run_program
from export.source_folder import ExportError, read_json, without_local_path, write_json

NAME = "export_tiny_decoder.py"
FOLDER = "vae_decoder_tiny"
EXAMPLES = """example:
  python tools/export/export_tiny_decoder.py checkpoints/taesdxl models/my-sdxl

The input is a folder as AutoencoderTiny.save_pretrained writes it, made for the model's own latents.
Exit status: 0 done, 1 the result differs from torch by more than the tolerance, 2 wrong input."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME, description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of the AutoencoderTiny")
    parser.add_argument("model", type=Path, help=f"the model's folder; {FOLDER}/ is written into it")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="default: float32")
    parser.add_argument("--threads", type=int, help="torch's CPU threads (default: torch decides)")
    return parser.parse_args(arguments)


def export(source: Path, model: Path, dtype: str = "float32") -> bool:
    """Writes `vae_decoder_tiny/`; returns whether it is within tolerance. Raises `ExportError`."""
    config_path = source / "config.json"
    config = read_json(config_path) if config_path.is_file() else {}
    if config.get("_class_name") != "AutoencoderTiny":
        raise ExportError(f"{source} is no folder of an AutoencoderTiny: its config.json does not say so.")
    write_json(model / FOLDER / "config.json", without_local_path(config))

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    from diffusers import AutoencoderTiny

    from export.component import Component
    from export.sdxl_components import VaeDecoder

    precision = getattr(torch, dtype)
    vae = AutoencoderTiny.from_pretrained(source, torch_dtype=precision).eval()
    scale = 2 ** (len(vae.config.decoder_block_out_channels) - 1)

    def latents(batch: int, height: int, width: int) -> tuple[torch.Tensor]:
        return (torch.randn(batch, vae.config.latent_channels, height, width).to(precision),)

    decoder = Component(
        FOLDER,
        VaeDecoder(vae),
        precision,
        {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        {"sample": {0: "batch_size", 2: f"latent_height * {scale}", 3: f"latent_width * {scale}"}},
        lambda: latents(2, 8, 6),
        lambda: [latents(1, 8, 8), latents(3, 5, 12)],
    )
    return export_components([decoder], model, Settings(dtype=dtype))


if __name__ == "__main__":
    sys.exit(run_program(NAME, parse_arguments(), export))
