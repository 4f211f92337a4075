#!/usr/bin/env python3
"""Writes the expected values of the SDXL pipeline's tests, computed by PyTorch's diffusers in float32 on the CPU."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from reference.cases import CASES, SHIPPED_CASES
from reference.fixture_files import write_lines, write_versions
from reference.make_tiny_sdxl import SEED, write_source
from reference.pipeline_stages import run_case, token_ids
from reference.tiny_sdxl import Sizes
from reference.unit_fixtures import euler_cases, random_numbers, token_cases

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures"


def load_pipeline(source: Path) -> StableDiffusionXLPipeline:
    """The pipeline of a diffusers folder, with the tokenizers read from vocab.json and merges.txt as they lie there."""
    tokenizers = {name: CLIPTokenizer.from_pretrained(source / name) for name in ("tokenizer", "tokenizer_2")}
    pipeline = StableDiffusionXLPipeline.from_pretrained(source, add_watermarker=False, **tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_case(pipeline: StableDiffusionXLPipeline, case, output: Path) -> None:
    with torch.no_grad():
        save_file(run_case(pipeline, case), output / f"{case.name}.safetensors")
    negative = None if case.negative_prompt is None else token_ids(pipeline, case.negative_prompt)
    ids = {"prompt": token_ids(pipeline, case.prompt), "negative_prompt": negative}
    path = output / f"{case.name}.json"
    path.write_text(json.dumps(case.settings() | {"token_ids": ids}, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {case.name}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="folder to write (default: pipelines/sdxl/fixtures)"
    )
    parser.add_argument(
        "--shipped", type=Path, help="write only the case of the shipped model, from this diffusers folder of it"
    )
    parser.add_argument("--only", nargs="+", metavar="CASE", help="write only these cases of the random model")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if options.shipped:
        for case in SHIPPED_CASES:
            write_case(load_pipeline(options.shipped), case, options.output)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        write_source(source, Sizes(), SEED)
        for case in CASES:
            if options.only and case.name not in options.only:
                continue
            # A fresh pipeline each: a case may change the scheduler's config.
            write_case(load_pipeline(source), case, options.output)
        if options.only:
            return 0
        tokenizers = {name: CLIPTokenizer.from_pretrained(source / name) for name in ("tokenizer", "tokenizer_2")}
        write_lines(options.output / "clip-tokenizer-cases.json", token_cases(tokenizers))
    write_lines(options.output / "euler-cases.json", euler_cases())
    save_file(random_numbers(), options.output / "randn.safetensors")
    write_versions(options.output / "versions.json", "python tools/reference/make_fixtures.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
