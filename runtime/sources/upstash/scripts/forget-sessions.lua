--[[
  Forgets all sessions of chat of a user.

    KEYS[1]  the user's sessions
    ARGV[1]  what the keys of their turns begin with

  Answers {commands billed, how many there were}.
  Billed: 5, and 1 for every 100 sessions.
]]
--- @include "lib/call"
--- @include "lib/clock"

local AT_ONCE = 100
local there = call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', (serverTime())), '+inf')
local ids = call('ZRANGE', KEYS[1], 0, -1)
for start = 1, #ids, AT_ONCE do
  local keys = {}
  for place = start, math.min(start + AT_ONCE - 1, #ids) do keys[#keys + 1] = ARGV[1] .. ids[place] end
  call('UNLINK', unpack(keys))
end
call('DEL', KEYS[1])
return { billed, there }
