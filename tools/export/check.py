"""Compares an exported component with its torch module on random inputs of several sizes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .component import Component, Tensors

# Largest difference allowed, as a share of the output's largest magnitude (at least 1).
TOLERANCES = {torch.float32: 1e-4, torch.float16: 3e-2}


@dataclass
class CheckCase:
    """One set of inputs with the outputs that torch gave for it."""

    inputs: Tensors
    expected: list[np.ndarray]


def torch_cases(component: Component) -> list[CheckCase]:
    """Runs the torch module. This comes first, so that torch and ONNX Runtime never hold the weights together."""
    cases = []
    for inputs in component.check_inputs():
        with torch.no_grad():
            result = (component.reference or component.module)(*inputs)
        tensors = result if isinstance(result, tuple) else (result,)
        cases.append(CheckCase(inputs, [tensor.float().numpy() for tensor in tensors]))
    return cases


def max_error(model_path: Path, input_names: list[str], cases: list[CheckCase]) -> tuple[float, float]:
    """Largest absolute difference over all cases and outputs, and the largest one relative to its output's magnitude.

    Raises `ValueError` when an output's shape differs.
    """
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    absolute = relative = 0.0
    for case in cases:
        feeds = {name: tensor.numpy() for name, tensor in zip(input_names, case.inputs, strict=True)}
        outputs = zip(session.get_outputs(), session.run(None, feeds), case.expected, strict=True)
        for output, actual, expected in outputs:
            if actual.shape != expected.shape:
                raise ValueError(f"output {output.name} has shape {actual.shape}, torch gave {expected.shape}")
            difference = np.abs(actual.astype(np.float32) - expected).max().item()
            difference = difference if np.isfinite(difference) else float("inf")
            absolute = max(absolute, difference)
            relative = max(relative, difference / max(1.0, np.abs(expected).max().item()))
    return absolute, relative
