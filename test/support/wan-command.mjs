import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

/*
 * A command that behaves as the classic WAN command line does, and draws a test card with ffmpeg in the place of a clip. Its
 * own arguments, which stand before those of a job, make it misbehave:
 *
 *   --behaviour=<name>  see `behaviours`; a prompt may name it too: "a lake [hangs]"
 *   --lacks=a,b         leaves these out of its help
 *   --record=<file>     appends a line of JSON for each run: pid, arguments, environment, children
 */
const text = { type: "string" };
const jobOptions = {
  task: text,
  ckpt_dir: text,
  size: text,
  frame_num: text,
  sample_steps: text,
  sample_guide_scale: text,
  sample_solver: text,
  sample_shift: text,
  base_seed: text,
  prompt: text,
  save_file: text,
  image: text,
  first_frame: text,
  last_frame: text,
};
const ownOptions = { behaviour: text, lacks: text, record: text, help: { type: "boolean" } };
const { values } = parseArgs({ options: { ...jobOptions, ...ownOptions } });
const choices = { task: "{t2v-1.3B,t2v-14B,t2i-14B,i2v-14B,flf2v-14B}", sample_solver: "{unipc,dpm++}" };

const { width, height, frames } = shape();
/** Looked up by those alone that draw: the others' own times are looked at. */
const findFfmpeg = async () => (await import("#pipelines/video/ffmpeg-paths.ts")).findFfmpeg();
const steps = Number(values.sample_steps ?? 0);

function shape() {
  const [w = 0, h = 0] = (values.size ?? "").split("*").map(Number);
  return { width: w, height: h, frames: Number(values.frame_num ?? 0) };
}

function help() {
  const lacking = (values.lacks ?? "").split(",");
  const names = Object.keys(jobOptions).filter((name) => !lacking.includes(name));
  const lines = names.map(
    (name) => `  --${name} ${choices[name] ?? name.toUpperCase()}\n                        what it is`,
  );
  process.stdout.write(
    `usage: generate.py [-h]\n\noptions:\n  -h, --help            show this help\n${lines.join("\n")}\n`,
  );
}

/** As tqdm draws on standard error. */
function bar(step, total, name = "") {
  const percent = String(Math.round((100 * step) / total)).padStart(3);
  process.stderr.write(
    `\r${name}${percent}%|${"█".repeat(step)}${" ".repeat(total - step)}| ${step}/${total} [00:0${step}<00:01,  1.00s/it]`,
  );
}

async function denoise() {
  for (let shard = 0; shard <= 3; shard++) bar(shard, 3, "Loading checkpoint shards: ");
  process.stderr.write("\n");
  for (let step = 0; step <= steps; step++) bar(step, steps);
  process.stderr.write("\n");
}

async function draw(file, { w = width, h = height, n = frames } = {}) {
  const card = ["-f", "lavfi", "-i", `testsrc2=size=${w}x${h}:rate=16`, "-frames:v", String(n)];
  const encode = /t2i/.test(values.task) ? [] : ["-c:v", "libx264", "-pix_fmt", "yuv420p"];
  const { ffmpeg } = await findFfmpeg();
  const { status, stderr } = spawnSync(ffmpeg, ["-v", "error", "-y", ...card, ...encode, file]);
  if (status !== 0) throw new Error(`ffmpeg: ${stderr}`);
}

const forever = () => pause(2 ** 30);

function child(options = {}) {
  const args = ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)", "wan-command-child"];
  return spawn(process.execPath, args, { stdio: "ignore", ...options });
}

const file = () => values.save_file;

const behaviours = {
  async well() {
    await denoise();
    await draw(file());
  },
  /** As `well` until the last step. */
  async hangs() {
    await denoise();
    record();
    await forever();
  },
  async ignores_term() {
    process.on("SIGTERM", () => {
      if (values.record !== undefined) appendFileSync(`${values.record}.term`, "outlived SIGTERM\n");
    });
    await denoise();
    record();
    await forever();
  },
  /** One in its group, one in another session. */
  async forks() {
    const children = [child(), child({ detached: true })];
    await Promise.all(children.map((each) => once(each, "spawn")));
    await denoise();
    record(children.map(({ pid }) => pid));
    await forever();
  },
  async leaves_children() {
    const children = [child({ stdio: "inherit" }), child({ detached: true })];
    await Promise.all(children.map((each) => once(each, "spawn")));
    record(children.map(({ pid }) => pid));
    await draw(file());
    process.exit(0);
  },
  async nothing() {
    await denoise();
  },
  async empty() {
    writeFileSync(file(), "");
  },
  async stale() {
    await draw(file());
    utimesSync(file(), new Date(2020, 1, 1), new Date(2020, 1, 1));
  },
  async link() {
    await draw(`${file()}.mp4`);
    symlinkSync(`${file()}.mp4`, file());
  },
  async short() {
    await draw(file(), { n: frames - 4 });
  },
  async small() {
    await draw(file(), { w: width / 2, h: height / 2 });
  },
  async garbage() {
    writeFileSync(file(), Buffer.alloc(10_000, 7));
  },
  async cut_off() {
    const copy = `${file()}.mkv`;
    await draw(copy);
    truncateSync(copy, Math.floor(readFileSync(copy).length * 0.6));
    copyFileSync(copy, file());
  },
  /** Its index is whole, and a part of its frames is not. */
  async damaged() {
    await draw(file());
    const bytes = readFileSync(file());
    const start = bytes.indexOf("mdat") + 1000;
    writeFileSync(file(), bytes.fill(0x5a, start, start + 2000));
  },
  async floods() {
    const line = `${"still working ".repeat(70)}\n`;
    for (let block = 0; block < 400; block++)
      if (!process.stdout.write(line.repeat(100))) await once(process.stdout, "drain");
    if (!process.stdout.write("x".repeat(20_000_000))) await once(process.stdout, "drain");
    await behaviours.well();
  },
  async out_of_memory() {
    const message = "CUDA out of memory. Tried to allocate 20.00 GiB (GPU 0; 23.65 GiB total capacity)";
    process.stderr.write(`Traceback (most recent call last):\ntorch.OutOfMemoryError: ${message}\n`);
    process.exitCode = 1;
  },
  async fails() {
    process.stderr.write("Traceback (most recent call last):\n  File \"generate.py\", line 7\nKeyError: 'blocks.0'\n");
    process.exitCode = 1;
  },
  async dies() {
    process.kill(process.pid, "SIGKILL");
    await forever();
  },
};

function record(children = []) {
  if (values.record === undefined) return;
  const pictures = [values.image, values.first_frame, values.last_frame].filter((each) => each !== undefined);
  const seen = pictures.map((each) => readFileSync(each).subarray(1, 4).toString());
  const run = { pid: process.pid, arguments: values, seen, environment: process.env, children };
  appendFileSync(values.record, `${JSON.stringify(run)}\n`);
}

if (values.help) {
  if (values.behaviour === "no_help") await forever();
  help();
} else {
  const name = values.behaviour ?? /\[(\w+)\]/.exec(values.prompt ?? "")?.[1] ?? "well";
  const behaviour = behaviours[name];
  if (behaviour === undefined) throw new Error(`no behaviour ${name}`);
  if (name === "well") record();
  await behaviour();
}
