"""A recogniser in an ONNX file, made here, and what it must answer."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from speakerkd.models.face_onnx import Pixels

CROPS = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (3, 112, 112, 3), np.uint8))
DIM = 24


def weights(dim=DIM, channels=3):
    return np.random.default_rng(0).normal(size=(dim, channels)).astype(np.float32)


def write(
    path, *, shape=("n", 3, 112, 112), dim=DIM, scale=None, weight=None, kind=TensorProto.FLOAT, outputs=1, listed=False
):
    """A recogniser: the mean of each colour times a matrix; scale: (subtracted, multiplied) inside the graph."""
    weight = weights(dim) if weight is None else weight
    values = {"w": weight.T}
    nodes, at = [], "x"
    if scale is not None:
        values |= {"sub": np.float32(scale[0]), "mul": np.float32(scale[1])}
        nodes += [helper.make_node("Sub", ["x", "sub"], ["s"]), helper.make_node("Mul", ["s", "mul"], ["m"])]
        at = "m"
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes += [
        helper.make_node("ReduceMean", [at], ["mean"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["e"]),
    ]
    numpy_type = helper.tensor_dtype_to_np_dtype(kind)
    stored = [numpy_helper.from_array(np.asarray(value).astype(numpy_type), name) for name, value in values.items()]
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if listed:  # as old exporters write: every weight is an input too, and one that nothing reads
        inputs += [helper.make_tensor_value_info(t.name, kind, t.dims) for t in stored]
        inputs += [helper.make_tensor_value_info("left_over", kind, [2, 2])]
    results = [helper.make_tensor_value_info("e", kind, [shape[0], dim])]
    results += [helper.make_tensor_value_info("mean", kind, [shape[0], 3])] * (outputs - 1)
    graph = helper.make_graph(nodes, "g", inputs, results, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def expected(crops=CROPS, pixels=Pixels("rgb", 127.5, 127.5), scale=(0, 1)):
    colours = crops.numpy().astype(np.float64).mean((1, 2))
    colours = colours[:, ::-1] if pixels.colours == "bgr" else colours
    return ((colours - pixels.mean) / pixels.divisor - scale[0]) * scale[1] @ weights().T
