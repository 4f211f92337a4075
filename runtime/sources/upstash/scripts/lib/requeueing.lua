--- @include "settling"

-- What retry and release share: the job goes back to its queue, or to its end when a cancel was requested. That end is the
-- caller's to report; another container has it when it is not reported within one lease time.
local returned, ready, moments, dueFrom = {}, {}, {}, {}

local function requeue(job, outcome, available, problem)
  local state = job.state
  withdraw(state)
  state.progress = nil
  if state.cancel then
    endAttempt(state, 'cancelled', now, problem)
    finish(job, 'cancelled')
    moments[#moments + 1] = scoreText(now + settings.leaseMs)
    moments[#moments + 1] = endMember(state)
    return
  end
  endAttempt(state, outcome, now, problem)
  state.status, state.token, state.available = 'queued', nil, available
  returned[#returned + 1] = settings.jobPrefix .. state.id
  returned[#returned + 1] = formatRecord(job)
  if available > now then
    moments[#moments + 1] = scoreText(available)
    moments[#moments + 1] = delayMember(state)
  else
    local key = settings.readyPrefix .. state.worker
    ready[key] = ready[key] or {}
    table.insert(ready[key], state.score)
    table.insert(ready[key], readyMember(state))
  end
  if state.expires then
    -- What comes back after its time expires with the next take.
    moments[#moments + 1] = scoreText(state.expires)
    moments[#moments + 1] = expiryMember(state)
  end
  dueFrom[state.worker] = math.min(dueFrom[state.worker] or available, available)
end

local function writeReturns()
  writeEnds()
  if #returned > 0 then call('MSET', unpack(returned)) end
  if #moments > 0 then call('ZADD', timetable, unpack(moments)) end
  for key, scoresAndMembers in pairs(ready) do call('ZADD', key, unpack(scoresAndMembers)) end
  for worker, available in pairs(dueFrom) do
    call('PUBLISH', settings.channel, 'jobs:' .. settings.origin .. ':' .. worker .. ':' .. scoreText(available))
  end
end
