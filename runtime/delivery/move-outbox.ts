import { z } from "zod";
import type { Database } from "#runtime/lib/database/database.ts";
import { jsonColumn } from "#runtime/lib/database/statements.ts";

const thumbnail = z.looseObject({ file: z.string() });
const files = z.array(z.looseObject({ file: z.string(), thumbnail: thumbnail.optional() }));
/** Whatever else is in an entry stays as it is: another version may have written it. */
const places = jsonColumn(z.looseObject({ files, workFolder: z.string() }));
const row = z.object({ id: z.number(), entry: z.unknown() });

/** The data folder has another place: what waits to be delivered names its files there. Rows that name none stay as they are. */
export async function moveOutbox(database: Database, from: string, to: string): Promise<void> {
  if (from === to) return;
  const moved = (path: string) => (path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path);
  const rows = database.query("SELECT id, entry FROM outbox_entries", row);
  const change = database.command("UPDATE outbox_entries SET entry = :entry WHERE id = :id");
  await database.write(() => {
    for (const { id, entry: text } of rows.all()) {
      const { data: entry } = places.safeParse(text);
      if (entry === undefined) continue;
      const files = entry.files.map((file) => ({
        ...file,
        file: moved(file.file),
        ...(file.thumbnail === undefined ? {} : { thumbnail: { ...file.thumbnail, file: moved(file.thumbnail.file) } }),
      }));
      change.run({ id, entry: JSON.stringify({ ...entry, files, workFolder: moved(entry.workFolder) }) });
    }
  });
}
