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
--- @include "lib/clock"
--- @include "lib/arrivals"
--- @include "lib/choosing"
--- @include "lib/sweep"
--- @include "lib/leasing"

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
