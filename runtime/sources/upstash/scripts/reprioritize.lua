--[[
  Gives a job that waits another priority, and with it a turn among those of that priority.

    KEYS[1]  job
    ARGV[1]  JSON {readyPrefix, parkedPrefix, turnsPrefix, channel, origin, priority}

  Answers {commands billed, answer}: "done", "missing", or "refused" and the state that it is in.
  Billed: 2 when it has that priority already; 11 for a job that is due, 12 for one that is parked, 8 for one that is delayed.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/parking"
--- @include "lib/turns"

local request = cjson.decode(ARGV[1])
local job = parseRecord(call('GET', KEYS[1]))
if not job then return { billed, 'missing' } end
local state = job.state
if state.status ~= 'queued' then return { billed, 'refused', state.status } end
if state.priority == request.priority then return { billed, 'done' } end

local now = serverTime()
local turns = request.turnsPrefix .. state.worker
local place = removeWaiting(state, request.readyPrefix, request.parkedPrefix)
-- What was parked kept its turn when the turns may have begun anew.
if place ~= 'parked' then giveTurnBack(turns, state) end
state.priority = request.priority
assignTurns(turns, { state }, now)
call('SET', KEYS[1], formatRecord(job))
if place then
  -- Whoever meets it and cannot run it parks it again.
  call('ZADD', request.readyPrefix .. state.worker, state.score, readyMember(state))
  call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. state.worker .. ':' .. scoreText(now))
end
return { billed, 'done' }
