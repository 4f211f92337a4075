--[[
  Reads the newest elements in which there was no job, each from its beginning: an element may have ten megabytes.

    KEYS[1]  dead letters
    ARGV[1]  JSON {limit, keptBytes, maxBytes}: of each element so many bytes; no more is read when so many have been

  Answers {commands billed, {id, letter} for each}; a letter is why there is no job in it, as JSON, a line feed, and the element.
  Billed: 1 for the call, and 1 for every ten that are read.
]]
--- @include "lib/call"
--- @include "lib/letters"

local READ_AT_ONCE = 10
local request = cjson.decode(ARGV[1])
local letters, bytes = {}, 0
for first = 0, request.limit - 1, READ_AT_ONCE do
  local last = math.min(first + READ_AT_ONCE, request.limit) - 1
  local texts = call('LRANGE', KEYS[1], first, last)
  for _, text in ipairs(texts) do
    letters[#letters + 1] = { letterId(text, request.keptBytes), beginningOf(text, request.keptBytes) }
    bytes = bytes + #text
  end
  if bytes > request.maxBytes or #texts < READ_AT_ONCE then break end
end
return { billed, letters }
