--[[
  Reads the groups of failed jobs, the one in which a job failed last first.

    KEYS[1]  failures
    ARGV[1]  JSON {jobPrefix, failedPrefix, limit}

  Answers {commands billed, {group, jobs, last failure in ms, arrival of its newest job, id of it, why it failed as JSON or
  empty} for each}. Newest jobs are read until so many bytes are.
  Billed: 2, and 3 for each group.
]]
--- @include "lib/records"
--- @include "lib/failures"

local MAX_BYTES = 8 * 1048576
local request = cjson.decode(ARGV[1])
local names, groups, bytes = call('ZRANGE', KEYS[1], 0, request.limit - 1, 'REV', 'WITHSCORES'), {}, 0
for place = 1, #names, 2 do
  local name = names[place]
  local key = request.failedPrefix .. name
  local newest, problem = call('ZRANGE', key, 0, 0, 'REV', 'WITHSCORES'), ''
  if #newest > 0 then
    local text = bytes < MAX_BYTES and call('GET', request.jobPrefix .. newest[1])
    if text then
      bytes = bytes + #text
      problem = failureOf(parseRecord(text).state) or ''
    end
    groups[#groups + 1] = { name, call('ZCARD', key), names[place + 1], newest[2], newest[1], problem }
  end
end
return { billed, groups }
