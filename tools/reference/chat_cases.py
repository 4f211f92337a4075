"""What transformers makes of conversations and texts with the tiny language models."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation import logits_process as processors

SYSTEM = "You are a painter. Answer in one short sentence."
QUESTIONS = (
    "What can you draw?",
    "Describe a mountain lake at sunrise.",
    "Name three alpine flowers.",
    "the fox runs through the snow",
    "A lighthouse on a cliff above the sea",
    "Wie heißt der Fluss, der durch das Tal fließt?",
    "café, naïve, façade",
    "山と湖の風景",
    "a fox 🦊 in the snow ❄️",
    "1, 2, 3, 42 and 1984",
)
TEXTS = (
    "The lighthouse",
    "A red apple, a blue boat",
    "Once there was a river that",
    " leading space",
    "line one\nline two\n",
    "ünïcödé",
    "0123456789",
)
ANSWERS = ("I can draw a red apple.", "The lake is still, and mist lies over the water.", "Edelweiss and gentian.")


@dataclass
class Case:
    name: str
    messages: list[dict] | None = None
    prompt: str | None = None
    max_tokens: int = 64
    repetition_penalty: float = 1.0
    stop: list[str] = field(default_factory=list)


def turns(*contents: str, system: str | None = None) -> list[dict]:
    """A conversation of the user and the assistant in turn."""
    talk = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(contents)]
    return ([] if system is None else [{"role": "system", "content": system}]) + talk


def cases(takes_system: bool) -> list[Case]:
    """20 of 64 tokens each."""
    found = [Case(f"question-{index}", turns(text)) for index, text in enumerate(QUESTIONS)]
    found += [Case(f"text-{index}", prompt=text) for index, text in enumerate(TEXTS)]
    dialogue = (QUESTIONS[0], ANSWERS[0], QUESTIONS[1], ANSWERS[1], QUESTIONS[2])
    found.append(Case("dialogue", turns(*dialogue)))
    found.append(Case("system", turns(QUESTIONS[3], system=SYSTEM) if takes_system else turns(*dialogue[:3])))
    found.append(Case("penalty", turns(QUESTIONS[4]), repetition_penalty=1.3))
    return found


class Reference:
    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        self.model.eval()
        self.context = self.model.config.max_position_embeddings

    def prompt_ids(self, case: Case) -> list[int]:
        if case.messages is None:
            return self.tokenizer(case.prompt).input_ids
        return self.tokenizer.apply_chat_template(case.messages, add_generation_prompt=True, return_dict=False)

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def generate(self, case: Case, ids: list[int]) -> list[int]:
        with torch.no_grad():
            output = self.model.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                max_new_tokens=case.max_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=case.repetition_penalty,
                stop_strings=case.stop or None,
                tokenizer=self.tokenizer,
                pad_token_id=self.tokenizer.pad_token_id or 0,
            )
        return output[0, len(ids) :].tolist()

    def run(self, case: Case) -> dict:
        """The tokens of a greedy answer, and its text up to the first stop text."""
        ids = self.prompt_ids(case)
        tokens = self.generate(case, ids)
        text = self.decode(tokens)
        ends = [text.index(stop) for stop in case.stop if stop in text]
        given = {"messages": case.messages} if case.messages is not None else {"prompt": case.prompt}
        settings = {"maxTokens": case.max_tokens, "repetitionPenalty": case.repetition_penalty, "stop": case.stop}
        return {
            "name": case.name,
            **given,
            **settings,
            "promptIds": ids,
            "tokens": tokens,
            "text": text[: min(ends)] if ends else text,
        }

    def stopped(self, case: Case, answer: dict) -> list[dict]:
        """The same answer with stop texts in it: within one token, over a border of tokens, and two at once."""
        text = answer["text"]
        ends = [len(self.decode(answer["tokens"][:count])) for count in range(12, 50)]
        border = next(end for end in ends if text.find(text[end - 2 : end + 2]) == end - 2)
        stops = [[text[border - 2 : border + 2]], [text[border - 5 : border + 3], "never there"]]
        found = [
            Case(f"{case.name}-stop-{index}", case.messages, case.prompt, stop=stop) for index, stop in enumerate(stops)
        ]
        return [self.run(each) for each in found]

    def trimmed(self, messages: list[dict], max_tokens: int) -> dict:
        """A conversation longer than the context: the oldest turns go, and what is left begins with the user."""
        room = self.context - min(max_tokens, self.context // 2)
        kept = messages[1:] if messages[0]["role"] == "system" else messages
        head = messages[: len(messages) - len(kept)]
        case = Case("trimmed", head + kept, max_tokens=max_tokens)
        while len(self.prompt_ids(case)) > room:
            kept = kept[1:]
            while kept[0]["role"] != "user":
                kept = kept[1:]
            case = Case("trimmed", head + kept, max_tokens=max_tokens)
        return {**self.run(case), "messages": messages, "dropped": len(messages) - len(head) - len(kept)}


SAMPLINGS = (
    {"temperature": 1.0},
    {"temperature": 0.7, "topP": 0.9},
    {"temperature": 1.5, "topK": 20},
    {"temperature": 0.8, "topK": 40, "topP": 0.8, "repetitionPenalty": 1.2},
    {"temperature": 2.0, "topP": 0.35, "repetitionPenalty": 0.8},
)
DRAWS = 10_000


def sampling_case(reference: Reference, settings: dict) -> dict:
    """Scores of one step, what is left of them after each rule, and how often each token is drawn."""
    ids = reference.prompt_ids(Case("sampling", turns(QUESTIONS[0])))
    with torch.no_grad():
        scores = reference.model(torch.tensor([ids])).logits[:, -1]
    logits, past = scores[0].tolist(), torch.tensor([ids])
    rules = [
        ("repetitionPenalty", processors.RepetitionPenaltyLogitsProcessor),
        ("temperature", processors.TemperatureLogitsWarper),
        ("topK", processors.TopKLogitsWarper),
        ("topP", processors.TopPLogitsWarper),
    ]
    for name, rule in rules:
        if name in settings:
            scores = rule(settings[name])(past, scores)
    probabilities = torch.softmax(scores, dim=-1)[0]
    generator = torch.Generator().manual_seed(5)
    drawn = torch.multinomial(probabilities, DRAWS, replacement=True, generator=generator)
    counts = torch.bincount(drawn, minlength=len(logits))
    kept = probabilities.nonzero().flatten().tolist()
    return {
        "settings": settings,
        "past": ids,
        "logits": [round(value, 6) for value in logits],
        "kept": [[token, probabilities[token].item(), counts[token].item()] for token in kept],
    }
