import type { AnswerQuery } from "#runtime/executor/queries.ts";
import type { Presets } from "#runtime/presets/presets.ts";

interface Kept {
  readonly presets: Pick<Presets, "all">;
}

/** What handlers find out of what the container keeps. */
export function answerQueries({ presets }: Kept): AnswerQuery {
  return async (query) => {
    switch (query.of) {
      case "presets":
        return presets.all;
    }
  };
}
