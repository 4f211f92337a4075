/*
 * Exif (version 2.32): a TIFF block whose second directory has the texts of a picture. Where the AUTOMATIC1111 web UI puts
 * its `parameters`, and so where other tools look for them: the tag UserComment, in UTF-16.
 */
const tags = { exifDirectory: 0x87_69, exifVersion: 0x90_00, makerNote: 0x92_7c, userComment: 0x92_86 } as const;
const types = { long: 4, undefined: 7 } as const;

/** In Exif's order of bytes, the older of both: "MM". */
const header = Buffer.from("MM\0*\0\0\0\x08", "latin1");
const entryBytes = 12;
const exifVersion = Buffer.from("0232", "latin1");
const unicodeMark = Buffer.from("UNICODE\0", "latin1");

export interface PictureTexts {
  /** For people and other tools. */
  readonly comment: string;
  /** For this project: the tag that Exif keeps for a maker's own data. */
  readonly note: string;
}

/**
 * The texts as a TIFF block of at most `maxBytes`. Where that is too little the note is left out, and then the comment's end.
 */
export function exifOf({ comment, note }: PictureTexts, maxBytes = Number.POSITIVE_INFINITY): Buffer {
  const whole = block(commentValue(comment), Buffer.from(note, "utf8"));
  if (whole.length <= maxBytes) return whole;
  const withoutNote = block(commentValue(comment));
  if (withoutNote.length <= maxBytes) return withoutNote;
  const beside = block(commentValue("")).length;
  const fitting = comment.slice(0, Math.floor((maxBytes - beside) / 2));
  // The first half of a pair alone is no character.
  return block(commentValue(fitting.replace(/[\ud800-\udbff]$/, "")));
}

function commentValue(text: string): Buffer {
  return Buffer.concat([unicodeMark, Buffer.from(text, "utf16le").swap16()]);
}

function block(comment: Buffer, note?: Buffer): Buffer {
  const first = header.length;
  const second = first + directoryBytes(1);
  const entries = [
    { tag: tags.exifVersion, value: exifVersion },
    ...(note === undefined ? [] : [{ tag: tags.makerNote, value: note }]),
    { tag: tags.userComment, value: comment },
  ];
  const pointer = Buffer.alloc(4);
  pointer.writeUInt32BE(second);
  let end = second + directoryBytes(entries.length);
  const written = entries.map(({ tag, value }) => {
    if (value.length <= 4) return { entry: entryOf(tag, types.undefined, value.length, value), after: [] };
    const place = Buffer.alloc(4);
    place.writeUInt32BE(end);
    const padding = Buffer.alloc(value.length % 2);
    end += value.length + padding.length;
    return { entry: entryOf(tag, types.undefined, value.length, place), after: [value, padding] };
  });
  return Buffer.concat([
    header,
    directoryOf([entryOf(tags.exifDirectory, types.long, 1, pointer)]),
    directoryOf(written.map(({ entry }) => entry)),
    ...written.flatMap(({ after }) => after),
  ]);
}

/** A number of entries, the entries, and that no further directory follows. */
function directoryBytes(entries: number): number {
  return 2 + entries * entryBytes + 4;
}

function directoryOf(entries: readonly Buffer[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(entries.length);
  return Buffer.concat([count, ...entries, Buffer.alloc(4)]);
}

/** @param value what it is, or where it lies when it has more than four bytes */
function entryOf(tag: number, type: number, count: number, value: Buffer): Buffer {
  const entry = Buffer.alloc(entryBytes);
  entry.writeUInt16BE(tag, 0);
  entry.writeUInt16BE(type, 2);
  entry.writeUInt32BE(count, 4);
  value.copy(entry, 8);
  return entry;
}
