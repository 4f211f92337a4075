import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Database, type DatabaseOptions, databaseFile, openDatabase } from "./database.ts";
import type { Migration } from "./migrations.ts";
import { jsonColumn } from "./statements.ts";

const notes: Migration[] = [
  { component: "notes", version: 1, sql: "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT" },
];
const countRow = z.object({ count: z.number() });

let folder: string;
let path: string;
let opened: Database[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-database-"));
  path = databaseFile(join(folder, "data"));
  opened = [];
});

afterEach(() => {
  for (const database of opened) database.close();
  rmSync(folder, { recursive: true });
});

async function open(migrations: readonly Migration[] = notes, options?: DatabaseOptions): Promise<Database> {
  const database = await openDatabase(path, migrations, options);
  opened.push(database);
  return database;
}

function insertNote(database: Database, text: string): Promise<number> {
  return database.write(() => database.command("INSERT INTO notes (text) VALUES (:text)").run({ text }));
}

function countNotes(database: Database): number | undefined {
  return database.query("SELECT count(*) AS count FROM notes", countRow).get()?.count;
}

/** Another program's connection that holds the write lock. */
function lockFile(): DatabaseSync {
  const connection = new DatabaseSync(path);
  connection.exec("BEGIN IMMEDIATE");
  return connection;
}

describe("a new file", () => {
  test("is made with its folder, with write-ahead logging, full durability and foreign keys", async () => {
    const database = await open();
    const setting = (name: string) => database.query(`PRAGMA ${name}`, z.record(z.string(), z.unknown())).get();
    expect(existsSync(path)).toBe(true);
    expect(setting("journal_mode")).toEqual({ journal_mode: "wal" });
    expect(setting("synchronous")).toEqual({ synchronous: 2 });
    expect(setting("foreign_keys")).toEqual({ foreign_keys: 1 });
  });

  test("may be opened by many at once, and is migrated once", async () => {
    const databases = await Promise.all(Array.from({ length: 5 }, () => open()));
    for (const database of databases) await insertNote(database, "a note");
    for (const database of databases) expect(countNotes(database)).toBe(5);
  });
});

describe("migrations", () => {
  const tagged: Migration = { component: "notes", version: 2, sql: "ALTER TABLE notes ADD COLUMN tag TEXT" };
  const labels: Migration = { component: "labels", version: 1, sql: "CREATE TABLE labels (name TEXT) STRICT" };

  test("run once each, and keep what is there", async () => {
    await insertNote(await open(), "kept");
    await insertNote(await open([...notes, tagged]), "with a tag");
    const database = await open([...notes, tagged]);
    expect(database.query("SELECT text, tag FROM notes", z.object({ text: z.string(), tag: z.null() })).all()).toEqual([
      { text: "kept", tag: null },
      { text: "with a tag", tag: null },
    ]);
  });

  test("of one component do not depend on another's", async () => {
    await open([...notes, tagged]);
    await open([labels]);
    const database = await open([labels, ...notes, tagged]);
    const versions = database.query(
      "SELECT component, version FROM schema_versions ORDER BY component",
      z.object({ component: z.string(), version: z.number() }),
    );
    expect(versions.all()).toEqual([
      { component: "labels", version: 1 },
      { component: "notes", version: 2 },
    ]);
  });

  test("that fail leave the file as it was", async () => {
    await insertNote(await open(), "kept");
    const broken: Migration = { component: "notes", version: 3, sql: "ALTER TABLE nowhere ADD COLUMN x" };
    await expect(open([...notes, tagged, labels, broken])).rejects.toThrow("no such table: nowhere");
    const database = await open([...notes, labels]);
    expect(countNotes(database)).toBe(1);
  });

  test("refuse a file of a newer program, and say what to do", async () => {
    await open([...notes, tagged]);
    await expect(open()).rejects.toMatchObject({
      code: "DATA_FOLDER_UNUSABLE",
      message: expect.stringMatching(/newer version of this program \(notes 2, known up to 1\).*update the program/),
    });
  });

  test("refuse a file whose bookkeeping is newer", async () => {
    const database = await open();
    database.command("PRAGMA user_version = 9").run();
    await expect(open()).rejects.toMatchObject({ code: "DATA_FOLDER_UNUSABLE", details: { found: 9, known: 1 } });
  });

  test("must be numbered without gaps", async () => {
    await expect(open([tagged])).rejects.toThrow('migrations of "notes" must be numbered 1, 2, 3');
  });
});

