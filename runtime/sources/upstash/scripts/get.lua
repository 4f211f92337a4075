--[[
  Reads one job as it is kept.

    KEYS[1]  job
    KEYS[2]  timetable

  Answers {commands billed} when there is none, else {commands billed, state as JSON, body, progress or empty}.
  Billed: 2, for a running job 3.
]]
--- @include "lib/records"
--- @include "lib/moments"

local text = call('GET', KEYS[1])
if not text then return { billed } end
local job, progress = parseRecord(text), ''
if job.state.status == 'running' then
  local score = call('ZSCORE', KEYS[2], leaseMember(job.state))
  progress = score and progressOf(tonumber(score)) or ''
end
return { billed, cjson.encode(job.state), job.body, tostring(progress) }
