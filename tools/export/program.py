"""What the export programs share: their arguments, the run over components, and how they end."""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .source_folder import ExportError


@dataclass(frozen=True)
class Settings:
    """How components are written and checked."""

    dtype: str = "float32"
    opset: int = 18
    check: bool = True
    external_data: bool = False
    half_storage: bool = False


def make_parser(name: str, description: str, epilog: str, source: str) -> argparse.ArgumentParser:
    """A parser with the arguments that every export program has."""
    parser = argparse.ArgumentParser(
        prog=name, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help=source)
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
        "--half-storage",
        action="store_true",
        help="with float32: keep weights as float16 in the file and widen them on load; half the size, the same speed",
    )
    parser.add_argument("--threads", type=int, help="torch's CPU threads (default: torch decides)")
    return parser


def prepare_output(source: Path, output: Path, settings: Settings) -> None:
    """Makes the output folder; raises `ExportError` when something is in it."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ExportError(f"{output} exists and is not an empty folder; remove it or choose another output.")
    output.mkdir(parents=True, exist_ok=True)
    print(f"{source} -> {output}, {settings.dtype}, opset {settings.opset}", flush=True)


def export_components(components: Iterable, output: Path, settings: Settings) -> bool:
    """Writes and checks one component after another; returns whether all are within tolerance."""
    import torch

    from .check import TOLERANCES, max_error, torch_cases
    from .onnx_files import write_component

    passed = True
    for component in components:
        report = Report(f"{component.folder} {component.dtype}")
        cases = torch_cases(component) if settings.check else []
        size = write_component(component, output, settings)
        path, names, precision = output / component.folder / component.file, list(component.inputs), component.dtype
        del component
        gc.collect()
        tolerance = TOLERANCES[torch.float16 if settings.half_storage else precision]
        passed = report.end(size, max_error(path, names, cases) if settings.check else None, tolerance) and passed
    return passed


class Report:
    """The line about one component, begun when its export begins."""

    def __init__(self, title: str):
        self.started = time.monotonic()
        print(f"{title.replace('torch.', ''):<22} … ", end="", flush=True)

    def end(self, size: int, errors: tuple[float, float] | None, tolerance: float) -> bool:
        """Prints bytes written and differences (absolute, relative); returns whether they are within tolerance."""
        line, within = f"{size / 1e6:.1f} MB", True
        if errors is not None:
            within = errors[1] <= tolerance
            verdict = "ok" if within else f"ABOVE the tolerance of {tolerance:.0e}"
            line += f", max abs error {errors[0]:.2e}, relative {errors[1]:.2e}: {verdict}"
        print(f"{line} ({time.monotonic() - self.started:.1f} s)", flush=True)
        return within


def run_program(name: str, options: argparse.Namespace, export: Callable[..., bool]) -> int:
    """Calls `export` with the arguments; returns the exit status."""
    try:
        if options.threads:
            import torch

            torch.set_num_threads(options.threads)
        passed = export(**{name: value for name, value in vars(options).items() if name != "threads"})
    except (ExportError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    if not passed:
        print(f"{name}: the ONNX files differ from torch by more than the tolerance; do not use them.", file=sys.stderr)
    return 0 if passed else 1
