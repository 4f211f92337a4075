import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ChatTemplate, findTemplate } from "./chat-template.ts";

let folder: string;
const opened: ChatTemplate[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "template-"));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  for (const one of opened.splice(0)) await one.dispose();
});

const user = (content: string) => ({ role: "user", content }) as const;

async function open(text: string, limitMs?: number): Promise<ChatTemplate> {
  const template = await ChatTemplate.open({ path: "chat_template.jinja", text }, { bos_token: "<s>" }, limitMs);
  opened.push(template);
  return template;
}

const lines = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";

describe("a template", () => {
  it("has the messages, the tokenizer's marks, and is asked for the answer's beginning", async () => {
    const template = await open(`${lines}{% if add_generation_prompt %}assistant:{% endif %}`);
    expect(await template.render([user("hello")])).toBe("<s>user: hello\nassistant:");
  });

  it("is told apart by whether it writes system messages", async () => {
    const [takes, refuses, ignores] = [
      await open(lines),
      await open(`{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}${lines}`),
      await open("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"),
    ];
    expect([takes.takesSystem, refuses.takesSystem, ignores.takesSystem]).toEqual([true, false, false]);
    const messages = [{ role: "system", content: "Be brief." } as const, user("hello")];
    expect(await refuses.render(messages)).toBe("<s>user: Be brief.\n\nhello\n");
    expect(await ignores.render(messages)).toBe("Be brief.\n\nhello");
    expect(await refuses.render([messages[0] ?? user("")])).toBe("<s>user: Be brief.\n");
  });

  it("refuses messages in its own words", async () => {
    const template = await open(
      `{% if messages|length > 1 and messages[1].content == 'x' %}{{ raise_exception('not x') }}{% endif %}${lines}`,
    );
    await expect(template.render([user("a"), user("x")])).rejects.toMatchObject({
      code: "INVALID_JOB",
      message: "The model's chat template does not take these messages: not x",
    });
    expect(await template.render([user("a")])).toContain("user: a");
  });
});

describe("a template that is broken", () => {
  it.each([
    ["{% for m in %}", "cannot be read"],
    ["{% if messages|length == 1 %}{{ messages|nosuchfilter }}{% endif %}", "the chat template fails"],
  ])("%s", async (text, problem) => {
    const rendered = open(text).then((template) => template.render([user("a")]));
    await expect(rendered).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(problem) });
  });

  it("does not end", async () => {
    const endless =
      "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}";
    await expect(open(endless, 300)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: "chat_template.jinja: the chat template does not end within 0.3 s",
    });
  });

  it("does not end for some messages, and is there for the next", async () => {
    const template = await open(
      `{% if messages[0].content == 'x' %}{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}{% endif %}${lines}`,
      1000,
    );
    await expect(template.render([user("x")])).rejects.toMatchObject({ code: "MODEL_INVALID" });
    expect(await template.render([user("y")])).toBe("<s>user: y\n");
  });

  it.each([
    [
      "bit by bit",
      "{% set ns = namespace(list=[1, 2, 3, 4]) %}{% for a in range(60) %}{% set ns.list = ns.list + ns.list %}{% endfor %}",
    ],
    // V8's own limit for the thread would be met within one allocation here, and end this process.
    ["at one stroke", "{% for a in range(100000000) %}{% endfor %}"],
  ])("wants more memory than a template needs, %s", async (_how, greedy) => {
    // A machine under load may come to the limit of time first.
    await expect(open(greedy + lines, 5000)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/takes more memory than the 512 MB|does not end/),
    });
  });
});

describe("where it is", () => {
  it("is a file of its own, before all others", async () => {
    cpSync(new URL("fixtures/tiny-gemma", import.meta.url).pathname, folder, { recursive: true });
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ chat_template: "other" }));
    expect((await findTemplate(folder))?.path).toBe(join(folder, "chat_template.jinja"));
  });

  it.each([
    [{ chat_template: "one" }, "one"],
    [
      {
        chat_template: [
          { name: "default", template: "one" },
          { name: "tool_use", template: "two" },
        ],
      },
      "one",
    ],
    [
      {
        chat_template: [
          { name: "rag", template: "two" },
          { name: "default", template: "one" },
        ],
      },
      "one",
    ],
    [{ chat_template: [{ name: "any", template: "one" }] }, "one"],
    [{ chat_template: null }, undefined],
  ])("is in tokenizer_config.json: %j", async (config, text) => {
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
    expect((await findTemplate(folder))?.text).toBe(text);
  });

  it("is in chat_template.json", async () => {
    writeFileSync(join(folder, "chat_template.json"), JSON.stringify({ chat_template: "one" }));
    expect(await findTemplate(folder)).toEqual({ path: join(folder, "chat_template.json"), text: "one" });
  });
});
