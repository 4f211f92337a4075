"""Attention of the UNet as few, plain ONNX operators.

diffusers' own processor traces to some twenty shape computations per attention, and SDXL has 140 of them.
"""

import torch


class PlainAttention:
    """A diffusers attention processor: softmax(q kᵀ · scale) v per head, with every size but batch and length fixed.

    With `fused` it leaves one `com.microsoft.MultiHeadAttention` operator instead, which ONNX Runtime computes without
    ever holding the length x length scores (flash attention on CUDA).
    """

    def __init__(self, fused: bool):
        self.fused = fused

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_) -> torch.Tensor:
        """hidden_states `[batch, length, width]` attend to encoder_hidden_states, or to themselves."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        function = _FusedAttention if self.fused else _Attention
        attended = function.apply(query, key, value, attn.heads, attn.inner_dim // attn.heads, attn.scale)
        return attn.to_out[1](attn.to_out[0](attended))


class _Attention(torch.autograd.Function):
    """query, key, value `[batch, length, heads * head_dim]` -> attended values, the shape of query.

    A function of its own because its symbol may say Reshape to (0, -1, heads, head_dim), where 0 keeps an axis; torch
    has no such size, and would compute the batch instead.
    """

    @staticmethod
    def forward(_context, query, key, value, heads: int, head_dim: int, scale: float) -> torch.Tensor:
        query, key, value = (tensor.unflatten(-1, (heads, head_dim)).transpose(1, 2) for tensor in (query, key, value))
        scores = (query * scale) @ key.transpose(-1, -2)
        return (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph, query, key, value, heads: int, head_dim: int, scale: float):
        def split(tensor, axes: list[int]):
            sizes = graph.op("Constant", value_t=torch.tensor([0, -1, heads, head_dim]))
            return graph.op("Transpose", graph.op("Reshape", tensor, sizes), perm_i=axes)

        factor = graph.op("Constant", value_t=torch.tensor(scale, dtype=query.type().dtype()))
        scaled = graph.op("Mul", split(query, [0, 2, 1, 3]), factor)
        scores = graph.op("MatMul", scaled, split(key, [0, 2, 3, 1]))
        weighted = graph.op("MatMul", graph.op("Softmax", scores, axis_i=-1), split(value, [0, 2, 1, 3]))
        sizes = graph.op("Constant", value_t=torch.tensor([0, -1, heads * head_dim]))
        attended = graph.op("Reshape", graph.op("Transpose", weighted, perm_i=[0, 2, 1, 3]), sizes)
        attended.setType(query.type())
        return attended


class _FusedAttention(torch.autograd.Function):
    """Computes as `_Attention`; exports as ONNX Runtime's operator."""

    forward = _Attention.forward

    @staticmethod
    def symbolic(graph, query, key, value, heads: int, _head_dim: int, scale: float):
        attended = graph.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads, scale_f=scale)
        attended.setType(query.type())
        return attended


def supports(attn) -> bool:
    """Whether an attention layer has nothing that `PlainAttention` leaves out."""
    extras = ("group_norm", "spatial_norm", "norm_cross", "norm_q", "norm_k", "added_kv_proj_dim")
    plain = all(getattr(attn, name, None) is None for name in extras)
    return plain and not attn.residual_connection and attn.rescale_output_factor == 1


def simplify(unet, fused: bool) -> None:
    """Gives every plain attention layer of `unet` the processor above; others keep theirs."""
    processor = PlainAttention(fused)
    for module in unet.modules():
        if hasattr(module, "set_processor") and hasattr(module, "to_q") and supports(module):
            module.set_processor(processor)
