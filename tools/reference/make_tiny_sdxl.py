#!/usr/bin/env python3
"""Makes the tiny random SDXL that the tests run, and exports it to ONNX."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.export_sdxl import export
from export.source_folder import ExportError, write_json

SEED = 7
OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/random-sdxl"
SIZE = 128

CARD = """# random-sdxl

A Stable Diffusion XL pipeline with **random weights**. It was never trained: whatever the prompt says, it draws soft
coloured noise. A different prompt, seed or guidance scale draws different noise, and the same ones draw the same.

It exists so that the tests run real ONNX models in little time, on any machine without a download.
It has all the parts of the real model, laid out as `optimum-cli export onnx` does: two CLIP text encoders, a UNet with
size conditioning, both halves of the VAE, two tokenizers with a small vocabulary of their own, and a scheduler config.

| | |
|---|---|
| precision | float32 |
| default size | {size} x {size} (latents {latent} x {latent} x 4) |
| parameters | {parameters} |
| made by | `python tools/reference/make_tiny_sdxl.py` (seed {seed}) |
| licence | the project's; nothing in it comes from another model |
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="ONNX folder to write (default: the tests' own)")
    parser.add_argument("--source", type=Path, help="also keep the diffusers folder here")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of the weights (default: {SEED})")
    parser.add_argument("--replace", action="store_true", help="remove the output folder first")
    return parser.parse_args()


def write_source(folder: Path, sizes, seed: int) -> int:
    """Writes a random pipeline as a diffusers folder in SDXL's layout; returns the number of parameters."""
    from reference.tiny_sdxl import make_pipeline
    from reference.tiny_tokenizer import MERGES, listed_words, write_tokenizers

    vocabulary_size = write_tokenizers(folder, listed_words(), MERGES)
    pipeline = make_pipeline(sizes, folder, vocabulary_size, seed)
    pipeline.save_pretrained(folder)
    for name in ("tokenizer", "tokenizer_2"):
        # save_pretrained writes transformers' newest form; SDXL folders have the older files, and so should this one.
        shutil.rmtree(folder / name)
    write_tokenizers(folder, listed_words(), MERGES)
    modules = (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.unet, pipeline.vae)
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def main() -> int:
    options = parse_arguments()
    from reference.tiny_sdxl import Sizes

    if options.replace and options.output.exists():
        shutil.rmtree(options.output)
    sizes = Sizes()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.source or Path(scratch) / "tiny-sdxl"
        try:
            parameters = write_source(source, sizes, options.seed)
            passed = export(source, options.output)
        except ExportError as error:
            print(f"make_tiny_sdxl.py: {error}", file=sys.stderr)
            return 2
    write_json(options.output / "generation_config.json", {"width": SIZE, "height": SIZE})
    card = CARD.format(size=SIZE, latent=sizes.sample_size, parameters=f"{parameters:,}", seed=options.seed)
    (options.output / "README.md").write_text(card, encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
