/*
 * Errors as the storage service words them. Its JSON routes answer almost every refusal with HTTP 400 and put the real
 * status into the body; its resumable routes answer with the real status and the bare message.
 */
export class StorageError extends Error {
  readonly statusCode: number;
  readonly code: string;
  readonly error: string;
  readonly httpStatus: number;

  constructor(statusCode: number, code: string, message: string, error = code, httpStatus = jsonStatus(statusCode)) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
    this.error = error;
    this.httpStatus = httpStatus;
  }

  /** What the library `@tus/server` answers with. */
  get status_code(): number {
    return this.statusCode;
  }

  get body(): string {
    return this.message;
  }
}

function jsonStatus(statusCode: number): number {
  return statusCode >= 500 ? statusCode : 400;
}

export const storageErrors = {
  noBucket: () => new StorageError(404, "NoSuchBucket", "Bucket not found", "Bucket not found"),
  noObject: () => new StorageError(404, "NoSuchKey", "Object not found", "not_found"),
  alreadyExists: () => new StorageError(409, "KeyAlreadyExists", "The resource already exists", "Duplicate"),
  tooLarge: () =>
    new StorageError(413, "EntityTooLarge", "The object exceeded the maximum allowed size", "Payload too large"),
  mimeType: (mimeType: string) =>
    new StorageError(415, "InvalidMimeType", `mime type ${mimeType} is not supported`, "invalid_mime_type"),
  invalidKey: (key: string) => new StorageError(400, "InvalidKey", `Invalid key: ${key}`),
  invalidRequest: (message: string) => new StorageError(400, "InvalidRequest", message),
  invalidToken: (message: string) => new StorageError(400, "InvalidJWT", message),
  unauthorized: (message: string) => new StorageError(403, "AccessDenied", message, "Unauthorized"),
  /** Said by the gateway in front of the service, which knows nothing of storage. */
  unknownApiKey: () => new StorageError(401, "", "Invalid API key", "", 401),
  chunkSize: () =>
    new StorageError(400, "InvalidRequest", "Every part but the last must have exactly 6291456 bytes (6 MB)"),
};
