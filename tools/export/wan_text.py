"""The UMT5 encoder of a WAN pipeline as an ONNX component."""

from pathlib import Path

import torch

from .attention import attend
from .component import Component, Tensors
from .source_folder import weights_variant


class TextEncoder(torch.nn.Module):
    """input_ids and attention_mask `[batch, sequence]` -> last_hidden_state `[batch, sequence, d_model]`.

    The forward pass of transformers' UMT5Stack written anew: its own fixes the length and the mask when it is traced.
    """

    def __init__(self, model: torch.nn.Module, fused: bool):
        super().__init__()
        self.encoder, self.fused = model.encoder, fused
        attention = self.encoder.block[0].layer[0].SelfAttention
        distance = attention.relative_attention_max_distance
        # All distances beyond the largest share its bucket. A table, since ONNX Runtime's logarithm may round to the
        # other side of a bucket's limit.
        self.register_buffer("buckets", attention._relative_position_bucket(torch.arange(-distance, distance + 1)))
        self.distance = distance

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder.embed_tokens(input_ids)
        positions = torch.ones_like(input_ids[0]).cumsum(0)
        relative = (positions[None, :] - positions[:, None]).clamp(-self.distance, self.distance)
        buckets = self.buckets[relative + self.distance]
        masked = (1 - attention_mask[:, None, None, :]).to(hidden.dtype) * torch.finfo(hidden.dtype).min
        for block in self.encoder.block:
            hidden = hidden + self._attended(block.layer[0], hidden, buckets, masked)
            hidden = block.layer[1](hidden)
        return self.encoder.final_layer_norm(hidden)

    def _attended(self, layer, hidden, buckets, masked) -> torch.Tensor:
        attention, normed = layer.SelfAttention, layer.layer_norm(hidden)
        bias = attention.relative_attention_bias(buckets).permute(2, 0, 1).unsqueeze(0) + masked
        query, key, value = attention.q(normed), attention.k(normed), attention.v(normed)
        return attention.o(attend(query, key, value, attention.n_heads, attention.scaling, self.fused, bias))


def text_encoder(source: Path, dtype: torch.dtype, fused: bool) -> Component:
    from transformers import UMT5EncoderModel

    folder = source / "text_encoder"
    model = UMT5EncoderModel.from_pretrained(folder, dtype=dtype, variant=weights_variant(folder)).eval()
    exported = TextEncoder(model, fused)
    vocabulary, axes = model.config.vocab_size, {0: "batch", 1: "sequence"}

    def values(*lengths: int) -> Tensors:
        length = max(lengths)
        mask = torch.tensor([[int(index < limit) for index in range(length)] for limit in lengths])
        return torch.randint(3, vocabulary, (len(lengths), length)) * mask, mask

    return Component(
        "text_encoder",
        exported,
        dtype,
        {"input_ids": axes, "attention_mask": axes},
        {"last_hidden_state": axes},
        lambda: values(7, 12),
        lambda: [values(512), values(5, 40, 31)],
        reference=lambda *inputs: model(*inputs).last_hidden_state,
    )
