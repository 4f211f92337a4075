import { z } from "zod";
import type { Database } from "#runtime/lib/database/database.ts";
import { jsonColumn } from "#runtime/lib/database/statements.ts";
import { outboxEntry } from "./outbox.ts";

const row = z.object({ id: z.number(), entry: jsonColumn(outboxEntry) });

/** The data folder has another place: what waits to be delivered names its files there. */
export async function moveOutbox(database: Database, from: string, to: string): Promise<void> {
  if (from === to) return;
  const moved = (path: string) => (path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path);
  const rows = database.query("SELECT id, entry FROM outbox", row);
  const change = database.command("UPDATE outbox SET entry = :entry WHERE id = :id");
  await database.write(() => {
    for (const { id, entry } of rows.all()) {
      const files = entry.files.map((file) => ({
        ...file,
        file: moved(file.file),
        ...(file.thumbnail === undefined ? {} : { thumbnail: { ...file.thumbnail, file: moved(file.thumbnail.file) } }),
      }));
      change.run({ id, entry: JSON.stringify({ ...entry, files, workFolder: moved(entry.workFolder) }) });
    }
  });
}
