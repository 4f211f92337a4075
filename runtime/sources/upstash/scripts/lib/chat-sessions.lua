--- @include "call"
--- @include "clock"

-- When a session expires, and the time now; nil when there is none. What is left of one that is not listed is of no account:
-- whoever forgets all sessions of a user, and a server that evicts, takes the list.
local function sessionExpiry(sessions, id)
  local expires = tonumber(call('ZSCORE', sessions, id) or nil)
  if not expires then return nil end
  local now = serverTime()
  return expires > now and expires or nil, now
end
