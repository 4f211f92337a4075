--- @include "call"
--- @include "records"

-- A waiting job's place: 1 goes next. One that is parked has the place that it has for who can run it, one that is delayed that
-- which it would have now.
local function placeOf(state, ready, parked)
  local member = readyMember(state)
  local rank = call('ZRANK', ready, member)
  if rank then return rank + 1 end
  return call('ZCOUNT', ready, '-inf', '(' .. state.score) + (parked and call('ZRANK', parked, member) or 0) + 1
end
