--- @include "call"
--- @include "clock"
--- @include "records"
--- @include "attempts"
--- @include "moments"

-- What the five settling scripts share. They settle any number of leases in one call:
--
--   KEYS[1]  timetable
--   ARGV[1]  JSON {jobPrefix, readyPrefix, keepSeconds, now?}: `now` is what the caller takes for the server's time
--   ARGV[2…] for each lease: job id, token, and what the script says of the third
--
-- and answer {commands billed, {1 (settled) or 0 (lost) for each lease}}.
local settings = cjson.decode(ARGV[1])
local timetable = KEYS[1]
-- A time that only tells people when the job ended need not cost a call; a caller that has none lets the server say it.
local now = settings.now or serverTime()
local finished, leave = {}, { [timetable] = {} }

local function leaves(key, member)
  leave[key] = leave[key] or {}
  table.insert(leave[key], member)
end

-- Takes the job away from wherever it runs or, after its lease ran out, waits.
local function withdraw(state)
  if state.status == 'running' then
    leaves(timetable, leaseMember(state))
  else
    leaves(settings.readyPrefix .. state.worker, readyMember(state))
  end
end

-- Brings the job to its end. The caller has closed its attempt and withdrawn it.
local function finish(job, status)
  job.state.status = status
  job.state.settled = now
  job.state.token = nil
  finished[#finished + 1] = job
end

-- Calls `visit(job, third)` for each lease that is the newest of its job. Of the others, one that ended in one of
-- `outcomes` was settled by this same call before.
local function settleLeases(outcomes, visit)
  local ids, answers = {}, {}
  for place = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[place] end
  local jobs = readRecords(settings.jobPrefix, ids)
  for place, id in ipairs(ids) do
    local job, token = jobs[id], ARGV[3 * place]
    if job and job.state.token == token then
      visit(job, ARGV[3 * place + 1])
      answers[place] = 1
    else
      local attempt = job and attemptOf(job.state, token)
      answers[place] = attempt and outcomes[attempt.outcome] and 1 or 0
    end
  end
  return answers
end

-- A full database refuses the first write of a script when it would take room. Taking away comes first, so that jobs
-- can end all the same.
local function writeEnds()
  for key, members in pairs(leave) do
    if #members > 0 then call('ZREM', key, unpack(members)) end
  end
  for _, job in ipairs(finished) do
    call('SET', settings.jobPrefix .. job.state.id, formatRecord(job), 'EX', settings.keepSeconds)
  end
end
