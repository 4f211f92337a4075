--- @include "call"
--- @include "expiry"
--- @include "failures"

-- Makes a failed job one that waits, as its next run, with its attempts forgotten. An end of the run before that nobody has
-- reported is dropped when it is met. The caller writes the record, without a time to live, puts the job on its queue, and
-- takes the group's failures away (`removeFailures`).
local function beginRun(state, timetableKey, run, now)
  if state.mark then call('ZREM', timetableKey, state.mark) end
  forgetFailure(state)
  state.status, state.attempt, state.available, state.run = 'queued', 0, now, run
  state.attempts, state.settled, state.progress, state.cancel, state.mark, state.error = nil, nil, nil, nil, nil, nil
  beginWaiting(state, now)
end
