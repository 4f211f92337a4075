import type { Job } from "@/lib/backend";

/** What has ended: pictures, and a sentence where there is none. */
interface GalleryProps {
  readonly jobs: readonly Job[];
  readonly onDelete: (id: string) => void;
}

export function Gallery({ jobs, onDelete }: GalleryProps) {
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
          <button type="button" aria-label={`Delete ${prompt}`} onClick={() => onDelete(id)}>
            Delete
          </button>
        </li>
      ))}
    </ul>
  );
}
