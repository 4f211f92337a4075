#!/usr/bin/env python3
"""Exports a diffusers SDXL folder to the ONNX folder that the worker loads; see `--help` and tools/README.md."""

import argparse
import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from export.source_folder import TOKENIZERS, ExportError, check_source, copy_configs, copy_tokenizer

EXAMPLES = """examples:
  python tools/export/export_sdxl.py checkpoints/my-sdxl models/my-sdxl --dtype float16
  python tools/export/export_sdxl.py checkpoints/my-sdxl /data/models/my-sdxl --external-data --no-check

The input is a folder as StableDiffusionXLPipeline.save_pretrained writes it. The output has the layout of
`optimum-cli export onnx`. A VAE whose config says force_upcast is written in float32 whatever --dtype says.
Exit status: 0 done, 1 the result differs from torch by more than the tolerance, 2 wrong input."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="export_sdxl.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="diffusers SDXL folder (has model_index.json)")
    parser.add_argument("output", type=Path, help="folder to write; must not exist, or be empty")
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32"),
        default="float32",
        help="precision of weights and inputs (default: float32)",
    )
    parser.add_argument("--opset", type=int, default=18, help="ONNX operator set (default: 18)")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare every component with torch (default: on)",
    )
    parser.add_argument("--external-data", action="store_true", help="put weights in model.onnx_data even below 2 GB")
    parser.add_argument(
        "--fused-attention",
        action="store_true",
        help="write the UNet's attention as ONNX Runtime's own operator: less memory and time on CUDA, not portable",
    )
    parser.add_argument(
        "--half-storage",
        action="store_true",
        help="with float32: keep weights as float16 in the file and widen them on load; half the size, the same speed",
    )
    parser.add_argument("--threads", type=int, help="torch's CPU threads (default: torch decides)")
    return parser.parse_args(arguments)


def export(
    source: Path,
    output: Path,
    dtype: str = "float32",
    opset: int = 18,
    check: bool = True,
    external_data: bool = False,
    fused_attention: bool = False,
    half_storage: bool = False,
) -> bool:
    """Writes the whole folder; returns whether every checked component is within tolerance. Raises `ExportError`."""
    index = check_source(source)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ExportError(f"{output} exists and is not an empty folder; remove it or choose another output.")
    output.mkdir(parents=True, exist_ok=True)
    print(f"{source} -> {output}, {dtype}, opset {opset}", flush=True)
    copy_configs(source, output, index)
    for name in TOKENIZERS:
        copy_tokenizer(source / name, output / name)

    # Imported late: wrong input is reported without the seconds that torch takes to load.
    import torch
    import transformers

    from export.check import TOLERANCES, max_error, torch_cases
    from export.components import load_components
    from export.onnx_files import write_component

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    passed = True
    for component in load_components(source, getattr(torch, dtype), fused_attention):
        started = time.monotonic()
        print(f"{component.folder:<15} {component.dtype} … ".replace("torch.", ""), end="", flush=True)
        cases = torch_cases(component) if check else []
        size = write_component(component, output, opset, external_data, half_storage)
        folder, names, precision = component.folder, list(component.inputs), component.dtype
        del component
        gc.collect()
        line = f"{size / 1e6:.1f} MB"
        if check:
            absolute, relative = max_error(output / folder / "model.onnx", names, cases)
            tolerance = TOLERANCES[torch.float16 if half_storage else precision]
            within = relative <= tolerance
            passed = passed and within
            verdict = "ok" if within else f"ABOVE the tolerance of {tolerance:.0e}"
            line += f", max abs error {absolute:.2e}, relative {relative:.2e}: {verdict}"
        print(f"{line} ({time.monotonic() - started:.1f} s)", flush=True)
    return passed


def main() -> int:
    options = parse_arguments()
    try:
        if options.threads:
            import torch

            torch.set_num_threads(options.threads)
        settings = {name: value for name, value in vars(options).items() if name != "threads"}
        passed = export(**settings)
    except (ExportError, OSError) as error:
        print(f"export_sdxl.py: {error}", file=sys.stderr)
        return 2
    if not passed:
        print(
            "export_sdxl.py: the ONNX files differ from torch by more than the tolerance; do not use them.",
            file=sys.stderr,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
