import { inputFolder } from "#contract/input-address.ts";
import { extensionOf, type FetchedMimeType, fetchedMimeTypes, type InputKind } from "../limits.ts";
import { kindOf } from "../write-content.ts";

/** Where an uploaded file lies in the bucket for inputs: `{user}/inputs/{sha256}.{extension}`. */
export function uploadPath(userId: string, sha256: string, mimeType: FetchedMimeType): string {
  return `${userId}/${inputFolder}/${sha256}.${extensionOf[mimeType]}`;
}

/** Where it may lie: its address says nothing of its type. */
export function uploadPaths(userId: string, sha256: string, kind: InputKind): string[] {
  const types = fetchedMimeTypes.filter((mimeType) => kindOf(mimeType) === kind);
  return types.map((mimeType) => uploadPath(userId, sha256, mimeType));
}

/** The type of a file by the name that it was stored under; undefined for any other name. */
export function typeOfUpload(path: string): FetchedMimeType | undefined {
  return fetchedMimeTypes.find((mimeType) => path.endsWith(`.${extensionOf[mimeType]}`));
}
