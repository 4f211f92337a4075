--[[
  Pauses a worker's queue for every container, or lets it go on.

    KEYS[1]  timetable
    ARGV[1]  JSON {worker, isPaused, channel, origin}

  Answers {commands billed}. A queue that is paused already stays paused since then.
  Billed: 2 when nothing changes, 4 else.
]]
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/pausing"

local request = cjson.decode(ARGV[1])
local since = readPaused(KEYS[1])[request.worker]
if request.isPaused and not since then
  call('ZADD', KEYS[1], PAUSED_SCORE, pausedMember(request.worker, (serverTime())))
elseif since and not request.isPaused then
  call('ZREM', KEYS[1], pausedMember(request.worker, since))
  call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. request.worker .. ':0')
end
return { billed }
