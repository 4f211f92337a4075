"use client";

import { type FormEvent, useState } from "react";
import type { User } from "@/lib/backend";
import { backend } from "@/lib/connect";

export function SignIn({ onUser }: { readonly onUser: (user: User) => void }) {
  const [error, setError] = useState<string | null>(null);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    backend
      .signIn(String(fields.get("email")), String(fields.get("password")))
      .then(onUser, (failure: Error) => setError(failure.message));
  };
  return (
    <form className="card narrow" onSubmit={submit}>
      <h1>Sign in</h1>
      <label>
        E-mail <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button type="submit">Sign in</button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}
