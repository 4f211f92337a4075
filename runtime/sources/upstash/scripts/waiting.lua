--[[
  Reads the jobs of one worker that are due, in the order in which they go, as they are kept.

    KEYS[1]  ready queue of the worker
    KEYS[2]  what is parked of the worker
    KEYS[3]  timetable
    KEYS[4]  offers
    ARGV[1]  JSON {jobPrefix, limit, maxBytes}

  Answers {commands billed, jobs, now, what containers have announced, {worker, since when for each that is paused}}; each job is
  {state as JSON, body}. It ends with the job that brings it to `maxBytes`.
  Billed: 6 and 1 for each 64 jobs.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/pausing"

local READ_AT_ONCE = 64
local request = cjson.decode(ARGV[1])
local entries = {}
for _, key in ipairs({ KEYS[1], KEYS[2] }) do
  local found = call('ZRANGE', key, 0, request.limit - 1, 'WITHSCORES')
  for place = 1, #found, 2 do entries[#entries + 1] = { member = found[place], score = tonumber(found[place + 1]) } end
end
table.sort(entries, function(one, other)
  if one.score ~= other.score then return one.score < other.score end
  return one.member < other.member
end)
local ids = {}
for place = 1, math.min(request.limit, #entries) do ids[place] = string.match(entries[place].member, '^%d+:([^:]+):') end

local jobs, found, bytes = {}, {}, 0
for place, id in ipairs(ids) do
  if place % READ_AT_ONCE == 1 then
    jobs = readRecords(request.jobPrefix, { unpack(ids, place, math.min(place + READ_AT_ONCE - 1, #ids)) })
  end
  local job = jobs[id]
  if job and job.state.status == 'queued' then
    local state = cjson.encode(job.state)
    found[#found + 1] = { state, job.body }
    bytes = bytes + #state + #job.body
  end
  if bytes >= request.maxBytes then break end
end
local paused = {}
for worker, since in pairs(readPaused(KEYS[3])) do paused[#paused + 1] = { worker, since } end
local now, offers = serverTime(), call('HVALS', KEYS[4])
return { billed, found, now, offers, paused }
