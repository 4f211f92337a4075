"""The transformer's forward pass for training: what `WanTransformer3DModel.forward` does, with fewer copies.

Matrix products are in bfloat16 and the sum that runs through the layers stays float32. The padding behind a caption is
512 places that are all alike: here it is one place that counts as often as it is left out (`padding_bias`).
"""

import math

import torch
from diffusers import WanTransformer3DModel
from torch.nn import functional

from train.wan.tokens import MAX_TOKENS

HALF = torch.bfloat16


def _linear(x: torch.Tensor, linear: torch.nn.Linear) -> torch.Tensor:
    return functional.linear(x, linear.weight.to(HALF), linear.bias.to(HALF))


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates `[batch, tokens, heads, width]`; `cos` and `sin` `[1, tokens, 1, width/2]`."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2)


def _attend(attention, x, context, rotary, bias) -> torch.Tensor:
    query = functional.rms_norm(
        _linear(x, attention.to_q), x.shape[-1:], attention.norm_q.weight.to(HALF), attention.norm_q.eps
    )
    key = functional.rms_norm(
        _linear(context, attention.to_k), x.shape[-1:], attention.norm_k.weight.to(HALF), attention.norm_k.eps
    )
    query, key, value = (
        part.unflatten(2, (attention.heads, -1)) for part in (query, key, _linear(context, attention.to_v))
    )
    if rotary is not None:
        query, key = _turn(query, *rotary), _turn(key, *rotary)
    batch, tokens, heads, width = query.shape
    query, key, value = (part.transpose(1, 2).reshape(batch * heads, -1, width) for part in (query, key, value))
    scores = torch.bmm(query * (1 / math.sqrt(width)), key.transpose(1, 2))
    weights = (scores if bias is None else scores + bias).softmax(-1)
    found = torch.bmm(weights, value).view(batch, heads, tokens, width).transpose(1, 2).flatten(2)
    return _linear(found, attention.to_out[0])


def padding_bias(length: int, device: torch.device) -> torch.Tensor:
    """Added to the scores of `length` places, whose last one stands for all padding that is left out."""
    bias = torch.zeros(length, dtype=HALF, device=device)
    bias[-1] = math.log(MAX_TOKENS - length + 1)
    return bias


def forward(model: WanTransformer3DModel, latents, timesteps, hidden, bias) -> torch.Tensor:
    """Velocity `[batch, channels, frames, height, width]`, float32."""
    batch, channels, frames, height, width = latents.shape
    _, tall, wide = model.config.patch_size
    cos, sin = model.rope(latents)
    rotary = (cos[..., 0::2].to(HALF), sin[..., 1::2].to(HALF))
    patches = latents.view(batch, channels, frames, height // tall, tall, width // wide, wide)
    patches = patches.permute(0, 2, 3, 5, 1, 4, 6).reshape(batch, -1, channels * tall * wide).to(HALF)
    embedding = model.patch_embedding
    x = functional.linear(patches, embedding.weight.flatten(1).to(HALF), embedding.bias.to(HALF)).float()
    embedder = model.condition_embedder
    time = embedder.time_embedder(embedder.timesteps_proj(timesteps))
    steps = embedder.time_proj(functional.silu(time)).unflatten(1, (6, -1))
    text = functional.gelu(_linear(hidden.to(HALF), embedder.text_embedder.linear_1), approximate="tanh")
    text = _linear(text, embedder.text_embedder.linear_2)
    size = x.shape[-1:]
    for block in model.blocks:
        shift, scale, gate, late_shift, late_scale, late_gate = (block.scale_shift_table + steps).chunk(6, 1)
        inner = (functional.layer_norm(x, size, eps=block.norm1.eps) * (1 + scale) + shift).to(HALF)
        x = x + _attend(block.attn1, inner, inner, rotary, None) * gate
        norm = block.norm2
        inner = functional.layer_norm(x, size, norm.weight, norm.bias, norm.eps).to(HALF)
        x = x + _attend(block.attn2, inner, text, None, bias)
        inner = (functional.layer_norm(x, size, eps=block.norm3.eps) * (1 + late_scale) + late_shift).to(HALF)
        inner = functional.gelu(_linear(inner, block.ffn.net[0].proj), approximate="tanh")
        x = x + _linear(inner, block.ffn.net[2]) * late_gate
    shift, scale = (model.scale_shift_table + time[:, None]).chunk(2, 1)
    x = (functional.layer_norm(x, size, eps=model.norm_out.eps) * (1 + scale) + shift).to(HALF)
    x = _linear(x, model.proj_out).float().view(batch, frames, height // tall, width // wide, tall, wide, channels)
    return x.permute(0, 6, 1, 2, 4, 3, 5).reshape(latents.shape)
