--[[
  Reads a session of chat.

    KEYS[1]  the user's sessions
    KEYS[2]  the session's turns
    ARGV[1]  the session's id

  Answers {commands billed} when there is none, else {commands billed, when it expires, turns as they are kept}.
  Billed: 2, for a session that is there 4.
]]
--- @include "lib/chat-sessions"

local expires = sessionExpiry(KEYS[1], ARGV[1])
if not expires then return { billed } end
return { billed, string.format('%.0f', expires), call('LRANGE', KEYS[2], 0, -1) }
