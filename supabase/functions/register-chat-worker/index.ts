import { registerChatWorker } from "./register-chat-worker.ts";

Deno.serve(registerChatWorker.serve(Deno.env.toObject()));
