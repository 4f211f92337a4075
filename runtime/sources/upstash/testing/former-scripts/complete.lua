--[[
  Ends running jobs as completed.

    KEYS and ARGV  as lib/settling.lua says; the third is the result as JSON

  Billed: 3, and 1 for each job.
]]
-- Each inner call is billed as a command of its own: every script makes its calls through here and answers their number.
local billed = 1

local function call(...)
  billed = billed + 1
  return redis.call(...)
end

-- A command whose list of keys does not end it.
local function callWith(command, keys, ...)
  local words = { command, #keys }
  for _, key in ipairs(keys) do words[#words + 1] = key end
  for _, word in ipairs({ ... }) do words[#words + 1] = word end
  return call(unpack(words))
end



-- The server's clock, because a container's may be wrong. Milliseconds and microseconds since 1970.
local function serverTime()
  local time = call('TIME')
  local us = time[1] * 1000000 + time[2]
  return math.floor(us / 1000), us
end



-- A job's record is one string: its state as JSON, a line feed, and its body as the producer wrote it. The body is
-- never parsed and written again here: cjson would turn empty lists into objects and shorten long numbers.
local function parseRecord(text)
  if not text then return nil end
  local stop = string.find(text, '\n', 1, true)
  return { state = cjson.decode(string.sub(text, 1, stop - 1)), body = string.sub(text, stop + 1) }
end

local function formatRecord(job)
  return cjson.encode(job.state) .. '\n' .. job.body
end

-- The records of these ids by id, in one call. What is not there is absent.
local function readRecords(jobPrefix, ids)
  local jobs = {}
  if #ids == 0 then return jobs end
  local keys = {}
  for place, id in ipairs(ids) do keys[place] = jobPrefix .. id end
  for place, text in ipairs(call('MGET', unpack(keys))) do
    jobs[ids[place]] = parseRecord(text)
  end
  return jobs
end

-- Members of the timetable: a lease, whose name changes when a cancel is asked so that the plain renewal of it fails,
-- and a delay.
local function leaseMember(state)
  return state.worker .. ':' .. state.id .. ':' .. state.token .. (state.cancel and '!' or '')
end

local function delayMember(state)
  return state.worker .. ':' .. state.id
end

-- Member of a ready queue. Arrival comes first, because it decides between equal scores; the rest is what choosing needs
-- to know, so that it need not read the records of those that are not chosen. The score is the one that the job was given
-- first: a later one is the entry's own.
local function readyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
end

-- As many attempts as a record keeps: a job that is released over and over must not grow without end.
local MOST_ATTEMPTS = 64

local function beginAttempt(state, workerId, now)
  state.attempt = state.attempt + 1
  local attempts = state.attempts or {}
  attempts[#attempts + 1] = {
    attempt = state.attempt, by = workerId, token = state.token, started = now, outcome = 'running'
  }
  if #attempts > MOST_ATTEMPTS then table.remove(attempts, 1) end
  state.attempts = attempts
end

-- `problem` is an error report as JSON, or nil.
local function endAttempt(state, outcome, now, problem)
  local attempt = state.attempts[#state.attempts]
  attempt.outcome = outcome
  attempt.ended = now
  attempt.error = problem
end

local function attemptOf(state, token)
  for _, attempt in ipairs(state.attempts or {}) do
    if attempt.token == token then return attempt end
  end
end

-- A score of the timetable: the moment in milliseconds at which something happens to the job, and in the fraction, in
-- units of 1/2048 so that a double holds it exactly, what is known of it:
--
--   0           nothing
--   1 … 1001    progress in thousandths, plus one (a lease)
--   2047        the job failed; at the moment its record is forgotten
local UNITS = 2048
local FAILED = 2047

local function momentOf(score)
  return math.floor(score)
end

local function unitsOf(score)
  return (score - math.floor(score)) * UNITS
end

local function leaseScore(expires, progress)
  if not progress then return expires end
  return expires + (math.floor(progress * 1000 + 0.5) + 1) / UNITS
end

local function progressOf(score)
  local units = unitsOf(score)
  if units == 0 or units == FAILED then return nil end
  return (units - 1) / 1000
end

local function forgetScore(moment)
  return moment + FAILED / UNITS
end

-- Scores as text: Lua's own conversion would keep 14 digits.
local function scoreText(score)
  return string.format('%.17g', score)
end


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


local answers = settleLeases({ completed = true }, function(job, result)
  withdraw(job.state)
  endAttempt(job.state, 'completed', now)
  job.state.result = result
  job.state.progress = 1
  finish(job, 'completed')
end)
writeEnds()
return { billed, answers }
