#!/usr/bin/env python3
"""Writes a text encoder that computes in float16, and its states where some tokens are masked."""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from export.onnx_files import write_component
from export.program import Settings
from export.sdxl_components import _text_encoder
from reference.make_tiny_sdxl import SEED

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/half-encoder"
VOCABULARY = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/random-sdxl/tokenizer/vocab.json"
LENGTH = 77
MASKED = (3, 4, 9)


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    vocabulary = len(json.loads(VOCABULARY.read_text(encoding="utf-8")))
    config = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=8, max_position_embeddings=LENGTH, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    model = CLIPTextModel(config).eval().half()
    with torch.no_grad():
        model.embeddings.token_embedding.weight.mul_(40)
    ids = torch.randint(3, vocabulary - 1, (1, LENGTH))
    mask = torch.ones(1, LENGTH, dtype=torch.long)
    mask[0, list(MASKED)] = 0
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        model.save_pretrained(Path(scratch) / "text_encoder")
        write_component(_text_encoder(Path(scratch), "text_encoder", torch.float16), OUTPUT, Settings(dtype="float16"))
        states = model.float()(ids, attention_mask=mask, output_hidden_states=True).hidden_states[-2]
        plain = model(ids, output_hidden_states=True).hidden_states[-2]
    tensors = {"ids": ids.float(), "mask": mask.to(torch.uint8), "masked": states, "plain": plain}
    save_file({name: value.contiguous() for name, value in tensors.items()}, OUTPUT / "expected.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
