--[[
  Leases due jobs for all workers of one container at once: files what producers pushed to their lists, brings back jobs
  whose delay is over or whose lease ran out, and chooses by priority, then user in turn, then held model.

    KEYS[1]  timetable
    KEYS[2]  index
    KEYS[3]  dead letters
    KEYS[…]  list, ready queue and turns of each worker, as they are also in ARGV[1]
    ARGV[1]  JSON {jobPrefix, readyPrefix, leaseMs, keepSeconds, workerId, ticket, unanswered, known,
             workers: [{worker, list, side, ready, turns, slots, held}]}
             Tokens are made from `ticket`; leases of the tickets in `unanswered` are answered again, but for the tokens
             that are `known`.

  Answers {commands billed, now (0: nothing was there), what the timetable holds next (members and scores), number of
  elements that went to the dead letters, leases, ids of jobs that ended as cancelled since their lease ran out}; each
  lease is {id, worker, token, attempt, due since, taken, expires, last error report as JSON or empty, body}.

  Billed: 4 when there is nothing, 5 when something is running or delayed, 8 for one pushed job, 9 for one that was
  enqueued. Several workers cost 1 more when there is something, a backlog 2 more.
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


-- What the queue itself must know of an element that a producer pushed: its job's id, and what decides its place. The
-- element is kept as it is; what it means is decided by the contract's decodeElement when it is taken. An element that
-- decodeElement reads is never refused here.
local MOST_BYTES = 3 * 1048576
local MOST_WRAPPERS = 6

local function given(value)
  return value ~= nil and value ~= cjson.null
end

local function firstGiven(object, names)
  for _, name in ipairs(names) do
    if given(object[name]) then return object[name] end
  end
end

local function typeOf(object)
  return firstGiven(object, { 'type', 'jobType', 'job_type' })
end

local function parseJson(text)
  text = string.gsub(text, '^\239\187\191', '')
  local isJson, value = pcall(cjson.decode, text)
  if isJson then return true, value end
  -- A text that was cut within an emoji has half of a surrogate pair, which JavaScript reads and cjson refuses.
  -- Pairs of backslashes are set aside meanwhile: what follows them is no escape.
  text = string.gsub(text, '\\\\', '\1')
  text = string.gsub(text, '\\u[dD][89a-fA-F]%x%x', '?')
  text = string.gsub(text, '\1', '\\\\')
  return pcall(cjson.decode, text)
end

-- The object that is the job, or nil and the reason.
local function unwrap(value)
  for _ = 0, MOST_WRAPPERS do
    if type(value) == 'string' then
      local isJson, inner = parseJson(value)
      if not isJson then return nil, 'the element is not JSON' end
      value = inner
    elseif type(value) ~= 'table' then
      return nil, 'the element is not a job'
    elseif value[1] ~= nil then
      if value[2] ~= nil then return nil, 'the element is a list of more than one entry' end
      value = value[1]
    elseif (type(value.data) == 'table' or type(value.data) == 'string') and not given(typeOf(value)) then
      value = value.data
    else
      return value
    end
  end
  return nil, 'the element is wrapped more than ' .. MOST_WRAPPERS .. ' times'
end

local function isSafeId(value)
  return type(value) == 'string' and #value <= 128 and string.find(value, '^[%w][%w_-]*$') ~= nil
end

local function isPriority(value)
  return type(value) == 'number' and value >= -100 and value <= 100 and value == math.floor(value)
end

local function isModelName(value)
  return type(value) == 'string' and #value <= 100 and string.find(value, '^[%w][%w._-]*$') ~= nil
end

-- Id, type, user, priority and model of an element, or nil and the reason why there is no job in it. A field that is
-- wrong is left out; that the job fails because of it is decided by who takes it.
local function readCard(raw)
  if #raw > MOST_BYTES then return nil, 'the element is too large: it has ' .. #raw .. ' bytes' end
  local object, reason = unwrap(raw)
  if not object then return nil, reason end
  local id, jobType = firstGiven(object, { 'id', 'jobId', 'job_id' }), typeOf(object)
  if not given(id) then return nil, 'the job has no id (id, jobId, job_id)' end
  if not isSafeId(id) then
    return nil, "the job's id must be 1 to 128 letters, digits, '-' or '_', beginning with a letter or digit"
  end
  if not given(jobType) or jobType == '' then return nil, 'the job has no type (type, jobType, job_type)' end
  if type(jobType) ~= 'string' then return nil, "the job's type must be a text" end
  local user = firstGiven(object, { 'user_id', 'userId' })
  local model = firstGiven(object, { 'model_variant', 'modelVariant' })
  return {
    id = id,
    type = jobType,
    user = isSafeId(user) and user or 'anonymous',
    priority = isPriority(object.priority) and object.priority or 0,
    model = isModelName(model) and model or nil
  }
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


-- Elements that producers have pushed to their plain lists. One script takes them off and files them, so that no crash
-- can lose one in between.
local FIRST_COUNT = 8
local MOST_COUNT = 512
local MOST_POPPED_BYTES = 8 * 1048576

-- Elements in the order in which they were pushed, as {worker, raw}, from all lists while they are small and few. The
-- count grows with what was found: an element may have ten megabytes.
local function popLists(lists, side, workerOf, elements)
  local count, bytes = FIRST_COUNT, 0
  while #lists > 0 and #elements < MOST_COUNT and bytes < MOST_POPPED_BYTES do
    local popped = callWith('LMPOP', lists, side, 'COUNT', count)
    if not popped then return end
    for _, raw in ipairs(popped[2]) do
      elements[#elements + 1] = { worker = workerOf[popped[1]], raw = raw }
      bytes = bytes + #raw
    end
    if #popped[2] < count then
      -- That list is empty now; asking for it again would cost a call.
      for place, list in ipairs(lists) do
        if list == popped[1] then table.remove(lists, place) break end
      end
    end
    count = math.min(count * 4, MOST_COUNT)
  end
end

local function popArrivals(workers)
  local sides, workerOf, elements = { LEFT = {}, RIGHT = {} }, {}, {}
  for _, request in ipairs(workers) do
    table.insert(sides[request.side], request.list)
    workerOf[request.list] = request.worker
  end
  for side, lists in pairs(sides) do
    if #lists > 0 then popLists(lists, side, workerOf, elements) end
  end
  return elements
end

-- New jobs among the elements, by worker, as records that are not written yet, and the number of elements that cannot
-- be read and went to the dead letters. An id that is known, or came twice, is dropped: its producer said it again.
local function fileArrivals(elements, indexKey, deadKey, jobPrefix, now, nowUs)
  local cards, ids, indexed, dead = {}, {}, {}, {}
  for place, element in ipairs(elements) do
    -- Whatever is wrong with an element, the others have been taken off their list with it and must be filed.
    local isRead, card, reason = pcall(readCard, element.raw)
    if not isRead then card, reason = nil, 'the element cannot be read: ' .. tostring(card) end
    if not card then
      dead[#dead + 1] = cjson.encode({ worker = element.worker, reason = reason, at = now }) .. '\n' .. element.raw
    elseif not cards[card.id] then
      card.worker, card.arrived, card.body = element.worker, string.format('%.0f', nowUs + place), element.raw
      cards[card.id] = card
      ids[#ids + 1] = card.id
      indexed[#indexed + 1] = card.arrived
      indexed[#indexed + 1] = card.id
    end
  end
  if #dead > 0 then
    call('LPUSH', deadKey, unpack(dead))
    call('LTRIM', deadKey, 0, 999)
  end
  if #ids == 0 then return {}, #dead end
  local known = {}
  if call('ZADD', indexKey, 'NX', unpack(indexed)) < #ids then
    -- An id of the index whose record is gone is free again.
    known = readRecords(jobPrefix, ids)
  end
  local jobs = {}
  for _, id in ipairs(ids) do
    local card = cards[id]
    if not known[id] then
      local body = card.body
      card.body = nil
      card.status, card.attempt, card.created, card.available = 'queued', 0, now, now
      jobs[card.worker] = jobs[card.worker] or {}
      table.insert(jobs[card.worker], { state = card, body = body })
    end
  end
  return jobs, #dead
end




-- Users take turns, by start-time fair queueing: a job's turn is one later than its user's last one, and never
-- earlier than the turn that is being served, so that who comes new is served with the others and not after them. The
-- order is decided once, when a job arrives; taking it is taking the first.
--
-- A score of a ready queue is a block of 2^42 turns for each priority, the highest first, and the turn in it. Turns
-- begin at the clock's milliseconds, so that those of a queue that was empty in between follow each other.
--
-- The hash of a queue's turns has, for each priority, `<priority>`: the turn that is being served, and
-- `<priority>:<user>`: the user's last turn. It is deleted whenever its queue becomes empty.
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

-- Tells what has been served. `scores` are those of the jobs that were taken.
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


-- How many of a user's jobs are looked at for a model that the executor holds, and how many may pass over another.
local WINDOW = 32
-- How many jobs of all users are taken off a queue to find those: the jobs of one user lie far apart when many wait.
local DEPTH = 256

-- {score, turn, member, id, user, model} of a ready queue's entry. The score says when it goes now, the turn when it
-- would go if none of the user's had passed it over.
local function candidateOf(member, score)
  local id, user, turn, model = string.match(member, '^%d+:([^:]+):([^:]+):(%d+):(.*)$')
  return { score = tonumber(score), turn = tonumber(turn), member = member, id = id, user = user, model = model }
end

-- Takes the first candidates off the ready queues of all workers: one call tells that there are none at all. It is one
-- more than there are slots, so that it shows whether a queue is empty then; what is not chosen is put back. Answers
-- {worker = {entries, isEmpty}}.
local function popReady(workers)
  local keys, workerOf, count = {}, {}, 1
  for _, request in ipairs(workers) do
    keys[#keys + 1] = request.ready
    workerOf[request.ready] = request.worker
    count = math.max(count, request.slots + (#request.held > 0 and DEPTH - 1 or 1))
  end
  local popped = {}
  while #keys > 0 do
    local answer = callWith('ZMPOP', keys, 'MIN', 'COUNT', count)
    if not answer then break end
    local entries = {}
    for _, entry in ipairs(answer[2]) do entries[#entries + 1] = candidateOf(entry[1], entry[2]) end
    popped[workerOf[answer[1]]] = { entries = entries, isEmpty = #entries < count }
    for place, key in ipairs(keys) do
      if key == answer[1] then table.remove(keys, place) break end
    end
  end
  return popped
end

local function isBefore(one, other)
  if one.score ~= other.score then return one.score < other.score end
  return one.member < other.member
end

-- Place of the candidate that goes in the first one's turn: the first of the same user and priority for a held model.
-- Turns are compared as they were given, so that nobody is passed over without end.
local function preferred(candidates, isHeld)
  local first = candidates[1]
  for place, candidate in ipairs(candidates) do
    if candidate.user == first.user then
      if candidate.turn - first.turn >= WINDOW then break end
      if isHeld[candidate.model] then return place end
    end
  end
  return 1
end

-- Takes a candidate out. It goes in the turn of its user's first one, and those of the user that it passes over move on
-- by one of the user's turns each: what one user's jobs do among themselves takes nothing from the others.
local function takeOut(candidates, place)
  local chosen = table.remove(candidates, place)
  for before = place - 1, 1, -1 do
    local passed = candidates[before]
    if passed.user == chosen.user then passed.score, chosen.score = chosen.score, passed.score end
  end
  return chosen
end

-- Splits candidates, which must be in order, into those that get one of the slots and the rest, in any order.
local function choose(candidates, slots, held)
  local chosen, isHeld = {}, {}
  if #held == 0 then
    local rest = {}
    for place, candidate in ipairs(candidates) do table.insert(place <= slots and chosen or rest, candidate) end
    return chosen, rest
  end
  for _, model in ipairs(held) do isHeld[model] = true end
  while #chosen < slots and #candidates > 0 do
    local place = preferred(candidates, isHeld)
    chosen[#chosen + 1] = takeOut(candidates, place)
    if place > 1 and #chosen < slots then table.sort(candidates, isBefore) end
  end
  return chosen, candidates
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

-- What the timetable's `entries` (members and scores, in order) say is due: jobs whose delay is over and jobs whose
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






-- Why the last attempt that ended with an error did: an error report as JSON, or empty.
local function lastProblem(state)
  local attempts = state.attempts or {}
  for place = #attempts, 1, -1 do
    if attempts[place].error then return attempts[place].error end
  end
  return ''
end

-- A lease as `take` answers it.
local function leaseAnswer(job, problem, taken, expires)
  local state = job.state
  return { state.id, state.worker, state.token, state.attempt, state.available, taken, expires, problem, job.body }
end

-- Leases of takes whose answer was lost, by the tickets that their tokens are made from. They are answered again, but
-- for those whose tokens are known.
local function recoverLeases(timetableKey, jobPrefix, tickets, knownTokens)
  if #tickets == 0 then return {} end
  local isLost, isKnown, ids, found = {}, {}, {}, {}
  for _, ticket in ipairs(tickets) do isLost[ticket] = true end
  for _, token in ipairs(knownTokens) do isKnown[token] = true end
  local entries = call('ZRANGE', timetableKey, 0, -1, 'WITHSCORES')
  for place = 1, #entries, 2 do
    local id, token, ticket = string.match(entries[place], '^[^:]+:([^:]+):(([^.]+)%.%d+)')
    if ticket and isLost[ticket] and not isKnown[token] then
      ids[#ids + 1] = id
      found[id] = { member = entries[place], expires = momentOf(tonumber(entries[place + 1])) }
    end
  end
  local answers = {}
  for id, job in pairs(readRecords(jobPrefix, ids)) do
    local state = job.state
    if state.status == 'running' and leaseMember(state) == found[id].member then
      local started = state.attempts[#state.attempts].started
      answers[#answers + 1] = leaseAnswer(job, lastProblem(state), started, found[id].expires)
    end
  end
  return answers
end


local SWEEP_COUNT = 128
local UPCOMING_COUNT = 8
local request = cjson.decode(ARGV[1])
local timetable, index, deadLetters = KEYS[1], KEYS[2], KEYS[3]

local leases = recoverLeases(timetable, request.jobPrefix, request.unanswered, request.known)
local elements = popArrivals(request.workers)
local popped = popReady(request.workers)
local entries = call('ZRANGE', timetable, 0, SWEEP_COUNT - 1, 'WITHSCORES')
if #elements == 0 and #entries == 0 and next(popped) == nil then return { billed, 0, {}, 0, leases, {} } end
local now, nowUs = serverTime()

-- Candidates of each worker, in memory until what is left of them is written back.
local candidates, isMixed, changed, settled = {}, {}, {}, {}

local function addCandidate(job)
  local state = job.state
  candidates[state.worker] = candidates[state.worker] or {}
  isMixed[state.worker] = true
  table.insert(candidates[state.worker], {
    score = tonumber(state.score), turn = tonumber(state.score), member = readyMember(state), id = state.id,
    user = state.user, model = state.model or '', job = job
  })
  changed[state.id] = job
end

for worker, ready in pairs(popped) do candidates[worker] = ready.entries end
for _, job in ipairs(sweep(timetable, entries, request.jobPrefix, now)) do
  if job.state.status == 'queued' then addCandidate(job) else settled[#settled + 1] = job end
end

local filed, deadCount = fileArrivals(elements, index, deadLetters, request.jobPrefix, now, nowUs)
local slotsOf = {}
for _, worker in ipairs(request.workers) do slotsOf[worker.worker] = worker.slots end
for _, lease in ipairs(leases) do slotsOf[lease[2]] = math.max((slotsOf[lease[2]] or 0) - 1, 0) end
for _, worker in ipairs(request.workers) do
  local jobs, states = filed[worker.worker] or {}, {}
  for place, job in ipairs(jobs) do states[place] = job.state end
  if candidates[worker.worker] or #jobs > slotsOf[worker.worker] then
    if #jobs > 0 then assignTurns(worker.turns, states, now) end
  else
    -- Nobody waits and everybody gets a slot: there are no turns to take.
    for _, state in ipairs(states) do state.score = string.format('%.0f', scoreOfTurn(state.priority, now)) end
  end
  for _, job in ipairs(jobs) do addCandidate(job) end
end

local chosen = {}
for _, worker in ipairs(request.workers) do
  local scores = {}
  local waiting = candidates[worker.worker] or {}
  -- What was popped is in order.
  if isMixed[worker.worker] then table.sort(waiting, isBefore) end
  local first, rest = choose(waiting, slotsOf[worker.worker], worker.held)
  candidates[worker.worker] = rest
  for _, candidate in ipairs(first) do
    chosen[#chosen + 1] = candidate
    scores[#scores + 1] = candidate.score
  end
  local ready = popped[worker.worker]
  if #rest > 0 or (ready and not ready.isEmpty) then
    if #scores > 0 then advanceTurns(worker.turns, scores) end
  elseif ready then
    call('DEL', worker.turns)
  end
end

local unread = {}
for _, candidate in ipairs(chosen) do
  if not candidate.job then unread[#unread + 1] = candidate.id end
end
local read = readRecords(request.jobPrefix, unread)
local expires, timed = now + request.leaseMs, {}
for place, candidate in ipairs(chosen) do
  local job = candidate.job or read[candidate.id]
  if job and job.state.status == 'queued' then
    local state, problem = job.state, lastProblem(job.state)
    state.status, state.token = 'running', request.ticket .. '.' .. place
    beginAttempt(state, request.workerId, now)
    changed[state.id] = job
    timed[#timed + 1] = scoreText(expires)
    timed[#timed + 1] = leaseMember(state)
    leases[#leases + 1] = leaseAnswer(job, problem, now, expires)
  end
end

local written = {}
for id, job in pairs(changed) do
  written[#written + 1] = request.jobPrefix .. id
  written[#written + 1] = formatRecord(job)
end
if #written > 0 then call('MSET', unpack(written)) end
local ended = {}
for place, job in ipairs(settled) do
  ended[place] = job.state.id
  call('SET', request.jobPrefix .. job.state.id, formatRecord(job), 'EX', request.keepSeconds)
end
if #timed > 0 then call('ZADD', timetable, unpack(timed)) end
for worker, waiting in pairs(candidates) do
  local back = {}
  for _, candidate in ipairs(waiting) do
    back[#back + 1] = scoreText(candidate.score)
    back[#back + 1] = candidate.member
  end
  if #back > 0 then call('ZADD', request.readyPrefix .. worker, unpack(back)) end
end

local upcoming = {}
for place = 1, #entries, 2 do
  if #upcoming < 2 * UPCOMING_COUNT and momentOf(tonumber(entries[place + 1])) > now then
    upcoming[#upcoming + 1] = entries[place]
    upcoming[#upcoming + 1] = entries[place + 1]
  end
end
if #upcoming == 0 and #entries == 2 * SWEEP_COUNT then
  -- There is more that is due than one call brings back.
  upcoming = { '', scoreText(now) }
end
return { billed, now, upcoming, deadCount, leases, ended }