describe("what cannot be used is said in one sentence", () => {
  const unusable = (what: RegExp) => ({
    code: "DATA_FOLDER_UNUSABLE",
    message: expect.stringMatching(new RegExp(`^The .*ourvidz\\.db .*${what.source}.*: .*\\.$`)),
  });

  test("a file that is not a database", async () => {
    mkdirSync(join(folder, "data"));
    writeFileSync(path, "These are the notes of a meeting, not a database.\n".repeat(100));
    await expect(open()).rejects.toMatchObject(unusable(/is not a database/));
  });

  test("a file that lost all that it held, and stays so", async () => {
    mkdirSync(join(folder, "data"));
    writeFileSync(path, "");
    await expect(open()).rejects.toMatchObject({
      code: "DATA_FOLDER_UNUSABLE",
      message: expect.stringMatching(/is there without a byte.*restore it from a backup, or delete the file/),
    });
    expect(statSync(path).size).toBe(0);
    rmSync(path);
    await insertNote(await open(), "anew");
  });

  test("a database with damaged pages", async () => {
    const database = await open();
    for (let round = 0; round < 20; round += 1) await insertNote(database, "x".repeat(1000));
    database.close();
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(statSync(path).size - 4096, 0xa5), 0, undefined, 4096);
    closeSync(file);
    await expect(open().then((reopened) => insertNote(reopened, "y"))).rejects.toMatchObject(unusable(/is damaged/));
  });

  test("a data folder that is a file", async () => {
    writeFileSync(join(folder, "data"), "");
    await expect(open()).rejects.toMatchObject(unusable(/could not be made \(EEXIST\)/));
  });

  test("a folder in the place of the file", async () => {
    mkdirSync(path, { recursive: true });
    await expect(open()).rejects.toMatchObject(unusable(/could not be opened/));
  });

  test("a full disk, and what was there stays readable", async () => {
    const database = await open();
    await insertNote(database, "kept");
    database.query("PRAGMA max_page_count = 8", z.object({ max_page_count: z.number() })).get();
    await expect(insertNote(database, "x".repeat(100_000))).rejects.toMatchObject({
      code: "DISK_FULL",
      message: expect.stringMatching(/^The disk of the database .*ourvidz\.db is full: free some space/),
    });
    expect(countNotes(database)).toBe(1);
    await insertNote(database, "short");
  });
});

describe("transactions", () => {
  test("roll back when they throw", async () => {
    const database = await open();
    const broken = database.write(() => {
      database.command("INSERT INTO notes (text) VALUES ('half')").run();
      throw new Error("the other half failed");
    });
    await expect(broken).rejects.toThrow("the other half failed");
    expect(countNotes(database)).toBe(0);
  });

  test("wait for another process without blocking this one", async () => {
    const database = await open();
    const other = lockFile();
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    const written = insertNote(database, "patient");
    await expect.poll(() => ticks).toBeGreaterThan(20);
    clearInterval(ticking);
    expect(countNotes(database)).toBe(0);
    other.exec("COMMIT");
    await written;
    other.close();
    expect(countNotes(database)).toBe(1);
  });

  test("give up on a lock that is never freed, and say so", async () => {
    const database = await open(notes, { busyLimitMs: 60 });
    const other = lockFile();
    await expect(insertNote(database, "late")).rejects.toMatchObject({
      code: "NOT_READY",
      message: expect.stringContaining("locked by another process"),
    });
    other.close();
    await insertNote(database, "after all");
  });

  test("read one unchanging view", async () => {
    const [reader, writer] = [await open(), await open()];
    await insertNote(writer, "first");
    const counts = await reader.read(() => {
      const before = countNotes(reader);
      void insertNote(writer, "second");
      return [before, countNotes(reader)];
    });
    expect(counts).toEqual([1, 1]);
    expect(countNotes(reader)).toBe(2);
  });

  test("of others change the data version, own ones do not", async () => {
    const [one, other] = [await open(), await open()];
    const before = one.dataVersion();
    await insertNote(one, "own");
    expect(one.dataVersion()).toBe(before);
    await insertNote(other, "foreign");
    expect(one.dataVersion()).not.toBe(before);
  });
});

describe("grouped changes", () => {
  const addNote = (database: Database, text: string) =>
    database.writeGrouped(() => database.command("INSERT INTO notes (text) VALUES (:text)").run({ text }));

  test("are one commit", async () => {
    const database = await open();
    const watcher = await open();
    const before = watcher.dataVersion();
    await Promise.all(["a", "b", "c"].map((text) => addNote(database, text)));
    expect(countNotes(watcher)).toBe(3);
    expect(watcher.dataVersion()).toBe(before + 1);
  });

  test("fail each for itself", async () => {
    const database = await open();
    const broken = database.writeGrouped(() => {
      database.command("INSERT INTO notes (text) VALUES ('half')").run({});
      throw new Error("no such river");
    });
    const outcomes = await Promise.allSettled([addNote(database, "a"), broken, addNote(database, "b")]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    await expect(broken).rejects.toThrow("no such river");
    expect(countNotes(database)).toBe(2);
  });

  test("are made before a change that comes after them", async () => {
    const database = await open();
    void addNote(database, "a");
    expect(await database.write(() => countNotes(database))).toBe(1);
  });

  test("are made before the file is closed", async () => {
    const database = await open();
    void addNote(database, "a");
    database.close();
    expect(countNotes(await open())).toBe(1);
  });
});

describe("rows", () => {
  test("that are not of the stated shape are refused", async () => {
    const database = await open();
    await insertNote(database, "not JSON");
    const asNumber = database.query("SELECT text FROM notes", z.object({ text: z.number() }));
    const asJson = database.query("SELECT text FROM notes", z.object({ text: jsonColumn(z.unknown()) }));
    expect(() => asNumber.get()).toThrow(z.ZodError);
    expect(() => asJson.all()).toThrow("must be JSON");
  });

  test("need every parameter to be one that the statement has", async () => {
    const database = await open();
    const insert = database.command("INSERT INTO notes (text) VALUES (:text)");
    expect(() => insert.run({ texts: "a typing error" })).toThrow("Unknown named parameter");
  });
});
