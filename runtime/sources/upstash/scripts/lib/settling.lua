--- @include "call"
--- @include "clock"
--- @include "records"
--- @include "attempts"
--- @include "moments"
--- @include "parking"
--- @include "discarded"

-- What the five settling scripts share. They settle any number of leases in one call:
--
--   KEYS[1]  timetable
--   KEYS[2]  discarded
--   ARGV[1]  JSON {jobPrefix, readyPrefix, parkedPrefix, keepSeconds, leaseMs?, now?}: `now` is what the caller takes for the server's time
--   ARGV[2…] for each lease: job id, token, and what the script says of the third
--
-- and answer {commands billed, {what the job became ("completed", "failed", "cancelled" or "requeued"), "lost", or "unknown"
-- when there is no record of it and it was not discarded, for each lease}}.
local settings = cjson.decode(ARGV[1])
local timetable = KEYS[1]
-- A time that only shows people when the job ended need not cost a call; a caller that has none leaves it to the server.
local now = settings.now or serverTime()
local finished, leaving = {}, {}

-- What the job of an attempt that ended so became by the settling of it.
local OUTCOMES = {
  completed = 'completed', failed = 'failed', cancelled = 'cancelled', retried = 'requeued', released = 'requeued'
}

-- Takes the job away from wherever it runs or, after its lease ran out, waits.
local function withdraw(state)
  if state.status == 'running' then
    leaving[#leaving + 1] = leaseMember(state)
  else
    removeWaiting(state, settings.readyPrefix, settings.parkedPrefix)
  end
end

-- Brings the job to its end. The caller has closed its attempt and withdrawn it.
local function finish(job, status)
  job.state.status = status
  job.state.settled = now
  job.state.token, job.state.delivery = nil, nil
  if job.state.expires then leaving[#leaving + 1] = expiryMember(job.state) end
  finished[#finished + 1] = job
end

-- Calls `visit(job, third)` for each lease that is the newest of its job. Of the others, one that ended in one of
-- `outcomes` was settled by this same call before.
local function settleLeases(outcomes, visit)
  local ids, answers, absent = {}, {}, {}
  for place = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[place] end
  local jobs = readRecords(settings.jobPrefix, ids)
  for place, id in ipairs(ids) do
    local job, token = jobs[id], ARGV[3 * place]
    if not job then
      absent[#absent + 1] = id
    elseif job.state.token == token then
      local attempts = job.state.attempts
      visit(job, ARGV[3 * place + 1])
      answers[place] = OUTCOMES[attempts[#attempts].outcome]
    else
      local attempt = attemptOf(job.state, token)
      answers[place] = attempt and outcomes[attempt.outcome] and OUTCOMES[attempt.outcome] or 'lost'
    end
  end
  local discarded = discardedAmong(KEYS[2], absent)
  for place, id in ipairs(ids) do answers[place] = answers[place] or (discarded[id] and 'lost' or 'unknown') end
  return answers
end

-- A full database refuses the first write of a script when it would take room. Taking away comes first, so that jobs
-- can end all the same.
local function writeEnds()
  if #leaving > 0 then call('ZREM', timetable, unpack(leaving)) end
  for _, job in ipairs(finished) do
    call('SET', settings.jobPrefix .. job.state.id, formatRecord(job), 'EX', settings.keepSeconds)
  end
end
