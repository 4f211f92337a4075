--[[
  Counts the jobs of each queue, and of those that wait first what they need.

    KEYS[1]  timetable
    KEYS[2]  offers
    KEYS[…]  list, ready queue and what is parked of each worker, in the order of ARGV
    ARGV[…]  workers

  Answers {commands billed, {worker, queued, delayed, running, failed, age of the oldest in ms (-1: none) for each}, {worker,
  type, model or empty, jobs, age of the oldest in ms for each need}, now, what containers have announced, {worker, since when for
  each that is paused}}.
  Billed: 4, and 2 for each worker; 1 when jobs wait; 1 for each worker when something is parked.
]]
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/pausing"

-- What waits beyond these is counted, but its age is not read.
local MAX_READ = 10000
-- What waits beyond these, in each place, is not looked at for its needs.
local MAX_NEEDS_READ = 1000
local now = serverTime()
local delayed, running, failed = {}, {}, {}

local entries, members = call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), {}
for place = 1, #entries, 2 do
  members[#members + 1] = entries[place]
  local worker, _, token = string.match(entries[place], '^([^:]+):([^:]+):?(.*)$')
  if worker then
    local counts = token == '' and delayed or unitsOf(tonumber(entries[place + 1])) == FAILED and failed or running
    counts[worker] = (counts[worker] or 0) + 1
  end
end

local function ageOf(arrived)
  return math.max(0, now - math.floor(arrived / 1000))
end

local needs = {}
local function noteNeed(needsOfWorker, worker, member)
  local arrived, model, jobType = string.match(member, '^(%d+):[^:]+:[^:]+:%d+:([^:]*):(.*)$')
  if not jobType or jobType == '' then return end
  local name = jobType .. ':' .. model
  local need = needsOfWorker[name]
  if not need then
    need = { worker, jobType, model, 0, 0 }
    needsOfWorker[name] = need
    needs[#needs + 1] = need
  end
  need[4] = need[4] + 1
  need[5] = math.max(need[5], ageOf(tonumber(arrived)))
end

local parked = {}
for place = 5, #KEYS, 3 do parked[#parked + 1] = KEYS[place] end
local isAnyParked = #parked > 0 and call('EXISTS', unpack(parked)) > 0

local answers = {}
for place, worker in ipairs(ARGV) do
  local list, ready, parkedOfWorker = KEYS[3 * place], KEYS[3 * place + 1], KEYS[3 * place + 2]
  local count, oldest, needsOfWorker = call('LLEN', list), nil, {}
  for _, key in ipairs(isAnyParked and { ready, parkedOfWorker } or { ready }) do
    local waiting = call('ZRANGE', key, 0, MAX_READ - 1)
    count = count + (#waiting == MAX_READ and call('ZCARD', key) or #waiting)
    for rank, member in ipairs(waiting) do
      local arrived = tonumber(string.match(member, '^%d+'))
      oldest = math.min(oldest or arrived, arrived)
      if rank <= MAX_NEEDS_READ then noteNeed(needsOfWorker, worker, member) end
    end
  end
  answers[place] = {
    worker, count, delayed[worker] or 0, running[worker] or 0, failed[worker] or 0, oldest and ageOf(oldest) or -1
  }
end
local paused = {}
for worker, since in pairs(pausedAmong(members)) do paused[#paused + 1] = { worker, since } end
return { billed, answers, needs, now, #needs > 0 and call('HVALS', KEYS[2]) or {}, paused }
