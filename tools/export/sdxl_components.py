"""The five ONNX components of an SDXL folder: the torch module of each, its named inputs and outputs, its free axes.

Names and axes are those of `optimum-cli export onnx`, so that either tool's output loads in the same place.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from .attention import simplify
from .component import Component, Tensors
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


class UNet(torch.nn.Module):
    """sample `[batch, channels, height, width]`, scalar timestep and conditions -> out_sample, the shape of sample."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, sample, timestep, encoder_hidden_states, text_embeds, time_ids, timestep_cond=None
    ) -> torch.Tensor:
        conditions = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.model(
            sample,
            timestep,
            encoder_hidden_states,
            timestep_cond=timestep_cond,
            added_cond_kwargs=conditions,
            return_dict=False,
        )[0]


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


def load_unet(source: Path, dtype: torch.dtype, fused_attention: bool, time_ids: int = 6) -> Component:
    """The UNet of a diffusers folder, which is shown `time_ids` numbers beside the text."""
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel.from_pretrained(
        source / "unet", torch_dtype=dtype, variant=weights_variant(source / "unet")
    ).eval()
    config = model.config
    text_dim = read_projection_dim(config, time_ids)
    area = {0: "batch_size", 2: "height", 3: "width"}
    inputs = {
        "sample": area,
        "timestep": {},
        "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        "text_embeds": {0: "batch_size"},
        "time_ids": {0: "batch_size"},
    }
    if config.time_cond_proj_dim is not None:
        inputs["timestep_cond"] = {0: "batch_size"}

    def values(batch: int, height: int, width: int, length: int = 77) -> Tensors:
        sizes = torch.tensor([[height * 8, width * 8, 0, 0, height * 8, width * 8][:time_ids]], dtype=dtype)
        tensors = [
            torch.randn(batch, config.in_channels, height, width).to(dtype),
            # Scalar and float32 in every precision: schedulers make fractional timesteps that float16 would round.
            torch.tensor(437.25, dtype=torch.float32),
            torch.randn(batch, length, config.cross_attention_dim).to(dtype),
            torch.randn(batch, text_dim).to(dtype),
            sizes.repeat(batch, 1),
        ]
        if config.time_cond_proj_dim is not None:
            tensors.append(torch.randn(batch, config.time_cond_proj_dim).to(dtype))
        return tuple(tensors)

    return Component(
        "unet",
        UNet(model),
        dtype,
        inputs,
        {"out_sample": area},
        # Height and width that the UNet's total stride does not divide: diffusers then passes explicit sizes to its
        # upsamplers, and the traced graph does so for every size. Traced at 16 x 16 it would fail at 18 x 13.
        lambda: values(2, 18, 13),
        lambda: [values(1, 16, 16), values(2, 12, 20), values(2, 17, 9, length=154)],
        lambda: simplify(model, fused_attention),
    )


def read_projection_dim(config, time_ids: int = 6) -> int:
    """Width of the pooled text embedding: what the class embedding's input has beside the embedded ids."""
    return config.projection_class_embeddings_input_dim - time_ids * config.addition_time_embed_dim


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
    source: Path, dtype: torch.dtype, fused_attention: bool, folders: list[str], time_ids: int
) -> Iterator[Component]:
    """Yields the components of these folders one after another, so that one is in memory at a time.

    Both VAE halves share one model.
    """
    for folder in ("text_encoder", "text_encoder_2"):
        if folder in folders:
            yield _text_encoder(source, folder, dtype)
    yield load_unet(source, dtype, fused_attention, time_ids)
    if "vae_decoder" in folders:
        yield from _vae_halves(source, dtype)
