"""Small files beside the tensors of a fixture."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

from export.source_folder import write_json

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "safetensors",
    "numpy",
)


def write_lines(path: Path, cases: list[dict]) -> None:
    """A JSON array with one case a line: small, and a change shows as the lines that changed."""
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, allow_nan=False, separators=(",", ":")) for case in cases)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def write_versions(path: Path, command: str) -> None:
    """What made the fixtures, and with which versions."""
    versions = {"command": command, "python": platform.python_version()}
    write_json(path, versions | {package: version(package) for package in PACKAGES})
