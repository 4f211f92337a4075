#!/usr/bin/env python3
"""Writes what transformers and torch make of pictures for depth estimators: pipelines/images/fixtures/depth*."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from onnx import TensorProto, helper, save
from PIL import Image
from safetensors.torch import save_file
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from reference.picture_stages import scene

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/images/fixtures"
# As DPT's own models have it, and as Depth Anything does.
STATISTICS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CASES = (
    ((40, 24), {"size": {"height": 32, "width": 32}, "resample": 2} | STATISTICS),
    ((24, 40), {"size": {"height": 42, "width": 42}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}),
    ((48, 32), {"size": {"height": 42, "width": 42}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}),
    ((16, 16), {"size": {"height": 24, "width": 40}} | STATISTICS),
)
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def write_estimator() -> None:
    """predicted_depth = the mean of the channels: what stands for a model."""
    free = ["batch", "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["pixel_values"], ["predicted_depth"], axes=[1], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [free[0], 3, *free[1:]])],
        [helper.make_tensor_value_info("predicted_depth", TensorProto.FLOAT, free)],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), OUTPUT / "mean.onnx")


def grey(depth: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """As diffusers' examples of ControlNets for depth."""
    resized = torch.nn.functional.interpolate(
        depth.unsqueeze(1), size=(height, width), mode="bicubic", align_corners=False
    )
    low, high = resized.amin(), resized.amax()
    return torch.from_numpy(((resized - low) / (high - low)).mul(255).clip(0, 255)[0, 0].numpy().astype(np.uint8))


def main() -> int:
    write_estimator()
    tensors, configs = {}, []
    for index, ((width, height), options) in enumerate(CASES):
        config = IMAGENET | {"resample": 3, "keep_aspect_ratio": False, "ensure_multiple_of": 1} | options
        noise = np.random.default_rng(index).integers(0, 60, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(np.array(scene(width, height)) // 2 + noise)
        pixels = DPTImageProcessorPil(**config)(picture, return_tensors="pt").pixel_values
        tensors[f"{index}.picture"] = torch.from_numpy(np.array(picture))
        tensors[f"{index}.pixel_values"] = pixels
        tensors[f"{index}.grey"] = grey(pixels.mean(1), height, width)
        configs.append(config)
    save_file(tensors, OUTPUT / "depth.safetensors")
    (OUTPUT / "depth.json").write_text(json.dumps(configs) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
