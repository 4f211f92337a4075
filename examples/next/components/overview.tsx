"use client";

import { useEffect, useState } from "react";
import type { Overview as Seen } from "@/lib/backend";
import { backend } from "@/lib/connect";

const everyMs = 5_000;

export function Overview() {
  const [seen, setSeen] = useState<Seen | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const look = () => backend.overview().then(setSeen, (failure: Error) => setError(failure.message));
    void look();
    const timer = setInterval(look, everyMs);
    return () => clearInterval(timer);
  }, []);
  if (error !== null) return <p role="alert">{error}</p>;
  return (
    <section className="card">
      <h1>Queues</h1>
      <table>
        <thead>
          <tr>
            <th>queue</th>
            <th>waiting</th>
            <th>running</th>
            <th>failed</th>
          </tr>
        </thead>
        <tbody>
          {seen?.queues.map(({ queue, queued, running, failed }) => (
            <tr key={queue}>
              <th>{queue}</th>
              <td>{queued}</td>
              <td>{running}</td>
              <td>{failed}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h2>Containers</h2>
      <ul>
        {seen?.containers.map((container) => (
          <li key={container}>{container}</li>
        ))}
      </ul>
    </section>
  );
}
