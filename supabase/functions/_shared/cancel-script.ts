// Written by tools/generate/cancel-script.ts from runtime/sources/upstash/scripts/cancel.lua; a test compares them.
export const cancelScript = `--[[
  Requests the end of a job: one that waits ends at once, and leaves an end for a container to report; one that runs ends
  when its container hears of it.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  index; only with \`absent\`
    ARGV[1]  JSON {readyPrefix, parkedPrefix, turnsPrefix, channel, origin, request, keepSeconds, absent?}: \`request\` names
             this call, so that it may be repeated; \`absent\` {id, type, worker, user, priority} is what the caller knows of a
             job whose element may still be on its way. Without a record it gets one of a cancelled job, so that its element
             is dropped, as one of a known id, whenever it arrives.
    ARGV[2]  body of such a job

  Answers {commands billed, answer}: "cancelled", "requested", "missing", or "settled" and the state that it is in,
  or, as JSON, how far its delivery has come.
  Billed: 9 for a job that waits, 10 for one that is delayed, 11 for one that is parked, 8 for one that runs, 7 for one
  that is absent.
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

-- 1 for a job that a container or the command has enqueued, with its digest; 0 for one that came over its producer's list.
local function isEnqueued(state)
  return state.digest and 1 or 0
end

-- How far the delivery of a job has come that was worked off, as JSON; nil for any other. The note belongs to the lease
-- under which it was written.
local function deliveryOf(state)
  if state.status == 'running' and state.delivery and state.delivery.token == state.token then
    return state.delivery.note
  end
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

-- Members of the timetable: a lease, whose name changes when a cancel is requested so that the plain renewal of it fails,
-- a delay, and what begins with a colon: the moment from which a job that still waits expires, an end that no container
-- has reported (with the ticket of the call that has it, while one does), and that jobs of a worker are parked.
local function leaseMember(state)
  return state.worker .. ':' .. state.id .. ':' .. state.token .. (state.cancel and '!' or '')
end

local function delayMember(state)
  return state.worker .. ':' .. state.id
end

local function expiryMember(state)
  return ':expiry:' .. state.id
end

local function endMember(state, ticket)
  return ':end:' .. state.id .. ':' .. (state.run or 1) .. (ticket and ':' .. ticket or '')
end

local function parkedMember(worker)
  return ':parked:' .. worker
end

-- The job type as far as it decides who can run the job. One that is no type's name is in no offer: whoever takes the
-- job rejects it, so that any container may.
local function offeredType(state)
  return #state.type <= 64 and string.find(state.type, '^[a-z0-9][a-z0-9_]*$') and state.type or ''
end

-- Member of a ready queue, and of what is parked. Arrival comes first, because it decides between equal scores; the rest
-- is what choosing needs to know, so that it need not read the records of those that are not chosen. The score is the
-- one that the job was given first: a later one is the entry's own.
local function readyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
    .. ':' .. offeredType(state)
end

-- As it was written before offers, without the type: it may be on a queue that was not empty at the upgrade.
local function formerReadyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
end



-- The server's clock, because a container's may be wrong. Milliseconds and microseconds since 1970.
local function serverTime()
  local time = call('TIME')
  local us = time[1] * 1000000 + time[2]
  return math.floor(us / 1000), us
end

-- As many attempts as a record keeps: a job that is released over and over must not grow without end.
local MAX_ATTEMPTS = 64

local function beginAttempt(state, workerId, now)
  state.attempt = state.attempt + 1
  local attempts = state.attempts or {}
  attempts[#attempts + 1] = {
    attempt = state.attempt, by = workerId, token = state.token, started = now, outcome = 'running'
  }
  if #attempts > MAX_ATTEMPTS then table.remove(attempts, 1) end
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



-- Ends that no attempt has settled. They are left in the timetable for the next take of any container, which has them
-- until it has reported them or its lease time is over.

local LEASE_EXPIRED = cjson.encode({
  code = 'LEASE_EXPIRED',
  message = 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.'
})

local function expiredProblem(state, isParked)
  local message = string.format(
    'The job waited longer than its own limit of %.14g s (config.expires_in_seconds).', state.expiresIn / 1000)
  if state.expires == state.expiresAt then
    message = 'The job still waited when its own moment had come (config.expires_at).'
  end
  if isParked then
    local model = state.model and ' with the model ' .. state.model or ''
    message = message .. ' It needed the job type ' .. state.type .. model .. ', which no container offered.'
  end
  return cjson.encode({ code = 'EXPIRED', message = message })
end

local function hasExpired(state, now)
  return state.expires ~= nil and state.expires <= now
end

-- Brings a job that waits to its end. A failed one gets a mark that counts it, as one that an attempt has failed does.
local function endWaiting(state, status, now, problem)
  state.status, state.settled, state.token, state.progress = status, now, nil, nil
  state.error = problem
  if status == 'failed' then state.mark = state.worker .. ':' .. state.id .. ':expired' end
end

-- An end as \`take\` answers it.
local function endAnswer(job, ticket)
  local state = job.state
  return {
    state.id, state.run or 1, state.attempt, state.status, state.error or '', state.settled, ticket,
    state.type, state.user, state.priority, job.body, isEnqueued(state)
  }
end




-- Jobs that stand in front of a container which cannot run them are parked, so that it meets each of them once. What is
-- parked keeps its score. A container that can run it looks there as well as at the ready queue: it takes the first of
-- both.
--
--   <parked><worker>                  all of them: for counting, and for who takes without an offer
--   <parked><worker>:<type>:<model>   the same by what they need, so that an offer finds its own and no other
--
-- The timetable has a member for each worker with something parked, with a score before all times: it is read anyway.
local MARK_SCORE = -1

local function parkedKey(prefix, worker)
  return prefix .. worker
end

local function needKey(prefix, worker, jobType, model)
  return prefix .. worker .. ':' .. jobType .. ':' .. model
end

-- The keys of what is parked and inside a worker's offer. Without an offer: all.
local function offeredKeys(prefix, worker, offer)
  if not offer then return { parkedKey(prefix, worker) } end
  local keys = {}
  for _, jobType in ipairs(offer.defaultModelTypes) do keys[#keys + 1] = needKey(prefix, worker, jobType, '') end
  for _, jobType in ipairs(offer.types) do
    for _, model in ipairs(offer.models) do keys[#keys + 1] = needKey(prefix, worker, jobType, model) end
  end
  return keys
end

local function setOf(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

-- A function that says whether an offer covers a type and a model ('': none is named).
local function covering(offer)
  if not offer then return function() return true end end
  local types, defaults, models = setOf(offer.types), setOf(offer.defaultModelTypes), setOf(offer.models)
  return function(jobType, model)
    if jobType == '' then return true end
    if model == '' then return types[jobType] and defaults[jobType] or false end
    return types[jobType] and models[model] or false
  end
end

-- Takes a job that is due from where it waits. Answers 'ready', 'parked', or nil when it was in neither place.
local function removeWaiting(state, readyPrefix, parkedPrefix)
  local member = readyMember(state)
  if call('ZREM', readyPrefix .. state.worker, member, formerReadyMember(state)) > 0 then return 'ready' end
  if call('ZREM', parkedKey(parkedPrefix, state.worker), member) == 0 then return nil end
  call('ZREM', needKey(parkedPrefix, state.worker, offeredType(state), state.model or ''), member)
  return 'parked'
end




-- Users take turns, by start-time fair queueing: a job's turn is one later than its user's last one, and never
-- earlier than the turn that is being served, so that who comes new is served with the others and not after them. The
-- order is decided once, when a job arrives; taking it is taking the first.
--
-- A score of a ready queue is a block of 2^42 turns for each priority, the highest first, and the turn in it. Turns
-- begin at the clock's milliseconds, so that those of a queue that was empty in between follow each other.
--
-- The hash of a queue's turns has, for each priority, \`<priority>\`: the turn that is being served, and
-- \`<priority>:<user>\`: the user's last turn. What is parked is served by others, at a turn of its own: that is
-- \`<priority>::<type>:<model>\`, as long as something with this need is parked. The hash is deleted whenever its queue
-- becomes empty, with nothing parked.
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

local function needField(priority, jobType, model)
  return priority .. '::' .. jobType .. ':' .. model
end

-- Gives each state, in this order, its turn among what waits.
local function assignTurns(turnsKey, states, now)
  local fields, known = {}, {}
  local function fieldsOf(state)
    return tostring(state.priority), state.priority .. ':' .. state.user,
      needField(state.priority, offeredType(state), state.model or '')
  end
  for _, state in ipairs(states) do
    for _, field in ipairs({ fieldsOf(state) }) do
      if not known[field] then
        known[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  local turns = readTurns(turnsKey, fields)
  for _, state in ipairs(states) do
    local served, own, need = fieldsOf(state)
    turns[served] = turns[served] or now
    turns[own] = math.max(turns[need] or turns[served], (turns[own] or 0) + 1)
    state.score = string.format('%.0f', scoreOfTurn(state.priority, turns[own]))
  end
  writeTurns(turnsKey, turns)
end

-- Notes what is being served: \`served\` has the latest turn of what was taken, by field; \`parked\` the first turn of what
-- was parked, which is where the turns of such a need begin.
local function advanceTurns(turnsKey, served, parked)
  local fields, turns = {}, {}
  for field in pairs(served) do fields[#fields + 1] = field end
  for field in pairs(parked) do fields[#fields + 1] = field end
  if #fields == 0 then return end
  local known = readTurns(turnsKey, fields)
  for field, turn in pairs(parked) do turns[field] = known[field] or turn end
  -- A job that came back with an old turn does not set the clock back.
  for field, turn in pairs(served) do turns[field] = math.max(turn, known[field] or 0) end
  writeTurns(turnsKey, turns)
end

-- A job that is withdrawn before it was taken does not count against its user.
local function giveTurnBack(turnsKey, state)
  local own = state.priority .. ':' .. state.user
  local last = readTurns(turnsKey, { own })[own]
  if last then writeTurns(turnsKey, { [own] = last - 1 }) end
end


local request = cjson.decode(ARGV[1])
local timetable = KEYS[2]

local function leaveEnd(state, now)
  call('ZADD', timetable, scoreText(now), endMember(state))
  call('PUBLISH', request.channel, 'end:' .. request.origin .. ':' .. state.id)
end

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
  leaveEnd(called, moment)
  return { billed, 'cancelled' }
end
local state = job.state
if state.status == 'cancelled' and state.cancelledBy == request.request then return { billed, 'cancelled' } end
if state.status ~= 'queued' and state.status ~= 'running' then return { billed, 'settled', state.status } end
local now = serverTime()

if state.status == 'running' then
  local member = leaseMember(state)
  -- A lease that the timetable has lost has run out.
  local score = tonumber(call('ZSCORE', timetable, member) or 0)
  if momentOf(score) > now then
    if state.cancel then return { billed, 'requested' } end
    -- It has been worked off: nothing is left to be stopped.
    if deliveryOf(state) then return { billed, 'settled', deliveryOf(state) } end
    state.cancel = true
    call('SET', KEYS[1], formatRecord(job))
    call('ZREM', timetable, member)
    call('ZADD', timetable, scoreText(score), leaseMember(state))
    call('PUBLISH', request.channel, 'cancel:' .. request.origin .. ':' .. state.id)
    return { billed, 'requested' }
  end
  -- Its container is gone: the job waits for the next one already, and need not wait to be cancelled.
  call('ZREM', timetable, member, expiryMember(state))
  endAttempt(state, 'expired', now, LEASE_EXPIRED)
else
  local place = removeWaiting(state, request.readyPrefix, request.parkedPrefix)
  if place ~= 'ready' or state.expires then call('ZREM', timetable, delayMember(state), expiryMember(state)) end
  -- What was parked kept its turn when the turns may have begun anew.
  if place ~= 'parked' then giveTurnBack(request.turnsPrefix .. state.worker, state) end
end
state.cancel, state.cancelledBy = true, request.request
endWaiting(state, 'cancelled', now)
call('SET', KEYS[1], formatRecord(job), 'EX', request.keepSeconds)
leaveEnd(state, now)
return { billed, 'cancelled' }
`;
