#!/usr/bin/env python3
"""Exports a diffusers SDXL folder to the ONNX folder that the worker loads; see `--help` and tools/README.md."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.condition_source import add_conditions, check_conditions, named_controlnets
from export.conditions import Conditions
from export.program import Settings, export_components, make_parser, prepare_output, run_program
from export.sdxl_source import check_source, copy_small_files, folders_of, time_id_count

NAME = "export_sdxl.py"
EXAMPLES = """examples:
  python tools/export/export_sdxl.py checkpoints/my-sdxl models/my-sdxl --dtype float16
  python tools/export/export_sdxl.py checkpoints/my-sdxl /data/models/my-sdxl --external-data --no-check
  python tools/export/export_sdxl.py checkpoints/my-sdxl models/my-sdxl --dtype float16 \\
    --controlnet canny=checkpoints/controlnet-canny-sdxl --controlnet depth=checkpoints/controlnet-depth-sdxl \\
    --ip-adapter checkpoints/ip-adapter_sdxl.safetensors --image-encoder checkpoints/image_encoder
  python tools/export/export_sdxl.py checkpoints/sdxl-refiner models/my-sdxl/refiner --refiner --dtype float16

The input is a folder as StableDiffusionXLPipeline.save_pretrained writes it. The output has the layout of
`optimum-cli export onnx`. A VAE whose config says force_upcast is written in float32 whatever --dtype says.
Exit status: 0 done, 1 the result differs from torch by more than the tolerance, 2 wrong input."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(NAME, __doc__, EXAMPLES, "diffusers SDXL folder (has model_index.json)")
    parser.add_argument(
        "--fused-attention",
        action="store_true",
        help="write the UNet's attention as ONNX Runtime's own operator: less memory and time on CUDA, not portable",
    )
    parser.add_argument(
        "--refiner",
        action="store_true",
        help="write only what the folder refiner/ of a base model needs: the UNet; encoder and VAE are the base's",
    )
    parser.add_argument(
        "--controlnet",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a ControlNetModel for this kind of picture (canny, depth, openpose, ...); may be given several times",
    )
    parser.add_argument("--ip-adapter", type=Path, metavar="FILE", help="an IP-Adapter's weights for SDXL")
    parser.add_argument(
        "--image-encoder", type=Path, metavar="FOLDER", help="the CLIP vision model that the IP-Adapter reads"
    )
    return parser.parse_args(arguments)


def export(
    source: Path,
    output: Path,
    fused_attention: bool = False,
    refiner: bool = False,
    controlnet: list[str] | None = None,
    ip_adapter: Path | None = None,
    image_encoder: Path | None = None,
    **options,
) -> bool:
    """Writes the whole folder; returns whether every checked component is within tolerance.

    `controlnet` are `NAME=FOLDER`; `options` are those of `Settings`. Raises `ExportError`.
    """
    settings = Settings(**options)
    index = check_source(source, refiner)
    conditions = Conditions(named_controlnets(controlnet or []), ip_adapter, image_encoder)
    check_conditions(source, conditions)
    prepare_output(source, output, settings)
    copy_small_files(source, output, index, refiner)
    add_conditions(output, conditions)

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    import transformers

    from export.sdxl_components import load_components

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    dtype = getattr(torch, settings.dtype)
    folders, time_ids = folders_of(index, refiner), time_id_count(index)
    components = load_components(source, dtype, fused_attention, folders, time_ids, conditions)
    return export_components(components, output, settings)


if __name__ == "__main__":
    sys.exit(run_program(NAME, parse_arguments(), export))
