--[[
  Finds jobs that a filter matches, the newest first.

    KEYS[1]  the index, or a group of failed jobs
    ARGV[1]  JSON {jobPrefix, before, limit, statuses, worker?, type?, user?, createdBefore?}: `before` is the arrival below
             which the page begins, `createdBefore` a time in ms

  Answers {commands billed, {id, state, why it failed as JSON or empty} for each, arrival of the last one looked at (empty:
  there are no more)}. A page ends after so many jobs looked at, or so many bytes read, matching or not.
  Billed: 3 for 8 jobs, 5 for 200.
]]
--- @include "lib/records"
--- @include "lib/failures"

local FIRST_COUNT = 8
local MAX_BYTES = 4 * 1048576
local request = cjson.decode(ARGV[1])
local isWanted = {}
for _, status in ipairs(request.statuses) do isWanted[status] = true end

local function matches(state)
  return isWanted[state.status]
    and (not request.worker or state.worker == request.worker)
    and (not request.type or state.type == request.type)
    and (not request.user or state.user == request.user)
    and (not request.createdBefore or state.created < request.createdBefore)
end

local page = call('ZRANGE', KEYS[1], '(' .. request.before, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, request.limit, 'WITHSCORES')
local found, looked, bytes, count = {}, 0, 0, FIRST_COUNT
while 2 * looked < #page and bytes < MAX_BYTES do
  local keys = {}
  for place = looked + 1, math.min(looked + count, #page / 2) do keys[#keys + 1] = request.jobPrefix .. page[2 * place - 1] end
  for _, text in ipairs(call('MGET', unpack(keys))) do
    if text then
      bytes = bytes + #text
      local state = parseRecord(text).state
      if matches(state) then
        found[#found + 1] = { state.id, state.status, state.status == 'failed' and failureOf(state) or '' }
      end
    end
  end
  looked = looked + #keys
  -- As many as are likely to fit, by the size of those that were read.
  count = math.max(1, math.min(count * 4, math.floor((MAX_BYTES - bytes) / (bytes / looked + 1))))
end
local isThrough = 2 * looked == #page and looked < request.limit
return { billed, found, isThrough and '' or string.format('%.0f', tonumber(page[2 * looked])) }
