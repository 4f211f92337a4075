--[[
  Leases due jobs for all workers of one container at once: files what producers pushed to their lists, brings back jobs
  whose delay is over or whose lease ran out, ends those whose time to wait is over, and chooses by priority, then user in
  turn, then held model, among the jobs that are inside each worker's offer. Jobs outside of it are parked, as
  lib/parking.lua says: at most 512 a call, so that no call lasts long, however many stand in front. So are jobs of the
  users and types that a worker is to skip; behind those of them that are parked already, a call looks at 4,096.

    KEYS[1]  timetable
    KEYS[2]  index
    KEYS[3]  dead letters
    KEYS[…]  list, ready queue and turns of each worker, as they are also in ARGV[1]
    ARGV[1]  JSON {jobPrefix, readyPrefix, parkedPrefix, failures, failedPrefix, channel, origin, leaseMs, keepSeconds, workerId, ticket,
             unanswered, known, maxEnds, workers: [{worker, list, side, ready, turns, slots, held, offer?,
             skip?: [{user, type}]}]}
             Tokens are made from `ticket`; leases of the tickets in `unanswered` are answered again, but for the tokens
             that are `known`, and so are their ends. `maxEnds` is how many unreported ends may be answered.

  Answers {commands billed, now (0: nothing was there), what the timetable holds next (members and scores), number of
  elements that went to the dead letters, number of elements that repeat a known job, leases, ends, 1 when there may be
  jobs behind those that were parked}; each lease is {id, worker, token, run, attempt, due since, taken, expires, last
  error report as JSON or empty, body, enqueued}, each end {id, run, attempt, status, error report as JSON or empty, ended, ticket,
  type, user, priority, body, enqueued}; `enqueued` is 0 when the job came over its producer's list.

  Without workers, only ends are asked for: every job stays where it is, but for those whose delay is over or whose lease
  ran out, which come back to their queues.

  Billed: 4 when there is nothing (2 without workers), 5 when something is running or delayed, 8 for one pushed job, 9 for one that was
  enqueued. Several workers cost 1 more when there is something, a backlog 2 more, ends 2 or 3 more and 1 for each
  of them. 11 for jobs of one need that are met and parked, 2 more for each further need; 5 when something is
  parked that others run; 13 for a job that others have parked. What is skipped costs what is parked does, and 1 more for
  each 512 parked jobs that are looked at. A paused queue costs 1 when nothing else is running or delayed.
]]
--- @include "lib/clock"
--- @include "lib/arrivals"
--- @include "lib/choosing"
--- @include "lib/sweep"
--- @include "lib/leasing"
--- @include "lib/waiting"
--- @include "lib/failures"

local SWEEP_COUNT = 128
local UPCOMING_COUNT = 8
local request = cjson.decode(ARGV[1])
local timetable, index, deadLetters = KEYS[1], KEYS[2], KEYS[3]

local leases, ends = recover(timetable, request.jobPrefix, request.unanswered, request.known)
local entries = call('ZRANGE', timetable, 0, SWEEP_COUNT - 1, 'WITHSCORES')
local elements = popArrivals(request.workers)
local now, nowUs
if #entries > 0 or #elements > 0 then now, nowUs = serverTime() end
-- Before jobs are taken off the ready queues: one whose time is over must not be among them.
local back, ended, waitingEnds, isParked, paused = sweep(timetable, entries, request, now)
for _, worker in ipairs(request.workers) do
  -- What comes in is filed; nothing is taken off the queue.
  if paused[worker.worker] then worker.isPaused, worker.slots = true, 0 end
end
local popped = popReady(request.workers, request.parkedPrefix)
if not now then
  if next(popped) == nil then return { billed, 0, {}, 0, 0, leases, ends, 0 } end
  now, nowUs = serverTime()
end
local filed, deadCount, repeated = fileArrivals(elements, index, deadLetters, timetable, request.jobPrefix, now, nowUs)

for _, lease in ipairs(leases) do
  for _, worker in ipairs(request.workers) do
    if worker.worker == lease[2] then worker.slots = math.max(worker.slots - 1, 0) end
  end
