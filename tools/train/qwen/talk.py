"""Questions that the model answers, and what may follow on a prompt."""

from dataclasses import replace

import numpy as np
from train.qwen.everyday import article
from train.qwen.ideas import Given, Idea, IdeaWriter, names_of
from train.qwen.prompts import PromptWriter
from train.qwen.things import said_motion, with_article
from train.qwen.words import ADJECTIVES
from train.wan.motions import MOTIONS

ANSWERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "draw": (
        "I know 232 things, such as a red apple, a fox, a rocket or a house, on 15 colours or in six scenes."
        " 76 of them can move.",
        (
            *(
                "what can you draw",
                "what can you do",
                "what do you know",
                "what can i ask for",
                "which things do you know",
            ),
            *("what things can you draw", "what subjects do you know", "what pictures can you make", "help"),
            *("what are you able to draw", "tell me what you can draw", "what should i draw", "how can you help me"),
        ),
    ),
    "who": (
        "I am tiny-qwen, a small language model. I turn a short idea into a fuller prompt for tiny-sdxl and tiny-wan.",
        (
            *("who are you", "what are you", "what is your name", "are you a robot", "which model are you"),
            *("tell me about yourself", "introduce yourself", "what is this", "what model is this", "are you qwen"),
        ),
    ),
    "colours": (
        "White, black, gray, red, orange, yellow, green, light green, light blue, blue, dark blue, purple, pink,"
        " brown and teal.",
        (
            *("which colours do you know", "which colors do you know", "what colours can a background have"),
            *("what colors can you use", "which background colours are there", "what backgrounds do you know"),
            *("list the colours", "what colours are there", "which backgrounds can you draw"),
        ),
    ),
    "scenes": (
        "Night sky, sunset, meadow, sea, desert and snow.",
        (
            *(
                "which scenes do you know",
                "what scenes are there",
                "which places can you draw",
                "what landscapes do you know",
            ),
            *("where can it be", "which scenes can you draw", "list the scenes", "what places do you know"),
        ),
    ),
    "motions": (
        "In a clip a thing stands still, moves left, right, up or down, grows, shrinks, spins, bounces or fades in.",
        (
            *("which motions do you know", "how can things move", "what movements do you know", "what can move"),
            *(
                "what can happen in a clip",
                "what can happen in a video",
                "list the motions",
                "which videos can you make",
            ),
            *("what motions are there", "what clips can you make"),
        ),
    ),
    "animals": (
        "A cat, a dog, a fox, a bear, a panda, a lion, a penguin, an owl, a turtle, an octopus and more.",
        ("which animals do you know", "what animals can you draw", "list some animals", "do you know animals"),
    ),
    "food": (
        "A red apple, a lemon, a banana, a strawberry, a pizza, a hamburger, a doughnut and more.",
        ("which food do you know", "what food can you draw", "which fruit do you know", "what fruits can you draw"),
    ),
    "vehicles": (
        "A rocket, an airplane, a bus, an automobile, a sailboat, a bicycle, a locomotive and more.",
        ("which vehicles do you know", "what vehicles can you draw", "list some vehicles"),
    ),
    "hello": (
        "Hello! Give me an idea, such as: a fox in the snow.",
        ("hello", "hi", "hey", "good morning", "hello there", "good evening", "hi there", "how are you"),
    ),
    "thanks": (
        "You are welcome. Have you another idea?",
        ("thanks", "thank you", "great", "very nice", "well done", "thank you very much", "perfect", "cool"),
    ),
}
NOT_MINE = "I can only write prompts for small pictures and clips. Give me an idea, such as: a rocket at night."
OTHER_QUESTIONS = (
    *(
        "what is the capital of {x}",
        "who wrote {x}",
        "how old is {x}",
        "why is the {x} {a}",
        "tell me a story about {x}",
    ),
    *("write a poem about {x}", "what is {x}", "where is {x}", "how do i cook {x}", "explain {x}", "who is {x}"),
    *("write code for {x}", "what is the weather in {x}", "translate {x} into french", "when was {x} built"),
    *("how does {x} work", "is {x} {a}", "what does {x} mean", "solve {x}", "how many {x} are there", "write an essay"),
    *(
        "what time is it",
        "what is two plus two",
        "tell me a joke",
        "who won",
        "why",
        "how far is the {x}",
        "sing a song",
    ),
)
CAN_YOU = ("can you draw {}", "do you know {}", "can you make {}", "could you draw {}", "are you able to draw {}")
AGAIN = ("another one", "again", "something else", "another background", "one more", "try again", "a different one")


