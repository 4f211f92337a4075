#!/usr/bin/env python3
"""Makes a WAN of real sizes (2.1 T2V 1.3B) with random weights and exports it to ONNX, to measure time and memory."""

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.export_wan import export
from export.source_folder import ExportError, write_json

EXAMPLES = """example:
  python tools/reference/make_real_wan.py /data/real-wan --text-layers 1 --threads 2

All 24 layers of UMT5-XXL take 11.4 GB in float16; --text-layers makes fewer, each of the real size."""

TRANSFORMER = {
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "ffn_dim": 8960,
    "num_layers": 30,
    "text_dim": 4096,
    "freq_dim": 256,
    "patch_size": (1, 2, 2),
    "in_channels": 16,
    "out_channels": 16,
}
TEXT_ENCODER = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="ONNX folder to write, outside of the repository")
    parser.add_argument("--text-layers", type=int, default=24, help="layers of the text encoder (default: 24)")
    parser.add_argument("--layers", type=int, default=30, help="layers of the transformer (default: 30)")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="default: float16")
    parser.add_argument("--scratch", type=Path, help="where the diffusers folder lies meanwhile (default: /tmp)")
    parser.add_argument("--threads", type=int, default=1, help="torch's CPU threads (default: 1)")
    return parser.parse_args()


def write_model(folder: Path, make: Callable, dtype) -> None:
    """Saves a model whose weights are drawn in the type in which they are saved: the largest need no more memory."""
    import torch

    with torch.device("meta"):
        model = make().to(dtype)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1)
            else:
                parameter.normal_(0, 0.02)
    model.save_pretrained(folder, max_shard_size="2GB")


def write_source(source: Path, options: argparse.Namespace) -> None:
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    from reference.tiny_tokenizer import listed_words
    from reference.tiny_wan import SCHEDULER
    from reference.unigram_tokenizer import write_tokenizer

    torch.manual_seed(7)
    write_tokenizer(source / "tokenizer", sorted(listed_words()), 700)
    UniPCMultistepScheduler(**SCHEDULER, flow_shift=3.0).save_pretrained(source / "scheduler")
    write_json(
        source / "model_index.json",
        {
            "_class_name": "WanPipeline",
            "scheduler": ["diffusers", "UniPCMultistepScheduler"],
            "text_encoder": ["transformers", "UMT5EncoderModel"],
            "tokenizer": ["transformers", "T5TokenizerFast"],
            "transformer": ["diffusers", "WanTransformer3DModel"],
            "vae": ["diffusers", "AutoencoderKLWan"],
        },
    )
    dtype = getattr(torch, options.dtype)
    layers, text_layers = options.layers, options.text_layers
    write_model(source / "transformer", lambda: WanTransformer3DModel(**(TRANSFORMER | {"num_layers": layers})), dtype)
    gc.collect()
    config = UMT5Config(**TEXT_ENCODER, num_layers=text_layers, pad_token_id=0, eos_token_id=1)
    write_model(source / "text_encoder", lambda: UMT5EncoderModel(config), dtype)
    gc.collect()
    AutoencoderKLWan().save_pretrained(source / "vae")


def main() -> int:
    options = parse_arguments()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        write_source(Path(scratch), options)
        try:
            passed = export(Path(scratch), options.output, dtype=options.dtype)
        except ExportError as error:
            print(f"make_real_wan.py: {error}", file=sys.stderr)
            return 2
    write_json(options.output / "generation_config.json", {"width": 832, "height": 480, "frame_num": 81})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