end
-- Candidates of each worker, in memory until what is left of them is written back.
local waiting = createWaiting(request, popped)
for _, job in ipairs(back) do waiting.add(job, true) end
local timed = {}
for _, worker in ipairs(request.workers) do
  local jobs, states, outside = filed[worker.worker] or {}, {}, false
  for place, job in ipairs(jobs) do
    states[place] = job.state
    outside = outside or not waiting.isInside(job.state)
    if job.state.expires then
      timed[#timed + 1] = scoreText(job.state.expires)
      timed[#timed + 1] = expiryMember(job.state)
    end
  end
  if waiting.isAny(worker.worker) or #jobs > worker.slots or outside or isParked[worker.worker] then
    if #jobs > 0 then assignTurns(worker.turns, states, now) end
  else
    -- Nobody waits and everybody gets a slot: there are no turns to take.
    for _, state in ipairs(states) do state.score = string.format('%.0f', scoreOfTurn(state.priority, now)) end
  end
  for _, job in ipairs(jobs) do
    -- One whose moment was over when it came is left to the next call's sweep.
    if hasExpired(job.state, now) then waiting.changed[job.state.id] = job else waiting.add(job) end
  end
end

local chosen = waiting.choose()
waiting.takeAway()
for _, worker in ipairs(request.workers) do waiting.settleTurns(worker, isParked[worker.worker]) end

local unread = {}
for _, candidate in ipairs(chosen) do
  if not candidate.job then unread[#unread + 1] = candidate.id end
end
local read = readRecords(request.jobPrefix, unread)
local expires, changed = now + request.leaseMs, waiting.changed
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

-- Ends are answered by age; those beyond the limit, by number or by size, are left for the next call.
local claimed, claimedBytes, isEndLeft = {}, 0, false
local function claim(job, member)
  isEndLeft = isEndLeft or #ends >= request.maxEnds or claimedBytes > MAX_POPPED_BYTES
  if isEndLeft then return end
  claimedBytes = claimedBytes + #job.body
  ends[#ends + 1] = endAnswer(job, request.ticket)
  if member then claimed[#claimed + 1] = member end
  timed[#timed + 1] = scoreText(expires)
  job.state.reporter = request.ticket
  timed[#timed + 1] = endMember(job.state, request.ticket)
  return true
end
local withReporters = {}
for _, each in ipairs(waitingEnds) do
  -- One that an element has just begun a further run of has no end any more.
  local isRedriven = changed[each.job.state.id] ~= nil
  if not isRedriven and claim(each.job, each.member) then withReporters[#withReporters + 1] = each.job end
end
for _, job in ipairs(ended) do
  local state = job.state
  if not claim(job) then
    timed[#timed + 1] = scoreText(now)
    timed[#timed + 1] = endMember(state)
  end
  if state.status == 'failed' then noteFailure(request.failures, state, state.error, now) end
  if state.mark then
    timed[#timed + 1] = scoreText(forgetScore(now + request.keepSeconds * 1000))
    timed[#timed + 1] = state.mark
  end
  call('SET', request.jobPrefix .. state.id, formatRecord(job), 'EX', request.keepSeconds)
end
if #claimed > 0 then call('ZREM', timetable, unpack(claimed)) end
-- Whoever discards such a job finds by its record whether the end is reported.
for _, job in ipairs(withReporters) do
  call('SET', request.jobPrefix .. job.state.id, formatRecord(job), 'KEEPTTL')
end
writeFailures(request.failedPrefix)
removeFailures(request.failures, request.failedPrefix)
waiting.putBack(timed)
if #timed > 0 then call('ZADD', timetable, unpack(timed)) end
waiting.publish()

local upcoming = {}
for place = 1, #entries, 2 do
  if #upcoming < 2 * UPCOMING_COUNT and momentOf(tonumber(entries[place + 1])) > now then
    upcoming[#upcoming + 1] = entries[place]
    upcoming[#upcoming + 1] = entries[place + 1]
  end
end
if (#upcoming == 0 and #entries == 2 * SWEEP_COUNT) or (isEndLeft and request.maxEnds > 0) then
  -- There is more that is due than one call sees to.
  upcoming = { '', scoreText(now) }
end
return { billed, now, upcoming, deadCount, repeated, leases, ends, waiting.hides() and 1 or 0 }
