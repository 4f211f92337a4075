"""An ONNX session of a plain Python loop."""

import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

NUMPY_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class Model:
    """One ONNX session that casts its inputs to the types it declares and adds up the seconds it runs."""

    def __init__(self, path: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.types = {value.name: NUMPY_TYPES[value.type] for value in self.session.get_inputs()}
        self.outputs = [value.name for value in self.session.get_outputs()]
        self.seconds = 0.0

    def __call__(self, **inputs) -> dict[str, torch.Tensor]:
        return self.run(inputs)

    def run(self, inputs: dict) -> dict[str, torch.Tensor]:
        """As calling it, for inputs whose names are no Python names."""
        feeds = {name: np.asarray(value, dtype=self.types[name]) for name, value in inputs.items()}
        started = time.perf_counter()
        results = self.session.run(None, feeds)
        self.seconds += time.perf_counter() - started
        return {name: torch.from_numpy(value) for name, value in zip(self.outputs, results, strict=True)}
