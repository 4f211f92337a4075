--[[
  Reads a page of jobs as they are kept, the newest first.

    KEYS[1]  index
    KEYS[2]  timetable
    ARGV[1]  JSON {jobPrefix, before?, limit, status?, user?}: `before` is the arrival below which the page begins

  Answers {commands billed, jobs, arrival of the last one looked at (empty: there are no more)}; each job is {arrival,
  state as JSON, body, progress or empty}. A page may be shorter than its limit: what the filter leaves out counts.
  Billed: 3, when jobs are running 4.
]]
--- @include "lib/records"
--- @include "lib/moments"

local request = cjson.decode(ARGV[1])
local before = request.before and '(' .. request.before or '+inf'
local page = call('ZRANGE', KEYS[1], before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, request.limit, 'WITHSCORES')
local ids, arrivals = {}, {}
for place = 1, #page, 2 do
  ids[#ids + 1] = page[place]
  arrivals[#arrivals + 1] = page[place + 1]
end

local jobs, found, members, running = readRecords(request.jobPrefix, ids), {}, {}, {}
for place, id in ipairs(ids) do
  local job = jobs[id]
  local isAsked = job and (not request.status or job.state.status == request.status)
    and (not request.user or job.state.user == request.user)
  if isAsked then
    found[#found + 1] = { string.format('%.0f', tonumber(arrivals[place])), cjson.encode(job.state), job.body, '' }
    if job.state.status == 'running' then
      members[#members + 1] = leaseMember(job.state)
      running[#running + 1] = #found
    end
  end
end
if #members > 0 then
  for place, score in ipairs(call('ZMSCORE', KEYS[2], unpack(members))) do
    found[running[place]][4] = tostring(score and progressOf(tonumber(score)) or '')
  end
end
return { billed, found, #ids == request.limit and string.format('%.0f', tonumber(arrivals[#ids])) or '' }
