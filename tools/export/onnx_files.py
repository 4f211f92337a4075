"""Writes one traced torch module as `model.onnx`, cleaned, with its weights inside or in one file beside it."""

import logging
import tempfile
import warnings
from pathlib import Path

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer

from .components import Component

# A protobuf message ends at 2 GiB; stay clear of it for the graph itself.
INLINE_LIMIT_BYTES = 1_900_000_000
DATA_FILE = "model.onnx_data"


# Smaller tensors (biases, norms) stay float32: they weigh nothing, and each cast is a node.
HALF_STORAGE_VALUES = 1024


def write_component(component: Component, output: Path, opset: int, external_data: bool, half_storage: bool) -> int:
    """Traces `component`, writes `output/<folder>/model.onnx` and returns the bytes written (graph and data)."""
    target = output / component.folder / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".trace-") as folder:
        traced = Path(folder) / "model.onnx"
        _trace(component, traced, opset)
        model = ir.load(traced)
        _clean(model)
        if half_storage:
            _store_in_half(model)
        external = external_data or _weight_bytes(model) > INLINE_LIMIT_BYTES
        ir.save(model, target, external_data=DATA_FILE if external else None)
    return sum(path.stat().st_size for path in target.parent.glob("model.onnx*"))


def _trace(component: Component, path: Path, opset: int) -> None:
    """The TorchScript exporter: its axes are all free by construction, and it writes no copy of a shared weight.

    (The newer exporter specialises the UNet on its upsamplers' sizes and doubles constants of the text encoders.)
    """
    component.prepare_trace()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            component.module,
            component.trace_inputs(),
            str(path),
            input_names=list(component.inputs),
            output_names=list(component.outputs),
            dynamic_axes={name: axes for name, axes in (component.inputs | component.outputs).items() if axes},
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )


def _clean(model: ir.Model) -> None:
    """Folds the constants that tracing left as nodes, and removes identities, dead nodes and doubled weights."""
    optimizer.optimize_ir(model, onnx_shape_inference=False)
    ir.passes.Sequential(
        passes.IdentityEliminationPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.ClearMetadataAndDocStringPass(),
    )(model)


def _store_in_half(model: ir.Model) -> None:
    """Turns float32 weights into float16 ones, each followed by a cast that ONNX Runtime folds away when it loads."""
    graph = model.graph
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size <= HALF_STORAGE_VALUES:
            continue
        stored = ir.Value(name=f"{value.name}_half", const_value=ir.tensor(tensor.numpy().astype("float16")))
        stored.shape, stored.dtype = tensor.shape, ir.DataType.FLOAT16
        cast = ir.node("Cast", [stored], attributes={"to": int(ir.DataType.FLOAT)})
        widened = cast.outputs[0]
        widened.shape, widened.dtype = tensor.shape, ir.DataType.FLOAT
        graph.register_initializer(stored)
        graph.insert_before(graph[0], cast)
        value.replace_all_uses_with(widened)
        graph.initializers.pop(value.name)
        widened.name = f"{value.name}_widened"


def _weight_bytes(model: ir.Model) -> int:
    return sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
