"""Names the sizes of a graph's intermediate values, so that ONNX Runtime loads it in a fraction of the time."""

import contextlib
import logging
import math
import tempfile

import onnx
import onnx_ir as ir
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

logger = logging.getLogger(__name__)

# Graphs of fewer nodes load at once.
MANY_NODES = 1000
# Constants that shapes are computed from have less; weights are left out of the copy that is reasoned about.
WEIGHT_VALUES = 64


def name_sizes(model: ir.Model) -> int:
    """Gives values the shapes that follow from the inputs' free axes; returns how many. Computes the same.

    ONNX Runtime looks for memory to use again by comparing sizes. Those that it cannot infer equal nothing: they stay
    in its list, which every later value is compared with, and loading takes the square of the number of nodes.
    """
    if model.graph.num_nodes() < MANY_NODES:
        return 0
    try:
        # Without merging, of sizes that only seem to be equal: memory of the wrong size would fail when it is run.
        # Of a graph that it cannot infer whole it writes what it has into the working directory.
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
            inferred = SymbolicShapeInference.infer_shapes(_without_weights(model), auto_merge=False, verbose=0)
    except Exception as error:
        # Graphs with operators that it does not know load as they did before.
        logger.warning("the sizes of intermediate values stay unknown: %s", error)
        return 0
    types = {info.name: info.type.tensor_type for info in inferred.graph.value_info}
    symbols: dict[str, str] = {}
    named = 0
    for node in model.graph:
        for value in node.outputs:
            found = types.get(value.name)
            if found is not None and not value.is_graph_output() and _is_whole(found.shape):
                value.shape = ir.Shape([_size(dim, symbols) for dim in found.shape.dim])
                value.type = ir.TensorType(ir.DataType(found.elem_type))
                named += 1
    return named


def _without_weights(model: ir.Model) -> onnx.ModelProto:
    """A copy whose weights are inputs: that they are constant says nothing about shapes."""
    proto = ir.serde.serialize_model(model)
    constants = [tensor for tensor in proto.graph.initializer if math.prod(tensor.dims) <= WEIGHT_VALUES]
    weights = [
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in proto.graph.initializer
        if math.prod(tensor.dims) > WEIGHT_VALUES
    ]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(constants)
    proto.graph.input.extend(weights)
    return proto


def _is_whole(shape: onnx.TensorShapeProto) -> bool:
    return all(dim.HasField("dim_value") or dim.dim_param for dim in shape.dim)


def _size(dim: onnx.TensorShapeProto.Dimension, symbols: dict[str, str]) -> int | str:
    """A number, an input's axis, or a short name for what is computed from them: `floor(height/2 - 1/2) + 1`."""
    if dim.HasField("dim_value"):
        return dim.dim_value
    if dim.dim_param.isidentifier():
        return dim.dim_param
    return symbols.setdefault(dim.dim_param, f"size_{len(symbols)}")
