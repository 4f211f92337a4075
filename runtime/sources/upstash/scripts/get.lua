--[[
  Reads one job as it is kept.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  offers

  Answers {commands billed} when there is none, else {commands billed, state as JSON, body, progress or empty, now, what
  containers have announced}; the last two only for a job that waits.
  Billed: 2, for a running job 3, for one that waits 4.
]]
--- @include "lib/records"
--- @include "lib/moments"
--- @include "lib/clock"

local text = call('GET', KEYS[1])
if not text then return { billed } end
local job, progress, now, offers = parseRecord(text), '', 0, {}
if job.state.status == 'running' then
  local score = call('ZSCORE', KEYS[2], leaseMember(job.state))
  progress = score and progressOf(tonumber(score)) or ''
elseif job.state.status == 'queued' then
  now, offers = serverTime(), call('HVALS', KEYS[3])
end
return { billed, cjson.encode(job.state), job.body, tostring(progress), now, offers }
