#!/usr/bin/env python3
"""Writes the expected values of prompt weights, computed by compel on the tests' random SDXL in float32 on the CPU."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from compel import Compel, CompelForSDXL, ReturnedEmbeddingsType
from compel.prompt_parser import Blend, PromptParser
from safetensors.torch import save_file

from reference.fixture_files import write_lines
from reference.make_fixtures import OUTPUT, load_pipeline
from reference.make_tiny_sdxl import SEED, write_source
from reference.tiny_sdxl import Sizes
from reference.weight_cases import CASES, WeightCase

# Every second value of an embedding, which halves the file.
STRIDE = 2
GRAMMAR_CASES = 400
ATOMS = (
    *("cat", "dog", "a-b", "été", "日本", "1", "5", "1.3", "0.5"),
    *("(", ")", "(", ")", "(", ")", " ", " ", " ", " ", ",", ".", '"', "\\(", "\\)", '\\"'),
    *("++", "--", "+", "-", "="),
)


class Reference:
    """`CompelForSDXL`, and the encoders by themselves for what it cannot do: `.and()` with weights fails in it."""

    def __init__(self, pipeline):
        self.whole = CompelForSDXL(pipeline)
        kind = ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
        pairs = ((pipeline.tokenizer, pipeline.text_encoder), (pipeline.tokenizer_2, pipeline.text_encoder_2))
        self.encoders = [
            Compel(tokenizer, encoder, truncate_long_prompts=False, returned_embeddings_type=kind)
            for tokenizer, encoder in pairs
        ]

    def encode(self, case: WeightCase) -> dict[str, torch.Tensor]:
        if len(case.texts) == 1 and case.name != "and with weights":
            result = self.whole(case.texts[0], negative_prompt=case.negative_prompt)
            tensors = {"hidden": result.embeds, "pooled": result.pooled_embeds}
            if case.negative_prompt is not None:
                tensors |= {
                    "negative_hidden": result.negative_embeds,
                    "negative_pooled": result.negative_pooled_embeds,
                }
        else:
            parts = [torch.cat([encoder(text) for encoder in self.encoders], dim=-1) for text in case.texts]
            pooled = self.whole.compel_2.conditioning_provider.get_pooled_embeddings([case.pooled or case.texts[0]])
            tensors = {"hidden": torch.cat(parts, dim=1), "pooled": pooled}
        return {
            name: value[..., ::STRIDE].contiguous() if "hidden" in name else value for name, value in tensors.items()
        }


def is_paired(text: str) -> bool:
    """Whether brackets are paired; compel takes others for letters, and we refuse them."""
    depth, escaped = 0, False
    for letter in text:
        if not escaped:
            depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
        escaped = letter == "\\" and not escaped
    return depth == 0


def grammar_cases() -> list[dict]:
    """Random texts that compel's parser reads: the runs of text with their weights."""
    chance, parser = random.Random(SEED), PromptParser()
    cases, seen = [], set()
    while len(cases) < GRAMMAR_CASES:
        text = "".join(chance.choices(ATOMS, k=chance.randint(2, 14)))
        if text in seen or not is_paired(text) or not any(mark in text for mark in "()+-"):
            continue
        seen.add(text)
        parts = parser.parse_conjunction(text).prompts
        assert not any(isinstance(part, Blend) for part in parts)
        # Brackets around nothing make no part.
        children = [child for part in parts for child in part.children]
        cases.append({"text": text, "fragments": [[child.text, child.weight] for child in children]})
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT / "weights", help="folder to write")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tensors, cases = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        write_source(Path(scratch), Sizes(), SEED)
        reference = Reference(load_pipeline(Path(scratch)))
        with torch.no_grad():
            for case in CASES:
                for name, value in reference.encode(case).items():
                    tensors[f"{case.name}.{name}"] = value
                job = {"prompt": case.prompt, "terms": case.terms, "negative_prompt": case.negative_prompt}
                cases.append({"name": case.name, **job})
    save_file(tensors, options.output / "embeddings.safetensors")
    write_lines(options.output / "cases.json", cases)
    write_lines(options.output / "grammar-cases.json", grammar_cases())
    print(f"wrote {len(cases)} prompts and {GRAMMAR_CASES} texts for the grammar")
    return 0


if __name__ == "__main__":
    sys.exit(main())
