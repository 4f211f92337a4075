"""The ONNX components of an SDXL folder: the torch module of each, its named inputs and outputs, its free axes.

Names and axes are those of `optimum-cli export onnx`, so that either tool's output loads in the same place.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from .component import Component, Tensors
from .conditions import Conditions
from .sdxl_conditions import controlnet, image_encoder
from .sdxl_unet import load_unet
from .source_folder import weights_variant


class TextEncoder(torch.nn.Module):
    """input_ids `[batch, sequence]` -> last and every hidden state `[batch, sequence, width]`, and the pooled output.

    `pooled` is the latter's name: `pooler_output` for CLIPTextModel, `text_embeds` for CLIPTextModelWithProjection.
    """

    def __init__(self, model: torch.nn.Module, pooled: str, pooled_first: bool):
        super().__init__()
        self.model, self.pooled, self.pooled_first = model, pooled, pooled_first

    def forward(self, input_ids: torch.Tensor) -> Tensors:
        result = self.model(input_ids, output_hidden_states=True)
        pair = (result.last_hidden_state, getattr(result, self.pooled))
        return (*(reversed(pair) if self.pooled_first else pair), *result.hidden_states)


class VaeDecoder(torch.nn.Module):
    """latent_sample `[batch, latent channels, height/8, width/8]`, already divided by the scaling factor -> sample."""

    def __init__(self, vae: torch.nn.Module):
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latent_sample, return_dict=False)[0]


class VaeEncoder(torch.nn.Module):
    """sample `[batch, 3, height, width]` in -1..1 -> latent_parameters: mean, then log variance, on axis 1."""

    def __init__(self, vae: torch.nn.Module):
        super().__init__()
        self.vae = vae

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(sample).latent_dist.parameters


def _text_encoder(source: Path, folder: str, dtype: torch.dtype) -> Component:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    projected = folder == "text_encoder_2"
    model_class = CLIPTextModelWithProjection if projected else CLIPTextModel
    model = model_class.from_pretrained(source / folder, dtype=dtype, variant=weights_variant(source / folder)).eval()
    config = model.config
    sequence = {0: "batch_size", 1: "sequence_length"}
    pooled = "text_embeds" if projected else "pooler_output"
    heads = ["text_embeds", "last_hidden_state"] if projected else ["last_hidden_state", "pooler_output"]
    outputs = {name: {0: "batch_size"} if name == pooled else sequence for name in heads}
    outputs |= {f"hidden_states.{layer}": sequence for layer in range(config.num_hidden_layers + 1)}

    def ids(batch: int, length: int) -> Tensors:
        tokens = torch.randint(3, config.vocab_size - 1, (batch, length))
        # The pooled output is read at the end token: the highest id, or `eos_token_id` in newer configs.
        tokens[:, length // 2] = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
        return (tokens,)

    length = config.max_position_embeddings
    return Component(
        folder,
        TextEncoder(model, pooled, pooled_first=projected),
        dtype,
        {"input_ids": sequence},
        outputs,
        lambda: ids(2, length),
        lambda: [ids(1, length), ids(3, length), ids(2, max(4, length // 3))],
        # Traced, torch's own attention makes a causal mask per layer, and a float32 one in a float16 model.
        lambda: model.set_attn_implementation("eager"),
    )


def _vae_halves(source: Path, dtype: torch.dtype) -> Iterator[Component]:
    from diffusers import AutoencoderKL

    # With `force_upcast` the VAE overflows in float16; diffusers runs it in float32 whatever the other components use.
    upcast = AutoencoderKL.load_config(source / "vae").get("force_upcast", True)
    dtype = torch.float32 if upcast else dtype
    vae = AutoencoderKL.from_pretrained(
        source / "vae", torch_dtype=dtype, variant=weights_variant(source / "vae")
    ).eval()
    channels, scale = vae.config.latent_channels, 2 ** (len(vae.config.block_out_channels) - 1)

    def latents(batch: int, height: int, width: int) -> Tensors:
        return (torch.randn(batch, channels, height, width).to(dtype),)

    def pictures(batch: int, height: int, width: int) -> Tensors:
        return ((torch.rand(batch, 3, height * scale, width * scale) * 2 - 1).to(dtype),)

    yield Component(
        "vae_decoder",
        VaeDecoder(vae),
        dtype,
        {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        {"sample": {0: "batch_size", 2: f"latent_height * {scale}", 3: f"latent_width * {scale}"}},
        lambda: latents(2, 8, 6),
        lambda: [latents(1, 8, 8), latents(3, 5, 12)],
    )
    yield Component(
        "vae_encoder",
        VaeEncoder(vae),
        dtype,
        {"sample": {0: "batch_size", 2: "sample_height", 3: "sample_width"}},
        {"latent_parameters": {0: "batch_size", 2: f"sample_height / {scale}", 3: f"sample_width / {scale}"}},
        lambda: pictures(2, 8, 6),
        lambda: [pictures(1, 8, 8), pictures(3, 5, 12)],
    )


def load_components(
    source: Path,
    dtype: torch.dtype,
    fused_attention: bool,
    folders: list[str],
    time_ids: int,
    conditions: Conditions | None = None,
) -> Iterator[Component]:
    """Yields the components of these folders one after another, so that one is in memory at a time.

    Both VAE halves share one model.
    """
    conditions = conditions or Conditions()
    for folder in ("text_encoder", "text_encoder_2"):
        if folder in folders:
            yield _text_encoder(source, folder, dtype)
    if conditions.image_encoder is not None:
        yield image_encoder(conditions, dtype)
    for name, folder in conditions.controlnets.items():
        yield controlnet(folder, f"controlnet_{name}", dtype, fused_attention)
    yield load_unet(source, dtype, fused_attention, time_ids, conditions)
    if "vae_decoder" in folders:
        yield from _vae_halves(source, dtype)
