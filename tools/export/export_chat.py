#!/usr/bin/env python3
"""Exports a causal language model to the ONNX folder that the worker loads; see `--help` and tools/README.md."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.chat_source import check_source, copy_small_files
from export.program import Settings, export_components, make_parser, prepare_output, run_program

NAME = "export_chat.py"
EXAMPLES = """examples:
  python tools/export/export_chat.py checkpoints/Qwen2.5-0.5B-Instruct models/qwen-0.5b --dtype float16
  python tools/export/export_chat.py checkpoints/my-llama /data/models/chat --half-storage --threads 4

The input is a folder as AutoModelForCausalLM.save_pretrained and the tokenizer's write it (Qwen, Llama, SmolLM, Gemma
and their like, with full attention in every layer). The graph gives the logits of the last token alone.
Exit status: 0 done, 1 the result differs from torch by more than the tolerance, 2 wrong input."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(NAME, __doc__, EXAMPLES, "folder of a language model (has config.json)")
    parser.add_argument("--no-position-ids", dest="positions", action="store_false", help="positions follow the mask")
    parser.add_argument(
        "--no-new-values", dest="new_values", action="store_false", help="leave out new_key_values, as other exporters do"
    )
    return parser.parse_args(arguments)


def export(source: Path, output: Path, positions: bool = True, new_values: bool = True, **options) -> bool:
    """Writes the whole folder; returns whether the graph is within tolerance.

    `options` are those of `Settings`. Raises `ExportError`.
    """
    settings = Settings(**options)
    config = check_source(source)
    prepare_output(source, output, settings)
    copy_small_files(source, output, config)

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    import transformers

    from export.chat_decoder import decoder

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    return export_components([decoder(source, getattr(torch, settings.dtype), positions, new_values)], output, settings)


if __name__ == "__main__":
    sys.exit(run_program(NAME, parse_arguments(), export))