class Talk:
    """Draws turns of a conversation."""

    def __init__(self, random: np.random.Generator, held_out: bool = False):
        """`held_out`: as of `IdeaWriter`."""
        self.random = random
        self.ideas, self.prompts = IdeaWriter(random, held_out), PromptWriter(random)

    def _asked(self, question: str) -> str:
        if self.random.random() < 0.5:
            question = question[0].upper() + question[1:]
        return question + ("?" if self.random.random() < 0.7 else "")

    def question(self) -> tuple[str, str]:
        """A question with its answer."""
        draw = self.random.random()
        if draw < 0.62:
            answer, questions = ANSWERS[self.ideas.pick(tuple(ANSWERS))]
            return self._asked(self.ideas.pick(questions)), answer
        if draw < 0.8:
            return self._can_you()
        name = self.ideas.phrases.words.name()
        question = self.ideas.pick(OTHER_QUESTIONS).format(x=name, a=self.ideas.pick(ADJECTIVES))
        return self._asked(question), NOT_MINE

    def _can_you(self) -> tuple[str, str]:
        question = self.ideas.pick(CAN_YOU)
        if self.random.random() < 0.6:
            thing = self.ideas.pick(self.ideas.things)
            name = self.ideas.pick(names_of(thing))
            idea = Idea("", name, False, thing)
            return self._asked(question.format(with_article(name))), f"Yes: {self.prompts.write(idea, 'plain', False)}"
        word = self.ideas.phrases.words.name()
        name = f"{article(word)} {word}"
        idea = Idea("", name, True)
        tried = self.prompts.write(idea, "plain", False)
        return self._asked(question.format(name)), f"I do not know {name} well. I can try: {tried}"

    def follow_up(self, idea: Idea, style: str, clip: bool) -> tuple[str, str]:
        """What is said after the prompt of `idea`, which is chosen, and the prompt that answers it."""
        draw = self.random.random()
        if draw < 0.45:
            given = self.ideas.color_idea()
            forms = ("make it {}", "on {}", "{} background", "on a {} background", "now on {}", "with a {} background")
            return self._elsewhere(idea, style, clip, given, self.ideas.pick(forms).format(given.words))
        if draw < 0.65:
            given = self.ideas.scene_idea()
            text = self.ideas.pick(("now", "put it", "")) + given.words.replace(", ", " ")
            return self._elsewhere(idea, style, clip, given, text.strip())
        if draw < 0.85:
            motion = MOTIONS[1 + self.random.integers(len(MOTIONS) - 1)]
            verb = motion.replace("moves", "move").replace("fades", "fade").removesuffix("s")
            text = self.ideas.pick(("let it {}", "make it {}", "it should {}", "now let it {}")).format(verb)
            said = said_motion(idea.thing.name, motion) if idea.thing else motion
            return text, self.prompts.render(replace(idea, text="", motion=said), style, clip)
        given = self.ideas.color_idea() if self.random.random() < 0.6 else self.ideas.scene_idea()
        return self._elsewhere(idea, style, clip, given, self.ideas.pick(AGAIN))

    def _elsewhere(self, idea: Idea, style: str, clip: bool, given: Given, text: str) -> tuple[str, str]:
        moved = replace(idea, text="", background=given, behind=None)
        return text, self.prompts.write(moved, style, clip)
