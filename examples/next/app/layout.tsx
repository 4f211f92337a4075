import type { Metadata } from "next";
import type { ReactNode } from "react";
import { SignedIn } from "@/components/signed-in";
import "./globals.css";

export const metadata: Metadata = { title: "Pictures" };

export default function Layout({ children }: { readonly children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <main>
          <SignedIn>{children}</SignedIn>
        </main>
      </body>
    </html>
  );
}
