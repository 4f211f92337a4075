"""Attention as few ONNX operators: plain ones, or ONNX Runtime's fused one.

diffusers' own processors trace to some twenty shape computations per attention, and SDXL has 140 of them.
"""

import torch
from torch.onnx.symbolic_helper import _optional_input_placeholder_tensor


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
        attended = attend(query, key, value, attn.heads, attn.scale, self.fused)
        return attn.to_out[1](attn.to_out[0](attended))


class PlainImageAttention(torch.nn.Module):
    """The same for a layer with an IP-Adapter: what the picture's tokens give is added to what the prompt's do."""

    def __init__(self, processor: torch.nn.Module, fused: bool):
        super().__init__()
        self.to_k_ip, self.to_v_ip, self.fused = processor.to_k_ip, processor.to_v_ip, fused
        # Replaced by whoever runs the UNet, as diffusers' own processor has it.
        self.scale = processor.scale

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_) -> torch.Tensor:
        """encoder_hidden_states: the prompt's, and a list with one tensor `[batch, images, tokens, width]`."""
        context, [tokens] = encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        attended = attend(query, key, value, attn.heads, attn.scale, self.fused)
        tokens = tokens.flatten(1, 2)
        key, value = self.to_k_ip[0](tokens), self.to_v_ip[0](tokens)
        attended = attended + self.scale[0] * attend(query, key, value, attn.heads, attn.scale, self.fused)
        return attn.to_out[1](attn.to_out[0](attended))


def attend(query, key, value, heads: int, scale: float, fused: bool, bias=None) -> torch.Tensor:
    """query, key, value `[batch, length, heads * head_dim]` -> attended values, the shape of query.

    `bias` `[batch or 1, heads or 1, query length, key length]` is added to the scores.
    """
    head_dim = query.shape[-1] // heads
    if bias is None:
        function = _FusedAttention if fused else _Attention
        return function.apply(query, key, value, heads, int(head_dim), scale)
    function = _FusedBiasedAttention if fused else _BiasedAttention
    return function.apply(query, key, value, bias, heads, int(head_dim), scale)


def _compute(query, key, value, bias, heads: int, head_dim: int, scale: float) -> torch.Tensor:
    query, key, value = (tensor.unflatten(-1, (heads, head_dim)).transpose(1, 2) for tensor in (query, key, value))
    scores = (query * scale) @ key.transpose(-1, -2)
    scores = scores if bias is None else scores + bias
    return (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)


def free(result, like):
    """Gives `result` the type of `like` without its sizes, which would be those of the trace."""
    result.setType(like.type().with_sizes([None, None, None]))
    return result


def _plain_graph(graph, query, key, value, bias, heads: int, head_dim: int, scale: float):
    def split(tensor, axes: list[int]):
        sizes = graph.op("Constant", value_t=torch.tensor([0, -1, heads, head_dim]))
        return graph.op("Transpose", graph.op("Reshape", tensor, sizes), perm_i=axes)

    queries = split(query, [0, 2, 1, 3])
    if scale != 1:
        queries = graph.op(
            "Mul", queries, graph.op("Constant", value_t=torch.tensor(scale, dtype=query.type().dtype()))
        )
    scores = graph.op("MatMul", queries, split(key, [0, 2, 3, 1]))
    scores = scores if bias is None else graph.op("Add", scores, bias)
    weighted = graph.op("MatMul", graph.op("Softmax", scores, axis_i=-1), split(value, [0, 2, 1, 3]))
    sizes = graph.op("Constant", value_t=torch.tensor([0, -1, heads * head_dim]))
    attended = graph.op("Reshape", graph.op("Transpose", weighted, perm_i=[0, 2, 1, 3]), sizes)
    return free(attended, query)


def _fused_graph(graph, query, key, value, bias, heads: int, scale: float):
    inputs = [query, key, value]
    if bias is not None:
        # In between: bias of the projections, and a key padding mask.
        inputs += [_optional_input_placeholder_tensor(graph), _optional_input_placeholder_tensor(graph), bias]
    attended = graph.op("com.microsoft::MultiHeadAttention", *inputs, num_heads_i=heads, scale_f=scale)
    return free(attended, query)


class _Attention(torch.autograd.Function):
    """A function of its own because its symbol may say Reshape to (0, -1, heads, head_dim), where 0 keeps an axis;
    torch has no such size, and would compute the batch instead."""

    @staticmethod
    def forward(_context, query, key, value, heads: int, head_dim: int, scale: float) -> torch.Tensor:
        return _compute(query, key, value, None, heads, head_dim, scale)

    @staticmethod
    def symbolic(graph, query, key, value, heads: int, head_dim: int, scale: float):
        return _plain_graph(graph, query, key, value, None, heads, head_dim, scale)


class _FusedAttention(torch.autograd.Function):
    """Computes as `_Attention`; exports as ONNX Runtime's operator."""

    forward = _Attention.forward

    @staticmethod
    def symbolic(graph, query, key, value, heads: int, _head_dim: int, scale: float):
        return _fused_graph(graph, query, key, value, None, heads, scale)


class _BiasedAttention(torch.autograd.Function):
    """`_Attention` with a bias on the scores."""

    @staticmethod
    def forward(_context, query, key, value, bias, heads: int, head_dim: int, scale: float) -> torch.Tensor:
        return _compute(query, key, value, bias, heads, head_dim, scale)

    @staticmethod
    def symbolic(graph, query, key, value, bias, heads: int, head_dim: int, scale: float):
        return _plain_graph(graph, query, key, value, bias, heads, head_dim, scale)


class _FusedBiasedAttention(torch.autograd.Function):
    """Computes as `_BiasedAttention`; exports as ONNX Runtime's operator."""

    forward = _BiasedAttention.forward

    @staticmethod
    def symbolic(graph, query, key, value, bias, heads: int, _head_dim: int, scale: float):
        return _fused_graph(graph, query, key, value, bias, heads, scale)


def supports(attn) -> bool:
    """Whether an attention layer has nothing that `PlainAttention` leaves out."""
    extras = ("group_norm", "spatial_norm", "norm_cross", "norm_q", "norm_k", "added_kv_proj_dim")
    plain = all(getattr(attn, name, None) is None for name in extras)
    return plain and not attn.residual_connection and attn.rescale_output_factor == 1


def simplify(unet, fused: bool) -> None:
    """Gives every plain attention layer of `unet` the processor above; others keep theirs."""
    processor = PlainAttention(fused)
    for module in list(unet.modules()):
        if hasattr(module, "set_processor") and hasattr(module, "to_q") and supports(module):
            has_adapter = hasattr(module.processor, "to_k_ip")
            module.set_processor(PlainImageAttention(module.processor, fused) if has_adapter else processor)
