--[[
  Puts a job on its worker's queue, once for each id and for each idempotency key.

    KEYS[1]  index
    KEYS[2]  timetable
    KEYS[3]  ready queue of the worker
    KEYS[4]  turns of the worker
    KEYS[5]  idempotency key, or empty
    KEYS[6]  discarded
    ARGV[1]  JSON {jobPrefix, parkedPrefix, channel, origin, request, id, type, worker, user, priority, model?, expiresIn?, expiresAt?, run?,
             digest, digestOfKnown?, isRepeat, delayMs, keepSeconds, maxWaiting}: `request` names this call, so that it may be repeated, and `isRepeat`
             says that it is; `digest` is that
             of the body; `digestOfKnown` is that of the earlier job, when this script has answered "compare" before; `maxWaiting`
             is how many jobs of the user may wait in this queue, delayed ones too (0: any number)
    ARGV[2]  body

  Answers {commands billed, answer, …}:
    {"enqueued", 1 or 0 (there was one before), id, position, due since or from}
    {"conflict", "key" or "id", id}     used for another body
    {"compare", body, id}               a producer pushed the earlier job: what is the digest of this body?
    {"full", number of jobs that wait}

  Billed: 10; with a key 12, with a time limit 1 more; known jobs 4. A repeated call 1 more. A limit of waiting jobs costs 4.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/expiry"
--- @include "lib/turns"
--- @include "lib/moments"
--- @include "lib/parking"
--- @include "lib/discarded"
--- @include "lib/places"

local READ_AT_ONCE = 512
local index, timetable, ready, turns, key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local request = cjson.decode(ARGV[1])

local function remember(id)
  if key ~= '' then call('SET', key, id, 'EX', request.keepSeconds + math.ceil(request.delayMs / 1000)) end
end

-- 0: does not wait any more.
local function positionOf(state)
  return state.status == 'queued' and placeOf(state, ready) or 0
end

local function answerKnown(job, by)
  local digest = job.state.digest or request.digestOfKnown
  if not digest then return { billed, 'compare', job.body, job.state.id } end
  if digest ~= request.digest then return { billed, 'conflict', by, job.state.id } end
  remember(job.state.id)
  local position = positionOf(job.state)
  return { billed, 'enqueued', job.state.request == request.request and 1 or 0, job.state.id, position, job.state.available }
end

-- Jobs of the user in this queue that wait: due, parked, or delayed.
local function waitingOf(user)
  local waiting, delayed = 0, {}
  for _, key in ipairs({ ready, parkedKey(request.parkedPrefix, request.worker) }) do
    for _, member in ipairs(call('ZRANGE', key, 0, -1)) do
      if string.match(member, '^%d+:[^:]+:([^:]+):') == user then waiting = waiting + 1 end
    end
  end
  for _, member in ipairs(call('ZRANGE', timetable, 0, -1)) do
    local worker, id = string.match(member, '^([^:]+):([^:]+)$')
    if worker == request.worker then delayed[#delayed + 1] = id end
  end
  for start = 1, #delayed, READ_AT_ONCE do
    local ids = { unpack(delayed, start, math.min(start + READ_AT_ONCE - 1, #delayed)) }
    for _, job in pairs(readRecords(request.jobPrefix, ids)) do
      if job.state.user == user then waiting = waiting + 1 end
    end
    if waiting >= request.maxWaiting then break end
  end
  return waiting
end

local keyed = key ~= '' and call('GET', key)
local jobs = readRecords(request.jobPrefix, keyed and { keyed, request.id } or { request.id })
if keyed and jobs[keyed] then return answerKnown(jobs[keyed], 'key') end
if jobs[request.id] then return answerKnown(jobs[request.id], 'id') end

-- The try before has put the job on its queue, where it came to its end and was discarded.
if request.isRepeat and next(discardedAmong(KEYS[6], { enqueuedBy(request.request) })) then
  return { billed, 'enqueued', 1, request.id, 0, 0 }
end

if request.maxWaiting > 0 then
  local waiting = waitingOf(request.user)
  if waiting >= request.maxWaiting then return { billed, 'full', waiting } end
end

local now, nowUs = serverTime()
local state = {
  id = request.id, type = request.type, worker = request.worker, user = request.user, priority = request.priority,
  model = request.model, digest = request.digest, request = request.request, arrived = string.format('%.0f', nowUs),
  run = request.run, status = 'queued', attempt = 0, created = now, available = now + request.delayMs,
  expiresIn = request.expiresIn, expiresAt = request.expiresAt
}
beginWaiting(state, now)
call('ZADD', index, state.arrived, state.id)
assignTurns(turns, { state }, now)
call('SET', request.jobPrefix .. state.id, formatRecord({ state = state, body = ARGV[2] }))
if request.delayMs > 0 then
  call('ZADD', timetable, scoreText(state.available), delayMember(state))
else
  call('ZADD', ready, state.score, readyMember(state))
end
if state.expires then call('ZADD', timetable, scoreText(state.expires), expiryMember(state)) end
remember(state.id)
local position = positionOf(state)
call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. state.worker .. ':' .. scoreText(state.available))
return { billed, 'enqueued', 1, state.id, position, state.available }
