"""A WAN transformer as an ONNX component."""

import math
from pathlib import Path

import torch

from .attention import attend, free
from .component import Component, Tensors
from .source_folder import weights_variant


class _GivenRotary(torch.nn.Module):
    """Stands in for `WanRotaryPosEmbed`: returns the tables that are the graph's inputs."""

    tables: Tensors

    def forward(self, _hidden_states: torch.Tensor) -> Tensors:
        return self.tables


class Transformer(torch.nn.Module):
    """hidden_states `[batch, channels, frames, height, width]`, timestep `[batch]`, encoder_hidden_states
    `[batch, sequence, text_dim]` and the rotary tables `[1, tokens, 1, head_dim]` -> out_sample.

    Tables are inputs because they depend on the size alone, and a clip has one size for all its steps.
    """

    # How many features of pictures a prompt is read behind.
    features = 0

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model, self.rotary = model, model.rope

    def prepare_trace(self, fused: bool) -> None:
        self.model.rope = _GivenRotary()
        self.model.set_attn_processor(_Attention(fused, self.features))

    def set_tables(self, rotary_cos: torch.Tensor, rotary_sin: torch.Tensor) -> None:
        self.model.rope.tables = _split_pairs(rotary_cos, rotary_sin)

    def forward(self, hidden_states, timestep, encoder_hidden_states, rotary_cos, rotary_sin) -> torch.Tensor:
        self.set_tables(rotary_cos, rotary_sin)
        return self.model(hidden_states, timestep, encoder_hidden_states, return_dict=False)[0]


def _split_pairs(cosine: torch.Tensor, sine: torch.Tensor) -> Tensors:
    """One value a pair of channels, `[tokens, head_dim / 2]`: diffusers' tables hold each twice."""
    return cosine[0, :, 0, 0::2], sine[0, :, 0, 1::2]


class _Attention:
    """A processor for `WanAttention` that leaves few operators; self-attention is the one with rotary tables.

    Cross-attention reads pictures and prompt with weights of their own, where the model has weights for pictures.
    """

    def __init__(self, fused: bool, features: int):
        self.fused, self.features = fused, features

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        pictures = None
        if attn.add_k_proj is not None:
            pictures, context = context[:, : self.features], context[:, self.features :]
        query = _rms_norm(attn.to_q(hidden_states), attn.norm_q)
        key = _rms_norm(attn.to_k(context), attn.norm_k)
        if rotary_emb is not None:
            rotate = _FusedRotary.apply if self.fused else _rotate
            query, key = (rotate(tensor, *rotary_emb, attn.heads) for tensor in (query, key))
        scale = (attn.inner_dim // attn.heads) ** -0.5
        attended = attend(query, key, attn.to_v(context), attn.heads, scale, self.fused)
        if pictures is not None:
            key = _rms_norm(attn.add_k_proj(pictures), attn.norm_added_k)
            attended = attended + attend(query, key, attn.add_v_proj(pictures), attn.heads, scale, self.fused)
        return attn.to_out[0](attended)


def _rms_norm(values: torch.Tensor, norm: torch.nn.RMSNorm) -> torch.Tensor:
    """x / √(mean(x²) + ε) · weight, in float32 as torch computes it."""
    wide = values.float()
    normalised = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + norm.eps)
    return normalised.type_as(values) * norm.weight


def _rotate(values, cosine, sine, heads: int) -> torch.Tensor:
    """Turns each pair of channels by its position's angle (Su et al., "RoFormer", 2021, equation 34)."""
    pairs = values.unflatten(-1, (heads, cosine.shape[-1], 2))
    first, second = pairs.unbind(-1)
    cosine, sine = cosine[None, :, None], sine[None, :, None]
    turned = torch.stack((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
    return turned.flatten(2).type_as(values)


class _FusedRotary(torch.autograd.Function):
    """Computes as `_rotate`; exports as ONNX Runtime's operator."""

    @staticmethod
    def forward(_context, values, cosine, sine, heads: int) -> torch.Tensor:
        return _rotate(values, cosine, sine, heads)

    @staticmethod
    def symbolic(graph, values, cosine, sine, heads: int):
        first_position = graph.op("Constant", value_t=torch.tensor([0]))
        if values.type().dtype() == torch.float16:
            cosine, sine = (graph.op("Cast", table, to_i=10) for table in (cosine, sine))
        turned = graph.op(
            "com.microsoft::RotaryEmbedding", values, first_position, cosine, sine, interleaved_i=1, num_heads_i=heads
        )
        return free(turned, values)


def random_inputs(
    exported: Transformer,
    dtype: torch.dtype,
    batch: int,
    patches: tuple[int, int, int],
    length: int,
    by_token: bool = False,
) -> Tensors:
    """Random inputs of a clip of so many patches and a prompt of so many tokens, in the order of the graph's inputs."""
    config = exported.model.config
    frames, height, width = (count * size for count, size in zip(patches, config.patch_size, strict=True))
    hidden = torch.randn(batch, config.in_channels, frames, height, width).to(dtype)
    # float32 in every precision: schedulers make fractional timesteps that float16 would round.
    timestep = torch.linspace(437.25, 899.5, batch)
    if by_token:
        # Of what is given, 0.
        timestep = timestep[:, None].repeat(1, math.prod(patches))
        timestep[:, : math.prod(patches[1:])] = 0
    text = torch.randn(batch, length, config.text_dim).to(dtype)
    return hidden, timestep, text, *(table.float() for table in exported.rotary(hidden))


def transformer(source: Path, name: str, dtype: torch.dtype, fused: bool, by_token: bool = False) -> Component:
    """The component of folder `name`: `transformer` or `transformer_2`; with a timestep for every token where `by_token` is set."""
    from diffusers import WanTransformer3DModel

    folder = source / name
    model = WanTransformer3DModel.from_pretrained(folder, torch_dtype=dtype, variant=weights_variant(folder)).eval()
    exported = Transformer(model)
    area = {0: "batch", 2: "frames", 3: "height", 4: "width"}
    inputs = {
        "hidden_states": area,
        "timestep": {0: "batch"} | ({1: "tokens"} if by_token else {}),
        "encoder_hidden_states": {0: "batch", 1: "sequence"},
        "rotary_cos": {1: "tokens"},
        "rotary_sin": {1: "tokens"},
    }

    def values(batch: int, patches: tuple[int, int, int], length: int) -> Tensors:
        return random_inputs(exported, dtype, batch, patches, length, by_token)

    return Component(
        name,
        exported,
        dtype,
        inputs,
        {"out_sample": area},
        lambda: values(2, (2, 3, 5), 11),
        lambda: [values(1, (1, 4, 3), 512), values(2, (3, 2, 5), 24)],
        prepare_trace=lambda: exported.prepare_trace(fused),
        reference=lambda hidden, timestep, text, *_: model(hidden, timestep, text, return_dict=False)[0],
    )
