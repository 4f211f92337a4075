#!/usr/bin/env python3
"""Makes the tiny random language models that the tests run, and what transformers answers with them."""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from export.export_chat import export
from reference.chat_cases import ANSWERS, QUESTIONS, SAMPLINGS, SYSTEM, Reference, cases, sampling_case, turns
from reference.chat_tokenizers import TOKENIZERS, token_cases
from reference.fixture_files import write_lines, write_versions
from reference.tiny_chat import write_source

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/chat/fixtures"
SEED = 3


def long_talk(system: str | None) -> list[dict]:
    contents = [(QUESTIONS[index % 5], ANSWERS[index % 3]) for index in range(8)]
    return turns(*[text for pair in contents for text in pair], "Name a colour.", system=system)


def write_answers(folder: Path, name: str, takes_system: bool, output: Path) -> None:
    reference = Reference(folder)
    found = []
    for case in cases(takes_system):
        answer = reference.run(case)
        found.append(answer)
        if case.name in ("question-0", "text-1"):
            found += reference.stopped(case, answer)
    found.append(reference.trimmed(long_talk(SYSTEM if takes_system else None), 32))
    write_lines(output / f"{name}.json", found)
    if name == "tiny-qwen2":
        write_lines(output / "sampling.json", [sampling_case(reference, settings) for settings in SAMPLINGS])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write (default: the tests' own)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    passed = True
    for name in TOKENIZERS:
        target = options.output / name
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / name
            write_source(source, name, SEED)
            # Without positions, and without the new values apart, as some exports are.
            passed = export(source, target, name != "tiny-gemma", name != "tiny-qwen2") and passed
            write_answers(source, name, name != "tiny-gemma", options.output)
            if name == "tiny-llama":
                half = options.output / "tiny-llama-half"
                shutil.rmtree(half, ignore_errors=True)
                passed = export(source, half, dtype="float16", external_data=True) and passed
    tokenizers = {name: make() for name, make in TOKENIZERS.items()}
    write_lines(options.output / "tokens.json", token_cases(tokenizers))
    write_versions(options.output / "versions.json", "python tools/reference/make_chat_fixtures.py")
    print(json.dumps({path.name: path.stat().st_size for path in sorted(options.output.glob("*.json"))}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
