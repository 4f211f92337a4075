--[[
  Takes jobs whose records are gone off the index.

    KEYS[1]  index
    ARGV[1]  JSON {jobPrefix, from, before, limit}: jobs that arrived between these two

  Answers {commands billed, arrival to go on after (empty: done)}.
  Billed: 3, and 1 when there is something to take off.
]]
--- @include "lib/records"

local request = cjson.decode(ARGV[1])
local page = call('ZRANGE', KEYS[1], '(' .. request.from, request.before, 'BYSCORE', 'LIMIT', 0, request.limit, 'WITHSCORES')
local keys, gone = {}, {}
for place = 1, #page, 2 do keys[#keys + 1] = request.jobPrefix .. page[place] end
if #keys == 0 then return { billed, '' } end
for place, text in ipairs(call('MGET', unpack(keys))) do
  if not text then gone[#gone + 1] = page[2 * place - 1] end
end
if #gone > 0 then call('ZREM', KEYS[1], unpack(gone)) end
return { billed, #keys == request.limit and string.format('%.0f', tonumber(page[#page])) or '' }
