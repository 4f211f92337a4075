#!/usr/bin/env python3
"""Writes the expected values of the WAN pipeline's tests, computed by PyTorch's diffusers in float32 on the CPU."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from diffusers.utils import is_ftfy_available
from safetensors.torch import save_file

from reference.fixture_files import write_lines, write_versions
from reference.make_tiny_wan import OUTPUT, SEED
from reference.tiny_wan import MODELS, load_tokenizer, write_source
from reference.tokenizer_strings import STRINGS
from reference.wan_cases import CASES, SHIPPED
from reference.wan_stages import MAX_TOKENS, load_pipeline, run_case


def token_cases(sources: Path) -> list[dict]:
    """For each text what the pipeline makes of it before it is tokenised, and each tokenizer's ids, cut at 512."""
    tokenizers = {name: load_tokenizer(sources / name) for name in ("random-wan", "random-wan-other")}
    return [
        {"text": text, "cleaned": prompt_clean(text)}
        | {
            name: tokenizer(prompt_clean(text), max_length=MAX_TOKENS, truncation=True).input_ids
            for name, tokenizer in tokenizers.items()
        }
        for text in (*STRINGS, "boat " * 600)
    ]


def vae_clip(pipeline) -> dict[str, torch.Tensor]:
    """A clip `[1, 3, 9, 32, 48]` in -1..1, its latent_parameters, and what their mean is decoded to."""
    generator = torch.Generator("cpu").manual_seed(17)
    sample = torch.rand(1, 3, 9, 32, 48, generator=generator) * 2 - 1
    with torch.no_grad():
        posterior = pipeline.vae.encode(sample).latent_dist
        decoded = pipeline.vae.decode(posterior.mean).sample
    return {"sample": sample, "latent_parameters": posterior.parameters, "decoded": decoded}


def write_shipped(source: Path, output: Path) -> None:
    """The frames that the model which ships with the project draws."""
    found = run_case(load_pipeline(source), SHIPPED)
    folder = output / "shipped"
    folder.mkdir(exist_ok=True)
    save_file({"frames_u8": found["frames_u8"]}, folder / "clip.safetensors")
    settings = json.dumps(SHIPPED.settings(), ensure_ascii=False)
    (folder / "clip.json").write_text(settings + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write (default: pipelines/wan/fixtures)")
    parser.add_argument("--only", help="write this case only")
    parser.add_argument("--shipped", type=Path, help="write the shipped model's case only; its diffusers folder")
    options = parser.parse_args()
    if is_ftfy_available():
        # diffusers would repair prompts with it, which the worker does not.
        print("make_wan_fixtures.py: uninstall ftfy first, with it prompts are cleaned differently.", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if options.shipped is not None:
        write_shipped(options.shipped, options.output)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch)
        for name, sizes in MODELS.items():
            write_source(sources / name, sizes, SEED)
        pipelines = {name: load_pipeline(sources / name) for name in MODELS}
        for case in CASES:
            if options.only not in (None, case.name):
                continue
            save_file(run_case(pipelines[case.model], case), options.output / f"{case.name}.safetensors")
            settings = json.dumps(case.settings(), ensure_ascii=False)
            (options.output / f"{case.name}.json").write_text(settings + "\n", encoding="utf-8")
            print(f"wrote {case.name}", flush=True)
        if options.only is None:
            save_file(vae_clip(pipelines["random-wan"]), options.output / "vae-clip.safetensors")
            write_lines(options.output / "tokenizer-cases.json", token_cases(sources))
            write_versions(options.output / "versions.json", "python tools/reference/make_wan_fixtures.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
