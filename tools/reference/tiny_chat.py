"""Tiny language models with random weights, of the architectures that chat folders mostly have."""

from pathlib import Path

import torch
from transformers import GemmaConfig, GenerationConfig, LlamaConfig, Qwen2Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from reference.chat_tokenizers import TOKENIZERS

# Large enough that two tokens are never equally likely.
SPREAD = 0.25
CONTEXT = 256
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "initializer_range": SPREAD,
}


def config_of(name: str, tokenizer):
    vocabulary = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    if name == "tiny-qwen2":
        return Qwen2Config(**SIZES, **vocabulary, num_key_value_heads=2, tie_word_embeddings=False)
    if name == "tiny-llama":
        return LlamaConfig(
            **SIZES,
            **vocabulary,
            bos_token_id=tokenizer.bos_token_id,
            num_key_value_heads=1,
            tie_word_embeddings=False,
            rope_theta=500000.0,
        )
    return GemmaConfig(
        **SIZES,
        **vocabulary,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        num_key_value_heads=1,
        head_dim=16,
        # A random model that is tied says its last word again and again.
        tie_word_embeddings=False,
    )


def generation_config_of(name: str, tokenizer) -> GenerationConfig:
    """As published models have them: several end marks, and settings of sampling."""
    if name == "tiny-qwen2":
        ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
        return GenerationConfig(
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            do_sample=True,
            temperature=0.7,
            top_p=0.8,
            top_k=20,
            repetition_penalty=1.05,
        )
    if name == "tiny-llama":
        ends = [tokenizer.convert_tokens_to_ids("<|end_of_text|>"), tokenizer.eos_token_id]
        return GenerationConfig(bos_token_id=tokenizer.bos_token_id, eos_token_id=ends)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    return GenerationConfig(bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=0)


def write_source(folder: Path, name: str, seed: int) -> int:
    """Writes a model with random weights and returns its number of parameters."""
    tokenizer = TOKENIZERS[name]()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config_of(name, tokenizer), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
        # Parts of characters are spoken rarely, so that answers have words in them.
        rows = model.get_output_embeddings().weight
        for token in range(len(tokenizer)):
            text = tokenizer.decode([token])
            if not (text.isascii() and text.isprintable()):
                rows[token] *= 0.4
    model.generation_config = generation_config_of(name, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())
