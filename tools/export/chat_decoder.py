"""A causal language model as one ONNX component that reads tokens after those in its cache."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from .component import Component, Tensors


class GrownCache(DynamicCache):
    """Keys and values of past tokens, each joined with those of the new ones; transformers' own is not traceable."""

    def __init__(self, past: tuple[torch.Tensor, ...]):
        super().__init__()
        self.past, self.present, self.new = past, list(past), list(past)

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        for offset, states in enumerate((key_states, value_states)):
            self.new[2 * layer_idx + offset] = states
            self.present[2 * layer_idx + offset] = torch.cat([self.past[2 * layer_idx + offset], states], dim=2)
        return self.present[2 * layer_idx], self.present[2 * layer_idx + 1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.past[0].shape[2]


class CausalDecoder(torch.nn.Module):
    """Reads tokens after those whose keys and values it is given, `[batch, heads, past, width]` for every layer.

    input_ids and position_ids (unless left out) are `[batch, new]`, attention_mask `[batch, past + new]`; the result is
    the logits of the last token, `[batch, 1, vocabulary]`, keys and values `[batch, heads, past + new, width]`, and (unless
    left out) those of the new tokens alone, of all layers in one, `[2 * layers, batch, heads, new, width]`: all that a
    caller needs who keeps a cache with places to spare, which the attention mask leaves out.
    """

    def __init__(self, model: torch.nn.Module, positions: bool, new_values: bool):
        super().__init__()
        self.model, self.positions, self.new_values = model, positions, new_values

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *rest: torch.Tensor):
        past = rest[1:] if self.positions else rest
        dtype = past[0].dtype
        places = torch.ones_like(attention_mask[0]).cumsum(0)
        new = places[past[0].shape[2] :]
        position_ids = rest[0] if self.positions else (attention_mask.cumsum(1) - 1)[:, past[0].shape[2] :]
        seen = (places[None, :] <= new[:, None])[None, None] & (attention_mask[:, None, None, :] > 0)
        mask = (~seen).to(dtype) * torch.finfo(dtype).min
        cache = GrownCache(past)
        logits = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits, *cache.present, *((torch.stack(cache.new),) if self.new_values else ())


def load_model(source: Path, dtype: torch.dtype) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()


def decoder(
    source: Path, dtype: torch.dtype, positions: bool = True, new_values: bool = True, file: str = "model.onnx"
) -> Component:
    model = load_model(source, dtype)
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    names = [f"{layer}.{part}" for layer in range(config.num_hidden_layers) for part in ("key", "value")]

    def values(past: int, new: int, batch: int = 1) -> Tensors:
        ids = torch.randint(0, config.vocab_size, (batch, new))
        mask = torch.ones(batch, past + new, dtype=torch.int64)
        places = torch.arange(past, past + new).expand(batch, new)
        # A prompt of real tokens: random keys would be like none that a model makes.
        cache = GrownCache(tuple(torch.zeros(batch, heads, 0, width, dtype=dtype) for _ in names))
        if past > 0:
            with torch.no_grad():
                model(torch.randint(0, config.vocab_size, (batch, past)), past_key_values=cache, use_cache=True)
        return ids, mask, *((places,) if positions else ()), *cache.present

    inputs = {
        "input_ids": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        **({"position_ids": {0: "batch_size", 1: "sequence_length"}} if positions else {}),
        **{f"past_key_values.{name}": {0: "batch_size", 2: "past_sequence_length"} for name in names},
    }
    outputs = {
        "logits": {0: "batch_size"},
        **{f"present.{name}": {0: "batch_size", 2: "total_sequence_length"} for name in names},
        **({"new_key_values": {1: "batch_size", 3: "sequence_length"}} if new_values else {}),
    }
    return Component(
        "onnx",
        CausalDecoder(model, positions, new_values),
        dtype,
        inputs,
        outputs,
        lambda: values(3, 4, 2),
        lambda: [values(0, 9), values(9, 1), values(5, 3, 2)],
        file=file,
    )
