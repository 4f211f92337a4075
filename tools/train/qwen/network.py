"""The language model's shape."""

from train.qwen.tokens import VOCABULARY
from transformers import Qwen2Config, Qwen2ForCausalLM

CONTEXT = 2048


def make_model(end_text: int, end_turn: int) -> Qwen2ForCausalLM:
    """Random weights."""
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
        bos_token_id=end_text,
        eos_token_id=end_turn,
    )
    return Qwen2ForCausalLM(config)
