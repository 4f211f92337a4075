#!/usr/bin/env python3
"""Times a plain Python text generation loop (ONNX Runtime on the CPU, transformers' tokenizer), the worker's peer."""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

QUESTIONS = (
    "What is the capital of France?",
    "Name three colours of the rainbow.",
    "Write one sentence about a mountain lake.",
    "How many legs does a spider have?",
    "What is the opposite of hot?",
)


def prompt_ids(tokenizer, question: str) -> list[int]:
    messages = [{"role": "user", "content": question}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Loop:
    """The cache stays in ONNX Runtime's own values: nothing but the logits becomes an array."""

    def __init__(self, folder: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = folder / "onnx/model.onnx"
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.past = [name for name in self.inputs if name.startswith("past_key_values")]
        self.outputs = ["logits", *[name.replace("past_key_values", "present") for name in self.past]]

    def generate(self, ids: list[int], limit: int, ends: set[int]) -> tuple[list[int], float, float]:
        """Tokens, seconds up to the first, and seconds of all others."""
        start = time.perf_counter()
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        cache = {}
        for name in self.past:
            _, heads, _, width = self.inputs[name].shape
            dtype = np.float16 if "float16" in self.inputs[name].type else np.float32
            cache[name] = value(np.zeros((1, heads, 0, width), dtype))
        new, length, tokens, first = ids, 0, [], 0.0
        while True:
            length += len(new)
            feeds = {
                "input_ids": value(np.array([new], np.int64)),
                "attention_mask": value(np.ones((1, length), np.int64)),
                "position_ids": value(np.arange(length - len(new), length, dtype=np.int64)[None]),
            }
            given = {name: feeds[name] for name in feeds if name in self.inputs}
            logits, *present = self.session.run_with_ort_values(self.outputs, given | cache)
            cache = dict(zip(self.past, present, strict=True))
            token = int(logits.numpy()[0, -1].argmax())
            tokens.append(token)
            first = first or time.perf_counter() - start
            if token in ends or len(tokens) == limit:
                return tokens, first, time.perf_counter() - start - first
            new = [token]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exported ONNX folder")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer at most (default: 64)")
    parser.add_argument("--threads", type=int, default=0, help="intra_op_num_threads; 0 is one a core (default: 0)")
    parser.add_argument("--warm-up", action="store_true", help="answer the first question once before, uncounted")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    ends = json.loads((options.model / "generation_config.json").read_text())["eos_token_id"]
    ends = set(ends if isinstance(ends, list) else [ends])
    loop = Loop(options.model, options.threads)
    prompts = [prompt_ids(tokenizer, question) for question in QUESTIONS]
    if options.warm_up:
        loop.generate(prompts[0], 8, ends)
    answers, before = [], cpu_seconds()
    for question, ids in zip(QUESTIONS, prompts, strict=True):
        tokens, first, rest = loop.generate(ids, options.tokens, ends)
        text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        answers.append({"question": question, "text": text, "tokens": len(tokens), "first": first, "rest": rest})
    cpu = cpu_seconds() - before
    print(
        json.dumps(
            {"answers": answers, "cpu_seconds": cpu, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        )
    )


if __name__ == "__main__":
    main()
