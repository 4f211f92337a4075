--[[
  Takes elements in which there was no job off the dead letters, the oldest first: those of one worker, or one of them.

    KEYS[1]  dead letters
    ARGV[1]  JSON {worker, id?, keptBytes, maxBytes, skip}: so many of the oldest are passed over; no more is read when so many
             bytes have been. `id` as `dead-letters` answers it with the same `keptBytes`

  Answers {commands billed, how many were taken off, how many of the oldest are to be passed over by the next call (-1: done)}.
  Billed: 1 for the call, 1 for every ten that are read, 1 for each that is taken off and 1 more.
]]
--- @include "lib/call"
--- @include "lib/letters"

local READ_AT_ONCE = 10
local request = cjson.decode(ARGV[1])
local skip, bytes, isDone, found = request.skip, 0, false, {}

local function isMeant(text)
  local head = headOf(text)
  return head.worker == request.worker and (not request.id or request.id == letterId(text, request.keptBytes))
end

while not isDone and bytes < request.maxBytes do
  local texts = call('LRANGE', KEYS[1], -skip - READ_AT_ONCE, -skip - 1)
  isDone = #texts < READ_AT_ONCE
  for place = #texts, 1, -1 do
    bytes = bytes + #texts[place]
    skip = skip + 1
    if not (request.id and #found == 1) and isMeant(texts[place]) then found[#found + 1] = -skip end
  end
  isDone = isDone or (request.id and #found == 1)
end
-- No letter is empty: what is to go is emptied, so that the places of the others stay, and then goes at once.
for _, place in ipairs(found) do call('LSET', KEYS[1], place, '') end
if #found > 0 then call('LREM', KEYS[1], 0, '') end
return { billed, #found, isDone and -1 or skip - #found }
