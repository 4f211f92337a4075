--[[
  Forgets a session of chat.

    KEYS[1]  the user's sessions
    KEYS[2]  the session's turns
    ARGV[1]  the session's id

  Answers {commands billed, 1 when there was one, else 0}.
  Billed: 4, for a session that is there 5.
]]
--- @include "lib/chat-sessions"

local expires = sessionExpiry(KEYS[1], ARGV[1])
call('ZREM', KEYS[1], ARGV[1])
call('DEL', KEYS[2])
return { billed, expires and 1 or 0 }
