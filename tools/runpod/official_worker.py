"""A handler for RunPod's official worker, which does what its job says: `record-official-worker.ts` starts it."""

import os

import runpod


def answer(job):
    given = job["input"]
    mode = given.get("mode")
    if mode == "error":
        return {"error": "the lake is dry", "seen": 3}
    if mode == "raise":
        raise ValueError("the lake is dry")
    if mode == "progress":
        runpod.serverless.progress_update(job, {"progress": 0.5})
        # The update is sent from a thread of its own: an end right behind it may overtake it.
        import time

        time.sleep(0.3)
    if mode == "refresh":
        return {"refresh_worker": True, "lake": "quiet"}
    return {"lake": given.get("lake", "quiet")}


def stream(job):
    for word in ["a ", "quiet ", "lake"]:
        yield word


if os.environ.get("STREAMS") == "1":
    runpod.serverless.start({"handler": stream, "return_aggregate_stream": True})
else:
    runpod.serverless.start({"handler": answer})
