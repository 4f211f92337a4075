"""What the random SDXL of the tests draws by beside a prompt: a smaller UNet, a ControlNet and two IP-Adapters for it."""

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from .tiny_sdxl import Sizes

SIZES = Sizes()
TEXT_WIDTH = sum(SIZES.hidden)
# Two levels and few channels: these files are committed.
SHARED = {
    "block_out_channels": (8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 1),
    "attention_head_dim": (1, 2),
    "cross_attention_dim": TEXT_WIDTH,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": SIZES.time_ids_width,
    "projection_class_embeddings_input_dim": 6 * SIZES.time_ids_width + SIZES.projection,
}
PICTURE_SIZE, PICTURE_WIDTH, PROJECTION = 28, 16, 20


@torch.no_grad()
def _rounded(module: torch.nn.Module, factor: float = 1) -> torch.nn.Module:
    """In float32, with weights that float16 holds exactly: their file has half the size."""
    for parameter in module.parameters():
        parameter.copy_((parameter * factor).half().float())
    return module.eval()


def make_unet() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(sample_size=8, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **SHARED)
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.to_q.weight.data.mul_(2)
            module.to_k.weight.data.mul_(2)
            module.to_v.weight.data.mul_(4)
    return _rounded(unet)


def make_controlnet() -> ControlNetModel:
    controlnet = ControlNetModel(conditioning_embedding_out_channels=(4, 8, 8, 8), **SHARED)
    # They are zero before training, and a ControlNet of zeros changes nothing.
    zero = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
    zero.append(controlnet.controlnet_cond_embedding.conv_out)
    for module in zero:
        torch.nn.init.normal_(module.weight, std=0.3)
        torch.nn.init.normal_(module.bias, std=0.3)
    return _rounded(controlnet)


def make_image_encoder() -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=PICTURE_WIDTH,
        intermediate_size=PICTURE_WIDTH,
        projection_dim=PROJECTION,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=PICTURE_SIZE,
        patch_size=PICTURE_SIZE // 2,
    )
    return _rounded(CLIPVisionModelWithProjection(config))


def make_adapter(unet: UNet2DConditionModel, is_plus: bool) -> dict[str, dict[str, torch.Tensor]]:
    """Random weights of an IP-Adapter in the form of the project's files, strong enough to show."""
    layers = {}
    key = 1
    for name, processor in unet.attn_processors.items():
        del processor
        if name.endswith("attn2.processor"):
            width = unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
            layers |= {f"{key}.to_{kind}_ip.weight": 0.3 * torch.randn(width, TEXT_WIDTH) for kind in "kv"}
            key += 2
    project = _plus_projection() if is_plus else _projection()
    parts = {"image_proj": project, "ip_adapter": layers}
    return {part: {name: value.half().float() for name, value in state.items()} for part, state in parts.items()}


def _projection() -> dict[str, torch.Tensor]:
    return {
        "proj.weight": torch.randn(4 * TEXT_WIDTH, PROJECTION),
        "proj.bias": 0.1 * torch.randn(4 * TEXT_WIDTH),
        "norm.weight": 1 + 0.1 * torch.randn(TEXT_WIDTH),
        "norm.bias": 0.1 * torch.randn(TEXT_WIDTH),
    }


def _plus_projection(width: int = 8, head: int = 64, layers: int = 4) -> dict[str, torch.Tensor]:
    """A resampler whose number of layers and width of heads diffusers takes for granted."""
    sizes = {
        "latents": (1, 4, width),
        "proj_in.weight": (width, PICTURE_WIDTH),
        "proj_in.bias": (width,),
        "proj_out.weight": (TEXT_WIDTH, width),
        "proj_out.bias": (TEXT_WIDTH,),
    }
    norms = {"norm_out": TEXT_WIDTH}
    for layer in range(layers):
        sizes |= {
            f"layers.{layer}.0.to_q.weight": (head, width),
            f"layers.{layer}.0.to_kv.weight": (2 * head, width),
            f"layers.{layer}.0.to_out.weight": (width, head),
            f"layers.{layer}.1.1.weight": (4 * width, width),
            f"layers.{layer}.1.3.weight": (width, 4 * width),
        }
        norms |= {f"layers.{layer}.0.norm1": width, f"layers.{layer}.0.norm2": width, f"layers.{layer}.1.0": width}
    state = {name: 0.5 * torch.randn(*size) for name, size in sizes.items()}
    for name, size in norms.items():
        state |= {f"{name}.weight": torch.ones(size), f"{name}.bias": torch.zeros(size)}
    return state
