"""Random LoRA files for an SDXL pipeline, in the layouts that are found in the wild."""

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

RANK = 2
PARTS = ("unet", "text_encoder", "text_encoder_2")
KOHYA_PARTS = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
ATTENTION_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
UNET_LAYERS = (*ATTENTION_LAYERS, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
RESNET_LAYERS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
# What the original implementation calls the parts of a UNet that has one layer a block.
ORIGINAL_BLOCKS = {
    "down_blocks.0.resnets.0.": "input_blocks.1.0.",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0.": "input_blocks.3.0.",
    "down_blocks.1.attentions.0.": "input_blocks.3.1.",
    "down_blocks.2.attentions.0.": "input_blocks.5.1.",
    "mid_block.attentions.0.": "middle_block.1.",
    "up_blocks.0.attentions.0.": "output_blocks.0.1.",
    "up_blocks.0.attentions.1.": "output_blocks.1.1.",
    "up_blocks.1.attentions.0.": "output_blocks.2.1.",
    "up_blocks.1.attentions.1.": "output_blocks.3.1.",
}


def _layers(pipeline: StableDiffusionXLPipeline, part: str, endings: tuple[str, ...]) -> dict[str, torch.nn.Module]:
    """Layers of a part by diffusers' name; those of text encoders begin with text_model, as in published files."""
    layers = {name: module for name, module in getattr(pipeline, part).named_modules() if name.endswith(endings)}
    if part == "unet":
        return layers
    return {name if name.startswith("text_model.") else f"text_model.{name}": module for name, module in layers.items()}


def _halves(module: torch.nn.Module, generator: torch.Generator, rank: int = RANK) -> tuple[torch.Tensor, torch.Tensor]:
    """A down and an up half that change the layer's output by about a third of itself."""
    rows, columns, *kernel = module.weight.shape
    spread = module.weight.std().item() * 0.6
    down = torch.randn(rank, columns, *kernel, generator=generator)
    up = torch.randn(rows, rank, *([1] * len(kernel)), generator=generator) * spread
    return down, up


def _peft(pipeline: StableDiffusionXLPipeline, generator: torch.Generator):
    """What diffusers' training scripts write today: lora_A, lora_B, and alpha in the metadata."""
    tensors = {}
    for part in PARTS:
        for name, module in _layers(pipeline, part, UNET_LAYERS if part == "unet" else TEXT_LAYERS).items():
            down, up = _halves(module, generator)
            tensors |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    settings = {"r": RANK, "lora_alpha": 3, "use_rslora": False, "alpha_pattern": {}, "rank_pattern": {}}
    config = {
        f"{part}.{key}": value
        for part in PARTS
        for key, value in (settings | {"target_modules": sorted(UNET_LAYERS if part == "unet" else TEXT_LAYERS)}).items()
    }
    return tensors, {"format": "pt", "lora_adapter_metadata": json.dumps(config, sort_keys=True)}


def _diffusers(pipeline: StableDiffusionXLPipeline, generator: torch.Generator):
    """What diffusers wrote before: attention alone, as processors; text encoders as linear layers."""
    tensors = {}
    for name, module in _layers(pipeline, "unet", ATTENTION_LAYERS).items():
        down, up = _halves(module, generator)
        parent, _, leaf = name.removesuffix(".0").rpartition(".")
        for half, tensor in (("down", down), ("up", up)):
            tensors[f"unet.{parent}.processor.{leaf}_lora.{half}.weight"] = tensor.half()
    for part in PARTS[1:]:
        for name, module in _layers(pipeline, part, TEXT_LAYERS[:4]).items():
            down, up = _halves(module, generator)
            for half, tensor in (("down", down), ("up", up)):
                tensors[f"{part}.{name}.lora_linear_layer.{half}.weight"] = tensor.half()
    return tensors, {"format": "pt"}


def _kohya_tensors(prefix: str, name: str, module, generator, alpha: float, rank: int = RANK):
    down, up = _halves(module, generator, rank)
    flat = prefix + name.replace(".", "_")
    return {
        f"{flat}.lora_down.weight": down.bfloat16(),
        f"{flat}.lora_up.weight": up.bfloat16(),
        f"{flat}.alpha": torch.tensor(alpha),
    }


def _kohya(pipeline: StableDiffusionXLPipeline, generator: torch.Generator):
    """What kohya's sd-scripts write for SDXL: the original implementation's names without dots, and alphas."""
    tensors = {}
    for part in PARTS:
        for name, module in _layers(pipeline, part, UNET_LAYERS if part == "unet" else TEXT_LAYERS).items():
            original = name
            for ours, theirs in ORIGINAL_BLOCKS.items():
                original = original.replace(ours, theirs) if original.startswith(ours) else original
            tensors |= _kohya_tensors(KOHYA_PARTS[part], original, module, generator, alpha=1.0)
    return tensors, {"ss_network_dim": str(RANK)}


def _locon(pipeline: StableDiffusionXLPipeline, generator: torch.Generator):
    """Convolutions too, under diffusers' names without dots; each kind of layer has a rank of its own."""
    tensors = {}
    for index, (name, module) in enumerate(_layers(pipeline, "unet", RESNET_LAYERS).items()):
        tensors |= _kohya_tensors("lora_unet_", name, module, generator, alpha=2.0, rank=1 + index % 3)
    return tensors, {}


LAYOUTS = {"peft": _peft, "diffusers": _diffusers, "kohya": _kohya, "locon": _locon}


def write_lora(layout: str, pipeline: StableDiffusionXLPipeline, path: Path) -> None:
    generator = torch.Generator().manual_seed(sum(map(ord, layout)))
    tensors, metadata = LAYOUTS[layout](pipeline, generator)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
