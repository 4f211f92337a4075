--- @include "call"

-- Jobs that were discarded, by when: whoever comes late with a token of one has lost it, where one that the server has
-- forgotten is nobody else's. A sorted set with their ids and, of those that were enqueued a moment ago, the names of the calls
-- that did it, after a colon: such a call may be on its way once more.
local MAX_DISCARDED = 100000
local REPEATED_WITHIN_MS = 600000

-- What of these was discarded, as a set.
local function discardedAmong(discardedKey, members)
  local found = {}
  if #members == 0 then return found end
  for place, score in ipairs(call('ZMSCORE', discardedKey, unpack(members))) do
    if score then found[members[place]] = true end
  end
  return found
end

local function enqueuedBy(request)
  return ':' .. request
end

-- Remembers the jobs for so many seconds, but no more than the newest of them.
local function noteDiscarded(discardedKey, states, now, seconds)
  local entries = {}
  for _, state in ipairs(states) do
    entries[#entries + 1] = string.format('%.0f', now)
    entries[#entries + 1] = state.id
    if state.request and state.created > now - REPEATED_WITHIN_MS then
      entries[#entries + 1] = string.format('%.0f', now)
      entries[#entries + 1] = enqueuedBy(state.request)
    end
  end
  call('ZADD', discardedKey, unpack(entries))
  call('ZREMRANGEBYSCORE', discardedKey, '-inf', string.format('%.0f', now - seconds * 1000))
  call('ZREMRANGEBYRANK', discardedKey, 0, -MAX_DISCARDED - 1)
  call('EXPIRE', discardedKey, seconds)
end
