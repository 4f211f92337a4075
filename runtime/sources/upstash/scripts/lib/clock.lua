--- @include "call"

-- The server's clock, because a container's may be wrong. Milliseconds and microseconds since 1970.
local function serverTime()
  local time = call('TIME')
  local us = time[1] * 1000000 + time[2]
  return math.floor(us / 1000), us
end
