import { cancelJob } from "../../../supabase/functions/cancel-job/cancel-job.ts";
import { createUpload } from "../../../supabase/functions/create-upload/create-upload.ts";
import { deleteJob } from "../../../supabase/functions/delete-job/delete-job.ts";
import { enhancePrompt } from "../../../supabase/functions/enhance-prompt/enhance-prompt.ts";
import { getActiveWorkerUrl } from "../../../supabase/functions/get-active-worker-url/get-active-worker-url.ts";
import { jobCallbackFunction } from "../../../supabase/functions/job-callback/job-callback.ts";
import { jobStatus } from "../../../supabase/functions/job-status/job-status.ts";
import { queueJob } from "../../../supabase/functions/queue-job/queue-job.ts";
import { registerChatWorker } from "../../../supabase/functions/register-chat-worker/register-chat-worker.ts";
import { systemMetrics } from "../../../supabase/functions/system-metrics/system-metrics.ts";
import { updateWorkerUrl } from "../../../supabase/functions/update-worker-url/update-worker-url.ts";

/*
 * All edge functions in one Deno process, at the addresses that they have at Supabase. Started by edge.ts; prints one
 * line when it listens.
 */
const functions = [
  cancelJob,
  createUpload,
  deleteJob,
  enhancePrompt,
  getActiveWorkerUrl,
  jobCallbackFunction,
  jobStatus,
  queueJob,
  registerChatWorker,
  systemMetrics,
  updateWorkerUrl,
];

// Supabase's runtime has this; what is handed to it is counted, so that a test sees that it is used.
let kept = 0;
Object.assign(globalThis, {
  EdgeRuntime: {
    waitUntil(work: Promise<unknown>) {
      kept += 1;
      console.log(JSON.stringify({ kept }));
      return work;
    },
  },
});

const env = Deno.env.toObject();
const handlers = new Map(functions.map((each) => [`/functions/v1/${each.name}`, each.serve(env)]));

Deno.serve(
  {
    hostname: "127.0.0.1",
    port: Number(env.EDGE_PORT),
    onListen: ({ port }) => console.log(JSON.stringify({ listening: port })),
  },
  (request) => {
    const handler = handlers.get(new URL(request.url).pathname);
    return handler?.(request) ?? Response.json({ message: "Function not found" }, { status: 404 });
  },
);
