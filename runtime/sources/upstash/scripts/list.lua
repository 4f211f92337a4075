--[[
  Reads a page of jobs as they are kept, the newest first.

    KEYS[1]  index
    KEYS[2]  timetable
    KEYS[3]  offers
    ARGV[1]  JSON {jobPrefix, before?, limit, maxBytes, status?, user?}: `before` is the arrival below which the page begins

  Answers {commands billed, jobs, arrival of the last one looked at (empty: there are no more), now, what containers have
  announced, {worker, since when for each that is paused}}; each job is {arrival, state as JSON, body, progress or empty}. The last
  three are there when a job waits. A
  page may be shorter than its limit: what the filter leaves out counts, and it ends with the job that brings it to `maxBytes`.
  Billed: 3, for each further 64 jobs that are looked at 1 more, when jobs are running 1 more, when jobs wait 3 more.
]]
--- @include "lib/records"
--- @include "lib/moments"
--- @include "lib/clock"
--- @include "lib/pausing"

local request = cjson.decode(ARGV[1])
local before = request.before and '(' .. request.before or '+inf'
local page = call('ZRANGE', KEYS[1], before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, request.limit, 'WITHSCORES')
local ids, arrivals = {}, {}
for place = 1, #page, 2 do
  ids[#ids + 1] = page[place]
  arrivals[#arrivals + 1] = page[place + 1]
end

-- Read in parts: a record may have megabytes, and a page that is full reads no more of them.
local READ_AT_ONCE = 64
local jobs, found, members, running, isAnyQueued, bytes, looked = {}, {}, {}, {}, false, 0, 0
for place, id in ipairs(ids) do
  if place % READ_AT_ONCE == 1 then
    jobs = readRecords(request.jobPrefix, { unpack(ids, place, math.min(place + READ_AT_ONCE - 1, #ids)) })
  end
  local job = jobs[id]
  looked = place
  local isAsked = job and (not request.status or job.state.status == request.status)
    and (not request.user or job.state.user == request.user)
  if isAsked then
    local state = cjson.encode(job.state)
    found[#found + 1] = { string.format('%.0f', tonumber(arrivals[place])), state, job.body, '' }
    bytes = bytes + #state + #job.body
    if job.state.status == 'running' then
      members[#members + 1] = leaseMember(job.state)
      running[#running + 1] = #found
    end
    isAnyQueued = isAnyQueued or job.state.status == 'queued'
  end
  if bytes >= request.maxBytes then break end
end
if #members > 0 then
  for place, score in ipairs(call('ZMSCORE', KEYS[2], unpack(members))) do
    found[running[place]][4] = tostring(score and progressOf(tonumber(score)) or '')
  end
end
local now, offers, paused = 0, {}, {}
if isAnyQueued then
  now, offers = serverTime(), call('HVALS', KEYS[3])
  for worker, since in pairs(readPaused(KEYS[2])) do paused[#paused + 1] = { worker, since } end
end
local isAll = looked == #ids and #ids < request.limit
local last = isAll and '' or string.format('%.0f', tonumber(arrivals[looked]))
return { billed, found, last, now, offers, paused }
