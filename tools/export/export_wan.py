#!/usr/bin/env python3
"""Exports a diffusers WAN folder to the ONNX folder that the worker loads; see `--help` and tools/README.md."""

import argparse
import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.program import Settings, export_components, make_parser, prepare_output, run_program
from export.wan_source import VACE, check_source, copy_small_files, has_image_encoder, transformer_names

NAME = "export_wan.py"
EXAMPLES = """examples:
  python tools/export/export_wan.py checkpoints/Wan2.1-T2V-1.3B-Diffusers models/wan-1.3b --dtype float16
  python tools/export/export_wan.py checkpoints/my-wan /data/models/my-wan --half-storage --threads 4

The input is a folder as WanPipeline.save_pretrained writes it: text-to-video, WAN 2.1 or the two-stage models of 2.2;
as WanImageToVideoPipeline.save_pretrained does: image-to-video, first-and-last-frame, and WAN 2.2's image-to-video;
or as WanVACEPipeline.save_pretrained does: VACE, which follows a control video, a mask and reference pictures.
The VAE is written in float32 whatever --dtype says, its first and following chunks as two graphs over one data file.
Exit status: 0 done, 1 the result differs from torch by more than the tolerance, 2 wrong input."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(NAME, __doc__, EXAMPLES, "diffusers WAN folder (has model_index.json)")
    parser.add_argument(
        "--plain-attention",
        action="store_true",
        help="write attention as plain operators, which hold a score for each pair of tokens: for tiny models and "
        "runtimes without ONNX Runtime's own operators",
    )
    return parser.parse_args(arguments)


def export(source: Path, output: Path, plain_attention: bool = False, **options) -> bool:
    """Writes the whole folder; returns whether every checked component is within tolerance.

    `options` are those of `Settings`. Raises `ExportError`.
    """
    settings = Settings(**options)
    index = check_source(source)
    prepare_output(source, output, settings)
    copy_small_files(source, output, index)

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    import transformers

    from export.wan_image import image_encoder, image_transformer, reads_pictures
    from export.wan_text import text_encoder
    from export.wan_transformer import transformer
    from export.wan_vace import vace_transformer
    from export.wan_vae_files import export_half, load_halves

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    dtype, fused = getattr(torch, settings.dtype), not plain_attention

    def components():
        yield text_encoder(source, dtype, fused)
        if has_image_encoder(source, index):
            yield image_encoder(source, dtype)
        for name in transformer_names(index):
            if index["_class_name"] == VACE:
                yield vace_transformer(source, name, dtype, fused)
            elif reads_pictures(source, name):
                yield image_transformer(source, name, dtype, fused)
            else:
                yield transformer(source, name, dtype, fused, by_token=bool(index.get("expand_timesteps")))

    passed = export_components(components(), output, settings)
    for half in load_halves(source, fused):
        passed = export_half(half, output, settings) and passed
        gc.collect()
    return passed


if __name__ == "__main__":
    sys.exit(run_program(NAME, parse_arguments(), export))
