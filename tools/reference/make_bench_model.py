#!/usr/bin/env python3
"""Makes a random SDXL of about 90 million UNet parameters and exports it to ONNX, for benchmarks on a CPU."""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.export_sdxl import export
from export.source_folder import ExportError, write_json
from reference.make_tiny_sdxl import write_source
from reference.tiny_sdxl import Sizes

SIZES = Sizes(
    hidden=(256, 384),
    layers=(6, 8),
    heads=(4, 6),
    projection=384,
    time_ids_width=64,
    unet_channels=(96, 192, 320),
    unet_heads=(2, 3, 5),
    unet_layers_per_block=2,
    transformer_layers=(1, 2, 4),
    vae_channels=(32, 64, 64, 64),
    vae_layers_per_block=2,
    groups=32,
    sample_size=64,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="ONNX folder to write, outside of the repository")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32")
    parser.add_argument("--seed", type=int, default=7, help="seed of the weights (default: 7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "bench-sdxl"
        parameters = write_source(source, SIZES, options.seed)
        print(f"{parameters / 1e6:.1f} million parameters in all", flush=True)
        try:
            passed = export(source, options.output, dtype=options.dtype)
        except ExportError as error:
            print(f"make_bench_model.py: {error}", file=sys.stderr)
            return 2
    side = 8 * SIZES.sample_size
    write_json(options.output / "generation_config.json", {"width": side, "height": side})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
