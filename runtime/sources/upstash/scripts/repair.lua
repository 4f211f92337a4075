--[[
  Finds jobs that are indexed and in none of the places from which they would go on, as a server leaves them that has
  evicted a queue or the timetable, and puts them there again.

    KEYS[1]  index
    KEYS[2]  timetable
    ARGV[1]  JSON {jobPrefix, readyPrefix, parkedPrefix, channel, origin, leaseMs, from, limit}: jobs that arrived after `from`

  Answers {commands billed, how many were put back, arrival to go on after (empty: done)}.
  Billed: 3, and for each worker with jobs in the page up to 4.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/parking"

local request = cjson.decode(ARGV[1])
local index, timetable = KEYS[1], KEYS[2]
local page = call('ZRANGE', index, '(' .. request.from, '+inf', 'BYSCORE', 'LIMIT', 0, request.limit, 'WITHSCORES')
local ids = {}
for place = 1, #page, 2 do ids[#ids + 1] = page[place] end
local waiting, running = {}, {}
for _, job in pairs(readRecords(request.jobPrefix, ids)) do
  local state = job.state
  if state.status == 'queued' then
    waiting[state.worker] = waiting[state.worker] or {}
    table.insert(waiting[state.worker], state)
  elseif state.status == 'running' then
    running[#running + 1] = state
  end
end

-- Those of the states whose member is not in the sorted set.
local function missing(key, states, memberOf)
  if #states == 0 then return {} end
  local members, absent = {}, {}
  for place, state in ipairs(states) do members[place] = memberOf(state) end
  for place, score in ipairs(call('ZMSCORE', key, unpack(members))) do
    if not score then absent[#absent + 1] = states[place] end
  end
  return absent
end

local repaired, now = 0, serverTime()

local function publish(worker, moment)
  call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. worker .. ':' .. scoreText(moment))
end

for worker, states in pairs(waiting) do
  local ready = request.readyPrefix .. worker
  local lost = missing(ready, states, readyMember)
  lost = missing(parkedKey(request.parkedPrefix, worker), lost, readyMember)
  lost = missing(timetable, lost, delayMember)
  -- As the version before wrote it.
  lost = missing(ready, lost, formerReadyMember)
  if #lost > 0 then
    local entries = {}
    for _, state in ipairs(lost) do
      entries[#entries + 1] = state.score
      entries[#entries + 1] = readyMember(state)
    end
    call('ZADD', ready, unpack(entries))
    publish(worker, now)
    repaired = repaired + #lost
  end
end
local leases, workers = {}, {}
for _, state in ipairs(missing(timetable, running, leaseMember)) do
  -- Its container may live: it has one lease time to renew.
  leases[#leases + 1] = scoreText(now + request.leaseMs)
  leases[#leases + 1] = leaseMember(state)
  workers[state.worker] = true
end
if #leases > 0 then call('ZADD', timetable, unpack(leases)) end
for worker in pairs(workers) do publish(worker, now + request.leaseMs) end
return { billed, repaired + #leases / 2, #ids == request.limit and string.format('%.0f', tonumber(page[#page])) or '' }
