"use client";

import { type FormEvent, useState } from "react";
import type { Job } from "@/lib/backend";
import { backend } from "@/lib/connect";

export function CreateForm({ onCreated }: { readonly onCreated: (job: Job) => void }) {
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  async function create(form: HTMLFormElement): Promise<void> {
    const fields = new FormData(form);
    const file = fields.get("reference");
    const reference = file instanceof File && file.size > 0 ? await backend.uploadReference(file) : undefined;
    const prompt = String(fields.get("prompt"));
    const id = await backend.createJob({ prompt, ...(reference === undefined ? {} : { reference }) });
    onCreated(await backend.job(id));
    form.reset();
  }

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setIsBusy(true);
    setError(null);
    create(event.currentTarget)
      .catch((failure: Error) => setError(failure.message))
      .finally(() => setIsBusy(false));
  };

  return (
    <form className="card" onSubmit={submit}>
      <label>
        Prompt <textarea name="prompt" rows={3} placeholder="a red apple" required />
      </label>
      <label>
        Reference picture <input name="reference" type="file" accept="image/png,image/jpeg,image/webp" />
      </label>
      <button type="submit" disabled={isBusy}>
        Create
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}
