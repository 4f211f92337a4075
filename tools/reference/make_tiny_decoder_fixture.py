#!/usr/bin/env python3
"""Writes a tiny decoder with random weights, and what PyTorch decodes with it, for the tests of previews."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from export.export_tiny_decoder import export

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/sdxl/fixtures/tiny-decoder"


@torch.no_grad()
def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    model = AutoencoderTiny(
        encoder_block_out_channels=(4, 4, 4, 4),
        decoder_block_out_channels=(4, 4, 4, 4),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).eval()
    # PyTorch's initial values give a grey picture.
    for module in model.decoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.mul_(1.5)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        if not export(Path(scratch), OUTPUT):
            return 1
    latents = torch.randn(1, 4, 6, 9)
    image = model.decode(latents / model.config.scaling_factor).sample
    save_file({"latents": latents, "image": image.contiguous()}, OUTPUT / "expected.safetensors")
    print(f"range {image.min():.2f} to {image.max():.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
