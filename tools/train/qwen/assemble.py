"""Writes the trained language model as a transformers folder, weights rounded to float16, for evaluation and export."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from tokenizers import Tokenizer
from train.qwen.network import CONTEXT, make_model
from train.qwen.texts import END_TEXT, END_TURN
from train.qwen.tokens import SPECIAL

# ChatML as Qwen2.5 writes it, without tools and without a system message of its own.
TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """The files that Qwen2's tokenizer has."""
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"eos_token": END_TURN, "pad_token": END_TEXT}
    added = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for token in SPECIAL
    }
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": added,
            "additional_special_tokens": list(SPECIAL[1:]),
            "bos_token": None,
            "chat_template": TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": CONTEXT,
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
            **tokens,
        },
    )
    write_json(folder / "special_tokens_map.json", {"additional_special_tokens": list(SPECIAL[1:]), **tokens})


def mean_of(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of weights: late in training it is better than each, as a lower learning rate would make it."""
    return {name: sum(state[name] for state in states) / len(states) for name in states[0]}


def assemble() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the training's checkpoint")
    parser.add_argument("--source", type=Path, default=Path("tools/.train/qwen-source"), help="folder to write")
    parser.add_argument(
        "--mean-with", type=Path, nargs="*", default=[], help="earlier checkpoints to take the mean with"
    )
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.work / "qwen-tokenizer.json"))
    end_text, end_turn = tokenizer.token_to_id(END_TEXT), tokenizer.token_to_id(END_TURN)
    model = make_model(end_text, end_turn)
    state = torch.load(options.work / "qwen.pt", map_location="cpu", weights_only=True)
    others = [torch.load(path, map_location="cpu", weights_only=True)["average"] for path in options.mean_with]
    model.load_state_dict(mean_of([state["average"], *others]))
    options.source.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(options.source)
    write_tokenizer(options.source, tokenizer)
    write_json(
        options.source / "generation_config.json",
        {
            "do_sample": True,
            "eos_token_id": [end_turn, end_text],
            "pad_token_id": end_text,
            "repetition_penalty": 1.0,
            "temperature": 0.7,
            "top_p": 0.9,
        },
    )
    print(f"{options.source}: step {state['step']}, {state['used_seconds'] / 60:.0f} minutes")


if __name__ == "__main__":
    assemble()
