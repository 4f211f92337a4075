--[[
  Takes jobs whose records are gone off the index and out of their groups of failures, and with the first page offers of containers that are gone.

    KEYS[1]  index
    KEYS[2]  offers
    KEYS[3]  failures
    ARGV[1]  JSON {jobPrefix, failedPrefix, from, keepSeconds, limit}: jobs that arrived after `from` and long enough ago

  Answers {commands billed, arrival to go on after (empty: done)}.
  Billed: 4, for the first page 5, and 2 and 2 for each group when there is something to take off.
]]
--- @include "lib/clock"

local request = cjson.decode(ARGV[1])
local now, nowUs = serverTime()
if request.from == '0' then
  local offers, old = call('HGETALL', KEYS[2]), {}
  for place = 1, #offers, 2 do
    if tonumber(string.match(offers[place + 1], '^%d+')) < now then old[#old + 1] = offers[place] end
  end
  if #old > 0 then call('HDEL', KEYS[2], unpack(old)) end
end
local before = string.format('%.0f', nowUs - request.keepSeconds * 1000000)
local page = call('ZRANGE', KEYS[1], '(' .. request.from, before, 'BYSCORE', 'LIMIT', 0, request.limit, 'WITHSCORES')
local keys, gone = {}, {}
for place = 1, #page, 2 do keys[#keys + 1] = request.jobPrefix .. page[place] end
if #keys == 0 then return { billed, '' } end
for place, text in ipairs(call('MGET', unpack(keys))) do
  if not text then gone[#gone + 1] = page[2 * place - 1] end
end
if #gone > 0 then
  call('ZREM', KEYS[1], unpack(gone))
  for _, group in ipairs(call('ZRANGE', KEYS[3], 0, -1)) do
    call('ZREM', request.failedPrefix .. group, unpack(gone))
    if call('EXISTS', request.failedPrefix .. group) == 0 then call('ZREM', KEYS[3], group) end
  end
end
return { billed, #keys == request.limit and string.format('%.0f', tonumber(page[#page])) or '' }
