--- @include "call"

-- A queue that is paused has a member in the timetable, with a score before all times, as what is parked has: every take
-- reads it anyway.
--
--   :paused:<worker>:<since when, in ms>
local PAUSED_SCORE = -1

local function pausedMember(worker, since)
  return ':paused:' .. worker .. ':' .. string.format('%.0f', since)
end

-- {worker = since} of the timetable's members among these.
local function pausedAmong(members)
  local paused = {}
  for _, member in ipairs(members) do
    local worker, since = string.match(member, '^:paused:(.+):(%d+)$')
    if worker then paused[worker] = tonumber(since) end
  end
  return paused
end

-- Every queue that is paused. Billed: 1.
local function readPaused(timetable)
  return pausedAmong(call('ZRANGEBYSCORE', timetable, '-inf', 0))
end
