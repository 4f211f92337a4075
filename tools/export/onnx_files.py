"""Writes traced torch modules as ONNX files, cleaned, with their weights inside or in one file beside them."""

import hashlib
import logging
import tempfile
import warnings
from pathlib import Path

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer

from .component import Component
from .program import Settings
from .shapes import name_sizes

# A protobuf message ends at 2 GiB; stay clear of it for the graph itself.
INLINE_LIMIT_BYTES = 1_900_000_000
DATA_FILE = "model.onnx_data"


# Smaller tensors (biases, norms) stay float32: they weigh nothing, and each cast is a node.
HALF_STORAGE_VALUES = 1024


# Smaller weights stay in the graph.
SHARED_VALUES = 64
# Where parts of a data file begin: large ones on a page, so that they can be mapped.
PAGE_BYTES, LINE_BYTES = 4096, 64


def write_component(component: Component, output: Path, settings: Settings) -> int:
    """Traces `component`, writes its file and returns the bytes written (graph and data)."""
    target = output / component.folder / component.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".trace-") as folder:
        model = _traced(component, Path(folder), settings)
        external = settings.external_data or _weight_bytes(model) > INLINE_LIMIT_BYTES
        ir.save(model, target, external_data=DATA_FILE if external else None)
    return _size(target.parent)


def write_sharing(components: list[Component], output: Path, settings: Settings) -> int:
    """Writes components of one folder whose equal weights lie once in their common data file; returns all bytes."""
    target = output / components[0].folder
    target.mkdir(parents=True, exist_ok=True)
    offsets: dict[bytes, int] = {}
    with (target / DATA_FILE).open("wb") as data:
        for component in components:
            with tempfile.TemporaryDirectory(dir=output, prefix=".trace-") as folder:
                model = _traced(component, Path(folder), settings)
                for value in model.graph.initializers.values():
                    if value.const_value is not None and value.const_value.size > SHARED_VALUES:
                        value.const_value = _stored(value.const_value, data, offsets)
                ir.save(model, target / component.file)
    return _size(target)


def _stored(tensor, data, offsets: dict[bytes, int]) -> ir.ExternalTensor:
    """The tensor as a part of the data file, to which its bytes are appended unless they are there already."""
    content = tensor.tobytes()
    key = hashlib.sha256(content).digest()
    if key not in offsets:
        data.write(b"\0" * (-data.tell() % (PAGE_BYTES if len(content) >= PAGE_BYTES else LINE_BYTES)))
        offsets[key] = data.tell()
        data.write(content)
    return ir.ExternalTensor(
        DATA_FILE,
        offsets[key],
        len(content),
        tensor.dtype,
        shape=tensor.shape,
        name=tensor.name,
        base_dir=Path(data.name).parent,
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.onnx*"))


def _traced(component: Component, folder: Path, settings: Settings) -> ir.Model:
    """The cleaned graph of `component`; `folder` holds large weights and must outlive it."""
    path = folder / "model.onnx"
    _trace(component, path, settings.opset)
    model = ir.load(path)
    _clean(model)
    if settings.half_storage:
        _store_in_half(model)
    name_sizes(model)
    return model


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
