--[[
  Brings a failed job back to its queue, due now, as its next run. It keeps its place among the others.

    KEYS[1]  job
    KEYS[2]  timetable
    ARGV[1]  JSON {readyPrefix, failures, failedPrefix, channel, origin, request}: `request` names this call, so that it may be repeated

  Answers {commands billed, answer}: "redriven", "missing", or "refused" and the state that it is in.
  Billed: 9, with a time limit 1 more, for the last of its group 1 more.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/redriving"

local request = cjson.decode(ARGV[1])
local job = parseRecord(call('GET', KEYS[1]))
if not job then return { billed, 'missing' } end
local state = job.state
if state.redrivenBy == request.request then return { billed, 'redriven' } end
if state.status ~= 'failed' then return { billed, 'refused', state.status } end

local now = serverTime()
beginRun(state, KEYS[2], (state.run or 1) + 1, now)
state.redrivenBy = request.request
removeFailures(request.failures, request.failedPrefix)
-- Without a time to live: the record is kept for as long as the job is not settled.
call('SET', KEYS[1], formatRecord(job))
call('ZADD', request.readyPrefix .. state.worker, state.score, readyMember(state))
if state.expires then call('ZADD', KEYS[2], scoreText(state.expires), expiryMember(state)) end
call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. state.worker .. ':' .. scoreText(now))
return { billed, 'redriven' }
