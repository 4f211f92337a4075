// Written by tools/generate/cancel-script.ts from runtime/sources/upstash/scripts/cancel.lua; a test compares them.
export const cancelScript = `--[[
  Asks for the end of a job: one that waits ends at once, one that runs when its worker hears of it.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  index; only with \`absent\`
    ARGV[1]  JSON {readyPrefix, turnsPrefix, channel, origin, request, keepSeconds, absent?}: \`request\` names this call,
             so that it may be repeated; \`absent\` {id, type, worker, user, priority} is what the caller knows of a job
             whose element may still be on its way. Without a record it gets one of a cancelled job, so that its element
             is dropped, as one of a known id, whenever it arrives.
    ARGV[2]  body of such a job

  Answers {commands billed, answer}: "cancelled", "requested", "missing", or "settled" and the state that it is in.
  Billed: 8 for a job that waits, 8 for one that runs, 5 for one that is absent.
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


-- A job's record is one string: its state as JSON, a line feed, and its body as the producer wrote it. The body is
-- never parsed and written again here: cjson would turn empty lists into objects and shorten long numbers.
local function parseRecord(text)
  if not text then return nil end
  local stop = string.find(text, '\\n', 1, true)
  return { state = cjson.decode(string.sub(text, 1, stop - 1)), body = string.sub(text, stop + 1) }
end

local function formatRecord(job)
  return cjson.encode(job.state) .. '\\n' .. job.body
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



-- The server's clock, because a container's may be wrong. Milliseconds and microseconds since 1970.
local function serverTime()
  local time = call('TIME')
  local us = time[1] * 1000000 + time[2]
  return math.floor(us / 1000), us
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

-- \`problem\` is an error report as JSON, or nil.
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


local LEASE_EXPIRED = cjson.encode({
  code = 'LEASE_EXPIRED',
  message = 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.'
})

-- The attempt of a lease that ran out is over and charged. Its job waits again, from the moment that the lease ran out,
-- and keeps the token, so that a late worker is let in as long as nobody has taken it; if a cancel was asked it ends.
local function expireLease(job, moment, now)
  local state = job.state
  endAttempt(state, 'expired', now, LEASE_EXPIRED)
  state.progress = nil
  if state.cancel then
    state.status, state.settled, state.token = 'cancelled', now, nil
  else
    state.status, state.available = 'queued', moment
  end
end

-- What the timetable's \`entries\` (members and scores, in order) say is due: jobs whose delay is over and jobs whose
-- lease ran out. Takes them off the timetable.
local function sweep(timetableKey, entries, jobPrefix, now)
  local due, ids = {}, {}
  for place = 1, #entries, 2 do
    local member, score = entries[place], tonumber(entries[place + 1])
    if momentOf(score) > now then break end
    local _, id = string.match(member, '^([^:]+):([^:]+)')
    due[#due + 1] = { member = member, id = id, moment = momentOf(score) }
    ids[#ids + 1] = id
  end
  if #due == 0 then return {} end
  local members, back = {}, {}
  local jobs = readRecords(jobPrefix, ids)
  for place, entry in ipairs(due) do
    members[place] = entry.member
    local job = jobs[entry.id]
    if job and job.state.status == 'running' and entry.member == leaseMember(job.state) then
      expireLease(job, entry.moment, now)
      back[#back + 1] = job
    elseif job and job.state.status == 'queued' and entry.member == delayMember(job.state) then
      back[#back + 1] = job
    end
  end
  call('ZREM', timetableKey, unpack(members))
  return back
end



-- Users take turns, by start-time fair queueing: a job's turn is one later than its user's last one, and never
-- earlier than the turn that is being served, so that who comes new is served with the others and not after them. The
-- order is decided once, when a job arrives; taking it is taking the first.
--
-- A score of a ready queue is a block of 2^42 turns for each priority, the highest first, and the turn in it. Turns
-- begin at the clock's milliseconds, so that those of a queue that was empty in between follow each other.
--
-- The hash of a queue's turns has, for each priority, \`<priority>\`: the turn that is being served, and
-- \`<priority>:<user>\`: the user's last turn. It is deleted whenever its queue becomes empty.
local BLOCK = 2 ^ 42
local HIGHEST_PRIORITY = 100

local function scoreOfTurn(priority, turn)
  return (HIGHEST_PRIORITY - priority) * BLOCK + turn
end

local function priorityOf(score)
  return HIGHEST_PRIORITY - math.floor(score / BLOCK)
end

local function turnOf(score)
  return score % BLOCK
end

local function readTurns(turnsKey, fields)
  local turns = {}
  for place, value in ipairs(call('HMGET', turnsKey, unpack(fields))) do
    turns[fields[place]] = value and tonumber(value) or nil
  end
  return turns
end

local function writeTurns(turnsKey, turns)
  local pairsToWrite = {}
  for field, turn in pairs(turns) do
    pairsToWrite[#pairsToWrite + 1] = field
    pairsToWrite[#pairsToWrite + 1] = string.format('%.0f', turn)
  end
  call('HSET', turnsKey, unpack(pairsToWrite))
end

-- Gives each state, in this order, its turn among what waits.
local function assignTurns(turnsKey, states, now)
  local fields, known = {}, {}
  for _, state in ipairs(states) do
    for _, field in ipairs({ tostring(state.priority), state.priority .. ':' .. state.user }) do
      if not known[field] then
        known[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  local turns = readTurns(turnsKey, fields)
  for _, state in ipairs(states) do
    local served, own = tostring(state.priority), state.priority .. ':' .. state.user
    turns[served] = turns[served] or now
    turns[own] = math.max(turns[served], (turns[own] or 0) + 1)
    state.score = string.format('%.0f', scoreOfTurn(state.priority, turns[own]))
  end
  writeTurns(turnsKey, turns)
end

-- Tells what has been served. \`scores\` are those of the jobs that were taken.
local function advanceTurns(turnsKey, scores)
  local latest, fields = {}, {}
  for _, score in ipairs(scores) do
    local served = tostring(priorityOf(score))
    if not latest[served] then fields[#fields + 1] = served end
    latest[served] = math.max(latest[served] or 0, turnOf(score))
  end
  for field, turn in pairs(readTurns(turnsKey, fields)) do
    -- A job that came back with an old turn does not set the clock back.
    latest[field] = math.max(latest[field], turn)
  end
  writeTurns(turnsKey, latest)
end

-- A job that is withdrawn before it was taken does not count against its user.
local function giveTurnBack(turnsKey, state)
  local own = state.priority .. ':' .. state.user
  local last = readTurns(turnsKey, { own })[own]
  if last then writeTurns(turnsKey, { [own] = last - 1 }) end
end


local request = cjson.decode(ARGV[1])
local timetable = KEYS[2]
local job = parseRecord(call('GET', KEYS[1]))
if not job then
  local absent = request.absent
  if not absent then return { billed, 'missing' } end
  local moment, momentUs = serverTime()
  local called = {
    id = absent.id, type = absent.type, worker = absent.worker, user = absent.user, priority = absent.priority,
    arrived = string.format('%.0f', momentUs), status = 'cancelled', attempt = 0, created = moment, available = moment,
    settled = moment, cancel = true, cancelledBy = request.request
  }
  call('ZADD', KEYS[3], called.arrived, called.id)
  call('SET', KEYS[1], formatRecord({ state = called, body = ARGV[2] }), 'EX', request.keepSeconds)
  return { billed, 'cancelled' }
end
local state = job.state
if state.status == 'cancelled' and state.cancelledBy == request.request then return { billed, 'cancelled' } end
if state.status ~= 'queued' and state.status ~= 'running' then return { billed, 'settled', state.status } end
local now = serverTime()

if state.status == 'running' then
  local member = leaseMember(state)
  local score = tonumber(call('ZSCORE', timetable, member))
  if momentOf(score) > now then
    if state.cancel then return { billed, 'requested' } end
    state.cancel = true
    call('SET', KEYS[1], formatRecord(job))
    call('ZREM', timetable, member)
    call('ZADD', timetable, scoreText(score), leaseMember(state))
    call('PUBLISH', request.channel, 'cancel:' .. request.origin .. ':' .. state.id)
    return { billed, 'requested' }
  end
  -- Its worker is gone: the job waits for the next one already, and need not wait to be cancelled.
  call('ZREM', timetable, member)
  expireLease(job, momentOf(score), now)
else
  call('ZREM', request.readyPrefix .. state.worker, readyMember(state))
  call('ZREM', timetable, delayMember(state))
  giveTurnBack(request.turnsPrefix .. state.worker, state)
end
state.status, state.settled, state.token = 'cancelled', now, nil
state.cancel, state.cancelledBy = true, request.request
call('SET', KEYS[1], formatRecord(job), 'EX', request.keepSeconds)
return { billed, 'cancelled' }
`;
