import { expect, it } from "vitest";
import { signedName } from "./signed-name.ts";

it.each([
  ["/files/bucket/user/job/0.png", "bucket/user/job/0.png"],
  ["/files/bucket/user/job/0.thumb.webp", "bucket/user/job/0.thumb.webp"],
  ["/files/b%75cket/0.png", "bucket/0.png"],
  ["/files/bucket", null],
  ["/files/", null],
  ["/files//0.png", null],
  ["/other/bucket/0.png", null],
  ["/files/bucket/../0.png", null],
  ["/files/bucket/%2e%2e/0.png", null],
  ["/files/bucket/%252e%252e/0.png", null],
  ["/files/bucket/..%2f..%2fetc%2fpasswd", null],
  ["/files/bucket/a%2Fb.png", null],
  ["/files/bucket/a%5Cb.png", null],
  ["/files/bucket/a\\b.png", null],
  ["/files/bucket/0.png%00", null],
  ["/files/bucket/.hidden", null],
  ["/files/bucket/%", null],
  ["/files/bucket/%ff", null],
  [`/files/bucket/${"a".repeat(201)}`, null],
])("%s: %s", (path, name) => {
  expect(signedName(path)).toBe(name);
});
