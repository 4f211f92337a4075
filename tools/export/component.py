"""What an exported ONNX file is: a torch module with named inputs and outputs and their free axes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

Tensors = tuple[torch.Tensor, ...]
Axes = dict[str, dict[int, str]]


@dataclass
class Component:
    """One ONNX file: `folder/file`."""

    folder: str
    module: torch.nn.Module
    dtype: torch.dtype
    inputs: Axes
    outputs: Axes
    trace_inputs: Callable[[], Tensors]
    check_inputs: Callable[[], list[Tensors]]
    # Run between the check's torch outputs and the trace, so that what it changes in the module is checked too.
    prepare_trace: Callable[[], None] = lambda: None
    # What the check compares with, when that is not `module` itself.
    reference: Callable[..., torch.Tensor | Tensors] | None = None
    file: str = "model.onnx"
