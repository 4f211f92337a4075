import type { Job } from "@/lib/backend";

/** What has ended: pictures, and a sentence where there is none. */
export function Gallery({ jobs }: { readonly jobs: readonly Job[] }) {
  return (
    <ul className="gallery" aria-label="Gallery">
      {jobs.map(({ id, prompt, status, error, pictures }) => (
        <li key={id} data-job={id}>
          {pictures.map(({ index, url, thumbnailUrl }) => (
            <a key={index} href={url} target="_blank" rel="noreferrer">
              {/* A signed address is no use to an image optimiser: it is another one at every look. */}
              <img src={thumbnailUrl} alt={prompt} />
            </a>
          ))}
          <p>{prompt}</p>
          {status !== "completed" && <p className="faint">{error ?? status}</p>}
        </li>
      ))}
    </ul>
  );
}
