--[[
  Puts jobs into the groups of their failures that are in none: those which a container failed that knew of no groups.

    KEYS[1]  index
    KEYS[2]  failures
    ARGV[1]  JSON {jobPrefix, failedPrefix, from, limit}: jobs that arrived after `from`

  Answers {commands billed, arrival to go on after (empty: done)}.
  Billed: 3, and when there are such jobs 1 for each, and 2 or 3 for each group.
]]
--- @include "lib/records"
--- @include "lib/failures"

local request = cjson.decode(ARGV[1])
local page = call('ZRANGE', KEYS[1], '(' .. request.from, '+inf', 'BYSCORE', 'LIMIT', 0, request.limit, 'WITHSCORES')
local ids = {}
for place = 1, #page, 2 do ids[#ids + 1] = page[place] end
for _, job in pairs(readRecords(request.jobPrefix, ids)) do
  local state = job.state
  if state.status == 'failed' and not state.group then
    noteFailure(KEYS[2], state, failureOf(state), state.settled)
    call('SET', request.jobPrefix .. state.id, formatRecord(job), 'KEEPTTL')
  end
end
writeFailures(request.failedPrefix)
return { billed, #ids == request.limit and string.format('%.0f', tonumber(page[#page])) or '' }
