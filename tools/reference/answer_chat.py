#!/usr/bin/env python3
"""What transformers answers greedily, in torch: `bench/chat.ts --source` compares the worker's answers with it."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference.bench_chat_loop import QUESTIONS, prompt_ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder that save_pretrained wrote")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer at most (default: 64)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    answers = []
    for question in QUESTIONS:
        ids = torch.tensor([prompt_ids(tokenizer, question)])
        with torch.no_grad():
            output = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=options.tokens, do_sample=False
            )
        tokens = output[0, ids.shape[1] :].tolist()
        text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        answers.append({"question": question, "text": text, "tokens": len(tokens)})
    print(json.dumps({"answers": answers}))


if __name__ == "__main__":
    main()
