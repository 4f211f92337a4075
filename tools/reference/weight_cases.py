"""Prompts with weights: what a job says, and the same in Compel's own syntax where that is another text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightCase:
    """`prompt`, `negative_prompt` and `terms` are a job's. `compel` is given to compel instead of the prompt; several
    texts are encoded each by itself and laid end to end, with the pooled output of `pooled`."""

    name: str
    prompt: str
    terms: str = ""
    negative_prompt: str | None = None
    compel: str | tuple[str, ...] | None = None
    pooled: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        if isinstance(self.compel, tuple):
            return self.compel
        return (self.compel or self.prompt,)


LONG = (
    "a wide valley at sunrise with a winding river and (a stone bridge)1.3, tall grass in the foreground, "
    "a wooden cabin with smoke rising from its chimney, two horses near the fence, pine trees on both sides, "
    "snow on the far mountains, thin clouds in an orange sky. "
) * 3
NO_STOPS = "red blue green yellow orange purple white black " * 12
LETTERS = "unbroken" * 45

CASES = (
    WeightCase("plus", "a lighthouse++ at dawn"),
    WeightCase("minus", "a lighthouse-- at dawn, calm sea"),
    WeightCase("many marks", "a cat+++ and a dog--- on a (chair)1.5, (sofa)0.5"),
    WeightCase("phrase", "an old (harbour town)1.3 in the rain"),
    WeightCase("quoted phrase", 'an old "harbour town"1.25 in the rain'),
    WeightCase("attend", "an old (harbour).attend(1.4) in fog, (boats).attend(++), (gulls).attend(-)"),
    WeightCase("colon", "a (lighthouse:1.3) at dawn", compel="a (lighthouse)1.3 at dawn"),
    WeightCase("colon, less", "a (lighthouse:0.6) at (dawn:1.2)", compel="a (lighthouse)0.6 at (dawn)1.2"),
    WeightCase("colon, zero", "a forest (in the snow:0)", compel="a forest (in the snow)0"),
    WeightCase("colon, two", "a forest (in the snow:2)", compel="a forest (in the snow)2"),
    WeightCase(
        "colon, nested", "a (forest (in the snow:1.5) at night:0.8)", compel="a (forest (in the snow)1.5 at night)0.8"
    ),
    WeightCase(
        "both syntaxes", "a (forest++ (path:0.7))1.2 and (fog:1.1)", compel="a (forest++ (path)0.7)1.2 and (fog)1.1"
    ),
    WeightCase("colon in a word", "sun(flower:1.4)field", compel="sun (flower)1.4 field"),
    WeightCase("nested", "((a red fox)1.2 in the (snow)1.3)0.9, golden hour"),
    WeightCase("nested three deep", "(((deep)1.1 water)1.1 lake)1.1"),
    WeightCase("brackets without weight", "a (red (fox)) in ((the)) snow++"),
    WeightCase("zero", "a red fox, (snow)0, pine trees"),
    WeightCase("small", "a red fox, (snow)0.05, pine trees"),
    WeightCase("half", "a red fox, (snow)0.5, pine trees"),
    WeightCase("several below", "(a fox)0.9 and (an owl)0.4 and (a hare)0.1 and (a deer)1.4"),
    WeightCase("first word below", "(fox)0.3 in the snow"),
    WeightCase("whole prompt below", "(a fox in the snow)0.7"),
    WeightCase("whole prompt above", "(a fox in the snow)1.6"),
    WeightCase("escaped brackets", r"a sign \(old\) with (paint \(flaking\))1.3"),
    WeightCase("escaped quotes", r'a sign with \"open\" and (paint)1.2'),
    WeightCase("hyphens and marks", "semi-realistic photo, f/1.8, 35mm - (bokeh)1.2, e.g. lanterns"),
    WeightCase("brackets in a word", "a cat(tabby) on a roof++"),
    WeightCase("letters of many scripts", "(été à la plage)1.2, 日本の(灯台)0.8, Straße++, смотри"),
    WeightCase("emoji", "a (🦊)1.4 under a 🌲-- and (☀️:0.7)", compel="a (🦊)1.4 under a 🌲-- and (☀️)0.7"),
    WeightCase("white space", "  a   (red\tfox)1.3 ,\n  snow++ "),
    WeightCase("negative prompt", "a red fox++", negative_prompt="blurry--, (watermark)1.3, text"),
    WeightCase("empty negative prompt", "a red fox++", negative_prompt=""),
    WeightCase("long", LONG),
    WeightCase("long, below", LONG.replace("1.3", "0.6"), negative_prompt="(frame)0.5"),
    WeightCase("long without stops", NO_STOPS + "(grey)1.3"),
    WeightCase("long word", LETTERS + " (grey)0.8"),
    WeightCase("long negative prompt", "a fox--", negative_prompt=NO_STOPS),
    WeightCase("a run across chunks", "first words. " + f"({NO_STOPS})0.6 and a (fox)1.2"),
    WeightCase("blend", '("a red fox", "a grey wolf").blend(0.7, 0.3)'),
    WeightCase("blend of weighted", '("a red fox++ in snow", "a (grey wolf)0.5").blend(1, 1)', negative_prompt="dark--"),
    WeightCase("blend, not normalized", '("a red fox", "a wolf").blend(0.7, 0.6, no_normalize)'),
    WeightCase("blend of two lengths", f'("a red fox", "{NO_STOPS}").blend(0.4, 0.6)'),
    WeightCase("and", '("a red fox in snow", "an oil painting++").and()'),
    WeightCase("and with weights", '("a red fox in snow", "an (oil painting)0.8").and(1, 0.5)'),
    WeightCase(
        "blend, colon",
        '("a (red:1.4) fox", "a wolf").blend(0.5, 0.5)',
        compel='("a (red)1.4 fox", "a wolf").blend(0.5, 0.5)',
    ),
    WeightCase(
        "terms",
        "a lighthouse at dawn",
        terms="(lighthouse:1.3), sea++, (old harbour)0.8",
        compel="a lighthouse at dawn, (lighthouse)1.3, sea++, (old harbour)0.8",
    ),
    WeightCase(
        "terms twice",
        "a lighthouse,",
        terms="(Sea  Birds:1.3), (sea birds)0.2, dawn",
        compel="a lighthouse, (Sea  Birds)1.3, dawn",
    ),
    WeightCase("terms alone", "", terms="(a red fox:1.2), snow-", compel="(a red fox)1.2, snow-"),
    WeightCase(
        "terms beside a blend",
        '("a red fox", "a wolf").blend(0.7, 0.3)',
        terms="(snow:1.2), pine--",
        compel=('("a red fox", "a wolf").blend(0.7, 0.3)', "(snow)1.2, pine--"),
        pooled='("a red fox", "a wolf").blend(0.7, 0.3), (snow)1.2, pine--',
    ),
    WeightCase(
        "a blend among the terms",
        "a forest++",
        terms='(snow:1.2), ("a red fox", "a wolf").blend(0.7, 0.3)',
        compel=("a forest++, (snow)1.2", '("a red fox", "a wolf").blend(0.7, 0.3)'),
        pooled='a forest++, (snow)1.2, ("a red fox", "a wolf").blend(0.7, 0.3)',
    ),
)
