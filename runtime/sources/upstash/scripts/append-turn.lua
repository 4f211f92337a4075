--[[
  Adds a turn to a session of chat, which is new when it is not there.

    KEYS[1]  the user's sessions
    KEYS[2]  the session's turns
    ARGV[1]  JSON {session, turnsPrefix, id, job, run, bytes, keepMs, maxTurns, maxBytes, maxSessions}: `id` names the turn, so that
             the call may be repeated; what another `run` of the same `job` has added goes; `bytes` is the size of its texts;
             `maxSessions` is how many the user may have: the one that was not used for longest goes
    ARGV[2]  the turn's texts

  Answers {commands billed}.
  Billed: 9 or 10, for a new session 11, and 2 more when another one goes. A repeated call: 4.
]]
--- @include "lib/chat-sessions"

local sessions, turns = KEYS[1], KEYS[2]
local request = cjson.decode(ARGV[1])

local function headOf(turn)
  return cjson.decode(string.sub(turn, 1, string.find(turn, '\n', 1, true) - 1))
end

local expires = sessionExpiry(sessions, request.session)
local kept, sizes, bytes = {}, {}, 0

local function keep(turn, size)
  kept[#kept + 1], sizes[#sizes + 1], bytes = turn, size, bytes + size
end

for _, turn in ipairs(expires and call('LRANGE', turns, 0, -1) or {}) do
  local head = headOf(turn)
  if head.id == request.id then return { billed } end
  if head.job ~= request.job or head.run == request.run then keep(turn, head.bytes) end
end

local now = serverTime()
local head = { id = request.id, job = request.job, run = request.run, bytes = request.bytes, at = string.format('%.0f', now) }
keep(cjson.encode(head) .. '\n' .. ARGV[2], request.bytes)
local first = 1
while #kept - first >= request.maxTurns or bytes > request.maxBytes do
  bytes = bytes - sizes[first]
  first = first + 1
end

call('DEL', turns)
call('RPUSH', turns, unpack(kept, first))
call('PEXPIRE', turns, request.keepMs)
call('ZREMRANGEBYSCORE', sessions, '-inf', string.format('%.0f', now))
call('ZADD', sessions, string.format('%.0f', now + request.keepMs), request.session)
call('PEXPIRE', sessions, request.keepMs)
if not expires and call('ZCARD', sessions) > request.maxSessions then
  for _, oldest in ipairs(call('ZRANGE', sessions, 0, -request.maxSessions - 1)) do
    call('DEL', request.turnsPrefix .. oldest)
    call('ZREM', sessions, oldest)
  end
end
return { billed }
