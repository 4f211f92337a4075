#!/usr/bin/env python3
"""Makes the tiny random WANs that the tests run, and exports them to ONNX."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.export_wan import export
from export.source_folder import ExportError, write_json

SEED = 7
OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/wan/fixtures"

CARD = """# {name}

A WAN text-to-video pipeline with **random weights**. It was never trained: whatever the prompt says, it draws soft
coloured noise that flickers. It exists so that the tests run real ONNX models without a download.

| | |
|---|---|
| precision | float32 |
| parameters | {parameters:,} |
| made by | `python tools/reference/make_tiny_wan.py` (seed {seed}) |
| licence | the project's; nothing in it comes from another model |
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the models (default: the tests' own)")
    parser.add_argument("--only", help="make this model only, as random-wan-2")
    parser.add_argument("--source", type=Path, help="also keep the diffusers folders here")
    parser.add_argument("--replace", action="store_true", help="remove the models that are there first")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    import torch

    from reference.tiny_wan import MODELS, write_source

    torch.set_num_threads(1)
    passed = True
    for name, sizes in MODELS.items():
        if options.only not in (None, name):
            continue
        target = options.output / name
        if options.replace and target.exists():
            shutil.rmtree(target)
        with tempfile.TemporaryDirectory() as scratch:
            source = (options.source or Path(scratch)) / name
            try:
                parameters = write_source(source, sizes, SEED)
                # The other model is exported with plain operators, so that both kinds of graph are run.
                passed = export(source, target, plain_attention=name == "random-wan-other") and passed
            except ExportError as error:
                print(f"make_tiny_wan.py: {error}", file=sys.stderr)
                return 2
        side = 64
        write_json(target / "generation_config.json", {"width": side, "height": side, "frame_num": 17})
        card = CARD.format(name=name, parameters=parameters, seed=SEED)
        (target / "README.md").write_text(card, encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
