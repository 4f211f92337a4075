"use client";

import Link from "next/link";
import { type ReactNode, useEffect, useState } from "react";
import type { User } from "@/lib/backend";
import { backend } from "@/lib/connect";
import { SignIn } from "./sign-in";

/** Its children for who is signed in, and the form for who is not. */
export function SignedIn({ children }: { readonly children: ReactNode }) {
  const [user, setUser] = useState<User | null | "unknown">("unknown");
  useEffect(() => {
    backend.user().then(setUser, () => setUser(null));
  }, []);
  if (user === "unknown") return null;
  if (user === null) return <SignIn onUser={setUser} />;
  return (
    <>
      <nav>
        <Link href="/">Pictures</Link> <Link href="/admin">Admin</Link> <span>{user.email}</span>{" "}
        <button type="button" onClick={() => backend.signOut().then(() => setUser(null))}>
          Sign out
        </button>
      </nav>
      {children}
    </>
  );
}
