--[[
  Reads one job as it is kept.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  offers
    ARGV[1]  prefix of the ready queues
    ARGV[2]  prefix of what is parked

  Answers {commands billed} when there is none, else {commands billed, state as JSON, body, progress or empty, now, what
  containers have announced, its place, {worker, since when for each queue that is paused}}; the last four only for a job that waits.
  Billed: 2, for a running job 3, for one that waits 6, for one that is not on its ready queue 8.
]]
--- @include "lib/records"
--- @include "lib/moments"
--- @include "lib/clock"
--- @include "lib/places"
--- @include "lib/pausing"

local text = call('GET', KEYS[1])
if not text then return { billed } end
local job, progress, now, offers = parseRecord(text), '', 0, {}
local place, paused = 0, {}
if job.state.status == 'running' then
  local score = call('ZSCORE', KEYS[2], leaseMember(job.state))
  progress = score and progressOf(tonumber(score)) or ''
elseif job.state.status == 'queued' then
  now, offers = serverTime(), call('HVALS', KEYS[3])
  place = placeOf(job.state, ARGV[1] .. job.state.worker, ARGV[2] .. job.state.worker)
  for worker, since in pairs(readPaused(KEYS[2])) do paused[#paused + 1] = { worker, since } end
end
return { billed, cjson.encode(job.state), job.body, tostring(progress), now, offers, place, paused }
